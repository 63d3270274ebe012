"""Where bytes come from: the working tree, or (gittree.py) a commit. The same questions to both."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["file", "folder", "link", "submodule", "other"]

LARGEST_FILE = 16 * 1024 * 1024
"""Bytes. A revision file is code that a person or Alembic wrote; more than this is something else."""


_READ_ONLY = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_BLOCK = 1 << 15
"""More than nearly every revision file. A shorter answer means that the file ends there."""

Entry = tuple[str, Kind]
"""One name in a folder, and what it is. A link is not followed: its kind says only that it is one."""


class TreeError(OSError):
    """A file or folder that this tree cannot give. The text is for the user."""


class Tree(Protocol):
    """A source of files. Paths are absolute strings; those inside `root` are what the tree holds.

    Whatever cannot be read raises OSError (FileNotFoundError where nothing is there).
    """

    root: Path
    bounded: bool
    """Whether nothing outside the root can be read."""

    def kind(self, path: str) -> Kind | None:
        """What is at `path`, links followed; None if nothing is."""

    def real(self, path: str) -> str:
        """The path with all links followed (as `os.path.realpath`); it need not exist."""

    def inside(self, path: str) -> bool:
        """Whether `path`, links followed, lies in `root`, links followed."""

    def scan(self, folder: str) -> list[Entry]:
        """The names in a folder, sorted."""

    def read(self, path: str) -> bytes:
        """The bytes of one file."""

    def read_all(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        """The bytes of many files, in order; an error stands in the place of the file that caused it."""


class WorkingTree:
    """The files on disk. `root` bounds what a link may lead to; paths outside it can be read by name."""

    bounded = False

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root))

    def kind(self, path: str) -> Kind | None:
        try:
            mode = os.stat(path).st_mode
        except (OSError, ValueError):
            return None
        return _kind(mode)

    def real(self, path: str) -> str:
        try:
            return os.path.realpath(path)
        except ValueError:  # a NUL in the path
            return path

    def inside(self, path: str) -> bool:
        root = os.path.realpath(self.root)
        real = self.real(path)
        return real == root or real.startswith(root.rstrip(os.sep) + os.sep)

    def scan(self, folder: str) -> list[Entry]:
        with os.scandir(folder) as entries:
            return sorted(
                [(e.name, "file" if e.is_file(follow_symlinks=False) else _entry_kind(e)) for e in entries]
            )

    def read(self, path: str) -> bytes:
        # Not blocking, so that a named pipe in the place of a file cannot hold us up.
        try:
            descriptor = os.open(path, _READ_ONLY)
        except ValueError as error:  # a NUL in the path
            raise TreeError(f"cannot read {path!r}: {error}") from error
        try:
            data = os.read(descriptor, _BLOCK)
            if len(data) < _BLOCK:
                return data
            parts = [data]
            size = len(data)
            while data := os.read(descriptor, 1 << 20):
                parts.append(data)
                size += len(data)
                if size > LARGEST_FILE:
                    raise TreeError(f"larger than {LARGEST_FILE >> 20} MiB")
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def read_all(self, paths: Sequence[str]) -> Iterator[bytes | OSError]:
        for path in paths:
            try:
                # The common case of `read`, without its calls: this runs for every file.
                descriptor = os.open(path, _READ_ONLY)
                try:
                    data = os.read(descriptor, _BLOCK)
                finally:
                    os.close(descriptor)
                yield data if len(data) < _BLOCK else self.read(path)
            except OSError as error:
                yield error


def _kind(mode: int) -> Kind:
    if stat.S_ISREG(mode):
        return "file"
    if stat.S_ISDIR(mode):
        return "folder"
    return "other"


def _entry_kind(entry: os.DirEntry[str]) -> Kind:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "other"
