"""Running somebody's statements on a PostgreSQL scratch database: the connection that a dump goes through."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psycopg
from psycopg.pq import TransactionStatus

from converger.proof.pgconnect import Connection
from converger.proof.scratch import StatementFailed

LOAD_SECONDS = 1800
"""How long one statement of a dump may take: an index on a big table, or all rows of one."""

# What the server says about itself and not about a statement: lost connection, operator's intervention.
_SERVERS_FAULT = ("08", "57P")


class PostgresLoading:
    """See `scratch.Loading`. Each statement commits at once, unless the dump begins a transaction itself.

    One big transaction would be no faster once a commit does not wait for the disk, and much could not
    run in it: CREATE INDEX CONCURRENTLY, a new value of an enum that is used, more tables than there
    are locks.
    """

    def __init__(self, connection: Connection) -> None:
        """`connection` is in autocommit and nobody else uses it."""
        self._connection = connection
        connection.prepare_threshold = None  # nothing in a dump comes twice
        connection.execute(
            f"SET synchronous_commit = off; SET statement_timeout = '{LOAD_SECONDS}s'".encode()
        )

    @property
    def in_transaction(self) -> bool:
        """See `Loading.in_transaction`."""
        return self._connection.info.transaction_status != TransactionStatus.IDLE

    def execute(self, sql: bytes, *, may_fail: bool = False) -> None:
        """See `Loading.execute`."""
        guarded = may_fail and self.in_transaction
        if guarded:
            self._connection.execute(b"SAVEPOINT converger_dump")
        try:
            self._connection.execute(sql)
        except psycopg.Error as error:
            failed = _failed(error, sql)
            if guarded:
                self._connection.execute(b"ROLLBACK TO SAVEPOINT converger_dump")
            raise failed from None
        if guarded:
            self._connection.execute(b"RELEASE SAVEPOINT converger_dump")

    def copy(self, sql: bytes, data: Iterable[bytes]) -> None:
        """See `Loading.copy`."""
        try:
            with self._connection.cursor().copy(sql) as copy:
                for block in data:
                    copy.write(block)
        except psycopg.Error as error:
            raise _failed(error, sql) from None


def _failed(error: psycopg.Error, sql: bytes) -> StatementFailed:
    """The error in the server's words. Raises it again where it says nothing about the statement."""
    if error.sqlstate is None or error.sqlstate.startswith(_SERVERS_FAULT):
        raise error
    said = error.diag
    text = said.message_primary or str(error)
    if said.message_detail:
        text += f" ({said.message_detail})"
    line = 0
    in_data = re.search(r"^COPY .*?, \D*(\d+)", said.context or "", re.MULTILINE)
    if in_data:
        line = int(in_data.group(1)) - 1
    elif said.statement_position:
        line = sql[: int(said.statement_position) - 1].count(b"\n")
    return StatementFailed(
        " ".join(text.split()), code=error.sqlstate, line=line, in_data=in_data is not None
    )
