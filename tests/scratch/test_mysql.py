"""Scratch databases on a MySQL or MariaDB server that is somebody else's: only ours is ever touched."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest
import sqlalchemy

from converger.errors import CouldNotEvaluate
from converger.folders import STALE_SECONDS
from converger.proof import mysqlconnect
from converger.proof.embedded_mariadb import EmbeddedMysql
from converger.proof.mysql import MysqlServer
from converger.proof.mysqlregistry import UNFINISHED_COLLATION
from converger.proof.scratch import Scratch
from converger.proof.urls import parse_url

from .conftest import MysqlSite, Write

Connect = Callable[..., mysqlconnect.Connection]


@pytest.fixture
def decoy(mysql_site: MysqlSite) -> Iterator[Callable[[], list[object]]]:
    """A database that stands for production; called, it gives everything that is in it."""
    mysql_site.run(
        "CREATE DATABASE decoy",
        "CREATE TABLE decoy.t (id INT PRIMARY KEY, name VARCHAR(20))",
        "INSERT INTO decoy.t VALUES (1, 'one'), (2, 'two')",
        "CREATE PROCEDURE decoy.p() DELETE FROM decoy.t",
    )
    yield lambda: [
        mysql_site.run("SHOW TABLES FROM decoy"),
        mysql_site.run("SHOW CREATE TABLE decoy.t"),
        mysql_site.run("SELECT * FROM decoy.t ORDER BY id"),
        mysql_site.run("CHECKSUM TABLE decoy.t EXTENDED"),
        mysql_site.run("SHOW CREATE DATABASE decoy"),
    ]
    mysql_site.run("DROP DATABASE decoy")


@contextlib.contextmanager
def project(server: MysqlServer, scratch: Scratch) -> Iterator[Callable[[str], object]]:
    """What a migration can do: run statements over the project's own URL."""
    url = server.url(scratch, "pymysql")
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection.exec_driver_sql


REACHING = [
    "UPDATE decoy.t SET name = 'gone'",
    "DELETE FROM decoy.t",
    "DROP TABLE decoy.t",
    "ALTER TABLE decoy.t ADD more INT",
    "INSERT INTO decoy.t VALUES (3, 'three')",
    "TRUNCATE decoy.t",
    "RENAME TABLE decoy.t TO decoy.u",
    "USE decoy",
    "CALL decoy.p()",
    "CREATE TABLE decoy.mine (id INT)",
    "CREATE INDEX i ON decoy.t (name)",
    "CREATE TRIGGER decoy.tr BEFORE INSERT ON decoy.t FOR EACH ROW SET NEW.name = 'x'",
    "DROP DATABASE decoy",
    "ALTER DATABASE decoy CHARACTER SET latin1",
    "CREATE DATABASE another",
    "DROP USER plain",
    "SELECT * FROM decoy.t",
]


@pytest.mark.parametrize("kind", ["site", "as maker", "embedded"])
def test_a_migration_cannot_reach_another_database(
    kind: str, mysql_site: MysqlSite, decoy: Callable[[], list[object]]
) -> None:
    before = decoy()
    said: list[str] = []
    if kind == "embedded":
        server = MysqlServer(mysql_site.url, progress=said.append, stop=lambda: None)
    elif kind == "site":
        server = mysql_site.open(said.append)
    else:
        server = mysql_site.open(said.append, user="maker", password="m@k:e/r%")
    scratch = server.create()
    try:
        if kind == "embedded":
            # There a definer may be named; he has the rights that he has.
            with project(server, scratch) as run:
                run("CREATE DEFINER = plain PROCEDURE slier() UPDATE decoy.t SET name = 'gone'")
                with pytest.raises(sqlalchemy.exc.DBAPIError, match="denied"):
                    run("CALL slier()")
        with project(server, scratch) as run:
            for statement in REACHING:
                with pytest.raises(sqlalchemy.exc.DBAPIError, match=r"denied|privilege"):
                    run(statement)
            # A stored program does not help either: it has no more rights than who wrote it.
            run("CREATE PROCEDURE sly() UPDATE decoy.t SET name = 'gone'")
            with pytest.raises(sqlalchemy.exc.DBAPIError, match="denied"):
                run("CALL sly()")
        assert decoy() == before
        assert server.why_not_isolated() is None and said == []
    finally:
        server._stop = None
        server.close()
    assert mysql_site.ours() == set()


