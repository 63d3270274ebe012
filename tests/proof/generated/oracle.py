"""What is true of generated branches: every order is run, each on a database that begins anew, and the ends are compared.

Nothing here uses `converger`: no states, no squares, no fingerprints.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Protocol

import psycopg

from tests.proof.generated.generator import NOISE, Branches, Sql
from tests.proof.generated.generator import Database as Resettable

GENERATED = "id"
"""The column of generated keys: it counts where a row refers to it."""


class Database(Resettable, Protocol):
    """One database on which orders are run, one after the other."""

    def look(self) -> Hashable:
        """All that is in it; not the physical order of columns, and not what is new in each run."""


class Oracle:
    """Runs orders of a project's revisions. Each order is run once."""

    def __init__(self, branches: Branches, database: Database) -> None:
        self.branches = branches
        self._database = database
        self._ends: dict[tuple[str, ...], Hashable | None] = {}

    def end(self, order: Sequence[str]) -> Hashable | None:
        """What is in a database that ran the ancestor and then these revisions; None if one fails."""
        order = tuple(order)
        if order not in self._ends:
            self._database.reset(self.branches.base)
            works = all(self._database.apply(self.branches.sql[revision]) is None for revision in order)
            self._ends[order] = self._database.look() if works else None
        return self._ends[order]

    def orders(
        self, revisions: frozenset[str], applied: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, ...]]:
        """All orders of these revisions, with nothing applied at the beginning."""
        if not revisions:
            yield ()
        for one in sorted(revisions):
            if set(self.branches.needs[one]) <= applied:
                for rest in self.orders(revisions - {one}, applied | {one}):
                    yield (one, *rest)

    def verdict(self) -> str:
        """The word for what all orders together do."""
        needs = self.branches.needs
        if any(self._broken(revision) for revision in needs):
            return "broken"
        ends = [self.end(order) for order in self.orders(frozenset(needs))]
        if None in ends:
            return "neither-order" if set(ends) == {None} else "one-order"
        return "commute" if len(set(ends)) == 1 else "differ"

    def _broken(self, revision: str) -> bool:
        """Whether it fails where its own branch, which may have branches, came as far as it."""
        below = self.branches.below(revision)
        ways = [way for way in self.orders(below) if self.end(way) is not None]
        return bool(ways) and all(self.end((*way, revision)) is None for way in ways)

    def clash(self, state: frozenset[str], pair: tuple[str, str]) -> bool:
        """Whether in some database of that state the two revisions fail in an order, or end differently."""
        a, b = pair
        for way in self.orders(state):
            if self.end(way) is not None:
                ends = [self.end((*way, a, b)), self.end((*way, b, a))]
                if ends[0] is None or ends[0] != ends[1]:
                    return True
        return False

    def fails(self, state: frozenset[str], revision: str) -> bool:
        """Whether there is a database of that state on which the revision fails."""
        return any(
            self.end(way) is not None and self.end((*way, revision)) is None for way in self.orders(state)
        )


