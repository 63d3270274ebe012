"""What `converge` says: the verdict in the first line, then the merges, the proof, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from converger.report.downgrade_text import downgrade_text
from converger.report.json import relative_path
from converger.report.look import Look, Style
from converger.report.reparenting import reparent_advice
from converger.report.text import counted, head_text, line_name, problem_lines, reason_lines
from converger.report.verdicts import MEANING, cut_short, server_name
from converger.report.visible import block, one_line

if TYPE_CHECKING:
    from converger.history import Graph
    from converger.mergefile import MergeFile, Note
    from converger.outcome import Outcome
    from converger.plan import LinePlan
    from converger.proof.model import Conflict, PathResult, Proof

_ID = 40
_ORDER = 80
"""Characters of a path's revisions; longer ones are folded in the middle."""
_MOST_DIFFERENCES = 12
"""Definitions that a conflict shows; the rest is counted."""


def outcome_text(outcome: Outcome, look: Look, *, verbose: bool = False) -> list[str]:
    """The report of one run. With `verbose` also each path in full and, on a dry run, the files' content."""
    out = _verdict(outcome, look)
    if outcome.problems:
        out += ["", *problem_lines(outcome.problems, look)]
    proof = outcome.proof
    refused = outcome.status in ("refused", "unevaluated")
    if proof is not None:
        for conflict in proof.conflicts:
            out += ["", *_conflict(conflict, outcome.graph, look)]
        if advice := reparent_advice(outcome, look):
            out += ["", *advice]
    if outcome.files and not refused:
        out += ["", *_merges(outcome, look)]
    elif outcome.graph is not None and outcome.status == "converged" and len(outcome.lines) > 1:
        out += ["", *_lines(outcome.lines, outcome.graph)]
    if proof is not None:
        if proof.paths:
            out += ["", *_paths(proof, look, verbose=verbose)]
        if downgrade := downgrade_text(proof.downgrade, look):
            out += ["", *downgrade]
    notes = dict.fromkeys((*outcome.notes, *(proof.notes if proof is not None else ())))
    if notes:
        out += ["", *_notes(notes, look)]
    if verbose and outcome.status == "would-merge":
        for file in outcome.files:
            out += ["", *_content(file, outcome, look)]
    return out


def _verdict(outcome: Outcome, look: Look) -> list[str]:
    if outcome.status == "converged":
        return [look.paint("good", _converged(outcome))]
    if outcome.status == "refused":
        return [*_because("Refused", outcome, look), "Nothing was written."]
    if outcome.status == "unevaluated":
        return [*_because("Could not evaluate", outcome, look), "Nothing was written."]
    skipped = outcome.proof is not None and outcome.proof.verdict == "skipped"
    heads = sum(len(line.heads) for line in outcome.lines if line.merges)
    finals = [one_line(line.final_head, _ID) for line in outcome.lines if line.merges]
    into = " and ".join(finals)
    begin = "Merged" if outcome.status == "merged" else "Would merge"
    style: Style = "good"
    how = _how_proven(outcome.proof)
    if skipped:
        style, how = "warn", "WITHOUT ANY PROOF (--skip-validation): whether the branches fit is not known"
    out = [look.paint(style, f"{begin} {heads} heads into {into}" + (f", {how}" if how else ""))]
    if outcome.status == "would-merge":
        out.append("Dry run: nothing was written.")
    return out


def _how_proven(proof: Proof | None) -> str:
    if proof is None:
        return ""
    return f"proven on {server_name(proof)} in {proof.seconds:.1f} s{cut_short(proof)}"


def _because(word: str, outcome: Outcome, look: Look) -> list[str]:
    """The verdict's first line, and what else there is to say about the reason."""
    proof, reason = outcome.proof, outcome.reason
    errors = [p for p in outcome.problems if p.severity == "error"]
    if proof is not None and proof.verdict not in ("commute", "skipped", "unevaluated"):
        first = f"{word} ({proof.verdict}): {MEANING[proof.verdict]}{cut_short(proof)}"
    elif errors:
        # They are listed right below; a reason that repeats the first of them adds nothing.
        return [look.paint("bad", f"{word}: {counted(len(errors), 'problem')} in the revision files")]
    elif reason is not None:
        return reason_lines(f"{word} ({one_line(reason.code)})", reason, look)
    elif proof is not None:
        first = f"{word} ({proof.verdict}): {MEANING[proof.verdict]}"
    else:
        first = word
    out = [look.paint("bad", first)]
    if reason is not None:
        out += reason_lines(one_line(reason.code), reason, look)
    return out


def _converged(outcome: Outcome) -> str:
    graph = outcome.graph
    if graph is None or not graph.revisions:
        return "No revisions yet: nothing to merge"
    if len(graph.heads) == 1:
        return f"One head: {head_text(graph.heads[0], graph)}. Nothing to merge"
    selected = [head for line in outcome.lines for head in line.heads]
    begin = "Nothing to merge: one head"
    if len(selected) < len(graph.heads):  # which ones are not, a note says
        begin = "Nothing to merge among the heads that --from-revision selects"
        if len(selected) == 1:
            return f"{begin}: {head_text(selected[0], graph)}"
        begin += ": one"
    return f"{begin} in each of {len(outcome.lines)} lines of history kept apart on purpose"


def _lines(lines: Sequence[LinePlan], graph: Graph) -> list[str]:
    return [
        f"  - {line_name(line)}: {', '.join(head_text(head, graph) for head in line.heads)}" for line in lines
    ]


