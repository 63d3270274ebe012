"""Writing merge revisions into the versions folder: all of them or none, even when killed."""

from __future__ import annotations

import base64
import contextlib
import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converger.errors import ConfigurationError
from converger.mergefile import MergeFile


def _nothing(step: str) -> None:
    pass


@dataclass(frozen=True)
class Steps:
    """For tests: `reached` is called after each step of the parent, `pause` seconds follow each of the child's.

    `without_tmpfile` does as if the file system had no `O_TMPFILE`.
    """

    reached: Callable[[str], None] = _nothing
    pause: float = 0.0
    without_tmpfile: bool = False


def write_merges(files: Sequence[MergeFile], *, steps: Steps | None = None) -> None:
    """Make all files appear at their paths, or none. Missing folders are made. Nothing is ever overwritten.

    A child process does it, in a session of its own; it starts when it has read the whole job, and then does
    not depend on this process any more. Raises ConfigurationError: `file-exists` where a path is in use by
    now, `cannot-write` where the system refuses. The tree is then as it was before.
    """
    if not files:
        return
    steps = steps or Steps()
    job = {
        "pause": steps.pause,
        "without_tmpfile": steps.without_tmpfile,
        "files": [
            {
                "path": os.path.abspath(file.path),
                "content": base64.b64encode(file.content).decode("ascii"),
            }
            for file in files
        ],
    }
    answer = _run_child(json.dumps(job).encode("ascii"), steps)
    if "error" in answer:
        raise _cannot_write(answer["error"], answer.get("path") or str(files[0].path))


def _run_child(job: bytes, steps: Steps) -> dict[str, Any]:
    steps.reached("begun")
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", str(Path(__file__).with_name("write_child.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
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
    steps.reached("written")
    try:
        answer = json.loads(output)
    except ValueError:
        answer = None
    return answer if isinstance(answer, dict) else {"error": errno.EIO}


def _cannot_write(number: int, path: str) -> ConfigurationError:
    if number == errno.EEXIST:
        return ConfigurationError(
            f"{path} exists already; nothing was written",
            code="file-exists",
            hint="move that file away and run again",
        )
    return ConfigurationError(
        f"cannot write {path}: {os.strerror(number)}; nothing was written",
        code="cannot-write",
        hint="the folder must be writable for the user who runs this",
    )
