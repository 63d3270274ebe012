"""The graph as a comment shows it: the ancestor, the branches, the merges, and no more than explains them. Pure.

A comment is narrow, and nobody scrolls through it. A few steps go from left to right; a long branch shows its head,
and how many revisions are below; a long chain of merges is one box. `alembic-converger graph` draws the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING

from converger.plan import moment
from converger.report.mermaid import Arrow, Box, Style, flowchart
from converger.report.selection import Node, View, caption, select
from converger.report.visible import one_line
from converger.report.whose import THIS, whose

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.plan import LinePlan
    from converger.report.result import Result

_WIDE = 5
"""Boxes that fit side by side into a comment without becoming too small to read."""

_MERGES = 3
_MOST_BOXES = 40
_SIDE = 40


@dataclass(frozen=True)
class Sketch:
    """What is drawn, or None as `lines` where it would be too large; `revisions` is how many there are to show."""

    lines: list[str] | None
    revisions: int


def sketch(result: Result, most_boxes: int = _MOST_BOXES) -> Sketch | None:
    """The drawing of a result; None where there is nothing to draw."""
    outcome = result.outcome
    if outcome.graph is None or not outcome.graph.revisions or outcome.status == "converged":
        return None
    merging = [line for line in outcome.lines if line.merges]
    planned = outcome.status in ("merged", "would-merge")
    view = select(_with_merges(outcome.graph, merging) if planned else outcome.graph, outcome.lines)
    revisions = sum(node.revision is not None for node in view.nodes)
    if any(node.backward for node in view.nodes):
        # A history that goes round in a circle has no levels. It is drawn as it is.
        from converger.report.mermaid import mermaid

        return Sketch(mermaid(view) if len(view.nodes) <= most_boxes else None, revisions)
    drawing = _Drawing(result, view, merging, planned)
    if drawing.levels > _WIDE:
        drawing.join_merges()
    if drawing.levels > _WIDE:
        drawing.join_chains()
    if len(drawing.shown) > most_boxes:
        return Sketch(None, revisions)
    return Sketch(drawing.lines(), revisions)


def _with_merges(graph: Graph, lines: Iterable[LinePlan]) -> Graph:
    """The history with the merges on top, where they are or may be written."""
    from converger.history.model import Revision

    return graph.with_revisions(
        Revision(
            merge.revision,
            merge.parents,
            message=merge.message,
            create_date=moment(merge.create_date).astimezone(timezone.utc).isoformat(" "),
        )
        for line in lines
        for merge in line.merges
        if merge.revision not in graph.revisions
    )


class _Drawing:
    """Boxes by their keys, each above its parents, being simplified."""

    def __init__(self, result: Result, view: View, merging: list[LinePlan], planned: bool) -> None:
        self._result = result
        self._view = view
        self._merges = {merge.revision for line in merging for merge in line.merges} if planned else set()
        self._heads = {head for line in merging for head in line.heads} or set(view.heads)
        proof = result.outcome.proof
        self._conflicts = {
            id for conflict in (proof.conflicts if proof is not None else ())[:1] for id in conflict.revisions
        }
        self._labels: dict[str, Box] = {}
        wanted = self._wanted(merging)
        self.shown: dict[str, Node] = {
            node.key: node for node in view.nodes if wanted is None or _id(node) in wanted
        }
        self._parents = {
            key: [parent for parent in node.parents if parent in self.shown]
            for key, node in self.shown.items()
        }

    def _wanted(self, merging: list[LinePlan]) -> set[str] | None:
        """What lies between the ancestor and the merges. None: all, for want of an ancestor.

        What is older than all that meets explains nothing; nor does a line of history that has one head.
        """
        graph = self._view.graph
        wanted = set(self._merges)
        for line in merging:
            if line.base is None:
                return None
            wanted |= graph.descendants((line.base,)) & graph.ancestors(line.heads)
        return wanted or None

    @property
    def levels(self) -> int:
        """How many boxes the longest way has."""
        found: dict[str, int] = {}
        for key in reversed(self.shown):  # parents first
            found[key] = 1 + max((found[parent] for parent in self._parents[key]), default=0)
        return max(found.values(), default=0)

    def join_merges(self) -> None:
        """One box for a chain of merges, from which nobody learns in which order it was folded."""
        merges = [key for key, node in self.shown.items() if _id(node) in self._merges]
        tops = [key for key in merges if not any(key in self._parents[other] for other in self.shown)]
        if len(merges) <= _MERGES or len(tops) != 1:
            return
        top = tops[0]
        below = [key for merge in merges for key in self._parents[merge] if key not in merges]
        self._labels[top] = Box((*self._caption(top)[:1], f"{len(merges)} merge revisions"), self._style(top))
        self._parents[top] = list(dict.fromkeys(below))
        for key in merges:
            if key != top:
                del self.shown[key], self._parents[key]

    def join_chains(self) -> None:
        """One box for revisions that just follow each other, where none of them is of interest."""
        children: dict[str, list[str]] = {key: [] for key in self.shown}
        for key, parents in self._parents.items():
            for parent in parents:
                children[parent].append(key)

        def is_dull(key: str) -> bool:
            node = self.shown[key]
            return (
                node.revision is not None
                and node.revision.id not in self._heads | self._conflicts | self._merges
                and len(self._parents[key]) == 1
                and len(children[key]) == 1
                and not self._view.graph.dependencies(node.revision.id)
            )

        for key in list(self.shown):
            if key not in self.shown or not is_dull(key):
                continue
            chain = [key]
            while is_dull(below := self._parents[chain[-1]][0]):
                chain.append(below)
            if len(chain) > 1:
                self._labels[key] = Box((f"{len(chain)} more revisions",), "older")
                self._parents[key] = self._parents[chain[-1]]
                for one in chain[1:]:
                    del self.shown[one], self._parents[one]

    def lines(self) -> list[str]:
        """The flowchart."""
        arrows = [Arrow(parent, key) for key, parents in self._parents.items() for parent in parents]
        for key, node in self.shown.items():
            if node.revision is not None and key not in self._labels:
                needed = {f"revision:{id}" for id in self._view.graph.dependencies(node.revision.id)}
                arrows += [Arrow(other, key, dotted=True) for other in self.shown if other in needed]
        return flowchart(self._boxes(), arrows, "LR" if self.levels <= _WIDE else "BT")

    def _boxes(self) -> Mapping[str, Box]:
        return {
            key: self._labels[key] if key in self._labels else Box(self._caption(key), self._style(key))
            for key in self.shown
        }

    def _caption(self, key: str) -> tuple[str, ...]:
        node = self.shown[key]
        id = _id(node)
        if id in self._merges:
            return (caption(node, self._view)[0], "merge revision")
        lines = caption(node, self._view)
        side = whose(self._result, id) if id in self._heads | self._conflicts else None
        if side is None:
            return lines
        return (*lines, f"in {THIS}" if side == THIS else f"on {one_line(side, _SIDE)}")

    def _style(self, key: str) -> Style:
        node = self.shown[key]
        if node.revision is None:
            return "older"
        if node.revision.id in self._merges:
            return "planned" if self._result.written is None else "merge"
        return "conflict" if node.revision.id in self._conflicts else ""


def _id(node: Node) -> str:
    return node.revision.id if node.revision is not None else ""
