"""The worker as seen from our side: a child process that upgrades scratch databases.

Nothing here knows what is being proven. The worker's end of the conversation is `inside/main.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from converger.child import wait_without_reaping
from converger.errors import CouldNotEvaluate
from converger.project import Project
from converger.proof.secrecy import Secrets
from converger.proof.sites import Order
from converger.proof.upgrade import Failure, Step, Upgrade, VersionTable

_PACKET = 256 * 1024
_END_TIMEOUT = 5.0  # seconds for it to end by itself; one that is busy loading has no children yet
_EXIT_TIMEOUT = 10.0  # seconds for an upgrade's process to be gone after its last word, or once killed
_WHERE_SECONDS = 0.3  # for a process to write its stacks
_START_TIMEOUT = 120.0  # seconds for importing Alembic and the revision files on a slow disk


@dataclass(frozen=True)
class Flask:
    """A project whose env.py needs its Flask application: `app` as for `flask --app`, None to look for it."""

    app: str | None = None


@dataclass
class _Run:
    events: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)


class _Following:
    """What the events of one order say so far."""

    def __init__(self, on_begin: Callable[[str], None]) -> None:
        self._on_begin = on_begin
        self.steps: list[Step] = []
        self.tables: list[VersionTable] = []
        self.current: str | None = None
        self.unfinished = False
        self.foreign: str | None = None
        self.error: Mapping[str, Any] | None = None
        self.followed = False
        self.done = False

    def follow(self, event: Mapping[str, Any]) -> None:
        name = event["event"]
        if name == "pass":
            self.tables.append(VersionTable(event["database"], event["table"], event["schema"]))
        elif name == "begin":
            self.current = event["revision"]
            self.unfinished = True
            self._on_begin(event["revision"])
        elif name == "step":
            rows = None if event["rows"] is None else tuple(sorted(str(row) for row in event["rows"]))
            self.unfinished = False
            self.steps.append(Step(event["revision"], rows, event["seconds"], event["pass"]))
        elif name == "foreign":
            self.foreign = event["message"]
        elif name == "following":  # a process of a command that our guard is in
            self.followed = True
        elif name == "error":  # a process of a command that failed; the last one decides
            self.error = event
        elif name in ("done", "failed"):
            self.done = True


class LoadFailed(Exception):
    """The worker could not import Alembic, its configuration or (preloading) a revision file."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Worker:
    """One worker process, which begins to import Alembic at once. `load` it before anything else.

    Upgrades may run side by side from several threads. A `load` with `preload` imports the revision files
    once, before env.py has run: fast, and wrong for a project whose revisions need what env.py sets up. So a
    failure of a preloaded worker proves nothing, and is repeated without.
    """

    def __init__(
        self,
        *,
        python: str,
        program: Path,
        project: Project,
        driver_url: str,
        environment: Mapping[str, str],
        folder: Path,
        timeout: float,
        cut_network: bool,
        flask: Flask | None = None,
    ) -> None:
        """`program` is what `packing.packed` made; `flask` is set for a project whose env.py needs its application."""
        self._project = project
        self._driver_url = driver_url
        self._flask = flask
        self._environment = dict(environment)
        self._folder = folder
        self._timeout = timeout
        self._runs: dict[int, _Run] = {}
        self._control: queue.Queue[dict[str, Any]] = queue.Queue()
        self._numbers = count(1)
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        self._gone = False
        self.python = python
        self.facts: Mapping[str, Any] = {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._sock = ours
        self._log = folder / f"worker-{id(self):x}.log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [python, str(program), str(theirs.fileno()), "cut" if cut_network else "open"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=project.cwd,
                    env=dict(environment),
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise CouldNotEvaluate(
                f"the project's interpreter {python} cannot be started: {error.strerror}",
                code="python-not-found",
                hint="name the interpreter of the environment that has the project's dependencies with --python",
            ) from None
        finally:
            theirs.close()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def load(self, *, staged: tuple[Path, ...], preload: bool) -> None:
        """Have it read the configuration; `staged` are revision files that are not in the tree yet."""
        project = self._project
        self._send(
            {
                "cmd": "load",
                "preload": preload,
                "staged": [str(path) for path in staged],
                "driver_url": self._driver_url,
                "flask": None if self._flask is None else {"app": self._flask.app},
                "config": {
                    "cwd": str(project.cwd),
                    "ini": str(project.ini_path) if project.ini_path else None,
                    "toml": str(project.toml_path) if project.toml_path else None,
                    "section": project.section,
                    "script_location": str(project.script_location),
                },
            }
        )

    def wait_loaded(self) -> Mapping[str, Any]:
        """Wait until it is ready; return its facts (python, alembic, sqlalchemy, driver). Raises LoadFailed."""
        if not self.facts:
            try:
                event = self._control.get(timeout=_START_TIMEOUT)
            except queue.Empty:
                event = {"event": "gone", "timed_out": True}
            if event["event"] != "loaded":
                failure = self._failure(event, output=_tail(self._log))
                raise LoadFailed(_without_secrets(failure, self._secrets()))
            self.facts = event
        return self.facts

    def upgrade(
        self,
        order: Order,
        *,
        target: str,
        shared: bool = True,
        reversed_: bool = False,
        down: bool = False,
        on_begin: Callable[[str], None] = lambda revision: None,
    ) -> Upgrade:
        """Run `alembic upgrade TARGET` (or the project's command) as `order` says; never raises for its failing.

        `shared`: others use the server too, so a migration is stopped before it changes what belongs to the
        whole server, such as a role. `reversed_`: see the planned merges with their parents the other way round.
        `down`: `alembic downgrade TARGET` instead, for which there is no command of the project's.
        """
        following = _Following(on_begin)
        began = time.monotonic()
        argv = [word.replace("{revision}", target) for word in order.argv] if order.argv else None
        message = {
            "cmd": "upgrade",
            "target": target,
            "down": down,
            "shared": shared,
            "argv": argv,
            "reversed": reversed_,
        }
        failure = self._run(message, order, following)
        hidden = None
        if argv and failure is None:
            if not following.followed:
                failure = _not_followed(argv)
            elif following.error is not None:
                hidden = _without_secrets(self._failure(following.error, output=""), self._secrets(order))
            elif following.current is not None and following.unfinished:
                hidden = _unfinished(following.current)
        steps, tables = tuple(following.steps), tuple(following.tables)
        return Upgrade(target, steps, time.monotonic() - began, failure, tables, hidden)

    def run(self, order: Order, *, shared: bool = True) -> Failure | None:
        """Run the command `order.argv` (the project's set-up), followed and guarded; None when it ended well."""
        message = {
            "cmd": "run",
            "target": "",
            "down": False,
            "shared": shared,
            "argv": list(order.argv or ()),
            "reversed": False,
        }
        return self._run(message, order, _Following(lambda revision: None))

    def _secrets(self, order: Order | None = None) -> Secrets:
        """Of the databases that it runs on, of the project's own, and of the variables that it gets."""
        project = self._project
        urls = (*(order.secret_urls if order else ()), project.sqlalchemy_url, *project.database_urls)
        return Secrets(urls, self._environment)

    def _run(self, message: Mapping[str, Any], order: Order, following: _Following) -> Failure | None:
        number = next(self._numbers)
        run = _Run()
        with self._lock:
            self._runs[number] = run
            if self._gone:
                run.events.put({"event": "gone"})
        output = self._folder / f"output-{number}-{id(self):x}.log"
        self._send({**message, **order.fields, "run": number, "output": str(output)})
        failure: Failure | None = None
        while True:
            try:
                wait = min(self._timeout, _EXIT_TIMEOUT) if following.done else self._timeout
                event = run.events.get(timeout=wait)
            except queue.Empty:
                if not following.done:
                    failure = self._timed_out(number, output, following.current)
                self._end(number, run)
                break
            name = event["event"]
            if name in ("exited", "gone"):
                if not following.done:
                    failure = self._ended(event, following, output, command=bool(message["argv"]))
                break
            following.follow(event)
            if name == "failed":
                failure = self._failure(event, output=_tail(output))
        if following.foreign is not None:  # whoever it was, and whatever became of it
            failure = replace(
                failure or Failure("ForeignConnection", following.foreign, revision=following.current),
                foreign=following.foreign,
            )
        with self._lock:
            del self._runs[number]
        return failure and _without_secrets(failure, self._secrets(order))

    def _ended(
        self, event: Mapping[str, Any], following: _Following, output: Path, *, command: bool
    ) -> Failure | None:
        """What the end of a process without a last word means: nothing bad for a command that ended well."""
        code = event.get("code")
        if following.error is not None and (code or event.get("signal")):
            return self._failure(following.error, output=_tail(output))
        if code is None or not command:
            failure = self._failure(event, output=_tail(output), revision=following.current)
            return replace(failure, statement=_statement(output))
        if code == 0:
            return None
        return Failure(
            "CommandFailed",
            f"the command ended with exit status {code}",
            revision=following.current,
            began=following.current is not None,
            output=_tail(output),
        )

    def _timed_out(self, number: int, output: Path, current: str | None) -> Failure:
        before = _tail(output)
        self._send({"cmd": "where", "run": number})
        time.sleep(_WHERE_SECONDS)
        return Failure(
            "Timeout",
            f"nothing happened for {self._timeout:g} seconds",
            revision=current,
            timed_out=True,
            statement=_statement(output),
            output=before,
            frames=_frames(_tail(output)),
        )

    def _end(self, number: int, run: _Run) -> None:
        """Kill one upgrade; if that is not confirmed in time, end the whole worker."""
        self._send({"cmd": "kill", "run": number})
        deadline = time.monotonic() + _EXIT_TIMEOUT
        while True:
            try:
                event = run.events.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.close()
                return
            if event["event"] in ("exited", "gone"):
                return

    def close(self) -> None:
        """End the process and all that it started; safe to call twice, and from several threads."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes our reader, which close() alone does not
        # It ends its children, whose process groups are their own, when it sees that we are gone.
        with self._closing:
            if self._process.returncode is None:
                wait_without_reaping(self._process.pid, _END_TIMEOUT)
                # Not reaped yet, so the number still belongs to it, and the group can be nobody else's.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._reader.join(timeout=5)
        self._sock.close()

    def _send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):  # it is gone then, and the reader says so to whoever waits
            self._sock.send(json.dumps(message).encode())

    def _read(self) -> None:
        while True:
            try:
                packet = self._sock.recv(_PACKET)
            except OSError:
                packet = b""
            if not packet:
                break
            try:
                event = json.loads(packet)
            except ValueError:  # project's code that wrote to a file descriptor it does not know
                continue
            if "run" in event:
                with self._lock:
                    run = self._runs.get(event["run"])
                if run is not None:
                    run.events.put(event)
            else:
                self._control.put(event)
        gone = {"event": "gone"}
        self._control.put(gone)
        with self._lock:
            self._gone = True
            for run in self._runs.values():
                run.events.put(gone)

    @staticmethod
    def _failure(event: Mapping[str, Any], *, output: str, revision: str | None = None) -> Failure:
        if "type" not in event:
            number = event.get("signal") or 0
            how = f"was killed by signal {number}" if number else "ended without a word"
            if event.get("timed_out"):
                how = "did not get ready in time"
            return Failure(
                "WorkerEnded",
                f"the worker process {how}",
                killed=number,
                timed_out=bool(event.get("timed_out")),
                revision=revision,
                output=output,
            )
        return Failure(
            type=event["type"],
            message=event["message"],
            statement=event["statement"] or event.get("last_statement"),
            sqlstate=event["sqlstate"],
            frames=tuple((frame["path"], frame["line"], frame["name"]) for frame in event["frames"]),
            missing_module=event["missing_module"],
            module=event["module"],
            foreign=event.get("foreign"),
            revision=event.get("revision"),
            began=event.get("began", False),
            needs=event.get("needs"),
            output=output,
            traceback=event["traceback"],
        )


def _unfinished(revision: str) -> Failure:
    text = "it did not end, though the command reported success: it hides the error"
    return Failure("RuntimeError", text, revision=revision, began=True)


def _not_followed(argv: list[str]) -> Failure:
    return Failure(
        "CommandNotGuarded",
        f"{argv[0]} ended well, but none of its processes was a Python that we could follow: it ran none, or gave"
        " it another environment than its own",
    )


def _without_secrets(failure: Failure, secrets: Secrets) -> Failure:
    """The failure without the passwords that are known, which project's code likes to print."""
    return replace(
        failure,
        message=secrets.hide(failure.message),
        statement=secrets.hide(failure.statement) if failure.statement else None,
        output=secrets.hide(failure.output),
        traceback=secrets.hide(failure.traceback),
        foreign=secrets.hide(failure.foreign) if failure.foreign else None,
    )


def _frames(output: str) -> tuple[tuple[str, int, str], ...]:
    """The stacks that `faulthandler` wrote, as frames: the current thread's first."""
    threads = re.split(r"^(?=(?:Current thread|Thread) 0x)", output, flags=re.MULTILINE)[1:]
    threads.sort(key=lambda text: not text.startswith("Current"))
    return tuple(
        (path, int(line), name)
        for text in threads
        for path, line, name in re.findall(r'^  File "(.+)", line (\d+) in (.+)$', text, re.MULTILINE)
    )


def _statement(output: Path) -> str | None:
    """The statement that ran when the process hung or was killed: see `inside/running.py`."""
    try:
        data = Path(f"{output}.statement").read_bytes()
    except OSError:
        return None
    (length,) = struct.unpack("<I", data[:4]) if len(data) >= 4 else (0,)
    return data[4 : 4 + length].decode("utf-8", "replace") or None


def _tail(path: Path, limit: int = 4000) -> str:
    """The last characters of a log, or nothing where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - limit))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""
