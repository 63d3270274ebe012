"""Loads a SQL dump (or a SQLite database file) into a scratch database, without any client program.

How to make a dump that works, and what is left out of it, is in docs/starting-points.md.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import BinaryIO

from converger.errors import ConfigurationError, CouldNotEvaluate
from converger.mergefile import Note
from converger.outcome import Progress
from converger.proof.dumpfiles import DAMAGED, open_dump
from converger.proof.dumprules import MISSING, OWNERS, SERVER_WIDE, SETTINGS, Rules, Treatment, rules_for
from converger.proof.dumprules_postgres import is_plain_insert
from converger.proof.scratch import Loading, Scratch, Server, StatementFailed
from converger.proof.sqliteload import SqliteLoading
from converger.proof.sqltext import SplitError, Statement, read_statements

_SAY_EVERY = 32 << 20
_SHOWN_NAMES = 5
_BATCH = 1 << 17
"""How many bytes of rows go to PostgreSQL at once. 200,000 INSERTs take 3 seconds instead of 30."""
_SHOWN_STATEMENT = 100


def load_dump(
    server: Server, scratch: Scratch, path: str | os.PathLike[str], *, progress: Progress
) -> tuple[Note, ...]:
    """Load the file at `path` into `scratch`, and return what was left out of it.

    Afterwards the rows of Alembic's version table are found by `fingerprint.version_rows`, whatever
    search path the dump set for itself.

    Raises ConfigurationError `dump-unreadable` for a file of which we can read nothing, `dump-refused` for a
    statement that would leave the scratch database; CouldNotEvaluate `dump-failed` for a statement that
    fails. The database is of no use then. All name file and line.
    """
    shown = os.fspath(path)
    progress.say(f"loading {os.path.basename(shown)}")
    roles: Iterable[str] = ()
    if server.dialect == "postgresql":
        roles = [row[0] for row in server.query(scratch, "SELECT rolname FROM pg_roles")]
    with open_dump(shown, server.dialect) as dump:
        load = _Load(shown, rules_for(server.dialect, frozenset(roles)))
        with server.loading(scratch) as loading:
            if dump.database is not None:
                assert isinstance(loading, SqliteLoading)
                load.restore(loading, dump.database)
            else:
                assert dump.sql is not None
                load.run(loading, _Counted(dump.sql, shown, progress), server.dialect)
    if server.query(scratch, server.mark_query) != [(server.mark(scratch),)]:
        raise load.refused(None, "it changes the mark by which we know the scratch database")
    return load.notes()


class _Load:
    """One load: what is run, and what is left out."""

    def __init__(self, shown: str, rules: Rules) -> None:
        self._shown = shown
        self._rules = rules
        self._left: dict[str, _LeftOut] = {}
        self._rows: list[Statement] = []
        self._rows_size = 0

    def run(self, loading: Loading, stream: _Counted, dialect: str) -> None:
        """Run the statements of `stream` one after the other."""
        try:
            line = 1
            for statement in read_statements(stream, dialect):
                line = statement.line
                if dialect == "postgresql" and is_plain_insert(statement.sql):
                    self._collect(loading, statement)
                else:
                    self._flush(loading)
                    self._treat(loading, statement)
            self._flush(loading)
        except SplitError as error:
            raise self._unreadable(f"{self._shown}:{error.line}: {error.reason}.") from None
        except DAMAGED as error:
            raise self._unreadable(f"{self._shown} cannot be read to its end: {error}.") from None
        if loading.in_transaction:
            raise self._unreadable(f"{self._shown}:{line}: it ends within a transaction: it is cut off.")

    def restore(self, loading: SqliteLoading, path: str) -> None:
        """Copy a SQLite database file."""
        try:
            loading.restore(path)
        except StatementFailed as error:
            raise self._failed(self._shown, error, "") from None

    def refused(self, line: int | None, why: str) -> ConfigurationError:
        where = self._shown if line is None else f"{self._shown}:{line}"
        return ConfigurationError(
            f"{where}: {why}.",
            code="dump-refused",
            hint="Take it out of the dump, or make the dump anew as docs/starting-points.md says.",
        )

    def notes(self) -> tuple[Note, ...]:
        """What was left out, in one note of each kind."""
        return tuple(
            Note(kind, f"{os.path.basename(self._shown)}: {self._left[kind].told(kind)}")
            for kind in (OWNERS, SERVER_WIDE, SETTINGS, MISSING)
            if kind in self._left
        )

    def _collect(self, loading: Loading, statement: Statement) -> None:
        self._rows.append(statement)
        self._rows_size += len(statement.sql)
        if self._rows_size > _BATCH:
            self._flush(loading)

    def _flush(self, loading: Loading) -> None:
        """Run the rows that were collected, all or none; one by one only to see which is at fault."""
        rows, self._rows, self._rows_size = self._rows, [], 0
        try:
            if len(rows) > 1:
                loading.execute(b"\n;".join(row.sql for row in rows), may_fail=True)
                return
        except StatementFailed:
            pass
        for row in rows:
            self._treat(loading, row)

    def _treat(self, loading: Loading, statement: Statement) -> None:
        treatment = self._rules(statement)
        if treatment.action == "refuse":
            raise self.refused(statement.line, treatment.what)
        if treatment.action == "leave-out":
            self._note(statement, treatment)
            return
        try:
            if statement.data is not None:
                loading.copy(treatment.sql, statement.data)
            else:
                loading.execute(treatment.sql, may_fail=bool(treatment.tolerated))
        except StatementFailed as error:
            if error.code is None or error.code not in treatment.tolerated:
                begins = statement.data_line if error.in_data else statement.line
                where = f"{self._shown}:{begins + error.line}"
                raise self._failed(where, error, statement.text[:1000]) from None
            self._note(statement, treatment)
        else:
            if treatment.changed:
                self._note(statement, treatment)

    def _note(self, statement: Statement, treatment: Treatment) -> None:
        if treatment.kind is not None:
            left = self._left.setdefault(treatment.kind, _LeftOut())
            left.add(statement.line, treatment.what, treatment.roles)

    def _failed(self, where: str, error: StatementFailed, statement: str) -> CouldNotEvaluate:
        begins = " ".join(statement.split())
        if len(begins) > _SHOWN_STATEMENT:
            begins = begins[: _SHOWN_STATEMENT - 1] + "…"
        return CouldNotEvaluate(
            f"The dump cannot be loaded, so nothing was said about the branches. {where}: {error.text}"
            + (f" (in {begins})" if begins else ""),
            code="dump-failed",
            hint=_hint(error, begins),
        )

    def _unreadable(self, message: str) -> ConfigurationError:
        return ConfigurationError(
            message, code="dump-unreadable", hint="Make the dump anew, and look whether it fails."
        )


@dataclass
class _LeftOut:
    """The statements of one kind: how many of which sort, where the first is, and whose roles they name."""

    count: int = 0
    first: int = 0
    sorts: dict[str, int] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)

    def add(self, line: int, sort: str, roles: Iterable[str]) -> None:
        self.count += 1
        self.first = self.first or line
        if sort:
            self.sorts[sort] = self.sorts.get(sort, 0) + 1
        self.roles.update(roles)

    def told(self, kind: str) -> str:
        many = f"{self.count} statement{'s' if self.count > 1 else ''} (the first in line {self.first})"
        if kind == OWNERS:
            text = f"{many} about owners and privileges left out or changed"
            return text + (f"; roles: {_listed(self.roles)}" if self.roles else "")
        sorts = _listed(f"{sort} ({count})" if count > 1 else sort for sort, count in self.sorts.items())
        if kind == SERVER_WIDE:
            return f"{many} left out that concern more than one database: {sorts}"
        if kind == SETTINGS:
            return f"{many} left out, settings that this server does not have: {sorts}"
        return f"{many} left out, what they drop is not there: {sorts}"


class _Counted:
    """A file that says how much of it has been read."""

    def __init__(self, stream: BinaryIO, shown: str, progress: Progress) -> None:
        self._stream = stream
        self._name = os.path.basename(shown)
        self._progress = progress
        self._read = self._said = 0

    def read(self, size: int) -> bytes:
        block = self._stream.read(size)
        self._read += len(block)
        if self._read - self._said >= _SAY_EVERY:
            self._said = self._read
            self._progress.say(f"loading {self._name}, {self._read >> 20} MB so far")
        return block


def _listed(names: Iterable[str]) -> str:
    found = sorted(names)
    rest = len(found) - _SHOWN_NAMES
    return ", ".join(found[:_SHOWN_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _hint(error: StatementFailed, statement: str) -> str:
    if statement.upper().startswith("CREATE EXTENSION") and error.code in ("0A000", "58P01", "42501"):
        return (
            "Name a server that has the extension in --database-url, or take the statement out of the dump."
        )
    if error.code == "22021":
        return "Say the encoding of the dump in its first line, as in SET client_encoding = 'LATIN1';"
    if error.code == "42501":
        return "Name a user who may do that in --database-url, or take the statement out of the dump."
    return "docs/starting-points.md says how to make a dump that works."
