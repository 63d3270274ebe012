"""Downgrades of merged branches: which command takes back what, and whose fault it is where that goes wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from converger.converge import converge
from converger.history import Graph
from converger.inspection import read_working_tree
from converger.outcome import Options, Outcome, Silent
from converger.plan import LinePlan
from converger.proof.lattice import lattice_of
from converger.proof.model import Downgrade, DowngradeRun
from converger.proof.waysdown import taken_back, ways_down
from converger.report.json import outcome_json
from converger.report.look import Look
from converger.report.outcome_text import outcome_text
from tests.alembic_project import AlembicProject

LOOK = Look()

Shape = dict[str, tuple[str, ...]]

TWO = {"base0001": (), "aaaa0001": ("base0001",), "bbbb0001": ("base0001",)}
THREE_LONG = {
    "base0001": (),
    "aaaa0001": ("base0001",),
    "aaaa0002": ("aaaa0001",),
    "bbbb0001": ("base0001",),
    "bbbb0002": ("bbbb0001",),
    "cccc0001": ("base0001",),
}
TREE = {
    "base0001": (),
    "xxxx0001": ("base0001",),
    "aaaa0001": ("xxxx0001",),
    "bbbb0001": ("xxxx0001",),
    "cccc0001": ("base0001",),
}
TWO_BASES = {"aaaa0001": (), "aaaa0002": ("aaaa0001",), "bbbb0001": ()}


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path / "p", url=f"sqlite:///{tmp_path / 'own.db'}")


def sql(*statements: str) -> str:
    return "\n".join(f"op.execute({statement!r})" for statement in statements) or "pass"


def table(name: str) -> tuple[str, str]:
    return sql(f"CREATE TABLE {name} (i INTEGER)"), sql(f"DROP TABLE {name}")


def run(project: AlembicProject, **changes: object) -> Outcome:
    return converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]


def downgrade(outcome: Outcome) -> Downgrade:
    assert outcome.proof is not None, outcome.reason
    assert outcome.proof.verdict == "commute", outcome.proof.conflicts
    return outcome.proof.downgrade


def behind(found: Downgrade) -> dict[str | None, DowngradeRun]:
    """The runs that begin at the final head, by the command's target."""
    return {one.target: one for one in found.runs if one.merged}


# -- which command takes back what


def written(project: AlembicProject, shape: Shape, depends_on: dict[str, str]) -> tuple[Graph, LinePlan]:
    """The history with its merges written, and what was planned."""
    for revision, parents in shape.items():
        up, down = table(f"t_{revision}")
        project.revision(revision, parents or None, up, down, depends_on=depends_on.get(revision))
    outcome = run(project, skip_validation=True, across_labels=True)
    assert outcome.status == "merged"
    _project, graph, _problems = read_working_tree(Options(cwd=project.root))
    return graph, outcome.lines[0]


IN_REAL_ALEMBIC = """
import json, os, sqlite3, sys
from alembic import command
from alembic.config import Config

for target in sys.argv[2:]:
    if os.path.exists(sys.argv[1]):
        os.remove(sys.argv[1])
    command.upgrade(Config("alembic.ini"), "head")
    command.downgrade(Config("alembic.ini"), target)
    with sqlite3.connect(sys.argv[1]) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE name GLOB 't_*'").fetchall()
    print(json.dumps([name[2:] for (name,) in rows]))
"""


