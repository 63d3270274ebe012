"""Re-parenting: what we say of it is what real Alembic does to real databases."""

from __future__ import annotations

import io
import sqlite3
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from hypothesis import given
from hypothesis import strategies as st

from converger.history import Graph, History, Revision
from converger.plan import make_plan
from converger.proof.model import PathResult
from converger.reparent import Reparenting, order_result, reparentings
from tests.alembic_project import AlembicProject
from tests.history.real_alembic import ours
from tests.report.graphs import graph as drawn


@pytest.fixture(autouse=True)
def _no_bytecode(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is edited within a second to the same length would be taken from its cached bytecode."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)


def ways_of(graph: Graph, *, across_labels: bool = False) -> tuple[Reparenting, ...]:
    (line,) = make_plan(graph, across_labels=across_labels)
    return reparentings(graph, line)


# -- what there is to say of a graph


def test_a_fork_can_be_mended_both_ways_the_younger_branch_first() -> None:
    younger, older = ways_of(drawn("root\nb1 < root\nb2 < b1\na1 < root\na2 < a1"))
    assert (younger.head, younger.onto) == ("a2", "b2")
    assert (younger.first, younger.moved, younger.skipped) == (("b1", "b2"), ("a1", "a2"), ("b1", "b2"))
    edit = younger.edit
    assert (edit.revision, edit.path, edit.before, edit.after) == (
        "a1",
        "versions/a1.py",
        "'root'",
        "'b2'",
    )
    assert (older.head, older.onto, older.edit.revision, older.edit.new) == ("b2", "a2", "b1", "a2")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("root", "one head"),
        ("root\na < root\nb < root\nc < root", "three heads"),
        ("root\na1 < root\na2 < root\na < a1 a2\nb1 < root\nb2 < root\nb < b1 b2", "both begin twice"),
    ],
)
def test_where_no_single_edit_does_it(text: str, why: str) -> None:
    assert ways_of(drawn(text)) == (), why


def test_a_branch_that_begins_twice_can_still_be_the_one_below() -> None:
    (way,) = ways_of(drawn("root\na1 < root\na2 < root\na < a1 a2\nb < root"))
    assert (way.head, way.onto, way.first) == ("b", "a", ("a1", "a2", "a"))


def test_a_merge_of_common_ancestors_has_all_its_parents_replaced() -> None:
    crossed = drawn("root\np < root\nq < root\na < p q\nb < p q")
    way = ways_of(crossed)[0]
    assert (way.edit.revision, way.edit.before, way.edit.after) == ("b", "('p', 'q')", "'a'")


def with_dependency(id: str, needs: str) -> Graph:
    graph = drawn("root\na1 < root\na2 < a1\nb1 < root\nb2 < b1")
    return graph.with_revisions([replace(graph.revisions[id], depends_on=(needs,))])


def test_a_branch_that_the_other_depends_on_cannot_go_on_top_of_it() -> None:
    (way,) = ways_of(with_dependency("a2", "b1"))
    assert (way.head, way.onto) == ("a2", "b2")


def test_what_a_branch_depends_on_it_cannot_skip() -> None:
    way = next(way for way in ways_of(with_dependency("b1", "a1")) if way.head == "b2")
    assert way.skipped == ("a2",)
    graph = with_dependency(
        "b1", "a2"
    )  # what depends on all of the other branch is on top of it in all but name
    assert next(way for way in ways_of(graph) if way.head == "b2").skipped == ()


def test_branches_of_different_labels_are_not_put_on_top_of_each_other() -> None:
    graph = drawn("root\na < root\nb < root")
    graph = graph.with_revisions([replace(graph.revisions["a"], branch_labels=("billing",))])
    assert ways_of(graph, across_labels=True) == ()


