"""The child process that makes all files appear: a loop of links and nothing else. Run as a script only.

It runs in a session of its own, so that killing converger, or its whole process group, between two links
cannot leave half of them. The job comes on standard input as one JSON line; without its newline the parent
died while it wrote, and nothing is done. The result goes to standard output as JSON.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return
    job: dict[str, Any] = json.loads(line)
    answer = _make_appear(job)
    with contextlib.suppress(OSError):  # the parent may be gone; the work is done all the same
        sys.stdout.write(json.dumps(answer))
        sys.stdout.flush()


def _make_appear(job: dict[str, Any]) -> dict[str, Any]:
    folders: list[str] = []
    files: list[str] = []
    path = ""
    try:
        for path in job["folders"]:
            os.mkdir(path)
            folders.append(path)
            if job["owner"].get(path):
                os.chown(path, *job["owner"][path])
        for file in job["files"]:
            path = file["path"]
            _appear(file)
            files.append(path)
            time.sleep(job["pause"])
        for folder in {os.path.dirname(path) for path in [*files, *folders]}:
            _sync(folder)
    except OSError as error:
        for made in reversed(files):
            with contextlib.suppress(OSError):
                os.unlink(made)
        for made in reversed(folders):
            with contextlib.suppress(OSError):
                os.rmdir(made)
        return {"error": error.errno or errno.EIO, "path": path}
    return {}


def _appear(file: dict[str, Any]) -> None:
    """Give a prepared file its name. A name that is in use raises FileExistsError: nothing is overwritten."""
    folder = os.open(os.path.dirname(file["path"]), os.O_RDONLY | os.O_DIRECTORY)
    try:
        name = os.path.basename(file["path"])
        if file["temporary"] is None:
            # With a dir_fd Python calls linkat() with AT_SYMLINK_FOLLOW, which a file without a name needs.
            os.link(f"/proc/self/fd/{file['fd']}", name, dst_dir_fd=folder, follow_symlinks=True)
            return
        try:
            os.link(file["temporary"], name, dst_dir_fd=folder)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS):
                raise
            # No hard links here, as on FAT: then the name is checked first, and the file moved.
            if os.path.lexists(file["path"]):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), file["path"]) from None
            os.rename(file["temporary"], name, dst_dir_fd=folder)
    finally:
        os.close(folder)


def _sync(folder: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if __name__ == "__main__":
    main()
