"""The drawing in a comment: what is shown of a fork, which way it goes, and how it stays small."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converger.history import Graph
from converger.history.model import History, Revision
from converger.plan import LinePlan, PlannedMerge, make_plan
from converger.proof.model import Conflict, Location
from converger.report.result import Origin, Result
from converger.report.sketch import sketch
from tests.github.environment import SHA
from tests.github.results import PROOF, outcome, result
from tests.report.graphs import chain, graph
from tests.report.test_mermaid_and_dot import EVIL, read_mermaid


def forked(history: Graph, status: Any = "would-merge", **more: Any) -> Result:
    lines = make_plan(history)
    return result(outcome(status, graph=history, lines=lines, files=(), proof=PROOF), origins={}, **more)


def drawn(found: Result) -> tuple[str, dict[str, str], set[tuple[str, str]]]:
    """The direction, the lines of each box, and the arrows between their first words."""
    shown = sketch(found)
    assert shown is not None and shown.lines is not None
    direction = shown.lines[0]
    labels, edges = read_mermaid(["flowchart BT", *shown.lines[1:]])
    first = {name: label.split("\n")[0].removesuffix(" (head)") for name, label in labels.items()}
    return (
        direction,
        {first[name]: label for name, label in labels.items()},
        {(first[a], first[b]) for a, _, b in edges},
    )


def test_a_fork_goes_from_left_to_right_and_begins_at_the_ancestor() -> None:
    found = forked(chain(30, "h1 < r029", "h2 < r029", "h3 < h2"))
    (line,) = found.outcome.lines
    direction, labels, edges = drawn(found)
    merge = line.merges[0].revision
    assert direction == "flowchart LR"
    assert edges == {("r029", "h1"), ("r029", "h2"), ("h2", "h3"), ("h1", merge), ("h3", merge)}
    assert labels[merge] == f"{merge} (head)\nmerge revision"
    assert "older" not in "".join(labels.values())


def test_sides_and_conflicts_are_marked() -> None:
    history = Graph(
        History(
            {
                "base": Revision("base", ()),
                "mine": Revision("mine", ("base",), path="v/mine.py", message="a"),
                "theirs": Revision("theirs", ("base",), path="v/theirs.py"),
            }
        )
    )
    conflict = Conflict("x", ("mine", "theirs"), (), (), None, None, None, "")
    found = forked(history, "refused")
    found = replace(
        found,
        outcome=replace(found.outcome, proof=replace(PROOF, verdict="differ", conflicts=(conflict,))),
        origins={"mine": Origin("alice", 7)},
        files_at={"v/theirs.py": SHA["base"]},
    )
    _, labels, _ = drawn(found)
    assert labels["mine"] == "mine (head)\na\nin this pull request" and labels["theirs"].endswith("\non main")
    shown = sketch(found)
    assert shown is not None and shown.lines is not None
    assert [line for line in shown.lines if line.endswith(" conflict")] == ["    class n0,n1 conflict"]
    # Where the base is forked by itself, that both are on it is no news.
    _, labels, _ = drawn(replace(found, situation="base-forked", origins={}))
    assert labels["theirs"] == "theirs (head)"


def test_long_branches_are_shortened_but_for_their_conflicts() -> None:
    text = "a1 < base\n" + "\n".join(f"a{n + 1} < a{n}" for n in range(1, 9)) + "\nb1 < base\nb2 < b1"
    found = forked(graph("base <\n" + text))
    direction, labels, edges = drawn(found)
    assert direction == "flowchart LR" and "8 more revisions" in labels
    assert ("8 more revisions", "a9") in edges and ("base", "8 more revisions") in edges
    assert {"b1", "b2"} <= set(labels), "naming one takes no more room"
    conflict = Conflict("x", ("a4", "b1"), (), (), None, None, Location("v", 1), "")
    proof = replace(PROOF, verdict="differ", conflicts=(conflict,))
    found = replace(found, outcome=replace(found.outcome, status="refused", proof=proof))
    direction, labels, edges = drawn(found)
    assert {("base", "3 more revisions"), ("3 more revisions", "a4"), ("a4", "4 more revisions")} <= edges


def test_many_merges_are_one_box_and_too_much_is_not_drawn() -> None:
    found = forked(graph("base <\n" + "\n".join(f"h{n} < base" for n in range(8))))
    (line,) = found.outcome.lines
    direction, labels, edges = drawn(found)
    assert len(line.merges) == 7 and labels[line.final_head] == f"{line.final_head} (head)\n7 merge revisions"
    assert direction == "flowchart LR" and {a for a, b in edges if b == line.final_head} == set(line.heads)
    found = forked(graph("base <\n" + "\n".join(f"h{n:02} < base" for n in range(60))))
    shown = sketch(found)
    assert shown is not None and shown.lines is None and shown.revisions == 60 + 59 + 1
    assert sketch(forked(graph("base <"), "converged")) is None


def test_lines_that_have_one_head_are_left_out() -> None:
    history = graph("x1 <\nx2 < x1\nbase <\na < base\nb < base")
    plan = LinePlan(
        (), "base", ("base",), ("a", "b"), (PlannedMerge("m", ("a", "b"), datetime(2025, 1, 1), ""),)
    )
    other = LinePlan(("x",), None, (), ("x2",), ())
    _, labels, _ = drawn(result(outcome(graph=history, lines=(plan, other), files=())))
    assert set(labels) == {"base", "a", "b", "m"}


def test_a_circle_is_drawn_as_it_is() -> None:
    history = graph("a < c\nb < a\nc < b\nd < c")
    direction, _, edges = drawn(result(outcome("unevaluated", graph=history, lines=(), files=(), proof=None)))
    assert direction == "flowchart BT" and edges == {("c", "a"), ("a", "b"), ("b", "c"), ("c", "d")}


@settings(deadline=None, max_examples=150)
@given(st.text(min_size=1))
@example(EVIL[0])
@example("$$x$$")
def test_no_text_leaves_its_label(text: str) -> None:
    parts = {"base": Revision("base", (), message=text)}
    parts |= {f"{n}{text}": Revision(f"{n}{text}", ("base",), message=text, path=text) for n in (1, 2)}
    found = forked(Graph(History(parts)), files_at={text: SHA["base"]})
    base = found.base
    assert base is not None
    _, labels, edges = drawn(replace(found, base=replace(base, branch=text)))
    assert len(edges) == 4 and len(labels) == 4


@pytest.mark.parametrize("count", [1, 2, 5])
def test_the_same_twice(count: int) -> None:
    history = graph("base <\n" + "\n".join(f"h{n} < base" for n in range(count + 1)))
    assert sketch(forked(history)) == sketch(forked(history))
