"""Which server is chosen, and what is said when it cannot be used."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading

import pytest

from converger.errors import ConfigurationError, ConvergerError, CouldNotEvaluate
from converger.proof import pgconnect
from converger.proof.servers import dialect_of, driver_of, open_server

from .conftest import Site

PLACEHOLDER = "driver://user:pass@localhost/dbname"


@pytest.mark.parametrize(
    ("given", "configured", "dialect"),
    [
        (None, None, "postgresql"),
        (None, PLACEHOLDER, "postgresql"),
        (None, "%(DB_URL)s", "postgresql"),
        (None, "", "postgresql"),
        (None, "${DATABASE_URL}", "postgresql"),
        (None, "sqlite:///app.db", "sqlite"),
        (None, "sqlite+aiosqlite:///app.db", "sqlite"),
        (None, "sqlite://", "sqlite"),
        (None, "postgres://localhost/app", "postgresql"),
        ("postgresql+asyncpg://u:p@h:1/d", "sqlite:///app.db", "postgresql"),
        ("sqlite://", "postgresql://h/d", "sqlite"),
        ("postgresql://h/d", "mysql://h/d", "postgresql"),
        ("mysql+pymysql://u:p@h/d", "postgresql://h/d", "mysql"),
        (None, "mariadb+mariadbconnector://u:p@h/d", "mysql"),
        (None, "mysql+aiomysql://u:p@h/d", "mysql"),
    ],
)
def test_the_dialect_is_the_first_that_is_known(
    given: str | None, configured: str | None, dialect: str
) -> None:
    assert dialect_of(given, configured) == dialect


@pytest.mark.parametrize(
    ("given", "configured", "name"),
    [
        ("db2+ibm_db://u:secret@h/d", None, "Db2"),
        (None, "oracle://u:secret@h/d", "Oracle"),
        (None, "mssql+pyodbc://u:secret@h/d", "SQL Server"),
        ("couchbase://u:secret@h/d", None, "couchbase"),
    ],
)
def test_other_dialects_are_said_to_be_unsupported(
    given: str | None, configured: str | None, name: str
) -> None:
    with pytest.raises(CouldNotEvaluate) as caught:
        open_server(database_url=given, project_url=configured, progress=lambda text: None)
    assert caught.value.code == "unsupported-dialect"
    assert name in caught.value.message and "PostgreSQL, MySQL, MariaDB and SQLite" in caught.value.message
    assert "--skip-validation" in (caught.value.hint or "")
    assert "secret" not in said(caught.value)


@pytest.mark.parametrize(
    ("given", "configured", "driver"),
    [
        (None, None, None),
        (None, PLACEHOLDER, None),
        (None, "postgresql+asyncpg://h/d", "asyncpg"),
        (None, "postgresql://h/d", None),
        ("postgresql+psycopg://h/d", "postgresql+asyncpg://h/d", "asyncpg"),
        ("postgresql+psycopg://h/d", "postgresql://h/d", "psycopg"),
        ("postgresql://h/d", "sqlite+aiosqlite:///x", None),
        ("postgresql+pg8000://h/d", "sqlite+aiosqlite:///x", "pg8000"),
        ("sqlite://", "sqlite+aiosqlite:///x", "aiosqlite"),
        ("mysql+pymysql://h/d", "mariadb+asyncmy://h/d", "asyncmy"),
        ("mysql+pymysql://h/d", "mariadb://h/d", "pymysql"),
        (None, "mysql+aiomysql://h/d", "aiomysql"),
    ],
)
def test_the_driver_is_the_projects_where_it_fits(
    given: str | None, configured: str | None, driver: str | None
) -> None:
    assert driver_of(given, configured) == driver


def said(error: ConvergerError) -> str:
    return f"{error.message} {error.hint} {error!r} {error.__context__!r}"


def failure(database_url: str) -> CouldNotEvaluate:
    with pytest.raises(CouldNotEvaluate) as caught:
        open_server(database_url=database_url, project_url=None, progress=lambda text: None)
    assert caught.value.exit_code == 3
    assert caught.value.__context__ is None or caught.value.__suppress_context__
    return caught.value


def test_a_wrong_password_is_said_and_not_shown(site: Site) -> None:
    error = failure(site.address(password="wr@ng/s3cret"))
    assert error.code == "authentication-failed"
    assert "wr@ng" not in error.message and "s3cret" not in error.message + str(error.hint)
    assert "127.0.0.1" in error.message


@pytest.mark.parametrize("change", [{"user": "nobody_here"}, {"password": None}])
def test_an_unknown_user_or_a_missing_password(
    site: Site, change: dict[str, None], monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("PGPASSFILE", f"{tmp_path}/none")
    assert failure(site.address(**change)).code == "authentication-failed"


def test_a_role_without_createdb(site: Site) -> None:
    error = failure(site.address(user="plain", password="plain"))
    assert error.code == "missing-privilege"
    assert 'ALTER ROLE "plain" CREATEDB' in str(error.hint)


def test_a_maintenance_database_that_does_not_exist_is_no_obstacle(site: Site) -> None:
    with site.open(database="not_there") as server:
        assert server.query(server.create(), "SELECT 1") == [(1,)]
    assert "not_there" not in site.databases()


@pytest.mark.parametrize("actions", [False, True])
def test_a_closed_port(actions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr("os.path.exists", lambda path: False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if actions:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
    error = failure(f"postgresql://me:s3cret@localhost:{port}/x")
    assert error.code == "server-unreachable"
    assert "s3cret" not in said(error)
    assert ("label" in str(error.hint)) is actions


def test_a_host_that_does_not_exist() -> None:
    error = failure("postgresql://me:s3cret@no-such-host.invalid/x")
    assert error.code == "server-unreachable"
    assert "s3cret" not in said(error)


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pgconnect.connect, "__kwdefaults__", {"seconds": 2})
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = failure(f"postgresql://me:s3cret@127.0.0.1:{silent.getsockname()[1]}/x")
    assert error.code == "server-unreachable"


def test_a_server_that_is_not_postgresql() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def answer() -> None:
            connection, _ = other.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        error = failure(f"postgresql://me:s3cret@127.0.0.1:{other.getsockname()[1]}/x?sslmode=disable")
        thread.join(10)
    assert error.code == "server-unreachable"


@pytest.mark.parametrize("url", ["postgresql:/me:s3cret@h/d", "s3cret", "postgresql://me:s3cret@h:s3cret/d"])
def test_a_url_that_cannot_be_read_is_a_usage_error(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_server(database_url=url, project_url=None, progress=lambda text: None)
    assert caught.value.code == "bad-database-url"
    assert "s3cret" not in said(caught.value)


def test_choosing_imports_neither_sqlalchemy_nor_a_driver() -> None:
    code = (
        "import json, sys\nfrom converger.proof import servers\nservers.dialect_of(None, 'sqlite://')\n"
        "print(json.dumps([m for m in ('sqlalchemy', 'alembic', 'psycopg', 'pymysql', 'rich', 'sqlite3') if m in sys.modules]))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout) == []
