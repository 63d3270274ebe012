"""Every single change to a rich database shows, and what means nothing does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from converger.proof.facts import Fingerprint, differences

from . import rich
from .conftest import VERSIONS, Postgres, trials

# (the first PostgreSQL that knows it, the statements)
_CHANGES = [
    *((0, case) for case in rich.cases(rich.CHANGES)),
    *((14, case) for case in rich.cases(rich.FROM_14)),
    *((15, case) for case in rich.cases(rich.FROM_15)),
    *((18, case) for case in rich.cases(rich.FROM_18)),
]


class Rich:
    """A rich database of one version, and what its fingerprint is without any change."""

    def __init__(self, pg: Postgres, stack: contextlib.ExitStack) -> None:
        self.database = pg.build(rich.SCHEMA, rich.EXTRAS)
        if pg.major >= 15:
            with pg.connect(self.database.name) as connection:
                connection.execute("CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler")
        available = pg.server.query(
            self.database,
            "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'citext') ORDER BY 1",
        )
        assert available, "a server without any extension"
        self._extension = str(available[0][0])
        self._run = stack.enter_context(trials(pg, self.database))
        self.before = self._run()

    def after(self, *statements: str) -> Fingerprint:
        """The fingerprint that these statements would lead to."""
        known = {"{extension}": self._extension, "{database}": self.database.name}
        for place, value in known.items():
            statements = tuple(statement.replace(place, value) for statement in statements)
        return self._run(*statements)


@pytest.fixture(scope="module")
def rich_of(postgres_of: Callable[[str], Postgres]) -> Iterator[Callable[[str], Rich]]:
    """The rich database of a version, made when it is first asked for."""
    with contextlib.ExitStack() as stack:
        made: dict[str, Rich] = {}

        def make(version: str) -> Rich:
            if version not in made:
                made[version] = Rich(postgres_of(version), stack)
            return made[version]

        yield make
        for each in made.values():
            assert each.after().facts == each.before.facts, "a trial left something behind"


def _which() -> list[Any]:
    """Which version runs which case: the first all that it knows, the others a part of them, for time's sake."""
    chosen = []
    for number, version in enumerate(VERSIONS):
        for index, (since, statements) in enumerate(_CHANGES):
            knows = int(version.split(".")[0]) >= since
            its_turn = number == 0 or since or index % len(VERSIONS) == number
            if knows and its_turn:
                name = f"{version}-{'; '.join(statements)[:90]}"
                chosen.append(pytest.param(version, statements, id=name))
    return chosen


@pytest.mark.parametrize(("version", "statements"), _which())
def test_a_change_shows(rich_of: Callable[[str], Rich], version: str, statements: tuple[str, ...]) -> None:
    database = rich_of(version)
    assert database.after(*statements).facts != database.before.facts


@pytest.mark.parametrize("statements", rich.cases(rich.HARMLESS), ids=lambda case: "; ".join(case)[:90])
@pytest.mark.parametrize("version", VERSIONS)
def test_what_means_nothing_does_not_show(
    rich_of: Callable[[str], Rich], version: str, statements: tuple[str, ...]
) -> None:
    database = rich_of(version)
    after = database.after(*statements)
    assert differences(database.before.facts, after.facts) == ()
    assert database.before.facts == after.facts
