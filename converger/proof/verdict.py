"""From journeys to a verdict: pure, and the only place that decides it."""

from __future__ import annotations

from collections.abc import Sequence

from converger.proof.model import Verdict
from converger.proof.paths import Journey


def judge(journeys: Sequence[Journey]) -> Verdict:
    """What these journeys show, in the words of docs/how-it-works.md.

    A branch that fails on the common ancestor alone is `broken`, whatever else happens: merging is not
    the cause. Otherwise a journey that fails is a database that breaks.
    """
    if any(journey.failed_on_its_own for journey in journeys):
        return "broken"
    failed = [journey for journey in journeys if journey.failed]
    if failed:
        return "neither-order" if len(failed) == len(journeys) else "one-order"
    if len({journey.schema for journey in journeys}) > 1:
        return "differ"
    return "commute"
