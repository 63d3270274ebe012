"""Markdown as GitHub renders it, out of text that strangers wrote.

Text of a repository or a database never stands in the open. It is shown as a code span (`code`), in a fence
(`fence`), or word by word (`prose`), where a word that could mean anything to Markdown or to GitHub becomes a code
span. In code GitHub looks for no mention, issue, commit, address, emoji or formula, and Markdown for nothing at
all. What ends a code span or a fence is a run of back-ticks, and theirs are always longer than those in the text
(https://github.github.com/gfm/). Characters that do not show are made visible first.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from urllib.parse import quote

from converger.report.visible import block, one_line

_TICKS = re.compile(r"`+")
# Letters of any script, hyphens and apostrophes between them, and marks that end or enclose a part of a sentence.
_WORD = re.compile(r"[(\"“]*[^\W\d_]+(?:['’-][^\W\d_]+)*[.,;:!?)\"”]*")
_NUMBER = re.compile(r"\(?\d{1,6}(?:[.,]\d{1,3})?[.,;:!?)]*")
_TAIL = re.compile(r"[.,;:!?)]+$")
# Sentences of ours name an option or a file like this.
_TICKED = re.compile(r"`([^`\s]+)`([.,;:!?)]*)")
_OPENING, _CLOSING = "([{", ")]}"
# GitHub makes a link of anything that could be the beginning of a commit's id.
_LIKE_A_COMMIT = re.compile(r"[0-9a-fA-F]{7,}")
_LIKE_AN_ADDRESS = re.compile(r"www|https?|ftp|mailto|xmpp", re.IGNORECASE)


def code(text: str, limit: int | None = None) -> str:
    """Foreign text as a code span on one line; empty text stays empty."""
    shown = one_line(text, limit)
    if not shown:
        return ""
    ticks = "`" * (1 + max((len(run) for run in _TICKS.findall(shown)), default=0))
    # A back-tick at either end would become part of the delimiter; one space on both sides is taken off again.
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{ticks}{pad}{shown}{pad}{ticks}"


def prose(text: str, limit: int | None = None) -> str:
    """A sentence that holds foreign text, on one line: plain words stay, everything else becomes code.

    A word in back-ticks is code already; strange words that follow each other become one code span, up to a mark that
    ends a part of the sentence.
    """
    out: list[str] = []
    strange: list[str] = []

    def flush() -> None:
        if strange:
            joined = " ".join(strange)
            strange.clear()
            # Marks at the end belong to our sentence, but for a bracket that closes one of theirs.
            tail = match[0] if (match := _TAIL.search(joined)) and len(match[0]) < len(joined) else ""
            body = joined[: len(joined) - len(tail)]
            while tail[:1] == ")" and body.count("(") > body.count(")"):
                body, tail = f"{body})", tail[1:]
            # One that is closed behind further words is ours, too.
            begin = "(" if len(body) > 1 and body[0] == "(" and body.count("(") > body.count(")") else ""
            out.append(begin + code(body[len(begin) :]) + tail)

    for position, word in enumerate(one_line(text, limit).split(" ")):
        if _is_plain(word, first=position == 0):
            flush()
            out.append(word)
        elif ticked := _TICKED.fullmatch(word):
            flush()
            out.append(code(ticked[1]) + ticked[2])
        elif word:
            strange.append(word)
            if word[-1] in ",;:." and _is_whole(strange):
                flush()
    flush()
    return " ".join(out)


def _is_whole(words: Sequence[str]) -> bool:
    """Whether nothing that was opened in these words is still open: a bracket, a quotation."""
    text = " ".join(words)
    brackets = [text.count(mark) for mark in _OPENING] == [text.count(mark) for mark in _CLOSING]
    return brackets and text.count('"') % 2 == 0 and text.count("'") % 2 == 0


def _is_plain(word: str, *, first: bool) -> bool:
    if _WORD.fullmatch(word):
        return _LIKE_A_COMMIT.search(word) is None and _LIKE_AN_ADDRESS.search(word) is None
    # At the beginning of a line `1.` and `1)` would begin a list.
    return _NUMBER.fullmatch(word) is not None and not (first and word[-1] in ".)")


def fence(lines: Iterable[str], language: str = "") -> list[str]:
    """Lines in a fenced block. They must be `visible` already; `language` is ours."""
    body = [line.replace("\n", " ").replace("\r", " ") for line in lines]
    longest = max((len(run) for line in body for run in _TICKS.findall(line)), default=0)
    ticks = "`" * max(3, longest + 1)
    return [f"{ticks}{language}", *body, ticks]


def fenced(text: str, language: str = "", *, lines: int = 20, width: int = 160) -> list[str]:
    """Foreign text of several lines in a fenced block, bounded in both directions."""
    return fence(block(text, width=width, lines=lines), language)


def link(shown: str, url: str) -> str:
    """A link. `shown` is Markdown of ours (a code span, a number), `url` an address from `file_url` and the like."""
    return f"[{shown}]({url})"


def quoted_path(path: str) -> str:
    """A path as part of an address: everything but letters, digits, `-._~` and `/` is percent-encoded."""
    return quote(path.encode("utf-8", "surrogateescape"), safe="/")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; cells are Markdown on one line each, from `code` and `prose` or of ours."""
    lines = [" | ".join(header), " | ".join("---" for _ in header)]
    lines += [" | ".join(_cell(cell) for cell in row) for row in rows]
    return [f"| {line} |" for line in lines]


def _cell(markdown: str) -> str:
    # A table is cut into cells before anything else is looked at, code spans too. The escape works in them as well.
    return markdown.replace("|", "\\|").replace("\n", " ")


def folded(summary: str, body: Sequence[str]) -> list[str]:
    """A part that is shown when somebody asks for it. `summary` is text of ours, in which HTML means something.

    The blank lines end the block of HTML, so that the body is Markdown again.
    """
    return [f"<details><summary>{summary}</summary>", "", *body, "", "</details>"]


def shell_line(words: Sequence[str]) -> str | None:
    """A command to be copied, each word quoted for a shell; None where a character would not survive copying."""
    if any(not word.isprintable() for word in words):
        return None
    return " ".join(map(shlex.quote, words))
