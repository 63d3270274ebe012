"""What `check` and `graph` need: the project, its graph and its lines of history. Executes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from converger.errors import EXIT_OK, EXIT_REFUSED, EXIT_UNEVALUATED, ConfigurationError, Refused
from converger.git import find_root
from converger.history import Graph, Problem, WorkingTree, read_history
from converger.outcome import Options
from converger.plan import LinePlan, make_plan
from converger.project import Project, load_project


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


def read_working_tree(options: Options) -> tuple[Project, Graph, tuple[Problem, ...]]:
    """The project, the graph and all findings, from the files as they are now."""
    tree = WorkingTree(find_root(options.cwd) or options.cwd)
    project = load_project(tree, config=options.config, section=options.section, cwd=options.cwd)
    history = read_history(tree, project)
    return project, Graph(history), (*project.problems, *history.problems)


def plan_merges(options: Options, project: Project, graph: Graph) -> tuple[LinePlan, ...]:
    """The plan for these options. Raises Refused, or ConfigurationError for an unknown --from-revision."""
    start = _from_revisions(options, project, graph)
    return make_plan(
        graph, from_revisions=start, strategy=options.strategy, across_labels=options.across_labels
    )


def _from_revisions(options: Options, project: Project, graph: Graph) -> tuple[str, ...]:
    """What `--from-revision` names: a revision or unique prefix, else the heads at a git commit."""
    text = options.from_revision
    if not text:
        return ()
    try:
        return (graph.resolve(text),)
    except LookupError as error:
        unknown = str(error)
    from converger.git import resolve_commit
    from converger.history import GitTree

    commit = resolve_commit(project.root, text)
    if commit is None:
        raise ConfigurationError(
            f"--from-revision {text}: {unknown}, and git knows no commit, branch or tag of that name",
            code="unknown-from-revision",
            hint="give a revision id (or a unique prefix), or a commit; in a shallow clone fetch the history"
            " first (git fetch --unshallow, or fetch-depth: 0 in actions/checkout)",
        )
    tree = GitTree(project.root, commit)
    there = load_project(tree, config=options.config, section=options.section, cwd=options.cwd)
    then = read_history(tree, there)
    if any(problem.severity == "error" for problem in then.problems):
        first = next(problem for problem in then.problems if problem.severity == "error")
        raise ConfigurationError(
            f"--from-revision {text}: the history at commit {commit[:12]} cannot be read: {first.message}",
            code="unreadable-from-revision",
        )
    return tuple(head for head in Graph(then).heads if head in graph.revisions)
