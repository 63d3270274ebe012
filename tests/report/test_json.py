"""The JSON contract: every key and every type of it, with nothing more."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from converger.errors import CouldNotEvaluate, Refused
from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.mergefile import MergeFile, Note
from converger.outcome import Outcome
from converger.plan import LinePlan, PlannedMerge
from converger.proof.model import Conflict, Coverage, Downgrade, Location, PathResult, Proof
from converger.report.json import history_json, outcome_json, to_bytes
from tests.report.graphs import graph

PROBLEM = {
    "code": str,
    "severity": {"error", "warning"},
    "message": str,
    "path": (str, None),
    "line": (int, None),
}
HISTORY = {
    "version": {1},
    "heads": [str],
    "effective_heads": [str],
    "bases": [str],
    "revisions": {
        str: {
            "down_revision": [str],
            "depends_on": [str],
            "branch_labels": [str],
            "path": str,
            "message": str,
        }
    },
    "problems": [PROBLEM],
}
OUTCOME = {
    "version": {1},
    "status": {"converged", "merged", "would-merge", "refused", "unevaluated"},
    "base": (str, None),
    "heads": [str],
    "merges": [{"revision": str, "parents": [str], "path": str}],
    "final_head": (str, None),
    "proof": (
        None,
        {
            "verdict": {
                "commute",
                "one-order",
                "neither-order",
                "differ",
                "broken",
                "skipped",
                "unevaluated",
            },
            "dialect": str,
            "server_version": str,
            "seconds": float,
            "coverage": {"pairs": int, "of": int, "steps": int, "whole": bool},
            "paths": [{"start": [str], "order": [str], "result": {"ok", "failed"}, "seconds": float}],
            "conflicts": [
                {
                    "kind": str,
                    "revisions": [str],
                    "state": [str],
                    "objects": [str],
                    "error": (str, None),
                    "statement": (str, None),
                    "location": (None, {"path": str, "line": int}),
                    "other_location": (None, {"path": str, "line": int}),
                    "differences": [str],
                    "advice": str,
                }
            ],
            "downgrade": {
                "result": {"restores", "fails", "leaves-residue", "not-run"},
                "detail": (str, None),
                "by_merging": bool,
                "runs": [
                    {
                        "start": [str],
                        "end": [str],
                        "branch": (str, None),
                        "target": (str, None),
                        "merged": bool,
                        "result": {"restores", "fails", "leaves-residue", "not-run"},
                        "by_merging": bool,
                        "revision": (str, None),
                        "statement": (str, None),
                        "error": (str, None),
                        "differences": [str],
                    }
                ],
            },
            "notes": [{"kind": str, "message": str}],
        },
    ),
    "problems": [PROBLEM],
}


def check(value: Any, shape: Any, where: str = "$") -> None:
    """`value` has exactly this shape: a type, a set of values, a tuple of choices, a list's or object's shape."""
    if shape is None:
        assert value is None, where
    elif isinstance(shape, type):
        assert type(value) is shape, (where, value)
    elif isinstance(shape, set):
        assert value in shape, (where, value)
    elif isinstance(shape, tuple):
        fits = [s for s in shape if (s is None) == (value is None)]
        assert fits, (where, value)
        check(value, fits[0], where)
    elif isinstance(shape, list):
        assert type(value) is list, where
        for i, item in enumerate(value):
            check(item, shape[0], f"{where}[{i}]")
    elif str in shape:
        for key, item in value.items():
            assert type(key) is str, where
            check(item, shape[str], f"{where}.{key}")
    else:
        assert list(value) == list(shape), (where, "keys and their order")
        for key, item in value.items():
            check(item, shape[key], f"{where}.{key}")


def read(value: dict[str, Any], shape: Any) -> Any:
    data = to_bytes(value)
    assert data.endswith(b"\n") and data.count(b"\n") == 1
    again = json.loads(data)
    check(again, shape)
    return again


def test_history() -> None:
    problems = (
        Problem("dangling-parent", "error", "no such revision", "versions/x.py", 7),
        Problem("shared-branch-label", "warning", "two"),
    )
    history = Graph(
        History(
            {
                "b": Revision("b", ("a",), ("a",), (), "versions/b.py", "späte Änderung"),
                "a": Revision("a", (), (), ("billing",), "versions/a.py", "first"),
            }
        )
    )
    assert read(history_json(history, problems), HISTORY) == {
        "version": 1,
        "heads": ["b"],
        "effective_heads": ["b"],
        "bases": ["a"],
        "revisions": {
            "a": {
                "down_revision": [],
                "depends_on": [],
                "branch_labels": ["billing"],
                "path": "versions/a.py",
                "message": "first",
            },
            "b": {
                "down_revision": ["a"],
                "depends_on": ["a"],
                "branch_labels": [],
                "path": "versions/b.py",
                "message": "späte Änderung",
            },
        },
        "problems": [
            {
                "code": "dangling-parent",
                "severity": "error",
                "message": "no such revision",
                "path": "versions/x.py",
                "line": 7,
            },
            {
                "code": "shared-branch-label",
                "severity": "warning",
                "message": "two",
                "path": None,
                "line": None,
            },
        ],
    }
    assert "späte Änderung".encode() in to_bytes(history_json(history, ())), "not escaped"


def test_an_empty_history() -> None:
    read(history_json(Graph(History({})), ()), HISTORY)


def test_bytes_of_a_path_that_are_no_text_survive() -> None:
    history = Graph(History({"a": Revision("a", (), path="versions/\udcff\x1b.py")}))
    again = read(history_json(history, ()), HISTORY)
    assert again["revisions"]["a"]["path"] == "versions/\udcff\x1b.py"
    assert b"\x1b" not in to_bytes(history_json(history, ()))


HEADS = graph("base\nh1 < base\nh2 < base")
MERGE = PlannedMerge("m12", ("h1", "h2"), datetime(2025, 1, 1), "merge h1 and h2")
LINE = LinePlan((), "base", ("base",), ("h1", "h2"), (MERGE,))


class _Project:
    root = Path("/repository")


def outcome(status: Any, **more: Any) -> Outcome:
    file = MergeFile(MERGE, Path("/repository/versions/m12.py"), b"")
    values: dict[str, Any] = {"project": _Project(), "graph": HEADS, "lines": (LINE,), "files": (file,)}
    return Outcome(status, **{**values, **more})


PROOF = Proof(
    verdict="commute",
    dialect="postgresql",
    server_version="16.4",
    seconds=1.23456,
    paths=(PathResult((), ("base", "h1", "h2", "m12"), "ok", 1), PathResult(("h1",), ("h2",), "failed", 0.5)),
    conflicts=(
        Conflict(
            kind="step-failed",
            revisions=("h1", "h2"),
            state=("h1",),
            objects=("t",),
            error="boom",
            statement="SELECT",
            location=Location("v.py", 3),
            advice="do",
            other_location=Location("w.py", 4),
            differences=("column t.a: integer where h1 ran last",),
        ),
        Conflict("other", ("h1", "h2"), (), (), None, None, None, ""),
    ),
    downgrade=Downgrade("fails", "why"),
    notes=(Note("environment", "Python"),),
    coverage=Coverage(1, 1, 4),
)


def test_an_outcome() -> None:
    again = read(outcome_json(outcome("merged", proof=PROOF, notes=(Note("hook", "x"),))), OUTCOME)
    assert again == {
        "version": 1,
        "status": "merged",
        "base": "base",
        "heads": ["h1", "h2"],
        "merges": [{"revision": "m12", "parents": ["h1", "h2"], "path": "versions/m12.py"}],
        "final_head": "m12",
        "proof": {
            "verdict": "commute",
            "dialect": "postgresql",
            "server_version": "16.4",
            "seconds": 1.235,
            "coverage": {"pairs": 1, "of": 1, "steps": 4, "whole": True},
            "paths": [
                {"start": [], "order": ["base", "h1", "h2", "m12"], "result": "ok", "seconds": 1.0},
                {"start": ["h1"], "order": ["h2"], "result": "failed", "seconds": 0.5},
            ],
            "conflicts": [
                {
                    "kind": "step-failed",
                    "revisions": ["h1", "h2"],
                    "state": ["h1"],
                    "objects": ["t"],
                    "error": "boom",
                    "statement": "SELECT",
                    "location": {"path": "v.py", "line": 3},
                    "other_location": {"path": "w.py", "line": 4},
                    "differences": ["column t.a: integer where h1 ran last"],
                    "advice": "do",
                },
                {
                    "kind": "other",
                    "revisions": ["h1", "h2"],
                    "state": [],
                    "objects": [],
                    "error": None,
                    "statement": None,
                    "location": None,
                    "other_location": None,
                    "differences": [],
                    "advice": "",
                },
            ],
            "downgrade": {"result": "fails", "detail": "why", "by_merging": False, "runs": []},
            "notes": [{"kind": "hook", "message": "x"}, {"kind": "environment", "message": "Python"}],
        },
        "problems": [],
    }


@pytest.mark.parametrize("status", ["converged", "merged", "would-merge", "refused", "unevaluated"])
def test_every_status_with_as_little_as_it_can_have(status: Any) -> None:
    read(outcome_json(Outcome(status)), OUTCOME)
    read(outcome_json(outcome(status, proof=PROOF)), OUTCOME)


def test_a_reason_is_the_first_problem() -> None:
    reason = Refused("two histories", code="no-common-ancestor", hint="use --across-labels")
    again = read(
        outcome_json(
            outcome("refused", lines=(), files=(), reason=reason, problems=(Problem("x", "warning", "y"),))
        ),
        OUTCOME,
    )
    assert [p["code"] for p in again["problems"]] == ["no-common-ancestor", "x"]
    assert again["problems"][0]["message"] == "two histories (use --across-labels)"
    assert again["proof"] is None and again["final_head"] is None and again["base"] is None


def test_could_not_look_is_a_verdict_of_its_own() -> None:
    reason = CouldNotEvaluate("no server", code="no-postgresql")
    again = read(outcome_json(outcome("unevaluated", reason=reason, notes=(Note("n", "m"),))), OUTCOME)
    assert again["proof"]["verdict"] == "unevaluated"
    assert again["proof"]["notes"] == [{"kind": "n", "message": "m"}]
    assert again["proof"]["paths"] == []


def test_several_lines_have_a_base_only_when_one_is_merged() -> None:
    other = LinePlan(("billing",), "b0", ("b0",), ("b1",), ())
    assert outcome_json(outcome("merged", lines=(LINE, other)))["base"] == "base"
    assert outcome_json(outcome("merged", lines=(LINE, LINE)))["base"] is None
    assert outcome_json(outcome("merged", lines=(LINE, LINE)))["final_head"] is None


def test_no_command_to_a_runner() -> None:
    history = Graph(History({"a": Revision("a", (), message="###[error]x")}))
    assert b"##[" not in to_bytes(history_json(history, ()))
    assert read(history_json(history, ()), HISTORY)["revisions"]["a"]["message"] == "###[error]x"


def test_the_same_outcome_gives_the_same_bytes() -> None:
    assert to_bytes(outcome_json(outcome("merged", proof=PROOF))) == to_bytes(
        outcome_json(outcome("merged", proof=PROOF))
    )
