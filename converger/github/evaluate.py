"""One evaluation: fetch, merge in memory, read both sides; and only where heads are to be merged install and prove.

Every evaluation has a temporary folder and a repository of its own: what ran in a checkout could reach the repository
behind it, so nothing is fetched into that one afterwards.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from converger.errors import ConfigurationError, ConvergerError, CouldNotEvaluate, Refused
from converger.folders import RUN_FOLDER, MarkedFolder, sweep
from converger.git import GitError, resolve_commit
from converger.github.annotations import without_commands
from converger.github.inputs import is_branch_name
from converger.github.merged import Merged, checkout
from converger.github.places import Places
from converger.github.repository import FetchFailed, Remote, ScratchRepository
from converger.history import GitTree, Graph, Problem, read_history
from converger.inspection import plan_merges
from converger.outcome import Options, Outcome, Progress
from converger.project import Project, load_project
from converger.report.json import relative_path
from converger.report.result import Origin, Situation, situation_of

if TYPE_CHECKING:
    from converger.github.install import Installed
    from converger.github.settings import Settings
    from converger.mergefile import MergeFile
    from converger.plan import LinePlan

_LFS = b"version https://git-lfs.github.com/spec/"
_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation found.

    `files` are the merge revisions by their path in the repository. `files_at`, `sources`, `origins` are those of
    `report.result.Result`.
    """

    merged: Merged
    outcome: Outcome
    situation: Situation
    files: Mapping[str, bytes] = field(default_factory=dict)
    files_at: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, bytes] = field(default_factory=dict)
    origins: Mapping[str, Origin] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """The outcome's; a configuration that cannot be used keeps its own."""
        outcome = self.outcome
        if outcome.status == "unevaluated" and outcome.reason is not None:
            return outcome.reason.exit_code
        return outcome.exit_code


