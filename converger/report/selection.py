"""Which revisions a drawing shows, and in which order: the same for text, Mermaid and dot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.history import Graph, Revision
    from converger.plan import LinePlan

_MESSAGE = 60

RECENT = 10
"""Revisions shown of a line of history that has one head (there is no branch to show)."""


@dataclass(frozen=True)
class Node:
    """One node of a drawing: a revision, or (with `revision` None) `older` revisions left out as one.

    `parents` are keys of nodes that are drawn later; `backward` are parents drawn earlier, which only a
    cycle has.
    """

    key: str
    revision: Revision | None
    parents: tuple[str, ...]
    older: int = 0
    backward: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """What is drawn, newest first, every child before its parents; `hidden` revisions are left out."""

    graph: Graph
    nodes: tuple[Node, ...]
    hidden: int = 0
    heads: frozenset[str] = frozenset()


def select(graph: Graph, lines: Sequence[LinePlan] = (), *, everything: bool = False) -> View:
    """The revisions to draw: all, or what lies between the common ancestor and the heads of each line.

    `lines` is the plan where there is one; without it all heads count as one line. Of a line with one
    head the newest `RECENT` revisions are shown. Whatever descends from a shown revision is shown too, so
    that what is left out is always older than what is drawn.
    """
    order = newest_first(graph)
    shown = frozenset(order) if everything else _interesting(graph, lines, order)
    groups = _groups(graph, [r for r in order if r not in shown])
    # Naming one revision takes no more room than saying that one was left out.
    sizes: dict[int, int] = {}
    for number in groups.values():
        sizes[number] = sizes.get(number, 0) + 1
    shown = shown | {r for r, number in groups.items() if sizes[number] == 1}
    return _view(graph, order, shown, groups, sizes)


def caption(node: Node, view: View) -> tuple[str, ...]:
    """What a drawing of boxes writes into one, line by line; not yet escaped for the drawing's language."""
    revision = node.revision
    if revision is None:
        return (f"{node.older} older revision{'' if node.older == 1 else 's'}",)
    marks = ["head"] if revision.id in view.heads else []
    marks.extend(f"label {one_line(label, 40)}" for label in shown_labels(revision))
    first = one_line(revision.id, 40) + (f" ({', '.join(marks)})" if marks else "")
    second = one_line(revision.message, _MESSAGE)
    return (first, second) if second else (first,)


def shown_labels(revision: Revision) -> tuple[str, ...]:
    """The branch labels that a drawing names; one that only running the file would tell is "(computed)"."""
    from converger.history.graph import computed_label, declared_labels

    unknown = computed_label(revision.id)
    return tuple("(computed)" if label == unknown else label for label in declared_labels(revision))


def _view(
    graph: Graph,
    order: Sequence[str],
    shown: frozenset[str],
    groups: Mapping[str, int],
    sizes: Mapping[int, int],
) -> View:
    # How many shown revisions each left-out part still has above it: drawn when the last one is.
    above: dict[int, int] = {}
    for revision in shown:
        for number in {groups[p] for p in graph.parents(revision) if p not in shown}:
            above[number] = above.get(number, 0) + 1
    drawn: set[str] = set()
    nodes: list[Node] = []
    for revision in order:
        if revision not in shown:
            continue
        drawn.add(revision)
        keys: list[str] = []
        backward: list[str] = []
        older: dict[int, None] = {}
        for parent in graph.parents(revision):
            if parent not in shown:
                older[groups[parent]] = None
                keys.append(f"older:{groups[parent]}")
            elif parent in drawn:
                backward.append(parent)
            else:
                keys.append(f"revision:{parent}")
        nodes.append(
            Node(
                f"revision:{revision}",
                graph.revisions[revision],
                tuple(dict.fromkeys(keys)),
                backward=tuple(backward),
            )
        )
        for number in older:
            above[number] -= 1
            if above[number] == 0:
                nodes.append(Node(f"older:{number}", None, (), older=sizes[number]))
    return View(graph, tuple(nodes), hidden=len(order) - len(drawn), heads=frozenset(graph.heads))


def newest_first(graph: Graph) -> tuple[str, ...]:
    """All revisions, every child before its parents, one branch after the other.

    Branches with the newest head come first (by create date, then id). Cycles do not stop it: where
    nothing else is left, the smallest id goes first.
    """
    parents = {revision: graph.parents(revision) for revision in graph.revisions}
    waiting = dict.fromkeys(parents, 0)
    for ids in parents.values():
        for parent in ids:
            waiting[parent] += 1

    def age(revision: str) -> tuple[str, str]:
        return graph.revisions[revision].create_date or "", revision

    ready = sorted((r for r, count in waiting.items() if count == 0), key=age)
    stuck = iter(sorted(waiting))
    done: set[str] = set()
    order: list[str] = []
    while len(order) < len(parents):
        if not ready:
            ready.append(next(r for r in stuck if r not in done))
        revision = ready.pop()
        if revision in done:
            continue
        done.add(revision)
        order.append(revision)
        for parent in reversed(parents[revision]):
            waiting[parent] -= 1
            if waiting[parent] == 0 and parent not in done:
                ready.append(parent)
    return tuple(order)


def _interesting(graph: Graph, lines: Sequence[LinePlan], order: Sequence[str]) -> frozenset[str]:
    parts = [(line.heads, line.base) for line in lines]
    covered = {head for heads, _ in parts for head in heads}
    rest = tuple(head for head in graph.heads if head not in covered)
    if rest:
        parts.append((rest, graph.common_base(rest) if len(rest) > 1 else None))
    shown: set[str] = set()
    for heads, base in parts:
        if len(heads) > 1 and base is not None:
            shown |= graph.ancestors(heads) - graph.ancestors((base,))
            shown.add(base)
        else:
            for head in heads:
                shown |= _recent(graph.ancestors((head,)), order)
    # Cycles above which there is no head.
    shown |= set(order) - graph.ancestors(graph.heads)
    return frozenset(graph.descendants(shown)) if shown else frozenset()


def _recent(ids: frozenset[str], order: Sequence[str]) -> set[str]:
    newest: set[str] = set()
    for revision in order:
        if revision in ids:
            newest.add(revision)
            if len(newest) == RECENT:
                break
    return newest


def _groups(graph: Graph, hidden: Iterable[str]) -> dict[str, int]:
    """Connected parts among `hidden`, numbered in the order of their first member."""
    members = list(hidden)
    leader = {r: r for r in members}

    def find(revision: str) -> str:
        while leader[revision] != revision:
            leader[revision] = leader[leader[revision]]
            revision = leader[revision]
        return revision

    for revision in members:
        for parent in graph.parents(revision):
            if parent in leader:
                leader[find(parent)] = find(revision)
    numbers: dict[str, int] = {}
    return {r: numbers.setdefault(find(r), len(numbers)) for r in members}
