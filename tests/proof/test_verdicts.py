"""Each verdict on a real PostgreSQL, through the whole use case."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

ACCOUNTS = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50), score INTEGER)"


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path / "p")


def run(project: AlembicProject, url: str, **changes: object) -> Outcome:
    """Converge, and hold it to what must be true of every run."""
    before = project.digest()
    outcome = converge(Options(cwd=project.root, database_url=url, **changes), Silent())  # type: ignore[arg-type]
    after = project.digest()
    assert {name: after.get(name) for name in before} == before, "an existing file was changed"
    if outcome.status != "merged":
        assert after == before, "something was left behind"
    with psycopg.connect(url) as connection:
        own = connection.info.dbname
        names = connection.execute(
            "SELECT datname FROM pg_database WHERE datname LIKE 'converger\\_%%' AND datname <> %s", [own]
        ).fetchall()
    # Other tests use the same server at the same time: only what carries no session's lock would be ours to fear.
    assert all(name.startswith("converger_") for (name,) in names)
    return outcome


def verdict(outcome: Outcome) -> str:
    assert outcome.proof is not None, outcome.reason
    return outcome.proof.verdict


def test_commute(project: AlembicProject, postgres_url: str) -> None:
    outcome = run(two_harmless_heads(project), postgres_url)
    assert (outcome.status, verdict(outcome)) == ("merged", "commute")
    assert outcome.proof is not None
    assert outcome.proof.dialect == "postgresql"
    assert {path.start for path in outcome.proof.paths} == {(), ("base0001",), ("aaaa0001",), ("bbbb0001",)}
    assert all(path.order[-1] == outcome.final_head for path in outcome.proof.paths)


def test_three_heads_pairwise_go_through_each_merge(project: AlembicProject, postgres_url: str) -> None:
    two_harmless_heads(project)
    project.sql("cccc0001", "base0001", "CREATE TABLE third (id INTEGER)")
    outcome = run(project, postgres_url)
    assert verdict(outcome) == "commute"
    assert outcome.proof is not None
    first, second = (file.merge.revision for file in outcome.files)
    empty = next(path for path in outcome.proof.paths if path.start == ())
    assert empty.order[0] == "base0001"
    assert {first, second} < set(empty.order)
    assert empty.order.index(first) < empty.order.index(second)
    assert outcome.final_head == second


def test_one_order(project: AlembicProject, postgres_url: str) -> None:
    """base -> a drops a column, base -> b indexes it: fine only when b runs first."""
    project.sql("base0001", None, ACCOUNTS)
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts DROP COLUMN score")
    project.sql("bbbb0001", "base0001", "CREATE INDEX ix_score ON accounts (score)")
    outcome = run(project, postgres_url)
    assert (outcome.status, verdict(outcome)) == ("refused", "one-order")
    assert outcome.proof is not None
    results = {path.start: path.result for path in outcome.proof.paths}
    assert results[("aaaa0001",)] == "failed"
    assert results[("bbbb0001",)] == "ok"
    conflict = outcome.proof.conflicts[0]
    assert conflict.revisions == ("aaaa0001", "bbbb0001")
    assert conflict.state == ("aaaa0001",)
    assert 'column "score" does not exist' in (conflict.error or "")
    assert conflict.statement == "CREATE INDEX ix_score ON accounts (score)"
    assert conflict.location is not None
    assert conflict.location.path.endswith("bbbb0001_rev.py")


def test_neither_order(project: AlembicProject, postgres_url: str) -> None:
    project.sql("base0001", None, ACCOUNTS)
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT")
    project.sql("bbbb0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT")
    outcome = run(project, postgres_url)
    assert (outcome.status, outcome.exit_code, verdict(outcome)) == ("refused", 1, "neither-order")


def test_differ_is_the_silent_kind(project: AlembicProject, postgres_url: str) -> None:
    project.sql("base0001", None, ACCOUNTS)
    project.sql("aaaa0001", "base0001", "CREATE TABLE IF NOT EXISTS t (id INTEGER)")
    project.sql("bbbb0001", "base0001", "CREATE TABLE IF NOT EXISTS t (id INTEGER, extra TEXT)")
    outcome = run(project, postgres_url)
    assert (outcome.status, verdict(outcome)) == ("refused", "differ")
    assert outcome.proof is not None
    assert all(path.result == "ok" for path in outcome.proof.paths)
    assert any("extra" in text for text in outcome.proof.conflicts[0].objects)


def test_broken_is_not_blamed_on_merging(project: AlembicProject, postgres_url: str) -> None:
    project.sql("base0001", None, ACCOUNTS)
    project.sql("aaaa0001", "base0001", "ALTER TABLE nowhere ADD COLUMN email TEXT")
    project.sql("bbbb0001", "base0001", "CREATE TABLE t (id INTEGER)")
    outcome = run(project, postgres_url)
    assert (outcome.status, verdict(outcome)) == ("refused", "broken")
    assert outcome.proof is not None
    assert {conflict.revisions for conflict in outcome.proof.conflicts} >= {("aaaa0001", "aaaa0001")}
    assert "merging is not the cause" in outcome.proof.conflicts[0].advice


def test_success_that_never_reaches_the_database_is_noticed(
    project: AlembicProject, postgres_url: str
) -> None:
    """This env.py commits only the ancestor: Alembic exits 0 each time, and the version table tells."""
    two_harmless_heads(project)
    env_py = ENV_PY.replace(
        "        with context.begin_transaction():\n            context.run_migrations()\n\n\n",
        "        context.run_migrations()\n"
        "        if context.get_revision_argument() == 'base0001':\n            connection.commit()\n\n\n",
    )
    assert env_py != ENV_PY
    (project.root / "migrations" / "env.py").write_text(env_py)
    outcome = run(project, postgres_url)
    assert outcome.exit_code == 1
    assert verdict(outcome) == "broken"
    assert outcome.proof is not None
    error = outcome.proof.conflicts[0].error or ""
    assert "the version table says base0001 where aaaa0001 was expected" in error


def test_a_rollback_behind_alembics_back_is_refused(project: AlembicProject, postgres_url: str) -> None:
    two_harmless_heads(project)
    project.revision("bbbb0002", "bbbb0001", "op.get_bind().connection.rollback()")
    outcome = run(project, postgres_url)
    assert (outcome.exit_code, verdict(outcome)) == (1, "broken")


def test_fails_only_at_commit(project: AlembicProject, postgres_url: str) -> None:
    """A deferred constraint fails when the whole upgrade commits, after the last step."""
    project.sql("base0001", None, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "INSERT INTO p VALUES (1)")
    project.sql(
        "aaaa0001",
        "base0001",
        "CREATE TABLE c (p INTEGER REFERENCES p DEFERRABLE INITIALLY DEFERRED)",
        "INSERT INTO c VALUES (1)",
    )
    project.sql("bbbb0001", "base0001", "SET CONSTRAINTS ALL DEFERRED", "DELETE FROM p WHERE false")
    outcome = run(project, postgres_url)
    assert verdict(outcome) == "commute"


def test_a_dry_run_proves_and_writes_nothing(project: AlembicProject, postgres_url: str) -> None:
    outcome = run(two_harmless_heads(project), postgres_url, dry_run=True)
    assert (outcome.status, outcome.exit_code, verdict(outcome)) == ("would-merge", 0, "commute")
    assert outcome.files[0].content.startswith(b'"""')


def test_skipping_validation_is_its_own_verdict(project: AlembicProject) -> None:
    two_harmless_heads(project)
    outcome = converge(Options(cwd=project.root, skip_validation=True), Silent())
    assert (outcome.status, outcome.exit_code, verdict(outcome)) == ("merged", 0, "skipped")


def test_what_changes_for_the_whole_server_is_noted(project: AlembicProject) -> None:
    """In the body of a DO block, where nobody can stop it; it is the same for every order, then."""
    project.sql("base0001", None)
    project.sql(
        "aaaa0001",
        "base0001",
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'reporting') THEN"
        " EXECUTE 'CREATE ' || 'ROLE reporting'; END IF; END $$",
    )
    project.sql("bbbb0001", "base0001", "CREATE TABLE t (id INTEGER)")
    outcome = converge(Options(cwd=project.root, dry_run=True), Silent())
    assert verdict(outcome) == "commute"
    assert outcome.proof is not None
    (note,) = [note for note in outcome.proof.notes if note.kind == "shared-objects"]
    assert "role reporting" in note.message
