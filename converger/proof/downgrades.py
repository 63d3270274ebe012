"""What downgrading does once the branches are merged: each branch taken back alone, and all at once.

A branch's own downgrade is run too, on a database without the others: its troubles are not merging's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.blindness import Blindness
from converger.proof.explain import describe
from converger.proof.facts import Difference, Fingerprint, Mask, differences
from converger.proof.lanes import lanes
from converger.proof.lattice import Lattice, State
from converger.proof.model import Downgrade, DowngradeResult, DowngradeRun
from converger.proof.process import Worker
from converger.proof.stock import Stock
from converger.proof.upgrade import Failure
from converger.proof.upgrader import Leg, Place, Upgrader
from converger.proof.waysdown import WayDown, taken_back

_AHEAD = 2
_SHOWN = 3

_OUT_OF_TIME = "the time for the proof was over (--proof-budget)"
_NO_COMMAND = "the branches are so interwoven that no single `alembic downgrade` takes this one back"
_OWN_COMMAND = "the project's own command (--command) only says how to upgrade"

_SURE = frozenset(
    "NotImplementedError VersionTableDisagrees DatabaseError IntegrityError InternalError OperationalError"
    " ProgrammingError NoSuchTableError".split()
)
"""Failures that say the same however the revision files were imported."""

_Thing = tuple[str, str]


@dataclass(frozen=True)
class Seen:
    """How one way went; `residue` is what is there after it (second) and was not before, or was (first)."""

    way: WayDown
    leg: Leg | None = None
    residue: tuple[Difference, ...] = ()
    blind: str | None = None

    @property
    def failure(self) -> Failure | None:
        return self.leg.failure if self.leg else None

    @property
    def restores(self) -> bool:
        return self.failure is None and self.blind is None and not self.residue

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
        ways: Sequence[WayDown],
        base: Place,
        places: Mapping[State, Place],
        prints: Mapping[State, Fingerprint],
        mask: Mask,
        deadline: float,
    ) -> None:
        """`ways` are from `ways_down`; `places` databases in some states, which are used up; `prints` what was read of
        states under some mask.

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
        self._ways = tuple(ways)
        self._alone = tuple(way for way in self._ways if not way.merged)
        self._merged = tuple(way for way in self._ways if way.merged)

    def run(self) -> Downgrade:
        """Run them all. What cannot be looked at is in the result."""
        if self._bench.command is not None:
            return Downgrade(detail=_OWN_COMMAND)
        if time.monotonic() > self._deadline:
            return Downgrade(detail=_OUT_OF_TIME)
        self._bench.progress.say("downgrading")
        stock: Stock | None = None
        try:
            with lanes(self._upgrader.stop) as pool:
                # Caught inside: what follows may still need the workers.
                try:
                    final = self._take(self._lattice.full)
                    stock = Stock(self._sites, final.site, expected=len(self._merged), ahead=_AHEAD)
                    for way in self._ways:
                        self._read_before(way.end)
                    seen = self._run(pool, final, stock)
                except CouldNotEvaluate as error:
                    return Downgrade(detail=error.message)
        finally:
            if stock is not None:
                stock.close()
        return judge_downgrades(seen, self._described)

    def _run(self, pool: ThreadPoolExecutor, final: Place, stock: Stock) -> list[Seen]:
        """All ways, those from the final head first: what a branch does alone may follow from them."""
        running = [pool.submit(self._from_merged, way, final, stock) for way in reversed(self._merged)]
        spared = self._spared(running[0].result())
        later = {way: pool.submit(self._from_head, way) for way in self._alone if way is not spared}
        merged = [future.result() for future in reversed(running)]
        if spared is not None:
            if all(one.restores for one in merged):
                return [*(later[way].result() if way in later else Seen(way) for way in self._alone), *merged]
            later[spared] = pool.submit(self._from_head, spared)
        return [*(later[way].result() for way in self._alone), *merged]

    def _spared(self, whole: Seen) -> WayDown | None:
        """The branch whose own downgrade need not be run if all that begins at the final head restores.

        Of two branches, the one that goes last where all is taken back: it then begins at what the other way down
        has shown to be its head's own state, and ends where it should.
        """
        if len(self._alone) != 2 or whole.leg is None or not whole.leg.order:
            return None
        first, last = self._alone
        if whole.leg.order[-1] in first.start:
            first, last = last, first
        goes_first = whole.leg.order[: -len(last.start)]
        if first.start & last.start or set(goes_first) & last.start or not last.start <= set(whole.leg.order):
            return None
        return last

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

    def _from_head(self, way: WayDown) -> Seen:
        def work(worker: Worker) -> Seen:
            place = self._take(way.start)
            try:
                return self._down(worker, place, way)
            finally:
                self._sites.drop(place.site)

        return self._looked(way, work)

    def _from_merged(self, way: WayDown, final: Place, stock: Stock) -> Seen:
        def work(worker: Worker) -> Seen:
            site = stock.take()
            try:
                return self._down(worker, replace(final, site=site), way)
            finally:
                stock.give_back(site)

        return self._looked(way, work)

    def _looked(self, way: WayDown, work: Callable[[Worker], Seen]) -> Seen:
        """What it showed; blind where a failure says nothing about the downgrade."""
        if way.target is None:
            return Seen(way, blind=_NO_COMMAND)
        if time.monotonic() > self._deadline:
            return Seen(way, blind=_OUT_OF_TIME)
        try:
            seen = self._upgrader.believed(
                work, lambda seen: [seen.failure] if seen.failure and _doubtful(seen.failure) else []
            )
        except CouldNotEvaluate as error:
            return Seen(way, blind=error.message)
        reason = self._blindness.reason(seen.failure, alone=not way.merged) if seen.failure else None
        return replace(seen, blind=reason.message) if reason else seen

    def _down(self, worker: Worker, place: Place, way: WayDown) -> Seen:
        assert way.target is not None
        # Merges between other branches stay.
        left = place.state - taken_back(self._graph, place.state, way.target)
        leg, after = self._upgrader.downgrade(worker, place, way.target, left=left)
        if leg.failure is not None:
            return Seen(way, leg)
        return Seen(way, leg, differences(self._prints[way.end].facts, self._read(after).facts, self._mask))

    def _described(self, state: State) -> tuple[str, ...]:
        """A state as its heads."""
        if state == self._lattice.full:
            return (self._line.final_head,)
        return self._graph.maximal(self._base.state | state, dependencies=True)


