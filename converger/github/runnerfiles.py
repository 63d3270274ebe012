"""The files by which the runner takes outputs, a summary, and variables for all later steps of the job.

In a container they lie where the project's code, which runs as the same user, can write. So what is in them at the end
is what was in them at the start, and what we write.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Mapping

SUMMARY = "GITHUB_STEP_SUMMARY"
OUTPUT = "GITHUB_OUTPUT"
# GITHUB_ENV and GITHUB_PATH are what every later step starts with; GITHUB_STATE is for a `post` that we have not.
_ALL = ("GITHUB_ENV", "GITHUB_PATH", "GITHUB_STATE", OUTPUT, SUMMARY)
_LONGEST = 4 * 1024 * 1024


class RunnerFiles:
    """The files of one step. Made before anything of the project runs; `hand_over` comes last."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._paths = {name: environment[name] for name in _ALL if environment.get(name)}
        self._before = {name: _read(path) for name, path in self._paths.items()}
        self.handed_over = False

    def restore(self) -> tuple[str, ...]:
        """Take back what is in the files and was not in them at the start; gives their names. Raises OSError."""
        changed = []
        for name, path in self._paths.items():
            before = self._before[name]
            if before is not None and _read(path) != before:
                _replace(path, before)
                changed.append(name)
        return tuple(changed)

    def hand_over(self, summary: Callable[[int], bytes], output: str) -> None:
        """Append to the summary what `summary` makes for its size so far, `output` to the outputs. Raises OSError."""
        self.handed_over = True
        if (path := self._paths.get(SUMMARY)) is not None:
            already = os.stat(path).st_size if os.path.exists(path) else 0
            _append(path, summary(already))
        if (path := self._paths.get(OUTPUT)) is not None:
            _append(path, output.encode("utf-8"))


def _read(path: str) -> bytes | None:
    """The contents; None where there is no plain file, or one that is too large to be a runner's."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError:
        return None
    return data if len(data) <= _LONGEST else None


def _replace(path: str, data: bytes) -> None:
    """The runner reads what is at the path, so the file itself is kept where there still is one."""
    flags = os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        file = os.open(path, flags)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            if os.path.isdir(path) and not os.path.islink(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        file = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    with open(file, "wb") as stream:
        stream.write(data)


def _append(path: str, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o666), "wb") as file:
        file.write(data)
