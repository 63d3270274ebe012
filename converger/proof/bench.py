"""What a proof runs on: a folder of ours, a worker in the project's interpreter, and a server."""

from __future__ import annotations

import contextlib
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
from converger.proof.process import LoadFailed, Worker
from converger.proof.scratch import Server
from converger.proof.servers import dialect_of, driver_of, open_server

_URL_NAMES = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI")
"""Variables that hold the scratch URL for projects that read their database from the environment."""


class Bench:
    """Worker and server of one run; a context manager that ends both and removes what they made.

    Entering starts the worker's imports, which take longest, so that what comes before the proof costs
    no time. `prepare` then says what is to be proven; after it `server` and `worker` can be used.
    Entering and `prepare` raise CouldNotEvaluate.
    """

    server: Server
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
            self._folder = stack.enter_context(run_folder())
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
        self.worker.load(staged=self._staged, preload=True)
        self.server = open_server(
            database_url=self._options.database_url,
            project_url=self.project.sqlalchemy_url,
            progress=self.progress.say,
        )
        self._stack.callback(self.server.close)
        self._wait_loaded()

    def faithful_worker(self) -> Worker:
        """Another worker, loaded, that imports the project's code in exactly Alembic's order.

        Raises CouldNotEvaluate.
        """
        worker = self._start(self._stack)
        worker.load(staged=self._staged, preload=False)
        try:
            worker.wait_loaded()
        except LoadFailed as failed:
            blindness = Blindness(self.project.root, self.python)
            raise blindness.reason(failed.failure) or blindness.environment_failed(failed.failure) from None
        return worker

    def stop_workers(self) -> None:
        """End all workers, also those that other threads are starting: nothing more is to be run."""
        with self._lock:
            self._stopping = True
            workers = list(self._workers)
        for worker in workers:
            worker.close()

    def environment_note(self) -> Note:
        """The versions that the project's interpreter has."""
        facts: Mapping[str, Any] = self.worker.wait_loaded()
        return Note(
            "environment",
            f"Python {facts['python']}, Alembic {facts['alembic']}, SQLAlchemy {facts['sqlalchemy']}",
        )

    def _start(self, stack: ExitStack) -> Worker:
        options = self._options
        worker = Worker(
            python=self.python,
            project=self.project,
            driver_url=f"{self._dialect}+{self.driver}" if self.driver else self._dialect,
            environment=worker_environment(
                options.environment, options.env, database_url_names=self.url_names
            ),
            folder=self._folder,
            timeout=options.timeout,
        )
        stack.callback(worker.close)
        with self._lock:
            self._workers.append(worker)
            stopping = self._stopping
        if stopping:
            worker.close()
        return worker

    def _stage(self, number: int, file: MergeFile) -> Path:
        path = self._folder / f"{number}_{file.merge.revision}.py"
        path.write_bytes(file.content)
        return path

    def _wait_loaded(self) -> None:
        """Keep the preloaded worker where the project allows it, else take one that loads as Alembic does."""
        self.preloaded = True
        try:
            # A thread does not survive a fork, but the locks that it holds do.
            if self.worker.wait_loaded()["threads"] == 1:
                return
        except LoadFailed:
            pass  # a revision may need what env.py sets up; only a worker that loads nothing early can tell
        self.worker.close()
        self.preloaded = False
        self.worker = self.faithful_worker()


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
