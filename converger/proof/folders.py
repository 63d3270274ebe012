"""Temporary folders that are known to be ours, and that the next run removes when their owner is dead.

The mark file inside says that a folder is ours. Its lock (flock) says that the process it belongs to is
alive: the operating system gives it up when the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator

from converger.proof.scratch import STALE_SECONDS

MARK_FILE = "converger.json"


class MarkedFolder:
    """A new folder, only for us, locked until `remove` or the end of this process. Raises OSError."""

    def __init__(self, prefix: str) -> None:
        base = os.path.realpath(tempfile.gettempdir())
        self.path = os.path.join(base, prefix + secrets.token_hex(8))
        os.mkdir(self.path, 0o700)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
            self._mark = os.open(os.path.join(self.path, MARK_FILE), flags, 0o600)
            fcntl.flock(self._mark, fcntl.LOCK_EX)
            os.write(self._mark, json.dumps({"converger": 1, "pid": os.getpid()}).encode())
        except BaseException:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def remove(self) -> None:
        """Remove the folder and give up the lock. May be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._mark >= 0:
            os.close(self._mark)
            self._mark = -1


def bases() -> list[str]:
    """The folders in which temporary folders are made, in the order in which they are tried."""
    found = [tempfile.gettempdir(), "/tmp", "/var/tmp"]  # noqa: S108
    return list(dict.fromkeys(os.path.realpath(path) for path in found if os.path.isdir(path)))


def sweep(prefix: str, before: Callable[[str], None] | None = None) -> None:
    """Remove folders of ours whose process is dead. `before` is called on each, to end what runs there.

    Only what we own and what carries our mark is removed. A folder that has no mark yet may be one that
    is being made; when it is old, it is removed only if it is empty.
    """
    for path in _candidates(prefix):
        with contextlib.suppress(OSError), _dead(path) as ours:
            if ours:
                if before is not None:
                    before(path)
                shutil.rmtree(path, ignore_errors=True)


def _candidates(prefix: str) -> Iterator[str]:
    for base in bases():
        with contextlib.suppress(OSError), os.scandir(base) as entries:
            for entry in entries:
                if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    if status.st_uid == os.geteuid():
                        yield entry.path


@contextlib.contextmanager
def _dead(path: str) -> Iterator[bool]:
    """Whether the folder carries our mark and its process is dead; the lock is held meanwhile."""
    name = os.path.join(path, MARK_FILE)
    try:
        mark = os.open(name, os.O_RDWR | os.O_NOFOLLOW)
    except FileNotFoundError:
        if time.time() - os.lstat(path).st_mtime > STALE_SECONDS:
            os.rmdir(path)
        yield False
        return
    try:
        status = os.fstat(mark)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            yield False
            return
        try:
            fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        text = os.read(mark, 4096)
        if not text and time.time() - status.st_mtime > STALE_SECONDS:
            os.unlink(name)
            os.rmdir(path)
        yield _is_mark(text)
    finally:
        os.close(mark)


def _is_mark(text: bytes) -> bool:
    try:
        data = json.loads(text)
    except ValueError:
        return False
    return isinstance(data, dict) and data.get("converger") == 1
