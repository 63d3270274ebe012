"""Which server a proof runs on: the dialect, and then the one named to us or one of our own."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError, CouldNotEvaluate
from converger.proof.urls import DatabaseUrl, parse_url

if TYPE_CHECKING:
    from converger.proof.scratch import Server

SUPPORTED = ("postgresql", "sqlite")
UNSUPPORTED = {
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "oracle": "Oracle",
    "mssql": "SQL Server",
    "cockroachdb": "CockroachDB",
    "redshift": "Redshift",
    "snowflake": "Snowflake",
    "bigquery": "BigQuery",
    "clickhouse": "ClickHouse",
    "duckdb": "DuckDB",
    "db2": "Db2",
    "ibm_db_sa": "Db2",
    "firebird": "Firebird",
    "databricks": "Databricks",
    "trino": "Trino",
    "teradatasql": "Teradata",
    "hana": "SAP HANA",
}


def open_server(
    *, database_url: str | None, project_url: str | None, progress: Callable[[str], None]
) -> Server:
    """The server for scratch databases, ready to use; `close` it.

    `database_url` is `--database-url`, `project_url` the configured `sqlalchemy.url`; without either the
    dialect is PostgreSQL. Raises ConfigurationError `bad-database-url` and CouldNotEvaluate:
    `unsupported-dialect`, `no-postgresql`, `postgresql-failed`, `server-unreachable`,
    `authentication-failed`, `missing-privilege`, `unsupported-server`, `server-refused`.
    """
    given = _given(database_url)
    dialect = dialect_of(database_url, project_url)
    if dialect == "sqlite":
        from converger.proof.sqlite import SqliteServer

        return SqliteServer()

    if given:
        from converger.proof.postgres import PostgresServer

        return PostgresServer(given, progress=progress)

    from converger.proof.embedded import start_postgres

    # psycopg takes 0.2 s to import: that is done while the server starts.
    threading.Thread(target=importlib.import_module, args=("converger.proof.postgres",)).start()
    embedded = start_postgres(progress)
    try:
        from converger.proof.postgres import PostgresServer

        return PostgresServer(embedded.url, progress=progress, stop=embedded.stop)
    except BaseException:
        embedded.stop()
        raise


def dialect_of(database_url: str | None, project_url: str | None) -> str:
    """The dialect of the proof. Raises as `open_server` does for URLs and dialects; opens nothing."""
    given = _given(database_url)
    configured = _configured(project_url)
    dialect = given.dialect if given else configured.dialect if configured else "postgresql"
    if dialect not in SUPPORTED:
        raise _unsupported(dialect, "--database-url" if given else "sqlalchemy.url")
    return dialect


def driver_of(database_url: str | None, project_url: str | None) -> str | None:
    """The driver that the project should use, or None for SQLAlchemy's own choice.

    The project's, if its URL names one for the dialect of the proof; else that of `--database-url`.
    """
    given = _given(database_url)
    configured = _configured(project_url)
    if configured and configured.driver and (given is None or given.dialect == configured.dialect):
        return configured.driver
    return given.driver if given else None


def _given(text: str | None) -> DatabaseUrl | None:
    if not text:
        return None
    try:
        url = parse_url(text)
    except ValueError as error:
        raise ConfigurationError(
            f"--database-url cannot be read: {error}",
            code="bad-database-url",
            hint="Write it as postgresql://user:password@host:5432/postgres,"
            " with special characters percent-encoded.",
        ) from None
    if url.dialect not in SUPPORTED and url.dialect not in UNSUPPORTED:
        raise _unsupported(url.dialect, "--database-url")
    return url


def _configured(text: str | None) -> DatabaseUrl | None:
    """The project's URL, if it is one. Many projects configure a placeholder and set the URL in env.py."""
    try:
        url = parse_url(text or "")
    except ValueError:
        return None
    return url if url.dialect in SUPPORTED or url.dialect in UNSUPPORTED else None


def _unsupported(dialect: str, source: str) -> CouldNotEvaluate:
    name = UNSUPPORTED.get(dialect, dialect)
    return CouldNotEvaluate(
        f"{source} names {name}; merges are proven on PostgreSQL and SQLite only.",
        code="unsupported-dialect",
        hint="If the migrations also run on PostgreSQL, name a server with --database-url postgresql://…;"
        " otherwise --skip-validation writes the merges without a proof.",
    )
