"""The report as Markdown, for a comment, a pull request or a summary: the verdict first, the details folded.

Everything is bounded by a `Room`; what does not fit is said to be left out. Foreign text goes through
`converger.report.markup` only.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from converger.report.by_hand import what_to_do
from converger.report.markdown_conflicts import conflicts_part
from converger.report.markdown_parts import (
    Room,
    apart,
    commit_link,
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
from converger.report.verdicts import IN_SHORT, cut_short, server_name

if TYPE_CHECKING:
    from converger.outcome import Outcome
    from converger.report.result import Result

FULL = Room(boxes=40, rows=40, conflicts=10, lines=24, files=True)
SHORT = Room(boxes=20, rows=8, conflicts=2, lines=8, files=False)

_ID = 40
_NAMES = 60
_MOST_CONFLICTED = 10
_CODE = re.compile(r"[a-z]+(?:-[a-z]+)*")


def report(result: Result, room: Room = FULL, *, pointer: bool = False) -> str:
    """The whole report. With `pointer` it ends with where to read the rest."""
    proof = result.outcome.proof
    downgrades = downgrade_part(result)
    is_cause = proof is not None and proof.downgrade.by_merging
    parts = [
        [headline(result)],
        _lead(result),
        problems_part(result, room),
        graph_part(result, room),
        heads_part(result, room),
        conflicts_part(result, room),
        downgrades if is_cause else [],
        _titled("What to do", what_to_do(result)),
        proof_part(result, room),
        downgrades if room.files and not is_cause else [],
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
    graph = result.outcome.graph
    said = [f"{_looked(result)}."]
    if graph is not None and len(graph.heads) == 1:
        parents = graph.revisions[graph.heads[0]].down_revisions
        if len(parents) > 1:
            names = [code(parent, _ID) for parent in parents[:_MOST_CONFLICTED]]
            said.insert(0, f"It merges {', '.join(names[:-1])} and {names[-1]}.")
    return _joined([[f"{headline(result)} (resolved)"], [" ".join(said)]])


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
        return "❓", f"Could not evaluate{_why(outcome)}"
    heads = counted(len(apart(result)), "head")
    if outcome.status == "refused":
        if proof is not None and proof.verdict in IN_SHORT and proof.verdict != "commute":
            fit = "not merged" if proof.verdict == "broken" else "that do not fit together"
            comma = ", " if proof.verdict == "broken" else " "
            return "❌", f"{heads}{comma}{fit}: {IN_SHORT[proof.verdict]}{cut_short(proof)}"
        return "❌", f"{heads}, not merged{_why(outcome)}"
    return _fitting(result, heads)


def _why(outcome: Outcome) -> str:
    """The code of the reason as words, for it is made of words."""
    if outcome.reason is None:
        return ""
    known = _CODE.fullmatch(outcome.reason.code)
    return f": {outcome.reason.code.replace('-', ' ') if known else code(outcome.reason.code, _NAMES)}"


def _fitting(result: Result, heads: str) -> tuple[str, str]:
    outcome, proof, written = result.outcome, result.outcome.proof, result.written
    finals = state([line.final_head for line in outcome.lines if line.merges])
    doubt = proof is None or proof.verdict == "skipped" or not proof.coverage.whole
    if proof is None or proof.verdict == "skipped":
        fit, how = "Whether they fit is not known", "WITHOUT ANY PROOF"
    elif not proof.coverage.whole:
        cut = cut_short(proof).removeprefix(", ")
        fit = "No conflict was found"
        how = f"but the proof on {prose(server_name(proof), _NAMES)} was {cut}"
    else:
        fit, how = (
            "They fit together",
            f"proven on {prose(server_name(proof), _NAMES)} in {proof.seconds:.1f} s",
        )
    if written is not None and written.kind == "commit":
        return "⚠️" if doubt else "✅", f"Merged {heads} into {finals}, {how}"
    if written is not None and written.number is None:
        return "⚠️" if doubt else "✅", f"Merges {heads} into {finals}, {how}"
    if result.situation == "base-forked" and result.base is not None:
        return "⚠️", f"{code(result.base.branch, _NAMES)} has {heads} already. {fit}, {how}"
    return "⚠️", f"{heads} to be merged. {fit}, {how}"


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
    """Why it is so, what it means, and what was done about it."""
    outcome = result.outcome
    out = []
    reason = outcome.reason
    said_below = {problem.message for problem in outcome.problems}
    if (
        reason is not None
        and outcome.status in ("refused", "unevaluated")
        and reason.message not in said_below
    ):
        said = prose(reason.message, 1500).rstrip(".")
        out.append(f"{code(reason.code, _NAMES)}: {said}." if reason.code else f"{said}.")
    out.append(" ".join(filter(None, (_situation(result), _unknown(outcome), _writing(result)))))
    if result.git_conflicts:
        shown = ", ".join(code(path, 120) for path in result.git_conflicts[:_MOST_CONFLICTED])
        more = len(result.git_conflicts) - _MOST_CONFLICTED
        out.append(
            f"Git cannot merge {counted(len(result.git_conflicts), 'file')} by itself: {shown}"
            f"{f' and {more} more' if more > 0 else ''}. The revisions were looked at all the same."
        )
    if sentence := _not_written(result):
        out.append(sentence)
    return [line for paragraph in filter(None, out) for line in (paragraph, "")][:-1]


def _situation(result: Result) -> str:
    merging = [line for line in result.outcome.lines if line.merges]
    base, ours = result.base, result.written is not None and result.written.kind == "commit"
    after = ""
    if len(merging) == 1 and merging[0].base is not None:
        after = f" after {code(merging[0].base, _ID)}"
    if result.situation == "forked-here" and base is not None:
        together = f"Together with {code(base.branch, _NAMES)} as it is now, this pull request"
        if ours:
            return f"{together} forked the history{after}."
        return f"{together} forks the history{after}: `alembic upgrade head` would refuse to run."
    if result.situation == "base-forked" and base is not None:
        return (
            f"{code(base.branch, _NAMES)} has them without this pull request, which is not the cause. "
            "`alembic upgrade head` refuses to run there."
        )
    if result.situation == "several-heads":
        head = code(result.head.branch, _NAMES)
        return f"The history forks{after}: `alembic upgrade head` refuses to run on {head}."
    return ""


def _unknown(outcome: Outcome) -> str:
    """That a fork was found, but nothing about it is known, or not all."""
    verdict = outcome.proof.verdict if outcome.proof is not None else None
    if outcome.status in ("merged", "would-merge") and verdict in (None, "skipped"):
        return "Nothing was proven, for `skip-validation` is set."
    if outcome.status in ("merged", "would-merge") and outcome.proof and not outcome.proof.coverage.whole:
        return "A longer `proof-budget` compares more."
    if outcome.status == "unevaluated" and any(line.merges for line in outcome.lines):
        return "Whether the branches fit together is not known."
    return ""


def _writing(result: Result) -> str:
    written = result.written
    if written is None:
        return ""
    branch = code(written.branch, _NAMES)
    if written.kind == "commit":
        does = "adds" if written.brings is None else f"brings in {code(written.brings, _NAMES)} and"
        return f"Commit {commit_link(result, written.commit)} on {branch} {does} the merge revision."
    if written.number is None:
        # The text of the pull request itself, which has no number before it is there.
        return f"The merge is in this pull request, from {branch}."
    where = link(f"#{written.number}", result.pull_url(written.number))
    return f"The merge is in pull request {where}, from {branch}."


def _not_written(result: Result) -> str:
    """Why nothing was written, where that is not what everything else says already."""
    if result.written is not None or result.outcome.status == "converged" or not result.not_written:
        return ""
    if result.situation == "base-forked" and result.outcome.status == "would-merge":
        return ""
    return f"**Nothing was written**: {prose(result.not_written, 600).rstrip('.')}."


def _how(result: Result, room: Room) -> list[str]:
    """Commits, database, versions, notes; folded."""
    outcome, proof = result.outcome, result.outcome.proof
    out = [f"- {_looked(result)}"]
    if proof is not None and proof.dialect:
        out.append(f"- On scratch databases of {prose(server_name(proof), _NAMES)}, in {proof.seconds:.1f} s")
    if proof is not None and not downgrade_part(result):
        detail = f", {prose(proof.downgrade.detail, 400)}" if proof.downgrade.detail else ""
        if proof.downgrade.result != "not-run" or detail:
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


def _pointer(result: Result) -> str:
    where = link("summary of the run", result.run_url) if result.run_url is not None else "summary of the run"
    return f"This is the short form; the {where} has everything."


def _titled(title: str, body: list[str]) -> list[str]:
    return [f"#### {title}", "", *body] if body else []


def _joined(parts: list[list[str]]) -> str:
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"
