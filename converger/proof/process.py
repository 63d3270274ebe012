"""The worker as seen from our side: a child process that upgrades scratch databases.

Nothing here knows what is being proven. The worker's end of the conversation is `worker.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
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
from converger.proof.upgrade import Failure, Step, Upgrade
from converger.proof.urls import parse_url, scrub

_PACKET = 256 * 1024
_END_TIMEOUT = 5.0  # seconds for it to end by itself; one that is busy loading has no children yet
_EXIT_TIMEOUT = 10.0  # seconds for an upgrade's process to be gone after its last word, or once killed
_START_TIMEOUT = 120.0  # seconds for importing Alembic and the revision files on a slow disk


@dataclass
class _Run:
    events: queue.Queue[dict[str, Any]] = field(default_factory=queue.Queue)


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
        project: Project,
        driver_url: str,
        environment: Mapping[str, str],
        folder: Path,
        timeout: float,
    ) -> None:
        self._project = project
        self._driver_url = driver_url
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
        worker = Path(__file__).with_name("worker.py")
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [python, str(worker), str(theirs.fileno())],
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
                raise LoadFailed(self._failure(event, output=_tail(self._log)))
            self.facts = event
        return self.facts

    def upgrade(
        self,
        *,
        url: str,
        mark: Mapping[str, str],
        target: str,
        environ: Mapping[str, str],
        shared: bool = True,
        on_begin: Callable[[str], None] = lambda revision: None,
    ) -> Upgrade:
        """Run `alembic upgrade TARGET` against the scratch database at `url`; never raises for its failing.

        `shared`: others use the server too, so a migration is stopped before it changes what belongs to the
        whole server, such as a role.
        """
        number = next(self._numbers)
        run = _Run()
        with self._lock:
            self._runs[number] = run
            if self._gone:
                run.events.put({"event": "gone"})
        output = self._folder / f"output-{number}-{id(self):x}.log"
        began = time.monotonic()
        self._send(
            {
                "cmd": "upgrade",
                "run": number,
                "url": url,
                "mark": dict(mark),
                "target": target,
                "environ": dict(environ),
                "shared": shared,
                "output": str(output),
            }
        )
        steps: list[Step] = []
        failure: Failure | None = None
        foreign: str | None = None
        version_table, schema = "alembic_version", None
        current: str | None = None
        done = False
        while True:
            try:
                event = run.events.get(timeout=min(self._timeout, _EXIT_TIMEOUT) if done else self._timeout)
            except queue.Empty:
                if not done:
                    failure = Failure(
                        "Timeout",
                        f"nothing happened for {self._timeout:g} seconds",
                        revision=current,
                        timed_out=True,
                        output=_tail(output),
                    )
                self._end(number, run)
                break
            name = event["event"]
            if name == "begin":
                current = event["revision"]
                on_begin(current)
            elif name == "step":
                rows = None if event["rows"] is None else tuple(sorted(str(row) for row in event["rows"]))
                steps.append(Step(event["revision"], rows, event["seconds"]))
            elif name == "foreign":
                foreign = event["message"]
            elif name in ("done", "failed"):
                done = True
                version_table = event["version_table"] or version_table
                schema = event["version_table_schema"]
                if name == "failed":
                    failure = self._failure(event, output=_tail(output))
            else:  # exited, gone
                if not done:
                    failure = self._failure(event, output=_tail(output), revision=current)
                break
        if foreign is not None:  # whoever it was, and whatever became of it
            failure = replace(
                failure or Failure("ForeignConnection", foreign, revision=current), foreign=foreign
            )
        if failure is not None:
            failure = _without_secrets(failure, url)
        with self._lock:
            del self._runs[number]
        return Upgrade(target, tuple(steps), time.monotonic() - began, failure, version_table, schema)

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
            output=output,
            traceback=event["traceback"],
        )


def _without_secrets(failure: Failure, url: str) -> Failure:
    """The failure without the password of the database it ran on, which project's code likes to print."""
    known = parse_url(url)
    return replace(
        failure,
        message=scrub(failure.message, known),
        statement=scrub(failure.statement, known) if failure.statement else None,
        output=scrub(failure.output, known),
        traceback=scrub(failure.traceback, known),
        foreign=scrub(failure.foreign, known) if failure.foreign else None,
    )


def _tail(path: Path, limit: int = 4000) -> str:
    """The last characters of a log, or nothing where there is none."""
    try:
        with path.open("rb") as log:
            log.seek(0, os.SEEK_END)
            log.seek(max(0, log.tell() - limit))
            return log.read().decode("utf-8", "replace")
    except OSError:
        return ""
