"""A dump of a real database holds every line of history, not only the one whose heads are merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import AlembicProject


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """Two labelled trees in one database; the first cannot start from empty, and has two heads."""
    project = AlembicProject(tmp_path / "p", url="sqlite:///never.db")
    project.sql("gxy00001", None, "ALTER TABLE made_elsewhere ADD COLUMN a INTEGER", labels="gxy")
    project.sql("gxy00002", "gxy00001", "ALTER TABLE made_elsewhere ADD COLUMN b INTEGER")
    project.sql("aaaa0001", "gxy00002", "CREATE TABLE left_one (id INTEGER)")
    project.sql("bbbb0001", "gxy00002", "CREATE TABLE right_one (id INTEGER)")
    project.sql("tsi00001", None, "CREATE TABLE installed (id INTEGER)", labels="tsi")
    project.sql("tsi00002", "tsi00001", "ALTER TABLE installed ADD COLUMN name TEXT")
    return project


def proven_from(project: AlembicProject, *applied: str) -> Outcome:
    dump = project.root / "dump.sql"
    dump.write_text(
        "CREATE TABLE made_elsewhere (id INTEGER, a INTEGER);\n"
        "CREATE TABLE installed (id INTEGER);\n"
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY);\n"
        + "".join(f"INSERT INTO alembic_version VALUES ('{revision}');\n" for revision in applied)
    )
    return converge(Options(cwd=project.root, base_sql=dump, dry_run=True), Silent())


def test_what_is_applied_of_another_tree_is_not_in_the_way(project: AlembicProject) -> None:
    outcome = proven_from(project, "gxy00001", "tsi00001")
    assert outcome.status == "would-merge", outcome.reason
    assert outcome.proof is not None and outcome.proof.verdict == "commute"
    assert {path.result for path in outcome.proof.paths} == {"ok"}
    assert ("aaaa0001",) in {path.start for path in outcome.proof.paths}


def test_another_tree_need_not_be_there(project: AlembicProject) -> None:
    assert proven_from(project, "gxy00001").status == "would-merge"


@pytest.mark.parametrize("applied", [("aaaa0001",), ("gxy00001", "unknown1"), ("aaaa0001", "tsi00001")])
def test_what_is_applied_of_this_tree_must_be_below_the_ancestor(
    project: AlembicProject, applied: tuple[str, ...]
) -> None:
    outcome = proven_from(project, *applied)
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3)
    assert outcome.reason is not None
    if "unknown1" not in applied:
        assert outcome.reason.code == "begins-too-late"


def test_a_clash_is_still_found(project: AlembicProject) -> None:
    project.sql("aaaa0002", "aaaa0001", "ALTER TABLE made_elsewhere ADD COLUMN c INTEGER")
    project.sql("bbbb0002", "bbbb0001", "ALTER TABLE made_elsewhere ADD COLUMN c TEXT")
    outcome = proven_from(project, "gxy00001", "tsi00001")
    assert (outcome.status, outcome.exit_code) == ("refused", 1)
    assert outcome.proof is not None and outcome.proof.verdict == "neither-order"


def test_without_the_dump_the_message_says_where_and_what_would_help(project: AlembicProject) -> None:
    outcome = converge(Options(cwd=project.root, dry_run=True), Silent())
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3)
    assert outcome.reason is not None and outcome.reason.code == "cannot-start-from-empty"
    said = f"{outcome.reason.message} {outcome.reason.hint}"
    assert "migrations/versions/gxy00001_rev.py:" in said and "made_elsewhere" in said
    assert "<string>" not in said
    assert "--base-sql" in said and "--prepare" in said
