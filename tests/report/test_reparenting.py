"""Merge or re-parent, as `check` and `converge` say it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converger.outcome import Outcome
from converger.plan import make_plan
from converger.proof.model import PathResult, Proof, Verdict
from converger.report.look import ASCII, Look
from converger.report.reparenting import reparent_advice, reparent_hint
from tests.report.graphs import graph

FORK = graph("root\na1 < root\na2 < a1\nb1 < root")


def outcome(verdict: Verdict, *paths: PathResult) -> Outcome:
    proof = Proof(verdict, "sqlite", "3", 1.0, paths=paths)
    return Outcome("refused", graph=FORK, lines=make_plan(FORK), proof=proof)


A_THEN_B = PathResult(("a2",), ("b1", "m"), "ok", 0.1)
B_THEN_A = PathResult(("b1",), ("a1", "a2", "m"), "ok", 0.1)


def test_the_hint_of_check() -> None:
    assert reparent_hint(FORK, make_plan(FORK), Look()) == [
        "Or:   re-parent, if the proof shows that order to work and b1 has run nowhere yet:",
        "        versions/b1.py: down_revision = 'root' → 'a2'",
        "      A database that has run it would silently skip a1 and a2. See docs/merge-or-reparent.md",
    ]


def test_no_hint_where_there_is_nothing_to_put_on_top() -> None:
    for text in ("root", "root\na < root\nb < root\nc < root"):
        drawn = graph(text)
        assert reparent_hint(drawn, make_plan(drawn), Look()) == []


def test_only_the_order_that_works_is_advised() -> None:
    failed = replace(B_THEN_A, order=("a1",), result="failed")
    assert reparent_advice(outcome("one-order", failed, A_THEN_B), Look(glyphs=ASCII)) == [
        "Instead of a merge: re-parent, so that only one order is left",
        "  a1 and a2 first, then b1: the order that works",
        "    versions/b1.py: down_revision = 'root' -> 'a2'",
        "    Only if no database has run b1 yet: one that has would be taken to be past a2 as well, and",
        "    silently skip a1 and a2.",
        "  We never edit a migration. docs/merge-or-reparent.md says how to find out, and what to do if one has.",
    ]


def test_the_other_order() -> None:
    failed = replace(A_THEN_B, order=(), result="failed")
    lines = reparent_advice(outcome("one-order", failed, B_THEN_A), Look())
    assert "    versions/a1.py: down_revision = 'root' → 'b1'" in lines
    assert "  b1 first, then a1 and a2: the order that works" in lines
    assert any("Only if no database has run any of a1 and a2 yet" in line for line in lines)
    assert not any("versions/b1.py" in line for line in lines)


def test_where_both_orders_succeed_both_are_named() -> None:
    lines = reparent_advice(outcome("differ", A_THEN_B, B_THEN_A), Look())
    assert sum(line.endswith(": one of the orders that succeed") for line in lines) == 2


@pytest.mark.parametrize("verdict", ["commute", "neither-order", "broken", "unevaluated", "skipped"])
def test_no_advice_where_it_does_not_help(verdict: Verdict) -> None:
    assert reparent_advice(outcome(verdict, A_THEN_B, B_THEN_A), Look()) == []


def test_no_advice_without_a_proof_of_the_order() -> None:
    assert reparent_advice(outcome("one-order"), Look()) == []


def test_names_are_made_visible() -> None:
    odd = graph("root\nb\x1b[31m < root\na < root")
    for line in reparent_hint(odd, make_plan(odd), Look()):
        assert "\x1b" not in line
    assert any(
        "b\\\\x1b[31m" in line or "b\\x1b[31m" in line for line in reparent_hint(odd, make_plan(odd), Look())
    )
