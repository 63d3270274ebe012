"""Which files of the version locations are revision files, by Alembic's rules (alembic/script/base.py)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from converger.history.model import Problem
from converger.history.trees import Entry, Tree

if TYPE_CHECKING:
    from converger.project import Project

_SKIPPED = (".#", "__init__")
_COMPILED = re.compile(r"(?!\.\#|__init__)(.*\.py)[co]$")


Candidate = tuple[str, str, str]
"""A file that Alembic would load: how it is shown in output, its absolute path, its own name."""


class Unread(NamedTuple):
    """A folder below a version location that Alembic passes over. `path` and `location` are absolute, `real` is
    `path` with links followed, `shown` is how the location appears in output."""

    path: str
    real: str
    location: str
    shown: str


class Search:
    """One search through the version locations: `candidates` sorted by shown path, and `problems`.

    `unread` are the folders below them that Alembic passes over, `read` the real paths of those that were read.
    """

    def __init__(self, tree: Tree, project: Project) -> None:
        self._tree = tree
        self._root = os.path.join(str(tree.root), "")
        self._sourceless = project.sourceless
        self._recursive = project.recursive_version_locations
        self._seen: set[str] = set()
        self._folders: list[tuple[str, str]] = []
        self.candidates: list[Candidate] = []
        self.problems: list[Problem] = []
        self.unread: list[Unread] = []
        self.read: set[str] = set()
        for location in project.version_locations:
            self._location(str(location))
        self.candidates.sort()

    def _location(self, location: str) -> None:
        kind = self._tree.kind(location)
        if self._leaves(location):
            self._error("symlink-outside-repository", "A link leads out of the repository.", location)
        elif self._tree.bounded and not self._tree.inside(location):
            self._error(
                "outside-repository", "The folder is outside the repository, so no commit holds it.", location
            )
        elif kind is None:
            self._warn(
                "missing-version-location", "There is no such folder; Alembic passes over it.", location
            )
        elif kind == "submodule":
            self._error(
                "unreadable-file", "The folder is a git submodule, whose files are elsewhere.", location
            )
        elif kind != "folder":
            self._warn("missing-version-location", "It is not a folder; Alembic passes over it.", location)
        else:
            self._folders.append((location, self._tree.real(location)))
            while self._folders:
                self._folder(*self._folders.pop())

    def _leaves(self, path: str) -> bool:
        """Inside the root by name, but not once its links are followed."""
        return path.startswith(self._root) and not self._tree.inside(path)

    def _folder(self, folder: str, real: str) -> None:
        try:
            entries = self._tree.scan(folder)
        except OSError as error:
            self._error("unreadable-file", f"The folder cannot be read: {_reason(error)}", folder)
            return
        prefix = os.path.join(folder, "")
        real_prefix = os.path.join(real, "")
        self.read.add(real)
        shown = self._shown(prefix)
        seen = self._seen
        add = self.candidates.append
        if not folder.endswith("__pycache__"):
            for name, kind in entries:
                if kind == "file":
                    if name[-3:] == ".py" and not name.startswith(_SKIPPED):
                        real = real_prefix + name
                        if real not in seen:
                            seen.add(real)
                            add((shown + (name if name.isascii() else _printable(name)), prefix + name, name))
                elif kind == "folder":
                    if name != "__pycache__" and not self._recursive:
                        path = prefix + name
                        self.unread.append(Unread(path, real_prefix + name, folder, self._shown(folder)))
                elif is_source(name):
                    self._unusual(prefix + name, kind)
            if self._sourceless:
                self._compiled(folder, entries)
        if self._recursive:
            for name, kind in entries:
                if kind == "folder":
                    self._folders.append((prefix + name, real_prefix + name))
                elif kind == "submodule":
                    text = "The folder is a git submodule, whose files are elsewhere."
                    self._error("unreadable-file", text, prefix + name)

    def _unusual(self, path: str, kind: str) -> None:
        if kind == "submodule":
            return
        if kind != "link":
            self._error("unreadable-file", "It is no regular file.", path)
            return
        if self._leaves(path):
            self._error("symlink-outside-repository", "The link leads out of the repository.", path)
            return
        real = self._tree.real(path)
        target = self._tree.kind(real)
        if target == "file":
            name = os.path.basename(real)
            if is_source(name) and real not in self._seen:  # Alembic too loads a file once
                self._seen.add(real)
                self.candidates.append((self._shown(path), path, name))
        elif target != "folder":
            self._error("unreadable-file", "The link leads to no file.", path)

    def _compiled(self, folder: str, entries: list[Entry]) -> None:
        """With `sourceless`, Alembic also loads compiled files that have no source beside them."""
        sources = {name.split(".")[0] for name, kind in entries if name.endswith(".py")}
        for path in self._compiled_files(folder, entries):
            name = os.path.basename(path)
            if _COMPILED.match(name) and name.split(".")[0] not in sources:
                self._error("compiled-revision", "Only its source could be read without running it.", path)

    def _compiled_files(self, folder: str, entries: list[Entry]) -> Iterator[str]:
        for name, kind in entries:
            if kind == "file":
                yield os.path.join(folder, name)
        cache = os.path.join(folder, "__pycache__")
        if self._tree.kind(cache) == "folder":
            for name, _ in self._tree.scan(cache):
                yield os.path.join(cache, name)

    def _shown(self, path: str) -> str:
        shown = path[len(self._root) :] if path.startswith(self._root) else path
        return _printable(shown)

    def _error(self, code: str, message: str, path: str) -> None:
        self.problems.append(Problem(code, "error", message, self._shown(path)))

    def _warn(self, code: str, message: str, path: str) -> None:
        self.problems.append(Problem(code, "warning", message, self._shown(path)))


def _printable(path: str) -> str:
    """With bytes that are no UTF-8 written as escapes: it will be printed."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_source(name: str) -> bool:
    """Alembic's `(?!\\.\\#|__init__)(.*\\.py)$`."""
    return name.endswith(".py") and not name.startswith(_SKIPPED)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
