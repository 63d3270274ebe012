"""The parts of the Markdown report: graph, heads, proof, downgrades, files. Each gives lines, or []."""

from __future__ import annotations

import os.path
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converger.report.json import relative_path
from converger.report.markup import code, fence, folded, link, prose, table
from converger.report.text import counted
from converger.report.verdicts import IN_SHORT, server_name
from converger.report.visible import block, visible
from converger.report.whose import THIS, whose

if TYPE_CHECKING:
    from converger.proof.model import DowngradeRun, PathResult
    from converger.report.result import Result

_ID = 40
_MESSAGE = 100
_NAME = 60
_SHORT_COMMIT = 8
_MOST_IDS = 4
_OPEN_ROWS = 8
"""A longer table is folded."""

_TOGETHER = "\u00a0"
"""Keeps a narrow cell on one line."""

_MERMAID_CHARACTERS = 40_000
"""GitHub's Mermaid draws no text beyond 50,000 characters, and no more than 500 edges."""


@dataclass(frozen=True)
class Room:
    """How much of everything there is room for."""

    boxes: int
    rows: int
    conflicts: int
    lines: int
    files: bool


def graph_part(result: Result, room: Room) -> list[str]:
    """The ancestor, the branches and the merges, drawn by Mermaid; a sentence where that is too large."""
    from converger.report.sketch import sketch

    found = sketch(result, room.boxes)
    if found is None:
        return []
    if found.lines is None or sum(map(len, found.lines)) > _MERMAID_CHARACTERS:
        return [
            f"The graph has {found.revisions} revisions to show, too many for a drawing here: "
            "`alembic-converger graph` draws it."
        ]
    return fence(found.lines, "mermaid")


def heads_part(result: Result, room: Room) -> list[str]:
    """The heads that are to meet: revision with a link to its file, message, and who and what brought it."""
    graph = result.outcome.graph
    heads = apart(result)
    if graph is None or len(heads) < 2:
        return []
    rows = []
    for head in heads[: room.rows]:
        revision = graph.revisions[head]
        rows.append(
            (
                file_link(result, revision.path, revision.line, shown=head),
                prose(revision.message, _MESSAGE),
                _brought_by(result, head),
            )
        )
    columns = 3 if any(brought for _, _, brought in rows) else 2
    out = table(("head", "message", "brought by")[:columns], [row[:columns] for row in rows])
    if len(heads) > room.rows:
        out += ["", f"and {len(heads) - room.rows} more heads."]
    return out if len(heads) <= _OPEN_ROWS else folded(f"The {len(heads)} heads", out)


def _brought_by(result: Result, head: str) -> str:
    origin = result.origins.get(head)
    what = ""
    if whose(result, head) == THIS:
        what = THIS
    elif origin is not None and origin.pull_request is not None:
        what = link(f"#{origin.pull_request}", result.pull_url(origin.pull_request))
    elif origin is not None and origin.commit is not None:
        what = commit_link(result, origin.commit)
    elif side := whose(result, head):
        what = code(side, _NAME)
    author = code(origin.author or "", _NAME) if origin is not None else ""
    return " by ".join(filter(None, (what, author))) if what else author


def apart(result: Result) -> tuple[str, ...]:
    """The heads that are to be merged; all heads where there is no plan."""
    outcome = result.outcome
    planned = tuple(head for line in outcome.lines if line.merges for head in line.heads)
    if planned or outcome.graph is None or outcome.lines:
        return planned
    return outcome.graph.heads


def proof_part(result: Result, room: Room) -> list[str]:
    """The starting states, with what was run from there, what came of it and how long it took."""
    proof = result.outcome.proof
    if proof is None or not proof.paths or proof.verdict not in IN_SHORT:
        return []
    merges = {merge.revision for line in result.outcome.lines for merge in line.merges}
    # Where databases end up different, that every upgrade succeeded is no good news.
    good = "no error" if proof.verdict == "differ" else "✅ ok"
    rows = []
    shown = sorted(proof.paths, key=lambda path: path.result == "ok")[: room.rows]
    for path in (path for path in proof.paths if path in shown):
        ok = path.result == "ok"
        rows.append(
            (
                _start(path, result),
                _order(path, merges),
                (good if ok else "❌ fails").replace(" ", _TOGETHER),
                f"{path.seconds:.2f}{_TOGETHER}s",
            )
        )
    out = table(("a database at", "runs", "result", "time"), rows)
    if len(proof.paths) > len(shown):
        out += ["", f"and {len(proof.paths) - len(shown)} more starting states."]
    if len(rows) > _OPEN_ROWS:
        out = folded(counted(len(proof.paths), "starting state"), out)
    said = IN_SHORT[proof.verdict]
    if not proof.coverage.whole and proof.verdict == "commute":
        said = "no conflict so far, but it was cut short"
    return [f"#### Proof on {prose(server_name(proof), _NAME)}: {said}", "", *out]


def _start(path: PathResult, result: Result) -> str:
    if not path.start:
        return "*empty*"
    shown = state(path.start)
    if len(path.start) == 1:
        if side := whose(result, path.start[0]):
            return f"{shown}, {THIS if side == THIS else code(side, _NAME)}"
        if any(path.start == line.base_state for line in result.outcome.lines):
            return f"{shown}, the ancestor"
    return shown


def state(heads: Sequence[str]) -> str:
    """A state by its heads."""
    names = [code(head, _ID) for head in heads[:_MOST_IDS]]
    if len(heads) > _MOST_IDS:
        names.append(f"and {len(heads) - _MOST_IDS} more")
    return ", ".join(names) if names else "an empty database"


