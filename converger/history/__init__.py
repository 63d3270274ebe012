"""Revision files to a graph, from the working tree or a git commit. Nothing of the project is executed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.history.reader import read_history
from converger.history.trees import WorkingTree

if TYPE_CHECKING:
    from converger.history.gittree import GitTree

__all__ = ["GitTree", "Graph", "History", "Problem", "Revision", "WorkingTree", "read_history"]


def __getattr__(name: str) -> Any:
    # Git runs as a process, and what that takes to import is a tenth of the time of a short `check`.
    if name == "GitTree":
        from converger.history.gittree import GitTree

        return GitTree
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
