"""The proof of one line of history: start a server and a worker, run the paths, say what they showed."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from converger.errors import ConvergerError, CouldNotEvaluate
from converger.history import Graph
from converger.mergefile import Note
from converger.outcome import Options, Progress
from converger.plan import LinePlan
from converger.project import Project
from converger.proof.explain import Blindness, Explainer
from converger.proof.model import PathResult, Proof
from converger.proof.paths import Journey, Leg, PathRunner
from converger.proof.process import LoadFailed, Worker, project_python, worker_environment
from converger.proof.scratch import Server
from converger.proof.servers import dialect_of, driver_of, open_server
from converger.proof.verdict import judge

_URL_NAMES = ("DATABASE_URL", "SQLALCHEMY_DATABASE_URI")
"""Variables that hold the scratch URL for projects that read their database from the environment."""


@dataclass(frozen=True)
class Proven:
    """A proof, and why it could not be given where its verdict is `unevaluated`."""

    proof: Proof
    reason: ConvergerError | None = None


def prove(
    *,
    project: Project,
    graph: Graph,
    lines: tuple[LinePlan, ...],
    staged: tuple[Path, ...],
    folder: Path,
    options: Options,
    progress: Progress,
) -> Proven:
    """Prove for each line that every database gets to its final head and that all end alike.

    `graph` includes the planned merges, `staged` are their files, which are not in the tree yet.
    `folder` is for the worker's logs. The first line that does not commute decides; later ones are not looked at.
    Never raises for what the project's code does: that is in the verdict or in `reason`.
    """
    began = time.monotonic()
    with ExitStack() as stack:
        try:
            bench = _open_bench(project, graph, staged, folder, options, progress, stack)
        except CouldNotEvaluate as error:
            return Proven(_unevaluated(None, began), error)
        found: list[Proof] = []
        try:
            for line in lines:
                proven = bench.prove(line)
                found.append(proven.proof)
                if proven.proof.verdict != "commute":
                    return Proven(_joined(found, began), proven.reason)
        except CouldNotEvaluate as error:
            found.append(_unevaluated(bench.server, began))
            return Proven(_joined(found, began), error)
        return Proven(_joined(found, began))


@dataclass(frozen=True)
class _Bench:
    """Server and worker of one run, ready to prove lines one after the other."""

    server: Server
    driver: str | None
    project: Project
    graph: Graph
    python: str
    url_names: tuple[str, ...]
    worker: Worker
    preloaded: bool
    start_worker: Callable[[bool], Worker]
    progress: Progress

    def prove(self, line: LinePlan) -> Proven:
        began = time.monotonic()
        blindness = Blindness(self.project.root, self.python)
        explainer = Explainer(self.project, self.graph, line, blindness)
        runner = self._runner(line)
        self.progress.say(f"upgrading an empty database to {' + '.join(line.base_state) or 'nothing'}")
        base, base_legs = runner.reach_base()
        for leg in base_legs:
            if leg.failure:
                error = blindness.reason(leg.failure) or explainer.below_the_ancestor(leg)
                path = PathResult((), _order(base_legs), "failed", _seconds(base_legs))
                return Proven(_unevaluated(self.server, began, (path,)), error)
        journeys = runner.run(base)
        paths = _paths(journeys, base_legs)
        for journey in journeys:
            failed = journey.failed
            reason = blindness.reason(failed.failure) if failed and failed.failure else None
            if reason is not None:
                return Proven(_unevaluated(self.server, began, paths), reason)
        return Proven(
            Proof(
                verdict=judge(journeys),
                dialect=self.server.dialect,
                server_version=self.server.server_version,
                seconds=time.monotonic() - began,
                paths=paths,
                conflicts=explainer.conflicts(journeys),
                notes=(self._environment_note(),),
            )
        )

    def _runner(self, line: LinePlan) -> PathRunner:
        return PathRunner(
            server=self.server,
            driver=self.driver,
            graph=self.graph,
            line=line,
            worker=self.worker,
            preloaded=self.preloaded,
            start_faithful=lambda: self.start_worker(False),
            database_url_env=self.url_names,
            progress=self.progress,
        )

    def _environment_note(self) -> Note:
        facts = self.worker.wait_loaded()
        return Note(
            "environment",
            f"Python {facts['python']}, Alembic {facts['alembic']}, SQLAlchemy {facts['sqlalchemy']}",
        )


def _open_bench(
    project: Project,
    graph: Graph,
    staged: tuple[Path, ...],
    folder: Path,
    options: Options,
    progress: Progress,
    stack: ExitStack,
) -> _Bench:
    """Start server and worker side by side; `stack` closes them. Raises CouldNotEvaluate."""
    python = project_python(project, options.python, options.environment)
    driver = driver_of(options.database_url, project.sqlalchemy_url)
    dialect = dialect_of(options.database_url, project.sqlalchemy_url)
    url_names = tuple(dict.fromkeys((*_URL_NAMES, *options.database_url_env)))

    def start_worker(preload: bool) -> Worker:
        worker = Worker(
            python=python,
            project=project,
            staged=staged,
            preload=preload,
            driver_url=f"{dialect}+{driver}" if driver else dialect,
            environment=worker_environment(options.environment, options.env, database_url_names=url_names),
            folder=folder,
            timeout=options.timeout,
        )
        stack.callback(worker.close)
        return worker

    worker = start_worker(True)  # it loads while the server starts
    server = open_server(
        database_url=options.database_url, project_url=project.sqlalchemy_url, progress=progress.say
    )
    stack.callback(server.close)
    worker, preloaded = _loaded(worker, start_worker, project, python)
    return _Bench(
        server, driver, project, graph, python, url_names, worker, preloaded, start_worker, progress
    )


def _loaded(
    worker: Worker, start_worker: Callable[[bool], Worker], project: Project, python: str
) -> tuple[Worker, bool]:
    """The worker, preloaded where the project allows it, else one that loads as Alembic itself would."""
    try:
        # A thread does not survive a fork, but the locks that it holds do.
        if worker.wait_loaded()["threads"] == 1:
            return worker, True
    except LoadFailed:
        pass  # a revision may need what env.py sets up; only a worker that loads nothing early can tell
    worker.close()
    worker = start_worker(False)
    try:
        worker.wait_loaded()
    except LoadFailed as failed:
        blindness = Blindness(project.root, python)
        raise blindness.reason(failed.failure) or blindness.environment_failed(failed.failure) from None
    return worker, False


def _paths(journeys: tuple[Journey, ...], base_legs: tuple[Leg, ...]) -> tuple[PathResult, ...]:
    """What to report: the journeys, and the one from an empty database, which is the ancestor's continued."""
    results = []
    for number, journey in enumerate(journeys):
        legs = journey.legs if not journey.failed_on_its_own else journey.approach
        result: Literal["ok", "failed"] = "failed" if journey.failed else "ok"
        if number == 0:
            results.append(
                PathResult(
                    (), (*_order(base_legs), *_order(legs)), result, _seconds(base_legs) + _seconds(legs)
                )
            )
        if journey.start:
            results.append(PathResult(journey.start, _order(legs), result, _seconds(legs)))
    return tuple(results)


def _order(legs: tuple[Leg, ...]) -> tuple[str, ...]:
    return tuple(revision for leg in legs for revision in leg.order)


def _seconds(legs: tuple[Leg, ...]) -> float:
    return sum(leg.seconds for leg in legs)


def _joined(proofs: list[Proof], began: float) -> Proof:
    """Several lines' proofs as one: the last decides, the evidence is all."""
    return replace(
        proofs[-1],
        seconds=time.monotonic() - began,
        paths=tuple(path for proof in proofs for path in proof.paths),
    )


def _unevaluated(server: Server | None, began: float, paths: tuple[PathResult, ...] = ()) -> Proof:
    return Proof(
        verdict="unevaluated",
        dialect=server.dialect if server else "",
        server_version=server.server_version if server else "",
        seconds=time.monotonic() - began,
        paths=paths,
    )
