"""Text from a repository or a database, made harmless for a terminal, a log and a report.

Revision ids, messages, paths, statements and database messages are written by whoever opened the pull
request. Shown as they are they could move the cursor, recolour the screen, hide characters or reverse
the direction of a line. Everything that is not a visible character is shown as its escape instead.
"""

from __future__ import annotations

import re

_SPACES = re.compile(r"\s+")


def visible(text: str) -> str:
    """The same text with every character that does not show replaced by its escape (`\\x1b`, `\\u202e`)."""
    # Not printable, in Python's words: controls, format characters (bidi overrides, zero width), surrogates,
    # private and unassigned code points, and every space but the one.
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def runner_safe(line: str) -> str:
    """A line of output that a GitHub runner does not take as one of its commands.

    The runner obeys `::error::…` at the beginning of a line, after white space, and `##[error]…` anywhere
    in it, whoever wrote it (ActionCommand.cs in actions/runner).
    """
    if "##[" in line:
        line = line.replace("##[", "#\\x23[")
    start = line.lstrip()
    return f"{line[: len(line) - len(start)]}\\x3a{start[1:]}" if start.startswith("::") else line


def _escape(character: str) -> str:
    point = ord(character)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def one_line(text: str, limit: int | None = None) -> str:
    """`visible` on one line: white space becomes a single space, at most `limit` characters."""
    line = visible(_SPACES.sub(" ", text).strip())
    if limit is not None and len(line) > limit:
        return line[: max(limit - 3, 0)].rstrip() + "..."
    return line


def block(text: str, *, width: int = 100, lines: int = 12) -> list[str]:
    """Lines of foreign text, each `visible` and folded at `width`; beyond `lines` the middle is left out."""
    # Escaping first would turn the line ends into "\n"; splitting first keeps what a person laid out.
    raw = re.split(r"\r\n|\n|\r", text.expandtabs(4).strip("\r\n "))
    folded = [part for line in raw for part in _fold(visible(line.rstrip()), width)]
    if len(folded) <= lines:
        return folded
    head = lines * 2 // 3
    tail = lines - head - 1
    left_out = len(folded) - head - tail
    return [*folded[:head], f"... ({left_out} lines left out)", *folded[len(folded) - tail :]]


def _fold(line: str, width: int) -> list[str]:
    parts = []
    while len(line) > width:
        cut = line.rfind(" ", width // 2, width + 1)
        cut = width if cut < 0 else cut
        parts.append(line[:cut].rstrip())
        line = line[cut:].lstrip()
    return [*parts, line]