def _merges(outcome: Outcome, look: Look) -> list[str]:
    root = outcome.project.root if outcome.project is not None else None
    arrow = look.glyphs.arrow
    out = []
    for line in outcome.lines:
        if not line.merges or outcome.graph is None:
            continue
        name = f" of {line_name(line)}" if line.labels else ""
        out.append(look.paint("bold", f"Heads{name}"))
        out += [f"  {look.glyphs.node} {head_text(head, outcome.graph)}" for head in line.heads]
        if line.base_state:
            since = " and ".join(head_text(base, outcome.graph) for base in line.base_state)
            out.append(look.paint("dim", f"    since {since}"))
    written = "" if outcome.status == "merged" else " (not written)"
    out.append(look.paint("bold", f"Merge revisions{written}"))
    for file in outcome.files:
        parents = " + ".join(one_line(p, _ID) for p in file.merge.parents)
        out.append(f"  {look.glyphs.merge} {parents} {arrow} {one_line(file.merge.revision, _ID)}")
        out.append(look.paint("dim", f"    {one_line(relative_path(file.path, root))}"))
    return out


def _paths(proof: Proof, look: Look, *, verbose: bool) -> list[str]:
    table = [("database at", "then runs", "result", "seconds")]
    results = ["bold"]
    for path in proof.paths:
        ok = path.result == "ok"
        order = _order(path, look, verbose=verbose)
        table.append((_state(path.start), order, "ok" if ok else "FAILED", f"{path.seconds:.2f}"))
        results.append("good" if ok else "bad")
    widths = [max(len(row[i]) for row in table) for i in range(4)]
    title = f"Proof on {server_name(proof)}, {proof.seconds:.1f} s: {proof.verdict}"
    out = [look.paint("bold", title)]
    for row, style in zip(table, results, strict=True):
        result = row[2] + " " * (widths[2] - len(row[2]))
        painted = look.paint("good" if style == "good" else "bad" if style == "bad" else "bold", result)
        out.append(f"  {row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {painted}  {row[3]:>{widths[3]}}")
    return out


def _state(heads: Sequence[str]) -> str:
    if not heads:
        return "(empty)"
    shown = [one_line(h, _ID) for h in heads[:4]]
    if len(heads) > 4:
        shown.append(f"and {len(heads) - 4} more")
    return ", ".join(shown)


def _order(path: PathResult, look: Look, *, verbose: bool) -> str:
    order = path.order
    if not order:
        return "(nothing)" if path.result == "ok" else "(the first step failed)"
    stopped = "" if path.result == "ok" else ", then failed"
    whole = ", ".join(one_line(revision, _ID) for revision in order)
    if not verbose and len(whole) > _ORDER and len(order) > 3:
        dots = look.glyphs.ellipsis
        ends = f"{one_line(order[0], _ID)} {dots} {one_line(order[-2], _ID)}, {one_line(order[-1], _ID)}"
        return f"{ends} ({len(order)} revisions){stopped}"
    return whole + stopped


def _conflict(conflict: Conflict, graph: Graph | None, look: Look) -> list[str]:
    names = [
        head_text(r, graph) if graph is not None else one_line(r, _ID)
        for r in dict.fromkeys(conflict.revisions)
        if r
    ]
    title = f"conflict between {' and '.join(names)}" if len(names) > 1 else f"failure of {''.join(names)}"
    kind = "" if conflict.kind == "unclassified" else f" ({one_line(conflict.kind, 60)})"
    out = [look.paint("bad", f"{look.glyphs.bad} {title}{kind}")]
    if conflict.location is not None:
        out.append(f"  in             {one_line(conflict.location.path)}:{conflict.location.line}")
    if conflict.other_location is not None:
        place = conflict.other_location
        out.append(f"  and in         {one_line(place.path)}:{place.line}")
    out.append(
        f"  on a database  {'that is empty' if not conflict.state else 'at ' + _state(conflict.state)}"
    )
    if conflict.objects:
        out.append(f"  concerning     {', '.join(one_line(name, 80) for name in conflict.objects[:20])}")
    bar = look.glyphs.bar
    if conflict.differences:
        out.append("  difference")
        for line in conflict.differences[:_MOST_DIFFERENCES]:
            out += [f"    {bar} {part}" for part in block(line, width=100, lines=8)]
        if len(conflict.differences) > _MOST_DIFFERENCES:
            more = len(conflict.differences) - _MOST_DIFFERENCES
            out.append(f"    {bar} {look.glyphs.ellipsis} and {more} more (--format json has all)")
    if conflict.statement:
        out += ["  statement", *(f"    {bar} {line}" for line in block(conflict.statement))]
    if conflict.error:
        out += ["  error", *(f"    {bar} {line}" for line in block(conflict.error))]
    if conflict.advice:
        advice = block(conflict.advice, width=90, lines=40)
        out += [f"  what to do     {advice[0]}", *(f"                 {line}" for line in advice[1:])]
    if conflict.kind != "unclassified":
        out.append(f"  more           alembic-converger explain {one_line(conflict.kind, 60)}")
    return out


def _notes(notes: Sequence[Note] | dict[Note, None], look: Look) -> list[str]:
    out = [look.paint("bold", "Notes")]
    for note in notes:
        lines = block(note.message, lines=20)
        out += [f"  - {lines[0]}", *(f"    {line}" for line in lines[1:])]
    return out


def _content(file: MergeFile, outcome: Outcome, look: Look) -> list[str]:
    root = outcome.project.root if outcome.project is not None else None
    text = file.content.decode("utf-8", "backslashreplace")
    bar = look.glyphs.bar
    lines = block(text, width=160, lines=400)
    return [look.paint("bold", one_line(relative_path(file.path, root))), *(f"  {bar} {x}" for x in lines)]
