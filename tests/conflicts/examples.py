"""The examples of docs/conflicts.md: taken out of the page, and run in both orders on real databases."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from alembic.migration import MigrationContext
from alembic.operations import Operations

from converger.proof.facts import Difference, Fingerprint, differences
from converger.proof.fingerprints import read_fingerprint
from converger.proof.kinds import Encounter
from converger.proof.scratch import Scratch, Server

_PART = re.compile(r"^# (ancestor|a|b|merge)$\n", re.M)


@dataclass(frozen=True)
class Example:
    """One block of code: what the ancestor, the two revisions and one behind the merge do, "" where nothing."""

    ancestor: str
    a: str
    b: str
    merge: str


@dataclass(frozen=True)
class Section:
    """What the page says of one kind."""

    name: str
    text: str
    bad: Example
    good: Example


@dataclass(frozen=True)
class Failed:
    """A database's complaint."""

    error: str
    sqlstate: str | None
    exception: str
    statement: str | None


Run = Callable[[Sequence[str]], "Fingerprint | Failed"]
"""Runs pieces of code in one transaction, and gives what the database is then; nothing stays."""


def sections(page: str) -> dict[str, Section]:
    """All sections, by name, in the page's order."""
    head, *parts = re.split(r"^## ", page, flags=re.M)
    (common,) = re.findall(r"^```python\n(.*?)^```$", head, re.M | re.S)
    found = {}
    for part in parts:
        name, _, text = part.partition("\n")
        examples = {
            word: _example(common, code)
            for word, code in re.findall(r"^(Bad|Good):\n\n```python\n(.*?)^```$", text, re.M | re.S)
        }
        found[name] = Section(name, text.strip(), examples["Bad"], examples["Good"])
    return found


def _example(common: str, code: str) -> Example:
    _, *pieces = _PART.split(code)
    parts = dict(zip(pieces[::2], pieces[1::2], strict=True))
    ancestor = _PART.sub("", common) + parts.pop("ancestor", "")
    return Example(ancestor, parts.pop("a", ""), parts.pop("b", ""), parts.pop("merge", ""))


def encounters(example: Example, run: Run, dialect: str) -> list[Encounter]:
    """How the two revisions of an example meet, merge revision included: none where all is fine."""
    start, one, two = (run([example.ancestor, part]) for part in ("", example.a, example.b))
    assert isinstance(start, Fingerprint), start
    assert isinstance(one, Fingerprint), one
    assert isinstance(two, Fingerprint), two
    alone = differences(start.facts, one.facts), differences(start.facts, two.facts)
    orders = ((example.a, example.b), (example.b, example.a))
    ab, ba = (run([example.ancestor, *order, example.merge]) for order in orders)
    found = [
        _failure(dialect, pair, sides, end)
        for pair, sides, end in ((("a", "b"), alone, ab), (("b", "a"), alone[::-1], ba))
        if isinstance(end, Failed)
    ]
    if isinstance(ab, Fingerprint) and isinstance(ba, Fingerprint):
        differing = differences(ab.facts, ba.facts)
        if differing:
            found.append(Encounter(dialect, ("a", "b"), footprints=alone, differences=differing))
    return found


def _failure(
    dialect: str, pair: tuple[str, str], sides: tuple[tuple[Difference, ...], ...], end: Failed
) -> Encounter:
    return Encounter(
        dialect,
        pair,
        footprints=(sides[0], sides[1]),
        error=end.error,
        sqlstate=end.sqlstate,
        exception=end.exception,
        statement=end.statement,
    )


def on_fresh_databases(server: Server) -> Run:
    """Each time on a database of its own, in the transaction that Alembic makes of it."""

    def run(pieces: Sequence[str]) -> Fingerprint | Failed:
        scratch = server.create()
        driver = {"mysql": "pymysql", "postgresql": "psycopg"}.get(server.dialect)
        engine = sa.create_engine(server.url(scratch, driver), poolclass=sa.pool.NullPool)
        try:
            with engine.connect() as connection:
                context = MigrationContext.configure(connection)
                with context.begin_transaction():
                    _run(context, pieces)
                connection.commit()  # of SQLite and MySQL Alembic makes no transaction
            return read_fingerprint(server, scratch, exclude=frozenset())
        except sa.exc.DBAPIError as error:
            return _failed(error)
        finally:
            server.drop(scratch)

    return run


@contextlib.contextmanager
def on_one_database(server: Server) -> Iterator[Run]:
    """All on one PostgreSQL database, where everything can be rolled back."""
    scratch = server.create()
    engine = sa.create_engine(server.url(scratch, "psycopg"), poolclass=sa.pool.NullPool)
    try:
        with engine.connect() as connection:

            def run(pieces: Sequence[str]) -> Fingerprint | Failed:
                context = MigrationContext.configure(connection)
                try:
                    _run(context, pieces[:1])
                    # What is deferred in the ancestor was checked when that was committed.
                    for when in ("IMMEDIATE", "DEFERRED"):
                        connection.exec_driver_sql(f"SET CONSTRAINTS ALL {when}")
                    _run(context, pieces[1:])
                    seen: Any = _Within(server, connection)
                    return read_fingerprint(seen, scratch, exclude=frozenset())
                except sa.exc.DBAPIError as error:
                    return _failed(error)
                finally:
                    connection.rollback()

            yield run
    finally:
        server.drop(scratch)


class _Within:
    """The server as one open session sees it: what was not committed is there."""

    def __init__(self, server: Server, connection: sa.Connection) -> None:
        self.dialect = server.dialect
        self.server_version = server.server_version
        self._connection: Any = connection.connection.dbapi_connection

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Any]]:
        found = []
        for statement in statements:
            cursor = self._connection.execute(statement.encode())
            found.append(cursor.fetchall() if cursor.description else [])
        return found


def _run(context: MigrationContext, pieces: Sequence[str]) -> None:
    for piece in pieces:
        exec(compile(piece, "docs/conflicts.md", "exec"), {"op": Operations(context), "sa": sa})


def _failed(error: sa.exc.DBAPIError) -> Failed:
    return Failed(
        str(error.orig), getattr(error.orig, "sqlstate", None), type(error.orig).__name__, error.statement
    )
