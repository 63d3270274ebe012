"""What the report says about downgrades: the result, and the commands that work behind a merge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converger.report.look import Look
from converger.report.visible import block, one_line

if TYPE_CHECKING:
    from converger.proof.model import Downgrade, DowngradeRun

_ID = 40
_MOST_LINES = 6
_BAD = {"fails": "FAILS", "leaves-residue": "LEAVES RESIDUE"}


def downgrade_text(downgrade: Downgrade, look: Look) -> list[str]:
    """The section on downgrades; nothing where none was looked at and there is no word why."""
    if downgrade.result == "not-run" and not downgrade.detail:
        return []
    head = f"Downgrade: {downgrade.result}"
    if downgrade.by_merging:
        out = [look.paint("bad", f"{head}, and merging is the cause")]
    elif downgrade.detail:
        out = [f"{head}: {one_line(downgrade.detail, 300)}"]
    else:
        out = [head]
    behind = [run for run in downgrade.runs if run.merged and run.target]
    if behind:
        out.append("  `alembic downgrade -1` is ambiguous behind a merge. Instead:")
        out += _commands(behind, look)
    for run in behind:
        if run.by_merging:
            out += _trouble(run, look)
    return out


def _commands(runs: list[DowngradeRun], look: Look) -> list[str]:
    whats = [f"takes back {one_line(run.branch, _ID)}" if run.branch else "takes back all" for run in runs]
    commands = [f"alembic downgrade {one_line(run.target or '', 2 * _ID)}" for run in runs]
    first, second = max(map(len, whats)), max(map(len, commands))
    return [
        f"  {command:<{second}}  {what:<{first}}  "
        + look.paint(
            "bad" if run.by_merging else "good" if run.result == "restores" else "warn", _result(run)
        )
        for what, command, run in zip(whats, commands, runs, strict=True)
    ]


def _result(run: DowngradeRun) -> str:
    return _BAD.get(run.result, run.result) if run.by_merging else run.result


def _trouble(run: DowngradeRun, look: Look) -> list[str]:
    bar = look.glyphs.bar
    out = [look.paint("bad", f"  {look.glyphs.bad} alembic downgrade {one_line(run.target or '', 2 * _ID)}")]
    if run.result == "leaves-residue":
        out.append("    leaves another database than there was before")
    elif run.revision:
        out.append(f"    fails at {one_line(run.revision, _ID)}")
    shown = [*run.differences[:_MOST_LINES]]
    if len(run.differences) > _MOST_LINES:
        shown.append(f"and {len(run.differences) - _MOST_LINES} more (--format json has all)")
    for text in (*shown, run.statement, run.error):
        if text:
            out += [f"    {bar} {line}" for line in block(text, width=100, lines=8)]
    return out
