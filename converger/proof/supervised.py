"""A database server of our own for the time of one run, owned by a supervisor process.

The supervisor (`supervisor/`) ends the server when this process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from converger import folders
from converger.errors import CouldNotEvaluate

SUPERVISOR = (
    # Appended, so that no module of ours can stand before one of the standard library.
    "import sys; sys.path.append(sys.argv[1]); from supervisor.main import main; main()"
)
START_SECONDS = 180
STOP_SECONDS = 40
QUIET_SECONDS = 2.0

_Server = TypeVar("_Server")


@dataclass(frozen=True)
class Program:
    """What is to be started: how it is called, what its folder's name begins with, its supervisor's orders.

    `failed` makes the error to raise of what the server said.
    """

    title: str
    prefix: str
    orders: dict[str, Any]
    failed: Callable[[str], CouldNotEvaluate]


def first_that_works(
    starts: Iterable[Callable[[], _Server]], progress: Callable[[str], None]
) -> _Server | None:
    """Try them in turn; None where there are none. Raises what the first one raised, where none works."""
    failure: CouldNotEvaluate | None = None
    for start in starts:
        try:
            return start()
        except CouldNotEvaluate as error:
            progress(error.message)
            failure = failure or error
    if failure is not None:
        raise failure
    return None


class SupervisedServer:
    """A running server: `folder`, `pid` and `port` (on 127.0.0.1). `stop` ends and removes it."""

    def __init__(self, program: Program, *, progress: Callable[[str], None]) -> None:
        """Raises what `program.failed` makes."""
        folders.sweep(program.prefix, before=end_orphan)
        self.folder: str | None = None
        self.pid: int | None = None
        self._program = program
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SUPERVISOR, os.path.dirname(os.path.abspath(__file__))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            # Ctrl-C in the terminal goes to a whole session: it must not end the server before us.
            start_new_session=True,
        )
        try:
            self.port = self._start(progress)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the server and wait until its folder is gone. May be called again."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            folders.sweep(self._program.prefix, before=end_orphan)

    def _start(self, progress: Callable[[str], None]) -> int:
        program = self._program
        orders = {"bases": folders.bases(), "prefix": program.prefix, **program.orders}
        assert self._process.stdin is not None and self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(orders).encode() + b"\n")
            self._process.stdin.flush()
        began = time.monotonic()
        said = False
        received = b""
        while time.monotonic() - began < START_SECONDS:
            if not said and time.monotonic() - began > QUIET_SECONDS:
                said = True
                progress(f"starting {program.title} …")
            readable, _, _ = select.select([self._process.stdout], [], [], 0.25)
            if not readable:
                continue
            part = os.read(self._process.stdout.fileno(), 65536)
            if not part:
                raise program.failed("its supervisor ended without a word")
            received += part
            *lines, received = received.split(b"\n")
            for line in lines:
                message = json.loads(line)
                if message["event"] == "folder":
                    self.folder = message["path"]
                elif message["event"] == "ready":
                    self.pid = message["pid"]
                    return int(message["port"])
                else:
                    raise program.failed(message["message"])
        raise program.failed(f"it was not ready after {START_SECONDS} seconds")


def end_orphan(folder: str) -> None:
    """End the server of a folder whose supervisor was killed.

    The process is signalled only if its working folder is that very data folder, as such a server's is.
    """
    data = os.path.join(folder, "data")
    for name, signals in (
        ("postmaster.pid", (signal.SIGQUIT, signal.SIGKILL)),
        ("server.pid", (signal.SIGKILL,)),
    ):
        try:
            with open(os.path.join(data, name), encoding="utf-8", errors="replace") as file:
                pid = int(file.readline())
        except (OSError, ValueError):
            continue
        _end(pid, data, signals)


def unprivileged_user(names: Sequence[str]) -> tuple[int, int] | None:
    """Whom a server is run as when we are root, which such servers refuse to be: the first that exists."""
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    return 65534, 65534


def _end(pid: int, data: str, signals: Iterable[signal.Signals]) -> None:
    for number in signals:
        for _ in range(100):
            if not _works_in(pid, data):
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            time.sleep(0.1)


def _works_in(pid: int, data: str) -> bool:
    if os.path.isdir("/proc/self"):
        try:
            return os.path.samefile(os.readlink(f"/proc/{pid}/cwd"), data)
        except OSError:
            return False
    command = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, timeout=10, check=False
    ).stdout
    return f"-D {data} " in command + " " or f"--datadir={data} " in command + " "
