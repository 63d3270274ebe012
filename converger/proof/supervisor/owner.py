"""Owns one embedded server: starts it, and removes every trace of it when its parent is gone.

Runs in a process and a session of its own (`main.py`), started by `converger.proof.supervised`. It uses
the standard library only. Its instructions come as one line of JSON on standard input; it answers with
lines of JSON on standard output. It ends when standard input ends, which the operating system takes
care of even when the parent is killed with SIGKILL.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time
from typing import Any

START_SECONDS = 120
STOP_SECONDS = 15


class StopRequested(Exception):
    """The parent is gone or said stop."""


class StartFailed(Exception):
    """What the server said instead of starting."""


class Supervisor:
    """What is the same for every product. Orders: `binaries`, `copy`, `copied`, `password`, `bases`,
    `user`, `prefix` (of the folder), and what the product needs."""

    product = "the server"
    probe = "server"
    """Which of the binaries is asked for its version, to see whether it can be run."""
    stop_signal = signal.SIGKILL
    telling = r"ERROR|error"
    """Lines of the log that say why."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.orders = orders
        self.parent = os.getppid()
        self.identity: dict[str, Any] = {}
        if orders["user"] is not None:
            user, group = orders["user"]
            self.identity = {"user": user, "group": group, "extra_groups": []}
        self.folder: str | None = None
        self.mark: int | None = None
        self.server: subprocess.Popen[bytes] | None = None

    # -- what the products do

    def initialise(self, binaries: dict[str, str]) -> None:
        """Make an empty data folder."""
        raise NotImplementedError

    def command(self, binaries: dict[str, str], port: int) -> list[str]:
        """The server's command line."""
        raise NotImplementedError

    def is_up(self) -> bool:
        """Whether the server that was started takes connections by now."""
        raise NotImplementedError

    # -- the way of all

    def run(self) -> None:
        try:
            port = self.start_somewhere()
            self.say({"event": "ready", "port": port, "pid": self.server.pid if self.server else None})
            while self.server is not None and self.server.poll() is None:
                self.listen(0.5)
        except StopRequested:
            pass
        except StartFailed as error:
            self.say({"event": "failed", "message": str(error)})
        except Exception as error:
            self.say({"event": "failed", "message": f"{type(error).__name__}: {error}"})
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            self.clean()

    def start_somewhere(self) -> int:
        """Start in the first of the folders that will do: one may be too full, or forbid programs."""
        failure = StartFailed(f"there is no temporary folder that {self.product}'s user can enter")
        for base in self.orders["bases"]:
            if not os.access(base, os.W_OK | os.X_OK) or not self.can_enter(base):
                continue
            try:
                self.make_folder(base)
                binaries = self.reachable_binaries()
                self.initialise(binaries)
                return self.start(binaries)
            except (StartFailed, OSError) as error:
                failure = error if isinstance(error, StartFailed) else StartFailed(str(error))
                self.clean()
        raise failure

    # -- talking to the parent

    def say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            os.write(1, (json.dumps(message) + "\n").encode())

    def listen(self, seconds: float) -> None:
        """Wait, but not longer than the parent wants us."""
        readable, _, _ = select.select([0], [], [], seconds)
        # Whatever comes is "stop"; nothing at all is the end of the pipe. The parent's id is looked at
        # as well, because a child of the parent may have inherited the other end of the pipe.
        if readable or os.getppid() != self.parent:
            raise StopRequested

    # -- the folder

    def make_folder(self, base: str) -> None:
        self.folder = os.path.join(os.path.realpath(base), self.orders["prefix"] + secrets.token_hex(8))
        os.mkdir(self.folder, 0o711 if self.identity else 0o700)
        if self.identity:
            os.chmod(self.folder, 0o711)  # noqa: S103 - the umask may have forbidden it
        # The lock says that this process lives; the text says that the folder is ours.
        self.mark = os.open(
            os.path.join(self.folder, "converger.json"), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600
        )
        fcntl.flock(self.mark, fcntl.LOCK_EX)
        os.write(self.mark, json.dumps({"converger": 1, "pid": os.getpid()}).encode())
        self.say({"event": "folder", "path": self.folder})

    def can_enter(self, base: str) -> bool:
        return self.as_server_user(["/bin/sh", "-c", 'cd "$1"', "sh", base]) == 0

    def reachable_binaries(self) -> dict[str, str]:
        """Where the server's user can run the programs: in their place, or in a copy in our folder.

        A wheel under /root is such a case: nobody but root may enter it.
        """
        binaries: dict[str, str] = self.orders["binaries"]
        if not self.identity or self.as_server_user([binaries[self.probe], "--version"]) == 0:
            return binaries
        assert self.folder is not None
        for source, target in self.orders["copy"]:
            destination = os.path.join(self.folder, "install", target)
            os.makedirs(os.path.dirname(destination), mode=0o755, exist_ok=True)
            if os.path.isdir(source):
                shutil.copytree(source, destination, symlinks=True)
            else:
                shutil.copy2(source, destination)
            self.listen(0)
        root = os.path.join(self.folder, "install")
        for path, _, files in os.walk(root):
            os.chmod(path, 0o755)  # noqa: S103 - another user runs them
            for file in files:
                name = os.path.join(path, file)
                if not os.path.islink(name):
                    os.chmod(name, 0o755)  # noqa: S103
        copied = {name: os.path.join(root, path) for name, path in self.orders["copied"].items()}
        if not copied or self.as_server_user([copied[self.probe], "--version"]) != 0:
            raise StartFailed(
                f"{binaries[self.probe]} cannot be run by the user that {self.product} would run as"
            )
        return copied

    def as_server_user(self, command: list[str]) -> int:
        try:
            return subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                timeout=30,
                **self.identity,
            ).returncode
        except OSError:
            return 126

    def private(self, name: str) -> str:
        """A folder or file of our folder that belongs to the server's user."""
        assert self.folder is not None
        path = os.path.join(self.folder, name)
        if self.identity:
            os.chown(path, self.identity["user"], self.identity["group"])
        return path

    def private_folder(self, name: str) -> str:
        assert self.folder is not None
        os.mkdir(os.path.join(self.folder, name), 0o700)
        return self.private(name)

    def private_file(self, name: str, content: str) -> str:
        assert self.folder is not None
        path = os.path.join(self.folder, name)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, content.encode())
        os.close(descriptor)
        return self.private(name)

    # -- the server

    def start(self, binaries: dict[str, str]) -> int:
        assert self.folder is not None
        for _ in range(10):
            port = free_port()
            with open(f"{self.folder}/log", "wb"):
                pass
            self.server = self.spawn(self.command(binaries, port), binaries)
            if self.is_ready():
                return port
            if "in use" not in self.log_tail():
                break
        raise StartFailed(f"{self.probe} did not start: {self.log_tail()}")

    def is_ready(self) -> bool:
        """Whether the server came up, in time."""
        assert self.server is not None
        deadline = time.monotonic() + START_SECONDS
        while self.server.poll() is None and time.monotonic() < deadline:
            if self.is_up():
                return True
            self.listen(0.005)
        return False

    def spawn(self, command: list[str], binaries: dict[str, str]) -> subprocess.Popen[bytes]:
        with open(f"{self.folder}/log", "ab") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={
                    "PATH": os.path.dirname(binaries[self.probe]) + ":/usr/bin:/bin",
                    "LC_MESSAGES": "C",
                    "TZ": "UTC",
                },
                start_new_session=True,
                **self.identity,
            )

    def wait(self, process: subprocess.Popen[bytes], seconds: float, what: str) -> int:
        """The status of a program, when it ends. It is ended when it takes too long, or we are to stop."""
        deadline = time.monotonic() + seconds
        try:
            while process.poll() is None:
                if time.monotonic() > deadline:
                    raise StartFailed(f"{what} took longer than {seconds:.0f} s")
                self.listen(0.005)
        finally:
            if process.returncode is None:
                end_group(process)
        return process.returncode

    def log_tail(self) -> str:
        with (
            contextlib.suppress(OSError),
            open(f"{self.folder}/log", encoding="utf-8", errors="replace") as file,
        ):
            lines = [line.strip() for line in file.read().splitlines() if line.strip()]
            telling = [line for line in lines if re.search(self.telling, line)]
            return " / ".join((telling or lines)[-3:])[-600:]
        return "(no log)"

    def clean(self) -> None:
        """Stop the server at once, it is throw-away, and remove the folder with everything in it."""
        if self.server is not None and self.server.poll() is None:
            with contextlib.suppress(OSError):
                self.server.send_signal(self.stop_signal)
            try:
                self.server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self.server = None
        if self.folder is not None:
            for _ in range(20):
                shutil.rmtree(self.folder, ignore_errors=True)
                if not os.path.lexists(self.folder):
                    break
                time.sleep(0.1)
            self.folder = None
        if self.mark is not None:
            os.close(self.mark)
            self.mark = None


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a program that makes a data folder, and wait for the server that it feeds, in the same process group.

    That server ends in order, and gives its shared memory back, when its input ends. A signal would kill it
    on the spot (`postgres --boot` handles none), and so would removing its folder.
    """
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    with contextlib.suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
