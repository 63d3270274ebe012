"""Child processes for a stranger's code: little environment, a time limit, nothing left running."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Finished:
    """How a child ended: exit code (negative: a signal; None: out of time) and the end of its stderr."""

    returncode: int | None
    stderr: bytes


def hide_from_children() -> None:
    """Keep processes of the same user from reading our environment and memory, where tokens may be.

    Linux only (PR_SET_DUMPABLE, prctl(2)). It does not keep out a process that may trace every other one, as
    root can outside of containers.
    """
    import ctypes

    with contextlib.suppress(Exception):
        ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)


def minimal_environment(home: Path, **more: str) -> dict[str, str]:
    """Return an environment that holds no token and is the same on every machine but for PATH.

    HOME is a folder of ours: a formatter's personal settings must not decide what is written.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "XDG_CACHE_HOME": str(home),
        "TMPDIR": str(home),
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **more,
    }


def run_child(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    timeout: float,
    stdin: bytes = b"",
    pass_fds: Sequence[int] = (),
    stderr_limit: int = 65_536,
) -> Finished:
    """Run a command in a session of its own; kill the whole session at its end or when time is up.

    Its standard output goes nowhere. Raises OSError when it cannot be started.
    """
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as complaints:
        source.write(stdin)
        source.seek(0)
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(env),
            stdin=source,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            pass_fds=tuple(pass_fds),
            start_new_session=True,
        )
        try:
            in_time = wait_without_reaping(process.pid, timeout)
        finally:
            # Not reaped yet, so the number still belongs to our child, and the group can be nobody else's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        complaints.seek(0, os.SEEK_END)
        complaints.seek(max(0, complaints.tell() - stderr_limit))
        return Finished(process.returncode if in_time else None, complaints.read())


def wait_without_reaping(pid: int, timeout: float) -> bool:
    """Whether our child ended in time; it stays a zombie, so that its number is not given to another."""
    deadline = time.monotonic() + timeout
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
