"""One merge revision as bytes, looking like the project's other revisions; and: is it empty?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from converger.plan import PlannedMerge


@dataclass(frozen=True)
class Note:
    """Something worth saying that changes no result. `kind` is kebab-case and stable."""

    kind: str
    message: str


@dataclass(frozen=True)
class MergeFile:
    """A rendered merge revision: what would be written (`content`) and where (`path`, absolute)."""

    merge: PlannedMerge
    path: Path
    content: bytes
