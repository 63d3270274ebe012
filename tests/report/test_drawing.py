"""The drawing in a terminal: what it looks like, and that its lines say what the graph says."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings

from converger.history.graph import Graph
from converger.history.model import History, Revision
from converger.report.drawing import TooWide, lay_out
from converger.report.graph_text import graph_text
from converger.report.look import ASCII, UNICODE, Glyphs, Look
from converger.report.selection import select
from tests.report.graphs import chain, graph, histories


def drawn(graph: Graph, *, everything: bool = False, glyphs: Glyphs = UNICODE) -> str:
    lines = graph_text(select(graph, everything=everything), Look(glyphs))
    return "\n".join(line.rstrip() for line in lines)


def test_heads_on_one_parent_are_newest_first_and_meet_at_it() -> None:
    history = graph("""
        base : create customers
        one < base : add invoices
        two < base : add a country
        three < base : lower case
    """)
    assert drawn(history) == (
        "●    three (head) lower case\n"
        "│ ●  two (head) add a country\n"
        "├─╯\n"
        "│ ●  one (head) add invoices\n"
        "├─╯\n"
        "●    base (base) create customers"
    )


def test_a_merge_opens_a_lane_for_each_parent() -> None:
    history = graph("""
        base
        left < base
        right < base
        merge < left right
    """)
    assert drawn(history, everything=True) == (
        "◆    merge (head, merge)\n├─╮\n● │  left\n│ ●  right\n├─╯\n●    base (base)"
    )


def test_plain_ascii_has_the_same_shape() -> None:
    history = graph("""
        base
        left < base
        right < base
        merge < left right
    """)
    text = drawn(history, everything=True, glyphs=ASCII)
    assert text.isascii()
    assert text == ("*    merge (head, merge)\n|-.\n* |  left\n| *  right\n|-'\n*    base (base)")


def test_criss_cross_merges_pass_without_joining() -> None:
    history = graph("""
        base
        b < base
        c < base
        m1 < b c
        m2 < b c
    """)
    assert drawn(history, everything=True) == (
        "◆      m2 (head, merge)\n"
        "├─╮\n"
        "│ │ ◆  m1 (head, merge)\n"
        "├─┼─╯\n"
        "● │    b\n"
        "│ ●    c\n"
        "├─╯\n"
        "●      base (base)"
    )


def test_a_long_history_is_reduced_to_what_lies_above_the_common_ancestor() -> None:
    history = chain(300, "h1 < r295", "h2 < r294")
    text = drawn(history)
    assert text.splitlines()[-1].split("  ")[-1] == "… 294 older revisions"
    for shown in ("r299", "r295", "r294", "h1", "h2"):
        assert shown in text
    assert "r293" not in text
    assert "r000 (base)" in drawn(history, everything=True)
    assert "older" not in drawn(history, everything=True)


def test_of_a_single_head_the_newest_revisions_are_shown() -> None:
    text = drawn(chain(300)).splitlines()
    assert len(text) == 11
    assert text[0] == "●  r299 (head)"
    assert text[-1] == "┆  … 290 older revisions"


def test_one_left_out_revision_is_named_instead() -> None:
    assert drawn(chain(11)).splitlines()[-1] == "●  r000 (base)"
    assert drawn(chain(12)).splitlines()[-1] == "┆  … 2 older revisions"


def test_no_revisions() -> None:
    assert drawn(Graph(History({}))) == "no revisions yet"


def test_marks_and_notes() -> None:
    history = Graph(
        History(
            {
                "a": Revision("a", (), branch_labels=("billing",), message="begin"),
                "b": Revision("b", ("a",), depends_on=("x",)),
                "x": Revision("x", ("gone",), branch_labels=("None",), computed=frozenset({"depends_on"})),
                "y": Revision("y", (), computed=frozenset({"branch_labels"})),
            }
        )
    )
    text = drawn(history, everything=True)
    assert "a (base, label billing) begin" in text
    assert "b (head) ┄ depends on x" in text
    # Airflow's slip is no label; what cannot be read is said.
    assert "x (head) ┄ depends on what is computed ┄ parent gone does not exist" in text
    assert "y (head, base, label (computed))" in text


def test_a_cycle_beside_a_sound_history_is_not_left_out() -> None:
    """No head descends from it, and it is what the reader looks for: `check` says that it is there."""
    history = graph("base\nh1 < base\nc1 < c2\nc2 < c1\nd < c1")
    assert "c1" in history.revisions and history.heads == ("d", "h1")
    for looked_at in (history, graph("base\nh1 < base\nc1 < c2\nc2 < c1")):
        view = select(looked_at)
        assert {n.revision.id for n in view.nodes if n.revision} == set(looked_at.revisions)
        assert view.hidden == 0


def test_a_cycle_is_drawn_once_around_and_said() -> None:
    text = drawn(graph("a < c\nb < a\nc < b\nd < c"))
    assert "d (head)" in text
    assert text.count("●") == 4
    assert "is drawn above: a cycle" in text
    assert drawn(graph("a < b\nb < a")).count("●") == 2


def test_text_from_the_repository_cannot_reach_the_terminal() -> None:
    evil = "\x1b[2J\x1b]0;owned\x07\u202egnp\u200b\r\n::error::x"
    history = Graph(History({evil: Revision(evil, (evil + "2",), (evil,), (evil,), message=evil)}))
    for line in graph_text(select(history), Look(UNICODE, colour=False)):
        assert all(character.isprintable() for character in line), line
        assert not line.lstrip().startswith("::")


def test_too_many_branches_side_by_side_are_listed_with_their_parents() -> None:
    parents = [f"p{i}" for i in range(100)]
    lines = ["base", *(f"{p} < base" for p in parents), f"merge < {' '.join(parents)}"]
    text = drawn(graph("\n".join(lines)), everything=True).splitlines()
    assert text[0].startswith("(more than 40 branches")
    assert text[1] == "◆  merge (head, merge)  → p0, p1, p2, p3, p4, p5, p6, p7 and 92 more"
    assert len(text) == 103


def test_lay_out_says_when_it_is_too_wide() -> None:
    nodes = [("m", ("a", "b", "c"), "*"), ("a", (), "*"), ("b", (), "*"), ("c", (), "*")]
    assert [row.lanes for row in lay_out(nodes, ASCII, most_lanes=3)] == [
        "*",
        "|-.-.",
        "* | |",
        "  * |",
        "    *",
    ]
    with pytest.raises(TooWide):
        list(lay_out(nodes, ASCII, most_lanes=2))


# -- the lines say what the graph says ---------------------------------------------------------------

_ARMS = {character: arms for arms, character in enumerate(UNICODE.box)}
_UP, _DOWN, _LEFT, _RIGHT = 1, 2, 4, 8


def read_drawing(rows: list[tuple[str, str | None]]) -> dict[str, set[str]]:
    """Follow the lines of a drawing downwards, knowing only the characters; node -> parents."""
    width = max(len(lanes) for lanes, _ in rows)
    coming: dict[int, set[str]] = {}  # column -> the children whose line comes down there
    parents: dict[str, set[str]] = {}
    own = 0  # the column of the latest node
    for raw, key in rows:
        lanes = raw.ljust(width)
        going: dict[int, set[str]] = {}
        if key is not None:
            own = lanes.index("●")
            parents[key] = set()
            for child in coming.pop(own, set()):
                parents[child].add(key)
            going[own] = {key}
        for column, character in enumerate(lanes):
            arms = _ARMS.get(character, 0)
            above = coming.pop(column, set())
            if character == "●":
                continue
            if not arms & _UP:
                assert not above or _ends_at_base(above, parents), (lanes, column)
                above = set()
            if arms & _UP:
                assert above, (lanes, column)
            if column == own or not arms & (_LEFT | _RIGHT):
                if arms & _DOWN:
                    going.setdefault(column, set()).update(above)
                continue
            if column % 2:
                continue  # between two lanes
            link = {max(parents, key=list(parents).index)}
            if arms & _DOWN:
                going.setdefault(column, set()).update(above | link)
            elif arms & _UP:
                going.setdefault(own, set()).update(above)
        coming = going
    return parents


def _ends_at_base(children: set[str], parents: dict[str, set[str]]) -> bool:
    """Only the line below a node without parents may end in nothing; it has no other line either."""
    return len(children) == 1 and not any(parents[child] for child in children)


@settings(deadline=None, max_examples=300)
@given(histories())
def test_following_the_lines_gives_the_graph_back(history: Graph) -> None:
    view = select(history, everything=True)
    symbols = [(n.key, n.parents, "●") for n in view.nodes]
    rows = [(row.lanes, row.key) for row in lay_out(symbols, UNICODE, most_lanes=1000)]
    found = read_drawing(rows)
    assert found == {
        f"revision:{id}": {f"revision:{p}" for p in history.parents(id)} for id in history.revisions
    }


@settings(deadline=None, max_examples=200)
@given(histories())
def test_a_selection_loses_nothing_but_what_is_older(history: Graph) -> None:
    view = select(history)
    shown = {n.revision.id for n in view.nodes if n.revision is not None}
    assert set(history.heads) <= shown
    assert history.descendants(shown) == shown
    assert view.hidden == len(history.revisions) - len(shown)
    assert view.hidden == sum(n.older for n in view.nodes)
    assert all(n.older != 1 for n in view.nodes)
    drawn: set[str] = set()
    for node in view.nodes:
        assert not drawn & set(node.parents), "a parent is drawn before its child"
        drawn.add(node.key)
        if node.revision is not None:
            kept = {f"revision:{p}" for p in history.parents(node.revision.id) if p in shown}
            assert kept <= set(node.parents)
            assert (kept == set(node.parents)) == (set(history.parents(node.revision.id)) <= shown)


def test_many_revisions_take_time_in_proportion() -> None:
    def seconds(size: int, shape: str) -> float:
        if shape == "star":
            lines = ["base", *(f"h{i} < base" for i in range(size))]
        elif shape == "fan":
            heads = [f"h{i}" for i in range(size)]
            lines = ["base", *(f"{h} < base" for h in heads), f"m < {' '.join(heads)}"]
        else:
            lines = [f"r{i}" + (f" < r{i - 1}" if i else "") for i in range(size)]
            lines += [f"side{i} < r{i}" for i in range(0, size, 7)]
        history = graph("\n".join(lines))
        best = float("inf")
        for _ in range(3):
            began = time.process_time()
            graph_text(select(history, everything=True), Look())
            best = min(best, time.process_time() - began)
        return best

    for shape in ("star", "fan", "branches"):
        small, large = seconds(1_000, shape), seconds(16_000, shape)
        # 16 times as many: in proportion is 16, quadratic would be 256.
        assert large < 80 * small, (shape, small, large)
