"""What `check` and `graph` need: the project, its graph and its lines of history. Executes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converger.errors import EXIT_OK, EXIT_REFUSED, EXIT_UNEVALUATED, ConfigurationError, Refused
from converger.git import find_root
from converger.history import Graph, Problem, WorkingTree, read_history
from converger.outcome import Options
from converger.plan import LinePlan, make_plan
from converger.project import Project, load_project

if TYPE_CHECKING:
    from converger.guess.model import Guesses


@dataclass(frozen=True)
class Inspection:
    """One reading of a history. `refusal` says why heads that should meet cannot be merged."""

    project: Project
    graph: Graph
    lines: tuple[LinePlan, ...]
    problems: tuple[Problem, ...]
    refusal: Refused | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems because of which the graph cannot be trusted."""
        return tuple(problem for problem in self.problems if problem.severity == "error")

    @property
    def exit_code(self) -> int:
        """0: every line of history has one head; 1: one has several; 3: could not be read."""
        if self.errors:
            return EXIT_UNEVALUATED
        if self.refusal or any(line.merges for line in self.lines):
            return EXIT_REFUSED
        return EXIT_OK


def inspect(options: Options) -> Inspection:
    """Read the working tree and plan its merges. Raises ConfigurationError (exit 2)."""
    project, graph, problems = read_working_tree(options)
    if any(problem.severity == "error" for problem in problems):
        return Inspection(project, graph, (), problems)
    try:
        lines = plan_merges(options, project, graph)
    except Refused as refusal:
        return Inspection(project, graph, (), problems, refusal)
    return Inspection(project, graph, lines, problems)


def guess_about(inspection: Inspection) -> Guesses | None:
    """What the branches would do to each other, guessed from their source as it is now; nothing is run.

    None where the branches are not known: files could not be read, or the heads have no common ancestor.
    """
    if inspection.errors or inspection.refusal:
        return None
    from converger.guess.guesses import guess

    tree = WorkingTree(inspection.project.root)
    return guess(inspection.graph, inspection.lines, lambda path: tree.read(str(tree.root / path)))


def read_working_tree(options: Options) -> tuple[Project, Graph, tuple[Problem, ...]]:
    """The project, the graph and all findings, from the files as they are now."""
    # The repository of the configuration, which may be another one than that of the current folder.
    start = (options.cwd / options.config).parent if options.config is not None else options.cwd
    tree = WorkingTree(find_root(start) or options.cwd)
    project = load_project(tree, config=options.config, section=options.section, cwd=options.cwd)
    history = read_history(tree, project)
    return project, Graph(history), history.problems


def plan_merges(options: Options, project: Project, graph: Graph) -> tuple[LinePlan, ...]:
    """The plan for these options. Raises Refused, or ConfigurationError for an unknown --from-revision."""
    start = _from_revisions(options, project, graph)
    return make_plan(
        graph, from_revisions=start, strategy=options.strategy, across_labels=options.across_labels
    )


def _from_revisions(options: Options, project: Project, graph: Graph) -> tuple[str, ...]:
    """What `--from-revision` names: a revision or unique prefix, else the heads at a git commit, else a label.

    A branch label comes last: git branches and labels often have the same name (`main`), and only the
    commit is what the option promises. Empty for a commit before the first revision: then all is newer.
    """
    text = options.from_revision
    if not text:
        return ()
    try:
        found, unknown = graph.resolve(text), ""
    except LookupError as error:
        found, unknown = "", str(error)
    if found.startswith(text):
        return (found,)
    from converger.git import resolve_commit

    commit = resolve_commit(project.root, text)
    if commit is not None:
        return _heads_at(options, project, graph, commit)
    if found:
        return (found,)
    raise ConfigurationError(
        f"--from-revision {text}: {unknown}, and git knows no commit, branch or tag of that name",
        code="unknown-from-revision",
        hint="give a revision id (or a unique prefix), or a commit; in a shallow clone fetch the history"
        " first (git fetch --unshallow, or fetch-depth: 0 in actions/checkout)",
    )


def _heads_at(options: Options, project: Project, graph: Graph, commit: str) -> tuple[str, ...]:
    """The heads that the history had at a commit, read with that commit's own configuration."""
    from converger.history import GitTree

    def unreadable(why: str) -> ConfigurationError:
        return ConfigurationError(
            f"--from-revision {options.from_revision}: the history at commit {commit[:12]} {why}",
            code="unreadable-from-revision",
            hint="give a revision id instead, or a commit at which the history can be read",
        )

    tree = GitTree(project.root, commit)
    try:
        there = load_project(tree, config=options.config, section=options.section, cwd=options.cwd)
    except ConfigurationError as error:
        raise unreadable(f"has no usable configuration: {error.message}") from None
    history = read_history(tree, there)
    for problem in history.problems:
        if problem.severity == "error":
            raise unreadable(f"cannot be read: {problem.message}")
    heads = Graph(history).heads
    gone = [head for head in heads if head not in graph.revisions]
    if gone:
        raise unreadable(f"had the head {gone[0]}, which is not in the history any more")
    return heads