def left_by(project: AlembicProject, targets: list[str]) -> list[set[str]]:
    """What is applied after real Alembic has upgraded to the head and downgraded, for each target."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", IN_REAL_ALEMBIC, str(project.root.parent / "own.db"), *targets],
        cwd=project.root,
        check=True,
        capture_output=True,
        text=True,
    )
    return [set(json.loads(line)) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("shape", "depends_on"),
    [(THREE_LONG, {}), (TREE, {}), (TWO_BASES, {}), (TWO, {"bbbb0001": "aaaa0001"})],
    ids=["three", "tree", "two bases", "depends"],
)
def test_the_commands_take_back_in_real_alembic_what_is_said(
    project: AlembicProject, shape: Shape, depends_on: dict[str, str]
) -> None:
    graph, line = written(project, shape, depends_on)
    lattice = lattice_of(graph, line)
    below = graph.ancestors(line.base_state, dependencies=True)
    ways = [way for way in ways_down(graph, line, lattice, below) if way.merged]
    assert [way.branch for way in ways] == [*line.heads, None]
    targets = [way.target or "" for way in ways]
    assert "" not in targets
    applied = graph.ancestors([line.final_head], dependencies=True)
    for way, target, left in zip(ways, targets, left_by(project, targets), strict=True):
        assert left == (applied - taken_back(graph, applied, target)) & set(shape)
        assert left == below | way.end
        if way.branch and not depends_on:
            assert way.branch not in left
            assert left >= set(line.heads) - {way.branch}


# -- what they do


def two_branches(project: AlembicProject, a: tuple[str, str], b: tuple[str, str]) -> None:
    project.revision("base0001", None, sql("CREATE TABLE t (i INTEGER, c INTEGER)"))
    project.revision("aaaa0001", "base0001", *a)
    project.revision("bbbb0001", "base0001", *b)


def test_harmless_branches_are_restored(project: AlembicProject, tmp_path: Path) -> None:
    log = tmp_path / "log"
    a, b = ((up, f"open({str(log)!r}, 'a').write('x')\n{down}") for up, down in (table("a"), table("b")))
    two_branches(project, a, b)
    outcome = run(project, require_downgrade=True)
    # One each, both at once, and one branch alone: what the other one does alone follows.
    assert len(log.read_text()) == 1 + 1 + 2 + 1
    found = downgrade(outcome)
    assert (outcome.status, found.result, found.by_merging) == ("merged", "restores", False)
    final = (outcome.final_head,)
    assert [(one.start, one.end, one.target) for one in found.runs] == [
        (("aaaa0001",), ("base0001",), "base0001"),
        (("bbbb0001",), ("base0001",), "base0001"),
        (final, ("bbbb0001",), "aaaa0001@base0001"),
        (final, ("aaaa0001",), "bbbb0001@base0001"),
        (final, ("base0001",), "base0001"),
    ]
    text = "\n".join(outcome_text(outcome, LOOK))
    assert "alembic downgrade bbbb0001@base0001  takes back bbbb0001" in text
    assert "ambiguous" in text
    assert json.loads(json.dumps(outcome_json(outcome)))["proof"]["downgrade"]["runs"][2]["end"] == [
        "bbbb0001"
    ]


BOTH_DROP = (
    "from sqlalchemy import inspect\n"
    "if 'c' in [column['name'] for column in inspect(op.get_bind()).get_columns('t')]:\n"
    "    op.execute('ALTER TABLE t DROP COLUMN c')",
    sql("ALTER TABLE t ADD COLUMN c INTEGER"),
)


def test_upgrades_that_commute_while_every_downgrade_fails(project: AlembicProject) -> None:
    two_branches(project, BOTH_DROP, BOTH_DROP)
    before = project.digest()
    outcome = run(project, require_downgrade=True)
    found = downgrade(outcome)
    assert project.digest() == before
    assert (outcome.status, outcome.exit_code, found.result, found.by_merging) == (
        "refused",
        1,
        "fails",
        True,
    )
    assert outcome.reason is not None
    assert outcome.reason.code == "merging-breaks-downgrade"
    assert "duplicate column name" in outcome.reason.message
    whole = behind(found)["base0001"]
    assert (whole.result, whole.by_merging) == ("fails", True)
    assert "duplicate column name" in (whole.error or "")
    assert "ADD COLUMN c" in (whole.statement or "")
    assert all(one.result == "restores" for one in found.runs if not one.merged), "each alone is in order"
    # The first one back gives the column to a database whose other branch has dropped it, too.
    one = behind(found)["aaaa0001@base0001"]
    assert (one.result, one.by_merging) == ("leaves-residue", True)
    assert any("t.c" in line for line in one.differences)
    assert "duplicate column name" in "\n".join(outcome_text(outcome, LOOK))


def test_what_a_branch_does_alone_is_not_mergings_fault(project: AlembicProject) -> None:
    two_branches(
        project, (table("a")[0], "raise NotImplementedError('no way back')"), (table("b")[0], "pass")
    )
    outcome = run(project, require_downgrade=True)
    found = downgrade(outcome)
    assert (outcome.status, found.result, found.by_merging) == ("merged", "fails", False)
    assert "without merging, too, at aaaa0001: aaaa0001 fails: no way back" in (found.detail or "")
    assert {target: (one.result, one.by_merging) for target, one in behind(found).items()} == {
        "aaaa0001@base0001": ("fails", False),
        "bbbb0001@base0001": ("leaves-residue", False),
        "base0001": ("fails", False),
    }


def test_rows_that_are_lost_are_residue_and_a_clock_is_none(project: AlembicProject) -> None:
    """The second branch writes something else each time; the first loses a column's content by itself."""
    rows = sql("INSERT INTO t VALUES (1, 2)")
    project.revision(
        "base0001", None, sql("CREATE TABLE t (i INTEGER, c INTEGER)", "CREATE TABLE u (r)") + "\n" + rows
    )
    project.revision(
        "aaaa0001", "base0001", sql("ALTER TABLE t DROP COLUMN c"), sql("ALTER TABLE t ADD COLUMN c INTEGER")
    )
    project.revision("bbbb0001", "base0001", sql("INSERT INTO u VALUES (random())"), sql("DELETE FROM u"))
    outcome = run(project, require_downgrade=True)
    found = downgrade(outcome)
    assert (outcome.status, found.result, found.by_merging) == ("merged", "leaves-residue", False)
    assert found.detail == "without merging, too, at aaaa0001: rows t: 1 row, not what they were before"
    assert behind(found)["bbbb0001@base0001"].result == "restores"


