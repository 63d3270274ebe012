"""Mermaid and dot: the graph, and nothing of the repository outside a label."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from converger.history.graph import Graph
from converger.history.model import History, Revision
from converger.report.dot import dot
from converger.report.mermaid import mermaid
from converger.report.selection import select
from tests.report.graphs import chain, graph, histories

EVIL = [
    '"] --> x["',
    "end",
    "</br><script>alert(1)</script>",
    "%%{init: {'securityLevel': 'loose'}}%%",
    "```\n::error::x",
    'click n0 "javascript:alert(1)"',
    "a\nclick n0 href",
    "style n0 fill:#f00;",
    "#quot;#35;",
    "`**bold**`",
    'x" URL="javascript:alert(1)',
    'x\\" ]; evil -> n0; //',
    "\\",
    "subgraph",
    "\x00\u202e",
    ":::head",
    "1. first",
    "__bold__ - *x*",
    "---\ntitle: x\n---",
    "$$\\frac$$ $x$ $$$$",
    "a fa:fa-car fab:fa-x",
]

_MERMAID_LABEL = re.compile(r'    (n\d+)\["((?:[^\W_]|[ ,/]|#\d+;|<br/>)*)"\]')
_MERMAID_EDGE = re.compile(r"    (n\d+) (-->|-\.->) (n\d+)")
_MERMAID_REST = re.compile(
    r"    (classDef (head stroke-width:3px,font-weight:bold|older stroke-dasharray:4 4"
    r"|(merge|planned|conflict) stroke:#[0-9a-f]{6},stroke-width:3px(,stroke-dasharray:6 4)?)"
    r"|class n\d+(,n\d+)* (head|older|merge|planned|conflict))"
)


def read_mermaid(lines: list[str]) -> tuple[dict[str, str], set[tuple[str, str, str]]]:
    """Labels and edges; every line must be one of the four harmless forms."""
    assert lines[0] == "flowchart BT"
    labels: dict[str, str] = {}
    edges: set[tuple[str, str, str]] = set()
    for line in lines[1:]:
        if label := _MERMAID_LABEL.fullmatch(line):
            text = re.sub(r"#(\d+);", lambda m: chr(int(m[1])), label[2].replace("<br/>", "\n"))
            # Mermaid looks for a formula and an icon in what it makes of a label.
            assert "$$" not in text and ":fa-" not in text, text
            labels[label[1]] = text.replace("\u200b", "")
        elif edge := _MERMAID_EDGE.fullmatch(line):
            edges.add((edge[1], edge[2], edge[3]))
        else:
            assert _MERMAID_REST.fullmatch(line), line
    return labels, edges


_DOT_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|([A-Za-z_][A-Za-z0-9_]*|[0-9.]+)|(->|[\[\]{};,=]))', re.DOTALL
)


def read_dot(text: str) -> tuple[dict[str, str], set[tuple[str, str]]]:
    """A small parser of the dot language: labels of the nodes, and the edges."""
    tokens: list[str] = []
    at = 0
    while text[at:].strip():
        match = _DOT_TOKEN.match(text, at)
        assert match, text[at : at + 40]
        tokens.append(next(part for part in match.groups() if part is not None))
        at = match.end()
    assert tokens[:3] == ["digraph", "revisions", "{"] and tokens[-1] == "}"
    labels: dict[str, str] = {}
    edges: set[tuple[str, str]] = set()
    statement: list[str] = []
    for token in tokens[3:-1]:
        if token != ";":
            statement.append(token)
            continue
        if statement[0] == "rankdir" or statement[0] == "node":
            assert "".join(statement) in ("rankdir=BT", 'node[shape=box,fontname="sans-serif"]')
        elif statement[1:2] == ["->"]:
            assert statement[3:] in ([], ["[", "style", "=", "dotted", "]"])
            edges.add((statement[0], statement[2]))
        else:
            assert re.fullmatch(r"n\d+", statement[0])
            assert statement[1:4] == ["[", "label", "="]
            assert statement[5:] in (
                ["]"],
                [",", "style", "=", "dashed", "]"],
                [",", "penwidth", "=", "3", "]"],
            )
            raw = statement[4][1:-1]
            labels[statement[0]] = re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), raw)
        statement = []
    assert not statement
    return labels, edges


def ids(labels: dict[str, str]) -> dict[str, str]:
    return {name: label.split("\n")[0].split(" ")[0] for name, label in labels.items()}


@settings(deadline=None)
@given(histories())
def test_both_say_what_the_graph_says(history: Graph) -> None:
    view = select(history, everything=True)
    expected = {(parent, id) for id in history.revisions for parent in history.parents(id)}
    labels, edges = read_mermaid(mermaid(view))
    names = ids(labels)
    assert {(names[a], names[b]) for a, _, b in edges} == expected
    assert sorted(names.values()) == sorted(history.revisions)
    dot_labels, dot_edges = read_dot("\n".join(dot(view)))
    names = ids(dot_labels)
    assert {(names[a], names[b]) for a, b in dot_edges} == expected
    heads = {label.split(" ")[0] for label in labels.values() if "(head" in label}
    assert heads == set(history.heads)


def evil_graph(text: str) -> Graph:
    base = Revision("base", ())
    return Graph(History({"base": base, text: Revision(text, ("base",), ("base",), (text,), message=text)}))


@settings(deadline=None, max_examples=300)
@given(st.text(min_size=1))
@example(EVIL[0])
def test_no_text_leaves_its_label(text: str) -> None:
    view = select(evil_graph(text), everything=True)
    labels, _edges = read_mermaid(mermaid(view))
    assert len(labels) == len(set({"base", text}))
    dot_labels, _ = read_dot("\n".join(dot(view)))
    assert labels == dot_labels, "both show the same label"


@pytest.mark.parametrize("text", EVIL)
def test_text_that_would_break_out(text: str) -> None:
    view = select(evil_graph(text), everything=True)
    lines = mermaid(view)
    labels, edges = read_mermaid(lines)
    assert edges == {("n1", "-->", "n0"), ("n1", "-.->", "n0")}
    assert set(labels) == {"n0", "n1"}
    whole = "\n".join(lines)
    for dangerous in ("%%", "```", "<script", "javascript:", "::", "click n0 "):
        assert dangerous not in whole.replace("click n0 #34;", "").replace("click n0 href", "")
    _, dot_edges = read_dot("\n".join(dot(view)))
    assert dot_edges == {("n1", "n0")}


def test_what_is_left_out_is_one_node() -> None:
    view = select(chain(50, "h1 < r045", "h2 < r046"))
    labels, edges = read_mermaid(mermaid(view))
    older = [name for name, label in labels.items() if label == "45 older revisions"]
    assert len(older) == 1
    assert [b for a, _, b in edges if a == older[0]] == [n for n, i in ids(labels).items() if i == "r045"]
    dot_labels, _ = read_dot("\n".join(dot(view)))
    assert dot_labels == labels


def test_a_cycle_keeps_all_its_edges() -> None:
    view = select(graph("a < c\nb < a\nc < b\nd < c"), everything=True)
    labels, edges = read_mermaid(mermaid(view))
    names = ids(labels)
    expected = {("c", "a"), ("a", "b"), ("b", "c"), ("c", "d")}
    assert {(names[a], names[b]) for a, _, b in edges} == expected
