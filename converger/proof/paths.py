"""Runs the ways in which real databases get to the final head, each on scratch databases of its own.

The common ancestor is reached once, from empty (or from where the project starts), and cloned; nothing
below it is replayed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.facts import Fingerprint, Mask, differences
from converger.proof.laboratory import CLOCK_STEP
from converger.proof.lanes import LANES, lanes
from converger.proof.process import Worker
from converger.proof.sites import Site
from converger.proof.stock import Stock
from converger.proof.upgrade import Failure
from converger.proof.upgrader import Leg, Place, Upgrader


@dataclass(frozen=True)
class Journey:
    """A database's way from its starting state to the final head.

    `start` is the state in which real databases are (as its heads); `approach` holds the legs that
    brought a clone of the common ancestor there, `legs` those that merging adds. `end` is the
    fingerprint at the end; None when it did not get there.
    """

    start: tuple[str, ...]
    approach: tuple[Leg, ...]
    legs: tuple[Leg, ...]
    end: Fingerprint | None = None
    reversed_: bool = False

    @property
    def failed(self) -> Leg | None:
        """The leg that failed, if any."""
        return next((leg for leg in (*self.approach, *self.legs) if leg.failure), None)

    @property
    def failed_on_its_own(self) -> bool:
        """Whether a branch already fails on the common ancestor, before any merging."""
        return any(leg.failure for leg in self.approach)


@dataclass(frozen=True)
class _Route:
    """What one journey is to do: upgrade targets that lead to `start`, then those that are proven.

    `reversed_`: with the planned merges' parents listed the other way round.
    """

    start: tuple[str, ...]
    approach: tuple[str, ...]
    targets: tuple[str, ...]
    reversed_: bool = False


class PathRunner:
    """Runs the journeys of one line of history."""

    def __init__(self, *, bench: Bench, upgrader: Upgrader, graph: Graph, line: LinePlan) -> None:
        """`bench` is prepared; `graph` includes the planned merges."""
        self._bench = bench
        self._sites = bench.sites
        self._graph = graph
        self._line = line
        self._progress = bench.progress
        self._upgrader = upgrader
        self._done = count(1)

    def reach_base(self) -> tuple[Place, tuple[Leg, ...]]:
        """A new site at the common ancestor, and the legs that took it there.

        Raises CouldNotEvaluate and ConfigurationError when the project's starting point cannot be made.
        """
        while True:
            place, legs = self._upgrader.believed(self._reach_base, lambda result: _failures(result[1]))
            failure = legs[-1].failure if legs else None
            if failure is None or failure.needs is None or not self._sites.add(failure.needs):
                return place, legs
            self._sites.drop(place.site)  # it has too few databases

    def run(self, base: Place, *, skip: frozenset[str], mask: Mask) -> tuple[Journey, ...]:
        """All journeys, in a fixed order: through each merge in turn, at once, then from each head.

        At once in both orders of each merge's parents: Alembic runs those branches first that are listed last.
        Heads in `skip` are known from elsewhere; what is in `mask` is noise.
        """
        line = self._line
        merges = tuple(merge.revision for merge in line.merges)
        final = (line.final_head,)
        routes = [_Route(line.base_state, (), final), _Route(line.base_state, (), final, reversed_=True)]
        if len(merges) > 1:
            routes.insert(0, _Route((), (), merges))
        routes += [_Route((head,), (head,), final) for head in line.heads if head not in skip]
        total = len(routes)
        self._progress.step("running the upgrade paths", 0, total)

        stock = Stock(self._sites, base.site, expected=total, ahead=LANES + 1)

        def travel(route: _Route) -> Journey:
            journey = self._upgrader.believed(
                lambda worker: self._travel(worker, stock, base, route, mask),
                lambda travelled: _failures((*travelled.approach, *travelled.legs)),
            )
            self._progress.step(f"from {' + '.join(route.start) or 'empty'}", next(self._done), total)
            return journey

        try:
            with lanes(self._upgrader.stop) as pool:
                return tuple(pool.map(travel, routes))
        finally:
            stock.close()

    def noise(self, base: Place, journeys: Sequence[Journey], mask: Mask) -> Mask:
        """What differs between two runs of the same way, beyond `mask`: these journeys, each run twice more.

        Raises CouldNotEvaluate.
        """
        for journey in journeys:
            approach, legs = (tuple(leg.target for leg in part) for part in (journey.approach, journey.legs))
            mask |= self._noise(base, _Route(journey.start, approach, legs, journey.reversed_), mask)
        return mask

    def _noise(self, base: Place, route: _Route, mask: Mask) -> Mask:
        sites: list[Site] = []
        try:
            for number in range(2):
                if number:
                    time.sleep(CLOCK_STEP)
                sites.append(self._sites.clone(base.site))
                place = replace(base, site=sites[-1])
                legs = self._upgrader.believed(partial(self._legs, place=place, route=route), _failures)
                if _failures(legs):
                    return mask  # it does not do the same twice: whatever that is, it is no noise
            tables = self._upgrader.version_tables
            prints = [self._sites.read(site, tables, mask) for site in sites]
            found = differences(prints[0].facts, prints[1].facts, mask)
            return self._sites.noise(sites[0], sites[1], found)
        finally:
            for site in sites:
                self._sites.drop(site)

    def _reach_base(self, worker: Worker) -> tuple[Place, tuple[Leg, ...]]:
        site = self._sites.create()
        started = self._bench.start(worker, site)
        legs: list[Leg] = []
        place = Place(site, frozenset())
        for target in self._line.base_state:
            # What a dump or a set-up has applied is not known here; at the ancestor it has to be right.
            leg, place = self._upgrader.upgrade(worker, place, target, alone=True, known=not started)
            legs.append(leg)
            if leg.failure:
                break
        return place, tuple(legs)

    def _travel(self, worker: Worker, stock: Stock, base: Place, route: _Route, mask: Mask) -> Journey:
        site = stock.take()
        try:
            legs = self._legs(worker, replace(base, site=site), route)
            parts = legs[: len(route.approach)], legs[len(route.approach) :]
            journey = Journey(route.start, *parts, reversed_=route.reversed_)
            if journey.failed is None:
                journey = replace(journey, end=self._sites.read(site, self._upgrader.version_tables, mask))
            return journey
        finally:
            stock.give_back(site)

    def _legs(self, worker: Worker, place: Place, route: _Route) -> tuple[Leg, ...]:
        legs: list[Leg] = []
        for target in (*route.approach, *route.targets):
            leg, place = self._upgrader.upgrade(worker, place, target, reversed_=route.reversed_)
            legs.append(leg)
            if leg.failure:
                break
        return tuple(legs)


def _failures(legs: Sequence[Leg]) -> list[Failure]:
    return [leg.failure for leg in legs if leg.failure]
