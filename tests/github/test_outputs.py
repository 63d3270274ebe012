"""Outputs for the runner, and the texts that users choose: a stranger's text stays where it belongs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from converger.github.outputs import Outputs, output_file, outputs_of
from converger.github.wording import fill, title, words_for
from converger.outcome import Outcome
from converger.proof.model import Proof
from tests.report.test_json import PROOF, outcome


def as_the_runner_reads(text: str) -> dict[str, str]:
    """The heredoc form of the runner's file commands (FileCommandManager.cs in actions/runner)."""
    found = {}
    lines = iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, separator, delimiter = line.partition("<<")
        assert separator
        value = []
        for part in lines:
            if part == delimiter:
                break
            value.append(part)
        else:
            raise AssertionError("no end")
        found[name] = "\n".join(value)
    return found


def test_the_outputs_of_an_outcome() -> None:
    found = outputs_of(outcome("merged", proof=replace(PROOF, conflicts=())), commit_sha="a" * 40)
    assert found.status == "merged" and found.verdict == "commute"
    assert json.loads(found.heads) == ["h1", "h2"] and found.head_count == "2"
    assert json.loads(found.merges) == [
        {"revision": "m12", "parents": ["h1", "h2"], "path": "versions/m12.py"}
    ]
    assert found.final_head == "m12" and found.commit_sha == "a" * 40


def test_could_not_look_is_not_no_head() -> None:
    found = outputs_of(Outcome("unevaluated"))
    assert (found.status, found.verdict, found.heads, found.head_count) == (
        "unevaluated",
        "unevaluated",
        "",
        "",
    )


def test_a_value_cannot_set_another_output() -> None:
    values = {"status": "x\nEOF\nverdict<<EOF\ncommute\nEOF", "final-head": "a\r\nb", "heads": ""}
    assert as_the_runner_reads(output_file(values, "0f1e2d")) == values
    with pytest.raises(ValueError, match="delimiter"):
        output_file({"status": "x 0f1e2d y"}, "0f1e2d")
    with pytest.raises(ValueError, match="delimiter"):
        output_file({"status": "x"}, "")
    with pytest.raises(ValueError, match="name"):
        output_file({"status<<x\ny\nx\nverdict": "x"}, "0f1e2d")


def test_bytes_of_a_path_that_are_no_text_can_be_written() -> None:
    text = output_file(Outputs(report_path="v/\udcff.py").as_mapping(), "0f1e2d")
    assert as_the_runner_reads(text)["report-path"] == "v/\\udcff.py"
    text.encode("utf-8")


def test_words_in_braces() -> None:
    words = words_for("main", ["a1", "b2"], "c3")
    assert (
        fill("Merge {count} heads of {base}: {heads} -> {final-head}", words)
        == "Merge 2 heads of main: a1 and b2 -> c3"
    )
    assert fill("chore({scope}): {} {heads {base}", words) == "chore({scope}): {} {heads main"
    assert title("Merge\n{heads}", words) == "Merge a1 and b2"
    assert len(title("x{heads}" * 100, words)) == 256


def test_a_revision_id_pings_nobody_and_closes_nothing() -> None:
    words = words_for(
        "feature/@octo#1", ["@octocat", "fixes #1", "{base}", "x\n\nCo-authored-by: y <z>"], None
    )
    text = fill("{heads} {base} {final-head}", words)
    assert not set("@#\n<>:") & set(text)
    assert fill("{heads}", words_for("main", ["{base}"], None)) == "_base_", "nothing is replaced twice"
    assert "4 more" in words_for("m", [f"r{n}" for n in range(14)], None)["heads"]


def test_no_proof_no_verdict() -> None:
    assert outputs_of(Outcome("converged")).verdict == ""
    assert outputs_of(outcome("merged", proof=Proof("skipped", "", "", 0.0))).verdict == "skipped"
