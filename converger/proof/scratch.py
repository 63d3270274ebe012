"""Scratch databases: what a server for them can do, and the mark by which one is known to be ours.

A scratch database is made by us, carries a mark that nobody can guess, and is dropped by us. Nothing
else is ever written to. The name says which run made it: `converger_`, then eight hex digits of the
run, then eight of the database.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from converger.errors import CouldNotEvaluate

NAME = re.compile(r"converger_([0-9a-f]{8})[0-9a-f]{8}")

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Scratch:
    """One scratch database on `server`."""

    name: str
    server: Server


class StatementFailed(Exception):
    """A server refused a statement that is not ours: its words, its code for the error if it has any.

    `line` is how many lines below the beginning of the statement the fault is, or of its data if `in_data`.
    """

    def __init__(self, text: str, *, code: str | None = None, line: int = 0, in_data: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.code = code
        self.line = line
        self.in_data = in_data


class Loading(Protocol):
    """One connection to one scratch database that runs what somebody wrote, statement by statement.

    Both methods raise StatementFailed where the statement is at fault, and CouldNotEvaluate where the
    server is.
    """

    def execute(self, sql: bytes, *, may_fail: bool = False) -> None:
        """Run one statement, in the encoding of the dump. With `may_fail` a failure undoes nothing else."""

    def copy(self, sql: bytes, data: Iterable[bytes]) -> None:
        """Run a COPY … FROM STDIN with its data; only PostgreSQL has it."""

    @property
    def in_transaction(self) -> bool:
        """Whether the statements began a transaction that they have not ended."""


class Server(Protocol):
    """Where scratch databases live. All methods may be called from several threads.

    Every method raises `CouldNotEvaluate` when the server does not answer or refuses, except `drop`
    and `close`, which never fail: what cannot be dropped is left to the next run, and said.
    """

    @property
    def dialect(self) -> str:
        """SQLAlchemy's name: `postgresql` or `sqlite`."""

    @property
    def server_version(self) -> str:
        """As a person would say it: `16.4`, `3.45.1`."""

    @property
    def address(self) -> tuple[str, int] | str | None:
        """Where it is found: (host, port), or the path of its Unix socket; None where nothing listens."""

    def why_no_socket(self) -> str | None:
        """Why it cannot be reached through a Unix socket of ours; None where it can be."""

    def why_not_isolated(self) -> str | None:
        """Why migrations may reach databases that are not ours by naming them; None where they may not."""

    def beyond_rights(self, text: str) -> CouldNotEvaluate | None:
        """What to say instead of a migration's error, in the driver's words; None for one of the migration's own.

        It is not where the server refused what the account that is given to migrations has no right to.
        """

    def create(self) -> Scratch:
        """A new, empty, marked scratch database."""

    def clone(self, source: Scratch) -> Scratch:
        """A marked copy. Connections to `source` that are left over are ended first: it is ours."""

    def drop(self, scratch: Scratch) -> None:
        """Remove it, whoever is connected. Does nothing when it is gone or not ours any more."""

    def url(self, scratch: Scratch, driver: str | None) -> str:
        """The SQLAlchemy URL for the project, password included, with `driver` or without any."""

    def mark(self, scratch: Scratch) -> str:
        """The unguessable text that `mark_query` returns through a connection to this database."""

    @property
    def mark_query(self) -> str:
        """SQL that gives one row with one text: `mark(scratch)` if and only if we are connected to it."""

    def query(self, scratch: Scratch, sql: str) -> list[Row]:
        """The rows of one read-only statement, run over a connection of our own."""

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        """The rows of several read-only statements, run over one connection of our own."""

    def loading(self, scratch: Scratch) -> AbstractContextManager[Loading]:
        """A connection that may write, for a dump. Statements are committed as they are run, without waiting
        for the disk. Nothing that they set for the session is there in later connections."""

    def close(self) -> None:
        """Drop all that this run made and stop the server if it was started for it."""

    def __enter__(self) -> Server: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def new_run() -> str:
    """The part of the name that all scratch databases of one run share."""
    return secrets.token_hex(4)


def new_name(run: str) -> str:
    return f"converger_{run}{secrets.token_hex(4)}"


def run_of(name: str) -> str | None:
    """The run in a scratch database's name; None when the name is not one of ours."""
    match = NAME.fullmatch(name)
    return match.group(1) if match else None


def new_mark(created: int) -> str:
    """The mark as text: JSON that says whose, which, and when by the server's clock."""
    return json.dumps({"converger": 1, "token": secrets.token_hex(16), "created": created})


def created_in(mark: str | None) -> int | None:
    """When the mark says that its database was made; None when the text is not a mark of ours."""
    try:
        data = json.loads(mark or "")
    except ValueError:
        return None
    if not isinstance(data, dict) or set(data) != {"converger", "token", "created"}:
        return None
    token, created = data["token"], data["created"]
    if data["converger"] != 1 or not isinstance(token, str) or not re.fullmatch(r"[0-9a-f]{32}", token):
        return None
    return created if type(created) is int else None
