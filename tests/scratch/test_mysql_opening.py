"""Opening a MySQL or MariaDB server, what is said when that fails, and how each driver gets in."""

from __future__ import annotations

import asyncio
import builtins
import importlib.util
import socket
import threading

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from converger.errors import CouldNotEvaluate
from converger.proof import mysqlconnect
from converger.proof.mysqlload import MysqlLoading
from converger.proof.scratch import StatementFailed
from converger.proof.servers import open_server
from converger.proof.urls import parse_url, query_for_driver

from .conftest import MysqlSite

# mysqlclient has no wheels: who runs `-m network` has installed it, and without a driver SQLAlchemy takes it.
DRIVERS = [
    "pymysql",
    "mysqlconnector",
    "aiomysql",
    "asyncmy",
    *(pytest.param(driver, marks=pytest.mark.network) for driver in ("mysqldb", None)),
]


def failure(database_url: str) -> CouldNotEvaluate:
    with pytest.raises(CouldNotEvaluate) as caught:
        open_server(database_url=database_url, project_url=None, progress=lambda text: None)
    error = caught.value
    assert error.__context__ is None or error.__suppress_context__
    for secret in ("s3cret", "wr@ng"):
        assert secret not in f"{error.message} {error.hint} {error!r}"
    return error


@pytest.mark.parametrize(
    "change", [{"password": "wr@ng/s3cret"}, {"user": "nobody_here"}, {"password": None}, {"user": None}]
)
def test_who_is_not_let_in(mysql_site: MysqlSite, change: dict[str, object]) -> None:
    error = failure(mysql_site.address(**change))
    assert error.code == "authentication-failed"
    assert "127.0.0.1" in error.message


def test_a_user_who_may_make_no_databases(mysql_site: MysqlSite) -> None:
    error = failure(mysql_site.address(user="plain", password="plain"))
    assert error.code == "missing-privilege"
    assert "plain" in error.message and r"`converger\_%`" in str(error.hint)
    assert mysql_site.ours() == set()


def test_a_read_only_server(mysql_site: MysqlSite) -> None:
    mysql_site.run("SET GLOBAL read_only = 1")
    try:
        error = failure(mysql_site.address(user="maker", password="m@k:e/r%"))
    finally:
        mysql_site.run("SET GLOBAL read_only = 0")
    assert error.code == "missing-privilege" and "read-only" in error.message


@pytest.mark.parametrize("database", [None, "not_there"])
def test_the_urls_database_does_not_matter(mysql_site: MysqlSite, database: str | None) -> None:
    with mysql_site.open(database=database) as server:
        assert server.query(server.create(), "SELECT 1") == [(1,)]
    assert "not_there" not in mysql_site.databases()


