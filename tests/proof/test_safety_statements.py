"""Which statements reach beyond the database that they are sent to, and which only look like it."""

from __future__ import annotations

import pytest

from converger.proof.inside.databases import Databases
from converger.proof.inside.statements import changes_server, connects_elsewhere

OURS = "converger_0123456789abcdef"


def databases(dialect: str = "postgresql") -> Databases:
    return Databases(
        {"dialect": dialect, "mark_query": "", "databases": [{"name": OURS, "urls": {}, "mark": "m"}]}
    )


@pytest.mark.parametrize(
    ("statement", "by"),
    [
        ("COPY t TO PROGRAM 'psql production'", "COPY"),
        ("copy (select 1)\n  to\n program 'sh'", "copy"),
        ("SELECT 1; COPY t FROM PROGRAM 'curl'", "COPY"),
        ("DO $$ BEGIN EXECUTE 'COPY t TO PROGRAM ''sh'''; END $$", "COPY"),
        ("-- a comment\nCOPY t TO PROGRAM 'sh'", "COPY"),
        ("/* a */ CREATE SUBSCRIPTION s CONNECTION 'host=h' PUBLICATION p", "CREATE SUBSCRIPTION"),
        ("IMPORT FOREIGN SCHEMA public FROM SERVER s INTO x", "IMPORT FOREIGN SCHEMA"),
        ("SELECT * FROM dblink('dbname=production', 'DELETE FROM t') AS t(x int)", "dblink"),
        ("INSERT INTO t SELECT * FROM public.dblink_exec ('c', 'x')", "dblink_exec"),
        ("SELECT dblink_connect_u('c', 'dbname=x')", "dblink_connect_u"),
        ("CREATE MATERIALIZED VIEW m AS SELECT * FROM dblink('a', 'b') AS t(x int)", "dblink"),
        ("CREATE EXTENSION dblink; SELECT dblink_exec('dbname=x', 'y')", "dblink_exec"),
        ("DROP TABLE t;\nSELECT dblink('dbname=x', 'y')", "dblink"),
        (
            "CREATE FUNCTION f() RETURNS int AS $a$ SELECT 1; $a$ LANGUAGE sql; SELECT dblink('x', 'y')",
            "dblink",
        ),
        ("DO $$ BEGIN PERFORM dblink_connect('dbname=x'); END $$", "dblink_connect"),
        ("CREATE TABLE t (id INT) ENGINE=FEDERATED CONNECTION='mysql://u@h/d/t'", "FEDERATED"),
        ("CREATE TABLE t (id INT)\nCOMMENT='x' ENGINE = CONNECT table_type=mysql", "CONNECT"),
    ],
)
def test_what_makes_the_server_connect_elsewhere(statement: str, by: str) -> None:
    assert connects_elsewhere(statement) == by


@pytest.mark.parametrize(
    "statement",
    [
        "COPY t FROM STDIN",
        "COPY t TO '/tmp/program'",
        "INSERT INTO t VALUES ('copy it to program x')",
        "CREATE EXTENSION dblink",
        "CREATE OR REPLACE FUNCTION f() RETURNS void AS $$ SELECT dblink_connect('x') $$ LANGUAGE sql",
        "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $x$ BEGIN a; PERFORM dblink('x', $$y$$); END $x$; SELECT 1",
        "CREATE FUNCTION f() RETURNS void AS 'SELECT 1; SELECT dblink(''x'')' LANGUAGE sql",
        "CREATE VIEW v AS SELECT * FROM dblink('a', 'b') AS t(x int)",
        "GRANT EXECUTE ON FUNCTION dblink(text) TO x",
        "DROP FUNCTION dblink(text)",
        "SELECT dblink FROM t",
        "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'h')",
        "CREATE TABLE t (engine TEXT, connect INTEGER)",
        "CREATE TABLE t (id INT) ENGINE=InnoDB",
    ],
)
def test_what_does_not(statement: str) -> None:
    assert connects_elsewhere(statement) is None


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE r",
        "  \n drop user u",
        "ALTER USER u PASSWORD 'x'",
        "CREATE TABLE t (id INTEGER); CREATE ROLE r",
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1) THEN CREATE ROLE r; END IF; END $$",
        "DO $$ BEGIN EXECUTE format('CREATE ROLE %I', 'x'); END $$",
        "DROP DATABASE production",
        "CREATE DATABASE other",
        "ALTER SYSTEM SET fsync = off",
        "CREATE TABLESPACE s LOCATION '/x'",
        "GRANT reader TO app",
        'GRANT "the reader", writer TO app WITH ADMIN OPTION',
        "REVOKE reader FROM app",
        "COMMENT ON ROLE r IS 'x'",
        "ALTER DATABASE production SET timezone = 'UTC'",
        'alter database "Production" rename to x',
        "COMMENT ON DATABASE production IS 'x'",
        "GRANT CONNECT ON DATABASE production TO r",
        "REVOKE ALL PRIVILEGES ON DATABASE production FROM PUBLIC",
        "ALTER ROLE r IN DATABASE production SET search_path = x",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'production'",
    ],
)
def test_what_changes_the_server_or_another_database(statement: str) -> None:
    assert changes_server(statement, databases())


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO t VALUES ('create user'), ('drop role')",
        "INSERT INTO mails VALUES ('Dear user,\ngrant access to your account,\nalter role and so on')",
        "GRANT SELECT ON t TO r",
        "GRANT USAGE ON SCHEMA s TO r",
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO r",
        "REVOKE ALL ON FUNCTION f() FROM PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO r",
        "CREATE USER MAPPING FOR u SERVER s",
        f"ALTER DATABASE {OURS} SET timezone = 'UTC'",
        f"COMMENT ON DATABASE \"{OURS}\" IS 'x'",
        f"ALTER ROLE r IN DATABASE {OURS} SET search_path = x",
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET timezone TO ''UTC''', current_database()); END $$",
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || quote_ident(current_database()) || ' SET a = b'; END $$",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()",
        "CREATE TABLE role (id INTEGER)",
        "ALTER TABLE users ADD COLUMN role TEXT",
    ],
)
def test_what_changes_nothing_of_theirs(statement: str) -> None:
    assert not changes_server(statement, databases())


def test_a_database_of_mysql_may_be_named() -> None:
    """There the account of the run decides; and a name may be left out."""
    assert not changes_server("ALTER DATABASE CHARACTER SET utf8mb4", databases("mysql"))
    assert changes_server("CREATE USER u", databases("mysql"))
