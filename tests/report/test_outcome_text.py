"""The report of `converge`: the verdict first, the evidence, and nothing that a repository could misuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from converger.errors import CouldNotEvaluate, Refused
from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.mergefile import Note
from converger.outcome import Outcome
from converger.plan import LinePlan
from converger.proof.model import Conflict, Coverage, Location, PathResult, Proof
from converger.report.look import ASCII, UNICODE, Look
from converger.report.outcome_text import outcome_text
from converger.report.visible import runner_safe
from tests.report.test_json import HEADS, LINE, PROOF, outcome

PLAIN = Look(UNICODE)
GOOD = replace(PROOF, conflicts=(), paths=PROOF.paths[:1])


def text(outcome: Outcome, look: Look = PLAIN, **more: Any) -> str:
    return "\n".join(outcome_text(outcome, look, **more))


def test_the_first_line_is_the_verdict() -> None:
    first = {
        status: text(outcome(status, proof=GOOD)).splitlines()[0]
        for status in ("merged", "would-merge", "converged", "refused", "unevaluated")
    }
    assert first["merged"] == "Merged 2 heads into m12, proven on PostgreSQL 16.4 in 1.2 s"
    assert first["would-merge"] == "Would merge 2 heads into m12, proven on PostgreSQL 16.4 in 1.2 s"
    assert first["refused"].startswith("Refused")
    assert first["unevaluated"].startswith("Could not evaluate")


@pytest.mark.parametrize("status", ["refused", "unevaluated"])
def test_never_fine_when_it_is_not(status: Any) -> None:
    for proof in (None, GOOD, replace(GOOD, verdict="unevaluated"), replace(GOOD, verdict="differ")):
        shown = text(outcome(status, proof=proof))
        assert "Nothing was written." in shown
        assert "Merged" not in shown and "Would merge" not in shown
        assert "proven" not in shown


def test_nothing_is_proven_without_a_proof() -> None:
    skipped = Proof("skipped", "", "", 0.0)
    for status in ("merged", "would-merge"):
        first = text(outcome(status, proof=skipped)).splitlines()[0]
        assert "WITHOUT ANY PROOF" in first and "proven" not in first


def test_converged() -> None:
    one = Graph(History({"a": Revision("a", (), message="begin")}))
    assert text(Outcome("converged", graph=one)) == "One head: a (begin). Nothing to merge"
    assert text(Outcome("converged", graph=Graph(History({})))) == "No revisions yet: nothing to merge"
    lines = tuple(
        LinePlan((label,), "base", ("base",), (head,), ()) for label, head in (("x", "h1"), ("y", "h2"))
    )
    shown = text(Outcome("converged", graph=HEADS, lines=lines)).splitlines()
    assert shown[0] == "Nothing to merge: one head in each of 2 lines of history kept apart on purpose"
    assert shown[2:] == ["  - x: h1", "  - y: h2"]


def test_converged_but_for_the_heads_that_were_left_out() -> None:
    """`--from-revision h1`: nobody keeps h2 apart on purpose, and one is no "each of 1 lines"."""
    line = LinePlan((), "h1", ("h1",), ("h1",), ())
    left_out = Note("heads-left-out", "left as they are: h2")
    shown = text(Outcome("converged", graph=HEADS, lines=(line,), notes=(left_out,))).splitlines()
    assert shown[0] == "Nothing to merge among the heads that --from-revision selects: h1"
    assert "on purpose" not in "\n".join(shown)
    assert any("left as they are: h2" in line for line in shown)


def test_converged_in_each_line_but_for_the_heads_that_were_left_out() -> None:
    graph = Graph(History({r: Revision(r, ()) for r in ("h1", "h2", "h3")}))
    lines = tuple(
        LinePlan((label,), head, (head,), (head,), ()) for label, head in (("x", "h1"), ("y", "h2"))
    )
    first = text(Outcome("converged", graph=graph, lines=lines)).splitlines()[0]
    assert first == (
        "Nothing to merge among the heads that --from-revision selects: one in each of 2 lines of history"
        " kept apart on purpose"
    )


def test_the_table_of_paths_is_aligned() -> None:
    paths = (
        PathResult((), ("base", "h1", "h2", "m12"), "ok", 12.5),
        PathResult(("h1",), ("h2", "m12"), "ok", 0.25),
        PathResult(("h2",), (), "failed", 0.1),
        PathResult(("h2",), ("h1",), "failed", 0.1),
    )
    shown = text(outcome("refused", proof=replace(PROOF, verdict="one-order", conflicts=(), paths=paths)))
    table = shown[shown.index("Proof on") :].splitlines()[1:6]
    assert table == [
        "  database at  then runs                result  seconds",
        "  (empty)      base, h1, h2, m12        ok        12.50",
        "  h1           h2, m12                  ok         0.25",
        "  h2           (the first step failed)  FAILED     0.10",
        "  h2           h1, then failed          FAILED     0.10",
    ]


def test_long_paths_are_folded_unless_verbose() -> None:
    order = tuple(f"revision{n:03d}" for n in range(300))
    proof = replace(GOOD, paths=(PathResult((), order, "ok", 1),))
    shown = text(outcome("merged", proof=proof))
    assert "revision000 … revision298, revision299 (300 revisions)" in shown
    assert max(map(len, shown.splitlines())) < 130
    assert "revision150" in text(outcome("merged", proof=proof), verbose=True)


CONFLICT = Conflict(
    kind="step-failed",
    revisions=("h1", "h2"),
    state=("h1",),
    objects=("public.accounts",),
    error='relation "accounts" already exists\nLINE 1: CREATE',
    statement="CREATE TABLE accounts (id integer)",
    location=Location("versions/h2.py", 14),
    advice="Change the newer one.",
    other_location=Location("versions/h1.py", 9),
    differences=tuple(f"column t.c{n}: integer where h1 ran last" for n in range(14)),
)


def test_a_conflict_says_all_there_is_to_know() -> None:
    shown = text(outcome("refused", proof=replace(PROOF, verdict="one-order", conflicts=(CONFLICT,))))
    part = shown[shown.index("✗") : shown.index("\n\nProof on")]
    assert part.splitlines() == [
        "✗ conflict between h1 and h2 (step-failed)",
        "  in             versions/h2.py:14",
        "  and in         versions/h1.py:9",
        "  on a database  at h1",
        "  concerning     public.accounts",
        "  difference",
        *(f"    │ column t.c{n}: integer where h1 ran last" for n in range(12)),
        "    │ … and 2 more (--format json has all)",
        "  statement",
        "    │ CREATE TABLE accounts (id integer)",
        "  error",
        '    │ relation "accounts" already exists',
        "    │ LINE 1: CREATE",
        "  what to do     Change the newer one.",
        "  more           alembic-converger explain step-failed",
    ]


def test_a_proof_that_was_cut_short_says_so_in_the_first_line() -> None:
    short = Coverage(pairs=12, of=900, steps=200, whole=False)
    for verdict, status in (("commute", "merged"), ("differ", "refused")):
        proof = replace(GOOD, verdict=verdict, coverage=short)  # type: ignore[arg-type]
        first = text(outcome(status, proof=proof)).splitlines()[0]
        assert first.endswith("CUT SHORT: 12 of 900 pairs of revisions were compared")
    every_pair = replace(GOOD, coverage=replace(short, of=12))
    first = text(outcome("merged", proof=every_pair)).splitlines()[0]
    assert first.endswith("CUT SHORT: all 12 pairs of revisions were compared, but not in every state")
    assert "CUT SHORT" not in text(outcome("merged", proof=GOOD))


def test_a_reason_comes_with_what_to_do() -> None:
    reason = CouldNotEvaluate("the server is away", code="no-server", hint="start it")
    shown = text(outcome("unevaluated", reason=reason)).splitlines()
    assert shown[:3] == [
        "Could not evaluate (no-server): the server is away",
        "What to do: start it",
        "Nothing was written.",
    ]
    refused = Refused("two histories", code="no-common-ancestor")
    assert text(outcome("refused", reason=refused, files=())).startswith(
        "Refused (no-common-ancestor): two histories\n"
    )


def test_problems_are_listed_once() -> None:
    problem = Problem("dangling-parent", "error", "no such parent", "versions/x.py", 7)
    reason = CouldNotEvaluate("the history cannot be read", code="dangling-parent")
    shown = text(Outcome("unevaluated", graph=HEADS, problems=(problem,), reason=reason))
    assert shown.splitlines()[0] == "Could not evaluate: 1 problem in the revision files"
    assert shown.count("dangling-parent") == 1
    assert "  versions/x.py:7: dangling-parent: no such parent" in shown


def test_notes_of_the_run_and_of_the_proof() -> None:
    shown = text(outcome("merged", proof=GOOD, notes=(Note("generic-template", "used Alembic's own"),)))
    assert shown.splitlines()[-3:] == ["Notes", "  - used Alembic's own", "  - Python"]


def test_a_dry_run_shows_the_files_when_asked_to() -> None:
    dry = outcome("would-merge", proof=GOOD)
    dry = replace(dry, files=(replace(dry.files[0], content=b"down_revision = ('h1',)\n\xff\n"),))
    assert "down_revision" not in text(dry)
    assert "  │ down_revision = ('h1',)\n  │ \\xff" in text(dry, verbose=True)


def is_command(line: str) -> bool:
    """Whether a GitHub runner would obey this line."""
    return line.lstrip().startswith("::") or "##[" in line


EVIL = "\x1b[2J\u202e\n::error::x\r##[error]\x00"


def test_text_from_outside_is_harmless_wherever_it_appears() -> None:
    evil_graph = Graph(History({EVIL: Revision(EVIL, (), message=EVIL)}))
    conflict = Conflict(EVIL, (EVIL, EVIL + "2"), (EVIL,), (EVIL,), EVIL, EVIL, Location(EVIL, 1), EVIL)
    proof = Proof(
        "differ",
        EVIL,
        EVIL,
        0.0,
        (PathResult((EVIL,), (EVIL,), "failed", 0.0),),
        (conflict,),
        notes=(Note(EVIL, EVIL),),
    )
    line = LinePlan((EVIL,), EVIL, (EVIL,), (EVIL,), LINE.merges)
    problem = Problem(EVIL, "error", EVIL, EVIL, 1)
    reason = CouldNotEvaluate(EVIL, code=EVIL, hint=EVIL)
    for status in ("converged", "merged", "would-merge", "refused", "unevaluated"):
        for parts in ({"proof": proof}, {"reason": reason}, {"problems": (problem,)}):
            for verbose in (False, True):
                shown = outcome_text(
                    outcome(status, graph=evil_graph, lines=(line, line), **parts), PLAIN, verbose=verbose
                )
                for row in shown:
                    assert row.isprintable(), ascii(row)
                    assert not is_command(runner_safe(row)), row


def test_plain_ascii() -> None:
    shown = text(
        outcome("refused", proof=replace(PROOF, verdict="one-order", conflicts=(CONFLICT,))), Look(ASCII)
    )
    assert shown.isascii()
