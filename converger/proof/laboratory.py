"""The laboratory of the squares: states on scratch databases, steps through the project's own env.py."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from converger.history import Graph
from converger.proof.blindness import Blindness
from converger.proof.facts import Difference, Fingerprint, Mask, RowDifference
from converger.proof.findings import Done
from converger.proof.lattice import Lattice, Step
from converger.proof.process import Worker
from converger.proof.sites import Sites
from converger.proof.upgrader import Place, Upgrader

CLOCK_STEP = 1.1
"""Seconds after which CURRENT_TIMESTAMP is another one everywhere: MySQL's and SQLite's steps by the second."""


class Databases:
    """See `findings.Laboratory`. A step into the last state goes on to the final head: merges are empty."""

    def __init__(
        self,
        *,
        sites: Sites,
        upgrader: Upgrader,
        graph: Graph,
        lattice: Lattice,
        start: Place,
        final_head: str,
        blindness: Blindness,
    ) -> None:
        self.start = start
        self._sites = sites
        self._upgrader = upgrader
        self._graph = graph
        self._lattice = lattice
        self._final_head = final_head
        self._blindness = blindness

    def run(self, place: Place, step: Step, mask: Mask) -> Done[Place]:
        """See `Laboratory.run`. Raises CouldNotEvaluate for a failure that says nothing about the branches."""
        done = self._upgrader.believed(
            lambda worker: self._run(worker, place, step, mask),
            lambda done: [done.failure] if done.failure else [],
        )
        if done.failure is not None:
            alone = step.state == self._lattice.below(step.revision)
            reason = self._blindness.reason(done.failure, alone=alone)
            if reason is not None:
                raise reason
        return done

    def _run(self, worker: Worker, place: Place, step: Step, mask: Mask) -> Done[Place]:
        site = self._sites.clone(place.site)
        target = self._final_head if step.result == self._lattice.full else step.revision
        leg, after = self._upgrader.upgrade(worker, replace(place, site=site), target)
        if leg.failure is not None:
            self._sites.drop(site)
            return Done(step, leg.seconds, failure=leg.failure)
        return Done(step, leg.seconds, place=after, fingerprint=self.read(after, mask))

    def read(self, place: Place, mask: Mask) -> Fingerprint:
        """See `Laboratory.read`."""
        return self._sites.read(place.site, self._upgrader.version_tables, mask)

    def noise(self, first: Place, second: Place, found: Sequence[Difference]) -> Mask:
        """See `Laboratory.noise`."""
        return self._sites.noise(first.site, second.site, found)

    def rows(
        self, first: Place, second: Place, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        """See `Laboratory.rows`."""
        return self._sites.rows(first.site, second.site, found, mask)

    def drop(self, place: Place) -> None:
        """See `Laboratory.drop`."""
        self._sites.drop(place.site)

    def wait(self) -> None:
        """See `Laboratory.wait`."""
        time.sleep(CLOCK_STEP)

    def stop(self) -> None:
        """See `Laboratory.stop`."""
        self._upgrader.stop()