@st.composite
def forks(draw: st.DrawFn) -> Graph:
    """Two branches behind some common ancestors, with merges inside, across and below, and dependencies."""
    revisions: dict[str, Revision] = {}
    for number in range(draw(st.integers(3, 10))):
        known = list(revisions)
        down = draw(st.lists(st.sampled_from(known), max_size=2, unique=True, min_size=1)) if known else []
        needs = draw(st.lists(st.sampled_from(known), max_size=1)) if known else []
        revisions[f"r{number}"] = Revision(f"r{number}", tuple(down), tuple(needs))
    return Graph(History(revisions))


@given(forks())
def test_the_edit_leaves_one_head_and_one_order(graph: Graph) -> None:
    if len(graph.heads) != 2:
        return
    for way in ways_of(graph):
        edited = graph.with_revisions(
            [replace(graph.revisions[way.edit.revision], down_revisions=(way.edit.new,))]
        )
        assert edited.heads == (way.head,)
        order = edited.topological(edited.revisions)
        needed = {id: {*edited.parents(id), *edited.dependencies(id)} for id in order}
        assert all(needed[id] <= set(order[:n]) for n, id in enumerate(order)), "a cycle"
        for id in way.moved:
            assert set(way.first) < edited.ancestors([id])
        assert edited.ancestors([way.head]) == graph.ancestors(graph.heads)
        assert set(way.first) | set(way.moved) | graph.ancestors([way.head]) & graph.ancestors(
            [way.onto]
        ) == set(graph.revisions)


# -- what a proof says of the order

FORK = drawn("root\na1 < root\na2 < a1\nb1 < root\nb2 < b1")


def path(start: str, order: str, result: str = "ok") -> PathResult:
    return PathResult(tuple(start.split()), tuple(order.split()), result, 0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        ([], "not-run"),
        ([path("a2", "b1 b2 m")], "works"),
        ([path("", "root a1 a2 b1 b2 m")], "works"),
        ([path("root", "a1 a2 b1", "failed")], "fails"),
        ([path("a2", "", "failed")], "fails"),
        ([path("a2", "b1 b2 m"), path("root", "a1 a2", "failed")], "fails"),  # only in one go
        ([path("b2", "", "failed")], "not-run"),  # the other order
        ([path("root", "b1 b2 a1 a2 m")], "not-run"),
        ([path("root", "a1 b1 a2 b2 m")], "not-run"),  # in between
        ([path("root", "a1", "failed")], "not-run"),  # failed before the branches met
        ([path("b2", "", "failed"), path("a2", "b1 b2 m")], "works"),
    ],
)
def test_the_order_that_is_left(paths: list[PathResult], expected: str) -> None:
    way = next(way for way in ways_of(FORK) if way.head == "b2")
    assert order_result(way, FORK, paths) == expected


# -- what real Alembic does to real databases


