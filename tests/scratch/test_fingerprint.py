"""Fingerprints tell schemas apart by what matters, and by nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converger.proof.fingerprint import Fact, describe_difference, fingerprint, version_rows
from converger.proof.scratch import Server
from converger.proof.sqlite import SqliteServer

from .conftest import Site, Write

NONE: frozenset[tuple[str | None, str]] = frozenset()
VERSION = frozenset({(None, "alembic_version")})


@pytest.fixture
def pg(site: Site) -> Iterator[Server]:
    with site.open() as server:
        yield server


@pytest.fixture
def lite() -> Iterator[Server]:
    with SqliteServer() as server:
        yield server


def facts(server: Server, write: Write, *statements: str) -> frozenset[Fact]:
    scratch = server.create()
    write(server, scratch, *statements)
    return fingerprint(server, scratch, exclude=VERSION)


BASE = "CREATE TABLE t (id integer, name varchar(20) NOT NULL DEFAULT 'x')"

SAME = [
    ("the order of columns", "CREATE TABLE t (name varchar(20) NOT NULL DEFAULT 'x', id integer)"),
    (
        "a column added later",
        "CREATE TABLE t (name varchar(20) NOT NULL DEFAULT 'x')",
        "ALTER TABLE t ADD id integer",
    ),
    ("rows", BASE, "INSERT INTO t VALUES (1, 'a')"),
    ("the version table", BASE, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL)"),
]
DIFFERENT = [
    ("a missing table",),
    ("another table", BASE, "CREATE TABLE u (id integer)"),
    ("an empty table", BASE, "CREATE TABLE u (id integer)", "ALTER TABLE u RENAME TO v"),
    ("another name", "CREATE TABLE t (id integer, nam varchar(20) NOT NULL DEFAULT 'x')"),
    ("another type", "CREATE TABLE t (id bigint, name varchar(20) NOT NULL DEFAULT 'x')"),
    ("another length", "CREATE TABLE t (id integer, name varchar(21) NOT NULL DEFAULT 'x')"),
    ("nullable", "CREATE TABLE t (id integer, name varchar(20) DEFAULT 'x')"),
    ("another default", "CREATE TABLE t (id integer, name varchar(20) NOT NULL DEFAULT 'y')"),
    ("no default", "CREATE TABLE t (id integer, name varchar(20) NOT NULL)"),
    ("a view", BASE, "CREATE VIEW v AS SELECT id FROM t"),
]


@pytest.mark.parametrize("case", SAME, ids=lambda case: case[0])
@pytest.mark.parametrize("kind", ["pg", "lite"])
def test_what_does_not_count(
    kind: str, case: tuple[str, ...], write: Write, request: pytest.FixtureRequest
) -> None:
    server = request.getfixturevalue(kind)
    one, other = facts(server, write, BASE), facts(server, write, *case[1:])
    assert one == other
    assert describe_difference(one, other) == ()


@pytest.mark.parametrize("case", DIFFERENT, ids=lambda case: case[0])
@pytest.mark.parametrize("kind", ["pg", "lite"])
def test_what_counts(kind: str, case: tuple[str, ...], write: Write, request: pytest.FixtureRequest) -> None:
    server = request.getfixturevalue(kind)
    one, other = facts(server, write, BASE), facts(server, write, *case[1:])
    assert one != other
    assert describe_difference(one, other)


def test_postgresql_details(pg: Server, write: Write) -> None:
    found = facts(
        pg,
        write,
        "CREATE SCHEMA tenant",
        "CREATE TYPE tenant.mood AS ENUM ('a')",
        "CREATE TABLE tenant.t (id int GENERATED ALWAYS AS IDENTITY, m tenant.mood DEFAULT 'a', gone int,"
        " twice int GENERATED ALWAYS AS (1 + 1) STORED, price numeric(10, 2)[])",
        "ALTER TABLE tenant.t DROP COLUMN gone",
        "CREATE TABLE part (id int) PARTITION BY RANGE (id)",
        "CREATE MATERIALIZED VIEW mat AS SELECT 1 AS one",
        "CREATE TEMP TABLE passing (id int)",
    )
    assert found == {
        Fact("table", "tenant.t", "exists"),
        Fact("column", "tenant.t.id", "integer not null generated always as identity"),
        Fact("column", "tenant.t.m", "tenant.mood default 'a'::tenant.mood"),
        Fact("column", "tenant.t.twice", "integer generated ((1 + 1))"),
        Fact("column", "tenant.t.price", "numeric(10,2)[]"),
        Fact("partitioned table", "public.part", "exists"),
        Fact("column", "public.part.id", "integer"),
        Fact("materialized view", "public.mat", "exists"),
        Fact("column", "public.mat.one", "integer"),
    }


def test_names_are_qualified_whatever_the_search_path(pg: Server, write: Write) -> None:
    scratch = pg.create()
    write(
        pg,
        scratch,
        "CREATE TYPE mood AS ENUM ('a')",
        "CREATE TABLE t (m mood DEFAULT 'a')",
    )
    before = fingerprint(pg, scratch, exclude=NONE)
    write(pg, scratch, "CREATE SCHEMA s", f"ALTER DATABASE {scratch.name} SET search_path = s")
    assert fingerprint(pg, scratch, exclude=NONE) == before
    assert Fact("column", "public.t.m", "public.mood default 'a'::public.mood") in before


VERSIONS = "CREATE TABLE {} (version_num varchar(32) NOT NULL)"


def test_the_rows_of_the_version_table(server: Server, write: Write) -> None:
    scratch = server.create()
    assert version_rows(server, scratch, "alembic_version", None) is None
    write(server, scratch, VERSIONS.format("alembic_version"))
    assert version_rows(server, scratch, "alembic_version", None) == ()
    write(server, scratch, "INSERT INTO alembic_version VALUES ('b'), ('a')")
    assert version_rows(server, scratch, "alembic_version", None) == ("a", "b")
    odd = "odd \"name'"
    assert version_rows(server, scratch, odd, None) is None
    quoted = "`odd \"name'`" if server.dialect == "mysql" else '"odd ""name\'"'
    write(server, scratch, VERSIONS.format(quoted), f"INSERT INTO {quoted} VALUES ('c')")
    assert version_rows(server, scratch, odd, None) == ("c",)


def test_the_version_table_in_a_schema(pg: Server, write: Write) -> None:
    scratch = pg.create()
    write(pg, scratch, "CREATE SCHEMA one", VERSIONS.format("one.v"), "INSERT INTO one.v VALUES ('a')")
    assert version_rows(pg, scratch, "v", "one") == ("a",)
    assert version_rows(pg, scratch, "v", "two") is None
    assert version_rows(pg, scratch, "v", "public") is None
    assert version_rows(pg, scratch, "v", None) == ("a",), "the only one of that name"
    assert fingerprint(pg, scratch, exclude=frozenset({(None, "v")})) == frozenset()
    assert fingerprint(pg, scratch, exclude=frozenset({("two", "v")})) != frozenset()
    write(pg, scratch, "CREATE SCHEMA two", VERSIONS.format("two.v"), "INSERT INTO two.v VALUES ('b')")
    assert version_rows(pg, scratch, "v", None) is None, "two of them, none in the search path"
    assert version_rows(pg, scratch, "v", "two") == ("b",)
    write(pg, scratch, VERSIONS.format("v"))
    assert version_rows(pg, scratch, "v", None) == ()
    left = fingerprint(pg, scratch, exclude=frozenset({(None, "v"), ("one", "v")}))
    assert {fact.object for fact in left} == {"two.v", "two.v.version_num"}


def test_a_difference_is_described_so_that_a_person_can_read_it() -> None:
    one = frozenset(
        {
            Fact("table", "public.t", "exists"),
            Fact("column", "public.t.a", "integer"),
            Fact("column", "public.t.b", "text"),
        }
    )
    other = frozenset(
        {
            Fact("table", "public.t", "exists"),
            Fact("column", "public.t.a", "bigint"),
            Fact("view", "public.v", "exists"),
        }
    )
    assert describe_difference(one, other, ("a then b", "b then a")) == (
        "column public.t.a: integer in a then b, bigint in b then a",
        "column public.t.b (text): only in a then b",
        "view public.v: only in b then a",
    )
