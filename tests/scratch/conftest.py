"""Servers for these tests: real ones, started here, and thrown away."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pymysql
import pytest

from converger.proof import mysqlconnect
from converger.proof.embedded import EmbeddedPostgres, find_binaries, start_postgres
from converger.proof.embedded_mariadb import EmbeddedMysql, start_mariadb
from converger.proof.mysql import MysqlServer
from converger.proof.pgconnect import connect
from converger.proof.postgres import PostgresServer
from converger.proof.scratch import Row, Server
from converger.proof.servers import open_server
from converger.proof.sqlite import SqliteServer
from converger.proof.urls import DatabaseUrl, format_url


class Site:
    """A server that somebody else runs and that we are only told the address of."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url

    def address(self, **changes: object) -> str:
        return format_url(replace(self.url, **changes))  # type: ignore[arg-type]

    def run(self, sql: str, database: str = "postgres") -> list[Row]:
        with connect(self.url, database) as connection:
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    def databases(self) -> set[str]:
        return {row[0] for row in self.run("SELECT datname FROM pg_database")}

    def scratch_databases(self) -> set[str]:
        return {name for name in self.databases() if name.startswith("converger_")}

    def open(self, progress: Callable[[str], None] = lambda text: None, **changes: object) -> PostgresServer:
        server = open_server(database_url=self.address(**changes), project_url=None, progress=progress)
        assert isinstance(server, PostgresServer)
        return server


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    embedded = start_postgres(lambda text: None)
    site = Site(embedded.url)
    site.run("CREATE ROLE plain LOGIN PASSWORD 'plain'")
    site.run("CREATE ROLE maker LOGIN CREATEDB PASSWORD 'm@k:e/r%'")
    yield site
    embedded.stop()


class MysqlSite:
    """A MySQL or MariaDB server that somebody else runs and that we are only told the address of."""

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url

    def address(self, **changes: object) -> str:
        return format_url(replace(self.url, **changes))  # type: ignore[arg-type]

    def run(self, *statements: str, database: str | None = None) -> list[Row]:
        connection = mysqlconnect.connect(self.url, database)
        try:
            return [mysqlconnect.rows(connection, sql) for sql in statements][-1]
        finally:
            connection.close()

    def databases(self) -> set[str]:
        return {row[0] for row in self.run("SHOW DATABASES")}

    def ours(self) -> set[str]:
        """Everything on the server that our name is on: databases and accounts."""
        accounts = self.run("SELECT user FROM mysql.user WHERE user LIKE 'converger\\_%'")
        return {name for name in self.databases() if name.startswith("converger_")} | {
            f"account {row[0]}" for row in accounts
        }

    def open(self, progress: Callable[[str], None] = lambda text: None, **changes: object) -> MysqlServer:
        server = open_server(database_url=self.address(**changes), project_url=None, progress=progress)
        assert isinstance(server, MysqlServer)
        return server


@pytest.fixture(scope="session")
def mysql_embedded() -> Iterator[EmbeddedMysql]:
    embedded = start_mariadb(lambda text: None)
    yield embedded
    embedded.stop()


@pytest.fixture(scope="session")
def mysql_site() -> Iterator[MysqlSite]:
    embedded = start_mariadb(lambda text: None)
    try:
        site = MysqlSite(embedded.url)
        for name, password in (("plain", "plain"), ("maker", "m@k:e/r%"), ("limited", "limited")):
            site.run(f"CREATE USER {name}@'%' IDENTIFIED BY '{password}'")
        site.run(r"GRANT ALL ON `converger\_%`.* TO maker@'%' WITH GRANT OPTION")
        site.run("GRANT CREATE USER ON *.* TO maker@'%'")
        site.run(r"GRANT ALL ON `converger\_%`.* TO limited@'%'")
        yield site
    finally:
        embedded.stop()


@pytest.fixture(
    params=[f"embedded {binaries.version}" for binaries in find_binaries()]
    + ["site", "sqlite", "mysql", "mysql site"]
)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Every kind of server there is on this machine, one after the other."""
    kind = request.param
    with pytest.MonkeyPatch.context():
        if kind == "sqlite":
            opened: Server = SqliteServer()
        elif kind == "mysql":
            embedded = request.getfixturevalue("mysql_embedded")
            opened = MysqlServer(embedded.url, progress=lambda text: None, stop=lambda: None)
        elif kind == "mysql site":
            opened = request.getfixturevalue("mysql_site").open(user="maker", password="m@k:e/r%")
        elif kind == "site":
            opened = request.getfixturevalue("site").open(user="maker", password="m@k:e/r%")
        else:
            embedded = request.getfixturevalue("embedded_servers")[kind.split()[1]]
            opened = PostgresServer(embedded.url, progress=lambda text: None, stop=lambda: None)
        with opened:
            yield opened


@pytest.fixture(scope="session")
def embedded_servers() -> Iterator[dict[str, EmbeddedPostgres]]:
    servers = {
        binaries.version: EmbeddedPostgres(binaries, progress=lambda text: None)
        for binaries in find_binaries()
    }
    yield servers
    for server in servers.values():
        server.stop()


Write = Callable[..., None]


@pytest.fixture
def write() -> Write:
    """Run statements on a scratch database as the project would: over its own URL."""

    def run(server: Server, scratch: object, *statements: str) -> None:
        import sqlalchemy

        driver = {"postgresql": "psycopg", "mysql": "pymysql"}.get(server.dialect)
        engine = sqlalchemy.create_engine(
            server.url(scratch, driver),  # type: ignore[arg-type]
            poolclass=sqlalchemy.pool.NullPool,
        )
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
            connection.commit()

    return run


@pytest.fixture
def mysql_others(mysql_site: MysqlSite) -> Iterator[Callable[..., mysqlconnect.Connection]]:
    """Connections of somebody else to the MySQL site, closed at the end of the test."""
    opened: list[mysqlconnect.Connection] = []

    def open_(database: str | None = None, **changes: object) -> mysqlconnect.Connection:
        connection = mysqlconnect.connect(replace(mysql_site.url, **changes), database)  # type: ignore[arg-type]
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        if connection.open:
            with contextlib.suppress(pymysql.Error):
                connection.close()


@pytest.fixture
def others(site: Site) -> Iterator[Callable[..., psycopg.Connection[Row]]]:
    """Connections of somebody else, closed at the end of the test."""
    opened = []

    def open_(database: str, **changes: object) -> psycopg.Connection[Row]:
        connection = connect(replace(site.url, **changes), database)  # type: ignore[arg-type]
        opened.append(connection)
        return connection

    yield open_
    for connection in opened:
        connection.close()
