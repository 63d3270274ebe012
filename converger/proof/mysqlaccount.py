"""The account of one run: it can reach this run's scratch databases, and nothing else on the server.

On MySQL a database is only a name before a dot: with the account that makes databases, a migration that
says `UPDATE prod.users` reaches production, if that is on the same server. So the project gets an
account of its own, which lives as long as the run.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable
from dataclasses import replace

import pymysql

from converger.errors import CouldNotEvaluate
from converger.proof import mysqlconnect
from converger.proof.mysqlclone import quoted
from converger.proof.scratch import Row
from converger.proof.urls import DatabaseUrl

Run = Callable[[str], list[Row]]


class Account:
    """`url` is the server's URL with this account. Make it with `create`; `forget` drops it."""

    def __init__(self, run: Run, name: str, url: DatabaseUrl, *, literal_names: bool) -> None:
        self._run = run
        self._literal = literal_names
        self.name = name
        self.url = url

    def beyond_rights(self, error: str) -> CouldNotEvaluate | None:
        """What to say instead when this, in a driver's words, is the refusal to let the account do something.

        It is no fault of the migration then: with the account that production has it may well work.
        """
        text = " ".join(error.split())
        if re.search(rf"denied to user '{self.name}'|denied for user '{self.name}'", text):
            return CouldNotEvaluate(
                f"A migration reaches beyond its own database, which is not allowed here: {text}",
                code="foreign-database",
                hint="Migrations run as an account of this run that has rights on the scratch database only."
                " Take the other database out of the migration, or use --skip-validation.",
            )
        if re.search(r"^\W*(1227|1419)\b.*\bprivilege", text):
            return CouldNotEvaluate(
                f"A migration needs a privilege that is not given to migrations here: {text}",
                code="missing-privilege",
                hint="Leave --database-url out and use the embedded server; where the server keeps a binary log,"
                " SET GLOBAL log_bin_trust_function_creators = 1 lets triggers and functions be made.",
            )
        return None

    def may_use(self, database: str) -> None:
        """Let it do everything in a database of ours. Raises pymysql.Error."""
        self._run(f"GRANT ALL PRIVILEGES ON {self._pattern(database)}.* TO {_account(self.name)}")

    def may_read(self, database: str) -> None:
        self._run(f"GRANT SELECT ON {self._pattern(database)}.* TO {_account(self.name)}")

    def _pattern(self, database: str) -> str:
        # In GRANT an underscore stands for any character, unless the server takes names as they are.
        return quoted(database if self._literal else database.replace("_", r"\_"))


def create(run: Run, name: str, url: DatabaseUrl, *, registry: str, probe: str, alone: bool) -> Account:
    """Make it, with the right to read the marks, and see that it gets in.

    `run` runs a statement as the user who may make accounts, `probe` is the name of a database that
    could be ours: only trying tells whether rights can be handed on. `alone` says that the server
    is our own. Raises pymysql.Error where it cannot be done; nothing is left then.
    """
    # Long enough for every rule about passwords, and with one of each kind.
    password = f"Aa1-{secrets.token_hex(16)}"
    taken_literally = run("SHOW GLOBAL VARIABLES LIKE 'partial_revokes'")
    account = Account(
        run,
        name,
        replace(url, user=name, password=password),
        literal_names=bool(taken_literally) and taken_literally[0][1] == "ON",
    )
    run(f"CREATE USER {_account(name)} IDENTIFIED {_plugin(run)}'{password}'")
    try:
        account.may_read(registry)
        account.may_use(probe)
        if alone:
            # Some definitions name a definer. There is nothing else here that he could reach.
            for privilege in ("SET USER", "SET_USER_ID", "SET_ANY_DEFINER", "ALLOW_NONEXISTENT_DEFINER"):
                with contextlib.suppress(pymysql.Error):  # each server has others
                    run(f"GRANT {privilege} ON *.* TO {_account(name)}")
            # What somebody else defines is shown to those only who may see it everywhere.
            for right in ("SHOW_ROUTINE ON *.*", "SHOW CREATE ROUTINE ON *.*", "SELECT ON mysql.proc"):
                with contextlib.suppress(pymysql.Error):
                    run(f"GRANT {right} TO {_account(name)}")
        # Also makes a server that stores strong hashes remember it, so that no later login needs TLS.
        mysqlconnect.connect(account.url).close()
    except BaseException:
        with contextlib.suppress(pymysql.Error):
            forget(run, name)
        raise
    return account


def forget(run: Run, name: str) -> None:
    """Drop the account of that name, if it is there. Raises pymysql.Error."""
    run(f"DROP USER IF EXISTS {_account(name)}")


def _account(name: str) -> str:
    return f"'{name}'@'%'"


def _plugin(run: Run) -> str:
    """MySQL's old way to store passwords, where there is a choice: every driver speaks it, without TLS."""
    found = run(
        "SELECT COUNT(*) FROM information_schema.plugins WHERE plugin_name = 'mysql_native_password'"
        " AND plugin_status = 'ACTIVE' AND EXISTS (SELECT 1 FROM information_schema.plugins"
        " WHERE plugin_name = 'caching_sha2_password')"
    )
    return "WITH mysql_native_password BY " if found[0][0] else "BY "
