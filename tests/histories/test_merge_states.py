"""Just before each of 115 real merge revisions our heads, and our plan, are what their maintainers merged."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.errors import Refused
from converger.plan import make_plan

from .packages import RealHistory, RealMerge, expected_histories
from .reading import proper_ancestors, read_folders, read_real, rebuild_state

pytestmark = pytest.mark.network

CUTS = [(history, merge) for history in expected_histories() for merge in history.merges]
IDS = [f"{history.package}-{merge.revision}" for history, merge in CUTS]


@pytest.mark.parametrize(("history", "merge"), CUTS, ids=IDS)
def test_our_plan_merges_what_the_maintainers_merged(
    history: RealHistory, merge: RealMerge, tmp_path: Path
) -> None:
    whole = read_real(history, tmp_path)
    before = proper_ancestors(whole, merge.revision)

    graph = read_folders(tmp_path, (rebuild_state(whole, tmp_path, before, tmp_path / "cut" / "versions"),))

    assert set(graph.revisions) == before
    assert graph.heads == merge.heads_before
    if merge.no_common_ancestor:
        with pytest.raises(Refused) as refusal:
            make_plan(graph, strategy="single")
        assert refusal.value.code == "no-common-ancestor"
    (line,) = make_plan(graph, strategy="single", across_labels=merge.no_common_ancestor)
    assert line.heads == merge.heads_before
    planned = [merge.parents for merge in line.merges]
    assert planned == ([merge.heads_before] if len(merge.heads_before) > 1 else [])


GALAXY = [(history, merge) for history, merge in CUTS if history.package == "galaxy-data"]


@pytest.mark.parametrize(("history", "merge"), GALAXY, ids=[merge.revision for _, merge in GALAXY])
def test_a_labelled_line_beside_is_left_alone(history: RealHistory, merge: RealMerge, tmp_path: Path) -> None:
    """Galaxy keeps the tool shed install tree (tsi) beside its own (gxy), each with its own base.

    gxy: base ── … ── P1, P2        tsi: base ── … ── head
    """
    whole = read_real(history, tmp_path)
    (other_head,) = set(history.heads) - whole.descendants([merge.revision])
    other_line = whole.ancestors([other_head])
    before = proper_ancestors(whole, merge.revision) | other_line

    graph = read_folders(tmp_path, (rebuild_state(whole, tmp_path, before, tmp_path / "cut" / "versions"),))

    assert set(graph.heads) == {*merge.heads_before, other_head}
    plans = make_plan(graph, strategy="single")
    assert [(line.heads, [merge.parents for merge in line.merges]) for line in plans] == [
        (merge.heads_before, [merge.heads_before]),
        ((other_head,), []),
    ]
