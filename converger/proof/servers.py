"""Which server a proof runs on: the dialect, and then the one named to us or one of our own."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError, CouldNotEvaluate
from converger.proof.urls import MYSQL_FAMILY, DatabaseUrl, parse_url

if TYPE_CHECKING:
    from converger.proof.scratch import Server

SUPPORTED = ("postgresql", "sqlite", "mysql")
UNSUPPORTED = {
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
    `unsupported-dialect`, `no-postgresql`, `postgresql-failed`, `no-mariadb`, `mariadb-failed`,
    `no-mysql-driver`, `server-unreachable`, `authentication-failed`, `missing-privilege`,
    `unsupported-server`, `server-refused`.
    """
    given = _given(database_url)
    dialect = dialect_of(database_url, project_url)
    if dialect == "sqlite":
        from converger.proof.sqlite import SqliteServer

        return SqliteServer()

    if dialect == "mysql":
        return _open_mysql(given, _configured(project_url), progress)

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
    """The dialect of the proof; `mysql` stands for MariaDB too.

    Raises as `open_server` does for URLs and dialects; opens nothing.
    """
    given = _given(database_url)
    configured = _configured(project_url)
    dialect = _family(given or configured) or "postgresql"
    if dialect not in SUPPORTED:
        raise _unsupported(dialect, "--database-url" if given else "sqlalchemy.url")
    return dialect


def check_one_dialect(database_url: str | None, project_urls: Mapping[str, str | None]) -> None:
    """Raise CouldNotEvaluate `several-dialects` where a project has databases of several, and none was chosen.

    `project_urls` are the configured URLs of a project with several databases, by section.
    """
    if _given(database_url):
        return
    found = {section: _configured(url) for section, url in project_urls.items()}
    known = {section: url.dialect for section, url in found.items() if url is not None}
    if len({_family(url) for url in found.values() if url is not None}) > 1:
        names = ", ".join(f"{section}: {dialect}" for section, dialect in known.items())
        raise CouldNotEvaluate(
            f"the project's databases are of several dialects ({names}), and a proof runs on one server.",
            code="several-dialects",
            hint="If the migrations of all run on one of them, name a server of it with --database-url;"
            " otherwise --skip-validation writes the merges without a proof.",
        )


def driver_of(database_url: str | None, project_url: str | None) -> str | None:
    """The driver that the project should use, or None for SQLAlchemy's own choice.

    The project's, if its URL names one for the dialect of the proof; else that of `--database-url`.
    """
    given = _given(database_url)
    configured = _configured(project_url)
    if configured and configured.driver and (given is None or _family(given) == _family(configured)):
        return configured.driver
    return given.driver if given else None


def _open_mysql(
    given: DatabaseUrl | None, configured: DatabaseUrl | None, progress: Callable[[str], None]
) -> Server:
    if importlib.util.find_spec("pymysql") is None:
        raise CouldNotEvaluate(
            "PyMySQL, with which we speak to MySQL and MariaDB, is not installed.",
            code="no-mysql-driver",
            hint="Run pip install 'alembic-converger[mysql]'.",
        )
    # SQLAlchemy insists on MariaDB where a URL says mariadb: what the project says stays.
    names = [url.dialect for url in (configured, given) if url is not None and _family(url) == "mysql"]
    if given:
        from converger.proof.mysql import MysqlServer

        return MysqlServer(replace(given, dialect=names[0]), progress=progress)

    from converger.proof.embedded_mariadb import start_mariadb

    threading.Thread(target=importlib.import_module, args=("converger.proof.mysql",)).start()
    embedded = start_mariadb(progress, prefer=names[0])
    try:
        from converger.proof.mysql import MysqlServer

        return MysqlServer(replace(embedded.url, dialect=names[0]), progress=progress, stop=embedded.stop)
    except BaseException:
        embedded.stop()
        raise


def _family(url: DatabaseUrl | None) -> str | None:
    """The dialect, with `mysql` for MariaDB too."""
    return "mysql" if url and url.dialect in MYSQL_FAMILY else url.dialect if url else None


def _known(url: DatabaseUrl) -> bool:
    return _family(url) in SUPPORTED or url.dialect in UNSUPPORTED


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
    if not _known(url):
        raise _unsupported(url.dialect, "--database-url")
    return url


def _configured(text: str | None) -> DatabaseUrl | None:
    """The project's URL, if it is one. Many projects configure a placeholder and set the URL in env.py."""
    try:
        url = parse_url(text or "")
    except ValueError:
        return None
    return url if _known(url) else None


def _unsupported(dialect: str, source: str) -> CouldNotEvaluate:
    name = UNSUPPORTED.get(dialect, dialect)
    return CouldNotEvaluate(
        f"{source} names {name}; merges are proven on PostgreSQL, MySQL, MariaDB and SQLite only.",
        code="unsupported-dialect",
        hint="If the migrations also run on one of these, name a server with --database-url postgresql://…;"
        " otherwise --skip-validation writes the merges without a proof.",
    )