def judge_downgrades(seen: Sequence[Seen], heads: Callable[[State], tuple[str, ...]]) -> Downgrade:
    """What these show together, `heads` giving a state as its heads. Pure.

    What a branch does on its own database, without the others, is not caused by merging.
    """
    alone = [one for one in seen if not one.way.merged]
    runs = []
    for one in seen:
        own = [other for other in alone if other.way.start & (one.way.start - one.way.end)]
        known = frozenset(thing for other in own for thing in other.things)
        news = [d for d in one.residue if not one.way.merged or (d.kind, d.object) not in known]
        result: DowngradeResult = "restores"
        if one.blind is not None:
            result = "not-run"
        elif one.failure is not None:
            result = "fails"
        elif one.residue:
            result = "leaves-residue"
        to_compare = one.way.merged and bool(own) and not any(other.blind for other in own)
        worse = result == "fails" or (result == "leaves-residue" and bool(news))
        worse = worse and not any(other.failure for other in own)
        failure = one.failure
        runs.append(
            DowngradeRun(
                start=heads(one.way.start),
                end=heads(one.way.end),
                branch=one.way.branch,
                target=one.way.target,
                merged=one.way.merged,
                result=result,
                by_merging=to_compare and worse,
                revision=failure.revision if failure else None,
                statement=failure.statement if failure else None,
                error=one.blind or (failure.said if failure else None),
                differences=_lines(news or one.residue),
            )
        )
    return Downgrade(*_summary(runs), runs=tuple(runs))


def _lines(residue: Sequence[Difference]) -> tuple[str, ...]:
    """What differs, one line each. Of rows their number: the hash, which the fact has, says nothing to a person."""
    lines: list[str] = []
    for one in residue:
        if one.kind == "rows" and one.first is not None and one.second is not None:
            before, after = (text.partition(",")[0] for text in (one.first, one.second))
            changed = (
                f"{before} before, {after} after"
                if before != after
                else f"{after}, not what they were before"
            )
            lines.append(f"rows {one.object}: {changed}")
        else:
            lines += describe([one], ("before", "after"))
    return tuple(lines)


def joined_downgrades(downgrades: Sequence[Downgrade]) -> Downgrade:
    """Those of several lines of history as one: the worst decides, and what merging causes before the rest."""
    ranks = ("fails", "leaves-residue", "not-run", "restores")
    worst = min(downgrades, key=lambda one: (not one.by_merging, ranks.index(one.result)))
    return replace(worst, runs=tuple(run for one in downgrades for run in one.runs))


def _summary(runs: Sequence[DowngradeRun]) -> tuple[DowngradeResult, str | None, bool]:
    """The result of all, why, and whether merging causes it: that comes first."""
    caused = [run for run in runs if run.by_merging]
    for result in ("fails", "leaves-residue", "not-run"):
        for run in caused or runs:
            if run.result == result:
                return run.result, _words(run), bool(caused)
    return "restores", None, False


def _words(run: DowngradeRun) -> str:
    if run.result == "not-run":
        return run.error or ""
    if run.result == "fails":
        what = f"{run.revision or 'env.py'} fails: {run.error}"
    else:
        more = f"; and {len(run.differences) - _SHOWN} more" if len(run.differences) > _SHOWN else ""
        what = f"{'; '.join(run.differences[:_SHOWN])}{more}"
    if run.by_merging:
        return f"`alembic downgrade {run.target}` at {' + '.join(run.start)}: {what}"
    return f"without merging, too, at {' + '.join(run.start)}: {what}"


def _doubtful(failure: Failure) -> bool:
    """Whether code that was imported in another order than Alembic's could be the cause of a failure."""
    return failure.sqlstate is None and failure.type not in _SURE
