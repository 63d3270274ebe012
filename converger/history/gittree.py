"""The files of a git commit, without a checkout: one `git ls-tree`, and one `git cat-file --batch` per reading."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

from converger.git import run_git
from converger.history.trees import LARGEST_FILE, Entry, Kind, TreeError

_KINDS: dict[bytes, Kind] = {
    b"040000": "folder",
    b"100644": "file",
    b"100664": "file",
    b"100755": "file",
    b"120000": "link",
    b"160000": "submodule",
}
_MOST_LINKS = 40
"""How many links one path may go through, as in the kernel."""


class GitTree:
    """The files of a commit or tree as a Tree. `treeish` is an object id, or anything git resolves to one.

    Needs neither a checkout nor history: shallow, detached and bare-like clones will do. Git errors are
    raised as `converger.git.GitError` at the first question, not on construction.
    """

    bounded = True

    def __init__(self, root: Path, treeish: str) -> None:
        if treeish.startswith("-"):
            raise ValueError(f"not a commit: {treeish!r}")
        self.root = Path(os.path.abspath(root))
        self.treeish = treeish

    # -- the listing -------------------------------------------------------------------------------

    @cached_property
    def _listing(self) -> dict[str, tuple[Kind, str]]:
        """Path relative to the root -> kind and object id. The root itself is ""."""
        arguments = ["ls-tree", "-r", "-t", "-z", "--full-tree", self.treeish]
        listing: dict[str, tuple[Kind, str]] = {"": ("folder", "")}
        for line in run_git(self.root, arguments).split(b"\0"):
            if line:
                about, _, path = line.partition(b"\t")
                mode, _, id = about.split(b" ")
                listing[os.fsdecode(path)] = (_KINDS.get(mode, "other"), id.decode("ascii"))
        return listing

    @cached_property
    def _folders(self) -> dict[str, list[Entry]]:
        folders: dict[str, list[Entry]] = {}
        for path, (kind, _) in self._listing.items():
            if path:
                folder, name = posixpath.split(path)
                folders.setdefault(folder, []).append((name, kind))
        return folders

    def _resolved(self, path: str) -> str | None:
        """Relative path with links followed; None if it leaves the tree. What is not there is kept as it is."""
        relative = self._relative(os.path.normpath(path))
        if relative is None:
            return None
        done: list[str] = []
        todo = [part for part in reversed(relative.split("/")) if part]
        links = 0
        while todo:
            part = todo.pop()
            if part == ".":
                continue
            if part == "..":
                if not done:
                    return None
                done.pop()
                continue
            done.append(part)
            kind, id = self._listing.get("/".join(done), (None, ""))
            if kind == "link":
                links += 1
                if links > _MOST_LINKS:
                    return "/".join([*done, *reversed(todo)])
                target = os.fsdecode(self._objects([id])[0] or b"")
                done.pop()
                if target.startswith("/"):
                    inside = self._relative(posixpath.normpath(target))
                    if inside is None:
                        return None
                    done, target = [], inside
                todo.extend(part for part in reversed(target.split("/")) if part)
        return "/".join(done)

    def _relative(self, path: str) -> str | None:
        root = str(self.root)
        if path == root:
            return ""
        prefix = os.path.join(root, "")
        return path[len(prefix) :].replace(os.sep, "/") if path.startswith(prefix) else None

    # -- Tree --------------------------------------------------------------------------------------

    def kind(self, path: str) -> Kind | None:
        resolved = self._resolved(path)
        if resolved is None:
            return None
        kind = self._listing.get(resolved, (None,))[0]
        if kind is None:
            return self._submodule_above(resolved)
        return None if kind == "link" else kind  # a link that never ends

    def _submodule_above(self, path: str) -> Kind | None:
        while path:
            path = posixpath.dirname(path)
            if path in self._listing:
                return "submodule" if self._listing[path][0] == "submodule" else None
        return None

    def real(self, path: str) -> str:
        resolved = self._resolved(path)
        return os.path.normpath(path) if resolved is None else os.path.join(str(self.root), resolved)

    def inside(self, path: str) -> bool:
        return self._resolved(path) is not None

    def scan(self, folder: str) -> list[Entry]:
        resolved = self._resolved(folder)
        if resolved is None:
            raise TreeError("it lies outside the repository; a commit holds only what is inside")
        if resolved not in self._folders and self._listing.get(resolved, (None,))[0] != "folder":
            raise FileNotFoundError(f"no such folder in {self.treeish}")
        return sorted(self._folders.get(resolved, []))

    def read(self, path: str) -> bytes:
        for data in self.read_all([path]):
            if isinstance(data, OSError):
                raise data
            return data
        raise AssertionError("one path gives one answer")

    def read_all(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        ids = [self._id(path) for path in paths]
        contents = iter(self._objects([id for id in ids if isinstance(id, str)]))
        for id in ids:
            yield id if isinstance(id, OSError) else _readable(next(contents))

    def _id(self, path: str) -> str | OSError:
        resolved = self._resolved(path)
        if resolved is None:
            return TreeError("it lies outside the repository; a commit holds only what is inside")
        kind, id = self._listing.get(resolved, (None, ""))
        if kind is None:
            return FileNotFoundError(2, f"no such file in {self.treeish}")
        return id if kind == "file" else TreeError(f"it is a {kind}")

    def _objects(self, ids: Sequence[str]) -> list[bytes | None]:
        """The bytes of objects, from one process; None for what this clone does not have."""
        if not ids:
            return []
        output = run_git(self.root, ["cat-file", "--batch"], input="".join(f"{id}\n" for id in ids).encode())
        objects: list[bytes | None] = []
        at = 0
        for _ in ids:
            end = output.index(b"\n", at)
            words = output[at:end].split(b" ")
            at = end + 1
            if len(words) == 3 and words[2].isdigit():
                size = int(words[2])
                objects.append(output[at : at + size])
                at += size + 1
            else:
                objects.append(None)
        return objects


def _readable(data: bytes | None) -> bytes | OSError:
    if data is None:
        return TreeError("this clone does not have it (a partial clone?)")
    if len(data) > LARGEST_FILE:
        return TreeError(f"larger than {LARGEST_FILE >> 20} MiB")
    return data