class SqliteDatabase:
    """A database in memory."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)

    def reset(self, base: Sql) -> None:
        """See `Database.reset`."""
        self._connection.close()
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for statement in base:
            self._connection.execute(statement)

    def apply(self, statements: Sql) -> str | None:
        """See `Database.apply`."""
        return apply_to_sqlite(self._connection, statements)

    def look(self) -> Hashable:
        """See `Database.look`."""
        ask = self._connection.execute
        found: list[Hashable] = []
        tables = []
        for kind, name, table, sql in ask("SELECT type, name, tbl_name, sql FROM sqlite_master"):
            text = re.sub(r'["\s]+', " ", sql or "").strip()
            if kind == "table":
                tables.append(name)
                head, _, inner = text.partition("(")
                found.append((name, head.replace(" ", ""), tuple(sorted(_pieces(inner.rpartition(")")[0])))))
            else:
                found.append((kind, name, table, text.replace(" ", "")))
        referring = [
            (row[2], row[4] or GENERATED, table, row[3])
            for table in tables
            for row in ask(f"PRAGMA foreign_key_list({table})").fetchall()
        ]
        for table in tables:
            cursor = ask(f"SELECT * FROM {table}")
            columns = [column[0] for column in cursor.description]
            found += _rows(
                table, [dict(zip(columns, row, strict=True)) for row in cursor], referring, self._values
            )
        return tuple(sorted(found, key=repr))

    def close(self) -> None:
        """End it."""
        self._connection.close()

    def _values(self, table: str, column: str) -> set[Any]:
        return {value for (value,) in self._connection.execute(f"SELECT {column} FROM {table}")}


class PostgresDatabase:
    """One database of a server; each order begins with a new schema."""

    def __init__(self, url: str) -> None:
        self._connection = psycopg.connect(url, autocommit=True)
        self.version = self._connection.execute("SHOW server_version").fetchall()[0][0]

    def reset(self, base: Sql) -> None:
        """See `Database.reset`."""
        again = ("DROP SCHEMA public CASCADE", "CREATE SCHEMA public", *base)
        self._connection.execute("; ".join(again).encode())

    def apply(self, statements: Sql) -> str | None:
        """See `Database.apply`."""
        return apply_to_postgres(self._connection, statements)

    def query_all(self, statements: Sequence[str]) -> list[list[Any]]:
        """The rows of each statement, in a session whose settings are forgotten afterwards."""
        with self._connection.pipeline():  # sent together: there are many, and each is quick
            cursors = [self._connection.execute(statement.encode()) for statement in statements]
            self._connection.execute("RESET ALL")
        return [cursor.fetchall() if cursor.description else [] for cursor in cursors]

    def look(self) -> Hashable:
        """See `Database.look`."""
        ask = self._connection.execute
        found: list[Hashable] = [row for query in _CATALOG for row in ask(query.encode()).fetchall()]
        tables = [
            row[0] for row in ask("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        ]
        referring = ask(_REFERRING.encode()).fetchall()
        for table in tables:
            rows = [row for (row,) in ask(f"SELECT to_jsonb(t) FROM {table} t".encode()).fetchall()]
            found += _rows(table, rows, referring, self._values)
        return tuple(sorted(found, key=repr))

    def close(self) -> None:
        """End it."""
        self._connection.close()

    def _values(self, table: str, column: str) -> set[Any]:
        return {value for (value,) in self._connection.execute(f"SELECT {column} FROM {table}".encode())}


_PUBLIC = "'public'::regnamespace"
_CATALOG = (
    "SELECT 'column', table_name::text, column_name::text, data_type::text, is_nullable::text,"
    " column_default::text, is_identity::text FROM information_schema.columns WHERE table_schema = 'public'",
    f"SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)"
    f" FROM pg_constraint WHERE connamespace = {_PUBLIC}",
    "SELECT 'index', indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT 'view', viewname::text, definition FROM pg_views WHERE schemaname = 'public'",
    "SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    f"SELECT 'function', proname::text, prosrc FROM pg_proc WHERE pronamespace = {_PUBLIC}",
    "SELECT 'enum', enumtypid::regtype::text, string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum GROUP BY 2",
    "SELECT 'sequence', sequencename::text, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
    f"SELECT 'comment', oid::regclass::text, obj_description(oid, 'pg_class') FROM pg_class WHERE relnamespace = {_PUBLIC}",
    "SELECT 'privilege', table_name::text, grantee::text, privilege_type::text"
    " FROM information_schema.role_table_grants WHERE table_schema = 'public' AND grantee = 'PUBLIC'",
)
_REFERRING = """
SELECT confrelid::regclass::text, theirs.attname::text, conrelid::regclass::text, mine.attname::text
FROM pg_constraint c JOIN pg_attribute mine ON mine.attrelid = conrelid AND mine.attnum = conkey[1]
JOIN pg_attribute theirs ON theirs.attrelid = confrelid AND theirs.attnum = confkey[1] WHERE contype = 'f'
"""


def apply_to_sqlite(connection: sqlite3.Connection, statements: Sql) -> str | None:
    """Run all or none; the error. The connection is in SQLite's own autocommit mode."""
    connection.execute("BEGIN")
    try:
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        return str(error)
    return None


def apply_to_postgres(connection: psycopg.Connection[Any], statements: Sql) -> str | None:
    """Run all or none, in a transaction; the error."""
    try:
        with connection.transaction():
            for statement in statements:
                connection.execute(statement.encode())
    except psycopg.Error as error:
        return str(error)
    return None


def _pieces(inner: str) -> Iterator[str]:
    """The definitions between the brackets of CREATE TABLE."""
    piece, depth = "", 0
    for letter in inner:
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            yield "".join(piece.split())
            piece = ""
        else:
            piece += letter
    yield "".join(piece.split())


def _rows(table: str, rows: list[dict[str, Any]], referring: list[Any], values: Any) -> list[Hashable]:
    referred: set[Any] = set()
    for other, column, mine, name in referring:
        if (other, column) == (table, GENERATED):
            referred |= values(mine, name)
    found: list[Hashable] = []
    for row in rows:
        kept = {name: value for name, value in row.items() if name != NOISE}
        if GENERATED in kept and kept[GENERATED] not in referred:
            kept[GENERATED] = None
        found.append((table, *sorted((name, repr(value)) for name, value in kept.items())))
    return found
