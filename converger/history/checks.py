"""What is wrong with the revisions as a whole: duplicates, missing parents, cycles, shared labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision


class Checked(NamedTuple):
    """The revisions by id, in path order, and what is wrong with them together (unsorted)."""

    revisions: dict[str, Revision]
    problems: list[Problem]


def check(revisions: list[Revision], unusable: set[str]) -> Checked:
    """Look at all revisions together. `revisions` is in path order; of two with one id the last is kept.

    `unusable` are ids of files that exist but whose parents could not be read: they are not missing.
    """
    by_id: dict[str, Revision] = {}
    problems: list[Problem] = []
    for revision in revisions:
        first = by_id.get(revision.id)
        if first is not None:
            text = f"The revision id {revision.id} is also used by {first.path}."
            problems.append(Problem("duplicate-revision", "error", text, revision.path, revision.line))
        by_id[revision.id] = revision
    graph = Graph(History(by_id))
    for revision in by_id.values():
        for parent in revision.down_revisions:
            if parent not in by_id and parent not in unusable:
                problems.append(_dangling_parent(revision, parent, graph))
        if len(revision.down_revisions) > 1 and len(set(revision.down_revisions)) < len(
            revision.down_revisions
        ):
            text = f"`down_revision` of {revision.id} names a revision more than once."
            problems.append(Problem("duplicate-parent", "warning", text, revision.path, revision.line))
        if revision.depends_on:
            problems.extend(_dependencies(revision, graph, unusable))
    problems.extend(_labels(by_id))
    problems.extend(_cycles(graph))
    return Checked(by_id, problems)


def _dangling_parent(revision: Revision, parent: str, graph: Graph) -> Problem:
    text = f"The parent {parent!r} of {revision.id} does not exist"
    if parent == "":
        text = (
            f"The parent of {revision.id} is an empty string, which Alembic does not accept; a base has None"
        )
    elif graph.find_dependency(parent) is not None:
        text += f" (a parent is named by its full id: {graph.find_dependency(parent)})"
    return Problem("dangling-parent", "error", text + ".", revision.path, revision.line)


def _dependencies(revision: Revision, graph: Graph, unusable: set[str]) -> list[Problem]:
    labels = {label for other in graph.revisions.values() for label in other.branch_labels}
    problems = []
    for text in revision.depends_on:
        if text in graph.revisions or text in labels or text in unusable:
            continue
        message = f"{revision.id} depends on {text!r}, which does not exist"
        found = graph.find_dependency(text)
        if found is not None:
            message = f"{revision.id} depends on {text!r}; Alembic needs the full id {found} here"
        problems.append(Problem("dangling-dependency", "error", message + ".", revision.path, revision.line))
    return problems


def _labels(revisions: Mapping[str, Revision]) -> list[Problem]:
    """Alembic refuses a label that occurs twice, or that is a revision id."""
    problems = []
    owner: dict[str, str] = {}
    for id in sorted(id for id, revision in revisions.items() if revision.branch_labels):
        revision = revisions[id]
        for label in revision.branch_labels:
            other = label if label in revisions else owner.get(label)
            if other is not None:
                text = f"The branch label {label!r} of {id} is already used by {other}."
                problems.append(Problem("shared-branch-label", "error", text, revision.path, revision.line))
            owner.setdefault(label, id)
    return problems


def _cycles(graph: Graph) -> list[Problem]:
    problems = []
    on_parents: set[str] = set()
    for cycle in _components(graph, dependencies=False):
        on_parents.update(cycle)
        problems.append(_cycle(graph, cycle, "descend from themselves"))
    for cycle in _components(graph, dependencies=True):
        if on_parents.isdisjoint(cycle):
            problems.append(_cycle(graph, cycle, "depend on themselves"))
    return problems


def _cycle(graph: Graph, cycle: list[str], what: str) -> Problem:
    names = ", ".join(cycle[:10]) + (f" and {len(cycle) - 10} more" if len(cycle) > 10 else "")
    first = graph.revisions[cycle[0]]
    return Problem("cycle", "error", f"These revisions {what}: {names}.", first.path, first.line)


def _components(graph: Graph, dependencies: bool) -> list[list[str]]:
    """The sets of revisions that all lie on cycles with each other, each sorted, sorted by their first.

    Whatever has no parent left, or no child left, is taken away until nothing changes; what stays is
    split by who reaches whom. The second step runs only where there is a cycle.
    """
    edges: dict[str, set[str]] = {}
    for id in graph.revisions:
        below = graph.parents(id) + (graph.dependencies(id) if dependencies else ())
        if below:
            edges[id] = set(below)
    if dependencies and not any(graph.dependencies(id) for id in graph.revisions):
        return []
    edges = _trimmed(edges)
    found = []
    while edges:
        start = min(edges)
        group = _reached(edges, start) & _reached(_turned(edges), start)
        if len(group) > 1 or start in edges[start]:
            found.append(sorted(group))
        group.add(start)
        edges = {id: below - group for id, below in edges.items() if id not in group}
    return sorted(found)


def _trimmed(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    """Without what no cycle can go through, found by taking away revisions without parents, repeatedly."""
    above = _turned(edges)
    count = {id: len(below) for id, below in edges.items()}
    gone = [id for id in above if id not in edges]
    for id in gone:
        for child in above.get(id, ()):
            count[child] -= 1
            if not count[child]:
                gone.append(child)
    left = {id for id, number in count.items() if number}
    return {id: edges[id] & left for id in left}


def _turned(edges: dict[str, set[str]]) -> dict[str, set[str]]:
    turned: dict[str, set[str]] = {}
    for id, below in edges.items():
        for parent in below:
            turned.setdefault(parent, set()).add(id)
    return turned


def _reached(edges: dict[str, set[str]], start: str) -> set[str]:
    seen = {start}
    todo = [start]
    while todo:
        for other in edges.get(todo.pop(), ()):
            if other not in seen:
                seen.add(other)
                todo.append(other)
    return seen
