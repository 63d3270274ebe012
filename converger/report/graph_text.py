"""The graph as a drawing for a terminal, newest first."""

from __future__ import annotations

from converger.report.drawing import Row, TooWide, lay_out
from converger.report.look import Look
from converger.report.selection import Node, View, shown_labels
from converger.report.visible import one_line

MOST_LANES = 40
"""Wider than this nobody can follow a lane; the revisions are then listed with their parents."""

_ALIGN_UP_TO = 16
_MESSAGE = 72


def graph_text(view: View, look: Look) -> list[str]:
    """Lines of the drawing, without the line ends.

    Heads, bases, merges and labels are marked in words; `depends_on` and parents that do not exist are
    noted behind the message. Text from the repository is made visible.
    """
    if not view.nodes:
        return ["no revisions yet"]
    by_key = {node.key: node for node in view.nodes}
    glyphs = look.glyphs
    symbols = ((n.key, n.parents, _symbol(n, look)) for n in view.nodes)
    try:
        rows = list(lay_out(symbols, glyphs, most_lanes=MOST_LANES))
    except TooWide:
        return _listing(view, by_key, look)
    width = min(max(len(row.lanes) for row in rows), _ALIGN_UP_TO)
    lines = []
    for row in rows:
        if row.key is None:
            lines.append(_lanes(row, None, view, look))
            continue
        node = by_key[row.key]
        pad = " " * (max(width - len(row.lanes), 0) + 2)
        lines.append(_lanes(row, node, view, look) + pad + _description(node, view, look))
    return lines


def _lanes(row: Row, node: Node | None, view: View, look: Look) -> str:
    if node is None or node.revision is None or node.revision.id not in view.heads:
        return row.lanes
    symbol = _symbol(node, look)
    before, _, after = row.lanes.partition(symbol)
    return before + look.paint("head", symbol) + after


def _symbol(node: Node, look: Look) -> str:
    if node.revision is None:
        return look.glyphs.older
    return look.glyphs.merge if len(node.revision.down_revisions) > 1 else look.glyphs.node


def _description(node: Node, view: View, look: Look) -> str:
    revision = node.revision
    if revision is None:
        dots = look.glyphs.ellipsis
        return look.paint("dim", f"{dots} {node.older} older revision{'' if node.older == 1 else 's'}")
    is_head = revision.id in view.heads
    words = [look.paint("head" if is_head else "warn", one_line(revision.id, _MESSAGE))]
    marks = []
    if is_head:
        marks.append(look.paint("head", "head"))
    if not revision.down_revisions:
        marks.append("base")
    if len(revision.down_revisions) > 1:
        marks.append("merge")
    marks.extend(look.paint("label", f"label {one_line(label, 40)}") for label in shown_labels(revision))
    if marks:
        words.append(f"({', '.join(marks)})")
    if revision.message:
        words.append(one_line(revision.message, _MESSAGE))
    notes = [f"depends on {one_line(d, 40)}" for d in revision.depends_on]
    if "depends_on" in revision.computed:
        notes.append("depends on what is computed")
    known = set(view.graph.parents(revision.id))
    notes.extend(
        f"parent {one_line(p, 40)} does not exist" for p in revision.down_revisions if p not in known
    )
    notes.extend(f"parent {one_line(p, 40)} is drawn above: a cycle" for p in node.backward)
    words.extend(look.paint("dim", f"{'┄' if look.glyphs.node == '●' else '..'} {note}") for note in notes)
    return " ".join(words)


def _listing(view: View, by_key: dict[str, Node], look: Look) -> list[str]:
    """Without lanes: each revision with its parents by name."""
    lines = [f"(more than {MOST_LANES} branches side by side: listed with their parents instead of drawn)"]
    for node in view.nodes:
        text = f"{_symbol(node, look)}  {_description(node, view, look)}"
        names = [
            one_line(found.id, 40) if (found := by_key[key].revision) else "older revisions"
            for key in node.parents
        ]
        if names:
            shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
            text += look.paint("dim", f"  {look.glyphs.arrow} {shown}")
        lines.append(text)
    return lines
