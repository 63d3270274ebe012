"""Graphs for report tests: written as one line for each revision, or drawn by hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision


def graph(text: str, problems: tuple[Problem, ...] = ()) -> Graph:
    """One revision a line: `id < parent parent : message`; the order gives the create dates."""
    revisions = {}
    for number, line in enumerate(filter(None, (part.strip() for part in text.splitlines()))):
        head, _, message = line.partition(":")
        id, _, parents = head.partition("<")
        revisions[id.strip()] = Revision(
            id.strip(),
            tuple(parents.split()),
            message=message.strip(),
            path=f"versions/{id.strip()}.py",
            create_date=f"2025-01-01 {number // 60:02d}:{number % 60:02d}:00",
        )
    return Graph(History(revisions, problems))


def chain(length: int, *more: str) -> Graph:
    """r000 < … , then the given lines."""
    lines = [f"r{i:03d}" + (f" < r{i - 1:03d}" if i else "") for i in range(length)]
    return graph("\n".join([*lines, *more]))


@st.composite
def histories(draw: st.DrawFn, most: int = 25) -> Graph:
    """Any acyclic graph: several bases, merges of many, unrelated parts."""
    size = draw(st.integers(1, most))
    revisions = {}
    for number in range(size):
        parents = draw(st.lists(st.integers(0, number - 1), max_size=3, unique=True)) if number else []
        id = f"r{number}"
        revisions[id] = Revision(id, tuple(f"r{p}" for p in parents))
    return Graph(History(revisions))
