"""Copies one database into another on the same MySQL or MariaDB server.

There are no templates on these servers. What a dump would write is read from the server and run again on
the spot: SHOW CREATE for every object, INSERT … SELECT for rows. Nothing leaves the server.

The name of a scratch database cannot be guessed, so wherever it stands in a definition it means that
database, and the copy's name takes its place.
"""

# ruff: noqa: S608 - SQL is put together from quoted identifiers only

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pymysql

from converger.errors import CouldNotEvaluate
from converger.proof.mysqlconnect import Connection, number_of, rows

_CHUNK = 200
_SQL_MODE = "NO_AUTO_VALUE_ON_ZERO"
_ROUTINES = ("FUNCTION", "PROCEDURE", "PACKAGE", "PACKAGE BODY")
_MISSING = {1146, 1305, 1356, 1054}
"""What is said of a view whose tables, views or functions are not there (yet)."""


@dataclass(frozen=True)
class _Stored:
    """A stored program: its definition, and what the session was set to when it was written."""

    sql: str
    sql_mode: str | None = None
    character_set: str | None = None
    collation: str | None = None
    time_zone: str | None = None


class Copy:
    """Copies `source` to the empty database `target`; call `run` once."""

    def __init__(self, *, reader: Connection, writer: Connection, source: str, target: str) -> None:
        """`reader` sees all definitions, `writer` owns both databases and is connected to `target`."""
        self._reader = reader
        self._writer = writer
        self._source = source
        self._target = target
        self._versioned: set[str] = set()
        self._history = False

    def run(self) -> None:
        """Raises pymysql.Error as it comes, and CouldNotEvaluate `dangling-view`."""
        # So that definitions name their own database only if they must.
        rows(self._reader, f"USE {quoted(self._source)}")
        self._relax()
        kinds = rows(
            self._reader,
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %s ORDER BY 1",
            (self._source,),
        )
        tables = [name for name, kind in kinds if kind in ("BASE TABLE", "SYSTEM VERSIONED")]
        self._versioned = {name for name, kind in kinds if kind == "SYSTEM VERSIONED"}
        for name in (name for name, kind in kinds if kind == "SEQUENCE"):
            self._sequence(name)
        for name in tables:
            self._write(self._definition("TABLE", name, 1))
        self._fill(self._with_rows(tables))
        for stored in self._routines():
            self._store(stored)
        self._views([name for name, kind in kinds if kind == "VIEW"])
        for stored in (*self._triggers(), *self._events()):
            self._store(stored)

    # -- tables

    def _relax(self) -> None:
        """Take everything as it is: it was taken before."""
        rows(self._writer, "SET SESSION foreign_key_checks = 0, unique_checks = 0")
        # Not every server has each, and some want a privilege for it.
        self._optional("SET SESSION check_constraint_checks = 0")
        self._optional("SET SESSION innodb_strict_mode = 0")
        self._history = self._optional("SET SESSION system_versioning_insert_history = 1")

    def _optional(self, sql: str) -> bool:
        try:
            rows(self._writer, sql)
        except pymysql.Error as error:
            if number_of(error) in (1193, 1227, 1231, 1238):
                return False
            raise
        return True

    def _sequence(self, name: str) -> None:
        self._write(self._definition("SEQUENCE", name, 1))
        here = f"{quoted(self._source)}.{quoted(name)}"
        value, rounds = rows(self._reader, f"SELECT next_not_cached_value, cycle_count FROM {here}")[0]
        rows(self._writer, f"SELECT SETVAL({quoted(name)}, {int(value)}, 0, {int(rounds)})")

    def _with_rows(self, tables: Sequence[str]) -> list[str]:
        """The tables that have rows; asked for many at once, because most have none."""
        found: list[str] = []
        for some in _chunks(tables):
            asked = " UNION ALL ".join(
                f"SELECT {position}, EXISTS(SELECT 1 FROM {quoted(self._source)}.{quoted(name)}{self._all_of(name)})"
                for position, name in enumerate(some)
            )
            found += [some[position] for position, filled in rows(self._writer, asked) if filled]
        return found

    def _fill(self, tables: Sequence[str]) -> None:
        columns: dict[str, list[str]] = {name: [] for name in tables}
        explicit: set[str] = set()
        for some in _chunks(tables):
            # Hidden columns are no part of `*`, and generated ones may not be given.
            for table, column, extra, expression in rows(
                self._reader,
                "SELECT table_name, column_name, extra, generation_expression FROM information_schema.columns"
                f" WHERE table_schema = %s AND table_name IN ({', '.join(['%s'] * len(some))})"
                " ORDER BY table_name, ordinal_position",
                (self._source, *some),
            ):
                period = self._history and expression in ("ROW START", "ROW END")
                if period:
                    explicit.add(table)
                if period or not (expression or "GENERATED ALWAYS" in extra.upper()):
                    columns[table].append(quoted(column))
        for name, names in columns.items():
            if self._all_of(name) and name not in explicit:
                names += ["row_start", "row_end"]  # shown nowhere
            listed = ", ".join(names)
            rows(
                self._writer,
                f"INSERT INTO {quoted(name)} ({listed})"
                f" SELECT {listed} FROM {quoted(self._source)}.{quoted(name)}{self._all_of(name)}",
            )

    def _all_of(self, table: str) -> str:
        """What makes a query see the past rows of a table too, where the copy may be given them."""
        return " FOR SYSTEM_TIME ALL" if self._history and table in self._versioned else ""

    # -- views and stored programs

    def _views(self, names: Sequence[str]) -> None:
        """Views may stand on each other: those that fail are tried again when others are there."""
        left: dict[str, _Stored] = {}
        for name in names:
            _, sql, character_set, collation = self._show("VIEW", name)
            left[name] = _Stored(sql, None, character_set, collation)
        while left:
            failed: dict[str, pymysql.Error] = {}
            for name, stored in left.items():
                try:
                    self._store(stored)
                except pymysql.Error as error:
                    if number_of(error) not in _MISSING:
                        raise
                    failed[name] = error
            if len(failed) == len(left):
                raise _dangling(*next(iter(failed.items())))
            left = {name: left[name] for name in failed}

    def _routines(self) -> Iterator[_Stored]:
        found = rows(
            self._reader,
            "SELECT routine_type, routine_name FROM information_schema.routines WHERE routine_schema = %s",
            (self._source,),
        )
        for kind, name in sorted(found, key=lambda row: (_ROUTINES.index(row[0]), row[1])):
            answer = self._show(kind, name)
            yield _Stored(answer[2], answer[1], answer[3], answer[4])

    def _triggers(self) -> Iterator[_Stored]:
        for (name,) in rows(
            self._reader,
            "SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = %s"
            " ORDER BY event_object_table, action_timing, event_manipulation, action_order",
            (self._source,),
        ):
            answer = self._show("TRIGGER", name)
            yield _Stored(answer[2], answer[1], answer[3], answer[4])

    def _events(self) -> Iterator[_Stored]:
        for (name,) in rows(
            self._reader,
            "SELECT event_name FROM information_schema.events WHERE event_schema = %s ORDER BY 1",
            (self._source,),
        ):
            answer = self._show("EVENT", name)
            yield _Stored(answer[3], answer[1], answer[4], answer[5], answer[2])

    def _show(self, kind: str, name: str) -> Sequence[str]:
        answer = rows(self._reader, f"SHOW CREATE {kind} {quoted(self._source)}.{quoted(name)}")[0]
        if answer[1:4].count(None):  # not an error to the server, when somebody else wrote it
            raise pymysql.err.OperationalError(1370, f"the definition of {kind.lower()} {name} is not shown")
        return answer

    def _definition(self, kind: str, name: str, column: int) -> str:
        text: str = self._show(kind, name)[column]
        return text

    def _store(self, stored: _Stored) -> None:
        """Create it under the session's settings that it was created under."""
        settings = [f"sql_mode = {literal(_SQL_MODE if stored.sql_mode is None else stored.sql_mode)}"]
        # How the bytes of a statement are read is settled: they are UTF-8 now.
        utf8 = stored.character_set in ("utf8", "utf8mb3", "utf8mb4")
        settings.append(f"character_set_client = {stored.character_set if utf8 else 'utf8mb4'}")
        if stored.collation:
            settings.append(f"collation_connection = {stored.collation}")
        if stored.time_zone:
            settings.append(f"time_zone = {literal(stored.time_zone)}")
        rows(self._writer, f"SET SESSION {', '.join(settings)}")
        self._write(stored.sql)

    def _write(self, sql: str) -> None:
        rows(self._writer, sql.replace(self._source, self._target))


def quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """For our own short values: without backslashes, so that every sql_mode reads it alike."""
    if "\\" in text:
        raise ValueError("a backslash")
    return "'" + text.replace("'", "''") + "'"


def _dangling(view: str, error: pymysql.Error) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"The migrations leave a view behind that cannot be used, {view}, so their database cannot be"
        f" copied: {error.args[-1]}",
        code="dangling-view",
        hint="Drop or replace the view in the migration that takes away what it stands on.",
    )


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), _CHUNK):
        yield names[start : start + _CHUNK]
