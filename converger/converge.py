"""The use case: read, plan, render, prove, write. Data flows one way, down this file."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from converger.errors import ConvergerError, CouldNotEvaluate, Refused
from converger.history import Revision
from converger.inspection import plan_merges, read_working_tree
from converger.mergefile import Note
from converger.outcome import Options, Outcome, Progress, Status
from converger.plan import LinePlan

if TYPE_CHECKING:
    from converger.history import Graph, Problem
    from converger.mergefile import MergeFile
    from converger.project import Project
    from converger.proof.model import Proof


def converge(options: Options, progress: Progress) -> Outcome:
    """Converge the heads of a project; the outcome says what was found, proven and written.

    Raises ConfigurationError (exit 2) only; a refusal and "could not look" are outcomes.
    """
    project, graph, problems = read_working_tree(options)
    found = Outcome("unevaluated", project=project, graph=graph, problems=problems)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        return replace(found, reason=_unreadable(errors))
    try:
        lines = plan_merges(options, project, graph)
        found = replace(found, lines=lines, notes=_left_out(options, graph, lines))
        if not any(line.merges for line in lines):
            return replace(found, status="converged")
        return _converge_lines(options, progress, found, project, graph, lines)
    except Refused as refusal:
        return replace(found, status="refused", reason=refusal)
    except CouldNotEvaluate as error:
        return replace(found, status="unevaluated", reason=error)


def _converge_lines(
    options: Options,
    progress: Progress,
    found: Outcome,
    project: Project,
    graph: Graph,
    lines: tuple[LinePlan, ...],
) -> Outcome:
    from converger.write import write_merges

    contents = _contents(project, graph)
    if options.skip_validation:
        found = replace(_rendered(options, found, project, graph, lines), proof=_skipped())
    else:
        found = _proven(options, progress, found, project, graph, lines)
        if found.proof is None or found.proof.verdict != "commute":
            return found
        reason = _downgrade_hinders(found.proof) if options.require_downgrade else None
        if reason is not None:
            status: Status = "refused" if isinstance(reason, Refused) else "unevaluated"
            return replace(found, status=status, reason=reason)
    if options.dry_run:
        return replace(found, status="would-merge")
    _check_unchanged(options, graph, contents)
    write_merges(found.files)
    return replace(found, status="merged")


def _rendered(
    options: Options, found: Outcome, project: Project, graph: Graph, lines: tuple[LinePlan, ...]
) -> Outcome:
    from converger.interpreter import project_python
    from converger.mergefile import render_merges

    rendered = render_merges(project, graph, lines)
    if project.hooks:
        from converger.hooks import run_hooks

        python = project_python(project, options.python, options.environment)
        rendered = run_hooks(project, rendered, python)
    return replace(found, files=rendered.files, notes=(*found.notes, *rendered.notes))


def _proven(
    options: Options,
    progress: Progress,
    found: Outcome,
    project: Project,
    graph: Graph,
    lines: tuple[LinePlan, ...],
) -> Outcome:
    """Render and prove. The worker imports Alembic while the merges are rendered."""
    from converger.proof.bench import Bench
    from converger.proof.prove import prove

    with Bench(project, options, progress) as bench:
        found = _rendered(options, found, project, graph, lines)
        bench.prepare(found.files)
        after = graph.with_revisions(_revision(project, file) for file in found.files)
        proven = prove(bench, after, [line for line in lines if line.merges])
    status: Status = "unevaluated" if proven.proof.verdict == "unevaluated" else "refused"
    return replace(found, proof=proven.proof, status=status, reason=proven.reason)


def _downgrade_hinders(proof: Proof) -> ConvergerError | None:
    """Refused where merging breaks a downgrade, CouldNotEvaluate where that could not be seen."""
    downgrade = proof.downgrade
    if downgrade.by_merging:
        return Refused(
            f"merging breaks downgrades ({downgrade.result}): {downgrade.detail}",
            code="merging-breaks-downgrade",
            hint="the branches' upgrades fit; mend the downgrade, or leave --require-downgrade out",
        )
    unseen = [run for run in downgrade.runs if run.result == "not-run"]
    if unseen or not downgrade.runs:
        why = (unseen[0].error if unseen else downgrade.detail) or "nothing was run"
        return CouldNotEvaluate(
            f"what downgrades do could not be seen: {why}",
            code="downgrade-not-evaluated",
            hint="without --require-downgrade that does not hinder merging",
        )
    return None


def _revision(project: Project, file: MergeFile) -> Revision:
    return Revision(
        id=file.merge.revision,
        down_revisions=file.merge.parents,
        path=os.path.relpath(file.path, project.root),
        message=file.merge.message,
    )


def _left_out(options: Options, graph: Graph, lines: tuple[LinePlan, ...]) -> tuple[Note, ...]:
    """Heads that `--from-revision` excludes: the history still has them afterwards."""
    considered = {head for line in lines for head in line.heads}
    others = [head for head in graph.heads if head not in considered]
    if not options.from_revision or not others:
        return ()
    text = f"left as they are, because they do not descend from {options.from_revision}: {', '.join(others)}"
    return (Note("heads-left-out", text),)


def _skipped() -> Proof:
    from converger.proof.model import Proof

    return Proof(verdict="skipped", dialect="", server_version="", seconds=0.0)


def _contents(project: Project, graph: Graph) -> Mapping[str, bytes]:
    """A digest of env.py and of every revision file; what is proven is proven of these bytes."""
    digests = {}
    for path in (
        os.path.join(project.script_location, "env.py"),
        *(os.path.join(project.root, revision.path) for revision in graph.revisions.values()),
    ):
        try:
            with open(path, "rb") as file:
                digests[path] = hashlib.sha256(file.read()).digest()
        except OSError:
            digests[path] = b""
    return digests


def _check_unchanged(options: Options, graph: Graph, contents: Mapping[str, bytes]) -> None:
    """Raise CouldNotEvaluate when somebody changed the history while it was being proven."""
    project, now, problems = read_working_tree(options)
    broken = any(problem.severity == "error" for problem in problems)
    if broken or dict(now.revisions) != dict(graph.revisions) or _contents(project, now) != contents:
        raise CouldNotEvaluate(
            "the revisions changed while the proof ran; nothing was written",
            code="history-changed",
            hint="run it again",
        )


def _unreadable(errors: list[Problem]) -> CouldNotEvaluate:
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    return CouldNotEvaluate(
        f"the history cannot be read: {count}, the first: {errors[0].message}",
        code=errors[0].code,
        hint="`alembic-converger check` lists them all",
    )
