"""What every server does alike: PostgreSQL of ours in each version, somebody's, MariaDB, SQLite."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from converger.errors import CouldNotEvaluate
from converger.proof.fingerprints import read_fingerprint
from converger.proof.scratch import NAME, Scratch, Server

from .conftest import Write


def connection_mark(server: Server, scratch: Scratch) -> object:
    driver = {"postgresql": "psycopg", "mysql": "pymysql", "sqlite": "pysqlite"}[server.dialect]
    engine = sqlalchemy.create_engine(server.url(scratch, driver), poolclass=sqlalchemy.pool.NullPool)
    with engine.connect() as connection:
        return connection.exec_driver_sql(server.mark_query).scalar()


def test_a_new_database_is_empty_and_has_a_mark_of_its_own(server: Server) -> None:
    first, second = server.create(), server.create()
    assert first.name != second.name
    assert NAME.fullmatch(first.name)
    nothing = read_fingerprint(server, first, exclude=frozenset())
    assert not any(fact.kind in ("table", "column", "rows", "function") for fact in nothing.facts)
    assert nothing == read_fingerprint(server, second, exclude=frozenset())
    assert connection_mark(server, first) == server.mark(first)
    assert connection_mark(server, second) == server.mark(second)
    assert server.mark(first) != server.mark(second)


def test_a_clone_has_the_rows_and_is_independent(server: Server, write: Write) -> None:
    source = server.create()
    write(server, source, "CREATE TABLE t (id integer primary key)", "INSERT INTO t VALUES (1), (2)")
    copy = server.clone(source)
    write(server, copy, "DELETE FROM t WHERE id = 1", "CREATE TABLE only_here (id integer)")
    assert server.query(copy, "SELECT id FROM t") == [(2,)]
    assert server.query(source, "SELECT id FROM t ORDER BY id") == [(1,), (2,)]
    assert connection_mark(server, copy) == server.mark(copy) != server.mark(source)
    again = server.clone(copy)
    assert server.query(again, "SELECT id FROM t") == [(2,)]


def test_dropping_twice_is_fine_and_the_database_is_gone(server: Server) -> None:
    scratch = server.create()
    server.drop(scratch)
    server.drop(scratch)
    with pytest.raises(CouldNotEvaluate):
        server.query(scratch, "SELECT 1")


def test_our_own_queries_cannot_write(server: Server) -> None:
    scratch = server.create()
    with pytest.raises(CouldNotEvaluate, match=r"(?i)read.?only"):
        server.query(scratch, "CREATE TABLE t (id integer)")
    assert server.query_all(scratch, ["SELECT 1", "SELECT 2"]) == [[(1,)], [(2,)]]


def test_two_threads_can_use_it_at_once(server: Server, write: Write) -> None:
    base = server.create()
    write(server, base, "CREATE TABLE t (id integer)", "INSERT INTO t VALUES (7)")
    start = threading.Barrier(2)

    def one(number: int) -> list[object]:
        start.wait(10)
        seen: list[object] = []
        for _ in range(4):
            server.query(base, "SELECT id FROM t")
            copy = server.clone(base)
            seen.append(server.query(copy, "SELECT id FROM t"))
            server.drop(copy)
            server.drop(server.create())
        return seen

    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(one, range(2)))
    assert results == [[[(7,)]] * 4] * 2


def test_the_version_is_as_a_person_says_it(server: Server) -> None:
    numbers = server.server_version.removesuffix("-MariaDB").split(".")
    assert 2 <= len(numbers) <= 3
    assert all(number.isdecimal() for number in numbers)
