"""The proof: run the paths of each line of history, judge them, say what they showed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from converger.errors import ConvergerError, CouldNotEvaluate
from converger.history import Graph
from converger.mergefile import Note
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.blindness import Blindness
from converger.proof.downgrades import Downgrades, joined_downgrades
from converger.proof.explain import Explainer
from converger.proof.facts import Difference, Fingerprint, differences
from converger.proof.findings import Findings
from converger.proof.fingerprints import not_compared
from converger.proof.laboratory import Databases
from converger.proof.lattice import Lattice, State, lattice_of
from converger.proof.model import Coverage, Downgrade, PathResult, Proof
from converger.proof.paths import Journey, PathRunner
from converger.proof.scratch import Server
from converger.proof.squares import Squares
from converger.proof.upgrader import Leg, Place, Upgrader
from converger.proof.verdict import ends_elsewhere, judge
from converger.proof.waysdown import ways_down

_MOST_NOISE = 3
"""Times that noise is looked for in ends that differ: each may bring more of it to light."""


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
    explainer = Explainer(bench.project, graph, line, blindness, bench.server.dialect)
    upgrader = Upgrader(bench=bench, graph=graph, line=line)
    runner = PathRunner(bench=bench, upgrader=upgrader, graph=graph, line=line)
    bench.progress.say(f"upgrading {bench.start_database} to {' + '.join(line.base_state) or 'nothing'}")
    base, base_legs = runner.reach_base()
    for leg in base_legs:
        if leg.failure:
            error = blindness.reason(leg.failure) or explainer.below_the_ancestor(leg, bench.start_database)
            path = PathResult((), _order(base_legs), "failed", _seconds(base_legs))
            return Proven(_unevaluated(bench.server, began, (path,)), error)
    bench.seed(base.site)
    lattice = lattice_of(graph, line)
    laboratory = Databases(
        sites=bench.sites,
        upgrader=upgrader,
        graph=graph,
        lattice=lattice,
        start=base,
        final_head=line.final_head,
        blindness=blindness,
    )
    squares = Squares(lattice, laboratory, budget=bench.proof_budget, progress=bench.progress)
    ways = ways_down(graph, line, lattice, base.state)
    findings = squares.run(keep={lattice.full, *(state for way in ways for state in (way.start, way.end))})
    alone = _from_heads(graph, line, lattice, findings)
    journeys = runner.run(base, skip=frozenset(alone), mask=findings.mask)
    if not findings.clashes and not any(journey.failed for journey in journeys):
        findings, journeys = _without_noise(
            runner, base, frozenset(alone), findings, journeys, squares.kept.get(lattice.full), laboratory
        )
    paths = _paths(line, journeys, base_legs, alone)
    for journey in journeys:
        failed = journey.failed
        if failed is None or failed.failure is None:
            continue
        reason = blindness.reason(failed.failure, alone=journey.failed_on_its_own)
        if reason is not None:
            return Proven(_unevaluated(bench.server, began, paths), reason)
    verdict = judge(findings, journeys)
    downgrade = Downgrade()
    if verdict == "commute":
        downgrade = Downgrades(
            bench=bench,
            upgrader=upgrader,
            graph=graph,
            line=line,
            lattice=lattice,
            blindness=blindness,
            ways=ways,
            base=base,
            places=squares.kept,
            prints=squares.prints,
            mask=findings.mask,
            deadline=began + bench.proof_budget,
        ).run()
    return Proven(
        Proof(
            verdict=verdict,
            dialect=bench.server.dialect,
            server_version=bench.server.server_version,
            seconds=time.monotonic() - began,
            paths=paths,
            conflicts=explainer.conflicts(findings, journeys, _alone(lattice, squares.prints)),
            downgrade=downgrade,
            notes=(*bench.notes(), *_notes(findings)),
            coverage=_coverage(findings),
        )
    )


def _without_noise(
    runner: PathRunner,
    base: Place,
    skip: frozenset[str],
    findings: Findings,
    journeys: tuple[Journey, ...],
    end: Place | None,
    laboratory: Databases,
) -> tuple[Findings, tuple[Journey, ...]]:
    """What was found, with what differs between two runs of one journey masked, where that is why ends differ.

    `end` is a place in the last state that the squares reached.
    """
    for _ in range(_MOST_NOISE):
        found = ends_elsewhere(findings, journeys)
        suspects = [journey for journey, difference in zip(journeys, found, strict=True) if difference]
        if not suspects:
            break
        mask = findings.mask | runner.noise(base, suspects, findings.mask)
        if mask == findings.mask:
            break
        findings = replace(findings, mask=mask, end=laboratory.read(end, mask) if end is not None else None)
        journeys = runner.run(base, skip=skip, mask=mask)
    return findings, journeys


def _from_heads(graph: Graph, line: LinePlan, lattice: Lattice, findings: Findings) -> dict[str, PathResult]:
    """The ways from a head on which one revision is missing, and which the squares have run therefore.

    Only of branches of one revision: a longer one is also to be run at once.
    """
    merges = tuple(merge.revision for merge in line.merges)
    found = {}
    for ran in findings.steps:
        for head in line.heads:
            at_head = graph.ancestors([head], dependencies=True) & lattice.full
            if ran.step.state == at_head == {head} and ran.step.result == lattice.full:
                if ran.failure:
                    found[head] = PathResult((head,), (), "failed", ran.seconds)
                else:
                    found[head] = PathResult((head,), (ran.step.revision, *merges), "ok", ran.seconds)
    return found


def _alone(lattice: Lattice, prints: Mapping[State, Fingerprint]) -> dict[str, tuple[Difference, ...]]:
    """What each revision changes on its own branch, as far as both states were reached."""
    found = {}
    for revision in lattice.full:
        before = prints.get(lattice.below(revision))
        after = prints.get(lattice.below(revision) | {revision})
        if before and after:
            found[revision] = differences(before.facts, after.facts)
    return found


def _paths(
    line: LinePlan, journeys: tuple[Journey, ...], base_legs: tuple[Leg, ...], alone: Mapping[str, PathResult]
) -> tuple[PathResult, ...]:
    """What to report: the journeys, and the one from an empty database, which is the ancestor's continued."""
    results = []
    for number, journey in enumerate(journeys):
        legs = journey.legs if not journey.failed_on_its_own else journey.approach
        result: Literal["ok", "failed"] = "failed" if journey.failed else "ok"
        if number == 0:
            order = (*_order(base_legs), *_order(legs))
            results.append(PathResult((), order, result, _seconds(base_legs) + _seconds(legs)))
        if number or journey.start:
            results.append(PathResult(journey.start, _order(legs), result, _seconds(legs)))
    of_heads = {
        **alone,
        **{path.start[0]: path for path in results if path.start in [(h,) for h in line.heads]},
    }
    rest = [path for path in results if path.start not in [(head,) for head in line.heads]]
    return (*rest, *(of_heads[head] for head in line.heads if head in of_heads))


