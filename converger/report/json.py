"""The JSON contract: one object for `check` and `graph`, one for `converge`.

Keys and types are fixed (docs/command-line.md); programs depend on them. Keys are only ever added, and
`version` rises when one changes its meaning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converger.history import Graph, Problem
    from converger.mergefile import MergeFile, Note
    from converger.outcome import Outcome
    from converger.proof.model import Conflict, Downgrade, Location, Proof

VERSION = 1

Object = dict[str, Any]


def to_bytes(value: Object) -> bytes:
    """The object as UTF-8 on one line, with a line end. Bytes of a path that are no UTF-8 stay `\\udcXX`."""
    text = json.dumps(value, ensure_ascii=False, separators=(", ", ": "), allow_nan=False)
    # `##[` would be a command to a GitHub runner that prints this; it only occurs in strings.
    text = text.replace("##[", "\\u0023#[")
    # A lone surrogate cannot be encoded; its escape is what JSON writes for it.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def history_json(graph: Graph, problems: Iterable[Problem]) -> Object:
    """What `check` and `graph` say. Everything is sorted; the whole history, never a selection."""
    return {
        "version": VERSION,
        "heads": list(graph.heads),
        "effective_heads": list(graph.effective_heads),
        "bases": list(graph.bases),
        "revisions": {
            id: {
                "down_revision": list(revision.down_revisions),
                "depends_on": list(revision.depends_on),
                "branch_labels": list(revision.branch_labels),
                "path": revision.path,
                "message": revision.message,
            }
            for id, revision in sorted(graph.revisions.items())
        },
        "problems": [_problem(problem) for problem in problems],
    }


def outcome_json(outcome: Outcome) -> Object:
    """What `converge` says.

    `base` is the common ancestor when one line of history has heads to merge. `proof` is null when
    nothing had to be proven; when we could not look its verdict is `unevaluated`. A reason that no proof
    gives is the first entry of `problems`.
    """
    merging = [line for line in outcome.lines if line.merges]
    base = merging[0].base if len(merging) == 1 else None
    if not merging and len(outcome.lines) == 1:
        base = outcome.lines[0].base
    proof = _proof_or_none(outcome)
    problems = [_problem(problem) for problem in outcome.problems]
    if outcome.reason is not None:
        message = outcome.reason.message
        if outcome.reason.hint:
            message = f"{message} ({outcome.reason.hint})"
        problems.insert(0, _finding(outcome.reason.code, "error", message))
    if proof is None:
        problems.extend(_finding(note.kind, "warning", note.message) for note in outcome.notes)
    return {
        "version": VERSION,
        "status": outcome.status,
        "base": base,
        "heads": list(outcome.graph.heads) if outcome.graph is not None else [],
        "merges": [_merge(file, outcome) for file in outcome.files],
        "final_head": outcome.final_head,
        "proof": proof,
        "problems": problems,
    }


def relative_path(path: Path, root: Path | None) -> str:
    """`path` relative to the repository, with forward slashes; absolute where it lies outside."""
    if root is not None and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return path.as_posix()


def _merge(file: MergeFile, outcome: Outcome) -> Object:
    root = outcome.project.root if outcome.project is not None else None
    return {
        "revision": file.merge.revision,
        "parents": list(file.merge.parents),
        "path": relative_path(file.path, root),
    }


def _proof_or_none(outcome: Outcome) -> Object | None:
    if outcome.proof is not None:
        return _proof(outcome.proof, (*outcome.notes, *outcome.proof.notes))
    if outcome.status == "unevaluated":
        from converger.proof.model import Proof

        return _proof(Proof("unevaluated", dialect="", server_version="", seconds=0.0), outcome.notes)
    return None


def _proof(proof: Proof, notes: Iterable[Note]) -> Object:
    return {
        "verdict": proof.verdict,
        "dialect": proof.dialect,
        "server_version": proof.server_version,
        "seconds": _seconds(proof.seconds),
        "coverage": {
            "pairs": proof.coverage.pairs,
            "of": proof.coverage.of,
            "steps": proof.coverage.steps,
            "whole": proof.coverage.whole,
        },
        "paths": [
            {
                "start": list(path.start),
                "order": list(path.order),
                "result": path.result,
                "seconds": _seconds(path.seconds),
            }
            for path in proof.paths
        ],
        "conflicts": [_conflict(conflict) for conflict in proof.conflicts],
        "downgrade": _downgrade(proof.downgrade),
        "notes": [{"kind": n.kind, "message": n.message} for n in dict.fromkeys(notes)],
    }


def _location(place: Location | None) -> Object | None:
    return None if place is None else {"path": place.path, "line": place.line}


def _conflict(conflict: Conflict) -> Object:
    return {
        "kind": conflict.kind,
        "revisions": list(conflict.revisions),
        "state": list(conflict.state),
        "objects": list(conflict.objects),
        "error": conflict.error,
        "statement": conflict.statement,
        "location": _location(conflict.location),
        "other_location": _location(conflict.other_location),
        "differences": list(conflict.differences),
        "advice": conflict.advice,
    }


def _downgrade(downgrade: Downgrade) -> Object:
    return {
        "result": downgrade.result,
        "detail": downgrade.detail,
        "by_merging": downgrade.by_merging,
        "runs": [
            {
                "start": list(run.start),
                "end": list(run.end),
                "branch": run.branch,
                "target": run.target,
                "merged": run.merged,
                "result": run.result,
                "by_merging": run.by_merging,
                "revision": run.revision,
                "statement": run.statement,
                "error": run.error,
                "differences": list(run.differences),
            }
            for run in downgrade.runs
        ],
    }


def _problem(problem: Problem) -> Object:
    return _finding(problem.code, problem.severity, problem.message, problem.path, problem.line)


def _finding(
    code: str, severity: str, message: str, path: str | None = None, line: int | None = None
) -> Object:
    return {"code": code, "severity": severity, "message": message, "path": path, "line": line}


def _seconds(value: float) -> float:
    # Milliseconds are as exact as these measurements are; a float even when it is whole.
    return round(float(value), 3)