@pytest.mark.parametrize(
    "driver", ["pymysql", "mysqlconnector", pytest.param("mysqldb", marks=pytest.mark.network)]
)
def test_what_is_refused_is_no_fault_of_the_migration(mysql_site: MysqlSite, driver: str) -> None:
    with mysql_site.open() as server:
        engine = sqlalchemy.create_engine(
            server.url(server.create(), driver), poolclass=sqlalchemy.pool.NullPool
        )

        def reason(statement: str) -> str | None:
            with engine.connect() as connection, pytest.raises(sqlalchemy.exc.DBAPIError) as caught:
                connection.exec_driver_sql(statement)
            error = server.beyond_rights(str(caught.value.orig))
            return error and error.code

        for statement in (
            "SELECT * FROM mysql.user",
            "USE mysql",
            "CREATE DATABASE x",
            "DROP TABLE mysql.user",
        ):
            assert reason(statement) == "foreign-database", statement
        for statement in ("SET GLOBAL read_only = 1", "CREATE USER x"):
            assert reason(statement) == "missing-privilege", statement
        for statement in (
            "SELECT 1 FROM missing",
            "OOPS",
            "SELECT 1227 FROM privilege",
            "SELECT `1227 privilege` FROM missing",
        ):
            assert reason(statement) is None, statement


