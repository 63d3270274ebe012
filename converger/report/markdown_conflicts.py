"""Conflicts in the Markdown report: who met whom, both places in the code, what the database said."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from converger.report.markdown_parts import Room, file_link, named, state, where
from converger.report.markup import code, fence, folded, prose
from converger.report.spot import find_spot
from converger.report.visible import block, one_line, visible

if TYPE_CHECKING:
    from converger.proof.model import Conflict, Location
    from converger.report.result import Result

_OBJECTS = 10
_WIDTH = 110
"""Characters of code that a comment is wide."""

_BEFORE, _AFTER = 2, 2
_LONGEST_LINE = 200
_LINE_END = re.compile(r"\r\n|\r|\n")


def conflicts_part(result: Result, room: Room) -> list[str]:
    """The first conflict open, the others folded; what to do about the first one is with what there is to do."""
    proof = result.outcome.proof
    if proof is None or not proof.conflicts:
        return []
    first, *others = proof.conflicts[: room.conflicts]
    out = [f"#### {_title(first)}", "", *_conflict(first, result, room)]
    for number, conflict in enumerate(others, 2):
        body = [*_conflict(conflict, result, room), *_advice(conflict)]
        out += ["", *folded(_plain_title(conflict, number), body)]
    if len(proof.conflicts) > room.conflicts:
        out += ["", f"and {len(proof.conflicts) - room.conflicts} more conflicts."]
    return out


def advice_for(result: Result) -> list[str]:
    """What to do about the first conflict."""
    proof = result.outcome.proof
    if proof is None or not proof.conflicts:
        return []
    conflict = proof.conflicts[0]
    out = [prose(conflict.advice, 1500)] if conflict.advice else []
    if conflict.kind != "unclassified":
        out.append(f"`alembic-converger explain {_kind(conflict)}` says more about this kind of conflict.")
    return [line for paragraph in out for line in (paragraph, "")][:-1]


def _title(conflict: Conflict) -> str:
    if conflict.objects:
        more = f" and {len(conflict.objects) - 2} more" if len(conflict.objects) > 2 else ""
        return f"Conflict over {', '.join(code(name, 80) for name in conflict.objects[:2])}{more}"
    return "Conflict" if len(_pair(conflict)) > 1 else "What fails"


def _plain_title(conflict: Conflict, number: int) -> str:
    """For `<summary>`, which is HTML: nothing of the repository, only our kind."""
    kind = "" if conflict.kind == "unclassified" else f": {_kind(conflict)}"
    return f"Conflict {number}{kind}"


def _kind(conflict: Conflict) -> str:
    return "".join(c for c in conflict.kind if c.isascii() and (c.isalnum() or c == "-"))[:60]


def _pair(conflict: Conflict) -> list[str]:
    return [revision for revision in dict.fromkeys(conflict.revisions) if revision]


def _advice(conflict: Conflict) -> list[str]:
    return ["", f"**What to do:** {prose(conflict.advice, 1500)}"] if conflict.advice else []


def _conflict(conflict: Conflict, result: Result, room: Room) -> list[str]:
    out = [_sentence(conflict, result)]
    if len(conflict.objects) > 2:
        names = [code(name, 80) for name in conflict.objects[:_OBJECTS]]
        more = " and others" if len(conflict.objects) > _OBJECTS else ""
        out += ["", f"Concerning {', '.join(names)}{more}."]
    if conflict.differences:
        out += ["", *fence(_differences(conflict, room.lines), "text")]
    if said := _said(conflict, room.lines):
        out += ["", *said]
    for place in (conflict.location, conflict.other_location):
        if place is not None:
            out += ["", *_place(place, conflict, result)]
    return out


def _sentence(conflict: Conflict, result: Result) -> str:
    pair = _pair(conflict)
    failing = _failing(conflict, result)
    on = f"on a database at {state(conflict.state)}" if conflict.state else "on an empty database"
    if len(pair) > 1 and failing is not None:
        (other,) = (id for id in pair if id != failing)
        after = "" if conflict.state == (other,) else f", {on}"
        return f"After {named(other, result)} has run, {named(failing, result)} fails{after}:"
    names = " and ".join(named(id, result) for id in pair)
    if conflict.error is not None or len(pair) < 2:
        return f"{names} {'fail together' if len(pair) > 1 else 'fails'} {on}:"
    return f"How a database ends depends on which of {names} runs last:"


def _failing(conflict: Conflict, result: Result) -> str | None:
    """The one of two revisions whose statement failed: the one that the place is in."""
    graph, pair = result.outcome.graph, _pair(conflict)
    if conflict.error is None or conflict.location is None or graph is None or len(pair) != 2:
        return None
    found = [
        id for id in pair if id in graph.revisions and graph.revisions[id].path == conflict.location.path
    ]
    return found[0] if len(found) == 1 else None


def _differences(conflict: Conflict, most: int) -> list[str]:
    lines: list[str] = []
    for difference in conflict.differences[:most]:
        parts = _two_sides(one_line(difference, 400), conflict)
        for number, part in enumerate(parts):
            first, *rest = block(part, width=_WIDTH - 4, lines=4) or [""]
            lines += [f"{'  ' if number else ''}{first}", *(f"    {line}" for line in rest)]
    if len(conflict.differences) > most:
        lines.append(f"... and {len(conflict.differences) - most} more")
    return lines


def _two_sides(difference: str, conflict: Conflict) -> list[str]:
    """`column x: A where R ran last, B where S ran last` as three lines, where it is one of these."""
    pair = _pair(conflict)
    for first, second in (pair, pair[::-1]) if len(pair) == 2 else ():
        middle, end = f" where {first} ran last, ", f" where {second} ran last"
        thing, colon, sides = difference.partition(": ")
        if colon and sides.count(middle) == 1 and sides.endswith(end):
            one, other = sides.removesuffix(end).split(middle)
            return [thing, f"{one}{middle.rstrip(', ')}", f"{other}{end}"]
    return [difference]


def _said(conflict: Conflict, lines: int) -> list[str]:
    """The statement, and what the database said, as a comment in its language."""
    error = block(conflict.error, width=_WIDTH - 3, lines=lines) if conflict.error else []
    if not conflict.statement:
        return fence(error, "text") if error else []
    statement = block(conflict.statement, width=_WIDTH, lines=lines)
    return fence([*statement, *(f"-- {line}" for line in error)], "sql")


def _place(place: Location, conflict: Conflict, result: Result) -> list[str]:
    """A link to the line, and the line in its surroundings, marked as a diff marks a change."""
    source = result.sources.get(place.path)
    id = _revision_at(place, conflict, result)
    side = where(id, result) if id is not None else ""
    of = f", {side}" if side else ""
    lines = _LINE_END.split(source.decode("utf-8", "replace")) if source is not None else []
    if source is None or not 1 <= place.line <= len(lines):
        return [f"{file_link(result, place.path, place.line)}{of}"]
    first, last, marked = place.line, place.line, frozenset((place.line,))
    if id is not None and _is_definition(place, id, result):
        spot = find_spot(source, conflict.objects)
        if spot is not None:
            first, last, marked = spot.first, spot.last, spot.marked
    shown = _excerpt(lines, first, last, marked)
    return [f"{file_link(result, place.path, first, short=True)}{of}:", "", *fence(shown, "diff")]


def _excerpt(lines: list[str], first: int, last: int, marked: frozenset[int]) -> list[str]:
    begin, end = max(1, first - _BEFORE), min(len(lines), last + _AFTER)
    while begin < first and not lines[begin - 1].strip():
        begin += 1
    while end > last and not lines[end - 1].strip():
        end -= 1
    width = len(str(end))
    shown = []
    for number in range(begin, end + 1):
        text = visible(lines[number - 1].expandtabs(4))
        cut = f"{text[:_LONGEST_LINE]}{'...' if len(text) > _LONGEST_LINE else ''}"
        shown.append(f"{'!' if number in marked else ' '} {number:>{width}}  {cut}".rstrip())
    return shown


def _revision_at(place: Location, conflict: Conflict, result: Result) -> str | None:
    graph = result.outcome.graph
    if graph is None:
        return None
    found = [id for id in _pair(conflict) if id in graph.revisions and graph.revisions[id].path == place.path]
    return found[0] if len(found) == 1 else None


def _is_definition(place: Location, id: str, result: Result) -> bool:
    """Whether a place is not known any better than that it is in this revision."""
    graph = result.outcome.graph
    return graph is not None and place.line == (graph.revisions[id].line or 1)