class Databases:
    """A project with a fork, and a SQLite database of it."""

    def __init__(self, root: Path) -> None:
        self.project = AlembicProject(root, url=f"sqlite:///{root}/db.sqlite")
        self.project.sql("base0001", None, "CREATE TABLE base (id INTEGER)")
        for id, parent in (
            ("aaaa0001", "base0001"),
            ("aaaa0002", "aaaa0001"),
            ("bbbb0001", "base0001"),
            ("bbbb0002", "bbbb0001"),
        ):
            undo = f"op.drop_table({id!r})"
            self.project.sql(id, parent, f"CREATE TABLE {id} (id INTEGER)", downgrade=undo)

    def alembic(self, name: str, *targets: str) -> None:
        for target in targets:
            getattr(command, name)(Config(str(self.project.ini), stdout=io.StringIO()), target)

    def ran(self) -> set[str]:
        """The revisions whose table is there."""
        with sqlite3.connect(self.project.root / "db.sqlite") as connection:
            tables = {
                name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        connection.close()
        return tables - {"alembic_version", "base"}

    def rows(self) -> set[str]:
        with sqlite3.connect(self.project.root / "db.sqlite") as connection:
            rows = {id for (id,) in connection.execute("SELECT version_num FROM alembic_version")}
        connection.close()
        return rows

    def way(self) -> Reparenting:
        """b on top of a."""
        graph = ours(self.project.root)[2]
        return next(way for way in ways_of(graph) if way.head == "bbbb0002")

    def edit(self) -> None:
        """Do exactly what the edit says, at the line that it names."""
        edit = self.way().edit
        file = self.project.root / edit.path
        lines = file.read_text().splitlines(keepends=True)
        assert edit.line is not None
        assert lines[edit.line - 1] == f"down_revision = {edit.before}\n"
        lines[edit.line - 1] = f"down_revision = {edit.after}\n"
        file.write_text("".join(lines))


ALL = {"aaaa0001", "aaaa0002", "bbbb0001", "bbbb0002"}


@pytest.fixture
def databases(tmp_path: Path) -> Databases:
    return Databases(tmp_path / "p")


@pytest.mark.parametrize("state", ["", "base0001", "aaaa0001", "aaaa0002"])
def test_a_database_without_the_moved_branch_runs_everything(databases: Databases, state: str) -> None:
    databases.alembic("upgrade", *state.split())
    databases.edit()
    databases.alembic("upgrade", "head")
    assert databases.ran() == ALL
    assert databases.rows() == {"bbbb0002"}


@pytest.mark.parametrize("state", ["bbbb0001", "bbbb0002"])
def test_a_database_with_the_moved_branch_silently_skips_the_other(databases: Databases, state: str) -> None:
    databases.alembic("upgrade", state)
    way = databases.way()
    databases.edit()
    databases.alembic("upgrade", "head")  # no error
    assert ALL - databases.ran() == set(way.skipped) == {"aaaa0001", "aaaa0002"}
    assert databases.rows() == {"bbbb0002"}  # and it says that it has everything
    databases.alembic("upgrade", "head")
    assert ALL - databases.ran() == set(way.skipped)


@pytest.mark.parametrize(
    "state", ["aaaa0001 bbbb0001", "aaaa0001 bbbb0002", "aaaa0002 bbbb0001", "aaaa0002 bbbb0002"]
)
def test_a_database_with_rows_of_both_is_refused_aloud(databases: Databases, state: str) -> None:
    databases.alembic("upgrade", *state.split())
    before = databases.ran()
    databases.edit()
    with pytest.raises(CommandError, match="overlaps with other requested revisions"):
        databases.alembic("upgrade", "head")
    assert databases.ran() == before


def mended(databases: Databases, *steps: Sequence[str]) -> None:
    for name, target in steps:
        databases.alembic(name, target)
    assert databases.ran() == ALL
    assert databases.rows() == {"bbbb0002"}
    databases.alembic("upgrade", "head")
    assert databases.ran() == ALL


def test_going_back_before_the_edit_mends_it(databases: Databases) -> None:
    databases.alembic("upgrade", "bbbb0002")
    databases.alembic("downgrade", "base0001")
    databases.edit()
    mended(databases, ("upgrade", "head"))


def test_running_the_other_branch_by_hand_mends_it(databases: Databases) -> None:
    databases.alembic("upgrade", "bbbb0002")
    databases.edit()
    mended(databases, ("stamp", "base0001"), ("upgrade", "aaaa0002"), ("stamp", "bbbb0002"))


def test_stamping_mends_a_database_that_has_run_both(databases: Databases) -> None:
    databases.alembic("upgrade", "aaaa0002", "bbbb0002")
    databases.edit()
    command.stamp(Config(str(databases.project.ini), stdout=io.StringIO()), "bbbb0002", purge=True)
    mended(databases)


def test_what_a_branch_depends_on_is_really_not_skipped(tmp_path: Path) -> None:
    databases = Databases(tmp_path / "p")
    file = databases.project.versions / "bbbb0001_rev.py"
    file.write_text(file.read_text().replace("depends_on = None", "depends_on = 'aaaa0001'"))
    databases.alembic("upgrade", "bbbb0002")
    way = databases.way()
    assert way.skipped == ("aaaa0002",)
    databases.edit()
    databases.alembic("upgrade", "head")
    assert ALL - databases.ran() == set(way.skipped)
