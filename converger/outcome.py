"""What the use case takes and gives: the options of a run and its outcome."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from converger.errors import EXIT_OK, EXIT_REFUSED, EXIT_UNEVALUATED, ConvergerError
from converger.plan import LinePlan, Strategy

if TYPE_CHECKING:
    from converger.history import Graph, Problem
    from converger.mergefile import MergeFile, Note
    from converger.project import Project
    from converger.proof.model import Proof

Status = Literal["converged", "merged", "would-merge", "refused", "unevaluated"]

_EXIT_CODES: Mapping[Status, int] = {
    "converged": EXIT_OK,
    "merged": EXIT_OK,
    "would-merge": EXIT_OK,
    "refused": EXIT_REFUSED,
    "unevaluated": EXIT_UNEVALUATED,
}

DEFAULT_TIMEOUT = 300.0
"""Seconds that one step (one revision) may take before the worker is ended."""


DEFAULT_PROOF_BUDGET = 120.0
"""Seconds after which the proof begins no further step."""


class Progress(Protocol):
    """Where a run says what it is doing; shown on standard error or not at all."""

    def say(self, text: str) -> None:
        """Say what begins now."""

    def step(self, text: str, done: int, total: int) -> None:
        """Say that `done` of `total` steps are done; `text` names the one that is running."""


class Silent:
    """A Progress that says nothing (the library's default)."""

    def say(self, text: str) -> None:
        pass

    def step(self, text: str, done: int, total: int) -> None:
        pass


@dataclass(frozen=True)
class Options:
    """All that a person chose for one run of `converge`.

    `env` are variables for the worker (`--env`), `database_url_env` the names of variables that shall
    hold the scratch database's URL, `timeout` the seconds that one step may take. `base_sql` is a dump that a
    database starts from, `prepare` a command that sets one up, `flask_app` what `flask --app` would get,
    `command` the project's own way to upgrade, with `{revision}` in it.
    """

    config: Path | None = None
    section: str = "alembic"
    cwd: Path = field(default_factory=Path.cwd)
    from_revision: str | None = None
    strategy: Strategy = "pairwise"
    dry_run: bool = False
    skip_validation: bool = False
    database_url: str | None = field(default=None, repr=False)
    python: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    database_url_env: tuple[str, ...] = ()
    timeout: float = DEFAULT_TIMEOUT
    across_labels: bool = False
    base_sql: Path | None = None
    prepare: str | None = None
    flask_app: str | None = None
    command: str | None = None
    allow_network: bool = False
    seed_sql: Path | None = None
    proof_budget: float = DEFAULT_PROOF_BUDGET
    require_downgrade: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)
    """Our own environment, of which the worker sees only what a process needs to run at all."""


@dataclass(frozen=True)
class Outcome:
    """What one run of `converge` found and did.

    `graph` is the history before merging; `lines` the plan, one entry for each line of history;
    `files` the merge revisions that were written (or would be). `reason` says why the run was refused
    or could not evaluate where `proof` does not.
    """

    status: Status
    project: Project | None = None
    graph: Graph | None = None
    lines: tuple[LinePlan, ...] = ()
    files: tuple[MergeFile, ...] = ()
    proof: Proof | None = None
    problems: tuple[Problem, ...] = ()
    notes: tuple[Note, ...] = ()
    reason: ConvergerError | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of this outcome, as the contract fixes it."""
        return _EXIT_CODES[self.status]

    @property
    def final_head(self) -> str | None:
        """The one head that the history has after merging; None while several lines remain."""
        return self.lines[0].final_head if len(self.lines) == 1 else None
