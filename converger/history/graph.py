"""The revision graph: what descends from what, computed once from a History. Nothing is executed.

Meanings follow Alembic's `RevisionMap` (alembic/script/revision.py): heads, bases, how a dependency is
resolved and how branch labels spread. Parents that do not exist are left out and cycles are walked once,
so that a graph with problems can still be built, drawn and explained; `History.problems` says what is wrong.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from functools import cached_property

from converger.history.model import History, Revision

_NONE_LABEL = "None"
"""Airflow writes `branch_labels = "None"`: a template's slip, no deliberate label. Alembic takes it as a
label of that name, which changes neither heads nor upgrades, so for us it keeps no branch apart."""

_SHORTEST_PREFIX = 4


def computed_label(revision: str) -> str:
    """The stand-in for branch labels that only running the file would tell: a label of this revision alone."""
    return f"<computed:{revision}>"


def declared_labels(revision: Revision) -> tuple[str, ...]:
    """The labels that a revision itself declares, sorted; a computed one as its stand-in."""
    labels = {label for label in revision.branch_labels if label != _NONE_LABEL}
    if "branch_labels" in revision.computed:
        labels.add(computed_label(revision.id))
    return tuple(sorted(labels))


class Graph:
    """The revisions of a History and what descends from what. Immutable.

    Methods that take ids accept only ids that exist (KeyError otherwise); `resolve` turns a user's text
    into one. "Including ids" is said where it is so.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.revisions: Mapping[str, Revision] = history.revisions
        self._parents = _existing_parents(history.revisions)

    # -- edges -------------------------------------------------------------------------------------

    def parents(self, id: str) -> tuple[str, ...]:
        """The `down_revision`s that exist, without repeats, in the order of the file."""
        return self._parents[id]

    def dependencies(self, id: str) -> tuple[str, ...]:
        """`depends_on` as ids: by id, branch label or unique prefix. What cannot be found is left out."""
        self.revisions[id]
        return self._dependencies.get(id, ())

    def children(self, id: str) -> tuple[str, ...]:
        """The revisions that name this one as `down_revision`, sorted."""
        self.revisions[id]
        return tuple(sorted(self._children.get(id, ())))

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for id, parents in self._parents.items():
            for parent in parents:
                if parent in children:
                    children[parent].append(id)
                else:
                    children[parent] = [id]
        return children

    @cached_property
    def _dependencies(self) -> dict[str, tuple[str, ...]]:
        """Only the revisions that have any: most histories have none at all."""
        dependencies = {}
        for revision in self.revisions.values():
            if revision.depends_on:
                found = (self.find_dependency(text) for text in revision.depends_on)
                dependencies[revision.id] = tuple(dict.fromkeys(id for id in found if id is not None))
        return dependencies

    @cached_property
    def _labelled(self) -> dict[str, str]:
        """Declared label -> the revision that declares it; the first by id where two do (a Problem says so)."""
        labelled: dict[str, str] = {}
        for id in sorted(r.id for r in self.revisions.values() if r.branch_labels):
            for label in self.revisions[id].branch_labels:
                labelled.setdefault(label, id)
        return labelled

    def find_dependency(self, text: str) -> str | None:
        """The id that one entry of `depends_on` means, or None.

        Alembic looks the text up among ids and labels only; a unique prefix is followed too, so that
        the graph is complete, and reported as a problem by the reader.
        """
        if text in self.revisions:
            return text
        if text in self._labelled:
            return self._labelled[text]
        if len(text) < _SHORTEST_PREFIX:
            return None
        matches = [id for id in self.revisions if id.startswith(text)]
        return matches[0] if len(matches) == 1 else None

    # -- ends --------------------------------------------------------------------------------------

    @cached_property
    def heads(self) -> tuple[str, ...]:
        """The revisions that no revision names as `down_revision`, sorted: what `alembic heads` says."""
        below = {parent for parents in self._parents.values() for parent in parents}
        return tuple(sorted(id for id in self.revisions if id not in below))

    @cached_property
    def effective_heads(self) -> tuple[str, ...]:
        """Heads that no revision depends on either, sorted: `alembic heads --resolve-dependencies`."""
        needed = {id for ids in self._dependencies.values() for id in ids}
        return tuple(id for id in self.heads if id not in needed)

    @cached_property
    def bases(self) -> tuple[str, ...]:
        """The revisions without a `down_revision`, sorted. One whose parent is missing is no base."""
        return tuple(sorted(id for id, r in self.revisions.items() if not r.down_revisions))

    # -- walks -------------------------------------------------------------------------------------

    def ancestors(self, ids: Iterable[str], *, dependencies: bool = False) -> frozenset[str]:
        """All that the given revisions descend from, including themselves."""
        return frozenset(self._below(self._checked(ids), dependencies))

    def descendants(self, ids: Iterable[str]) -> frozenset[str]:
        """All that descends from the given revisions by `down_revision`, including themselves."""
        children = self._children
        seen = set(self._checked(ids))
        todo = list(seen)
        while todo:
            for child in children.get(todo.pop(), ()):
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
        return frozenset(seen)

    def _checked(self, ids: Iterable[str]) -> list[str]:
        return [self.revisions[id].id for id in ids]

    def _below(self, ids: Iterable[str], dependencies: bool) -> set[str]:
        parents = self._parents
        needed = self._dependencies if dependencies else {}
        seen = set(ids)
        todo = list(seen)
        while todo:
            id = todo.pop()
            for parent in parents[id]:
                if parent not in seen:
                    seen.add(parent)
                    todo.append(parent)
            if id in needed:
                for parent in needed[id]:
                    if parent not in seen:
                        seen.add(parent)
                        todo.append(parent)
        return seen

    def maximal(self, ids: Iterable[str], *, dependencies: bool = True) -> tuple[str, ...]:
        """Those of the ids that no other of them descends from, sorted.

        With dependencies this is what the version table holds in the state `ids`. Revisions on a cycle
        are never maximal.
        """
        wanted = set(self._checked(ids))
        needed = self._dependencies if dependencies else {}
        direct = {parent for id in wanted for parent in (*self._parents[id], *needed.get(id, ()))}
        below = self._below(direct, dependencies)
        return tuple(sorted(wanted - below))

    def lowest_common_ancestors(self, heads: Iterable[str]) -> tuple[str, ...]:
        """The maximal revisions that all the heads descend from by `down_revision`, sorted; () if none."""
        ids = sorted(set(self._checked(heads)))
        if len(ids) < 2:
            return tuple(ids)
        each = [self._below([id], False) for id in ids]
        return self.maximal(set.intersection(*each), dependencies=False)

    def common_base(self, heads: Iterable[str]) -> str | None:
        """The lowest single revision that all heads, and all their lowest common ancestors, descend from.

        None where the heads have no common ancestor, or only several that never meet further down.
        """
        lowest = self.lowest_common_ancestors(heads)
        # Common ancestors of pairwise unrelated revisions exclude these, so every round is smaller.
        while len(lowest) > 1:
            lowest = self.lowest_common_ancestors(lowest)
        return lowest[0] if lowest else None

    def topological(self, ids: Iterable[str]) -> tuple[str, ...]:
        """The ids with parents and dependencies first. Among those that are ready, the smallest id first."""
        order = self._order
        return tuple(sorted(set(self._checked(ids)), key=order.__getitem__))

    @cached_property
    def _order(self) -> dict[str, int]:
        needed = self._dependencies
        above: dict[str, list[str]] = {}
        waiting: dict[str, int] = {}
        for id, parents in self._parents.items():
            below = set(parents) | set(needed[id]) if id in needed else set(parents)
            waiting[id] = len(below)
            for parent in below:
                above.setdefault(parent, []).append(id)
        ready = [id for id, count in waiting.items() if not count]
        heapq.heapify(ready)
        order: dict[str, int] = {}
        while ready:
            id = heapq.heappop(ready)
            order[id] = len(order)
            for child in above.get(id, ()):
                waiting[child] -= 1
                if not waiting[child]:
                    heapq.heappush(ready, child)
        for id in sorted(waiting):  # what is left lies on a cycle, or above one
            order.setdefault(id, len(order))
        return order

    # -- names -------------------------------------------------------------------------------------

    def labels(self, id: str) -> frozenset[str]:
        """The branch labels of a revision as Alembic spreads them; see `computed_label` for computed ones."""
        self.revisions[id]
        return self._labels.get(id, frozenset())

    @cached_property
    def _labels(self) -> dict[str, frozenset[str]]:
        """Down to all descendants; and up from a line without branch or merge, until one is met.

        The second half is `RevisionMap._add_branches`: it walks up from the last descendant, which can
        leave the labelled revision upwards only if the line from there to its one leaf is unbranched.
        """
        spread: dict[str, set[str]] = {}
        for id in sorted(self.revisions):
            own = declared_labels(self.revisions[id])
            if own:
                for node in (*self.descendants([id]), *self._line_below(id)):
                    spread.setdefault(node, set()).update(own)
        return {id: frozenset(labels) for id, labels in spread.items()}

    def _line_below(self, id: str) -> list[str]:
        """The unbranched line under a labelled revision, if the line above it is unbranched too."""
        seen = {id}
        node = id
        while True:
            if self._stops_labels(node):
                return []
            above = self._children.get(node, ())
            if not above:
                break
            node = above[0]
            if node in seen:
                return []
            seen.add(node)
        line: list[str] = []
        node = id
        while self._parents[node] and not self._stops_labels(self._parents[node][0]):
            node = self._parents[node][0]
            if node in seen:
                break
            seen.add(node)
            line.append(node)
        return line

    def _stops_labels(self, id: str) -> bool:
        """A merge point, or a branch point where dependencies count (Alembic's `_is_real_branch_point`)."""
        return len(self.revisions[id].down_revisions) > 1 or self._followers.get(id, 0) > 1

    @cached_property
    def _followers(self) -> dict[str, int]:
        """How many revisions name each one, as parent or dependency."""
        followers: dict[str, int] = {}
        for id, parents in self._parents.items():
            for parent in {*parents, *self._dependencies.get(id, ())}:
                followers[parent] = followers.get(parent, 0) + 1
        return followers

    def resolve(self, text: str) -> str:
        """The id that a user means: an id, a branch label, or a prefix of at least four characters of one.

        LookupError (with a text for the user) where nothing or more than one thing fits.
        """
        if text in self.revisions:
            return text
        if text in self._labelled:
            return self._labelled[text]
        if len(text) < _SHORTEST_PREFIX:
            raise LookupError(
                f"no revision or branch label {text!r}; a prefix needs at least {_SHORTEST_PREFIX} characters"
            )
        matches = {id for id in self.revisions if id.startswith(text)}
        matches |= {id for label, id in self._labelled.items() if label.startswith(text)}
        if not matches:
            raise LookupError(f"no revision or branch label starts with {text!r}")
        if len(matches) > 1:
            some = ", ".join(sorted(matches)[:3])
            raise LookupError(f"{len(matches)} revisions start with {text!r}: {some}")
        return matches.pop()

    # -- change ------------------------------------------------------------------------------------

    def with_revisions(self, extra: Iterable[Revision]) -> Graph:
        """A new graph with more revisions (or others under the same ids); the problems stay."""
        revisions = {**self.revisions, **{revision.id: revision for revision in extra}}
        return Graph(History(revisions, self.history.problems))


def _existing_parents(revisions: Mapping[str, Revision]) -> dict[str, tuple[str, ...]]:
    parents: dict[str, tuple[str, ...]] = {}
    for id, revision in revisions.items():
        down = revision.down_revisions
        if len(down) == 1:
            parents[id] = down if down[0] in revisions else ()
        else:
            parents[id] = tuple(dict.fromkeys(p for p in down if p in revisions))
    return parents
