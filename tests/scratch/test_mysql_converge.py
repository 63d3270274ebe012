"""The whole use case on MySQL and MariaDB: a project with pymysql, unedited, on a server of ours and on a named one."""

from __future__ import annotations

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


def test_a_migration_that_names_another_database_cannot_touch_it(
    tmp_path: Path, mysql_site: MysqlSite
) -> None:
    mysql_site.run(
        "CREATE DATABASE prod", "CREATE TABLE prod.users (id INT)", "INSERT INTO prod.users VALUES (1)"
    )
    try:
        project = AlembicProject(tmp_path, url=PRODUCTION)
        accounts(project)
        project.sql("aaaa0001", "base0001", "UPDATE prod.users SET id = 2")
        project.sql("bbbb0001", "base0001", "USE prod", "DROP TABLE users")
        outcome = run(project, database_url=mysql_site.address())
        assert outcome.status != "merged"
        assert mysql_site.run("SELECT * FROM prod.users") == [(1,)]
        assert mysql_site.ours() == set()
    finally:
        mysql_site.run("DROP DATABASE prod")
