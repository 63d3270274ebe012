"""What a proof runs on: a folder of ours, a worker in the project's interpreter, and a server."""

from __future__ import annotations

import contextlib
import re
import shlex
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

from converger.errors import CouldNotEvaluate
from converger.folders import run_folder
from converger.interpreter import project_python, worker_environment
from converger.mergefile import MergeFile, Note
from converger.outcome import Options, Progress
from converger.project import Project
from converger.proof.blindness import Blindness
from converger.proof.door import Door
from converger.proof.packing import packed
from converger.proof.process import Flask, LoadFailed, Worker
from converger.proof.scratch import Server
from converger.proof.secrecy import unreadable
from converger.proof.servers import check_one_dialect, dialect_of, driver_of, open_server
from converger.proof.sites import Site, Sites
from converger.proof.start import StartingPoint

_URL_NAMES = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI")
"""Variables that hold the scratch URL for projects that read their database from the environment."""


class Bench:
    """Worker and server of one run; a context manager that ends both and removes what they made.

    Entering starts the worker's imports, which take longest, so that what comes before the proof costs
    no time. `prepare` then says what is to be proven; after it `server` and `worker` can be used.
    Entering and `prepare` raise CouldNotEvaluate.
    """

    server: Server
    sites: Sites
    worker: Worker
    preloaded: bool
    began: float
    """When it was entered, by `time.monotonic()`: a proof's time counts from here."""

    def __init__(self, project: Project, options: Options, progress: Progress) -> None:
        self.project = project
        self.progress = progress
        self.python = project_python(project, options.python, options.environment)
        self.url_names = tuple(dict.fromkeys((*_URL_NAMES, *options.database_url_env)))
        self.own_server = not options.database_url
        self.command = tuple(shlex.split(options.command)) if options.command else None
        self._preload = self.command is None
        self._start_from = StartingPoint(options.base_sql, options.prepare, options.seed_sql, progress)
        self._cut_network = not options.allow_network
        self._network_note = "--allow-network" if options.allow_network else None
        self._options = options
        self._staged: tuple[Path, ...] = ()
        self._stack = ExitStack()
        self._lock = threading.Lock()
        self._workers: list[Worker] = []
        self._stopping = False

    def __enter__(self) -> Bench:
        self.began = time.monotonic()
        with ExitStack() as stack, _needs_room():
            self._dialect = dialect_of(self._options.database_url, self.project.sqlalchemy_url)
            self.driver = driver_of(self._options.database_url, self.project.sqlalchemy_url)
            urls = dict(zip(self.project.databases, self.project.database_urls, strict=False))
            check_one_dialect(self._options.database_url, urls)
            stack.enter_context(unreadable())
            self._folder = stack.enter_context(run_folder())
            self._program = self._folder / "converger-inside.pyz"
            self._program.write_bytes(packed())
            self.worker = self._start(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def prepare(self, files: Sequence[MergeFile]) -> None:
        """Show the worker the merges, which are not in the tree yet, and open the server."""
        with _needs_room():
            self._staged = tuple(self._stage(number, file) for number, file in enumerate(files))
        self.worker.load(staged=self._staged, preload=self._preload)
        self.server = open_server(
            database_url=self._options.database_url,
            project_url=self.project.sqlalchemy_url,
            progress=self.progress.say,
        )
        self._stack.callback(self.server.close)
        reason = self.server.why_no_socket() if self._cut_network else None
        if reason:
            self._cut_network = False
            self._network_note = reason
            self.worker.close()
            self.worker = self._start(self._stack)
            self.worker.load(staged=self._staged, preload=self._preload)
        self._wait_loaded()
        self.sites = Sites(
            self.server,
            sections=self.project.databases,
            url_names=self.url_names,
            door=self._open_door().url,
            driver=self.driver or self.worker.facts.get("driver"),
        )

    def seed(self, site: Site) -> None:
        """Load the rows of `--seed-sql` into a site at the common ancestor. Raises as `start` does."""
        self._start_from.seed(self.server, site)

    @property
    def proof_budget(self) -> float:
        """Seconds after which the proof of a line begins no further step."""
        return self._options.proof_budget

    @property
    def start_database(self) -> str:
        """What the project's history starts from, in words."""
        return self._start_from.database

    def start(self, worker: Worker, site: Site) -> bool:
        """Bring a new site to where the project's history starts; whether that is another place than empty.

        Raises CouldNotEvaluate and ConfigurationError.
        """
        return self._start_from.reach(
            worker, self.server, self.sites, site, Blindness(self.project.root, self.python)
        )

    def faithful_worker(self) -> Worker:
        """Another worker, loaded, that imports the project's code in exactly Alembic's order.

        Raises CouldNotEvaluate.
        """
        worker = self._start(self._stack)
        worker.load(staged=self._staged, preload=False)
        self._wait_faithful(worker)
        return worker

    def _wait_faithful(self, worker: Worker) -> None:
        try:
            worker.wait_loaded()
        except LoadFailed as failed:
            blindness = Blindness(self.project.root, self.python)
            raise blindness.reason(failed.failure) or blindness.environment_failed(failed.failure) from None

    def stop_workers(self) -> None:
        """End all workers, also those that other threads are starting: nothing more is to be run."""
        with self._lock:
            self._stopping = True
            workers = list(self._workers)
        for worker in workers:
            worker.close()

    def notes(self) -> tuple[Note, ...]:
        """What the project's interpreter has, and what its code could have reached."""
        facts: Mapping[str, Any] = self.worker.wait_loaded()
        versions = f"Python {facts['python']}, Alembic {facts['alembic']}, SQLAlchemy {facts['sqlalchemy']}"
        notes = [Note("environment", versions)]
        if self._network_note:
            text = f"env.py and the migrations could use the network: {self._network_note}"
            notes.append(Note("network", text))
        if reached := self.server.why_not_isolated():
            notes.append(Note("not-isolated", reached))
        return (*notes, *self._start_from.notes)

    def _start(self, stack: ExitStack) -> Worker:
        options = self._options
        worker = Worker(
            python=self.python,
            program=self._program,
            project=self.project,
            driver_url=f"{self._dialect}+{self.driver}" if self.driver else self._dialect,
            environment=worker_environment(
                options.environment, options.env, database_url_names=self.url_names
            ),
            folder=self._folder,
            timeout=options.timeout,
            cut_network=self._cut_network,
            flask=self._flask(),
        )
        stack.callback(worker.close)
        with self._lock:
            self._workers.append(worker)
            stopping = self._stopping
        if stopping:
            worker.close()
        return worker

    def _flask(self) -> Flask | None:
        """How the project's Flask application is found, where its env.py needs one."""
        if self._options.flask_app:
            return Flask(self._options.flask_app)
        if self.command is None and needs_flask(self.project.script_location / "env.py"):
            return Flask()
        return None

    def _open_door(self) -> Door:
        reason = self.worker.facts["network"]
        if self._cut_network and reason:
            self._network_note = reason
        with _needs_room():
            door = Door(self.server, self._folder, forward=self._cut_network and not reason)
        self._stack.callback(door.close)
        return door

    def _stage(self, number: int, file: MergeFile) -> Path:
        path = self._folder / f"{number}_{file.merge.revision}.py"
        path.write_bytes(file.content)
        return path

    def _wait_loaded(self) -> None:
        """Keep the preloaded worker where the project allows it, else take one that loads as Alembic does."""
        self.preloaded = self._preload
        if not self.preloaded:
            self._wait_faithful(self.worker)
            return
        try:
            # A thread does not survive a fork, but the locks that it holds do.
            if self.worker.wait_loaded()["threads"] == 1:
                return
        except LoadFailed:
            pass  # a revision may need what env.py sets up; only a worker that loads nothing early can tell
        self.worker.close()
        self.preloaded = False
        self.worker = self.faithful_worker()


def needs_flask(env_py: Path) -> bool:
    """Whether an env.py asks for the current Flask application, as Flask-Migrate's does."""
    try:
        text = env_py.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return (
        re.search(r"^\s*(?:from\s+flask\s+import\b.*\bcurrent_app\b|import\s+flask\b)", text, re.M)
        is not None
    )


@contextlib.contextmanager
def _needs_room() -> Iterator[None]:
    """Raise CouldNotEvaluate where the system gives no room for our own files."""
    try:
        yield
    except OSError as error:
        raise CouldNotEvaluate(
            f"no folder for temporary files can be used: {error.strerror or error}",
            code="no-scratch-folder",
            hint="set TMPDIR to a folder that can be written to and has room",
        ) from None