@dataclass(frozen=True)
class Evaluator:
    """Evaluates what GitHub has now. `say` writes one line of the log.

    `install` and `converge` are `install.install_project` and `converge.converge`; `origins` finds who brought heads,
    in a repository that is still there. `hidden` are texts that no output may show. `end_children` ends what the
    project's code left running: a git that fetches has the token in its environment.
    """

    settings: Settings
    environment: Mapping[str, str] = field(repr=False)
    say: Callable[[str], None]
    install: Callable[..., Installed]
    converge: Callable[[Options, Progress], Outcome]
    progress: Progress
    origins: Callable[[ScratchRepository, Merged, Graph, Sequence[str]], Mapping[str, Origin]]
    hidden: Sequence[str] = field(default=(), repr=False)
    end_children: Callable[[], None] = lambda: None

    @contextmanager
    def look(self, bring: Callable[[ScratchRepository], Merged]) -> Iterator[Evaluation]:
        """Evaluate what `bring` fetches. The repository is there for the time of the block.

        Raises what fetching raises (FetchFailed, GitError); all that is found out later is in the outcome.
        """
        runner = self.settings.runner
        with _folder() as folder:
            remote = Remote(runner.server_url, runner.repository, self.settings.inputs.token)
            workspace, say = Path(runner.workspace), self.progress.say
            repository = ScratchRepository(folder / "git", remote, workspace, say=say)
            merged = bring(repository)
            yield self._evaluated(repository, merged, folder)

    def _evaluated(self, repository: ScratchRepository, merged: Merged, folder: Path) -> Evaluation:
        places = Places((folder / "tree", repository.path, folder / "installed"))
        found = self._found(repository, merged, folder)
        return replace(found, outcome=places.outcome(found.outcome))

    def _found(self, repository: ScratchRepository, merged: Merged, folder: Path) -> Evaluation:
        try:
            side = self._read(repository, merged.tree)
        except ConvergerError as error:
            found = Outcome("unevaluated", reason=error)
            return Evaluation(merged, found, "unreadable")
        base_heads = None if merged.base_tree is None else self._heads_of_base(repository, merged.base_tree)
        situation = situation_of(readable=side.readable, heads=side.heads, base_heads=base_heads)
        found = side.outcome()
        # Before anything of the project ran beside it.
        evaluation = Evaluation(
            merged,
            found,
            situation,
            files_at=_files_at(merged, side.graph),
            origins=self.origins(repository, merged, side.graph, side.apart()),
        )
        if found.status != "would-merge":
            return evaluation
        found = self._proven(repository, merged, folder, side)
        found = replace(found, files=tuple(_in_repository(merged, found, file) for file in found.files))
        root = found.project.root if found.project is not None else None
        return replace(
            evaluation,
            outcome=found,
            files={relative_path(file.path, root): file.content for file in found.files},
            sources=_sources(merged, found),
        )

    def _read(self, repository: ScratchRepository, tree: str) -> _Side:
        options = self._options(repository.path)
        files = GitTree(repository.path, tree)
        project = load_project(files, config=options.config, section=options.section, cwd=options.cwd)
        history = read_history(files, project)
        graph = Graph(history)
        side = _Side(project, graph, history.problems)
        if not side.readable:
            return side
        start = self._start(repository, graph)
        try:
            options = replace(options, from_revision=start)
            return replace(side, lines=plan_merges(options, project, graph), start=start)
        except Refused as refusal:
            return replace(side, refusal=refusal)

    def _heads_of_base(self, repository: ScratchRepository, tree: str) -> int:
        """0 for a base that has no history to be read: whatever is there now was brought."""
        try:
            side = self._read(repository, tree)
        except ConvergerError:
            return 0
        return side.heads if side.readable else 0

    def _start(self, repository: ScratchRepository, graph: Graph) -> str | None:
        """`from-revision`; one that is a name for a commit which only GitHub or the checkout knows is fetched."""
        text = self.settings.inputs.from_revision
        if text is None:
            return None
        try:
            if graph.resolve(text).startswith(text):
                return text
        except LookupError:
            pass
        if resolve_commit(repository.path, text) is not None:
            return text
        with suppress(FetchFailed, GitError):
            known = (
                text if _SHA.fullmatch(text) else resolve_commit(Path(self.settings.runner.workspace), text)
            )
            if known is None and is_branch_name(text):
                known = repository.branch_and(text)
            if known is not None:
                repository.contents((known,))
                return known
        return text

    def _proven(self, repository: ScratchRepository, merged: Merged, folder: Path, side: _Side) -> Outcome:
        from converger.proof.secrecy import unreadable

        inputs = self.settings.inputs
        tree = folder / "tree"
        try:
            checkout(repository, merged.tree, tree, merged.head.commit)
            options = replace(self._options(tree), from_revision=side.start)
            for name, path in (("base-sql", options.base_sql), ("seed-sql", options.seed_sql)):
                _check_sql(name, path, tree)
            # What is installed and run is a stranger's: what it prints is text, and our environment is closed to it.
            with unreadable(), without_commands(self.say):
                if not inputs.skip_validation or side.project.hooks:
                    installed = self.install(
                        inputs,
                        repository=tree,
                        folder=options.cwd,
                        into=folder / "installed",
                        own=self.environment,
                        say=self.say,
                        hidden=self.hidden,
                    )
                    options = replace(options, python=installed.python)
                    if installed.python is not None:
                        options = replace(options, env={**_bytecode(folder / "bytecode"), **options.env})
                return self.converge(options, self.progress)
        except ConvergerError as error:
            return replace(side.outcome(), status="unevaluated", reason=error)
        finally:
            self.end_children()

    def _options(self, root: Path) -> Options:
        """The options of `converge` in a work tree, or in a repository to be read through a GitTree."""
        inputs = self.settings.inputs
        folder = Path(os.path.normpath(root / inputs.working_directory))

        def file(path: str | None) -> Path | None:
            return folder / path if path is not None else None

        return Options(
            config=Path(inputs.alembic_config) if inputs.alembic_config is not None else None,
            cwd=folder,
            from_revision=inputs.from_revision,
            strategy=inputs.strategy,
            dry_run=True,
            skip_validation=inputs.skip_validation,
            database_url=inputs.database_url,
            env=inputs.env,
            database_url_env=inputs.database_url_env,
            timeout=inputs.timeout,
            base_sql=file(inputs.base_sql),
            prepare=inputs.prepare,
            flask_app=inputs.flask_app,
            command=inputs.command,
            seed_sql=file(inputs.seed_sql),
            proof_budget=inputs.proof_budget,
            require_downgrade=inputs.require_downgrade,
            environment=self.environment,
        )


