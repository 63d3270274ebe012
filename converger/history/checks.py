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
    for cycle in _circles({id: graph.parents(id) for id in graph.revisions}):
        on_parents.update(cycle)
        problems.append(_cycle(graph, cycle, "descend from themselves"))
    if any(graph.dependencies(id) for id, revision in graph.revisions.items() if revision.depends_on):
        for cycle in _circles({id: graph.parents(id) + graph.dependencies(id) for id in graph.revisions}):
            if on_parents.isdisjoint(cycle):
                problems.append(_cycle(graph, cycle, "depend on themselves"))
    return problems


def _cycle(graph: Graph, cycle: list[str], what: str) -> Problem:
    names = ", ".join(cycle[:10]) + (f" and {len(cycle) - 10} more" if len(cycle) > 10 else "")
    first = graph.revisions[cycle[0]]
    return Problem("cycle", "error", f"These revisions {what}: {names}.", first.path, first.line)


def _circles(below: Mapping[str, tuple[str, ...]]) -> list[list[str]]:
    """The sets of revisions that lie on cycles with each other, each sorted, sorted by their first."""
    left = _trimmed(below)
    if not left:
        return []
    return sorted(
        sorted(group)
        for group in _strongly_connected({id: [p for p in below[id] if p in left] for id in left})
        if len(group) > 1 or group[0] in below[group[0]]
    )


def _trimmed(below: Mapping[str, tuple[str, ...]]) -> set[str]:
    """Without whatever, parents first, can be taken away once it has no parent left: mostly everything."""
    above: dict[str, list[str]] = {}
    waiting: dict[str, int] = {}
    ready = []
    for id, parents in below.items():
        if parents:
            waiting[id] = len(parents)
            for parent in parents:
                if parent in above:
                    above[parent].append(id)
                else:
                    above[parent] = [id]
        else:
            ready.append(id)
    for id in ready:
        for child in above.get(id, ()):
            if waiting[child] == 1:
                del waiting[child]
                ready.append(child)
            else:
                waiting[child] -= 1
    return set(waiting)


def _strongly_connected(edges: Mapping[str, list[str]]) -> list[list[str]]:
    """Tarjan's algorithm, without recursion."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    groups: list[list[str]] = []
    for start in edges:
        if start in number:
            continue
        path = [(start, iter(edges[start]))]
        number[start] = low[start] = len(number)
        stack.append(start)
        on_stack.add(start)
        while path:
            id, parents = path[-1]
            for parent in parents:
                if parent not in number:
                    number[parent] = low[parent] = len(number)
                    stack.append(parent)
                    on_stack.add(parent)
                    path.append((parent, iter(edges[parent])))
                    break
                if parent in on_stack:
                    low[id] = min(low[id], number[parent])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[id])
                if low[id] == number[id]:
                    group = stack[stack.index(id) :]
                    del stack[-len(group) :]
                    on_stack.difference_update(group)
                    groups.append(group)
    return groups