def _coverage(findings: Findings) -> Coverage:
    return Coverage(findings.pairs, findings.of, len(findings.steps), findings.whole)


def _notes(findings: Findings) -> tuple[Note, ...]:
    """What is no conflict, and is worth a line."""
    steps = f"{len(findings.steps)} steps" if len(findings.steps) != 1 else "1 step"
    if findings.whole:
        how_much = f"{findings.pairs} of {findings.of} pairs of revisions compared in every state, {steps}"
    else:
        covered = _coverage(findings).compared
        how_much = f"the proof was cut short: {covered}, {steps}; --proof-budget SECONDS gives it more time"
    notes = [Note("coverage", how_much)]
    if findings.shared:
        things = ", ".join(f"{one.kind} {one.object}" for one in findings.shared)
        notes.append(
            Note(
                "shared-objects",
                f"changed for the whole server, where scratch databases cannot part one order from another: {things}",
            )
        )
    hidden = not_compared(findings.end.facts) if findings.end is not None else ()
    if hidden:
        tables = ", ".join(f"{fact.object} ({fact.text})" for fact in hidden)
        notes.append(Note("rows-not-compared", f"the rows of these tables were not looked at: {tables}"))
    if findings.asides:
        things = ", ".join(dict.fromkeys(one.object for one in findings.asides))
        notes.append(Note("asides", f"differs with the order, and does no harm: {things}"))
    for clash in findings.healed:
        notes.append(
            Note(
                "levelled",
                f"{' and '.join(clash.square.revisions)} differ with their order until later revisions level that",
            )
        )
    return tuple(notes)


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
        downgrade=joined_downgrades([proof.downgrade for proof in proofs]),
        coverage=sum((proof.coverage for proof in proofs), Coverage()),
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
