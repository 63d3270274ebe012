"""Foreign text in Markdown, as a renderer sees it: it stays text, all of it, and means nothing."""

from __future__ import annotations

import re
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converger.report.markup import code, fence, fenced, prose, quoted_path, shell_line, table
from converger.report.visible import one_line, visible
from tests.github.rendered import MEANS_SOMETHING, assert_harmless, render

# What Markdown, HTML, GitHub and terminals see something in, with letters between.
NASTY = st.lists(
    st.sampled_from(
        [*"`~|\\<>&*_[]()!#@:/.-+=$\"'{}^ \t\n\r\x1b\u202e\u200b1aA", "www.", "http://", "-->", "x.org"]
    ),
    max_size=20,
).map("".join)


@settings(max_examples=150, deadline=None)
@given(NASTY)
@example("`")
@example("a``b`")
@example("\\|`|\\")
@example("a\\|b")
@example("``` x")
def test_code_is_one_code_span_with_exactly_the_text(text: str) -> None:
    shown = one_line(text)
    span = code(text)
    if not shown:
        assert span == ""
        return
    for markdown in (f"{span}", f"x {span} y", f"- {span}", f"### {span}", f"**{span}**"):
        page = render(markdown)
        assert page.code == [shown], markdown
    page = render("\n".join(table(("a", "b"), [(span, "x"), ("y", span)])))
    assert page.code == [shown, shown], span
    assert len(page.named("td")) == 4


@settings(max_examples=150, deadline=None)
@given(st.lists(NASTY, max_size=4))
@example(["1. x", "- y"])
@example(["deadbeef", "GH-1", "www.x.org"])
@example(["`a`", "`1`,", "``", "`a`b`", "1) x", "1", "12. x"])
def test_prose_says_all_of_it_and_means_nothing(words: list[str]) -> None:
    text = " ".join(words)
    page = assert_harmless(f"{prose(text)}\n\nend")
    said = "".join([*page.code, *page.text]).replace("\n", "").removesuffix("end")
    # A word in back-ticks becomes code, which shows without them.
    all = "".join(re.sub(r"^`([^`]+)`([.,;:!?)]*)$", r"\1\2", word) for word in one_line(text).split(" "))
    assert sorted(said.replace(" ", "")) == sorted(all), prose(text)
    assert [tag for tag, _ in page.tags if tag not in ("p", "code")] == []


@settings(max_examples=100, deadline=None)
@given(st.lists(NASTY, max_size=5))
@example(["```", "````", "</details>", "~~~"])
def test_a_fence_holds_whatever_is_in_it(lines: list[str]) -> None:
    clean = [visible(line) for line in lines]
    page = assert_harmless("\n".join(["begin", "", *fence(clean, "text"), "", "end"]))
    assert page.code == ["".join(f"{line}\n" for line in clean)]
    assert len(page.named("pre")) == 1


def test_a_sentence_stays_readable() -> None:
    advice = (
        "aaa81d97a6f6 works on its own branch, but not after f131a1263a10 (for instance by an IF EXISTS)."
    )
    assert prose(advice) == (
        "`aaa81d97a6f6` works on its own branch, but not after `f131a1263a10` (for instance by an IF EXISTS)."
    )
    assert prose('relation "x_y" does not exist') == 'relation `"x_y"` does not exist'
    assert prose("a renames b_b, c_c uses `b_b`, too.") == "a renames `b_b`, `c_c` uses `b_b`, too."
    assert prose('a "b_b, c_c" d') == 'a `"b_b, c_c"` d' and prose("f(a_a, b_b).") == "`f(a_a, b_b)`."
    assert prose("2 of 3") == "2 of 3" and prose("2. of 3") == "`2`. of 3"
    assert prose("see docs/a.md: it says 3.5, or 12!") == "see `docs/a.md`: it says 3.5, or 12!"
    assert prose("ping @octocat and #12.") == "ping `@octocat` and `#12`."
    assert prose("drop_all() now") == "`drop_all()` now"
    assert prose("", 5) == "" and prose("Spalten ändern, déjà vu") == "Spalten ändern, déjà vu"


def test_what_does_not_show_is_shown() -> None:
    assert code("a\u202eb\x1b[2J") == "`a\\u202eb\\x1b[2J`"
    assert prose("a\u2066b c") == "`a\\u2066b` c"
    assert fenced("x\r\ny\u200b\x00") == ["```", "x", "y\\u200b\\x00", "```"]


def test_paths_in_addresses() -> None:
    path = "v/a b)](x \"<'\\`é%#?.py"
    assert quoted_path(path) == "v/a%20b%29%5D%28x%20%22%3C%27%5C%60%C3%A9%25%23%3F.py"
    assert quoted_path("v/\udcff.py") == "v/%FF.py"


@pytest.mark.parametrize(
    "word", ["$(touch x)", "`x`", "a b", "'", '"', "-x", ";", "&", "*", "é", "!", "~", ""]
)
def test_a_command_to_copy_means_what_it_says(word: str) -> None:
    line = shell_line(["printf", "%s", word])
    assert line is not None
    assert subprocess.run(["bash", "-c", line], capture_output=True, text=True).stdout == word


def test_a_command_that_would_not_survive_copying_is_not_given() -> None:
    assert shell_line(["git", "switch", "a\nb"]) is None and shell_line(["git", "\u202ex"]) is None


def test_the_test_would_see_something() -> None:
    for text in (
        "@octocat",
        "#12",
        "https://x.org",
        "a <b>x</b>",
        "<!-- x -->",
        "[x](y)",
        "deadbee",
        ":x:",
        "\u202e",
        "![x](y)",
    ):
        with pytest.raises(AssertionError):
            page = assert_harmless(f"see {text} there")
            assert not page.comments
    assert MEANS_SOMETHING.search("plain words, of ours.") is None