def _order(path: PathResult, merges: set[str]) -> str:
    """The revisions that were run; the merges, which change nothing, only where there is nothing else."""
    stopped = "" if path.result == "ok" else ", then fails"
    order = [revision for revision in path.order if revision not in merges]
    if not order:
        return "only the merge" if path.order else "nothing" if path.result == "ok" else "fails at once"
    names = [code(revision, _ID) for revision in order]
    if len(names) > _MOST_IDS:
        return f"{names[0]} … {names[-2]}, {names[-1]} ({len(names)} in all){stopped}"
    return ", ".join(names) + stopped


def named(id: str, result: Result) -> str:
    """A revision with its message and its side."""
    graph = result.outcome.graph
    revision = graph.revisions.get(id) if graph is not None else None
    about = (prose(revision.message, _MESSAGE) if revision is not None else "", where(id, result))
    shown = ", ".join(filter(None, about))
    return f"{code(id, _ID)} ({shown})" if shown else code(id, _ID)


def where(id: str, result: Result) -> str:
    """The side of a revision as a part of a sentence."""
    side = whose(result, id)
    if side is None:
        return ""
    return f"in {THIS}" if side == THIS else f"on {code(side, _NAME)}"


def downgrade_part(result: Result) -> list[str]:
    """What the downgrades do; folded unless merging is what breaks them."""
    proof = result.outcome.proof
    if proof is None:
        return []
    downgrade = proof.downgrade
    behind = [run for run in downgrade.runs if run.merged and run.target]
    if not behind:
        # Its one line is among how it was looked at.
        return []
    out = ["`alembic downgrade -1` is ambiguous behind a merge. Instead:", ""]
    rows = [
        (
            code(f"alembic downgrade {run.target}", 2 * _ID + 20),
            code(run.branch, _ID) if run.branch else "all branches",
            _downgrade_result(run),
        )
        for run in behind[:_OPEN_ROWS]
    ]
    out += table(("command", "takes back", "result"), rows)
    if len(behind) > _OPEN_ROWS:
        out += ["", f"and {len(behind) - _OPEN_ROWS} more, one for each head."]
    if downgrade.detail:
        out += ["", f"{prose(downgrade.detail, 400)}."]
    for run in behind[:_OPEN_ROWS]:
        if run.by_merging:
            out += _trouble(run)
    if downgrade.by_merging:
        return ["#### Merging breaks downgrades", "", *out]
    return folded("How to downgrade behind the merge", out)


_DOWNGRADES = {"restores": "✅ restores", "leaves-residue": "leaves residue", "not-run": "not run"}


def _downgrade_result(run: DowngradeRun) -> str:
    said = _DOWNGRADES.get(run.result, "fails")
    if run.by_merging:
        return f"❌ {said}, because of the merge"
    return said if run.result in ("restores", "not-run") else f"{said}, without the merge too"


def _trouble(run: DowngradeRun) -> list[str]:
    lines = [text for text in (*run.differences[:6], run.statement, run.error) if text]
    if len(run.differences) > 6:
        lines.insert(6, f"and {len(run.differences) - 6} more")
    where = f" fails at {code(run.revision, _ID)}" if run.revision else ""
    where = " leaves another database than there was before" if run.result == "leaves-residue" else where
    said = [line for text in lines for line in block(text, width=110, lines=8)]
    command = code(f"alembic downgrade {run.target}", 2 * _ID + 20)
    return ["", f"{command}{where or ' fails'}:", "", *fence(said, "text")] if said else []


def files_part(result: Result, room: Room) -> list[str]:
    """The merge revisions with their content, ready to be committed by hand; folded."""
    outcome = result.outcome
    if not room.files or outcome.status not in ("merged", "would-merge") or not outcome.files:
        return []
    root = outcome.project.root if outcome.project is not None else None
    out: list[str] = []
    for file in outcome.files:
        text = file.content.decode("utf-8", "backslashreplace")
        out += ["", code(relative_path(file.path, root)), ""]
        out += fence(map(visible, text.splitlines()), "python")
    ready = "" if result.written is not None else ", ready to be added by hand"
    count = len(outcome.files)
    title = f"The {count} merge revisions as files" if count > 1 else "The merge revision as a file"
    return folded(f"{title}{ready}", out[1:])


def problems_part(result: Result, room: Room) -> list[str]:
    """Findings about revision files, errors first."""
    problems = sorted(result.outcome.problems, key=lambda problem: problem.severity != "error")
    out = []
    for problem in problems[: room.rows]:
        place = file_link(result, problem.path, problem.line) if problem.path else ""
        sign = "❌" if problem.severity == "error" else "⚠️"
        out.append(f"- {' '.join(filter(None, (sign, place, prose(problem.message, 400))))}")
    if len(problems) > room.rows:
        out.append(f"- and {len(problems) - room.rows} more")
    return out


def file_link(
    result: Result, path: str, line: int | None, *, shown: str | None = None, short: bool = False
) -> str:
    """A path as code, linked to the commit that has it; `short`: its last part only, `shown`: another text."""
    name = os.path.basename(path) if short else path
    text = code(shown, _ID) if shown is not None else code(name if line is None else f"{name}:{line}")
    url = result.file_url(path, line)
    return link(text, url) if url and text else text


def commit_link(result: Result, commit: str) -> str:
    """A commit by the beginning of its id."""
    return link(code(commit[:_SHORT_COMMIT]), result.commit_url(commit))
