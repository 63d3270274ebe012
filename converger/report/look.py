"""How text output looks: with or without colour, with box-drawing characters or plain ASCII."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Style = Literal["good", "bad", "warn", "head", "label", "dim", "bold"]

_SGR: dict[Style, str] = {
    "good": "32",
    "bad": "31",
    "warn": "33",
    "head": "1;36",
    "label": "35",
    "dim": "2",
    "bold": "1",
}

# Indexed by the arms of a crossing: up 1, down 2, left 4, right 8.
_BOX = " ╵╷│╴╯╮┤╶╰╭├─┴┬┼"
_BOX_ASCII = " |||-'.|-'.|-'.+"


@dataclass(frozen=True)
class Glyphs:
    """The characters of a drawing. `box` is indexed by arms: up 1, down 2, left 4, right 8."""

    node: str
    merge: str
    older: str
    arrow: str
    bar: str
    ellipsis: str
    good: str
    bad: str
    box: str


UNICODE = Glyphs("●", "◆", "┆", "→", "│", "…", "✓", "✗", _BOX)
ASCII = Glyphs("*", "*", ":", "->", "|", "...", "ok", "x", _BOX_ASCII)


def glyphs_for(encoding: str | None) -> Glyphs:
    """The box-drawing characters where `encoding` has them all, else plain ASCII."""
    wanted = "".join((UNICODE.node, UNICODE.merge, UNICODE.arrow, UNICODE.ellipsis, UNICODE.good, _BOX))
    try:
        wanted.encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return UNICODE


@dataclass(frozen=True)
class Look:
    """What the output device can do. `paint` is the only place where terminal codes are made."""

    glyphs: Glyphs = UNICODE
    colour: bool = False

    def paint(self, style: Style, text: str) -> str:
        """`text` in `style`, or as it is without colour."""
        return f"\x1b[{_SGR[style]}m{text}\x1b[0m" if self.colour and text else text
