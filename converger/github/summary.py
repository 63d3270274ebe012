"""The summary of a run: the same report, as large as the runner takes it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converger.report.markdown import FULL, SHORT, report, verdict_only
from converger.report.markdown_parts import Room

if TYPE_CHECKING:
    from converger.report.result import Result

LIMIT = 1_048_576
"""Bytes that the runner takes for the summary of a step; of a longer one it takes nothing."""

_ALL = Room(boxes=60, rows=500, conflicts=100, lines=200, files=True)
_TAIL = "\n"


def summary(result: Result, limit: int = LIMIT, already: int = 0) -> bytes:
    """The fullest form of the report that fits, in UTF-8; `already` is what the file of the summary has.

    Empty where not even the verdict fits: a summary that is too long is dropped as a whole, the other steps' part too.
    """
    for text in (report(result, _ALL), report(result, FULL), report(result, SHORT), verdict_only(result)):
        data = (text + _TAIL).encode("utf-8", "backslashreplace")
        if already + len(data) <= limit:
            return data
    return b""


def notice(title: str, text: str) -> bytes:
    """A summary for a run that looked at nothing, or could not begin. `text` may hold foreign text."""
    from converger.report.markup import prose

    return f"### {title}\n\n{prose(text, 4000)}\n".encode("utf-8", "backslashreplace")
