"""What a person can do now, as commands to copy. The same for the comment, the summary and a pull request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converger.report.json import relative_path
from converger.report.markdown_conflicts import advice_for
from converger.report.markdown_parts import file_link
from converger.report.markup import code, fence, folded, prose, shell_line
from converger.report.visible import one_line, visible
from converger.report.whose import is_ours

if TYPE_CHECKING:
    from converger.reparent import Reparenting
    from converger.report.result import Result

_MOST_FILES = 20
_NAMES = 60
_OWN_BRANCH = "merge-alembic-heads"


def what_to_do(result: Result) -> list[str]:
    """A sentence and the commands; [] where nothing is left to do."""
    outcome = result.outcome
    if outcome.status == "converged":
        return []
    if result.written is not None:
        if result.written.kind == "pull-request":
            return [f"Merge {'this' if result.written.number is None else 'that'} pull request."]
        return [
            "Nothing, but get the commit before you go on with this branch:",
            "",
            *_block(["git", "pull"]),
        ]
    if outcome.status in ("merged", "would-merge"):
        return _merge(result)
    out: list[list[str]] = []
    if advice := advice_for(result):
        out.append(advice)
    if outcome.reason is not None and outcome.reason.hint:
        out.append([f"{_capital(prose(outcome.reason.hint, 1000))}.".replace("..", ".")])
    if way := _reparenting(result):
        out.append(way)
    look = [*_bring_base(result), ["alembic-converger", "converge", "--dry-run", *result.local.options]]
    out.append(["To see it for yourself:", "", *_block(*look, after_merge=_after_merge(result))])
    return [line for part in out for line in (*part, "")][:-1]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _merge(result: Result) -> list[str]:
    if result.situation == "base-forked" and result.base is not None:
        fetch = [
            ["git", "fetch", "origin", result.base.branch],
            ["git", "switch", "-c", _OWN_BRANCH, "FETCH_HEAD"],
        ]
        push = ["git", "push", "-u", "origin", _OWN_BRANCH]
        return [
            f"Nothing in this pull request. {code(result.base.branch, _NAMES)} needs a pull request of its own "
            "(`mode: pull-request` on `push` opens it):",
            "",
            *_block(*fetch, *_converge(result), push),
        ]
    commands = [*_bring_base(result), *_converge(result), ["git", "push"]]
    return [
        "Merge the heads on this branch, and push:",
        "",
        *_block(*commands, after_merge=_after_merge(result)),
    ]


def _after_merge(result: Result) -> str | None:
    return "# resolve the conflicts that git reports, and commit" if result.git_conflicts else None


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
    return [*out, ["git", "commit", "-m", "Merge Alembic heads"]]


def _block(*commands: list[str], after_merge: str | None = None) -> list[str]:
    lines = []
    for command in commands:
        lines.append(shell_line(command) or "# (a name here cannot be written as a command)")
        if after_merge is not None and command[:2] == ["git", "merge"]:
            lines.append(after_merge)
    return fence(lines, "bash")


def _reparenting(result: Result) -> list[str]:
    """The other way to one head, where it is one: put one branch on top of the other.

    It is folded where only the other branch could be moved, which databases have more likely run already.
    """
    from converger.report.reparenting import ways_that_work

    ways = sorted(ways_that_work(result.outcome), key=lambda way: not is_ours(result, way.head))
    if not ways:
        return []
    body = _way(ways[0], result)
    title = "Or leave one order only, by putting one branch on top of the other"
    if is_ours(result, ways[0].head):
        return [f"{title}:", "", *body]
    return folded(title, body)


def _way(way: Reparenting, result: Result) -> list[str]:
    edit = way.edit
    out = [
        f"In {file_link(result, edit.path, edit.line, short=True)}:",
        "",
        *fence(
            [
                f"- down_revision = {visible(one_line(edit.before, 200))}",
                f"+ down_revision = {visible(one_line(edit.after, 100))}",
            ],
            "diff",
        ),
    ]
    if way.skipped:
        out += [
            "",
            f"Only if no database has run {_some(way.moved, 'or')} yet: one that has would be taken to be past "
            f"{code(way.onto, 40)} as well, and silently skip {_some(way.skipped, 'and')}.",
        ]
    return out


def _some(ids: tuple[str, ...], last: str) -> str:
    names = [code(id, 40) for id in ids]
    if len(names) > 4:
        names = [*names[:3], f"{len(names) - 3} more"]
    return f"{', '.join(names[:-1])} {last} {names[-1]}" if len(names) > 1 else names[0]
