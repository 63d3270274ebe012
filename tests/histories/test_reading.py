"""85 histories that PyPI packages ship are read as they are: nothing of the packages is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from converger.plan import make_plan

from .packages import RealHistory, expected_histories, unpacked
from .reading import assignments, read_folders, read_real, revision_map

pytestmark = pytest.mark.network

HISTORIES = expected_histories()
INVENIO = tuple(history for history in HISTORIES if history.package.startswith("invenio-"))
# Not among the 85, but some of the eleven depend on their revisions.
INVENIO_TOO = (
    RealHistory(
        package="invenio-db",
        version="2.6.1",
        archive="wheel",
        versions_folders=("invenio_db/alembic",),
        recursive=False,
        revisions=3,
        heads=("35c1075e6360",),
        effective_heads=("35c1075e6360",),
        bases=("96e796392533",),
        branch_labels={"96e796392533": ("default",)},
        merges=(),
    ),
    RealHistory(
        package="invenio-collections",
        version="10.0.3",
        archive="wheel",
        versions_folders=("invenio_collections/alembic",),
        recursive=False,
        revisions=5,
        heads=("1777139066",),
        effective_heads=("1777139066",),
        bases=("1748509182",),
        branch_labels={"1748509182": ("invenio_collections",)},
        merges=(),
    ),
)


def test_the_table_is_complete() -> None:
    assert len(HISTORIES) == 85
    assert sum(history.revisions for history in HISTORIES) == 4192
    assert sum(len(history.merges) for history in HISTORIES) == 115


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_a_real_history_is_read_as_it_is(history: RealHistory, tmp_path: Path) -> None:
    graph = read_real(history, tmp_path)

    errors = {p.code for p in graph.history.problems if p.severity == "error"}
    # Each invenio package depends on revisions of others, and Alembic cannot load one alone either.
    assert errors == ({"dangling-dependency"} if history.package.startswith("invenio-") else set())
    assert len(graph.revisions) == history.revisions
    assert graph.heads == history.heads
    assert graph.effective_heads == history.effective_heads
    assert graph.bases == history.bases
    declared = {id: r.branch_labels for id, r in graph.revisions.items() if r.branch_labels}
    assert declared == history.branch_labels
    merges = {id: r.down_revisions for id, r in graph.revisions.items() if len(r.down_revisions) > 1}
    assert merges == {merge.revision: merge.parents for merge in history.merges}


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_every_identifier_is_what_python_would_assign(history: RealHistory, tmp_path: Path) -> None:
    """Judged by a plain reading of each file's syntax tree; what is no literal must be called computed."""
    graph = read_real(history, tmp_path)

    for revision in graph.revisions.values():
        found = assignments(tmp_path / revision.path)
        assert found["revision"] == (True, revision.id)
        literal, parents = found.get("down_revision", (True, None))
        assert literal
        assert revision.down_revisions == as_tuple(parents)
        for field in ("branch_labels", "depends_on"):
            literal, value = found.get(field, (True, None))
            assert (field in revision.computed) is not literal
            assert set(getattr(revision, field)) == set(as_tuple(value))


def as_tuple(value: Any) -> tuple[str, ...]:
    """An identifier as Alembic takes it: nothing, one, or several."""
    return (value,) if isinstance(value, str) and value else tuple(value or ())


def test_no_package_that_ships_several_heads_is_offered_a_merge(tmp_path: Path) -> None:
    """Expand and contract, main and static, one tree for each application: kept apart on purpose."""
    shipped = [history for history in HISTORIES if len(history.heads) > 1]
    assert len(shipped) == 10
    for history in shipped:
        plans = make_plan(read_real(history, tmp_path))
        assert tuple(sorted(line.final_head for line in plans)) == history.heads
        assert all(line.merges == () for line in plans)


def test_thirteen_lines_of_history_that_depend_on_each_other(tmp_path: Path) -> None:
    """The invenio packages as one application sees them: a labelled line each, joined by depends_on."""
    histories = (*INVENIO, *INVENIO_TOO)
    folders = tuple(unpacked(history) / history.versions_folders[0] for history in histories)

    graph = read_folders(tmp_path, folders)

    assert [p for p in graph.history.problems if p.severity == "error"] == []
    assert len(graph.revisions) == sum(history.revisions for history in histories)
    assert set(graph.heads) == {head for history in histories for head in history.heads}
    assert set(graph.bases) == {base for history in histories for base in history.bases}
    alembic = revision_map(folders)
    assert set(graph.heads) == set(alembic.heads)
    assert set(graph.effective_heads) == set(alembic._real_heads)
    assert len(graph.effective_heads) < len(graph.heads)
    # Lines under different labels are kept apart on purpose: nothing to merge.
    assert all(line.merges == () for line in make_plan(graph))
