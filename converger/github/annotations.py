"""Commands to the runner: annotations on lines of files, masks, and making it deaf to what migrations print.

The format is that of actions/runner (ActionCommand.cs) and actions/toolkit (core/src/command.ts): a percent sign
and line ends are escaped in the message, a colon and a comma in a property too.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from converger.report.markdown_parts import apart
from converger.report.visible import one_line, visible

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.proof.model import Conflict, Location
    from converger.report.result import Result

Level = Literal["error", "warning", "notice"]

MOST = 10
"""Annotations of one level that GitHub shows for a step."""
_LONGEST = 4_000
_LONGEST_TITLE = 200
_TOKEN = re.compile(r"[0-9a-f]{32,}")


@dataclass(frozen=True)
class Annotation:
    """One annotation. `path` is relative to the repository; without it the annotation belongs to the run."""

    level: Level
    message: str
    title: str = ""
    path: str | None = None
    line: int | None = None


def command(annotation: Annotation) -> str:
    """The annotation as one line for the runner. Foreign text in it stays text."""
    properties = []
    if annotation.path and not annotation.path.startswith("/"):
        properties.append(f"file={_property(visible(annotation.path))}")
        if annotation.line is not None and annotation.line > 0:
            properties.append(f"line={annotation.line}")
    if annotation.title:
        properties.append(f"title={_property(one_line(annotation.title, _LONGEST_TITLE))}")
    space = " " if properties else ""
    return f"::{annotation.level}{space}{','.join(properties)}::{_data(_bounded(annotation.message))}"


def commands(annotations: Iterable[Annotation]) -> list[str]:
    """All annotations as lines, at most ten of a level: GitHub would drop the rest without a word.

    The tenth then says how many more there are. Equal ones are given once.
    """
    out = []
    different = list(dict.fromkeys(annotations))
    for level in ("error", "warning", "notice"):
        found = [annotation for annotation in different if annotation.level == level]
        if len(found) > MOST:
            more = len(found) - MOST + 1
            found = [
                *found[: MOST - 1],
                Annotation(level, f"and {more} more; the summary of the run has all"),
            ]
        out += [command(annotation) for annotation in found]
    return out


def mask(secret: str) -> list[str]:
    """Lines that make the runner show `***` for a secret from now on; one for each line of it."""
    return [f"::add-mask::{_data(line)}" for line in secret.splitlines() if line.strip()]


@contextlib.contextmanager
def without_commands(
    write: Callable[[str], object], token: Callable[[], str] = lambda: secrets.token_hex(24)
) -> Iterator[None]:
    """Within it the runner takes nothing that is printed as a command. `write` writes one line, and flushes.

    What ends it is a word that nobody can guess, new each time. It must not reach the processes that print.
    """
    word = token()
    if not _TOKEN.fullmatch(word):
        raise ValueError("the word must be at least 32 hexadecimal digits")
    write(f"::stop-commands::{word}")
    try:
        yield
    finally:
        write(f"::{word}::")


def annotations_for(result: Result) -> tuple[Annotation, ...]:
    """What is to be seen beside the code: findings, both places of a conflict, and where the branches fork.

    A fork that was merged by us is no finding any more.
    """
    outcome = result.outcome
    out = [
        Annotation(problem.severity, problem.message, f"Alembic: {problem.code}", problem.path, problem.line)
        for problem in outcome.problems
    ]
    if outcome.status == "converged" or result.written is not None:
        return tuple(out)
    for conflict in outcome.proof.conflicts if outcome.proof is not None else ():
        out += _of_conflict(conflict)
    if not any(annotation.level == "error" and annotation.path for annotation in out):
        out += _of_fork(result)
    if outcome.reason is not None:
        hint = f"\n{outcome.reason.hint}" if outcome.reason.hint else ""
        out.append(Annotation("error", f"{outcome.reason.message}{hint}", f"Alembic: {outcome.reason.code}"))
    return tuple(out)


def _of_conflict(conflict: Conflict) -> list[Annotation]:
    first, second = conflict.revisions
    names = f"{first} and {second}" if first and second and first != second else first or second
    lines = [
        f"{names} do not fit together." if first and second and first != second else f"{names} fails.",
        conflict.error or "",
        *conflict.differences[:3],
        conflict.advice,
    ]
    message = "\n".join(line for line in lines if line)
    title = f"Alembic: {conflict.kind}"
    places: list[Location] = [p for p in (conflict.location, conflict.other_location) if p is not None]
    if not places:
        return [Annotation("error", message, title)]
    return [Annotation("error", message, title, place.path, place.line) for place in places]


def _of_fork(result: Result) -> list[Annotation]:
    """The `down_revision` of the first revision of each branch: that is where the fork is made."""
    graph = result.outcome.graph
    if graph is None:
        return []
    heads = apart(result)
    if len(heads) < 2:
        return []
    level: Level = "warning" if result.situation == "base-forked" else "error"
    named = ", ".join(heads[:4]) + (f" and {len(heads) - 4} more" if len(heads) > 4 else "")
    out = []
    for begin in _begins(graph, heads):
        revision = graph.revisions[begin]
        on = " and ".join(revision.down_revisions) or "nothing"
        message = f"A branch begins here, on {on}. The history has {len(heads)} heads: {named}."
        out.append(Annotation(level, message, "Alembic: several heads", revision.path, revision.line))
    return out


def _begins(graph: Graph, heads: tuple[str, ...]) -> tuple[str, ...]:
    """The lowest revisions that not all of these heads descend from, in the order of their heads."""
    common = frozenset.intersection(*(graph.ancestors((head,)) for head in heads))
    found: dict[str, None] = {}
    for head in heads:
        for id in graph.topological(graph.ancestors((head,)) - common):
            if all(parent in common for parent in graph.parents(id)):
                found[id] = None
    return tuple(found)


def _bounded(text: str) -> str:
    lines = [visible(line) for line in re.split(r"\r\n|\n|\r", text.strip())]
    joined = "\n".join(lines)
    return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 3] + "..."


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
