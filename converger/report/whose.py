"""On whose side of a pull request a revision is, as far as that is certain. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converger.report.result import Result

THIS = "this pull request"


def whose(result: Result, id: str) -> str | None:
    """`THIS`, or the name of the base branch, which is foreign text; None where that is not known, or no news."""
    origin = result.origins.get(id)
    if origin is not None and origin.pull_request is not None and origin.pull_request == result.pull_request:
        return THIS
    graph, base = result.outcome.graph, result.base
    if graph is None or base is None or id not in graph.revisions or result.situation == "base-forked":
        return None
    # Only files that the head does not have are there.
    return base.branch if result.files_at.get(graph.revisions[id].path) == base.commit else None


def is_ours(result: Result, id: str) -> bool:
    """Whether the pull request that is looked at brings this revision."""
    return whose(result, id) == THIS
