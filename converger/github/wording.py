"""The texts that users can choose: commit message, title, branch. Words in braces are replaced, nothing else is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"\{(base|heads|count|final-head)\}")
_MOST_HEADS = 10
_TITLE = 256
"""GitHub's limit for the title of a pull request."""


def words_for(base: str, heads: Sequence[str], final_head: str | None) -> Mapping[str, str]:
    """What the words in braces stand for.

    Revision ids come from the repository. In a commit message `@name` would ping, and `fixes #1` close an issue:
    what is no letter, digit, dot, hyphen or underscore becomes an underscore, as in the file names of merges.
    """
    shown = [_plain(head) for head in heads[:_MOST_HEADS]]
    if len(heads) > _MOST_HEADS:
        shown.append(f"{len(heads) - _MOST_HEADS} more")
    joined = f"{', '.join(shown[:-1])} and {shown[-1]}" if len(shown) > 1 else "".join(shown)
    return {
        "base": re.sub(r"[^\w./-]", "_", base, flags=re.ASCII),
        "heads": joined,
        "count": str(len(heads)),
        "final-head": _plain(final_head or ""),
    }


def fill(template: str, words: Mapping[str, str]) -> str:
    """The template with `{base}`, `{heads}`, `{count}` and `{final-head}` replaced, once; other braces stay."""
    return _WORD.sub(lambda match: words[match[1]], template)


def title(template: str, words: Mapping[str, str]) -> str:
    """The same on one line, no longer than GitHub takes a title."""
    text = " ".join(fill(template, words).split())
    return text if len(text) <= _TITLE else text[: _TITLE - 3].rstrip() + "..."


def _plain(id: str) -> str:
    return re.sub(r"[^\w.-]", "_", id, flags=re.ASCII)[:60]
