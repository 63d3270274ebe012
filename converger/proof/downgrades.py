"""What downgrading does once the branches are merged: each branch taken back alone, and all at once.

Alembic's `downgrade X` takes back what descends from X, and `downgrade R@X` only that part of it which leads to
R. So behind a merge `downgrade A@X`, with X the revision on which A's branch began, takes back A's branch and the
merges, and leaves the other branches applied (docs/downgrades.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Literal

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.blindness import Blindness
from converger.proof.explain import describe
from converger.proof.facts import Difference, Fingerprint, Mask, differences
from converger.proof.lattice import Lattice, State
from converger.proof.model import Downgrade, DowngradeRun
from converger.proof.process import Worker
from converger.proof.stock import Stock
from converger.proof.upgrade import Failure
from converger.proof.upgrader import Leg, Place, Upgrader

_LANES = 2
_AHEAD = 2

_OUT_OF_TIME = "the time for the proof was over (--proof-budget)"
_OWN_COMMAND = "the project's own command (--command) only says how to upgrade"

_SURE = frozenset(
    "NotImplementedError VersionTableDisagrees DatabaseError IntegrityError InternalError OperationalError"
    " ProgrammingError NoSuchTableError".split()
)
"""Failures that say the same however the revision files were imported."""

_Thing = tuple[str, str]


@dataclass(frozen=True)
class WayDown:
    """One `alembic downgrade`: from a state (of the lattice) to a smaller one, by a target.

    `merged` is whether it begins at the final head, `branch` the head whose branch it takes back, None for all.
    """

    start: State
    end: State
    target: str
    branch: str | None
    merged: bool


def ways_down(graph: Graph, line: LinePlan, lattice: Lattice, below: frozenset[str]) -> tuple[WayDown, ...]:
    """What is to be looked at: each branch alone from its own head, then each from the final head, then all at once.

    `below` is what is applied at the common ancestor. Ways that no single target of Alembic's describes are left
    out.
    """
    applied = below | graph.ancestors([line.final_head], dependencies=True)
    alone, merged = [], []
    for head in line.heads:
        state = _region(graph, lattice, [head])
        target = _target(graph, below | state, state, None)
        if target is not None:
            alone.append(WayDown(state, frozenset(), target, head, merged=False))
        others = _region(graph, lattice, [other for other in line.heads if other != head])
        own = _with_dependents(graph, applied, lattice.full - others)
        target = _target(graph, applied, own, head)
        if target is not None:
            merged.append(WayDown(lattice.full, lattice.full - own, target, head, merged=True))
    target = _target(graph, applied, applied - below, None)
    if target is not None:
        merged.append(WayDown(lattice.full, frozenset(), target, None, merged=True))
    return (*alone, *merged)


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


def _region(graph: Graph, lattice: Lattice, heads: Sequence[str]) -> State:
    return graph.ancestors(heads, dependencies=True) & lattice.full


def _target(graph: Graph, applied: frozenset[str], wanted: frozenset[str], branch: str | None) -> str | None:
    """A target that takes back exactly the wanted ones of what is applied; None where there is none."""
    below = {parent for r in wanted for parent in graph.parents(r) if parent not in wanted}
    for lowest in (*sorted(below), *(["base"] if any(not graph.parents(r) for r in wanted) else [])):
        for target in (f"{branch}@{lowest}", lowest) if branch else (lowest,):
            if taken_back(graph, applied, target) == wanted:
                return target
    return None


@dataclass(frozen=True)
class _Seen:
    """How one way went; `residue` is what is there after it (second) and was not before, or was (first)."""

    way: WayDown
    leg: Leg | None = None
    residue: tuple[Difference, ...] = ()
    blind: str | None = None

    @property
    def failure(self) -> Failure | None:
        return self.leg.failure if self.leg else None

    @property
    def things(self) -> frozenset[_Thing]:
        return frozenset((one.kind, one.object) for one in self.residue)


class Downgrades:
    """Runs the ways down of one line whose upgrades commute."""

    def __init__(
        self,
        *,
        bench: Bench,
        upgrader: Upgrader,
        graph: Graph,
        line: LinePlan,
        lattice: Lattice,
        blindness: Blindness,
        base: Place,
        places: Mapping[State, Place],
        prints: Mapping[State, Fingerprint],
        mask: Mask,
        deadline: float,
    ) -> None:
        """`places` are databases in some states, which are used up; `prints` what was read of states under some mask.

        `mask` is the one that holds at the end, `deadline` (`time.monotonic()`) after which nothing is begun.
        """
        self._bench = bench
        self._sites = bench.sites
        self._upgrader = upgrader
        self._graph = graph
        self._line = line
        self._lattice = lattice
        self._blindness = blindness
        self._base = base
        self._places = {**places}
        self._prints = dict(prints)
        self._mask = mask
        self._deadline = deadline
        self._ways = ways_down(graph, line, lattice, base.state)

    def run(self) -> Downgrade:
        """Run them all. What cannot be looked at is in the result."""
        if self._bench.command is not None:
            return Downgrade(detail=_OWN_COMMAND)
        alone = [way for way in self._ways if not way.merged]
        merged = [way for way in self._ways if way.merged]
        self._bench.progress.say("downgrading")
        stock: Stock | None = None
        lanes = ThreadPoolExecutor(max_workers=_LANES)
        try:
            final = self._take(self._lattice.full)
            stock = Stock(self._sites, final.site, expected=len(merged), ahead=_AHEAD)
            for way in self._ways:
                self._read_before(way.end)
            seen = list(lanes.map(self._alone, alone))
            # A branch whose downgrade fails on its own database does so on one where the others are applied, too.
            failing = {one.way.branch for one in seen if one.failure}
            worth = [way for way in merged if way.branch not in failing and (way.branch or not failing)]
            from_stock = stock
            seen += lanes.map(lambda way: self._merged(way, final, from_stock), worth)
        except CouldNotEvaluate as error:
            return Downgrade(detail=error.message)
        except BaseException:  # also Ctrl-C: a migration that runs must not be waited for
            lanes.shutdown(wait=False, cancel_futures=True)
            self._upgrader.stop()
            raise
        finally:
            lanes.shutdown(wait=True, cancel_futures=True)
            if stock is not None:
                stock.close()
        return judge_downgrades(self._graph, seen, self._described)

    # -- databases

    def _take(self, state: State) -> Place:
        """A database in that state, for the caller alone: a kept one, or one that is made now."""
        kept = self._places.pop(state, None)
        if kept is not None:
            return kept
        if not state:
            return replace(self._base, site=self._sites.clone(self._base.site))
        return self._upgrader.believed(lambda worker: self._made(worker, state), lambda place: [])

    def _made(self, worker: Worker, state: State) -> Place:
        place = replace(self._base, site=self._sites.clone(self._base.site))
        full = state == self._lattice.full
        heads = (self._line.final_head,) if full else self._graph.maximal(state, dependencies=True)
        for target in heads:
            leg, place = self._upgrader.upgrade(worker, place, target)
            if leg.failure is not None:
                raise CouldNotEvaluate(
                    f"a database at {target} could not be made once more: {leg.failure.message}",
                    code="downgrade-not-evaluated",
                )
        return place

    def _read_before(self, state: State) -> None:
        """Have the fingerprint of a state, read under the mask that holds now."""
        if state in self._prints and not self._mask.columns:
            return
        place = self._places.get(state)
        if not state:
            place = self._base
        made = None if place is not None else self._take(state)
        place = place or made
        assert place is not None
        self._prints[state] = self._read(place)
        if made is not None:
            self._sites.drop(made.site)

    def _read(self, place: Place) -> Fingerprint:
        return self._sites.read(place.site, self._upgrader.version_tables, self._mask)

    # -- ways

    def _alone(self, way: WayDown) -> _Seen:
        def work(worker: Worker) -> _Seen:
            place = self._take(way.start)
            try:
                return self._down(worker, place, way)
            finally:
                self._sites.drop(place.site)

        return self._looked(way, work)

    def _merged(self, way: WayDown, final: Place, stock: Stock) -> _Seen:
        def work(worker: Worker) -> _Seen:
            site = stock.take()
            try:
                return self._down(worker, replace(final, site=site), way)
            finally:
                stock.give_back(site)

        return self._looked(way, work)

    def _looked(self, way: WayDown, work: Callable[[Worker], _Seen]) -> _Seen:
        """What it showed; blind where a failure says nothing about the downgrade."""
        if time.monotonic() > self._deadline:
            return _Seen(way, blind=_OUT_OF_TIME)
        try:
            seen = self._upgrader.believed(
                work, lambda seen: [seen.failure] if seen.failure and _doubtful(seen.failure) else []
            )
        except CouldNotEvaluate as error:
            return _Seen(way, blind=error.message)
        reason = self._blindness.reason(seen.failure, alone=not way.merged) if seen.failure else None
        return replace(seen, blind=reason.message) if reason else seen

    def _down(self, worker: Worker, place: Place, way: WayDown) -> _Seen:
        # Merges between other branches stay.
        left = place.state - taken_back(self._graph, place.state, way.target)
        leg, after = self._upgrader.downgrade(worker, place, way.target, left=left)
        if leg.failure is not None:
            return _Seen(way, leg)
        return _Seen(way, leg, differences(self._prints[way.end].facts, self._read(after).facts, self._mask))

    def _described(self, state: State) -> tuple[str, ...]:
        """A state as its heads."""
        if state == self._lattice.full:
            return (self._line.final_head,)
        return self._graph.maximal(self._base.state | state, dependencies=True)


def judge_downgrades(
    graph: Graph, seen: Sequence[_Seen], heads: Callable[[State], tuple[str, ...]]
) -> Downgrade:
    """What these show together. A branch's own trouble is told from what merging causes: pure.

    The failure or the residue of a branch that has the same on its own database is its own.
    """
    own = {one.way.branch: one for one in seen if not one.way.merged}
    known = frozenset(thing for one in own.values() for thing in one.things)
    runs = []
    for one in seen:
        before = (
            known
            if one.way.branch is None
            else own[one.way.branch].things
            if one.way.branch in own
            else known
        )
        result: Literal["restores", "fails", "leaves-residue", "not-run"] = "restores"
        if one.blind is not None:
            result = "not-run"
        elif one.failure is not None:
            result = "fails"
        elif one.residue:
            result = "leaves-residue"
        failure = one.failure
        shown = [d for d in one.residue if not one.way.merged or (d.kind, d.object) not in before]
        runs.append(
            DowngradeRun(
                start=heads(one.way.start),
                end=heads(one.way.end),
                branch=one.way.branch,
                target=one.way.target,
                result=result,
                by_merging=one.way.merged
                and (result == "fails" or (result == "leaves-residue" and not one.things <= before)),
                revision=failure.revision if failure else None,
                statement=failure.statement if failure else None,
                error=one.blind or (failure.message.strip() or failure.type if failure else None),
                differences=describe(shown or one.residue, ("before", "after")),
            )
        )
    return Downgrade(*_summary(runs), runs=tuple(runs))


def joined_downgrades(downgrades: Sequence[Downgrade]) -> Downgrade:
    """Those of several lines of history as one: the worst decides, and what merging causes before the rest."""
    ranks = ("fails", "leaves-residue", "not-run", "restores")
    worst = min(downgrades, key=lambda one: (not one.by_merging, ranks.index(one.result)))
    return replace(worst, runs=tuple(run for one in downgrades for run in one.runs))


def _summary(
    runs: Sequence[DowngradeRun],
) -> tuple[Literal["restores", "fails", "leaves-residue", "not-run"], str | None, bool]:
    caused = [run for run in runs if run.by_merging]
    for some in (caused, runs):
        for result in ("fails", "leaves-residue"):
            found = [run for run in some if run.result == result]
            if found:
                return found[0].result, _words(found, by_merging=bool(caused)), bool(caused)
        blind = [run for run in runs if run.result == "not-run"]
        if blind and not caused:
            return "not-run", blind[0].error, False
    return ("restores", None, False) if runs else ("not-run", "Alembic has no command for it", False)


def _words(found: Sequence[DowngradeRun], *, by_merging: bool) -> str:
    first = found[0]
    if first.result == "fails":
        what = f"{first.revision or 'env.py'} fails: {first.error}"
    else:
        what = "; ".join(first.differences[:3]) + ("; …" if len(first.differences) > 3 else "")
    if by_merging:
        return f"by merging: `alembic downgrade {first.target}` from {' + '.join(first.start)}: {what}"
    branches = ", ".join(dict.fromkeys(run.branch or "" for run in found if run.branch))
    return f"not by merging: so does the branch of {branches} alone: {what}"


def _doubtful(failure: Failure) -> bool:
    """Whether code that was imported in another order than Alembic's could be the cause of a failure."""
    return failure.sqlstate is None and failure.type not in _SURE
