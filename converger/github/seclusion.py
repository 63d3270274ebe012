"""What our own process keeps to itself, and what it does with processes that outlive what started them.

A container's root is also who installs a project and runs its migrations. So our memory and our environment are
closed to other processes before the first one is started, and no secret stays where the kernel would show it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time

from converger.child import hide_from_children

_PR_SET_CHILD_SUBREAPER = 36
# The loader has read them; what it kept may point there.
_LEFT = "LD_"
# What the runner gives to an action only, and no child of ours must get by mistake.
_OURS = ("INPUT_", "ACTIONS_")
_END_SECONDS = 5.0


def take_environment() -> dict[str, str]:
    """Our environment, as a mapping. Afterwards no value of it is in `/proc/<pid>/environ`, no secret in os.environ.

    Variables that are not the runner's stay in os.environ, at another place in our memory, which is closed to other
    processes (`hide_from_children`). To be called before any thread or process is started.
    """
    hide_from_children()
    taken = dict(os.environ)
    # Where this cannot be done the environment is closed all the same.
    with contextlib.suppress(Exception):
        _blank_initial_environment()
    for name, value in taken.items():
        if name.startswith(_OURS):
            del os.environ[name]
        else:
            os.environ[name] = value
    return taken


def _blank_initial_environment() -> None:
    """Write zeros over the values that the kernel put into our memory at the start; that is what it shows."""
    import ctypes

    strings = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    number = 0
    while address := strings[number]:
        name, equals, value = ctypes.string_at(address).partition(b"=")
        if equals and not os.fsdecode(name).startswith(_LEFT):
            ctypes.memset(address + len(name) + 1, 0, len(value))
        number += 1


def adopt_orphans() -> None:
    """Become the parent of every process below us whose parent ends, as the first process of a container is."""
    with contextlib.suppress(Exception):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children(seconds: float = _END_SECONDS) -> None:
    """End all processes below us: daemons that an installer or a migration left behind. For the end of a run only."""
    deadline = time.monotonic() + seconds
    while (found := _children()) and time.monotonic() < deadline:
        for child in found:
            # It is our child and not reaped, so the number is nobody else's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, signal.SIGKILL)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)


def _children() -> list[int]:
    found = []
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdecimal():
                with (
                    contextlib.suppress(OSError, ValueError, IndexError),
                    open(f"/proc/{name}/stat", "rb") as file,
                ):
                    if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                        found.append(int(name))
    return found
