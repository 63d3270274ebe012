"""What reading a history gives: revisions as data, and findings about the files they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision file, as its identifiers say.

    `depends_on` and `branch_labels` are as written (a dependency may name a label, or be a unique
    prefix). `computed` names the fields among `branch_labels` and `depends_on` whose value is not a
    literal; the field itself is then empty. A computed `revision` or `down_revision` makes no Revision
    at all, only a Problem. `path` is relative to the tree's root, with forward slashes; outside the
    root it is absolute. `create_date` is the text behind "Create Date:", in the docstring if it is there.
    """

    id: str
    down_revisions: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    branch_labels: tuple[str, ...] = ()
    path: str = ""
    message: str = ""
    create_date: str | None = None
    computed: frozenset[str] = frozenset()
    line: int | None = None
    """Line of the `down_revision` assignment (1-based), for annotations; None where there is none."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding. `code` is kebab-case and stable; docs/problems.md has a section for each.

    Severity `error` means that the graph cannot be trusted (exit 3 unless the code says otherwise);
    `warning` that it can.
    """

    code: str
    severity: Severity
    message: str
    path: str | None = None
    line: int | None = None


@dataclass(frozen=True)
class History:
    """All that one reading found. Where an id occurs twice the last file in path order is kept."""

    revisions: Mapping[str, Revision]
    problems: tuple[Problem, ...] = field(default=())
