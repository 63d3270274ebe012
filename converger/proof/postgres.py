"""Scratch databases on a PostgreSQL server: one that was named to us, or one that we started.

We connect to the server's maintenance database only to read and to CREATE and DROP databases. A
database is dropped only when its name has our form *and* its comment is our mark. Three facts about
PostgreSQL shape this file:

- A comment cannot be set by CREATE DATABASE. A run that is killed in between would leave a database
  that nobody may ever touch. So it is created with connections forbidden and an odd connection limit,
  which *is* part of CREATE DATABASE, and opened in the same transaction that sets the comment.
- Neither the comment nor ALTER DATABASE … SET is copied by TEMPLATE, so both are set on each clone.
- Sessions end when a process is killed, so a session's advisory lock says whether a run is alive.
"""

# ruff: noqa: S608 - SQL is put together from our own names and from quoted identifiers only

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType

import psycopg

from converger.errors import CouldNotEvaluate
from converger.folders import STALE_SECONDS
from converger.proof import pgconnect
from converger.proof.pgload import PostgresLoading
from converger.proof.scratch import (
    NAME,
    Loading,
    Row,
    Scratch,
    created_in,
    new_mark,
    new_name,
    new_run,
    run_of,
)
from converger.proof.urls import DatabaseUrl, format_url, query_for_driver

OLDEST_VERSION = 12
UNFINISHED_LIMIT = 1_129_270_870
"""The connection limit of a database that is being made. Nobody sets such a limit by hand."""
LOCK_CLASS = 0x636F6E76
"""First key of the advisory locks; the second is the run. Says "conv"."""
DISCONNECT_SECONDS = 15
SWEEP_SECONDS = 30

_MARK_QUERY = "SELECT datname || ' ' || oid FROM pg_database WHERE datname = current_database()"


