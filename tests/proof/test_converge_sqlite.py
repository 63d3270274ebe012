"""The whole use case on SQLite, which needs no server: quick, and real."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Silent
from tests.alembic_project import AlembicProject, two_harmless_heads


def options(project: AlembicProject, **changes: object) -> Options:
    return Options(cwd=project.root, **changes)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path / "p", url="sqlite:///never.db")


def test_two_harmless_heads_are_merged(project: AlembicProject) -> None:
    two_harmless_heads(project)
    before = project.digest()
    outcome = converge(options(project), Silent())
    assert outcome.status == "merged", outcome
    assert outcome.proof is not None and outcome.proof.verdict == "commute"
    assert [(path.start, path.order[-1], path.result) for path in outcome.proof.paths] == [
        ((), outcome.final_head, "ok"),
        (("base0001",), outcome.final_head, "ok"),  # in both orders of the merge's parents
        (("base0001",), outcome.final_head, "ok"),
        (("aaaa0001",), outcome.final_head, "ok"),
        (("bbbb0001",), outcome.final_head, "ok"),
    ]
    after = project.digest()
    new = set(after) - set(before)
    assert len(new) == 1
    assert {name: after[name] for name in before} == before
    again = converge(options(project), Silent())
    assert again.status == "converged"
    assert project.digest() == after


def test_a_clash_is_refused_and_nothing_is_written(project: AlembicProject) -> None:
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)")
    project.sql("bbbb0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT")
    before = project.digest()
    outcome = converge(options(project), Silent())
    assert (outcome.status, outcome.exit_code) == ("refused", 1)
    assert outcome.proof is not None and outcome.proof.verdict == "neither-order"
    assert project.digest() == before
    conflicts = outcome.proof.conflicts
    assert [(conflict.kind, conflict.revisions) for conflict in conflicts] == [
        ("duplicate-column", ("aaaa0001", "bbbb0001"))
    ]
    first = conflicts[0]
    assert first.objects == ("accounts.email",)
    assert "duplicate column name: email" in (first.error or "")
    assert "ALTER TABLE accounts ADD COLUMN email" in (first.statement or "")
    assert first.location is not None and first.other_location is not None
    for place, kind in ((first.location, "TEXT"), (first.other_location, "VARCHAR(50)")):
        line = (project.root / place.path).read_text().splitlines()[place.line - 1]
        assert f"ADD COLUMN email {kind}" in line


def test_what_a_clock_writes_is_noise_however_coarse_it_is(project: AlembicProject, tmp_path: Path) -> None:
    """CURRENT_TIMESTAMP has whole seconds here: two runs within one write the same, and others do not."""
    project.sql("base0001", None, "CREATE TABLE logs (name TEXT, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP)")
    for name in ("aaaa0001", "bbbb0001"):
        # Each upgrade takes some of a second, so that ways which differ only in time are sure to meet two of them.
        project.revision(
            name,
            "base0001",
            f"import time\ntime.sleep(0.4)\nop.execute(\"INSERT INTO logs (name) VALUES ('{name}')\")",
        )
    for _ in range(2):
        outcome = converge(options(project, dry_run=True), Silent())
        assert outcome.proof is not None and outcome.proof.verdict == "commute", outcome.proof


def test_seeded_rows_show_what_an_empty_table_hides(project: AlembicProject, tmp_path: Path) -> None:
    project.sql("base0001", None, "CREATE TABLE prices (id INTEGER PRIMARY KEY, cents INTEGER)")
    project.sql("aaaa0001", "base0001", "UPDATE prices SET cents = cents + 100")
    project.sql("bbbb0001", "base0001", "UPDATE prices SET cents = cents * 2")
    empty = converge(options(project, dry_run=True), Silent())
    assert empty.proof is not None and empty.proof.verdict == "commute"
    seed = tmp_path / "seed.sql"
    seed.write_text("INSERT INTO prices VALUES (1, 500);\n")
    seeded = converge(options(project, dry_run=True, seed_sql=seed), Silent())
    assert seeded.proof is not None and seeded.proof.verdict == "differ"
    (conflict,) = seeded.proof.conflicts
    assert (conflict.kind, conflict.revisions) == ("same-rows-updated", ("aaaa0001", "bbbb0001"))
    said = "\n".join(conflict.differences)
    assert "cents=1200" in said and "cents=1100" in said


def test_a_proof_without_time_says_that_it_was_cut_short(project: AlembicProject) -> None:
    two_harmless_heads(project)
    outcome = converge(options(project, dry_run=True, proof_budget=1e-6), Silent())
    assert outcome.proof is not None
    assert not outcome.proof.coverage.whole and outcome.proof.coverage.pairs == 0
    (note,) = [note for note in outcome.proof.notes if note.kind == "coverage"]
    assert "cut short: 0 of 1 pairs" in note.message and "--proof-budget" in note.message
