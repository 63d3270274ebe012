"""What `check` says, and the parts that all text reports share."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TypedDict

from converger.errors import EXIT_OK
from converger.history.graph import computed_label
from converger.report.look import Look, Style
from converger.report.reparenting import reparent_hint
from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.errors import ConvergerError
    from converger.history import Graph, Problem
    from converger.inspection import Inspection
    from converger.plan import LinePlan

MOST_HEADS = 50
"""Heads listed one by one; beyond that a person needs the number, not the list."""


class _Wrap(TypedDict):
    break_long_words: bool
    break_on_hyphens: bool


# A path, a URL or a command that is longer than a line must stay in one piece to be copied.
_WRAP: _Wrap = {"break_long_words": False, "break_on_hyphens": False}
_ID = 40
_MESSAGE = 60


def check_text(inspection: Inspection, look: Look, next_command: str) -> list[str]:
    """The answer to "is there one head?", first line first. `next_command` is what to run about it."""
    graph, lines = inspection.graph, inspection.lines
    errors = [p for p in inspection.problems if p.severity == "error"]
    out = [_verdict(inspection, errors, look)]
    if errors or inspection.problems:
        out += ["", *problem_lines(inspection.problems, look)]
    apart = [line for line in lines if len(line.heads) > 1]
    if inspection.exit_code == EXIT_OK:
        if len(graph.heads) > 1:
            out += ["", *(f"  - {line_name(line)}: {head_text(line.heads[0], graph)}" for line in lines)]
        return out
    if errors:
        return out
    out += _heads(graph, apart, look)
    if inspection.refusal is not None:
        out += ["", *reason_lines(one_line(inspection.refusal.code), inspection.refusal, look)]
    else:
        out += ["", f"Next: {next_command}", "      proves the merge on scratch databases and writes nothing"]
        out += reparent_hint(graph, lines, look)
    return out


def _verdict(inspection: Inspection, errors: Sequence[Problem], look: Look) -> str:
    graph, lines = inspection.graph, inspection.lines
    heads = graph.heads
    if errors:
        return look.paint(
            "bad", f"could not evaluate: {counted(len(errors), 'problem')} in the revision files"
        )
    if inspection.exit_code == EXIT_OK:
        if not graph.revisions:
            return "no revisions yet"
        if len(heads) == 1:
            return look.paint("good", f"one head: {head_text(heads[0], graph)}")
        return look.paint("good", f"one head in each of {len(lines)} lines of history kept apart on purpose")
    apart = [line for line in lines if len(line.heads) > 1]
    where = ""
    if len(lines) > 1 and len(apart) == 1:
        heads = apart[0].heads
        where = f" in the line of history {line_name(apart[0])}"
    elif len(apart) > 1:
        where = f" in {len(lines)} lines of history"
    say = f'{len(heads)} heads{where}: "alembic upgrade head" refuses to run'
    return look.paint("bad", say)


def _heads(graph: Graph, apart: Sequence[LinePlan], look: Look) -> list[str]:
    out: list[str] = []
    listed: set[str] = set()
    for line in apart:
        listed.update(line.heads)
        out.append("")
        if len(apart) > 1:
            out.append(f"  {line_name(line)}:")
        out += _head_list(line.heads, graph, look)
        out += _since(line, graph, look)
    rest = [head for head in graph.heads if head not in listed]
    if rest and not apart:
        out += ["", *_head_list(rest, graph, look)]
    elif rest:
        count = (
            "1 other line has one head" if len(rest) == 1 else f"{len(rest)} other lines have one head each"
        )
        out += [
            "",
            look.paint("dim", f"  {count}: {', '.join(one_line(h, _ID) for h in rest)}"),
        ]
    return out


def _head_list(heads: Sequence[str], graph: Graph, look: Look) -> list[str]:
    cells = []
    for head in heads[:MOST_HEADS]:
        revision = graph.revisions[head]
        cells.append((one_line(head, _ID), one_line(revision.message, _MESSAGE), one_line(revision.path)))
    first = max(len(cell[0]) for cell in cells)
    second = max(len(cell[1]) for cell in cells)
    out = [
        f"  {look.glyphs.node} {look.paint('head', a)}{' ' * (first - len(a))}  {b:<{second}}  "
        f"{look.paint('dim', c)}"
        for a, b, c in cells
    ]
    if len(heads) > MOST_HEADS:
        out.append(f"  {look.glyphs.ellipsis} and {len(heads) - MOST_HEADS} more heads")
    return out


def _since(line: LinePlan, graph: Graph, look: Look) -> list[str]:
    if not line.base_state:
        return []
    common = graph.ancestors(line.base_state)
    counts = [len(graph.ancestors((head,)) - common) for head in line.heads[:MOST_HEADS]]
    own = ", ".join([*map(str, counts), *([look.glyphs.ellipsis] if len(line.heads) > MOST_HEADS else [])])
    names = " and ".join(head_text(r, graph) for r in line.base_state)
    ancestor = "common ancestor" if len(line.base_state) == 1 else "common ancestors"
    return [look.paint("dim", f"    since the {ancestor} {names}; revisions on each branch: {own}")]


def head_text(id: str, graph: Graph) -> str:
    """An id with its message, on one line."""
    revision = graph.revisions.get(id)
    message = one_line(revision.message, _MESSAGE) if revision is not None else ""
    return f"{one_line(id, _ID)} ({message})" if message else one_line(id, _ID)


def line_name(line: LinePlan) -> str:
    """How a line of history is called: by its labels, else by the revision that it started from."""
    if line.labels:
        return ", ".join(_label_name(label) for label in line.labels)
    if line.base is not None and len(line.heads) > 1:
        return f"since {one_line(line.base, _ID)}"
    return "unlabelled"


def _label_name(label: str) -> str:
    """A label as it is, or where it is given by something that only running the file would tell."""
    begin, end = computed_label("\0").split("\0")
    if label.startswith(begin) and label.endswith(end):
        return f"the label computed in {one_line(label[len(begin) : -len(end)], _ID)}"
    return one_line(label, _ID)


def problem_lines(problems: Iterable[Problem], look: Look) -> list[str]:
    """Each problem as `path:line: code: message`, errors before warnings."""
    out = []
    for problem in sorted(problems, key=lambda p: p.severity != "error"):
        style: Style = "bad" if problem.severity == "error" else "warn"
        place = one_line(problem.path) if problem.path else ""
        if place and problem.line is not None:
            place += f":{problem.line}"
        code = look.paint(style, one_line(problem.code))
        out.append("  " + ": ".join(p for p in (place, code, one_line(problem.message)) if p))
    return out


def reason_lines(title: str, error: ConvergerError, look: Look) -> list[str]:
    """`title: what happened`, folded, and what to do about it."""
    first, *rest = textwrap.wrap(f"{title}: {one_line(error.message)}", 100, **_WRAP) or [f"{title}:"]
    out = [look.paint("bad", first), *(f"  {line}" for line in rest)]
    if error.hint:
        out += textwrap.wrap(f"What to do: {one_line(error.hint)}", 100, subsequent_indent="  ", **_WRAP)
    return out


def counted(number: int, noun: str) -> str:
    """`1 problem`, `2 problems`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
