"""Scratch databases on a MySQL or MariaDB server: one that was named to us, or one that we started.

MySQL has no comment on a database, so what is ours is written down in a registry, one more database of
the run (`mysqlregistry`). Three facts shape this file:

- What is to be made is registered *before* it is made. A run that is killed at any moment leaves a
  registry that names all it has left.
- The project must not be able to change the registry, nor reach any other database by its name: it
  connects with an account of this run (`mysqlaccount`), where the server lets us make one.
- Sessions end when a process is killed, so a session's GET_LOCK says whether a run is alive.
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

import pymysql

from converger.errors import CouldNotEvaluate
from converger.proof import mysqlaccount, mysqlconnect
from converger.proof.mysqlclone import Copy
from converger.proof.mysqlconnect import Connection, is_lost, number_of
from converger.proof.mysqlload import LOAD_SECONDS, MysqlLoading
from converger.proof.mysqlregistry import Registry, account_of, lock_of, sweep
from converger.proof.scratch import Loading, Row, Scratch, new_name, new_run, run_of
from converger.proof.urls import DatabaseUrl, format_url, query_for_driver

OLDEST_MYSQL = (5, 7)
OLDEST_MARIADB = (10, 3)
DISCONNECT_SECONDS = 15


class MysqlServer:
    """See `scratch.Server`. `stop` ends a server that was started for this run.

    `address` is where the server listens, (host, port) or the path of a Unix socket.
    """

    dialect = "mysql"

    def __init__(
        self, url: DatabaseUrl, *, progress: Callable[[str], None], stop: Callable[[], None] | None = None
    ) -> None:
        """Connects, looks whether it can be used, sweeps leftovers of dead runs. Raises CouldNotEvaluate."""
        self._progress = progress
        self._stop = stop
        self._lock = threading.RLock()
        self._busy: dict[str, threading.RLock] = {}
        self._busy_lock = threading.Lock()
        self._made: dict[str, str | None] = {}
        self._run = new_run()
        self._account: mysqlaccount.Account | None = None
        self._not_isolated: str | None = None
        self._registered = False
        self._sessions: Connection | None = None
        self._connection, self._url = mysqlconnect.connect_anywhere(url)
        self._tls = mysqlconnect.tls_of(self._connection)
        self.address = mysqlconnect.address_of(self._url)
        try:
            with self._errors():
                self.server_version = self._check_server()
                self._take_lock()
                if stop is None:
                    sweep(self._rows, in_use=self._in_use, progress=progress)
                self._registry = Registry(self._rows, self._run)
                self._registry.make()
                self._registered = True
                self._make_account()
        except BaseException:
            self._undo()
            self._close_connections()
            raise

    # -- scratch databases

    def create(self) -> Scratch:
        """See `Server.create`. The character set is the server's own, as for any new database there."""
        with self._errors(), self._lock:
            return self._make("")

    def clone(self, source: Scratch) -> Scratch:
        """See `Server.clone`. Made by our own dump and load inside the server (`mysqlclone`)."""
        with self._errors(), self._exclusive(source):
            self._disconnect(source.name)
            found = self._rows(
                "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata"
                f" WHERE schema_name = '{source.name}'"
            )
            if not found:
                raise pymysql.err.OperationalError(
                    mysqlconnect.NO_SUCH_DATABASE, f"Unknown database '{source.name}'"
                )
            target = self._make(f" CHARACTER SET {found[0][0]} COLLATE {found[0][1]}")
            try:
                with (
                    contextlib.closing(mysqlconnect.connect(self._url, tls=self._tls)) as reader,
                    contextlib.closing(self._connect(target.name)) as writer,
                ):
                    Copy(reader=reader, writer=writer, source=source.name, target=target.name).run()
            except BaseException:
                self.drop(target)
                raise
            return target

    def drop(self, scratch: Scratch) -> None:
        """See `Server.drop`."""
        try:
            with self._errors(), self._exclusive(scratch):
                self._drop(scratch.name)
        except CouldNotEvaluate as error:
            reason = " ".join(str(error).split())
            self._progress(f"scratch database {scratch.name} is left to the next run: {reason}")

    def why_no_socket(self) -> str | None:
        """See `Server.why_no_socket`."""
        with self._errors(), self._lock:
            return mysqlconnect.why_no_socket(self._url, self._connection)

    def url(self, scratch: Scratch, driver: str | None) -> str:
        """See `Server.url`. The URL's parameters are kept as far as `driver` knows them."""
        query = query_for_driver(self._url, driver, frozenset())
        return format_url(replace(self._project_url, driver=driver, database=scratch.name, query=query))

    def mark(self, scratch: Scratch) -> str:
        """See `Server.mark`: what the registry says of the database."""
        mark = self._made[scratch.name]
        assert mark is not None
        return mark

    @property
    def mark_query(self) -> str:
        """See `Server.mark_query`. Fails where there is no registry of this run, on any other server."""
        return self._registry.mark_query

    def why_not_isolated(self) -> str | None:
        """See `Server.why_not_isolated`: where no account for this run could be made."""
        return self._not_isolated

    def beyond_rights(self, text: str) -> CouldNotEvaluate | None:
        """See `Server.beyond_rights`."""
        return self._account.beyond_rights(text) if self._account else None

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """See `Server.query`."""
        return self.query_all(scratch, [sql])[0]

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """See `Server.query_all`. The session is read only, and one connection serves all statements."""
        with (
            self._errors(),
            self._exclusive(scratch),
            contextlib.closing(self._connect(scratch.name)) as connection,
        ):
            mysqlconnect.rows(connection, "SET SESSION TRANSACTION READ ONLY")
            return [mysqlconnect.rows(connection, statement) for statement in statements]

    @contextlib.contextmanager
    def loading(self, scratch: Scratch) -> Iterator[Loading]:
        """See `Server.loading`. With the project's account, so that a dump reaches no other database."""
        with (
            self._errors(),
            self._exclusive(scratch),
            contextlib.closing(self._connect(scratch.name, LOAD_SECONDS)) as connection,
        ):
            yield MysqlLoading(connection)

    def close(self) -> None:
        """See `Server.close`. An embedded server is stopped as a whole; dropping first would take time."""
        try:
            if self._stop is None:
                for name in list(self._made):
                    self.drop(Scratch(name, self))
                self._undo()
            self._close_connections()
        finally:
            if self._stop is not None:
                self._stop()

    def __enter__(self) -> MysqlServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the server

    def _check_server(self) -> str:
        version, read_only = self._rows("SELECT VERSION(), @@global.read_only")[0]
        match = re.match(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.\d+", version)
        mariadb = "mariadb" in version.lower()
        other = re.search(r"TiDB|Vitess|OceanBase|SingleStore|MemSQL", version, re.IGNORECASE)
        oldest = OLDEST_MARIADB if mariadb else OLDEST_MYSQL
        if match is None or other or (int(match[1]), int(match[2])) < oldest:
            raise CouldNotEvaluate(
                f"The server says that it is {version}. MySQL {'.'.join(map(str, OLDEST_MYSQL))} and"
                f" MariaDB {'.'.join(map(str, OLDEST_MARIADB))} are the oldest that are supported.",
                code="unsupported-server",
                hint="Name another server with --database-url, or leave the option out.",
            )
        if read_only:
            raise CouldNotEvaluate(
                "The server is read-only.",
                code="missing-privilege",
                hint="Name a server in --database-url on which databases can be created.",
            )
        number = re.match(r"(?:5\.5\.5-)?([\d.]+)", version)
        assert number is not None
        return number[1] + ("-MariaDB" if mariadb else "")

    def _take_lock(self) -> None:
        while not self._rows(f"SELECT GET_LOCK('{lock_of(self._run)}', 0)")[0][0]:
            self._run = new_run()

    def _make_account(self) -> None:
        name = account_of(self._run)
        self._registry.add(name)
        try:
            self._account = mysqlaccount.create(
                self._rows,
                name,
                self._url,
                registry=self._registry.name,
                probe=f"converger_{self._run}00000000",
                alone=self._stop is not None,
            )
        except pymysql.Error as error:
            if is_lost(error) and number_of(error) not in mysqlconnect.AUTHENTICATION:
                raise
            self._registry.remove(name)
            reason = mysqlconnect.explain(error, self._url).message
            self._not_isolated = (
                f"migrations run as {self._url.user}, who may reach other databases on this server,"
                f" because no account for this run can be made: {reason}"
            )
            self._progress(self._not_isolated)

    @property
    def _project_url(self) -> DatabaseUrl:
        return self._account.url if self._account else self._url

    def _undo(self) -> None:
        """Drop the account and then the registry, which says what else is left."""
        with contextlib.suppress(pymysql.Error):
            if self._account is not None:
                self._end_sessions(None)
                mysqlaccount.forget(self._rows, self._account.name)
                self._registry.remove(self._account.name)
            if self._registered and not self._made:
                self._registry.drop()

    def _close_connections(self) -> None:
        for connection in (self._sessions, self._connection):
            if connection is not None and connection.open:
                with contextlib.suppress(pymysql.Error):
                    connection.close()

    # -- one database

    def _make(self, options: str) -> Scratch:
        name = new_name(self._run)
        with self._lock:
            self._made[name] = None
            mark = self._registry.add(name)
            try:
                self._rows(f"CREATE DATABASE {name}{options}")
            except pymysql.Error as error:
                if not is_lost(error):
                    self._forget(name)
                raise
            if self._account is not None:
                self._account.may_use(name)
            self._made[name] = mark
        return Scratch(name, self)

    def _drop(self, name: str) -> None:
        """Whatever is there by this name is ours: it was made, or made anew, after we chose the name."""
        if run_of(name) != self._run or name not in self._made:
            return
        self._disconnect(name)
        self._rows(f"DROP DATABASE IF EXISTS {name}")
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._registry.remove(name)
        self._made.pop(name, None)

    def _disconnect(self, name: str) -> None:
        """End the connections to a database of ours, and wait until none is left."""
        deadline = time.monotonic() + DISCONNECT_SECONDS
        while left := self._end_sessions(name):
            if time.monotonic() > deadline:
                raise CouldNotEvaluate(
                    f"{left} connections to the scratch database {name} do not end.",
                    code="scratch-in-use",
                    hint="Stop the processes that keep connecting to it, and run again.",
                )
            time.sleep(0.002)

    def _end_sessions(self, database: str | None) -> int:
        """Tell sessions of the project to end, in one database or in all; how many there are.

        Other people's are left alone: one that is idle is in nobody's way here. Everybody may see and end
        sessions of their own account, so it is done with that.
        """
        with self._lock:
            if self._sessions is None or not self._sessions.open:
                self._sessions = mysqlconnect.connect(self._project_url, tls=self._tls)
            own = mysqlconnect.rows(self._sessions, "SELECT CONNECTION_ID()")[0][0]
            found = [
                number
                for number, user, connected in mysqlconnect.sessions(self._sessions)
                if user == self._project_url.user and number != own and database in (None, connected)
            ]
            for number in found:
                with contextlib.suppress(pymysql.err.OperationalError):  # gone by itself
                    mysqlconnect.rows(self._sessions, f"KILL {number}")
            return len(found)

    def _in_use(self) -> set[str | None]:
        with self._lock:
            return {connected for _, _, connected in mysqlconnect.sessions(self._connection)}

    # -- plumbing

    def _connect(self, database: str, seconds: int = mysqlconnect.STATEMENT_SECONDS) -> Connection:
        return mysqlconnect.connect(self._project_url, database, statement_seconds=seconds, tls=self._tls)

    def _rows(self, sql: str) -> list[Row]:
        """Run one statement on the maintenance connection, which is opened again if it broke before."""
        with self._lock:
            if not self._connection.open:
                self._connection = mysqlconnect.connect(self._url)
                mysqlconnect.rows(self._connection, f"SELECT GET_LOCK('{lock_of(self._run)}', 0)")
            try:
                return mysqlconnect.rows(self._connection, sql)
            except BaseException as error:
                # Lost, or left in the middle of something by Ctrl-C.
                if not isinstance(error, pymysql.Error) or is_lost(error):
                    with contextlib.suppress(pymysql.Error):
                        self._connection.close()
                raise

    @contextlib.contextmanager
    def _exclusive(self, scratch: Scratch) -> Iterator[None]:
        """Keep a clone or drop of one thread from ending the query of another on the same database."""
        with self._busy_lock:
            lock = self._busy.setdefault(scratch.name, threading.RLock())
        with lock:
            yield

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except pymysql.Error as error:
            raise mysqlconnect.explain(error, self._url) from None
