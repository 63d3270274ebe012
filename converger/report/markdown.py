"""The report as Markdown, for a comment, a pull request or a summary: the verdict first, the details folded.

Everything is bounded by a `Room`; what does not fit is said to be left out. Foreign text goes through
`converger.report.markup` only.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converger.report.by_hand import what_to_do
from converger.report.markdown_parts import (
    Room,
    apart,
    commit_link,
    conflicts_part,
    downgrade_part,
    files_part,
    graph_part,
    heads_part,
    problems_part,
    proof_part,
    state,
)
from converger.report.markup import code, folded, link, prose
from converger.report.text import counted
from converger.report.verdicts import MEANING, cut_short, server_name

if TYPE_CHECKING:
    from converger.outcome import Outcome
    from converger.report.result import Result

FULL = Room(edges=400, rows=40, conflicts=10, lines=24, files=True)
SHORT = Room(edges=60, rows=8, conflicts=2, lines=8, files=False)

_ID = 40
_NAMES = 60
_MOST_CONFLICTED = 10


def report(result: Result, room: Room = FULL, *, pointer: bool = False) -> str:
    """The whole report. With `pointer` it ends with where to read the rest."""
    outcome = result.outcome
    parts = [
        [headline(result)],
        _lead(result),
        problems_part(result, room),
        graph_part(result, room),
        heads_part(result, room),
        conflicts_part(result, room),
        _titled("What to do", what_to_do(result)),
        proof_part(result, room),
        downgrade_part(result) if room.files or _is_cause(outcome) else [],
        files_part(result, room),
        _how(result, room),
    ]
    if pointer:
        parts.insert(2, [_pointer(result)])
    return _joined(parts)


def verdict_only(result: Result) -> str:
    """The verdict and where to read the rest: what fits everywhere."""
    return _joined([[headline(result)], [_pointer(result)]])


def resolved(result: Result) -> str:
    """What is left to say when a fork that was reported is gone."""
    return _joined([[f"{headline(result)} (resolved)"], [f"{_looked(result)}."]])


def without_times(result: Result) -> Result:
    """The same result as if everything had taken no time, and in no run: equal for equal findings."""
    proof = result.outcome.proof
    if proof is not None:
        paths = tuple(replace(path, seconds=0.0) for path in proof.paths)
        proof = replace(proof, seconds=0.0, paths=paths)
    return replace(result, outcome=replace(result.outcome, proof=proof), run_url=None)


def headline(result: Result) -> str:
    """The first line: a heading with the verdict."""
    sign, text = _verdict(result)
    return f"### {sign} {text}"


def _verdict(result: Result) -> tuple[str, str]:
    outcome, proof = result.outcome, result.outcome.proof
    if outcome.status == "converged":
        return "✅", _converged(outcome)
    errors = [problem for problem in outcome.problems if problem.severity == "error"]
    if outcome.status == "unevaluated":
        if errors:
            return "❓", f"Could not evaluate: {counted(len(errors), 'problem')} in the revision files"
        why = f" ({code(outcome.reason.code, _NAMES)})" if outcome.reason is not None else ""
        return "❓", f"Could not evaluate{why}"
    heads = counted(len(apart(result)), "head")
    if outcome.status == "refused":
        if proof is not None and proof.verdict not in ("commute", "skipped", "unevaluated"):
            if proof.verdict == "broken":
                return "❌", f"{heads}, not merged: {MEANING['broken']}{cut_short(proof)}"
            return "❌", f"{heads} that do not fit together: {MEANING[proof.verdict]}{cut_short(proof)}"
        why = f" ({code(outcome.reason.code, _NAMES)})" if outcome.reason is not None else ""
        return "❌", f"{heads}, and merging them was refused{why}"
    return _fitting(result, heads)


def _fitting(result: Result, heads: str) -> tuple[str, str]:
    outcome, proof = result.outcome, result.outcome.proof
    finals = state([line.final_head for line in outcome.lines if line.merges])
    if proof is None or proof.verdict == "skipped":
        how = "WITHOUT ANY PROOF: whether they fit is not known"
    else:
        how = f"proven on {prose(server_name(proof), _NAMES)} in {proof.seconds:.1f} s{cut_short(proof)}"
    doubt = proof is None or proof.verdict == "skipped" or not proof.coverage.whole
    if result.written is not None and result.written.kind == "commit":
        return "⚠️" if doubt else "✅", f"Merged {heads} into {finals}, {how}"
    if result.situation == "base-forked" and result.base is not None:
        begin = f"{code(result.base.branch, _NAMES)} has {heads} already"
    else:
        begin = heads
    if proof is None or proof.verdict == "skipped":
        return "⚠️", f"{begin} to be merged, {how}"
    return "⚠️", f"{begin} to be merged. They fit together, {how}"


def _converged(outcome: Outcome) -> str:
    graph = outcome.graph
    if graph is None or not graph.revisions:
        return "No revisions yet: nothing to merge"
    if len(graph.heads) == 1:
        return f"One head: {code(graph.heads[0], _ID)}"
    if len(outcome.lines) == 1:
        return "Nothing to merge among the heads that `from-revision` selects"
    return f"One head in each of {len(outcome.lines)} lines of history kept apart on purpose"


def _lead(result: Result) -> list[str]:
    """What it means, and what was done about it."""
    out = []
    merging = [line for line in result.outcome.lines if line.merges]
    base = result.base
    if result.situation == "forked-here" and base is not None:
        since = ""
        if len(merging) == 1 and merging[0].base is not None:
            since = f" since {code(merging[0].base, _ID)}"
        merged = f"Merged with {code(base.branch, _NAMES)} as it is now, this pull request"
        if result.written is not None and result.written.kind == "commit":
            out.append(f"{merged} left several heads{since}.")
        else:
            out.append(f"{merged} leaves several heads{since}. `alembic upgrade head` would refuse to run.")
    elif result.situation == "base-forked" and base is not None:
        out.append(
            f"{code(base.branch, _NAMES)} has them without this pull request, which is not the cause. "
            "`alembic upgrade head` refuses to run there."
        )
    elif result.situation == "several-heads":
        out.append(f"`alembic upgrade head` refuses to run on {code(result.head.branch, _NAMES)}.")
    if result.outcome.reason is not None and result.outcome.status in ("refused", "unevaluated"):
        out.append(f"{prose(result.outcome.reason.message, 1500)}")
    if result.git_conflicts:
        named = ", ".join(code(path, 120) for path in result.git_conflicts[:_MOST_CONFLICTED])
        more = len(result.git_conflicts) - _MOST_CONFLICTED
        out.append(
            f"Git cannot merge {counted(len(result.git_conflicts), 'file')} by itself: {named}"
            f"{f' and {more} more' if more > 0 else ''}. The revisions were looked at all the same."
        )
    if sentence := _writing(result):
        out.append(sentence)
    return [line for paragraph in out for line in (paragraph, "")][:-1]


def _writing(result: Result) -> str:
    written = result.written
    if written is not None and written.kind == "commit":
        return f"The merge is commit {commit_link(result, written.commit)} on {code(written.branch, _NAMES)}."
    if written is not None and written.number is None:
        # The text of the pull request itself, which has no number before it is there.
        return f"The merge is in this pull request, from {code(written.branch, _NAMES)}."
    if written is not None and written.number is not None:
        where = link(f"#{written.number}", result.pull_url(written.number))
        return f"The merge is in pull request {where}, from {code(written.branch, _NAMES)}."
    if result.outcome.status == "converged":
        return ""
    why = f": {prose(result.not_written, 600).rstrip('.')}" if result.not_written else ""
    return f"**Nothing was written**{why}."


def _how(result: Result, room: Room) -> list[str]:
    """Commits, database, versions, notes; folded."""
    outcome, proof = result.outcome, result.outcome.proof
    out = [f"- {_looked(result)}"]
    if proof is not None and proof.dialect:
        covered = proof.coverage
        steps = f", {counted(covered.steps, 'step')}" if covered.steps else ""
        pairs = f", {covered.pairs} of {covered.of} pairs of revisions compared" if covered.of else ""
        out.append(f"- On scratch databases of {prose(server_name(proof), _NAMES)}{steps}{pairs}")
    if proof is not None and (proof.downgrade.result != "not-run" or proof.downgrade.detail):
        detail = f", {prose(proof.downgrade.detail, 400)}" if proof.downgrade.detail else ""
        out.append(f"- Downgrade: {proof.downgrade.result}{detail}")
    notes = dict.fromkeys((*outcome.notes, *(proof.notes if proof is not None else ())))
    shown = list(notes)[: room.rows]
    out += [f"- {prose(note.message, 600)}" for note in shown]
    if len(notes) > len(shown):
        out.append(f"- and {len(notes) - len(shown)} more notes")
    if result.configuration:
        out.append(f"- Configuration: {code(result.configuration, 200)}")
    last = [f"alembic-converger {code(result.version, 40)}"] if result.version else ["alembic-converger"]
    if result.run_url is not None:
        last.append(link("the run", result.run_url))
    return folded("How this was looked at", [*out, f"- {', '.join(last)}"])


def _looked(result: Result) -> str:
    head = f"{code(result.head.branch, _NAMES)} at {commit_link(result, result.head.commit)}"
    if result.base is None:
        return f"Looked at {head}"
    base = f"{code(result.base.branch, _NAMES)} at {commit_link(result, result.base.commit)}"
    return f"Looked at {head}, merged in memory with {base}"


def _is_cause(outcome: Outcome) -> bool:
    return outcome.proof is not None and outcome.proof.downgrade.by_merging


def _pointer(result: Result) -> str:
    where = link("summary of the run", result.run_url) if result.run_url is not None else "summary of the run"
    return f"This is the short form; the {where} has everything."


def _titled(title: str, body: list[str]) -> list[str]:
    return [f"#### {title}", "", *body] if body else []


def _joined(parts: list[list[str]]) -> str:
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
