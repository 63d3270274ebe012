"""Every single change to a rich database shows, and what means nothing does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converger.proof.facts import Fingerprint, differences
from converger.proof.scratch import Scratch

from . import rich
from .conftest import VERSIONS, Postgres, Trial, trials

_CHANGES = [
    *((0, case) for case in rich.cases(rich.CHANGES)),
    *((15, case) for case in rich.cases(rich.FROM_15)),
    *((18, case) for case in rich.cases(rich.FROM_18)),
]


@pytest.fixture(scope="module")
def database(pg: Postgres) -> Scratch:
    scratch = pg.build(rich.SCHEMA, rich.EXTRAS)
    with pg.connect(scratch.name) as connection:
        if pg.major >= 15:
            connection.execute("CREATE ACCESS METHOD heap2 TYPE TABLE HANDLER heap_tableam_handler")
    return scratch


@pytest.fixture(scope="module")
def trial(pg: Postgres, database: Scratch) -> Iterator[Trial]:
    with trials(pg, database) as run:
        yield run


@pytest.fixture(scope="module")
def before(trial: Trial) -> Iterator[Fingerprint]:
    """The fingerprint without any change, also after all of them."""
    found = trial()
    yield found
    assert trial().facts == found.facts, "a trial left something behind"


@pytest.fixture(scope="module")
def extension(pg: Postgres, database: Scratch) -> str:
    """One that this server has."""
    found = pg.server.query(
        database, "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'citext') ORDER BY 1"
    )
    assert found, "a server without any extension"
    return str(found[0][0])


@pytest.mark.parametrize("case", _CHANGES, ids=lambda case: "; ".join(case[1])[:90])
def test_a_change_shows(
    pg: Postgres,
    database: Scratch,
    trial: Trial,
    extension: str,
    case: tuple[int, tuple[str, ...]],
    before: Fingerprint,
) -> None:
    since, statements = case
    if pg.version != VERSIONS[0] and not since and _CHANGES.index(case) % len(VERSIONS) != pg.number:
        pytest.skip("one version runs all cases, the others a part of them, for time's sake")
    if pg.major < max(since, 14 if "COMPRESSION" in statements[0] else 0):
        pytest.skip("not in this version of PostgreSQL")
    after = trial(
        *(part.replace("{extension}", extension).replace("{database}", database.name) for part in statements)
    )
    assert after.facts != before.facts


@pytest.mark.parametrize("case", rich.cases(rich.HARMLESS), ids=lambda case: "; ".join(case)[:90])
def test_what_means_nothing_does_not_show(trial: Trial, before: Fingerprint, case: tuple[str, ...]) -> None:
    after = trial(*case)
    assert differences(before.facts, after.facts) == ()
    assert before.facts == after.facts
