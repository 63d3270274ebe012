"""The proof: run the paths of each line of history, judge them, say what they showed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from converger.errors import ConvergerError, CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.blindness import Blindness
from converger.proof.explain import Explainer
from converger.proof.model import PathResult, Proof
from converger.proof.paths import Journey, PathRunner
from converger.proof.scratch import Server
from converger.proof.upgrader import Leg, Upgrader
from converger.proof.verdict import judge


@dataclass(frozen=True)
class Proven:
    """A proof, and why it could not be given where its verdict is `unevaluated`."""

    proof: Proof
    reason: ConvergerError | None = None


def prove(bench: Bench, graph: Graph, lines: Sequence[LinePlan]) -> Proven:
    """Prove for each line that every database gets to its final head and that all end alike.

    `bench` is prepared; `graph` includes the planned merges. The first line that does not commute decides;
    later ones are not looked at. What the project's code does is in the verdict or in `reason`, never raised.
    """
    began = bench.began
    found: list[Proof] = []
    for line in lines:
        try:
            proven = _prove_line(bench, graph, line)
        except CouldNotEvaluate as error:
            proven = Proven(_unevaluated(bench.server, began), error)
        found.append(proven.proof)
        if proven.proof.verdict != "commute":
            return Proven(_joined(found, began), proven.reason)
    return Proven(_joined(found, began))


def _prove_line(bench: Bench, graph: Graph, line: LinePlan) -> Proven:
    began = time.monotonic()
    blindness = Blindness(bench.project.root, bench.python)
    explainer = Explainer(bench.project, graph, line, blindness)
    upgrader = Upgrader(bench=bench, graph=graph, line=line)
    runner = PathRunner(bench=bench, upgrader=upgrader, graph=graph, line=line)
    bench.progress.say(f"upgrading {bench.start_database} to {' + '.join(line.base_state) or 'nothing'}")
    base, base_legs = runner.reach_base()
    for leg in base_legs:
        if leg.failure:
            error = blindness.reason(leg.failure) or explainer.below_the_ancestor(leg, bench.start_database)
            path = PathResult((), _order(base_legs), "failed", _seconds(base_legs))
            return Proven(_unevaluated(bench.server, began, (path,)), error)
    journeys = runner.run(base)
    paths = _paths(journeys, base_legs)
    for journey in journeys:
        failed = journey.failed
        if failed is None or failed.failure is None:
            continue
        reason = blindness.reason(failed.failure, alone=journey.failed_on_its_own)
        if reason is not None:
            return Proven(_unevaluated(bench.server, began, paths), reason)
    return Proven(
        Proof(
            verdict=judge(journeys),
            dialect=bench.server.dialect,
            server_version=bench.server.server_version,
            seconds=time.monotonic() - began,
            paths=paths,
            conflicts=explainer.conflicts(journeys),
            notes=bench.notes(),
        )
    )


def _paths(journeys: tuple[Journey, ...], base_legs: tuple[Leg, ...]) -> tuple[PathResult, ...]:
    """What to report: the journeys, and the one from an empty database, which is the ancestor's continued."""
    results = []
    for number, journey in enumerate(journeys):
        legs = journey.legs if not journey.failed_on_its_own else journey.approach
        result: Literal["ok", "failed"] = "failed" if journey.failed else "ok"
        if number == 0:
            results.append(
                PathResult(
                    (), (*_order(base_legs), *_order(legs)), result, _seconds(base_legs) + _seconds(legs)
                )
            )
        if number or journey.start:
            results.append(PathResult(journey.start, _order(legs), result, _seconds(legs)))
    return tuple(results)


def _order(legs: tuple[Leg, ...]) -> tuple[str, ...]:
    return tuple(revision for leg in legs for revision in leg.order)


def _seconds(legs: tuple[Leg, ...]) -> float:
    return sum(leg.seconds for leg in legs)


def _joined(proofs: list[Proof], began: float) -> Proof:
    """Several lines' proofs as one: the last decides, the evidence is all."""
    return replace(
        proofs[-1],
        seconds=time.monotonic() - began,
        paths=tuple(path for proof in proofs for path in proof.paths),
    )


def _unevaluated(server: Server, began: float, paths: tuple[PathResult, ...] = ()) -> Proof:
    """The proof that there is none: what was run until it could not go on. `began` is `time.monotonic()`."""
    return Proof(
        verdict="unevaluated",
        dialect=server.dialect,
        server_version=server.server_version,
        seconds=time.monotonic() - began,
        paths=paths,
    )
