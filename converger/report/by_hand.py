"""What a person can do now, as commands to copy. The same for the comment, the summary and a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converger.report.json import relative_path
from converger.report.markup import fence, prose, shell_line
from converger.report.visible import visible

if TYPE_CHECKING:
    from converger.report.result import Result

_MOST_FILES = 20


def what_to_do(result: Result) -> list[str]:
    """A sentence and the commands; [] where nothing is left to do."""
    outcome = result.outcome
    if outcome.status == "converged":
        return []
    if result.written is not None:
        if result.written.kind == "pull-request":
            return [f"Merge {'this' if result.written.number is None else 'that'} pull request."]
        commands = _block(["git", "pull"])
        return ["Nothing, but to get the commit before you go on with this branch:", "", *commands]
    if outcome.status in ("merged", "would-merge"):
        return [
            "Merge the heads on this branch, and push:",
            "",
            *_block(*_bring_base(result), *_converge(result)),
        ]
    out: list[str] = []
    if outcome.reason is not None and outcome.reason.hint:
        out += [f"{_capital(prose(outcome.reason.hint, 1000))}.".replace("..", ".")]
    if ways := _reparenting(result):
        out += ["", *ways]
    look = [*_bring_base(result), ["alembic-converger", "converge", "--dry-run", *result.local.options]]
    out += ["", "To see it for yourself:", "", *_block(*look)]
    return out if out[0] else out[1:]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _bring_base(result: Result) -> list[list[str]]:
    local = result.local
    out = []
    if local.merge is not None:
        out.append(["git", "fetch", local.fetch, local.merge])
    if local.checkout is not None:
        out.append(["git", "switch", local.checkout])
    if local.merge is not None:
        out.append(["git", "merge", "--no-edit", "FETCH_HEAD"])
    return out


def _converge(result: Result) -> list[list[str]]:
    outcome = result.outcome
    root = outcome.project.root if outcome.project is not None else None
    paths = [relative_path(file.path, root) for file in outcome.files[:_MOST_FILES]]
    out = [["alembic-converger", "converge", *result.local.options]]
    if paths and len(outcome.files) <= _MOST_FILES and not any(path.startswith("/") for path in paths):
        out.append(["git", "add", "--", *(f":/{path}" for path in paths)])
    else:
        out.append(["git", "add", "--all"])
    return [*out, ["git", "commit", "-m", "Merge Alembic heads"], ["git", "push"]]


def _block(*commands: list[str]) -> list[str]:
    lines = [shell_line(command) or "# (a name here cannot be written as a command)" for command in commands]
    return fence(lines, "bash")


def _reparenting(result: Result) -> list[str]:
    """The other way to one head, where it is one: put one branch on top of the other."""
    from converger.report.look import Look
    from converger.report.reparenting import reparent_advice

    lines = reparent_advice(result.outcome, Look())
    if not lines:
        return []
    return [
        "Instead of a merge, one branch can be put on top of the other, so that only one order is left:",
        "",
        *fence(map(visible, lines[1:]), "text"),
    ]
