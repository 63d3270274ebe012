"""Runs `converge` on a project folder, and holds it to what must be true of every run."""

from __future__ import annotations

import hashlib
from pathlib import Path

from converger.converge import converge
from converger.errors import ConvergerError
from converger.outcome import Options, Outcome, Silent
from converger.proof.model import Proof


def run(folder: Path, **options: object) -> Outcome:
    """The outcome; nothing in `folder` was changed, and nothing added but merge revisions."""
    before = _digest(folder)
    outcome = converge(Options(cwd=folder, **options), Silent())  # type: ignore[arg-type]
    after = _digest(folder)
    assert {name: after.get(name) for name in before} == before, "an existing file was changed"
    expected = {str(Path(file.path).relative_to(folder)) for file in outcome.files}
    assert set(after) - set(before) == (expected if outcome.status == "merged" else set())
    return outcome


def commutes(folder: Path, **options: object) -> Proof:
    """The proof of a run that merges."""
    outcome = run(folder, **options)
    assert outcome.status == "merged", outcome.reason or outcome.proof
    assert outcome.proof is not None
    assert outcome.proof.verdict == "commute"
    return outcome.proof


def refused(folder: Path, **options: object) -> Proof:
    """The proof of a run that finds a conflict; it has at least one."""
    outcome = run(folder, **options)
    assert outcome.status == "refused", outcome.reason or outcome.proof
    assert outcome.proof is not None
    assert outcome.proof.conflicts
    return outcome.proof


def unevaluated(folder: Path, **options: object) -> ConvergerError:
    """Why a run could not look."""
    outcome = run(folder, **options)
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3), outcome.proof
    assert outcome.reason is not None
    return outcome.reason


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
