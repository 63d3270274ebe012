"""What one run makes on a MySQL or MariaDB server, written down there, and clearing up after dead runs.

Each run has a database of its own for this, with one table: name and mark of everything it makes,
written before it is made. Only the registry itself exists before it can say so: an empty database with our
name and a collation that nobody takes is one whose making was interrupted.
"""

# ruff: noqa: S608 - SQL is put together from our own names only

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable

import pymysql

from converger.folders import STALE_SECONDS
from converger.proof import mysqlaccount
from converger.proof.scratch import Row, created_in, new_mark, run_of

PATTERN = re.compile(r"converger_registry_([0-9a-f]{8})")
UNFINISHED_COLLATION = "utf16_esperanto_ci"
"""The collation of every registry. Nobody takes it by hand."""
SWEEP_SECONDS = 30

Run = Callable[[str], list[Row]]


class Registry:
    """The registry of one run. All methods raise pymysql.Error as it comes."""

    def __init__(self, execute: Run, run: str) -> None:
        """`execute` gives the rows of a statement; the run's lock is taken."""
        self._execute = execute
        self.name = f"converger_registry_{run}"

    def make(self) -> None:
        """Make it; nothing is left where that fails half-way."""
        self._execute(f"CREATE DATABASE {self.name} CHARACTER SET utf16 COLLATE {UNFINISHED_COLLATION}")
        try:
            # Binary, so that a mark is told from another in every character, whoever compares.
            self._execute(
                f"CREATE TABLE {self.name}.made (name VARCHAR(64) NOT NULL PRIMARY KEY,"
                " mark VARCHAR(200) NOT NULL) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
            )
            self.add(self.name)
        except BaseException:
            with contextlib.suppress(pymysql.Error):
                self.drop()
            raise

    def add(self, name: str) -> str:
        """Write down what is about to be made; its mark."""
        mark = new_mark(int(self._execute("SELECT UNIX_TIMESTAMP()")[0][0]))
        self._execute(f"INSERT INTO {self.name}.made VALUES ('{name}', '{mark}')")
        return mark

    def remove(self, name: str) -> None:
        """What was made is gone."""
        self._execute(f"DELETE FROM {self.name}.made WHERE name = '{name}'")

    def drop(self) -> None:
        self._execute(f"DROP DATABASE {self.name}")

    @property
    def mark_query(self) -> str:
        """SQL for the mark of the database that one is connected to."""
        return f"SELECT mark FROM {self.name}.made WHERE name = DATABASE()"


def lock_of(run: str) -> str:
    """The name of the lock that a session of a live run holds."""
    return f"converger_{run}"


def account_of(run: str) -> str:
    """The name of a run's account."""
    return f"converger_{run}"


def sweep(execute: Run, *, in_use: Callable[[], set[str | None]], progress: Callable[[str], None]) -> None:
    """Drop what runs that are dead left behind. What cannot be dropped is somebody else's problem.

    `in_use` gives the databases that somebody is connected to. Raises pymysql.Error where it cannot look.
    """
    found = execute(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'converger\\_registry\\_%'"
        f" AND default_collation_name = '{UNFINISHED_COLLATION}' ORDER BY 1"
    )
    deadline = time.monotonic() + SWEEP_SECONDS
    for (name,) in found:
        match = PATTERN.fullmatch(name)
        if match is None or time.monotonic() > deadline:
            continue
        with contextlib.suppress(pymysql.Error):
            if execute(f"SELECT IS_FREE_LOCK('{lock_of(match[1])}')")[0][0] == 1:
                _sweep_run(execute, name, match[1], in_use, progress)


def _sweep_run(
    execute: Run,
    registry: str,
    run: str,
    in_use: Callable[[], set[str | None]],
    progress: Callable[[str], None],
) -> None:
    made: list[Row] = []
    tables = [row[0] for row in execute(f"SHOW TABLES FROM {registry}")]
    if tables == ["made"]:
        made = execute(f"SELECT name, mark FROM {registry}.made")
    elif tables:
        return
    own = [created_in(mark) for name, mark in made if name == registry]
    now = execute("SELECT UNIX_TIMESTAMP()")[0][0]
    if made and not (own and own[0] is not None and own[0] <= now - STALE_SECONDS):
        return
    marked = [name for name, mark in made if created_in(mark) is not None]
    for name in marked:
        if run_of(name) != run:
            continue
        if name in in_use():
            return
        if execute(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name}'"):
            execute(f"DROP DATABASE IF EXISTS {name}")
            progress(f"dropped {name}, left behind by an earlier run")
    if account_of(run) in marked:
        mysqlaccount.forget(execute, account_of(run))
    execute(f"DROP DATABASE {registry}")
