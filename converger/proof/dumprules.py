"""What is done with each statement of a dump: run it, leave it out, or refuse the dump because of it.

A dump is loaded into one scratch database. What concerns the whole server (roles, other databases) is
never run; what would leave the scratch database ends the load. This is care for honest dumps and no wall
against hostile SQL: functions and DO blocks are run as they are, as the migrations are too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal

from converger.proof.sqltext import Statement

OWNERS = "dump-owners"
SERVER_WIDE = "dump-server-wide"
SETTINGS = "dump-settings"
MISSING = "dump-nothing-to-drop"


@dataclass(frozen=True)
class Treatment:
    """What to do with a statement.

    - `run`: send `sql`; it is `changed` if that is not what the dump says. A failure with one of the codes
      in `tolerated` is no failure: the statement then counts as left out.
    - `leave-out`: do not.
    - `refuse`: give up the load; `what` says why.

    What is left out or changed is summed up in the note of the `kind`, where it is called `what`. There is
    no note, and no kind, where nobody would miss it.
    """

    action: Literal["run", "leave-out", "refuse"]
    sql: bytes = b""
    kind: str | None = None
    what: str = ""
    tolerated: Collection[str] = ()
    changed: bool = False
    roles: tuple[str, ...] = ()


Rules = Callable[[Statement], Treatment]


def run(sql: bytes) -> Treatment:
    return Treatment("run", sql)


def leave_out(kind: str | None = None, what: str = "", roles: tuple[str, ...] = ()) -> Treatment:
    return Treatment("leave-out", kind=kind, what=what, roles=roles)


def refuse(why: str) -> Treatment:
    return Treatment("refuse", what=why)


def rules_for(dialect: str, roles: Collection[str]) -> Rules:
    """The rules of a dialect. `roles` are those that the server has."""
    if dialect == "postgresql":
        from converger.proof.dumprules_postgres import PostgresRules

        return PostgresRules(roles)
    if dialect == "sqlite":
        from converger.proof.dumprules_others import treat_sqlite

        return treat_sqlite
    from converger.proof.dumprules_others import MySQLRules

    return MySQLRules()
