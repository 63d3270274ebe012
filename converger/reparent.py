"""Merge or re-parent: which branch of a fork could be put on top of the other instead, and what that risks. Pure.

Re-parenting edits the `down_revision` of a branch's first revision. We never do that; we say how and when. What
it does to databases is Alembic's meaning of a version table's rows: whoever is at a revision has run all that it
descends from. See docs/merge-or-reparent.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from converger.plan import EPOCH, LinePlan, moment, parse_create_date

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.proof.model import PathResult

OrderResult = Literal["works", "fails", "not-run"]


@dataclass(frozen=True)
class Edit:
    """The one change: `revision`'s `down_revision`, which is `old` now, becomes `new`.

    `path` is relative to the repository, `line` the line of the assignment (None where it is not known).
    """

    revision: str
    path: str
    line: int | None
    old: tuple[str, ...]
    new: str

    @property
    def place(self) -> str:
        """`path:line`."""
        return self.path if self.line is None else f"{self.path}:{self.line}"

    @property
    def before(self) -> str:
        """The value as Python, as Alembic writes it."""
        return repr(self.old[0]) if len(self.old) == 1 else repr(self.old)

    @property
    def after(self) -> str:
        """The new value as Python."""
        return repr(self.new)


@dataclass(frozen=True)
class Reparenting:
    """The branch of `head` put on top of `onto`, the other head.

    Every database that has run none of `moved` then runs `first`, and `moved` after it. One that has run any
    of `moved` is believed to have run `first`: what it has not of it (up to all of `skipped`) it never runs, and
    nothing says so. Where `skipped` is empty, `moved` depends on all of `first` already, and nothing can be
    skipped. All tuples are in an order in which the revisions can run.
    """

    head: str
    onto: str
    edit: Edit
    first: tuple[str, ...]
    moved: tuple[str, ...]
    skipped: tuple[str, ...]


def reparentings(graph: Graph, line: LinePlan) -> tuple[Reparenting, ...]:
    """The one or two ways to turn a fork of two heads into one line by a single edit, the likelier first.

    Likelier is the branch that began later: it is mostly the one that has run on no database yet. () for
    anything but two heads with a common ancestor, and where no single edit does it: a branch that begins in
    several places, or that the other depends on.
    """
    if len(line.heads) != 2 or not line.base_state:
        return ()
    one, other = line.heads
    both = (_reparenting(graph, one, other), _reparenting(graph, other, one))
    found = [way for way in both if way is not None]
    found.sort(key=lambda way: _began(graph, way.edit.revision), reverse=True)
    return tuple(found)


def _reparenting(graph: Graph, head: str, onto: str) -> Reparenting | None:
    if graph.labels(head) != graph.labels(onto):
        return None  # one line would have both labels: that is another decision
    above, below = graph.ancestors([head]), graph.ancestors([onto])
    moved = graph.topological(above - below)
    begins = [id for id in moved if not set(graph.parents(id)) <= set(moved) or not graph.parents(id)]
    needed = graph.ancestors([onto], dependencies=True)
    if len(begins) != 1 or set(graph.parents(begins[0])) & set(moved) or needed & set(moved):
        return None
    first = graph.topological(below - above)
    own = graph.ancestors(begins, dependencies=True)
    revision = graph.revisions[begins[0]]
    return Reparenting(
        head=head,
        onto=onto,
        edit=Edit(revision.id, revision.path, revision.line, revision.down_revisions, onto),
        first=first,
        moved=moved,
        skipped=tuple(id for id in first if id not in own),
    )


def _began(graph: Graph, id: str) -> tuple[float, str]:
    date = parse_create_date(graph.revisions[id].create_date) or EPOCH
    return (moment(date).timestamp(), id)


def order_result(way: Reparenting, graph: Graph, paths: Iterable[PathResult]) -> OrderResult:
    """What a proof says of the one order that is left after the edit: `first`, then `moved`.

    It works if a database that ran `first` before any of `moved` got to the end, and none failed.
    """
    results = set()
    first, moved = set(way.first), set(way.moved)
    for path in paths:
        start = [id for id in path.start if id in graph.revisions]
        done = set(graph.ancestors(start, dependencies=True))
        consistent = not done & moved
        for id in path.order:
            if id in moved and not first <= done:
                consistent = False
            done.add(id)
        # One that failed within `first` says nothing of the order.
        if consistent and first <= done and (path.result == "failed" or moved <= done):
            results.add(path.result)
    if "failed" in results:
        return "fails"
    return "works" if results else "not-run"
