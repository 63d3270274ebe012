"""What the version table says, wherever it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converger.proof.fingerprints import read_fingerprint
from converger.proof.scratch import Scratch, Server
from converger.proof.versiontable import version_rows

from .conftest import Site, Write


@pytest.fixture
def pg(site: Site) -> Iterator[Server]:
    with site.open() as server:
        yield server


def tables(server: Server, scratch: Scratch, exclude: set[tuple[str | None, str]]) -> set[str]:
    """The tables of the fingerprint."""
    found = read_fingerprint(server, scratch, exclude=frozenset(exclude))
    return {fact.object for fact in found.facts if fact.kind == "table"}


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
    assert tables(pg, scratch, {(None, "v")}) == set()
    assert tables(pg, scratch, {("two", "v")}) == {"one.v"}
    write(pg, scratch, "CREATE SCHEMA two", VERSIONS.format("two.v"), "INSERT INTO two.v VALUES ('b')")
    assert version_rows(pg, scratch, "v", None) is None, "two of them, none in the search path"
    assert version_rows(pg, scratch, "v", "two") == ("b",)
    write(pg, scratch, VERSIONS.format("v"))
    assert version_rows(pg, scratch, "v", None) == ()
    assert tables(pg, scratch, {(None, "v"), ("one", "v")}) == {"two.v"}
