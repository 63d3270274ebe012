"""The parts of the Markdown report: graph, heads, proof, conflicts, files. Each gives lines, or []."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING

from converger.plan import moment
from converger.report.json import relative_path
from converger.report.markup import code, fence, fenced, folded, link, prose, table
from converger.report.verdicts import server_name
from converger.report.visible import one_line, visible

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.outcome import Outcome
    from converger.proof.model import Conflict, Location, PathResult
    from converger.report.result import Result

_ID = 40
_MESSAGE = 100
_NAME = 60
_SHORT_COMMIT = 8
_MOST_IDS = 4
_MERMAID_CHARACTERS = 40_000
"""GitHub's Mermaid draws no text beyond 50,000 characters, and no more than 500 edges."""


@dataclass(frozen=True)
class Room:
    """How much of everything there is room for."""

    edges: int
    rows: int
    conflicts: int
    lines: int
    files: bool


def graph_part(result: Result, room: Room) -> list[str]:
    """The ancestor, the branches and the merges, drawn by Mermaid; a sentence where that is too large."""
    from converger.report.mermaid import mermaid
    from converger.report.selection import select

    outcome = result.outcome
    if outcome.graph is None or not outcome.graph.revisions or room.edges == 0:
        return []
    view = select(_with_merges(outcome, outcome.graph), outcome.lines)
    drawn = mermaid(view)
    edges = sum(len(node.parents) + len(node.backward) for node in view.nodes)
    if edges > room.edges or sum(map(len, drawn)) > _MERMAID_CHARACTERS:
        return [
            f"The graph has {len(view.nodes)} revisions to show, too many for a drawing here: "
            "`alembic-converger graph` draws it."
        ]
    return fence(drawn, "mermaid")


def _with_merges(outcome: Outcome, graph: Graph) -> Graph:
    """The history with the merges on top, where they are or may be written."""
    from converger.history.model import Revision

    if outcome.status not in ("merged", "would-merge"):
        return graph
    merges = [merge for line in outcome.lines for merge in line.merges]
    return graph.with_revisions(
        Revision(
            merge.revision,
            merge.parents,
            message=merge.message,
            create_date=moment(merge.create_date).astimezone(timezone.utc).isoformat(" "),
        )
        for merge in merges
        if merge.revision not in graph.revisions
    )


def heads_part(result: Result, room: Room) -> list[str]:
    """The heads that are to meet: revision, message, file, author, and what brought it."""
    graph = result.outcome.graph
    heads = apart(result)
    if graph is None or len(heads) < 2:
        return []
    rows = []
    for head in heads[: room.rows]:
        revision = graph.revisions[head]
        origin = result.origins.get(head)
        brought = []
        if origin is not None and origin.pull_request is not None:
            brought.append(link(f"#{origin.pull_request}", result.pull_url(origin.pull_request)))
        elif origin is not None and origin.commit is not None:
            brought.append(commit_link(result, origin.commit))
        author = code(origin.author or "", _NAME) if origin is not None else ""
        rows.append(
            (
                code(head, _ID),
                prose(revision.message, _MESSAGE),
                file_link(result, revision.path, revision.line),
                author,
                " ".join(brought),
            )
        )
    out = table(("head", "message", "file", "author", "brought by"), rows)
    if len(heads) > room.rows:
        out += ["", f"and {len(heads) - room.rows} more heads."]
    return out


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
    if proof is None or not proof.paths:
        return []
    rows = []
    shown = sorted(proof.paths, key=lambda path: path.result == "ok")[: room.rows]
    for path in (path for path in proof.paths if path in shown):
        ok = path.result == "ok"
        rows.append(
            (
                state(path.start) if path.start else "*empty*",
                _order(path),
                "✅ ok" if ok else "❌ **failed**",
                f"{path.seconds:.2f} s",
            )
        )
    out = [
        f"**Proof on {prose(server_name(proof), _NAME)}: {proof.verdict}**",
        "",
        *table(("a database at", "then runs", "result", "time"), rows),
    ]
    if len(proof.paths) > len(shown):
        out += ["", f"and {len(proof.paths) - len(shown)} more starting states."]
    return out


def state(heads: Sequence[str]) -> str:
    """A state by its heads."""
    names = [code(head, _ID) for head in heads[:_MOST_IDS]]
    if len(heads) > _MOST_IDS:
        names.append(f"and {len(heads) - _MOST_IDS} more")
    return ", ".join(names) if names else "an empty database"


def _order(path: PathResult) -> str:
    order = path.order
    if not order:
        return "nothing" if path.result == "ok" else "the first step failed"
    stopped = "" if path.result == "ok" else ", then failed"
    if len(order) > _MOST_IDS + 1:
        ends = f"{code(order[0], _ID)} … {code(order[-2], _ID)}, {code(order[-1], _ID)}"
        return f"{ends} ({len(order)} revisions){stopped}"
    return ", ".join(code(revision, _ID) for revision in order) + stopped


