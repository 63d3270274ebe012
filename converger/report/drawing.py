"""Lanes and nodes of a graph, as `git log --graph` draws them: newest first, one lane for each open parent.

Pure layout: what comes in is nodes in the order in which they are to be drawn, every child before its
parents; what comes out is rows of characters. Two children that wait for the same parent share a lane as
soon as both are drawn, so that the width is the number of different open parents, not of open edges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from converger.report.look import Glyphs

_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8


class TooWide(Exception):
    """The drawing would need more lanes than a person can follow."""


@dataclass(frozen=True)
class Row:
    """One line of a drawing: its lanes, and the node in it (None for a line that only connects)."""

    lanes: str
    key: str | None


def lay_out(
    nodes: Iterable[tuple[str, tuple[str, ...], str]], glyphs: Glyphs, *, most_lanes: int
) -> Iterator[Row]:
    """Rows for `nodes`, each given as its key, its parents' keys and its character.

    Every child comes before its parents. Time is linear in the nodes times the lanes in use.

    Raises:
        TooWide: more than `most_lanes` lanes would be open at once.
    """
    lanes: list[str | None] = []
    column_of: dict[str, int] = {}
    ended: int | None = None
    for key, parents, character in nodes:
        is_head = key not in column_of
        column = _free_column(lanes, 0) if is_head else column_of.pop(key)
        if is_head and column == ended:
            # Right below a base a head would look like the base's parent.
            yield Row(_node_row(lanes, column, " ", glyphs), None)
        lanes[column] = key
        yield Row(_node_row(lanes, column, character, glyphs), key)
        lanes[column] = None
        # Each parent has a lane of its own, so many parents need no trying.
        link = _connect(parents, column, lanes, column_of) if len(parents) <= most_lanes else None
        if link is None or len(lanes) > most_lanes:
            raise TooWide(f"more than {most_lanes} lanes")
        if link.sideways:
            yield Row(_link_row(lanes, column, link, glyphs), None)
        ended = None if parents else column
        while lanes and lanes[-1] is None:
            lanes.pop()


@dataclass(frozen=True)
class _Link:
    """How a node's own lane goes on, and the columns of the lanes that it joins, opens and takes over."""

    goes_on: bool
    joined: frozenset[int]
    opened: frozenset[int]
    ended: frozenset[int]

    @property
    def sideways(self) -> frozenset[int]:
        return self.joined | self.opened | self.ended


def _connect(
    parents: tuple[str, ...],
    column: int,
    lanes: list[str | None],
    column_of: dict[str, int],
) -> _Link:
    """Give every parent of the node in `column` a lane."""
    joined: dict[int, str] = {}
    opened: set[int] = set()
    ended: set[int] = set()
    goes_on = False
    for parent in dict.fromkeys(parents):
        if parent in column_of:
            joined[column_of[parent]] = parent
            continue
        # The first new parent goes on in the node's own lane.
        target = _free_column(lanes, column + 1) if goes_on else column
        lanes[target] = parent
        column_of[parent] = target
        if goes_on:
            opened.add(target)
        goes_on = True
    right = min((c for c in joined if c > column), default=None)
    if not goes_on and right is not None:
        # Nothing else wants this lane: the parent moves over to it, so that drawings stay to the left.
        parent = joined.pop(right)
        lanes[column], lanes[right] = parent, None
        column_of[parent] = column
        ended.add(right)
        goes_on = True
    return _Link(goes_on, frozenset(joined), frozenset(opened), frozenset(ended))


def _free_column(lanes: list[str | None], start: int) -> int:
    for column in range(start, len(lanes)):
        if lanes[column] is None:
            return column
    lanes.append(None)
    return len(lanes) - 1


def _node_row(lanes: list[str | None], column: int, character: str, glyphs: Glyphs) -> str:
    line = glyphs.box[_UP | _DOWN]
    cells = [character if i == column else line if lane else " " for i, lane in enumerate(lanes)]
    return " ".join(cells).rstrip()


def _link_row(lanes: list[str | None], column: int, link: _Link, glyphs: Glyphs) -> str:
    low = min(column, *link.sideways)
    high = max(column, *link.sideways)
    cells: list[str] = []
    for i, lane in enumerate(lanes):
        sideways = (_LEFT if low < i <= high else 0) | (_RIGHT if low <= i < high else 0)
        if i == column:
            arms = _UP | (_DOWN if link.goes_on else 0) | sideways
        elif i in link.joined:
            arms = _UP | _DOWN | sideways
        elif i in link.opened:
            arms = _DOWN | sideways
        elif i in link.ended:
            arms = _UP | sideways
        elif lane:
            # A lane that has nothing to do with this link passes in front of it.
            arms = _UP | _DOWN
        else:
            arms = sideways
        cells.append(glyphs.box[arms])
        cells.append(glyphs.box[_LEFT | _RIGHT] if low <= i < high else " ")
    return "".join(cells).rstrip()
