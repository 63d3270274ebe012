"""The child process that writes a set of files, all or none. Run as a script only.

It runs in a session of its own, so that killing converger, or its whole process group, cannot stop it half
way. The job comes on standard input as one JSON line; without its newline the parent died while it wrote,
and nothing is done. The result goes to standard output as JSON: `{}`, or `{"error": errno, "path": …}`.

Should this process itself be killed: files are prepared without a name (`O_TMPFILE`), where the file system
can, and get their names one right after the other only when all of them are complete.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import json
import os
import secrets
import sys
import time
from typing import Any

TEMPORARY_PREFIX = ".#converger-"  # Alembic ignores file names that start with `.#`
_NO_TMPFILE = frozenset({errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS})


class _Prepared:
    """A complete file that waits for its name. `temporary` is the name it has until then, if any."""

    def __init__(self, path: str, descriptor: int, temporary: str | None) -> None:
        self.path = path
        self.descriptor = descriptor
        self.temporary = temporary


class _Writer:
    def __init__(self, job: dict[str, Any]) -> None:
        self.files: list[dict[str, str]] = job["files"]
        self.pause: float = job["pause"]
        self.without_tmpfile: bool = job["without_tmpfile"]
        self.prepared: list[_Prepared] = []
        self.folders_made: list[str] = []
        self.files_made: list[str] = []
        self.path = ""

    def run(self) -> dict[str, Any]:
        try:
            for file in self.files:
                self.path = file["path"]
                self.prepare(self.path, base64.b64decode(file["content"]))
                time.sleep(self.pause)
            for item in self.prepared:
                self.path = item.path
                self.make_folders(os.path.dirname(item.path))
                _appear(item)
                self.files_made.append(item.path)
                time.sleep(self.pause)
            self.sync_folders()
        except OSError as error:
            self.undo()
            return {"error": error.errno or errno.EIO, "path": self.path}
        finally:
            for item in self.prepared:
                _remove_temporary(item)
                os.close(item.descriptor)
        return {}

    def prepare(self, path: str, content: bytes) -> None:
        folder = _existing(os.path.dirname(path))
        _remove_leftovers(folder)
        item = _Prepared(path, *_open(folder, self.without_tmpfile))
        self.prepared.append(item)
        # The next run may remove a named one only when nobody holds this lock any more.
        fcntl.flock(item.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remaining = memoryview(content)
        while remaining:
            remaining = remaining[os.write(item.descriptor, remaining) :]
        owner = _owner(folder)
        if owner is not None:
            os.fchown(item.descriptor, *owner)
        os.fsync(item.descriptor)

    def make_folders(self, folder: str) -> None:
        existing = _existing(folder)
        missing = []
        while folder != existing:
            missing.append(folder)
            folder = os.path.dirname(folder)
        owner = _owner(existing) if missing else None
        for folder in reversed(missing):
            os.mkdir(folder)
            self.folders_made.append(folder)
            if owner is not None:
                os.chown(folder, *owner)

    def sync_folders(self) -> None:
        for folder in {os.path.dirname(path) for path in [*self.files_made, *self.folders_made]}:
            with contextlib.suppress(OSError):
                descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def undo(self) -> None:
        for path in reversed(self.files_made):
            with contextlib.suppress(OSError):
                os.unlink(path)
        for path in reversed(self.folders_made):
            with contextlib.suppress(OSError):
                os.rmdir(path)


def _existing(folder: str) -> str:
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _open(folder: str, without_tmpfile: bool) -> tuple[int, str | None]:
    """Open a file without a name in this folder; where that cannot be, one with a name that Alembic ignores."""
    flags = getattr(os, "O_TMPFILE", 0)
    if flags and not without_tmpfile and os.path.isdir("/proc/self/fd"):
        try:
            return os.open(folder, flags | os.O_RDWR, 0o666), None
        except OSError as error:
            if error.errno not in _NO_TMPFILE:
                raise
    temporary = os.path.join(folder, TEMPORARY_PREFIX + secrets.token_hex(8))
    return os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666), temporary


def _owner(folder: str) -> tuple[int, int] | None:
    """Return who should own a new file here, if not us: root in a container, say, on a user's checkout."""
    found = os.stat(folder)
    return (found.st_uid, found.st_gid) if os.geteuid() == 0 and found.st_uid != 0 else None


def _appear(item: _Prepared) -> None:
    """Give a prepared file its name. A name that is in use raises FileExistsError: nothing is overwritten."""
    folder = os.open(os.path.dirname(item.path), os.O_RDONLY | os.O_DIRECTORY)
    name = os.path.basename(item.path)
    try:
        if item.temporary is None:
            # With a dir_fd Python calls linkat() with AT_SYMLINK_FOLLOW, which a file without a name needs.
            os.link(f"/proc/self/fd/{item.descriptor}", name, dst_dir_fd=folder, follow_symlinks=True)
            return
        try:
            os.link(item.temporary, name, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # No hard links here, as on FAT: then the name is checked first, and the file moved.
            if os.path.lexists(item.path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
            os.rename(item.temporary, name, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _remove_temporary(item: _Prepared) -> None:
    if item.temporary is not None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(item.temporary)


def _remove_leftovers(folder: str) -> None:
    """Remove what a killed run left: files with our name that no running process holds the lock of."""
    for name in os.listdir(folder):
        if not name.startswith(TEMPORARY_PREFIX):
            continue
        with contextlib.suppress(OSError):
            path = os.path.join(folder, name)
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(path)
            finally:
                os.close(descriptor)


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return
    answer = _Writer(json.loads(line)).run()
    with contextlib.suppress(OSError):  # the parent may be gone; the work is done all the same
        sys.stdout.write(json.dumps(answer))
        sys.stdout.flush()


if __name__ == "__main__":
    main()
