"""What one `alembic upgrade` in the worker gave: its steps, or why it failed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Failure:
    """Why an upgrade (or loading) failed, as the worker described it.

    `sqlstate` is the database's five-character code; `frames` are (path, line, function), innermost first,
    also of an upgrade that had to be ended;
    `missing_module` is set when something could not be imported, `module` then is its name where Python said it.
    `began` is whether any revision had begun: before that, only env.py can be the cause. `needs` is one of the
    project's own databases that has to have a scratch database of its own, as the worker calls it.
    """

    type: str
    message: str
    statement: str | None = None
    sqlstate: str | None = None
    frames: tuple[tuple[str, int, str], ...] = ()
    missing_module: bool = False
    module: str | None = None
    foreign: str | None = None
    revision: str | None = None
    began: bool = False
    needs: str | None = None
    timed_out: bool = False
    killed: int = 0
    output: str = ""
    traceback: str = ""

    @property
    def said(self) -> str:
        """Its message; its type where it has none."""
        return self.message.strip() or self.type


@dataclass(frozen=True)
class VersionTable:
    """Where one pass of an upgrade keeps its revisions; most projects have one.

    `database` is the number of the scratch database in its site.
    """

    database: int = 0
    name: str = "alembic_version"
    schema: str | None = None


@dataclass(frozen=True)
class Step:
    """One revision applied: the version table's rows after it (None: unreadable) and the seconds it took.

    `pass_` is the index of its version table in the upgrade's.
    """

    revision: str
    rows: tuple[str, ...] | None
    seconds: float
    pass_: int = 0


@dataclass(frozen=True)
class Upgrade:
    """One `alembic upgrade` that was run. `failure` is None when the worker saw it end well.

    `hidden` is what failed on the way of a command that reported success; it may have tried again.
    """

    target: str
    steps: tuple[Step, ...]
    seconds: float
    failure: Failure | None
    version_tables: tuple[VersionTable, ...] = ()
    hidden: Failure | None = None
