"""From journeys and squares to a verdict: pure, and the only place that decides it."""

from __future__ import annotations

from collections.abc import Sequence

from converger.proof.facts import Difference, differences
from converger.proof.findings import Findings
from converger.proof.model import Verdict
from converger.proof.paths import Journey


def judge(findings: Findings, journeys: Sequence[Journey]) -> Verdict:
    """What these show, in the words of docs/proof.md.

    A branch that fails on the common ancestor alone is `broken`, whatever else happens: merging is not
    the cause. Otherwise a step or a journey that fails is a database that breaks.
    """
    if findings.broken or any(journey.failed_on_its_own for journey in journeys):
        return "broken"
    failed = any(clash.failed for clash in findings.clashes) or any(journey.failed for journey in journeys)
    if failed or findings.strayed:
        arrives = findings.arrives or any(not journey.failed for journey in journeys)
        return "one-order" if arrives else "neither-order"
    if findings.clashes or any(ends_elsewhere(findings, journeys)):
        return "differ"
    return "commute"


def ends_elsewhere(findings: Findings, journeys: Sequence[Journey]) -> tuple[tuple[Difference, ...], ...]:
    """For each journey what differs between its end and that of the steps one by one.

    Where those were not run to their end, the first journey's end is what others are held against.
    """
    ends = [findings.end, *(journey.end for journey in journeys)]
    expected = next((end for end in ends if end is not None), None)
    return tuple(
        differences(expected.facts, journey.end.facts, findings.mask) if expected and journey.end else ()
        for journey in journeys
    )
