"""Where a history starts from what the application makes: `--prepare` and `--base-sql`, through the whole use case."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject

from .conftest import Production
from .running import commutes, refused, unevaluated

CREATE = """\
import sys
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, text

metadata = MetaData()
Table("customers", metadata, Column("id", Integer, primary_key=True), Column("name", String(50)))

def main(revision=None):
    engine = create_engine({url!r})
    metadata.create_all(engine)
    if revision:
        with engine.begin() as connection:
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {{"revision": revision}})

if __name__ == "__main__":
    main(*sys.argv[1:])
"""

SCHEMA = "CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(50));\n"
VERSION = "CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);\n"


@pytest.fixture
def project(tmp_path: Path, production: Production) -> AlembicProject:
    """Its base revision expects a table that the application's `create_all` makes."""
    project = AlembicProject(tmp_path / "p", url=production.url())
    project.sql("base0001", None, "ALTER TABLE customers ADD COLUMN email VARCHAR(50)")
    project.sql("fork0001", "base0001", "CREATE TABLE orders (id INTEGER)")
    project.sql("aaaa0001", "fork0001", "ALTER TABLE customers ADD COLUMN phone VARCHAR(50)")
    project.sql("bbbb0001", "fork0001", "ALTER TABLE orders ADD COLUMN customer INTEGER")
    (project.root / "shop").mkdir()
    (project.root / "shop" / "create.py").write_text(CREATE.format(url=production.url("psycopg2")))
    return project


@pytest.fixture
def on_sqlite(project: AlembicProject) -> AlembicProject:
    """The same for what does not depend on the server: there a state is a file, and cheap to copy."""
    (project.root / "shop" / "create.py").write_text(CREATE.format(url="sqlite:///production.db"))
    return project


def dump(project: AlembicProject, *lines: str) -> Path:
    path = project.root / "dump.sql"
    path.write_text("".join(lines))
    return path


def at(revision: str) -> str:
    return f"{VERSION}INSERT INTO alembic_version VALUES ('{revision}');\n"


def test_without_either_both_are_named(project: AlembicProject, postgres_url: str) -> None:
    reason = unevaluated(project.root, database_url=postgres_url)
    assert reason.code == "cannot-start-from-empty"
    assert "revision base0001 fails" in reason.message
    assert "--base-sql FILE" in (reason.hint or "")
    assert "--prepare COMMAND" in (reason.hint or "")


# -- --prepare


PREPARE = "python -m shop.create"


@pytest.mark.parametrize(
    "command", [PREPARE, "python -c 'from shop.create import main; main()'"], ids=["module", "code"]
)
def test_create_all_with_a_url_of_its_own(on_sqlite: AlembicProject, command: str) -> None:
    proof = commutes(on_sqlite.root, database_url="sqlite://", prepare=command)
    empty = next(path for path in proof.paths if path.start == ())
    assert empty.order[0] == "base0001", "nothing was applied by the set-up"


def test_a_clash_above_it(project: AlembicProject, postgres_url: str) -> None:
    project.sql("bbbb0001", "fork0001", "ALTER TABLE customers DROP COLUMN name")
    project.sql("aaaa0001", "fork0001", "CREATE INDEX ix_name ON customers (name)")
    proof = refused(project.root, database_url=postgres_url, prepare=PREPARE)
    assert proof.verdict == "one-order"


@pytest.mark.parametrize("revision", ["base0001", "fork0001"])
def test_it_stamps(on_sqlite: AlembicProject, revision: str) -> None:
    """At the ancestor or below: what it says to have applied is not applied again."""
    project = on_sqlite
    project.sql("base0001", None, "CREATE TABLE customers (never INTEGER)")
    if revision == "fork0001":
        project.sql("fork0001", "base0001", "CREATE TABLE customers (never INTEGER)")
        project.sql("bbbb0001", "fork0001", "ALTER TABLE customers ADD COLUMN x INTEGER")
    proof = commutes(project.root, database_url="sqlite://", prepare=f"{PREPARE} {revision}")
    empty = next(path for path in proof.paths if path.start == ())
    assert "base0001" not in empty.order


@pytest.mark.parametrize("revision", ["aaaa0001", "of_nobody"])
def test_it_stamps_too_late(on_sqlite: AlembicProject, revision: str) -> None:
    """What is applied already would be skipped, and never proven."""
    reason = unevaluated(on_sqlite.root, database_url="sqlite://", prepare=f"{PREPARE} {revision}")
    assert reason.code in ("begins-too-late", "env-failed")
    assert revision in reason.message


def test_it_stamps_where_it_is_not(project: AlembicProject, postgres_url: str) -> None:
    """The tables of an older state than the stamp says: the branches then fail, and that is told as theirs."""
    project.sql("bbbb0001", "fork0001", "ALTER TABLE customers DROP COLUMN email")
    proof = refused(project.root, database_url=postgres_url, prepare=f"{PREPARE} base0001")
    assert proof.verdict == "broken"
    assert 'column "email"' in (proof.conflicts[0].error or "")


