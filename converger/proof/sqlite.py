"""Scratch databases of SQLite: files in a folder of our own.

The mark of a SQLite database is its place: the main database of a connection is exactly our file, in
a folder with an unguessable name. A lock on the folder's mark file, which ends with our process, tells
other runs that the folder is in use.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from converger import folders
from converger.errors import CouldNotEvaluate
from converger.proof.scratch import Loading, Row, Scratch, new_name, new_run
from converger.proof.sqliteload import SqliteLoading

BUSY_SECONDS = 20.0


class SqliteServer:
    """See `scratch.Server`. Each scratch database is a file `converger_….sqlite`."""

    dialect = "sqlite"
    address = None
    mark_query = "SELECT file FROM pragma_database_list WHERE name = 'main'"

    def __init__(self) -> None:
        """Makes the folder, and removes those of runs that are dead. Raises CouldNotEvaluate."""
        folders.sweep("converger-sqlite-")
        self.server_version = sqlite3.sqlite_version
        self._run = new_run()
        self._lock = threading.RLock()
        try:
            self._folder = folders.MarkedFolder("converger-sqlite-")
        except OSError as error:
            raise CouldNotEvaluate(
                f"No folder for scratch databases can be made: {error}",
                code="no-scratch-folder",
                hint="Set TMPDIR to a folder that can be written to.",
            ) from None

    def why_no_socket(self) -> str | None:
        """See `Server.why_no_socket`: files need none."""
        return None

    def why_not_isolated(self) -> str | None:
        """See `Server.why_not_isolated`."""
        return None

    def beyond_rights(self, text: str) -> CouldNotEvaluate | None:
        """See `Server.beyond_rights`: migrations run as whoever makes the databases."""
        return None

    def create(self) -> Scratch:
        """See `Server.create`."""
        scratch = Scratch(new_name(self._run), self)
        with self._errors():
            # An empty file is an empty database.
            os.close(os.open(self._path(scratch), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        return scratch

    def clone(self, source: Scratch) -> Scratch:
        """See `Server.clone`.

        SQLite's own backup copies the pages as a reader sees them, so that a write-ahead log or a hot
        journal that a killed worker left is taken into account.
        """
        target = Scratch(new_name(self._run), self)
        with self._errors(), self._lock:
            deadline = time.monotonic() + BUSY_SECONDS

            def bounded(status: int, remaining: int, total: int) -> None:
                # sqlite3 tries for ever while somebody holds a lock.
                if time.monotonic() > deadline:
                    raise sqlite3.OperationalError("database is locked")

            reading = self._connect(source)
            with (
                contextlib.closing(reading),
                contextlib.closing(sqlite3.connect(self._path(target))) as writing,
            ):
                reading.backup(writing, progress=bounded, sleep=0.05)
            os.chmod(self._path(target), 0o600)
        return target

    def drop(self, scratch: Scratch) -> None:
        """See `Server.drop`."""
        path = self._path(scratch)
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(OSError):
                os.unlink(path + suffix)

    def url(self, scratch: Scratch, driver: str | None) -> str:
        """See `Server.url`."""
        return f"sqlite{f'+{driver}' if driver else ''}:///{self._path(scratch)}"

    def mark(self, scratch: Scratch) -> str:
        """See `Server.mark`: the absolute path of the file, as SQLite itself gives it."""
        return self._path(scratch)

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """See `Server.query`."""
        return self.query_all(scratch, [sql])[0]

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """See `Server.query_all`."""
        with self._errors(), contextlib.closing(self._connect(scratch)) as connection:
            connection.execute("PRAGMA query_only = on")
            return [connection.execute(statement).fetchall() for statement in statements]

    @contextlib.contextmanager
    def loading(self, scratch: Scratch) -> Iterator[Loading]:
        """See `Server.loading`."""
        with self._errors(), contextlib.closing(self._connect(scratch)) as connection:
            yield SqliteLoading(connection)

    def close(self) -> None:
        """See `Server.close`: the folder goes with everything in it."""
        self._folder.remove()

    def __enter__(self) -> SqliteServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _path(self, scratch: Scratch) -> str:
        return os.path.join(self._folder.path, f"{scratch.name}.sqlite")

    def _connect(self, scratch: Scratch) -> sqlite3.Connection:
        # mode=rw: a database that is gone must not come back as an empty one.
        return sqlite3.connect(f"file:{self._path(scratch)}?mode=rw", uri=True, timeout=BUSY_SECONDS)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise CouldNotEvaluate(
                f"A scratch database cannot be used: {error}",
                code="scratch-failed",
                hint="Check the free space in the temporary folder, and run again.",
            ) from None
