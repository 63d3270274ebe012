"""docs/conflicts.md: a section for every kind, whose examples are as bad and as good as it says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from converger.proof.kinds import KINDS, classify, explain_kind, known_kinds, page
from converger.proof.servers import open_server
from tests.conflicts.examples import Run, encounters, on_fresh_databases, on_one_database, sections
from tests.conflicts.test_conflicts import FOLDERS, expectation

REPOSITORY = Path(__file__).resolve().parents[2]
SECTIONS = sections(page())
NAMED = {kind.name: kind for kind in KINDS}

ELSEWHERE = {"trigger-order": "mysql", "lost-by-table-rebuild": "sqlite"}
"""Kinds whose examples are not PostgreSQL's."""

WORDS = {"postgresql": "PostgreSQL", "mysql": "MySQL", "sqlite": "SQLite"}


def test_the_document_is_what_the_command_shows() -> None:
    assert (REPOSITORY / "docs" / "conflicts.md").read_text(encoding="utf-8") == page()


def test_every_kind_has_a_section_in_the_order_of_the_catalogue() -> None:
    assert tuple(SECTIONS) == known_kinds()


@pytest.mark.parametrize("name", known_kinds())
def test_a_section_says_all_that_belongs_to_it(name: str) -> None:
    kind, section = NAMED[name], SECTIONS[name]
    assert section.text.startswith(kind.title)
    first = section.text.partition("\n\n")[0]
    if len(kind.dialects) < len(WORDS):
        for dialect in kind.dialects:
            assert WORDS[dialect] in first
    assert "\nWhat to do: " in section.text
    assert ("\nRecognised by: " in section.text) == (name != "unclassified")
    assert explain_kind(name) == f"## {name}\n\n{section.text}\n"


@pytest.mark.parametrize("name", known_kinds())
def test_every_kind_has_a_project(name: str) -> None:
    shown = {
        kind
        for folder in FOLDERS
        for kind in (expectation(folder).get("kinds") or [expectation(folder).get("kind")])
    }
    assert name in shown


@pytest.fixture(scope="module")
def postgres(postgres_url: str) -> Iterator[tuple[Run, Run]]:
    with (
        open_server(database_url=postgres_url, project_url=None, progress=lambda text: None) as server,
        on_one_database(server) as run,
    ):
        yield run, on_fresh_databases(server)


@pytest.mark.parametrize("name", [name for name in known_kinds() if name not in ELSEWHERE])
def test_the_examples_on_postgresql(name: str, postgres: tuple[Run, Run]) -> None:
    commits = "autocommit_block" in SECTIONS[name].good.a
    hold(name, postgres[0], postgres[commits], "postgresql")


@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_the_examples_of_other_databases(name: str, request: pytest.FixtureRequest) -> None:
    dialect = ELSEWHERE[name]
    url = request.getfixturevalue("mariadb_url") if dialect == "mysql" else None
    with open_server(database_url=url, project_url="sqlite://", progress=lambda text: None) as server:
        run = on_fresh_databases(server)
        hold(name, run, run, dialect)


def hold(name: str, run_bad: Run, run_good: Run, dialect: str) -> None:
    """The bad example is of that kind, whichever order is met first; the good one is fine in both."""
    section = SECTIONS[name]
    met = encounters(section.bad, run_bad, dialect)
    assert met, "the bad example is harmless"
    assert {classify(encounter).name for encounter in met} >= {name}
    assert classify(met[0]).name == name
    if all(encounter.error is None for encounter in met):
        assert "differ" in NAMED[name].verdicts
    else:
        assert {"one-order", "neither-order"} & set(NAMED[name].verdicts)
    assert encounters(section.good, run_good, dialect) == []