def test_long_branches_and_three_heads(project: AlembicProject) -> None:
    for revision, parents in THREE_LONG.items():
        project.revision(revision, parents or None, *table(f"t_{revision}"))
    outcome = run(project, dry_run=True)
    found = downgrade(outcome)
    first = outcome.files[0].merge.revision
    assert (found.result, len(found.runs)) == ("restores", 7)
    assert behind(found)["cccc0001@base0001"].end == ("aaaa0002", "bbbb0002")
    assert behind(found)["bbbb0002@base0001"].end == ("aaaa0002", "cccc0001")
    assert first not in str(found.runs[0])


def test_no_time_left_is_not_fine(project: AlembicProject) -> None:
    two_branches(project, table("a"), table("b"))
    outcome = run(project, proof_budget=0.001, require_downgrade=True)
    found = downgrade(outcome)
    assert found.result == "not-run"
    assert "--proof-budget" in (found.detail or "")
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3)
    assert outcome.reason is not None
    assert outcome.reason.code == "downgrade-not-evaluated"


def test_postgresql(project: AlembicProject, postgres_url: str) -> None:
    """Both drop the column if it is there: upgrades commute; the pair from which this feature comes."""
    both = sql("ALTER TABLE t DROP COLUMN IF EXISTS c"), sql("ALTER TABLE t ADD COLUMN c INTEGER")
    two_branches(project, both, both)
    outcome = run(project, database_url=postgres_url, dry_run=True)
    found = downgrade(outcome)
    assert (outcome.status, found.result, found.by_merging) == ("would-merge", "fails", True)
    assert 'column "c" of relation "t" already exists' in (found.detail or "")
