"""The graph as a Mermaid flowchart, which GitHub draws in comments and Markdown files.

Nothing from the repository may leave its label. Node names are ours (`n0`, `n1`, …), and every character
of a label other than letters, digits and a few harmless ones is written as `#NN;`, Mermaid's own escape.
That covers quotes and brackets, HTML, `%%{…}%%` directives (Mermaid looks for them anywhere in the text),
back-ticks (which would end a Markdown fence), the colon (`style x: #…;` would eat the end of an escape), and
Markdown (Mermaid shows "Unsupported markdown: list" for a line that begins with `1.` or `-`).

Two things Mermaid looks for after it has undone its escapes: a formula between `$$` and `$$`, which need not be
one (then nothing at all is drawn), and an icon, `fa:fa-car`. There a space without width keeps them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from converger.report.selection import Node, View, caption

_HARMLESS = frozenset(" ,/")
_AFTERWARDS = re.compile(r"(?<=\$)(?=\$)|(?<=:)(?=fa-)")
_NO_WIDTH = "\u200b"

Style = Literal["", "head", "older", "merge", "planned", "conflict"]

_STYLES: Mapping[Style, str] = {
    "head": "stroke-width:3px,font-weight:bold",
    "older": "stroke-dasharray:4 4",
    # Mid-tones: a border that shows on white and on black.
    "merge": "stroke:#2da44e,stroke-width:3px",
    "planned": "stroke:#2da44e,stroke-width:3px,stroke-dasharray:6 4",
    "conflict": "stroke:#e5534b,stroke-width:3px",
}


@dataclass(frozen=True)
class Box:
    """One box: its lines of text, as they are, and how it is drawn."""

    lines: tuple[str, ...]
    style: Style = ""


@dataclass(frozen=True)
class Arrow:
    """From one box to another, by their keys; dotted for `depends_on`."""

    start: str
    end: str
    dotted: bool = False


def flowchart(
    boxes: Mapping[str, Box], arrows: Iterable[Arrow], direction: Literal["BT", "LR"] = "BT"
) -> list[str]:
    """Lines of a flowchart, from the bottom to the top or from left to right."""
    name = {key: f"n{i}" for i, key in enumerate(boxes)}
    lines = [f"flowchart {direction}"]
    lines += [f'    {name[key]}["{_label(box)}"]' for key, box in boxes.items()]
    lines += [f"    {name[one.start]} {'-.->' if one.dotted else '-->'} {name[one.end]}" for one in arrows]
    for style, drawn in _STYLES.items():
        members = [name[key] for key, box in boxes.items() if box.style == style]
        if members:
            lines.append(f"    classDef {style} {drawn}")
            lines.append(f"    class {','.join(members)} {style}")
    return lines


def mermaid(view: View) -> list[str]:
    """Lines of a flowchart with the bases at the bottom: arrows go from parent to child."""
    by_id = {node.revision.id: node.key for node in view.nodes if node.revision is not None}
    arrows = []
    for node in view.nodes:
        arrows += [Arrow(parent, node.key) for parent in node.parents]
        arrows += [Arrow(by_id[parent], node.key) for parent in node.backward]
        if node.revision is not None:
            needed = view.graph.dependencies(node.revision.id)
            arrows += [Arrow(by_id[id], node.key, dotted=True) for id in needed if id in by_id]
    return flowchart({node.key: Box(caption(node, view), _style(node, view)) for node in view.nodes}, arrows)


def _style(node: Node, view: View) -> Style:
    if node.revision is None:
        return "older"
    return "head" if node.revision.id in view.heads else ""


def _label(box: Box) -> str:
    return "<br/>".join(_escape(line) for line in box.lines)


def _escape(text: str) -> str:
    apart = _AFTERWARDS.sub(_NO_WIDTH, text)
    return "".join(c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in apart)
