"""Revision files in folders below a version location, which Alembic does not read unless it is told to."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Set

from converger.history.fastpath import Headers
from converger.history.files import Unread, is_source
from converger.history.model import Problem
from converger.history.onefile import Part, Row, read_file
from converger.history.trees import Tree

_CACHE = "__pycache__"
_NAMED = 3
"""Folders that a message names."""
_FOLDERS = 200
_FILES = 400
"""How much is looked at, below all version locations together: what is here is a courtesy, and must not cost."""
_FILES_EACH = 5
"""Files of one folder that are looked at where only it matters whether it holds revisions at all."""


def below_an_empty_history(tree: Tree, unread: list[Unread]) -> list[Problem]:
    """Errors for version locations that hold no revision while folders below them do.

    An env.py may choose one of them when it runs (prefect), and "no revisions" would be a wrong answer.
    """
    holding: dict[str, list[str]] = {}
    for folder, files in _walk(tree, unread, frozenset()):
        contents = tree.read_all([os.path.join(folder.path, name) for name in files[:_FILES_EACH]])
        if any(isinstance(data, bytes) and b"down_revision" in data for data in contents):
            holding.setdefault(folder.shown, []).append(_relative(folder))
    text = "There is no revision here, but there are in {}, where Alembic does not look by itself."
    return [
        Problem("revisions-below", "error", text.format(_named(folders)), shown)
        for shown, folders in holding.items()
    ]


def below_a_history(
    tree: Tree,
    unread: list[Unread],
    read: Set[str],
    ids: Mapping[str, object],
) -> list[Problem]:
    """Warnings for folders that hold further revisions on top of those that were read (`ids`).

    An archive of squashed revisions descends from nothing that was read, and a copy has the same ids: both
    are silence. `read` are the real paths of the folders that were read.
    """
    rows: dict[str, tuple[Unread, Row]] = {}
    headers = Headers()
    left = _FILES
    for folder, files in _walk(tree, unread, read):
        files = files[:left]
        left -= len(files)
        for name, data in zip(
            files, tree.read_all([os.path.join(folder.path, name) for name in files]), strict=True
        ):
            if isinstance(data, bytes) and b"down_revision" in data:
                part: Part = ([], [], [], [])
                read_file("", name, data, headers, part)
                rows.update((row[0], (folder, row)) for row in part[0] if row[0] not in ids)
        if not left:
            break
    above = _on_top(rows, ids)
    found: dict[str, list[str]] = {}
    for id in above:
        folder = rows[id][0]
        found.setdefault(folder.shown, []).append(_relative(folder))
    return [
        Problem("revisions-below", "warning", _warning(folders), shown) for shown, folders in found.items()
    ]


def _on_top(rows: Mapping[str, tuple[Unread, Row]], ids: Mapping[str, object]) -> list[str]:
    """The revisions that descend from one that was read, in the order of `rows`."""
    above: set[str] = set()
    grown = True
    while grown:
        new = {
            id
            for id, (_, row) in rows.items()
            if id not in above and any(parent in ids or parent in above for parent in row[1])
        }
        above |= new
        grown = bool(new)
    return [id for id in rows if id in above]


def _warning(folders: list[str]) -> str:
    count = len(folders)
    descend = "1 more revision descends" if count == 1 else f"{count} more revisions descend"
    return (
        f"{descend} from those here, in {_named(folders)}, where Alembic does not look by itself."
        " They are not counted here."
    )


def _named(folders: list[str]) -> str:
    names = list(dict.fromkeys(folders))
    more = len(names) - _NAMED
    shown = [f"{name}/" for name in names[:_NAMED]] + ([f"{more} more"] if more > 0 else [])
    return " and ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else shown[0]


def _relative(folder: Unread) -> str:
    relative = os.path.relpath(folder.path, folder.location).replace(os.sep, "/")
    return relative.encode("utf-8", "backslashreplace").decode()


def _walk(tree: Tree, unread: list[Unread], read: Set[str]) -> Iterator[tuple[Unread, list[str]]]:
    """Folders with the source files in them, level by level, links not followed."""
    todo = [folder for folder in unread if folder.real not in read]
    seen = 0
    while todo:
        level, todo = todo, []
        for folder in level:
            seen += 1
            if seen > _FOLDERS:
                return
            try:
                entries = tree.scan(folder.path)
            except OSError:
                continue  # what nobody reads need not be readable
            files = [name for name, kind in entries if kind == "file" and is_source(name)]
            if files:
                yield folder, files
            for name, kind in entries:
                real = os.path.join(folder.real, name)
                if kind == "folder" and name != _CACHE and real not in read:
                    path = os.path.join(folder.path, name)
                    todo.append(Unread(path, real, folder.location, folder.shown))
