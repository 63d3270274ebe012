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
    """The place in the other revision: where it does what the first one meets."""
    differences: tuple[str, ...] = ()
    """Both sides' definitions, one line for each thing that ends different."""


@dataclass(frozen=True)
class Coverage:
    """How much was compared: `pairs` of `of` pairs of revisions, in `steps` steps.

    `whole` is whether that was done for every order that there is; a proof that is not was cut short by its budget.
    """

    pairs: int = 0
    of: int = 0
    steps: int = 0
    whole: bool = True

    @property
    def compared(self) -> str:
        """What was compared, in words: in every state where that is `whole`."""
        if self.whole or self.pairs < self.of:
            return f"{self.pairs} of {self.of} pairs of revisions were compared"
        return f"all {self.of} pairs of revisions were compared, but not in every state"

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.pairs + other.pairs, self.of + other.of, self.steps + other.steps, self.whole and other.whole
        )


@dataclass(frozen=True)
class DowngradeRun:
    """One `alembic downgrade TARGET`, from a state to another (as their heads).

    It takes back the branch of the head `branch`, or all of them where that is None; `merged` is whether it begins
    at the final head, and not at that of the branch alone. No `target`: no single command does that. `differences`
    says, where it leaves residue, what differs from the state as it was before the upgrade, a line for each; `error`
    also says why a run could not be judged. `by_merging` is whether the branch's own downgrade, on a database
    without the other branches, does better.
    """

    start: tuple[str, ...]
    end: tuple[str, ...]
    branch: str | None
    target: str | None
    merged: bool
    result: DowngradeResult
    by_merging: bool = False
    revision: str | None = None
    statement: str | None = None
    error: str | None = None
    differences: tuple[str, ...] = ()


@dataclass(frozen=True)
class Downgrade:
    """What downgrading from the final head does: the worst that was seen, by merging if anything is.

    `detail` says why the result is what it is; `by_merging` is whether merging causes it.
    """

    result: DowngradeResult = "not-run"
    detail: str | None = None
    by_merging: bool = False
    runs: tuple[DowngradeRun, ...] = ()


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
    coverage: Coverage = field(default_factory=Coverage)
