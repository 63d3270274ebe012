"""Writing merge revisions into the versions folder: all of them or none, killed at any moment.

The files are prepared without a name (`O_TMPFILE`), so that a process that is killed leaves nothing. Then a
child in a session of its own gives them their names, which takes well under a millisecond.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converger.errors import ConfigurationError
from converger.mergefile import MergeFile

TEMPORARY_PREFIX = ".#converger-"  # Alembic ignores file names that start with `.#`
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})


@dataclass(frozen=True)
class Steps:
    """For tests only: called with the name of each step; `pause` is the seconds between two names appearing."""

    reached: Callable[[str], None] = lambda step: None
    pause: float = 0.0
    without_tmpfile: bool = False


@dataclass(frozen=True)
class _Prepared:
    path: Path
    descriptor: int
    temporary: Path | None


def write_merges(files: Sequence[MergeFile], *, steps: Steps | None = None) -> None:
    """Make all files appear at their paths, or none. Missing folders are made. Nothing is ever overwritten.

    Raises ConfigurationError: `file-exists` where a path is in use by now, `cannot-write` where the system
    refuses. Then, and when this process is killed, the tree is as it was.
    """
    steps = steps or Steps()
    if not files:
        return
    prepared: list[_Prepared] = []
    try:
        try:
            for file in files:
                # Where an earlier run was killed on a file system without O_TMPFILE.
                _remove_leftovers(_existing_folder(file.path))
                prepared.append(_prepare(file, steps))
                steps.reached("prepared")
        except OSError as error:
            raise _cannot_write(error.errno, str(error.filename or file.path)) from None
        _make_appear(prepared, steps)
        steps.reached("written")
    finally:
        for item in prepared:
            if item.temporary is not None:
                item.temporary.unlink(missing_ok=True)
            os.close(item.descriptor)


def _existing_folder(path: Path) -> Path:
    return next(folder for folder in path.parents if folder.is_dir())


def _prepare(file: MergeFile, steps: Steps) -> _Prepared:
    folder = _existing_folder(file.path)
    descriptor, temporary = _open_unnamed(folder, steps)
    try:
        # The next run may remove a named one only when nobody holds this lock any more: child included.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        steps.reached("opened")
        remaining = memoryview(file.content)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        owner = _owner(folder)
        if owner is not None:
            os.fchown(descriptor, *owner)
        os.fsync(descriptor)
    except BaseException:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        os.close(descriptor)
        raise
    return _Prepared(file.path, descriptor, temporary)


def _open_unnamed(folder: Path, steps: Steps) -> tuple[int, Path | None]:
    """Open a file without a name in this folder; where that cannot be, one with a name that Alembic ignores."""
    flags = getattr(os, "O_TMPFILE", 0)
    if flags and not steps.without_tmpfile and os.path.isdir("/proc/self/fd"):
        try:
            return os.open(folder, flags | os.O_RDWR | os.O_CLOEXEC, 0o666), None
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    temporary = folder / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    return os.open(temporary, flags, 0o666), temporary


def _owner(folder: Path) -> tuple[int, int] | None:
    """Return who should own a new file here, if not us: root in a container, say, on a user's checkout."""
    found = folder.stat()
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 and found.st_uid != 0 else None


def _remove_leftovers(folder: Path) -> None:
    """Remove what a killed run left: files with our name that no running process holds the lock of."""
    for name in os.listdir(folder):
        if not name.startswith(TEMPORARY_PREFIX):
            continue
        with contextlib.suppress(OSError):
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(folder / name)
            finally:
                os.close(descriptor)


def _make_appear(prepared: Sequence[_Prepared], steps: Steps) -> None:
    folders: dict[str, tuple[int, int] | None] = {}
    for item in prepared:
        existing = _existing_folder(item.path)
        missing = [folder for folder in item.path.parents if folder.is_relative_to(existing)][:-1]
        folders.update((str(folder), _owner(existing)) for folder in reversed(missing))
    job = {
        "folders": list(folders),
        "owner": {folder: owner for folder, owner in folders.items() if owner is not None},
        "pause": steps.pause,
        "files": [
            {
                "path": str(item.path),
                "fd": item.descriptor,
                "temporary": None if item.temporary is None else str(item.temporary),
            }
            for item in prepared
        ],
    }
    answer = _run_child(json.dumps(job).encode(), [item.descriptor for item in prepared], steps)
    if "error" in answer:
        raise _cannot_write(answer["error"], str(answer.get("path") or prepared[0].path))


def _run_child(job: bytes, descriptors: Sequence[int], steps: Steps) -> dict[str, Any]:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("write_child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(descriptors),
        start_new_session=True,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
    )
    assert child.stdin is not None
    with child:
        steps.reached("started")
        with contextlib.suppress(BrokenPipeError):
            child.stdin.write(job)
            child.stdin.flush()
            steps.reached("half sent")
            child.stdin.write(b"\n")
            child.stdin.flush()
            steps.reached("sent")
        output, _ = child.communicate()
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": errno.EIO}


def _cannot_write(number: int | None, path: str) -> ConfigurationError:
    if number == errno.EEXIST:
        return ConfigurationError(
            f"{path} exists already; nothing was written",
            code="file-exists",
            hint="move that file away and run again",
        )
    return ConfigurationError(
        f"cannot write {path}: {os.strerror(number or errno.EIO)}; nothing was written",
        code="cannot-write",
        hint="the folder must be writable for the user who runs this",
    )
