"""The whole use case on MySQL and MariaDB: a project with pymysql, unedited, on a server of ours and on a named one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import AlembicProject

from .conftest import MysqlSite

PRODUCTION = "mysql+pymysql://app:secret@production.invalid/app"


def run(project: AlembicProject, **changes: object) -> Outcome:
    before = project.digest()
    outcome = converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]
    after = project.digest()
    assert {name: after[name] for name in before} == before
    return outcome


def accounts(project: AlembicProject) -> None:
    project.revision(
        "base0001",
        None,
        """
        op.create_table(
            "accounts",
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("name", sa.String(30), nullable=False, server_default="x"),
        )
        op.execute("INSERT INTO accounts (name) VALUES ('one'), ('two')")
        """,
    )


@pytest.mark.parametrize("dialect", ["mysql", "mariadb"])
def test_branches_that_commute_are_merged(tmp_path: Path, dialect: str) -> None:
    project = AlembicProject(tmp_path, url=PRODUCTION.replace("mysql+", f"{dialect}+"))
    accounts(project)
    project.revision("aaaa0001", "base0001", 'op.add_column("accounts", sa.Column("email", sa.String(50)))')
    project.revision(
        "bbbb0001",
        "base0001",
        """
        op.create_table("orders", sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("account", sa.Integer, sa.ForeignKey("accounts.id")))
        op.create_index("by_account", "orders", ["account"])
        """,
    )
    outcome = run(project)
    assert outcome.status == "merged", outcome.reason or outcome.proof
    assert outcome.proof is not None
    assert (outcome.proof.verdict, outcome.proof.dialect) == ("commute", "mysql")
    assert outcome.proof.server_version is not None
    assert all(path.result == "ok" for path in outcome.proof.paths)


def test_on_a_named_server_an_order_that_breaks_is_found(tmp_path: Path, mysql_site: MysqlSite) -> None:
    """The first statement of the revision that fails is committed by then: there is no way back on MySQL."""
    project = AlembicProject(tmp_path, url=PRODUCTION)
    accounts(project)
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts DROP COLUMN name")
    project.sql(
        "bbbb0001",
        "base0001",
        "CREATE TABLE names (name VARCHAR(30))",
        "INSERT INTO names SELECT name FROM accounts",
    )
    outcome = run(project, database_url=mysql_site.address(user="maker", password="m@k:e/r%"))
    assert (outcome.status, outcome.exit_code) == ("refused", 1), outcome.reason
    assert outcome.proof is not None and outcome.proof.verdict == "one-order"
    (conflict,) = {(c.revisions, c.statement) for c in outcome.proof.conflicts}
    assert conflict == (("aaaa0001", "bbbb0001"), "INSERT INTO names SELECT name FROM accounts")
    assert "Unknown column" in (outcome.proof.conflicts[0].error or "")
    assert mysql_site.ours() == set()


@pytest.fixture
def production_too(mysql_site: MysqlSite) -> Iterator[Callable[[], object]]:
    """What somebody keeps on the same server; called, it gives what is in it."""
    mysql_site.run(
        "CREATE DATABASE prod", "CREATE TABLE prod.users (id INT)", "INSERT INTO prod.users VALUES (1)"
    )
    yield lambda: (mysql_site.run("SHOW CREATE TABLE prod.users"), mysql_site.run("SELECT * FROM prod.users"))
    mysql_site.run("DROP DATABASE prod")


@pytest.mark.parametrize(
    "statement",
    ["UPDATE prod.users SET id = 2", "DROP TABLE prod.users", "CREATE TABLE prod.mine (id INT)"],
)
@pytest.mark.parametrize("where", ["in a branch", "in both", "below the ancestor"])
def test_a_migration_that_names_another_database_is_no_conflict(
    tmp_path: Path,
    mysql_site: MysqlSite,
    production_too: Callable[[], object],
    statement: str,
    where: str,
) -> None:
    before = production_too()
    project = AlembicProject(tmp_path, url=PRODUCTION)
    accounts(project)
    harmless = "CREATE TABLE more (id INT)"
    project.sql("base0002", "base0001", statement if where == "below the ancestor" else "SELECT 1")
    project.sql("aaaa0001", "base0002", harmless if where == "below the ancestor" else statement)
    project.sql("bbbb0001", "base0002", statement if where == "in both" else "SELECT 2")
    outcome = run(project, database_url=mysql_site.address())
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3), outcome.proof
    assert outcome.reason is not None and outcome.reason.code == "foreign-database", outcome.reason
    assert "denied" in outcome.reason.message
    assert re.match(r"migrations/versions/\w+\.py:\d+: ", outcome.reason.message)
    assert production_too() == before
    assert mysql_site.ours() == set()


def test_what_takes_another_privilege_is_no_conflict(tmp_path: Path, mysql_site: MysqlSite) -> None:
    project = AlembicProject(tmp_path, url=PRODUCTION)
    accounts(project)
    project.sql("aaaa0001", "base0001", "SET GLOBAL max_connections = 100")
    project.sql("bbbb0001", "base0001", "SELECT 1")
    outcome = run(project, database_url=mysql_site.address())
    assert (outcome.exit_code, outcome.reason and outcome.reason.code) == (3, "missing-privilege")


def test_that_migrations_may_reach_other_databases_is_in_the_proof(
    tmp_path: Path, mysql_site: MysqlSite
) -> None:
    project = AlembicProject(tmp_path, url=PRODUCTION)
    accounts(project)
    project.sql("aaaa0001", "base0001", "CREATE TABLE a (id INT)")
    project.sql("bbbb0001", "base0001", "CREATE TABLE b (id INT)")
    for user, password, expected in (("limited", "limited", 1), ("maker", "m@k:e/r%", 0)):
        outcome = run(project, database_url=mysql_site.address(user=user, password=password), dry_run=True)
        assert outcome.proof is not None and outcome.proof.verdict == "commute", outcome.reason
        notes = [note.message for note in outcome.proof.notes if note.kind == "not-isolated"]
        assert len(notes) == expected
        assert all("run as limited, who may reach other databases" in note for note in notes)
