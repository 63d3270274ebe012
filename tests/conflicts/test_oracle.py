"""What every expected.json says is what plain Alembic does when every order is run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest

from tests.conflicts.oracle import disagreements, examine
from tests.conflicts.servers import OracleServer, open_oracle_server
from tests.conflicts.test_conflicts import FOLDERS, expectation, name_of


@pytest.fixture(scope="module")
def oracle_server() -> Iterator[Callable[[str], OracleServer]]:
    """The server of a dialect, started when it is first asked for."""
    with ExitStack() as stack:
        yield cache(lambda dialect: stack.enter_context(open_oracle_server(dialect)))


@pytest.mark.heavy
@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_the_expectation_is_true(folder: Path, oracle_server: Callable[[str], OracleServer]) -> None:
    truth = examine(folder, oracle_server(folder.parent.name))
    assert disagreements(expectation(folder), truth) == []
