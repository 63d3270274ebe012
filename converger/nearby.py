"""Which configurations there are near a folder that has none: for the message that says so."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError

if TYPE_CHECKING:
    from converger.history.trees import Tree

_DEPTH = 4
_MOST_FOLDERS = 2000
"""A message must not take long, however large the repository is."""
_NAMED = 3

_OTHERS = frozenset({"node_modules", "venv", "env", "site-packages", "__pycache__"})
"""Folders with packages of others, which may hold configurations of their own. So may hidden ones."""


def configurations_near(tree: Tree, folder: str) -> list[str]:
    """Paths, relative to `folder`, of up to three Alembic configurations: the nearest above, else those below.

    Above is looked up to the root of the tree, below not deeper than four folders, sorted by path.
    """
    above = folder
    while above != str(tree.root) and tree.inside(os.path.dirname(above)):
        above = os.path.dirname(above)
        found = _in_folder(tree, above)
        if found:
            return [os.path.relpath(found, folder)]
    return sorted(os.path.relpath(path, folder) for path in _below(tree, folder))[:_NAMED]


def _below(tree: Tree, folder: str) -> Iterator[str]:
    waiting = deque([(folder, 0)])
    looked = 0
    while waiting and looked < _MOST_FOLDERS:
        here, depth = waiting.popleft()
        looked += 1
        try:
            entries = tree.scan(here)
        except OSError:
            continue
        found = _in_folder(tree, here) if depth else None
        if found:
            yield found
        for name, kind in entries:
            if kind == "folder" and depth < _DEPTH and not name.startswith(".") and name not in _OTHERS:
                waiting.append((os.path.join(here, name), depth + 1))


def _in_folder(tree: Tree, folder: str) -> str | None:
    from pathlib import Path

    from converger.history.settings import has_alembic_table

    ini = os.path.join(folder, "alembic.ini")
    if tree.kind(ini) == "file":
        return ini
    toml = os.path.join(folder, "pyproject.toml")
    try:
        if tree.kind(toml) == "file" and has_alembic_table(tree, Path(toml)):
            return toml
    except ConfigurationError:  # somebody else's broken file is not what the message is about
        pass
    return None
