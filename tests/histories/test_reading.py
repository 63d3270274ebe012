"""85 histories that PyPI packages ship are read as they are: nothing of the packages is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from .packages import RealHistory, expected_histories
from .reading import read_real

pytestmark = pytest.mark.network

HISTORIES = expected_histories()


def test_the_table_is_complete() -> None:
    assert len(HISTORIES) == 85
    assert sum(history.revisions for history in HISTORIES) == 4192
    assert sum(len(history.merges) for history in HISTORIES) == 115


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_a_real_history_is_read_as_it_is(history: RealHistory, tmp_path: Path) -> None:
    graph = read_real(history, tmp_path)

    assert [p for p in graph.history.problems if p.severity == "error"] == []
    assert len(graph.revisions) == history.revisions
    assert graph.heads == history.heads
    assert graph.effective_heads == history.effective_heads
    assert graph.bases == history.bases
    declared = {id: r.branch_labels for id, r in graph.revisions.items() if r.branch_labels}
    assert declared == history.branch_labels
    merges = {id: r.down_revisions for id, r in graph.revisions.items() if len(r.down_revisions) > 1}
    assert merges == {merge.revision: merge.parents for merge in history.merges}