class PostgresServer:
    """See `scratch.Server`. `stop` ends a server that was started for this run."""

    dialect = "postgresql"
    mark_query = _MARK_QUERY
    address: tuple[str, int] | str
    """Where the server is found: (IP address, port), or the path of its Unix socket (`@`: an abstract one)."""

    def __init__(
        self, url: DatabaseUrl, *, progress: Callable[[str], None], stop: Callable[[], None] | None = None
    ) -> None:
        """Connects, looks whether it can be used, sweeps leftovers of dead runs. Raises CouldNotEvaluate."""
        self._progress = progress
        self._stop = stop
        self._lock = threading.RLock()
        self._busy: dict[str, threading.RLock] = {}
        self._busy_lock = threading.Lock()
        self._made: dict[str, tuple[str | None, int | None]] = {}
        self._run = new_run()
        self._libpq = pgconnect.libpq_words()
        candidates = dict.fromkeys(name for name in (url.database, "postgres", "template1") if name)
        self._connection, self._maintenance = pgconnect.connect_anywhere(url, tuple(candidates))
        try:
            self._url = pgconnect.resolved(url, self._connection)
            self.address = _address(self._connection)
            self.server_version, self._major = self._check_server()
            self._take_lock()
            if stop is None:
                self._sweep()
        except psycopg.Error as error:
            self._connection.close()
            raise pgconnect.explain(error, url) from None
        except BaseException:
            self._connection.close()
            raise

    # -- scratch databases

    def why_not_isolated(self) -> str | None:
        """See `Server.why_not_isolated`: a connection of PostgreSQL reaches its own database only."""
        return None

    def beyond_rights(self, text: str) -> CouldNotEvaluate | None:
        """See `Server.beyond_rights`: migrations run as whoever makes the databases."""
        return None

    def create(self) -> Scratch:
        """See `Server.create`.

        From template0, not template1: the same empty database on every server, whatever a site added to
        its template1, always UTF8, and nobody can be connected to template0 and so block the copy.
        """
        with self._errors(), self._lock:
            try:
                return self._make("template0", "ENCODING = 'UTF8'")
            except psycopg.errors.InvalidParameterValue:
                # The server's own locale forbids UTF8.
                return self._make("template0", "ENCODING = 'UTF8' LC_COLLATE = 'C' LC_CTYPE = 'C'")

    def clone(self, source: Scratch) -> Scratch:
        """See `Server.clone`. Raises CouldNotEvaluate `scratch-in-use` when others keep connecting."""
        with self._errors(), self._exclusive(source), self._lock:
            deadline = time.monotonic() + DISCONNECT_SECONDS
            while True:
                self._disconnect(source.name, deadline)
                try:
                    made = self._make(source.name, "")
                    break
                except psycopg.errors.ObjectInUse:
                    if time.monotonic() > deadline:
                        raise
            self._copy_settings(source.name, made.name)
            return made

    def drop(self, scratch: Scratch) -> None:
        """See `Server.drop`."""
        try:
            with self._exclusive(scratch), self._lock:
                self._drop(scratch.name)
        except (psycopg.Error, CouldNotEvaluate) as error:
            reason = " ".join(str(error).split())
            self._progress(f"scratch database {scratch.name} is left to the next run: {reason}")

    def why_no_socket(self) -> str | None:
        """See `Server.why_no_socket`."""
        from converger.proof.forwarder import why_not

        with self._errors(), self._lock:
            return why_not(self._url, self._connection)

    def url(self, scratch: Scratch, driver: str | None) -> str:
        """See `Server.url`. The URL's parameters are kept as far as `driver` knows them."""
        query = query_for_driver(self._url, driver, self._libpq)
        return format_url(replace(self._url, driver=driver, database=scratch.name, query=query))

    def mark(self, scratch: Scratch) -> str:
        """See `Server.mark`: its random name and its oid. A migration may change the comment, but not these."""
        # Without the lock, which a clone holds for a while: one look into a dict is safe.
        _, oid = self._made[scratch.name]
        assert oid is not None
        return f"{scratch.name} {oid}"

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """See `Server.query`."""
        return self.query_all(scratch, [sql])[0]

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """See `Server.query_all`. The session is read only, and one connection serves all statements."""
        with (
            self._errors(),
            self._exclusive(scratch),
            pgconnect.connect(self._url, scratch.name) as connection,
        ):
            connection.execute(b"SET default_transaction_read_only = on")
            answers = []
            for statement in statements:
                cursor = connection.execute(statement.encode())
                answers.append(cursor.fetchall() if cursor.description else [])
            return answers

    @contextlib.contextmanager
    def loading(self, scratch: Scratch) -> Iterator[Loading]:
        """See `Server.loading`."""
        with (
            self._errors(),
            self._exclusive(scratch),
            pgconnect.connect(self._url, scratch.name) as connection,
        ):
            yield PostgresLoading(connection)

    def close(self) -> None:
        """See `Server.close`. An embedded server is stopped as a whole; dropping first would take time."""
        try:
            if self._stop is None:
                for name in list(self._made):
                    self.drop(Scratch(name, self))
            self._connection.close()
        finally:
            if self._stop is not None:
                self._stop()

    def __enter__(self) -> PostgresServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the server

    def _check_server(self) -> tuple[str, int]:
        rows = self._rows(
            "SELECT version(), current_setting('server_version'), current_setting('server_version_num')::int,"
            " pg_is_in_recovery(),"
            " (SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user)"
        )
        product, version, number, standby, may_create = rows[0]
        if not product.startswith("PostgreSQL"):
            raise CouldNotEvaluate(
                f"The server says that it is {product.split()[0]}, not PostgreSQL.",
                code="unsupported-dialect",
                hint="Name a PostgreSQL server in --database-url, or leave the option out.",
            )
        major = number // 10_000
        if major < OLDEST_VERSION:
            raise CouldNotEvaluate(
                f"PostgreSQL {version} is older than {OLDEST_VERSION}, the oldest that is supported.",
                code="unsupported-server",
                hint="Name a newer server in --database-url, or leave the option out.",
            )
        if standby:
            raise CouldNotEvaluate(
                "The server is a read-only standby.",
                code="missing-privilege",
                hint="Name a server in --database-url on which databases can be created.",
            )
        if not may_create:
            raise pgconnect.missing_privilege(self._url.user, "it lacks CREATEDB.")
        return version.split()[0], major

    def _take_lock(self) -> None:
        while not self._rows(f"SELECT pg_try_advisory_lock({LOCK_CLASS}, {_lock_key(self._run)})")[0][0]:
            self._run = new_run()

    def _sweep(self) -> None:
        """Drop what runs that are dead left behind. What cannot be dropped is somebody else's problem."""
        live = {
            f"{row[0]:08x}"
            for row in self._rows(
                "SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
                f" AND classid = {LOCK_CLASS} AND objsubid = 2"
            )
        }
        found = self._rows(
            "SELECT d.datname, shobj_description(d.oid, 'pg_database'), d.datallowconn, d.datconnlimit,"
            " extract(epoch FROM now())::bigint, EXISTS (SELECT 1 FROM pg_stat_activity a"
            " WHERE a.datid = d.oid AND a.usesysid IS NOT NULL) FROM pg_database d"
            f" WHERE d.datname ~ '^{NAME.pattern}$' AND pg_has_role(d.datdba, 'USAGE') ORDER BY 1"
        )
        deadline = time.monotonic() + SWEEP_SECONDS
        for name, comment, open_, limit, now, connected in found:
            if time.monotonic() > deadline:
                return
            if run_of(name) in live or connected:
                continue
            created = created_in(comment)
            unfinished = comment is None and not open_ and limit == UNFINISHED_LIMIT
            if unfinished or (created is not None and created <= now - STALE_SECONDS):
                with contextlib.suppress(psycopg.Error):
                    # No FORCE: who has connected in the meantime keeps it.
                    self._rows(f'DROP DATABASE IF EXISTS "{name}"')
                    self._progress(f"dropped {name}, left behind by an earlier run")

    # -- one database

    def _make(self, template: str, options: str) -> Scratch:
        name = new_name(self._run)
        self._made[name] = (None, None)
        if self._stop is not None and self._major >= 15:
            # Median of 8 copies, PostgreSQL 15, in memory: empty 9 ms against 22 ms with WAL_LOG, with 300
            # tables 34 ms against 96 ms. On somebody's server the default stays: FILE_COPY makes the whole
            # server write a checkpoint, twice, and its data goes to disk (empty 280 ms against 42 to 250 ms).
            options += " STRATEGY = FILE_COPY"
        self._rows(
            f'CREATE DATABASE "{name}" TEMPLATE = "{template}" {options}'
            f" ALLOW_CONNECTIONS = false CONNECTION LIMIT = {UNFINISHED_LIMIT}"
        )
        oid, now = self._rows(
            f"SELECT oid, extract(epoch FROM now())::bigint FROM pg_database WHERE datname = '{name}'"
        )[0]
        mark = new_mark(now)
        self._made[name] = (mark, oid)
        # Sent as one string: one transaction.
        self._rows(
            f"COMMENT ON DATABASE \"{name}\" IS '{mark}';"
            f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true CONNECTION LIMIT -1'
        )
        return Scratch(name, self)

    def _drop(self, name: str) -> None:
        found = self._rows(
            "SELECT oid, shobj_description(oid, 'pg_database'), datallowconn, datconnlimit"
            f" FROM pg_database WHERE datname = '{name}'"
        )
        if found and self._is_ours(name, *found[0]):
            if self._major >= 13:
                # A session that ends takes a moment, and FORCE looks again only after 100 ms.
                deadline = time.monotonic() + 0.05
                while self._end_ours(name) and time.monotonic() < deadline:
                    time.sleep(0.002)
                self._rows(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            else:
                self._rows(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
                self._disconnect(name, time.monotonic() + DISCONNECT_SECONDS)
                self._rows(f'DROP DATABASE IF EXISTS "{name}"')
        self._made.pop(name, None)

    def _is_ours(self, name: str, oid: int, comment: str | None, open_: bool, limit: int) -> bool:
        """Whether this run made it. A migration may have changed the comment; the oid then still tells."""
        if run_of(name) != self._run or name not in self._made:
            return False
        mark, made = self._made[name]
        unfinished = comment is None and not open_ and limit == UNFINISHED_LIMIT
        return unfinished or (comment is not None and comment == mark) or (made is not None and oid == made)

    def _disconnect(self, name: str, deadline: float) -> None:
        """End the connections of our own role to a database of ours, and wait until nobody is there."""
        while left := self._end_ours(name):
            if time.monotonic() > deadline:
                raise CouldNotEvaluate(
                    f"{left} connections to the scratch database {name} do not end.",
                    code="scratch-in-use",
                    hint="Stop the processes that keep connecting to it, and run again.",
                )
            time.sleep(0.002)

    def _end_ours(self, name: str) -> int:
        """Tell the sessions of our own role in a database of ours to end; how many there are of anybody.

        Who has a user is a client: `backend_type` is hidden from those who may not see all. PostgreSQL
        itself ends an autovacuum that is in the way.
        """
        sessions = self._rows(
            "SELECT CASE WHEN usename = session_user THEN pg_terminate_backend(pid) END FROM pg_stat_activity"
            f" WHERE datname = '{name}' AND usesysid IS NOT NULL AND pid <> pg_backend_pid()"
        )
        return len(sessions)

    def _copy_settings(self, source: str, target: str) -> None:
        """Give a clone what migrations did by ALTER DATABASE … SET and ALTER ROLE … IN DATABASE … SET."""
        settings = self._rows(
            "SELECT r.rolname, s.setconfig FROM pg_db_role_setting s"
            " JOIN pg_database d ON d.oid = s.setdatabase"
            f" LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE d.datname = '{source}'"
        )
        for role, configuration in settings:
            what = f'DATABASE "{target}"'
            if role is not None:
                what = f"ROLE {_quoted(role)} IN {what}"
            for entry in configuration:
                key, _, value = entry.partition("=")
                name = ".".join(_quoted(part) for part in key.split("."))
                with self._connection.transaction():
                    # FROM CURRENT takes a list (search_path) over as it is; a literal would be quoted again.
                    self._connection.execute("SELECT set_config(%s, %s, true)", (key, value))
                    self._connection.execute(f"ALTER {what} SET {name} FROM CURRENT".encode())

    # -- plumbing

    def _rows(self, sql: str) -> list[Row]:
        """Run one statement on the maintenance connection, which is opened again if it broke before."""
        with self._lock:
            if self._connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                # Broken, or left in the middle of something by Ctrl-C.
                self._connection.close()
                self._connection = pgconnect.connect(self._url, self._maintenance)
                self._connection.execute(
                    f"SELECT pg_try_advisory_lock({LOCK_CLASS}, {_lock_key(self._run)})".encode()
                )
            cursor = self._connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []

    @contextlib.contextmanager
    def _exclusive(self, scratch: Scratch) -> Iterator[None]:
        """Keep a clone or drop of one thread from ending the query of another on the same database."""
        with self._busy_lock:  # not the big one: a query need not wait for another database's clone
            lock = self._busy.setdefault(scratch.name, threading.RLock())
        with lock:
            yield

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise pgconnect.explain(error, self._url) from None


def _address(connection: pgconnect.Connection) -> tuple[str, int] | str:
    info = connection.info
    if info.host.startswith(("/", "@")):
        return f"{info.host}/.s.PGSQL.{info.port}"
    return info.hostaddr or info.host, info.port


def _lock_key(run: str) -> int:
    """The run as PostgreSQL's signed 32-bit key."""
    value = int(run, 16)
    return value - (1 << 32) if value >= 1 << 31 else value


def _quoted(name: str) -> str:
    return '"' + re.sub('"', '""', name) + '"'
