"""Running somebody's statements on a SQLite scratch database, and copying a database file into it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterable
from urllib.parse import quote

from converger.folders import run_folder
from converger.proof.scratch import StatementFailed

_UNICODE_ESCAPE = re.compile(r"\\(\\|[0-9A-Fa-f]{4}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|\+[0-9A-Fa-f]{6})")
_SIDE_FILES = ("-wal", "-journal")


class SqliteLoading:
    """See `scratch.Loading`. No statement can open a second database: SQLite itself is told to deny it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """`connection` is new and nobody else uses it."""
        self._connection = connection
        connection.isolation_level = None
        # For this connection only. A load that is cut short is thrown away with its database.
        connection.execute("PRAGMA synchronous = off")
        connection.execute("PRAGMA journal_mode = memory")
        connection.set_authorizer(_allow)
        if sqlite3.sqlite_version_info < (3, 50):
            # With it newer shells write the control characters in a dump.
            connection.create_function("unistr", 1, _unistr, deterministic=True)

    @property
    def in_transaction(self) -> bool:
        """See `Loading.in_transaction`."""
        return self._connection.in_transaction

    def execute(self, sql: bytes, *, may_fail: bool = False) -> None:
        """See `Loading.execute`."""
        try:
            text = sql.decode()
        except UnicodeDecodeError as error:
            line = sql.count(b"\n", 0, error.start)
            raise StatementFailed("it is not valid UTF-8", line=line) from None
        try:
            # A PRAGMA does its work only while its rows are read.
            self._connection.execute(text).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            raise StatementFailed(str(error)) from None

    def copy(self, sql: bytes, data: Iterable[bytes]) -> None:
        """See `Loading.copy`: SQLite has no such statement."""
        raise StatementFailed("SQLite has no COPY")

    def restore(self, path: str) -> None:
        """Replace everything by the SQLite database in the file `path`, which is only read.

        Not even a `-wal` or `-shm` file comes into being next to it: the file is opened as one that
        cannot change. Where it has such a file already, so that its newest rows are in there, copies
        of both are opened. Raises StatementFailed where it is damaged or changes meanwhile.
        """
        before = _state(path)
        with contextlib.ExitStack() as stack:
            if any(size for _, size, _ in before[1:]):
                copy = os.path.join(stack.enter_context(run_folder()), "base.sqlite")
                for suffix in ("", *_SIDE_FILES):
                    if os.path.exists(path + suffix):
                        shutil.copyfile(path + suffix, copy + suffix)
                address = f"file:{quote(copy)}?mode=rw"
            else:
                address = f"file:{quote(os.path.abspath(path))}?mode=ro&immutable=1"
            try:
                source = stack.enter_context(contextlib.closing(sqlite3.connect(address, uri=True)))
                source.backup(self._connection)
                answer = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            except sqlite3.Error as error:
                raise StatementFailed(str(error)) from None
        if answer != "ok":
            raise StatementFailed(f"the database is damaged: {' '.join(answer.split())}")
        if _state(path) != before:
            raise StatementFailed("somebody wrote to it while it was read")


def _unistr(text: str | None) -> str | None:
    """SQLite 3.50's function of that name."""
    if text is None:
        return None
    return _UNICODE_ESCAPE.sub(
        lambda found: chr(int(found[1].lstrip("uU+"), 16)) if found[1] != "\\" else "\\", text
    )


def _state(path: str) -> list[tuple[int, int, int]]:
    """What changes when somebody writes to the database at `path`: of the file and of those beside it."""
    found = []
    for suffix in ("", *_SIDE_FILES):
        try:
            status = os.stat(path + suffix)
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except FileNotFoundError:
            found.append((0, 0, 0))
    return found


def _allow(action: int, first: str | None, *others: str | None) -> int:
    """SQLite's authorizer: VACUUM attaches a nameless temporary database, nothing else may attach any."""
    denied = action == sqlite3.SQLITE_ATTACH and first != ""
    return sqlite3.SQLITE_DENY if denied else sqlite3.SQLITE_OK
