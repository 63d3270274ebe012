"""Guessing about projects in folders, as `check --static` does."""

from __future__ import annotations

from pathlib import Path

from converger.guess.guesses import guess
from converger.guess.model import Guesses
from converger.history import Graph, WorkingTree, read_history
from converger.plan import make_plan
from converger.project import load_project

BEGIN = "from alembic import op\nimport sqlalchemy as sa\n\n\ndef upgrade():\n"


def guesses_about(folder: Path) -> Guesses:
    """All guesses about the project in a folder."""
    tree = WorkingTree(folder)
    project = load_project(tree, config=None, cwd=folder)
    graph = Graph(read_history(tree, project))
    return guess(graph, make_plan(graph, across_labels=True), lambda path: (folder / path).read_bytes())


def upgrade(*lines: str) -> bytes:
    """A revision file with an upgrade() of these lines."""
    return (BEGIN + "".join(f"    {line}\n" for line in lines)).encode("utf-8", "surrogatepass")
