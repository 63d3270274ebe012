"""Running somebody's statements on a MySQL or MariaDB scratch database: what a dump goes through."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pymysql
from pymysql.constants import SERVER_STATUS

from converger.proof.mysqlconnect import Connection, is_lost, number_of
from converger.proof.scratch import StatementFailed

LOAD_SECONDS = 1800
"""How long one statement of a dump may take: an index on a big table, or many rows at once."""


class MysqlLoading:
    """See `scratch.Loading`."""

    def __init__(self, connection: Connection) -> None:
        """`connection` is in autocommit, belongs to the project's account, and nobody else uses it."""
        self._connection = connection
        # As for a client that says nothing: our own connections are laxer.
        connection.query("SET SESSION sql_mode = @@global.sql_mode")

    @property
    def in_transaction(self) -> bool:
        """See `Loading.in_transaction`."""
        status = self._connection.server_status  # type: ignore[attr-defined]
        return bool(status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    def execute(self, sql: bytes, *, may_fail: bool = False) -> None:
        """See `Loading.execute`. A statement that fails undoes nothing else here, with or without `may_fail`."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)  # type: ignore[call-overload] # bytes are sent as they are
                while cursor.nextset():  # a procedure that was called
                    pass
        except pymysql.Error as error:
            raise _failed(error) from None

    def copy(self, sql: bytes, data: Iterable[bytes]) -> None:
        """See `Loading.copy`: MySQL has no such statement."""
        raise StatementFailed("MySQL has no COPY")


def _failed(error: pymysql.Error) -> StatementFailed:
    """The error in the server's words. Raises it again where it says nothing about the statement."""
    number = number_of(error)
    if is_lost(error) or not number:
        raise error
    text = " ".join(str(error.args[-1]).split())
    line = re.search(r" at line (\d+)$", text)
    return StatementFailed(text, code=str(number), line=int(line.group(1)) - 1 if line else 0)
