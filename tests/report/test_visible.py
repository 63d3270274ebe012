"""Foreign text: harmless on a terminal, folded, and never longer than it has to be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from converger.report.look import ASCII, UNICODE, Look, glyphs_for
from converger.report.visible import block, one_line, runner_safe, visible


@given(st.text())
def test_everything_that_is_shown_can_be_seen(text: str) -> None:
    for shown in (visible(text), one_line(text), *block(text)):
        assert all(c.isprintable() for c in shown), ascii(shown)
    visible(text).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff", "\\udcff"),
        ("\U000e0001", "\\U000e0001"),
        ("naïve 日本 ✓", "naïve 日本 ✓"),
    ],
)
def test_escapes(text: str, expected: str) -> None:
    assert visible(text) == expected


def test_one_line_is_one_line_of_at_most_so_many() -> None:
    assert one_line("  a\n\tb  ") == "a b"
    assert one_line("abcdefgh", 6) == "abc..."
    assert one_line("abcdef", 6) == "abcdef"


@given(st.text(), st.integers(10, 40), st.integers(3, 9))
def test_a_block_keeps_its_bounds(text: str, width: int, lines: int) -> None:
    shown = block(text, width=width, lines=lines)
    assert 1 <= len(shown) <= lines
    assert all(len(line) <= max(width, len("... (10000 lines left out)")) for line in shown)


def test_a_block_keeps_both_ends_of_a_long_statement() -> None:
    shown = block("\n".join(f"line {i}" for i in range(100)), lines=10)
    assert shown[0] == "line 0"
    assert shown[-1] == "line 99"
    assert "... (91 lines left out)" in shown
    assert len(shown) == 10


def test_a_block_folds_between_words() -> None:
    assert block("ALTER TABLE accounts ADD COLUMN email", width=20) == [
        "ALTER TABLE accounts",
        "ADD COLUMN email",
    ]


def test_glyphs_follow_the_encoding() -> None:
    assert glyphs_for("utf-8") is UNICODE
    assert glyphs_for("ascii") is ASCII
    assert glyphs_for("iso-8859-1") is ASCII
    assert glyphs_for(None) is ASCII
    assert glyphs_for("no-such-encoding") is ASCII


def test_colour_only_when_asked_for() -> None:
    assert Look(UNICODE).paint("bad", "x") == "x"
    assert Look(UNICODE, colour=True).paint("bad", "x") == "\x1b[31mx\x1b[0m"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("  ::error::x", "  \\x3a:error::x"),
        ("::", "\\x3a:"),
        ("a ::error::x", "a ::error::x"),
        ("a ##[error]x", "a #\\x23[error]x"),
        ("###[group]", "##\\x23[group]"),
        ("● plain", "● plain"),
    ],
)
def test_a_runner_is_given_no_commands(line: str, expected: str) -> None:
    assert runner_safe(line) == expected