def test_a_migration_cannot_change_the_marks(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        one, two = server.create(), server.create()
        registry = f"converger_registry_{one.name[10:18]}"
        with project(server, one) as run:
            for statement in (
                f"UPDATE {registry}.made SET mark = 'x'",
                f"DELETE FROM {registry}.made",
                f"DROP DATABASE {registry}",
                f"INSERT INTO {registry}.made VALUES ('decoy', 'x')",
            ):
                with pytest.raises(sqlalchemy.exc.DBAPIError, match="denied"):
                    run(statement)
        assert server.query(one, server.mark_query) == [(server.mark(one),)]
        assert server.query(two, server.mark_query) == [(server.mark(two),)]


def test_elsewhere_the_mark_is_not_found(mysql_site: MysqlSite, mysql_others: Connect) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        for database in (None, "mysql"):
            assert mysqlconnect.rows(mysql_others(database), server.mark_query) != [(server.mark(scratch),)]
        query = server.mark_query
    with pytest.raises(pymysql.Error):
        mysqlconnect.rows(mysql_others(), query)


def test_where_no_account_can_be_made_it_is_said(mysql_site: MysqlSite, write: Write) -> None:
    said: list[str] = []
    with mysql_site.open(said.append, user="limited", password="limited") as server:
        assert said == [server.why_not_isolated()]
        assert "may reach other databases" in said[0]
        source = server.create()
        write(server, source, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)")
        copy = server.clone(source)
        assert server.query(copy, "SELECT id FROM t") == [(7,)]
        assert server.query(copy, server.mark_query) == [(server.mark(copy),)]
        server.drop(source)
        assert source.name not in mysql_site.databases()
    assert mysql_site.ours() == set()


def test_the_password_is_the_accounts_own(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        url = parse_url(server.url(server.create(), "pymysql"))
        assert url.user and re.fullmatch(r"converger_[0-9a-f]{8}", url.user)
        assert url.password and url.password != mysql_site.url.password


# -- what is dropped


def test_everything_is_gone_afterwards(mysql_site: MysqlSite, write: Write) -> None:
    before = mysql_site.databases()
    with mysql_site.open() as server:
        for _ in range(3):
            scratch = server.create()
            write(server, scratch, "CREATE TABLE t (id INT)")
            server.clone(scratch)
        assert len(mysql_site.databases() - before) == 7
    assert mysql_site.databases() == before
    assert mysql_site.ours() == set()
    assert mysql_site.run("SELECT COUNT(*) FROM mysql.db WHERE db LIKE 'converger%' AND user = ''") == [(0,)]


def test_a_database_that_only_has_our_name_stays(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        name = f"converger_{server._run}0000beef"
        mysql_site.run(f"CREATE DATABASE {name}")
        server.drop(Scratch(name, server))
        server.drop(Scratch("converger_0123456789abcdef", server))
        assert name in mysql_site.databases()
    assert name in mysql_site.databases()
    mysql_site.run(f"DROP DATABASE {name}")


def test_connections_that_a_migration_left_open_are_ended(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        engine = sqlalchemy.create_engine(server.url(scratch, "pymysql"))
        held = engine.connect()
        held.exec_driver_sql("CREATE TABLE t (id INT PRIMARY KEY)")
        held.exec_driver_sql("INSERT INTO t VALUES (1)")
        began = time.monotonic()
        copy = server.clone(scratch)
        server.drop(scratch)
        assert time.monotonic() - began < 10
        assert server.query(copy, "SELECT * FROM t") == [], "it was not committed"
        with pytest.raises(sqlalchemy.exc.DBAPIError):
            held.exec_driver_sql("SELECT 1")
        held.invalidate()
        engine.dispose()


def test_what_others_hold_is_said_and_left(
    mysql_site: MysqlSite, mysql_others: Connect, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mysqlconnect, "LOCK_SECONDS", 1)
    said: list[str] = []
    server = mysql_site.open(said.append)
    scratch = server.create()
    write(server, scratch, "CREATE TABLE t (id INT)")
    other = mysql_others(scratch.name)
    mysqlconnect.rows(other, "BEGIN")
    mysqlconnect.rows(other, "SELECT * FROM t")
    server.close()
    assert len(said) == 1 and f"{scratch.name} is left to the next run" in said[0]
    registry = f"converger_registry_{scratch.name[10:18]}"
    assert mysql_site.ours() == {scratch.name, registry}, "the account goes all the same"
    other.close()
    make_old(mysql_site, registry)
    with mysql_site.open(said.append):
        pass
    assert mysql_site.ours() == set()
    assert said[1:] == [f"dropped {scratch.name}, left behind by an earlier run"]


def test_it_goes_on_after_its_connection_was_ended(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        lock = f"SELECT IS_USED_LOCK('converger_{server._run}')"
        ended = mysql_site.run(lock)[0][0]
        mysql_site.run(f"KILL {ended}")
        with pytest.raises(CouldNotEvaluate) as caught:
            server.create()
        assert caught.value.code == "server-unreachable"
        again = server.create()
        assert mysql_site.run(lock)[0][0] not in (None, ended), "who sweeps must see that this run lives"
        assert server.query(again, server.mark_query) == [(server.mark(again),)]
        server.drop(scratch)
    assert mysql_site.ours() == set()


# -- runs that were killed

RUN = """
import os, signal, sys
from converger.proof import mysql, mysqlconnect
from converger.proof.servers import open_server
real, last, done = mysqlconnect.rows, 0, 0
def rows(*arguments):
    global done
    done += 1
    if done == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*arguments)
mysqlconnect.rows = rows
mysql.sweep = lambda *arguments, **named: None  # there is more to sweep after each: that would be counted
def run():
    server = open_server(database_url=sys.argv[1], project_url=None, progress=print)
    first = server.create()
    server.clone(server.create())
    server.drop(first)
    return server
if sys.argv[2] == "live":
    server = run()
    print("alive", done, flush=True)
    sys.stdin.read()
for last in range(1, int(sys.argv[2])):
    child = os.fork()
    if not child:
        run()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL, last
"""


def start_run(site: MysqlSite, what: str = "live") -> subprocess.Popen[str]:
    import converger

    return subprocess.Popen(
        [sys.executable, "-c", RUN, site.address(), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(converger.__file__).parents[1])},
    )


def make_old(site: MysqlSite, registry: str, seconds: int = STALE_SECONDS + 5) -> None:
    """As if that run had begun so much earlier."""
    for name, mark in site.run(f"SELECT name, mark FROM {registry}.made"):
        data = json.loads(mark)
        data["created"] -= seconds
        site.run(f"UPDATE {registry}.made SET mark = '{json.dumps(data)}' WHERE name = '{name}'")


def live_run(site: MysqlSite) -> tuple[subprocess.Popen[str], int]:
    """A run that has made three databases and dropped one, and how many statements that took."""
    run = start_run(site)
    assert run.stdout is not None
    return run, int(run.stdout.readline().split()[1])


def test_killed_at_any_statement_the_next_run_leaves_nothing(mysql_site: MysqlSite) -> None:
    whole, statements = live_run(mysql_site)
    with whole:
        whole.kill()
    assert statements > 20
    with start_run(mysql_site, str(statements + 1)) as killed:
        assert killed.wait(60) == 0
    left = mysql_site.ours()
    registries = {name for name in left if "registry" in name}
    # Three are killed before they make anything; the whole run has one too.
    assert len(registries) == statements - 2
    for registry in registries:
        if mysql_site.run(f"SHOW TABLES FROM {registry}"):
            make_old(mysql_site, registry)
    wait_until(lambda: not locks_held(mysql_site, registries))
    with mysql_site.open():
        pass
    assert mysql_site.ours() == set()


def locks_held(site: MysqlSite, registries: set[str]) -> list[str]:
    return [
        name
        for name in registries
        if site.run(f"SELECT IS_USED_LOCK('converger_{name.rsplit('_', 1)[1]}')") != [(None,)]
    ]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_run_that_lives_or_was_killed_just_now_keeps_its_databases(mysql_site: MysqlSite) -> None:
    run, _ = live_run(mysql_site)
    with run:
        made = mysql_site.ours()
        (registry,) = (name for name in made if "registry" in name)
        assert len(made) == 4
        make_old(mysql_site, registry)
        with mysql_site.open():
            pass
        assert mysql_site.ours() == made, "it lives"
        run.kill()
    wait_until(lambda: not locks_held(mysql_site, {registry}))
    make_old(mysql_site, registry, -STALE_SECONDS - 5)
    with mysql_site.open():
        pass
    assert mysql_site.ours() == made, "it may be a server on which locks cannot be relied upon"
    make_old(mysql_site, registry)
    with mysql_site.open():
        pass
    assert mysql_site.ours() == set()


def test_a_database_that_somebody_is_connected_to_is_not_swept(
    mysql_site: MysqlSite, mysql_others: Connect
) -> None:
    run, _ = live_run(mysql_site)
    with run:
        run.kill()
    name = next(name for name in mysql_site.ours() if re.fullmatch(r"converger_[0-9a-f]{16}", name))
    registry = f"converger_registry_{name[10:18]}"
    make_old(mysql_site, registry)
    wait_until(lambda: not locks_held(mysql_site, {registry}))
    other = mysql_others(name)
    with mysql_site.open():
        pass
    assert {name, registry} <= mysql_site.ours()
    other.close()
    wait_until(
        lambda: not mysql_site.run(f"SELECT 1 FROM information_schema.processlist WHERE db = '{name}'")
    )
    with mysql_site.open():
        pass
    assert mysql_site.ours() == set()


@pytest.mark.parametrize(
    ("made", "goes"),
    [
        (["CREATE DATABASE {r} CHARACTER SET utf16 COLLATE " + UNFINISHED_COLLATION], True),
        (
            [
                "CREATE DATABASE {r} CHARACTER SET utf16 COLLATE " + UNFINISHED_COLLATION,
                "CREATE TABLE {r}.made (name VARCHAR(64), mark VARCHAR(200))",
            ],
            True,
        ),
        (["CREATE DATABASE {r}"], False),
        (
            [
                "CREATE DATABASE {r} CHARACTER SET utf16 COLLATE " + UNFINISHED_COLLATION,
                "CREATE TABLE {r}.made (name VARCHAR(64), mark VARCHAR(200))",
                "INSERT INTO {r}.made VALUES ('mysql', 'mine')",
            ],
            False,
        ),
        (
            [
                "CREATE DATABASE {r} CHARACTER SET utf16 COLLATE " + UNFINISHED_COLLATION,
                "CREATE TABLE {r}.precious (id INT)",
            ],
            False,
        ),
    ],
)
def test_what_a_broken_off_registry_looks_like(made: list[str], goes: bool, mysql_site: MysqlSite) -> None:
    registry = "converger_registry_0badcafe"
    mysql_site.run(*(statement.format(r=registry) for statement in made))
    with mysql_site.open():
        pass
    gone = registry not in mysql_site.databases()
    mysql_site.run(f"DROP DATABASE IF EXISTS {registry}")
    assert gone is goes


def test_a_registry_cannot_make_us_drop_what_is_not_of_its_run(
    mysql_site: MysqlSite, decoy: Callable[[], list[object]]
) -> None:
    before = decoy()
    registry, other = "converger_registry_0badcafe", "converger_0123456700000000"
    mark = '{"converger": 1, "token": "00000000000000000000000000000000", "created": 5}'
    mysql_site.run(
        f"CREATE DATABASE {registry} CHARACTER SET utf16 COLLATE {UNFINISHED_COLLATION}",
        f"CREATE TABLE {registry}.made (name VARCHAR(64), mark VARCHAR(200))",
        f"INSERT INTO {registry}.made VALUES ('{registry}', '{mark}'), ('decoy', '{mark}'),"
        f" ('{other}', '{mark}'), ('plain', '{mark}'), ('mysql', '{mark}')",
        f"CREATE DATABASE {other}",
    )
    with mysql_site.open():
        pass
    assert {other, "decoy", "mysql"} <= mysql_site.databases()
    assert registry not in mysql_site.databases()
    assert mysql_site.run("SELECT 1 FROM mysql.user WHERE user = 'plain'")
    assert decoy() == before
    mysql_site.run(f"DROP DATABASE {other}")


def test_on_a_server_of_our_own_a_definer_may_be_named(mysql_embedded: EmbeddedMysql) -> None:
    server = MysqlServer(mysql_embedded.url, progress=lambda text: None, stop=lambda: None)
    try:
        scratch = server.create()
        with project(server, scratch) as run:
            run("CREATE TABLE t (id INT)")
            run("CREATE DEFINER = root@localhost VIEW v AS SELECT id FROM t")
            run("CREATE DEFINER = app PROCEDURE p() SELECT 1")
        definers = server.query(
            server.clone(scratch),
            "SELECT definer FROM information_schema.views WHERE table_schema = DATABASE() UNION ALL"
            " SELECT definer FROM information_schema.routines WHERE routine_schema = DATABASE()",
        )
        assert definers == [("root@localhost",), ("app@%",)]
    finally:
        server._stop = None
        server.close()


def test_an_embedded_server_is_not_searched(mysql_embedded: EmbeddedMysql) -> None:
    server = MysqlServer(mysql_embedded.url, progress=lambda text: None, stop=lambda: None)
    assert server.address == ("127.0.0.1", mysql_embedded.port)
    server._stop = None
    server.close()
