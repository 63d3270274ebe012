"""A history that does not get to the common ancestor: what is said depends on who failed, and on the start."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.converge import converge
from converger.errors import CouldNotEvaluate
from converger.outcome import Options, Silent
from tests.alembic_project import AlembicProject, two_harmless_heads


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


def reason(project: AlembicProject, **changes: object) -> CouldNotEvaluate:
    outcome = converge(Options(cwd=project.root, database_url="sqlite://", **changes), Silent())  # type: ignore[arg-type]
    assert isinstance(outcome.reason, CouldNotEvaluate)
    assert outcome.reason.code == "cannot-start-from-empty"
    assert outcome.reason.hint is not None
    assert "--base-sql" in outcome.reason.hint
    assert "--prepare" in outcome.reason.hint
    return outcome.reason


def test_the_database_lacks_a_table(project: AlembicProject) -> None:
    project.sql("base0001", None, "ALTER TABLE made_by_create_all ADD COLUMN x INTEGER")

    error = reason(project)

    assert "an empty database cannot be upgraded" in error.message
    assert "statement: ALTER TABLE made_by_create_all" in error.message
    assert error.hint is not None
    assert error.hint.startswith("this history cannot start from an empty database")


def test_a_table_that_is_reflected(project: AlembicProject) -> None:
    project.revision(
        "base0001", None, "sa.Table('made_by_create_all', sa.MetaData(), autoload_with=op.get_bind())"
    )

    assert str(reason(project).hint).startswith("this history cannot start from an empty database")


def test_the_revision_needs_what_only_the_application_sets_up(project: AlembicProject) -> None:
    """keystone's first revision looks up an option that its own command registers."""
    project.revision(
        "base0001",
        None,
        "op.execute('CREATE TABLE t (id INTEGER)')\nraise LookupError('no such option saml')",
    )

    error = reason(project)

    assert "no such option saml" in error.message
    assert "CREATE TABLE" not in error.message, "a statement that succeeded is not to blame"
    assert error.hint is not None
    assert "--command" in error.hint
    assert not error.hint.startswith("this history cannot start")


def test_the_dump_is_named_where_one_was_loaded(project: AlembicProject, tmp_path: Path) -> None:
    project.sql("base0001", None, "ALTER TABLE made_by_create_all ADD COLUMN x INTEGER")
    dump = tmp_path / "dump.sql"
    dump.write_text("CREATE TABLE something_else (id INTEGER);\n")

    error = reason(project, base_sql=dump)

    assert "the database that --base-sql made cannot be upgraded" in error.message