def conflicts_part(result: Result, room: Room) -> list[str]:
    """Each conflict: where, with both places in the code, on what, the statement, the error, the advice.

    The first one is open, the others are folded.
    """
    proof = result.outcome.proof
    if proof is None or not proof.conflicts:
        return []
    out: list[str] = []
    for number, conflict in enumerate(proof.conflicts[: room.conflicts]):
        title, body = _conflict(conflict, result, room)
        out += [
            "",
            *(_open(title, body) if number == 0 else folded(_plain_title(conflict, number + 1), body)),
        ]
    if len(proof.conflicts) > room.conflicts:
        out += ["", f"and {len(proof.conflicts) - room.conflicts} more conflicts."]
    return out[1:]


def _open(title: str, body: list[str]) -> list[str]:
    return [f"#### {title}", "", *body]


def _plain_title(conflict: Conflict, number: int) -> str:
    """For `<summary>`, which is HTML: nothing of the repository, only our kind."""
    kind = "" if conflict.kind == "unclassified" else f": {_kind(conflict)}"
    return f"Conflict {number}{kind}"


def _kind(conflict: Conflict) -> str:
    return "".join(c for c in conflict.kind if c.isascii() and (c.isalnum() or c == "-"))[:60]


def _conflict(conflict: Conflict, result: Result, room: Room) -> tuple[str, list[str]]:
    names = [_named(revision, result) for revision in dict.fromkeys(conflict.revisions) if revision]
    between = f"Between {' and '.join(names)}" if len(names) > 1 else f"In {''.join(names)}"
    on = f"on a database at {state(conflict.state)}" if conflict.state else "on an empty database"
    kind = "Conflict" if conflict.kind == "unclassified" else f"Conflict: {_kind(conflict)}"
    out = [f"{between}, {on}."]
    if conflict.objects:
        names = [code(name, 80) for name in conflict.objects[:10]]
        out += ["", f"Concerning {', '.join(names)}{' and others' if len(conflict.objects) > 10 else ''}."]
    for place in (conflict.location, conflict.other_location):
        if place is not None:
            out += ["", *_place(place, result)]
    if conflict.differences:
        lines = [visible(one_line(line, 300)) for line in conflict.differences[: room.lines]]
        if len(conflict.differences) > room.lines:
            lines.append(f"... and {len(conflict.differences) - room.lines} more")
        out += ["", "What ends different:", "", *fence(lines, "text")]
    if conflict.statement:
        out += ["", "The statement:", "", *fenced(conflict.statement, "sql", lines=room.lines)]
    if conflict.error:
        out += ["", "What the database said:", "", *fenced(conflict.error, "text", lines=room.lines)]
    if conflict.advice:
        out += ["", f"**What to do:** {prose(conflict.advice, 1500)}"]
    if conflict.kind != "unclassified":
        out += ["", f"`alembic-converger explain {_kind(conflict)}` says more about this kind."]
    return kind, out


def _named(id: str, result: Result) -> str:
    graph = result.outcome.graph
    revision = graph.revisions.get(id) if graph is not None else None
    message = prose(revision.message, _MESSAGE) if revision is not None else ""
    return f"{code(id, _ID)} ({message})" if message else code(id, _ID)


def _place(place: Location, result: Result) -> list[str]:
    """A link to the line, and the line in its surroundings, marked as a diff marks a change."""
    out = [f"{file_link(result, place.path, place.line)}:"]
    around = result.source_around(place)
    if around is None:
        return [f"{file_link(result, place.path, place.line)}"]
    first, lines = around
    width = len(str(first + len(lines) - 1))
    shown = []
    for number, line in enumerate(lines, first):
        mark = "!" if number == place.line else " "
        text = visible(line.expandtabs(4))
        shown.append(f"{mark} {number:>{width}}  {text[:200]}{'...' if len(text) > 200 else ''}".rstrip())
    return [*out, "", *fence(shown, "diff")]


def files_part(result: Result, room: Room) -> list[str]:
    """The merge revisions with their content, ready to be committed by hand; folded."""
    outcome = result.outcome
    if not room.files or outcome.status not in ("merged", "would-merge"):
        return []
    root = outcome.project.root if outcome.project is not None else None
    out: list[str] = []
    for file in outcome.files:
        text = file.content.decode("utf-8", "backslashreplace")
        body = [code(relative_path(file.path, root)), "", *fence(map(visible, text.splitlines()), "python")]
        out += ["", *folded("The merge revision as a file", body)]
    return out[1:]


def downgrade_part(result: Result) -> list[str]:
    """What the downgrades do; folded unless merging is what breaks them."""
    from converger.report.downgrade_text import downgrade_text
    from converger.report.look import Look

    proof = result.outcome.proof
    if proof is None:
        return []
    lines = downgrade_text(proof.downgrade, Look())
    # Its one line is among how it was looked at.
    if len(lines) < 2:
        return []
    body = fence(lines, "text")
    title = f"Downgrade: {proof.downgrade.result}"
    if proof.downgrade.by_merging:
        return [f"**{title}, and merging is the cause**", "", *body]
    return folded(title, body)


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


def file_link(result: Result, path: str, line: int | None) -> str:
    """A path as code, linked to the commit that has it."""
    shown = code(path if line is None else f"{path}:{line}")
    url = result.file_url(path, line)
    return link(shown, url) if url and shown else shown


def commit_link(result: Result, commit: str) -> str:
    """A commit by the beginning of its id."""
    return link(code(commit[:_SHORT_COMMIT]), result.commit_url(commit))
