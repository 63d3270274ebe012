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
from pathlib import Path

RUN_FOLDER = "converger-run-"
"""What the folders that one run needs for itself are called."""

STALE_SECONDS = 3600
"""A leftover is taken for abandoned after this time; no run of ours is bounded higher."""

MARK_FILE = "converger.json"
USUAL = ("/tmp", "/var/tmp")  # noqa: S108
MEMORY = "/dev/shm"  # noqa: S108
FREE_SPACE = 2 << 30
FREE_MEMORY = 4 << 30
CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


class MarkedFolder:
    """A new folder, only for us, locked until `remove` or the end of this process. Raises OSError."""

    def __init__(self, prefix: str, *, short: bool = False) -> None:
        """`short`: where a Unix socket's path, of 107 bytes at most, has room, whatever TMPDIR says."""
        base = _existing([*USUAL, MEMORY, *bases()])[0] if short else bases()[0]
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


@contextlib.contextmanager
def run_folder() -> Iterator[Path]:
    """A folder of ours for the time of a `with`, after removing those of runs that were killed. Raises OSError."""
    sweep(RUN_FOLDER)
    folder = MarkedFolder(RUN_FOLDER)
    try:
        yield Path(folder.path)
    finally:
        folder.remove()


def bases() -> list[str]:
    """The folders in which temporary folders are made, in the order in which they are tried.

    Memory comes first where there is plenty, because a scratch database is hundreds of small files: on a
    machine whose disk makes 1,400 files a second, copying one took 255 ms on disk and 9 ms in memory. A
    TMPDIR that the user set is obeyed.
    """
    chosen = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    memory = [] if chosen or not _is_roomy(MEMORY) else [MEMORY]
    return _existing([*memory, tempfile.gettempdir(), *USUAL])


def _existing(paths: list[str]) -> list[str]:
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if os.path.isdir(path)))


def _is_roomy(base: str) -> bool:
    """Whether this memory file system may be filled without hurting anybody, as far as can be told.

    A container's /dev/shm is usually 64 MB, and its memory may be limited below the machine's.
    """
    try:
        status = os.statvfs(base)
        if not os.access(base, os.W_OK | os.X_OK) or status.f_bavail * status.f_frsize < FREE_SPACE:
            return False
        with open("/proc/meminfo", encoding="ascii") as file:
            available = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return False
    for limit, used in CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):
            available = min(available, _number(limit) - _number(used))
    return available >= FREE_MEMORY


def _number(path: str) -> int:
    """The number in a cgroup's file; ValueError for `max`."""
    with open(path, encoding="ascii") as file:
        return int(file.read())


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
    for base in _existing([tempfile.gettempdir(), *USUAL, MEMORY]):
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
