"""A laboratory for the squares whose steps run SQL on real databases, without Alembic: quick enough for hundreds of them."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from itertools import count

from converger.proof.facts import Difference, Fingerprint, Mask, RowDifference
from converger.proof.findings import Done
from converger.proof.fingerprints import explain_rows, noise, read_fingerprint
from converger.proof.lattice import Step
from converger.proof.scratch import Row, Scratch, Server
from converger.proof.upgrade import Failure
from tests.proof.generated.generator import Branches, Sql
from tests.proof.generated.oracle import PostgresDatabase, apply_to_sqlite


class SqlLaboratory:
    """See `squares.Laboratory`. A place is a scratch database."""

    def __init__(self, branches: Branches, server: MemoryServer | ReplayServer) -> None:
        self._sql = branches.sql
        self._server: Server = server  # type: ignore[assignment]
        self._apply = server.apply
        self._open = 0
        self._lock = threading.Lock()
        self.start = server.create()
        error = server.apply(self.start, branches.base)
        assert error is None, error

    def run(self, place: Scratch, step: Step, mask: Mask) -> Done[Scratch]:
        """See `Laboratory.run`."""
        after = self._server.clone(place)
        error = self._apply(after, self._sql[step.revision])
        if error is not None:
            self._server.drop(after)
            return Done(step, 0.0, failure=Failure("Error", error, revision=step.revision))
        self._count(1)
        return Done(step, 0.0, place=after, fingerprint=self.read(after, mask))

    def read(self, place: Scratch, mask: Mask) -> Fingerprint:
        """See `Laboratory.read`."""
        return read_fingerprint(self._server, place, exclude=frozenset(), mask=mask)

    def noise(self, first: Scratch, second: Scratch, found: Sequence[Difference]) -> Mask:
        """See `Laboratory.noise`."""
        return noise(self._server, first, second, found)

    def rows(
        self, first: Scratch, second: Scratch, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        """See `Laboratory.rows`."""
        tables = [one.object for one in found if one.kind == "rows"]
        some = [explain_rows(self._server, first, second, table, mask=mask) for table in tables]
        return tuple(one for one in some if one is not None)

    def drop(self, place: Scratch) -> None:
        """See `Laboratory.drop`."""
        self._count(-1)
        self._server.drop(place)

    def wait(self) -> None:
        """See `Laboratory.wait`: no clock is read."""

    def stop(self) -> None:
        """See `Laboratory.stop`."""

    def close(self) -> None:
        """Drop the start. Every other place must have been dropped."""
        self._server.drop(self.start)
        assert self._open == 0, "a place was forgotten"

    def _count(self, change: int) -> None:
        with self._lock:
            self._open += change


class MemoryServer:
    """SQLite databases in memory: as much of `scratch.Server` as fingerprints and the laboratory use."""

    dialect = "sqlite"
    server_version = sqlite3.sqlite_version

    def __init__(self) -> None:
        self._names = count()
        self._open: dict[str, tuple[threading.Lock, sqlite3.Connection]] = {}

    def create(self) -> Scratch:
        """See `Server.create`."""
        scratch = Scratch(f"memory{next(self._names)}", self)  # type: ignore[arg-type]
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._open[scratch.name] = threading.Lock(), connection
        return scratch

    def clone(self, source: Scratch) -> Scratch:
        """See `Server.clone`."""
        target = self.create()
        with self.using(source) as reading, self.using(target) as writing:
            reading.backup(writing)
        return target

    def drop(self, scratch: Scratch) -> None:
        """See `Server.drop`."""
        self._open.pop(scratch.name)[1].close()

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """See `Server.query`."""
        return self.query_all(scratch, [sql])[0]

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """See `Server.query_all`."""
        with self.using(scratch) as connection:
            return [connection.execute(statement).fetchall() for statement in statements]

    def apply(self, scratch: Scratch, statements: Sql) -> str | None:
        """Run a revision's statements."""
        with self.using(scratch) as connection:
            return apply_to_sqlite(connection, statements)

    @contextlib.contextmanager
    def using(self, scratch: Scratch) -> Iterator[sqlite3.Connection]:
        """Its connection, for one thread at a time."""
        lock, connection = self._open[scratch.name]
        with lock:
            yield connection


class ReplayServer:
    """PostgreSQL databases that are one after the other in one real database, by running again what each has run.

    As much of `scratch.Server` as fingerprints and the laboratory use. Clones and new sessions would take a second
    for each project; what the catalogs' queries cost in a session that has run them before is far less.
    """

    dialect = "postgresql"

    def __init__(self, database: PostgresDatabase) -> None:
        self._database = database
        self.server_version = database.version
        self._names = count()
        self._ran: dict[str, tuple[Sql, ...]] = {}
        self._now: str | None = None
        self._lock = threading.RLock()

    def create(self) -> Scratch:
        """See `Server.create`."""
        return self._new(())

    def clone(self, source: Scratch) -> Scratch:
        """See `Server.clone`."""
        return self._new(self._ran[source.name])

    def drop(self, scratch: Scratch) -> None:
        """See `Server.drop`."""
        del self._ran[scratch.name]

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """See `Server.query`."""
        return self.query_all(scratch, [sql])[0]

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """See `Server.query_all`."""
        with self._lock:
            self._become(scratch)
            return self._database.query_all(statements)

    def apply(self, scratch: Scratch, statements: Sql) -> str | None:
        """Run a revision's statements."""
        with self._lock:
            self._become(scratch)
            error = self._database.apply(statements)
            if error is None:
                self._ran[scratch.name] = (*self._ran[scratch.name], statements)
            return error

    def _new(self, ran: tuple[Sql, ...]) -> Scratch:
        scratch = Scratch(f"replay{next(self._names)}", self)  # type: ignore[arg-type]
        self._ran[scratch.name] = ran
        return scratch

    def _become(self, scratch: Scratch) -> None:
        if self._now != scratch.name:
            self._now = scratch.name
            base, *later = self._ran[scratch.name] or [()]
            self._database.reset(base)
            for statements in later:
                error = self._database.apply(statements)
                assert error is None, error
