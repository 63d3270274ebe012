"""Which `alembic downgrade` takes back what behind a merge. Pure.

Alembic's `downgrade X` takes back what descends from X, and `downgrade R@X` only that part of it which leads to
R. So behind a merge `downgrade A@X`, with X the revision on which A's branch began, takes back A's branch and the
merges, and leaves the other branches applied (docs/downgrades.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.lattice import Lattice, State


@dataclass(frozen=True)
class WayDown:
    """One `alembic downgrade`: from a state (of the lattice) to a smaller one, by a target.

    `merged` is whether it begins at the final head, `branch` the head whose branch it takes back, None for all.
    No `target`: no single command of Alembic's does that.
    """

    start: State
    end: State
    target: str | None
    branch: str | None
    merged: bool


def ways_down(graph: Graph, line: LinePlan, lattice: Lattice, below: frozenset[str]) -> tuple[WayDown, ...]:
    """What is to be looked at: each branch alone from its own head, then each from the final head, then all at once.

    `below` is what is applied at the common ancestor.
    """
    applied = below | graph.ancestors([line.final_head], dependencies=True)
    alone, merged = [], []
    for head in line.heads:
        mine = graph.ancestors([head])
        state = graph.ancestors([head], dependencies=True) & lattice.full
        alone.append(_way(graph, below | state, state, mine & lattice.full, head, merged=False))
        others = graph.ancestors(other for other in line.heads if other != head)
        merged.append(_way(graph, applied, lattice.full, (mine - others) & lattice.full, head, merged=True))
    whole = graph.ancestors(line.heads) & lattice.full
    return (*alone, *merged, _way(graph, applied, lattice.full, whole, None, merged=True))


def _way(
    graph: Graph,
    applied: frozenset[str],
    start: State,
    own: frozenset[str],
    branch: str | None,
    *,
    merged: bool,
) -> WayDown:
    wanted = _with_dependents(graph, applied, own)
    target = _target(graph, applied, wanted, branch if merged else None)
    return WayDown(start, start - wanted, target, branch, merged)


def taken_back(graph: Graph, applied: frozenset[str], target: str) -> frozenset[str]:
    """The revisions that `alembic downgrade TARGET` takes back of those that are applied.

    `target` is `X`, `R@X`, `base` or `R@base`. As Alembic's `RevisionMap._collect_downgrade_revisions` does: with
    one revision behind X, R is not looked at.
    """
    branch, _, lowest = target.rpartition("@")
    roots = list(graph.bases) if lowest == "base" else list(graph.children(lowest))
    if branch and len(roots) > 1:
        roots = [root for root in roots if root in graph.ancestors([branch])]
    return _with_dependents(graph, applied, frozenset(roots))


def _with_dependents(graph: Graph, applied: frozenset[str], roots: frozenset[str]) -> frozenset[str]:
    return frozenset(r for r in applied if graph.ancestors([r], dependencies=True) & roots)


def _target(graph: Graph, applied: frozenset[str], wanted: frozenset[str], branch: str | None) -> str | None:
    """A target that takes back exactly the wanted ones of what is applied; None where there is none."""
    below = {parent for r in wanted for parent in graph.parents(r) if parent not in wanted}
    for lowest in (*sorted(below), *(["base"] if any(not graph.parents(r) for r in wanted) else [])):
        for target in (f"{branch}@{lowest}", lowest) if branch else (lowest,):
            if taken_back(graph, applied, target) == wanted:
                return target
    return None
