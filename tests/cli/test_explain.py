"""`alembic-converger explain`: a section of docs/conflicts.md, or the list of all kinds."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from converger.cli import main
from converger.proof.kinds import KINDS, explain_kind, known_kinds, near_kinds


def explain(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["explain", *arguments])


@pytest.mark.parametrize("name", known_kinds())
def test_a_kind_is_explained_outside_any_project(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = explain(name)
    assert (result.exit_code, result.stdout) == (0, explain_kind(name))


def test_all_kinds_are_listed_with_a_line_each() -> None:
    result = explain()
    assert result.exit_code == 0
    lines = [line.split("  ", 1) for line in result.stdout.splitlines()]
    assert [(name, title.strip()) for name, title in lines] == [(kind.name, kind.title) for kind in KINDS]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("duplicate-colum", "duplicate-column"),
        ("Duplicate_Column", "duplicate-column"),
        ("enum", "enum-label-gone"),
        ("last-write-wins", "last-writer-wins"),
    ],
)
def test_an_unknown_kind_is_bad_usage_with_what_is_near(name: str, meant: str) -> None:
    result = explain(name)
    assert (result.exit_code, result.stdout) == (2, "")
    assert meant in result.stderr
    assert meant in near_kinds(name)


def test_what_is_near_to_nothing_gets_the_way_to_the_list() -> None:
    result = explain("\x1b[31mqqqqqq\n")
    assert result.exit_code == 2
    assert "Did you mean" not in result.stderr
    assert "`alembic-converger explain` lists all" in result.stderr
    assert "\x1b" not in result.stderr


def test_there_is_no_json_of_it() -> None:
    assert explain("--format", "json").exit_code == 2