@dataclass(frozen=True)
class _Side:
    """The history of one tree, and the plan for it. `start` is what `from-revision` came to be."""

    project: Project
    graph: Graph
    problems: tuple[Problem, ...]
    lines: tuple[LinePlan, ...] = ()
    refusal: Refused | None = None
    start: str | None = None

    @property
    def readable(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)

    @property
    def heads(self) -> int:
        """The heads that want merging; one where each line has one."""
        return len(self.apart()) or 1

    def apart(self) -> tuple[str, ...]:
        if self.refusal is not None:
            return self.graph.heads
        return tuple(head for line in self.lines if line.merges for head in line.heads)

    def outcome(self) -> Outcome:
        """What is known without running anything; `would-merge` where there is something to prove."""
        found = Outcome(
            "converged", project=self.project, graph=self.graph, lines=self.lines, problems=self.problems
        )
        if not self.readable:
            errors = [problem for problem in self.problems if problem.severity == "error"]
            reason = CouldNotEvaluate(errors[0].message, code=errors[0].code)
            return replace(found, status="unevaluated", reason=reason)
        if self.refusal is not None:
            return replace(found, status="refused", reason=self.refusal)
        return replace(found, status="would-merge") if self.apart() else found


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder on a disk, not in memory: an environment with a project's dependencies may be large."""
    sweep(RUN_FOLDER)
    folder = MarkedFolder(RUN_FOLDER, short=True)
    try:
        yield Path(folder.path)
    finally:
        if _is_first_process():
            # The container ends with us, and all in it; tens of thousands of files take their time.
            threading.Thread(target=folder.remove, daemon=True).start()
        else:
            folder.remove()


def _is_first_process() -> bool:
    return os.getpid() == 1


def _bytecode(folder: Path) -> dict[str, str]:
    """Variables by which what the project imports is compiled once, into a folder of ours.

    What was installed just now has no bytecode, and each upgrade is a process of its own. To compile all that was
    installed would take longer: of a large application a tenth is imported.
    """
    return {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def _in_repository(merged: Merged, outcome: Outcome, file: MergeFile) -> MergeFile:
    """The file where links lead to: in a commit it must not take the place of a link on the way."""
    root = outcome.project.root if outcome.project is not None else None
    path = relative_path(file.path, root)
    if root is None or path.startswith("/"):
        return file
    real = GitTree(merged.path, merged.tree).real(str(merged.path / path))
    return replace(file, path=root / os.path.relpath(real, merged.path))


def _check_sql(name: str, path: Path | None, tree: Path) -> None:
    """A file to load is one of the repository's, and there: what is in it may be shown in a comment."""
    if path is None or not path.is_file():
        return  # said by who wants to read it
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(tree)):
        raise ConfigurationError(
            f"{name}: {path} is a link that leads out of the repository",
            code="dump-unreadable",
            hint="put the file itself into the repository",
        )
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise ConfigurationError(
                f"{name}: {path} is in Git LFS; the repository has only a pointer to it",
                code="dump-unreadable",
                hint="put the file itself into the repository, or make it with the input prepare",
            )


def _files_at(merged: Merged, graph: Graph) -> dict[str, str]:
    """The revision files that are on the base only, with its commit."""
    if merged.base is None:
        return {}
    tree = GitTree(merged.path, merged.head_tree)
    found = {}
    for revision in graph.revisions.values():
        if not revision.path.startswith("/") and tree.kind(str(merged.path / revision.path)) is None:
            found[revision.path] = merged.base.commit
    return found


def _sources(merged: Merged, outcome: Outcome) -> dict[str, bytes]:
    """The files that conflicts point to, as they were looked at."""
    tree = GitTree(merged.path, merged.tree)
    found = {}
    for conflict in outcome.proof.conflicts if outcome.proof is not None else ():
        for place in (conflict.location, conflict.other_location):
            if place is not None and not place.path.startswith("/"):
                with suppress(OSError, GitError):
                    found[place.path] = tree.read(str(merged.path / place.path))
    return found
