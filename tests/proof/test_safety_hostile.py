"""Migrations that try to get past the guard on purpose, and what a server can be told to do."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import AlembicProject, two_harmless_heads
from tests.proof.layers import program_with
from tests.proof.production import PostgresProduction

ATTEMPTS = Path(__file__).with_name("attempts")


@pytest.fixture(scope="module")
def there() -> Iterator[PostgresProduction]:
    """A server that has nothing to do with the run."""
    production = PostgresProduction()
    yield production
    production.stop()


@pytest.fixture(scope="module")
def here() -> Iterator[PostgresProduction]:
    """The server that the user named, on which production is too."""
    production = PostgresProduction()
    yield production
    production.stop()


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


@pytest.fixture(autouse=True)
def clean(here: PostgresProduction, there: PostgresProduction) -> Iterator[None]:
    """What one test could not prevent is not another's failure."""
    yield
    here.clear()
    there.clear()


def run(project: AlembicProject, here: PostgresProduction, **changes: object) -> Outcome:
    options = Options(cwd=project.root, database_url=here.url("postgres"), dry_run=True, **changes)  # type: ignore[arg-type]
    return converge(options, Silent())


def attempts(
    project: AlembicProject,
    here: PostgresProduction,
    there: PostgresProduction,
    tmp_path: Path,
    **changes: object,
) -> dict[str, str]:
    library = tmp_path / "library"
    shutil.copytree(ATTEMPTS, library, ignore=shutil.ignore_patterns("__pycache__"))
    found = tmp_path / "found.json"
    production = {name: getattr(there, name) for name in ("host", "port", "user", "password")}
    project.revision(
        "base0001",
        None,
        "import os\nif not os.path.exists(os.environ['ATTEMPTS']):\n    import hostile_postgresql\n"
        "    hostile_postgresql.run(op.get_bind().connection.dbapi_connection)\n"
        "op.execute('CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50))')",
    )
    env = {
        "PYTHONPATH": str(library),
        "PRODUCTION": json.dumps({**production, "here": "production"}),
        "ATTEMPTS": str(found),
    }
    here.forget()
    there.forget()
    run(project, here, env=env, **changes)
    return dict(json.loads(found.read_text()))


def test_without_any_guard_the_attempts_succeed(
    project: AlembicProject,
    here: PostgresProduction,
    there: PostgresProduction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All but one: a connection for replication needs a server that is set up for it."""
    monkeypatch.setattr("converger.proof.bench.packed", program_with)
    found = attempts(project, here, there, tmp_path, allow_network=True)
    for place, production in (("here", here), ("there", there)):
        made = set(re.findall(r"CREATE TABLE public.reached_(\w+)", production.content_now()))
        assert {name for name in found if name.endswith(f"_{place}")} - made == {
            f"own_socket_{place}",
            f"replication_class_{place}",
        }
        assert found[f"own_socket_{place}"] == "production"
        assert "max_wal_senders" in found[f"replication_class_{place}"]


def test_none_of_them_gets_out(
    project: AlembicProject, here: PostgresProduction, there: PostgresProduction, tmp_path: Path
) -> None:
    found = attempts(project, here, there, tmp_path)
    assert len(found) == 34
    assert "production" not in " ".join(found.values()).replace('database "production"', "")
    assert there.visits() == 0
    assert not there.changed()
    assert here.entered() == 0
    assert not here.changed()


def test_nor_without_the_guards_inside_the_process(
    project: AlembicProject,
    here: PostgresProduction,
    there: PostgresProduction,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is left are the network cut and the socket: they hold for code that takes all else off."""
    monkeypatch.setattr("converger.proof.bench.packed", lambda: program_with("do_connect"))
    found = attempts(project, here, there, tmp_path)
    assert len(found) == 34
    assert there.visits() == 0
    assert here.entered() == 0
    assert not here.changed()


# -- what a server can be told to do


def tell(project: AlembicProject, here: PostgresProduction, *statements: str) -> Outcome:
    project.sql("bbbb0001", "base0001", *statements)
    here.forget()
    outcome = run(project, here)
    assert here.entered() == 0
    assert not here.changed()
    return outcome


@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'psql {there} -c \"CREATE TABLE reached (id INTEGER)\"'",
        "CREATE EXTENSION dblink; SELECT dblink_exec('{there}', 'CREATE TABLE reached (id INTEGER)')",
        "CREATE EXTENSION dblink; SELECT dblink_exec('{here}', 'CREATE TABLE reached (id INTEGER)')",
    ],
    ids=["program", "dblink_there", "dblink_here"],
)
def test_a_server_is_not_told_to_connect_elsewhere(
    project: AlembicProject, here: PostgresProduction, there: PostgresProduction, statement: str
) -> None:
    there.forget()
    outcome = tell(project, here, statement.format(here=here.url(), there=there.url()).replace(":", "\\:"))
    assert outcome.reason is not None
    assert outcome.reason.code == "foreign-connection", outcome.reason
    assert "by the server itself" in outcome.reason.message
    assert there.visits() == 0
    assert not there.changed()


def test_a_shared_server_is_not_changed(project: AlembicProject, here: PostgresProduction) -> None:
    """One run for all: the first statement stops the revision, so each is tried and its refusal put aside."""
    statements = [
        "ALTER SYSTEM SET work_mem = '5MB'",
        "DROP DATABASE production",
        "ALTER DATABASE production RENAME TO gone",
        "ALTER DATABASE production SET timezone = 'UTC'",
        "COMMENT ON DATABASE production IS 'was here'",
        "REVOKE CONNECT ON DATABASE production FROM PUBLIC",
        "CREATE ROLE intruder SUPERUSER",
        "ALTER ROLE postgres IN DATABASE production SET timezone = 'UTC'",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'production'",
    ]
    project.revision(
        "bbbb0001",
        "base0001",
        f"for statement in {statements!r}:\n"
        "    try:\n        op.execute(statement)\n"
        "    except BaseException as error:\n        print(type(error).__name__, flush=True)\n"
        "raise RuntimeError('done')",
    )
    here.forget()
    with psycopg.connect(here.url()) as visitor:
        outcome = run(project, here)
        assert visitor.execute("SELECT 1").fetchone() == (1,)
    assert not here.changed()
    assert outcome.reason is not None
    assert outcome.reason.code == "server-refused"
    assert "belong to the whole server" in outcome.reason.message


def test_a_migration_may_comment_on_its_database(project: AlembicProject, here: PostgresProduction) -> None:
    """The comment is how the next run knows a leftover; this run knows its databases by what cannot be changed."""
    comment = "EXECUTE format('COMMENT ON DATABASE %I IS %L', current_database(), 'the shop')"
    project.sql("bbbb0001", "base0001", f"DO $$ BEGIN {comment}; END $$")
    project.sql("bbbb0002", "bbbb0001", "CREATE TABLE after_it (id INTEGER)")
    here.forget()
    outcome = run(project, here)
    assert outcome.status == "would-merge", outcome.reason
    assert not here.changed()  # nor is a scratch database left
