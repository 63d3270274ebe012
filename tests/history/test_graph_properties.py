"""Random histories, written to disk as files: Alembic's own ScriptDirectory is the judge of the graph."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from converger.history import Graph
from tests.history.real_alembic import ours, project_folder, theirs, write_revision

LABELS = ("red", "green", "blue", "None")


class Made(NamedTuple):
    """One generated revision: what is written into its file."""

    id: str
    down: Any
    labels: Any
    needs: Any


def _written(draw: st.DrawFn, values: list[str]) -> Any:
    """The same list of names in one of the spellings that Alembic takes."""
    if not values:
        return draw(st.sampled_from([None, (), []]))
    if len(values) == 1 and draw(st.booleans()):
        return values[0]
    return draw(st.sampled_from([tuple, list]))(values)


@st.composite
def histories(draw: st.DrawFn) -> list[Made]:
    """Acyclic, as Alembic demands: parents and dependencies come before. Ids in no order of age."""
    count = draw(st.integers(1, 12))
    numbers = draw(st.permutations(range(count)))
    ids = [f"{number:04d}abc" for number in numbers]
    unused = list(LABELS)
    labelled: list[str] = []
    made = []
    for index, id in enumerate(ids):
        before = ids[:index]
        parents = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
        if not parents and before and draw(st.integers(0, 3)):
            parents = [before[-1]]  # otherwise nearly every revision is a base
        needs = (
            draw(st.lists(st.sampled_from(before + labelled), max_size=2))
            if before and draw(st.booleans())
            else []
        )
        labels = []
        while unused and draw(st.integers(0, 3)) == 0:
            labels.append(unused.pop())
        made.append(Made(id, _written(draw, parents), _written(draw, labels), _written(draw, needs)))
        labelled += labels
    return made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories())
def test_the_graph_is_alembics(made: list[Made]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        versions = project_folder(Path(folder))
        for revision in made:
            write_revision(versions, revision.id, revision.down, labels=revision.labels, needs=revision.needs)
        _, history, graph = ours(Path(folder))
        assert not [problem for problem in history.problems if problem.severity == "error"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scripts = theirs(Path(folder))
            real = scripts.revision_map
            assert graph.heads == tuple(sorted(real.heads))
        assert graph.effective_heads == tuple(sorted(real._real_heads))
        assert graph.bases == tuple(sorted(real.bases))
        assert set(graph.revisions) == {made.id for made in made}
        for id in graph.revisions:
            script: Any = real.get_revision(id)
            assert set(graph.parents(id)) == set(script._versioned_down_revisions)
            assert set(graph.dependencies(id)) == set(script._resolved_dependencies)
            assert set(graph.children(id)) == set(script.nextrev)
            # "None" is no label for us (see the graph module); every other one spreads as Alembic's do.
            assert graph.labels(id) == script.branch_labels - {"None"}, id
            for dependencies in (False, True):
                nodes = real._get_ancestor_nodes([script], include_dependencies=dependencies)
                assert graph.ancestors([id], dependencies=dependencies) == {node.revision for node in nodes}
            nodes = real._get_descendant_nodes([script], include_dependencies=False)
            assert graph.descendants([id]) == {node.revision for node in nodes}
            assert graph.revisions[id].message == script.doc
        _check_common_ancestors(graph)
        _check_order(graph, scripts)
        _check_version_rows(graph)


def _check_common_ancestors(graph: Graph) -> None:
    for one in graph.heads:
        for two in graph.heads:
            common = graph.ancestors([one]) & graph.ancestors([two])
            lowest = graph.lowest_common_ancestors([one, two])
            expected = {id for id in common if not any(id in graph.ancestors([o]) for o in common - {id})}
            assert set(lowest) == expected
            assert list(lowest) == sorted(lowest)
            base = graph.common_base([one, two])
            if base is None:
                continue
            assert all(base in graph.ancestors([id]) for id in (one, two, *lowest))


def _check_order(graph: Graph, scripts: Any) -> None:
    order = graph.topological(graph.revisions)
    assert sorted(order) == sorted(graph.revisions)
    place = {id: index for index, id in enumerate(order)}
    for id in graph.revisions:
        for below in graph.ancestors([id], dependencies=True) - {id}:
            assert place[below] < place[id]


def _check_version_rows(graph: Graph) -> None:
    for id in graph.revisions:
        state = graph.ancestors([id], dependencies=True)
        assert graph.maximal(state) == (id,)
    assert graph.maximal(graph.revisions) == graph.effective_heads
    assert graph.maximal(graph.revisions, dependencies=False) == graph.heads


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_graph_can_be_built_and_walked(data: st.DataObject) -> None:
    """Cycles, missing parents, dependencies on anything: nothing loops, and Alembic's refusals are errors here."""
    count = data.draw(st.integers(1, 7))
    ids = [f"{number}" * 5 for number in range(count)]
    names = st.sampled_from([*ids, "missing"])
    made = [
        Made(
            id,
            data.draw(st.lists(names, max_size=2)),
            data.draw(st.sampled_from([None, None, None, "red", "green", ids[0]])),
            data.draw(st.one_of(st.none(), st.none(), names)),
        )
        for id in ids
    ]
    with tempfile.TemporaryDirectory() as folder:
        versions = project_folder(Path(folder))
        for revision in made:
            write_revision(versions, revision.id, revision.down, labels=revision.labels, needs=revision.needs)
        _, history, graph = ours(Path(folder))
        for id in graph.revisions:
            graph.ancestors([id], dependencies=True)
            graph.descendants([id])
            graph.labels(id)
        graph.maximal(graph.revisions)
        graph.common_base(graph.revisions)
        assert sorted(graph.topological(graph.revisions)) == sorted(graph.revisions)
        errors = [problem for problem in history.problems if problem.severity == "error"]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                real = theirs(Path(folder)).revision_map
                heads = tuple(sorted(real.heads))
        except Exception:
            # Alembic refuses: so must we.
            assert errors
        else:
            # Alembic does not see a cycle that a head and a base are both connected to; we do.
            assert not errors or {error.code for error in errors} == {"cycle"}
            if not errors:
                assert graph.heads == heads