@pytest.mark.parametrize("actions", [False, True])
def test_a_closed_port(actions: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr("os.path.exists", lambda path: False)
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    if actions:
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
    error = failure(f"mysql://me:s3cret@localhost:{port}/x")
    assert error.code == "server-unreachable"
    assert ("label" in str(error.hint)) is actions


@pytest.mark.parametrize(
    "url",
    [
        "mysql://me:s3cret@no-such-host.invalid/x",
        "mysql://me:s3cret@localhost/x?unix_socket=/nowhere/mysql.sock",
        "mysql://me:s3cret@127.0.0.1:1/x?ssl_ca=/nowhere/ca.pem",
    ],
)
def test_a_place_that_does_not_exist(url: str) -> None:
    assert failure(url).code == "server-unreachable"


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = dict(mysqlconnect.connect.__kwdefaults__ or {}, seconds=1)
    monkeypatch.setattr(mysqlconnect.connect, "__kwdefaults__", defaults)
    monkeypatch.setattr(mysqlconnect, "STARTING_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        error = failure(f"mysql://me:s3cret@127.0.0.1:{silent.getsockname()[1]}/x")
    assert error.code == "server-unreachable"


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_a_server_that_is_not_mysql(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = dict(mysqlconnect.connect.__kwdefaults__ or {}, seconds=1)
    monkeypatch.setattr(mysqlconnect.connect, "__kwdefaults__", defaults)
    monkeypatch.setattr(mysqlconnect, "STARTING_SECONDS", 0)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        def serve() -> None:
            connection, _ = other.accept()
            with connection:
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        error = failure(f"mysql://me:s3cret@127.0.0.1:{other.getsockname()[1]}/x")
        thread.join(10)
    assert error.code == "server-unreachable"


def test_without_pymysql_the_way_to_get_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "pymysql" else find(name, *more)
    )
    error = failure("mysql://me:s3cret@localhost/x")
    assert error.code == "no-mysql-driver"
    assert "alembic-converger[mysql]" in str(error.hint)
    with pytest.raises(CouldNotEvaluate):
        open_server(database_url=None, project_url="mariadb://h/d", progress=lambda text: None)
    assert builtins  # nothing was imported for it


def test_localhost_is_the_place_that_we_found_and_not_a_socket(mysql_site: MysqlSite) -> None:
    with mysql_site.open(host="localhost") as server:
        url = parse_url(server.url(server.create(), "mysqldb"))
    assert (url.host, url.port) == ("127.0.0.1", mysql_site.url.port)
    assert server.address == ("127.0.0.1", mysql_site.url.port)


def mark_through(url: str, query: str) -> object:
    driver = parse_url(url).driver
    if driver in ("aiomysql", "asyncmy"):

        async def ask() -> object:
            engine = create_async_engine(url, poolclass=sqlalchemy.pool.NullPool)
            try:
                async with engine.connect() as connection:
                    return (await connection.exec_driver_sql(query)).scalar()
            finally:
                await engine.dispose()

        return asyncio.run(ask())
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:
        return connection.exec_driver_sql(query).scalar()


@pytest.mark.parametrize("spelling", ["mysql", "mariadb"])
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("place", ["tcp", "socket"])
def test_every_driver_gets_in(mysql_site: MysqlSite, driver: str | None, place: str, spelling: str) -> None:
    change: dict[str, object] = {"dialect": spelling}
    if place == "socket":
        data = mysql_site.run("SELECT @@datadir")[0][0]
        # The path may be longer than a socket's may be; the folder is short enough here.
        change |= {"host": None, "port": None, "query": (("unix_socket", f"{data}server.sock"),)}
        mysql_site.run("CREATE USER IF NOT EXISTS local@localhost IDENTIFIED BY 'local'")
        mysql_site.run("GRANT ALL ON *.* TO local@localhost WITH GRANT OPTION")
        change |= {"user": "local", "password": "local"}
    else:
        change |= {"query": (("charset", "utf8mb4"), ("connect_timeout", "5"), ("no_such_word", "1"))}
    with mysql_site.open(**change) as server:
        if spelling == "mariadb" and "MariaDB" not in server.server_version:
            return  # SQLAlchemy refuses that itself
        scratch = server.create()
        url = server.url(scratch, driver)
        assert url.startswith(f"{spelling}{f'+{driver}' if driver else ''}://")
        if driver is None:
            # SQLAlchemy's URL keeps the parameters of a URL that names no driver, the odd one too.
            url = url.replace("&no_such_word=1", "")
        assert mark_through(url, server.mark_query) == server.mark(scratch)


@pytest.mark.parametrize(
    ("source", "driver", "query"),
    [
        ("mysql://h/d?ssl_ca=/ca&ssl_check_hostname=1", None, "ssl_ca=/ca ssl_check_hostname=1"),
        ("mysql://h/d?ssl_ca=/ca&ssl_mode=REQUIRED&x=1", "mysqldb", "ssl_ca=/ca ssl_mode=REQUIRED"),
        (
            "mysql+pymysql://h/d?ssl_ca=/ca&ssl_check_hostname=1",
            "mysqlconnector",
            "ssl_ca=/ca ssl_verify_identity=1",
        ),
        (
            "mysql+mysqlconnector://h/d?ssl_ca=/ca&ssl_verify_identity=1&collation=c",
            "pymysql",
            "ssl_ca=/ca ssl_check_hostname=1",
        ),
        ("mysql+pymysql://h/d?ssl_ca=/ca&charset=latin1", "aiomysql", "charset=latin1"),
        ("mariadb+pymysql://h/d?ssl_ca=/ca&unix_socket=/s", "asyncmy", "ssl_ca=/ca unix_socket=/s"),
        ("mysql+pymysql://h/d?unix_socket=/s&charset=utf8", "pyodbc", "unix_socket=/s"),
        ("mysql+pymysql://h/d?read_timeout=3", "pymysql", "read_timeout=3"),
    ],
)
def test_parameters_are_said_in_the_words_of_the_driver(source: str, driver: str | None, query: str) -> None:
    found = query_for_driver(parse_url(source), driver, frozenset())
    assert " ".join(f"{key}={value}" for key, value in found) == query


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ((), None),
        ((("ssl_disabled", "true"),), None),
        ((("ssl_ca", "/ca.pem"),), "asked for"),
        ((("ssl_mode", "REQUIRED"),), "asked for"),
        ((("ssl_mode", "PREFERRED"),), None),
    ],
)
def test_tls_that_is_asked_for_forbids_a_socket(
    mysql_site: MysqlSite, query: tuple[tuple[str, str], ...], reason: str | None
) -> None:
    with mysql_site.open() as server:
        server._url = parse_url(mysql_site.address(query=query))
        found = server.why_no_socket()
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_a_server_that_insists_on_tls_forbids_a_socket(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        connection = mysqlconnect.connect(mysql_site.url)
        try:
            mysqlconnect.rows(connection, "SET GLOBAL require_secure_transport = ON")
            assert mysqlconnect.why_no_socket(mysql_site.url, connection) is not None
        finally:
            mysqlconnect.rows(connection, "SET GLOBAL require_secure_transport = OFF")
            connection.close()
        assert server.why_no_socket() is None


def test_a_statement_may_take_longer_than_connecting(mysql_site: MysqlSite) -> None:
    connection = mysqlconnect.connect(mysql_site.url, seconds=1)
    assert mysqlconnect.rows(connection, "SELECT SLEEP(1.5)") == [(0,)]
    connection.close()
    connection = mysqlconnect.connect(mysql_site.url, statement_seconds=1)
    with pytest.raises(mysqlconnect.pymysql.err.OperationalError) as caught:
        mysqlconnect.rows(connection, "SELECT SLEEP(5)")
    assert mysqlconnect.is_lost(caught.value)


def test_somebodys_statements(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        with server.loading(scratch) as loading:
            assert isinstance(loading, MysqlLoading)
            loading.execute(b"CREATE TABLE t (id INT, name VARCHAR(9) CHARACTER SET utf8mb4)")
            loading.execute(b"SET NAMES latin1")
            loading.execute(b"INSERT INTO t VALUES (1, '\xe9t\xe9')")
            loading.execute(b"SET SESSION sql_mode = 'ANSI_QUOTES'")
            loading.execute(b"CREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END")
            loading.execute(b"CALL p()")
            assert not loading.in_transaction
            loading.execute(b"BEGIN")
            loading.execute(b"INSERT INTO t VALUES (2, 'b')")
            assert loading.in_transaction
            with pytest.raises(StatementFailed) as caught:
                loading.execute(b"INSERT INTO t\nVALUES (3, 'c')\nOOPS")
            assert (caught.value.code, caught.value.line) == ("1064", 2)
            loading.execute(b"COMMIT")
            assert not loading.in_transaction
            with pytest.raises(StatementFailed, match="COPY"):
                loading.copy(b"", [])
            with pytest.raises(StatementFailed, match="denied"):
                loading.execute(b"CREATE TABLE mysql.mine (id INT)")
        assert server.query(scratch, "SELECT * FROM t ORDER BY id") == [(1, "été"), (2, "b")]


def test_strictness_of_a_dump_is_the_servers(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server, server.loading(server.create()) as loading:
        loading.execute(b"CREATE TABLE t (name VARCHAR(2))")
        with pytest.raises(StatementFailed, match="too long"):
            loading.execute(b"INSERT INTO t VALUES ('longer')")


def test_a_lost_connection_is_no_fault_of_the_statement(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        with pytest.raises(CouldNotEvaluate) as caught, server.loading(scratch) as loading:
            assert isinstance(loading, MysqlLoading)
            mysql_site.run(f"KILL {loading._connection.thread_id()}")
            loading.execute(b"SELECT 1")
        assert caught.value.code == "server-unreachable"
