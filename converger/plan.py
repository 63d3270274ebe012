"""Heads to merges: pure, deterministic, knows nothing of files, git or databases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Strategy = Literal["pairwise", "single"]


@dataclass(frozen=True)
class PlannedMerge:
    """One merge revision to be written. `parents` are sorted and are its down_revision, in that order.

    `create_date` is the newest parent's; naive dates are taken as UTC wherever a moment is needed.
    """

    revision: str
    parents: tuple[str, ...]
    create_date: datetime
    message: str


@dataclass(frozen=True)
class LinePlan:
    """The merges of one line of history (heads with the same labels and a common ancestor).

    `base` is the lowest revision that all heads descend from (None only across bases). `base_state`
    is the set of maximal common ancestors, sorted: mostly `(base,)`, several after criss-cross merges,
    empty when there is no common ancestor. `merges` is in the order in which they build on each other.
    """

    labels: tuple[str, ...]
    base: str | None
    base_state: tuple[str, ...]
    heads: tuple[str, ...]
    merges: tuple[PlannedMerge, ...]

    @property
    def final_head(self) -> str:
        """The head that this line has once its merges are written."""
        return self.merges[-1].revision if self.merges else self.heads[0]
