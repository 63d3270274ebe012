"""The states in which databases between the common ancestor and the heads can be, and the steps between them.

A state is the set of the branches' revisions that a database has applied, closed under ancestors. A step
applies one revision more. Where two revisions can both be next, the four states around them are a square:
when both ways around every square end alike, all ways from the ancestor to the heads do (docs/proof.md).
Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from converger.history import Graph
from converger.plan import LinePlan

State = frozenset[str]
"""Revisions above the common ancestor that are applied."""


@dataclass(frozen=True)
class Step:
    """Applying `revision` to a database in `state`."""

    state: State
    revision: str

    @property
    def result(self) -> State:
        """The state that it leads to."""
        return self.state | {self.revision}


@dataclass(frozen=True)
class Square:
    """Two revisions that can both be next in `state`: both orders of them must end alike."""

    state: State
    revisions: tuple[str, str]

    @property
    def result(self) -> State:
        """The state in which both are applied."""
        return self.state | set(self.revisions)

    @property
    def steps(self) -> tuple[Step, Step, Step, Step]:
        """Its four steps: one order, then the other."""
        a, b = self.revisions
        return (
            Step(self.state, a),
            Step(self.state | {a}, b),
            Step(self.state, b),
            Step(self.state | {b}, a),
        )


class Lattice:
    """The states of one line of history. What it gives is in an order that depends on the history only."""

    def __init__(self, needs: Mapping[str, Iterable[str]]) -> None:
        """`needs`: for each revision of the branches, those of them that must be applied before it."""
        self._needs: Mapping[str, State] = {
            revision: frozenset(needs[revision]) & needs.keys() for revision in sorted(needs)
        }
        self.full: State = frozenset(self._needs)
        self._below = {revision: self._closure(revision) for revision in self._needs}

    def above(self, state: State) -> Lattice:
        """The lattice of what is left to be applied to a state."""
        return Lattice({revision: needs for revision, needs in self._needs.items() if revision not in state})

    def below(self, revision: str) -> State:
        """The smallest state in which the revision can be next: where its own branch alone is applied."""
        return self._below[revision]

    def next(self, state: State) -> tuple[str, ...]:
        """The revisions that can be applied to a state, sorted."""
        return tuple(
            revision for revision, needs in self._needs.items() if revision not in state and needs <= state
        )

    def levels(self, limit: int) -> Iterator[tuple[State, ...]]:
        """The states by their number of revisions, from none on; ends early when more than `limit` were given."""
        given = 0
        level: tuple[State, ...] = (frozenset(),)
        while level:
            yield level
            given += len(level)
            if given > limit:
                return
            above = {state | {revision}: None for state in level for revision in self.next(state)}
            level = tuple(above)

    def steps(self, limit: int) -> tuple[Step, ...] | None:
        """All steps, those in smaller states first; None when there are more than `limit`."""
        found: list[Step] = []
        for level in self.levels(limit):
            for state in level:
                found += [Step(state, revision) for revision in self.next(state)]
                if len(found) > limit:
                    return None
        return tuple(found)

    def squares(self, state: State) -> tuple[Square, ...]:
        """The squares that begin in a state."""
        return tuple(Square(state, pair) for pair in combinations(self.next(state), 2))

    def pairs(self) -> Iterator[Square]:
        """For each two revisions of which neither needs the other, the square in the smallest state."""
        for a, b in combinations(self._needs, 2):
            if a not in self._below[b] and b not in self._below[a]:
                yield Square(self._below[a] | self._below[b], (a, b))

    def removable(self, state: State) -> tuple[str, ...]:
        """The revisions of a state on which no other of it depends, sorted: each may have been the last."""
        return tuple(
            revision
            for revision in sorted(state)
            if not any(revision in self._needs[other] for other in state)
        )

    def path(self, state: State, target: State) -> tuple[str, ...]:
        """Revisions that lead from one state to a larger one, in an order that is always the same."""
        order: list[str] = []
        reached = state
        while reached != target:
            revision = next(r for r in self.next(reached) if r in target)
            order.append(revision)
            reached = reached | {revision}
        return tuple(order)

    def _closure(self, revision: str) -> State:
        found: set[str] = set()
        waiting = list(self._needs[revision])
        while waiting:
            other = waiting.pop()
            if other not in found:
                found.add(other)
                waiting.extend(self._needs[other])
        return frozenset(found)


def lattice_of(graph: Graph, line: LinePlan) -> Lattice:
    """The lattice between a line's common ancestor and its heads; merges that are planned are no part of it."""
    applied = graph.ancestors(line.base_state, dependencies=True)
    region = graph.ancestors(line.heads, dependencies=True) - applied
    return Lattice(
        {revision: (*graph.parents(revision), *graph.dependencies(revision)) for revision in region}
    )
