"""Histories of odd shape, run to the end: the version table's rows must be read as Alembic means them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import AlembicProject

Parents = str | tuple[str, ...] | None
Add = Callable[..., None]


def heads_joined_by_a_dependency(add: Add) -> None:
    add("root", None)
    add("aaaa", "root", depends_on="bbbb")
    add("bbbb", "root")


def a_chain_of_dependencies(add: Add) -> None:
    add("root", None)
    add("a1", "root")
    add("b1", "root", depends_on="a1")
    add("c1", "root", depends_on="b1")


def a_dependency_on_the_middle_of_the_other(add: Add) -> None:
    add("root", None)
    add("a1", "root")
    add("a2", "a1", depends_on="b1")
    add("b1", "root")
    add("b2", "b1")


def criss_cross(add: Add) -> None:
    add("root", None)
    add("a1", "root")
    add("b1", "root")
    add("m1", ("a1", "b1"))
    add("m2", ("a1", "b1"))
    add("x1", "m1")
    add("x2", "m2")


def a_merge_of_what_the_other_descends_from(add: Add) -> None:
    add("root", None)
    add("a1", "root")
    add("a2", "a1")
    add("b1", "root")
    add("m1", ("a1", "b1"))


def a_base_that_joins_later(add: Add) -> None:
    add("r1", None)
    add("r2", None, labels="two")
    add("m", ("r1", "r2"))
    add("a", "m")
    add("b", "m")
    add("c", "r2")


def abbreviations_of_each_other(add: Add) -> None:
    add("1", None)
    for revision in ("2024", "202401", "20240101", "A.b_c"):
        add(revision, "1")


TWO_HEADS: tuple[Callable[[Add], None], ...] = (
    heads_joined_by_a_dependency,
    a_dependency_on_the_middle_of_the_other,
    criss_cross,
    a_merge_of_what_the_other_descends_from,
)
MORE_HEADS = (a_chain_of_dependencies, a_base_that_joins_later, abbreviations_of_each_other)


@pytest.mark.parametrize(
    ("shape", "strategy"),
    [(shape, "pairwise") for shape in (*TWO_HEADS, *MORE_HEADS)]
    + [(shape, "single") for shape in MORE_HEADS],
)
def test_harmless_heads_commute(tmp_path: Path, shape: Callable[[Add], None], strategy: str) -> None:
    project = AlembicProject(tmp_path / "p", url="sqlite:///never.db")
    outcome = _run(project, shape, strategy=strategy)
    # Two heads have one merge, whatever the strategy.
    assert len(outcome.lines[0].heads) == 2 if shape in TWO_HEADS else len(outcome.lines[0].heads) > 2
    assert (outcome.status, outcome.proof and outcome.proof.verdict) == ("merged", "commute"), outcome
    assert outcome.graph is not None and outcome.proof is not None
    everything = {*outcome.graph.revisions, *(file.merge.revision for file in outcome.files)}
    empty = next(path for path in outcome.proof.paths if path.start == ())
    assert sorted(empty.order) == sorted(everything), "each revision once"
    assert {(head,) for head in outcome.graph.heads} <= {path.start for path in outcome.proof.paths}


def test_lines_of_history_side_by_side(tmp_path: Path) -> None:
    """The database of one line's proof has none of the other's rows, but for what it depends on."""

    def shape(add: Add) -> None:
        add("root", None)
        add("e1", "root", labels="expand")
        add("c1", "root", labels="contract", depends_on="e1")
        add("e2", "e1")
        add("e3", "e1")
        add("c2", "c1")
        add("c3", "c1", depends_on="e2")

    outcome = _run(AlembicProject(tmp_path / "p", url="sqlite:///never.db"), shape)
    assert outcome.status == "merged", outcome
    assert [file.merge.parents for file in outcome.files] == [("c2", "c3"), ("e2", "e3")]
    assert outcome.final_head is None


@pytest.mark.parametrize("strategy", ["pairwise", "single"])
def test_bases_that_share_nothing(tmp_path: Path, strategy: str) -> None:
    def shape(add: Add) -> None:
        for number in ("1", "2", "3"):
            add(f"base{number}", None, labels=f"line{number}")

    project = AlembicProject(tmp_path / "p", url="sqlite:///never.db")
    outcome = _run(project, shape, strategy=strategy, across_labels=True)
    assert outcome.status == "merged", outcome
    assert outcome.proof is not None
    starts = [path.start for path in outcome.proof.paths]
    # Folded pairwise there are two ways from empty: merge by merge, and at once.
    assert starts.count(()) == (3 if strategy == "pairwise" else 2)
    assert {("base1",), ("base2",), ("base3",)} <= set(starts)


def _run(project: AlembicProject, shape: Callable[[Add], None], **changes: object) -> Outcome:
    def add(revision: str, parents: Parents, **kwargs: object) -> None:
        table = "t_" + revision.replace(".", "_")
        project.sql(revision, parents, f"CREATE TABLE {table} (id INTEGER)", **kwargs)

    shape(add)
    return converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]