def test_it_fails(project: AlembicProject, postgres_url: str) -> None:
    reason = unevaluated(project.root, database_url=postgres_url, prepare="python -c 'print(1 / 0)'")
    assert reason.code == "prepare-failed"
    assert "ZeroDivisionError" in reason.message or "division by zero" in reason.message


def test_its_sql_fails(project: AlembicProject, postgres_url: str) -> None:
    """Also where the statement would be a verdict about a branch if it ran there."""
    (project.root / "shop" / "create.py").write_text(
        "from sqlalchemy import create_engine\nwith create_engine('postgresql://x@y.invalid/z').begin() as c:\n"
        "    c.exec_driver_sql('ALTER TABLE nowhere ADD COLUMN x INTEGER')\n"
    )
    reason = unevaluated(project.root, database_url=postgres_url, prepare=PREPARE)
    assert reason.code == "prepare-failed"
    assert "shop/create.py:3: " in reason.message
    assert 'relation "nowhere" does not exist' in reason.message


def test_it_hangs(project: AlembicProject, postgres_url: str) -> None:
    (project.root / "shop" / "create.py").write_text("import time\ntime.sleep(600)\n")
    reason = unevaluated(project.root, database_url=postgres_url, prepare=PREPARE, timeout=2.0)
    assert reason.code == "worker-timeout"
    assert "shop/create.py:2: nothing happened for 2 seconds while --prepare ran" in reason.message


def test_it_is_not_there(project: AlembicProject, postgres_url: str) -> None:
    reason = unevaluated(project.root, database_url=postgres_url, prepare="shop-create-tables")
    assert reason.code == "command-not-found"


def test_it_connects_to_another_dialect(project: AlembicProject, postgres_url: str) -> None:
    reason = unevaluated(
        project.root,
        database_url=postgres_url,
        prepare="python -c \"import sqlite3; sqlite3.connect('production.db')\"",
    )
    assert reason.code == "foreign-connection"
    assert "a sqlite database" in reason.message


def test_with_the_own_command(project: AlembicProject, postgres_url: str) -> None:
    """Each of the two connects to production, by its own settings."""
    proof = commutes(
        project.root, database_url=postgres_url, prepare=PREPARE, command="alembic upgrade {revision}"
    )
    empty = next(path for path in proof.paths if path.start == ())
    assert empty.order[0] == "base0001"


# -- --base-sql


def test_a_dump_without_a_version(project: AlembicProject, postgres_url: str) -> None:
    proof = commutes(project.root, database_url=postgres_url, base_sql=dump(project, SCHEMA))
    empty = next(path for path in proof.paths if path.start == ())
    assert empty.order[0] == "base0001"


def test_a_dump_with_a_version(project: AlembicProject, postgres_url: str) -> None:
    text = dump(project, SCHEMA.replace("name ", "email VARCHAR(50), name "), at("base0001"))
    proof = commutes(project.root, database_url=postgres_url, base_sql=text)
    empty = next(path for path in proof.paths if path.start == ())
    assert empty.order[0] == "fork0001"


@pytest.mark.parametrize("url", ["", "sqlite://"])
def test_a_dump_beyond_the_ancestor(project: AlembicProject, postgres_url: str, url: str) -> None:
    """A dump of production, which has one of the branches already."""
    text = dump(project, SCHEMA, "CREATE TABLE orders (id INTEGER);\n", at("aaaa0001"))
    reason = unevaluated(project.root, database_url=url or postgres_url, base_sql=text)
    assert reason.code == "begins-too-late"
    assert "aaaa0001" in reason.message
    assert "an older dump" in (reason.hint or "")


def test_a_clash_with_what_a_dump_holds(project: AlembicProject, postgres_url: str) -> None:
    """Only with the rows that it has; from empty both orders succeed."""
    project.sql("bbbb0001", "fork0001", "UPDATE customers SET name = NULL")
    project.sql("aaaa0001", "fork0001", "ALTER TABLE customers ALTER COLUMN name SET NOT NULL")
    rows = "INSERT INTO customers VALUES (1, 'x');\n"
    proof = refused(project.root, database_url=postgres_url, base_sql=dump(project, SCHEMA, rows))
    assert proof.verdict == "neither-order"


def test_a_dump_and_then_the_set_up(project: AlembicProject, postgres_url: str) -> None:
    text = dump(project, "CREATE TABLE of_the_dump (id INTEGER);\n")
    project.sql(
        "base0001", None, "INSERT INTO of_the_dump VALUES (1)", "INSERT INTO customers VALUES (1, 'x')"
    )
    commutes(project.root, database_url=postgres_url, base_sql=text, prepare=PREPARE)
