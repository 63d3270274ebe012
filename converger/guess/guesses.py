"""The branches of a history to guesses: which revisions meet for the first time, and what they do to each other."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from converger.guess.model import Action, Footprint, Guess, Guesses, Place
from converger.guess.net import Key, key_of, net, new_key, owner_key
from converger.guess.rules import Clash, clash
from converger.guess.saying import describe
from converger.guess.upgrade import read_upgrade

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.plan import LinePlan

_ERRORS = (SyntaxError, ValueError, MemoryError, RecursionError)
_MOST = 200
"""Guesses that are made; whoever has more does not need the rest."""
_COMPARISONS = 100_000
"""Pairs of actions that are held against each other for one line of history: less than a second."""


def read_footprint(data: bytes) -> Footprint:
    """What the upgrade() in the bytes of a revision file does; never raises for what they contain."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file's invalid escapes are not ours to report
            tree = ast.parse(data)
    except _ERRORS:
        return Footprint(unknown=(1,))
    return read_upgrade(tree)


def guess(graph: Graph, lines: Iterable[LinePlan], read: Callable[[str], bytes]) -> Guesses:
    """Guess how the heads of each line would clash. `read` gives the bytes of a path as the graph has it (OSError
    where it cannot; the revision then counts as computed)."""
    footprints: dict[str, Footprint] = {}
    found: list[Guess] = []
    unfinished: set[str] = set()
    for line in lines:
        if len(line.heads) < 2:
            continue
        branches = _Branches(graph, line)
        for id in branches.revisions:
            if id not in footprints:
                footprints[id] = _footprint(graph, id, read)
        comparison = _Comparison(graph, branches, footprints)
        found += comparison.guesses()
        if comparison.left == 0:
            unfinished.update(branches.revisions)
    order = {"likely": 0, "possible": 1}
    found.sort(key=lambda g: (order[g.confidence], g.kind, g.object, [p.revision for p in g.places]))
    computed = tuple(
        sorted(id for id, footprint in footprints.items() if footprint.unknown or id in unfinished)
    )
    return Guesses(tuple(found[:_MOST]), tuple(sorted(footprints)), computed)


def _footprint(graph: Graph, id: str, read: Callable[[str], bytes]) -> Footprint:
    try:
        footprint = read_footprint(read(graph.revisions[id].path))
    except OSError:
        return Footprint(unknown=(1,))
    return Footprint(net(footprint.actions), footprint.unknown)


class _Branches:
    """The revisions behind the common ancestors, and which two of them no head has both of."""

    def __init__(self, graph: Graph, line: LinePlan) -> None:
        each = [graph.ancestors([head], dependencies=True) for head in line.heads]
        common = frozenset.intersection(*each)
        self.revisions = graph.topological(frozenset().union(*each) - common)
        self.ancestors = {id: graph.ancestors([id], dependencies=True) - common for id in self.revisions}
        self._heads = {id: frozenset(n for n, ids in enumerate(each) if id in ids) for id in self.revisions}

    def meet(self, one: str, other: str) -> bool:
        """Whether merging brings the two together: no head has both, so neither is the other's ancestor."""
        return not self._heads[one] & self._heads[other]


class _Comparison:
    """Actions of all revisions of a line, by what they are about."""

    def __init__(self, graph: Graph, branches: _Branches, footprints: Mapping[str, Footprint]) -> None:
        self.left = _COMPARISONS
        """0: not everything was compared."""
        self._graph = graph
        self._branches = branches
        self._footprints = footprints
        self._made = {id: frozenset(_makes(footprints[id].actions)) for id in branches.revisions}

    def guesses(self) -> list[Guess]:
        about: dict[Key, dict[tuple[str, Action], None]] = {}
        for id in self._branches.revisions:
            for action in self._footprints[id].actions:
                for key in _anchors(action):
                    about.setdefault(key, {})[id, action] = None
        found: dict[tuple[str, str, str, str], Guess] = {}
        for members in about.values():
            for (one, x), (other, y) in combinations(members, 2):
                if one != other and self._branches.meet(one, other):
                    if self.left == 0:
                        break
                    self.left -= 1
                    self._compare(one, x, other, y, found)
        return _roots(list(found.values()))

    def _compare(
        self, one: str, x: Action, other: str, y: Action, found: dict[tuple[str, str, str, str], Guess]
    ) -> None:
        clashing = clash(x, y)
        if clashing is None or self._moot(one, x, other, y, clashing):
            return
        (first, a), (second, b) = sorted(((one, x), (other, y)), key=lambda side: side[0])
        key = (clashing.kind, clashing.object, first, second)
        known = found.get(key)
        if known is not None and (known.confidence == "likely" or clashing.confidence == "possible"):
            return
        places = (self._place(first, a), self._place(second, b))
        message = f"{first} {describe(a)}, {second} {describe(b)}"
        found[key] = Guess(clashing.kind, clashing.confidence, clashing.object, places, message)

    def _place(self, id: str, action: Action) -> Place:
        return Place(id, self._graph.revisions[id].path, action.line)

    def _moot(self, one: str, x: Action, other: str, y: Action, clashing: Clash) -> bool:
        """Whether the two cannot be about the same thing, or a later revision sets it right."""
        if clashing.kind == "drop-if-exists":
            dropper, maker = (one, other) if x.verb == "drop" else (other, one)
            key = key_of(x)
            above = [
                id for id, below in self._branches.ancestors.items() if dropper in below and id != dropper
            ]
            if any(key in self._made[id] and maker not in self._branches.ancestors[id] for id in above):
                return True
        below = self._branches.ancestors[one], self._branches.ancestors[other]
        own = [
            frozenset[Key]().union(*(self._made[id] for id in side - opposite - {itself}))
            for side, opposite, itself in ((below[0], below[1], one), (below[1], below[0], other))
        ]
        fresh = own[0] | own[1]
        if not fresh:
            return False
        # A branch made it itself: the other branch means something else, which a duplicate says.
        creating = x.verb == y.verb == "create"
        keys = {owner_key(a) for a in (x, y) if a.kind not in ("table", "view", "type") or not creating}
        keys |= set() if creating else {key_of(x), key_of(y)}
        if clashing.kind in ("dropped-column-used", "renamed-column-used", "same-rows-updated"):
            keys.add(("column", x.owner, clashing.object.rpartition(".")[2]))
        return bool(keys & fresh)


def _makes(actions: Sequence[Action]) -> Iterable[Key]:
    for action in actions:
        if action.verb == "create":
            yield key_of(action)
        elif action.verb == "rename":
            yield new_key(action)


def _anchors(action: Action) -> set[Key]:
    keys = {owner_key(action), key_of(action)}
    if action.verb == "rename":
        keys.add(new_key(action))
    return {key for key in keys if key != ("relation", ("", ""))}


def _roots(guesses: list[Guess]) -> list[Guess]:
    """Without what only follows from another guess about the same two revisions."""
    tables = {
        (g.places[0].revision, g.places[1].revision, g.object)
        for g in guesses
        if g.kind in ("duplicate-table", "dropped-table-used", "renamed-table-used")
    }
    duplicates = {pair[:2] for pair in tables}
    kept = []
    for g in guesses:
        pair = (g.places[0].revision, g.places[1].revision)
        owner = g.object.rpartition(".")[0]
        if (*pair, owner) in tables or (g.kind == "duplicate-object" and pair in duplicates):
            continue
        kept.append(g)
    return kept
