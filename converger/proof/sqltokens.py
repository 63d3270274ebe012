"""The words of one SQL statement, to see what kind of statement it is. Not a parser."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_COMMON = r"""
    (?P<space>\s+ | --[^\n]* | /\*(?![!M]).*?\*/)
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
  | (?P<name>"(?:[^"]|"")*" | `(?:[^`]|``)*`)
"""
_PLAIN = re.compile(
    _COMMON + r"| (?P<string>'[^']*(?:''[^']*)*' | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$) | (?P<mark>.)",
    re.X | re.S,
)
_ESCAPING = re.compile(
    _COMMON.replace('"(?:[^"]|"")*" | ', "")
    + r"""| (?P<string>'[^'\\]*(?:(?:\\.|'')[^'\\]*)*' | "[^"\\]*(?:(?:\\.|"")[^"\\]*)*") | (?P<mark>.)""",
    re.X | re.S,
)
_CAPITALS = re.compile("[A-Z]+")
_ESCAPE_STRING = re.compile(r"'[^'\\]*(?:(?:\\.|'')[^'\\]*)*'", re.S)


@dataclass(frozen=True)
class Token:
    """A word (`text` in capitals), a quoted name or a string (`text` without quotes), or one character.

    `start` and `end` are its place in the statement. `identifier` is the name that it means where a name
    is expected, as PostgreSQL folds it.
    """

    kind: Literal["word", "name", "string", "mark"]
    text: str
    start: int
    end: int
    identifier: str | None = None


def tokens(text: str, dialect: str, *, limit: int | None = None) -> list[Token]:
    """The first `limit` tokens of a statement, or all. Blanks and comments are none."""
    pattern = _ESCAPING if dialect in ("mysql", "mariadb") else _PLAIN
    found: list[Token] = []
    at = 0
    while at < len(text) and (limit is None or len(found) < limit):
        match = pattern.match(text, at)
        assert match is not None
        kind, at = match.lastgroup, match.end()
        if kind == "word" and match.group() in ("E", "e") and text[at : at + 1] == "'" and pattern is _PLAIN:
            escaped = _ESCAPE_STRING.match(text, at)
            if escaped:
                at = escaped.end()
                found.append(Token("string", escaped.group()[1:-1], match.start(), at))
                continue
        value = match.group()
        if kind == "space":
            continue
        if kind == "word":
            # ASCII letters only: others may be halves of a letter, where bytes were made characters.
            folded = _CAPITALS.sub(lambda capitals: capitals.group().lower(), value)
            found.append(Token("word", value.upper(), match.start(), at, folded))
        elif kind == "name":
            name = value[1:-1].replace(value[0] * 2, value[0])
            found.append(Token("name", name, match.start(), at, name))
        elif kind == "mark":
            found.append(Token("mark", value, match.start(), at))
        else:
            inner = value[1:-1] if value[0] in "'\"" else value.strip("$")
            found.append(Token("string", inner, match.start(), at))
    return found


def starts(words: list[Token], *phrase: str) -> bool:
    """Whether these words begin with those of `phrase`; `A|B` stands for either."""
    return len(words) >= len(phrase) and all(
        token.kind == "word" and token.text in wanted.split("|")
        for token, wanted in zip(words, phrase, strict=False)
    )
