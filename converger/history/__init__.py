"""Revision files to a graph, from the working tree or a git commit. Nothing of the project is executed."""

from __future__ import annotations

from converger.history.gittree import GitTree
from converger.history.graph import Graph
from converger.history.model import History, Problem, Revision
from converger.history.reader import read_history
from converger.history.trees import WorkingTree

__all__ = ["GitTree", "Graph", "History", "Problem", "Revision", "WorkingTree", "read_history"]
