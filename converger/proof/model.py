"""What a proof is made of: the starting states, the steps that were run, and what they showed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from converger.mergefile import Note

Verdict = Literal["commute", "one-order", "neither-order", "differ", "broken", "skipped", "unevaluated"]
DowngradeResult = Literal["restores", "fails", "leaves-residue", "not-run"]


@dataclass(frozen=True)
class Location:
    """A place in a revision file: `path` relative to the repository, `line` 1-based."""

    path: str
    line: int


@dataclass(frozen=True)
class PathResult:
    """One way by which a real database gets to the final head.

    `start` is the state it starts in, as its heads (empty: an empty database); `order` is the
    revisions that were applied, in order; `seconds` is wall time of those upgrades.
    """

    start: tuple[str, ...]
    order: tuple[str, ...]
    result: Literal["ok", "failed"]
    seconds: float


@dataclass(frozen=True)
class Conflict:
    """Why a verdict is not `commute`: which two revisions, in which state, on what, and what to do."""

    kind: str
    revisions: tuple[str, str]
    state: tuple[str, ...]
    objects: tuple[str, ...]
    error: str | None
    statement: str | None
    location: Location | None
    advice: str
    other_location: Location | None = None
    """The same place in the other revision: where it does what the first one meets."""


@dataclass(frozen=True)
class Downgrade:
    """What downgrading from the final head does."""

    result: DowngradeResult = "not-run"
    detail: str | None = None


@dataclass(frozen=True)
class Proof:
    """The verdict and its evidence. `seconds` is the wall time of the whole proof."""

    verdict: Verdict
    dialect: str
    server_version: str
    seconds: float
    paths: tuple[PathResult, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    downgrade: Downgrade = field(default_factory=Downgrade)
    notes: tuple[Note, ...] = ()
