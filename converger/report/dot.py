"""The graph in Graphviz' dot language.

Node names are ours; text from the repository only occurs in quoted strings, where a backslash and a quote
are all that means anything (https://graphviz.org/doc/info/lang.html).
"""

from __future__ import annotations

from converger.report.selection import Node, View, shown_labels
from converger.report.visible import one_line

_MESSAGE = 60


def dot(view: View) -> list[str]:
    """Lines of a digraph with the bases at the bottom: edges go from parent to child."""
    lines = ["digraph revisions {", "    rankdir=BT;", '    node [shape=box, fontname="sans-serif"];']
    name = {node.key: f"n{i}" for i, node in enumerate(view.nodes)}
    by_id = {n.revision.id: name[n.key] for n in view.nodes if n.revision is not None}
    for node in view.nodes:
        style = ""
        if node.revision is None:
            style = ", style=dashed"
        elif node.revision.id in view.heads:
            style = ", penwidth=3"
        lines.append(f'    {name[node.key]} [label="{_label(node, view)}"{style}];')
    for node in view.nodes:
        lines.extend(f"    {name[parent]} -> {name[node.key]};" for parent in node.parents)
        lines.extend(f"    {by_id[parent]} -> {name[node.key]};" for parent in node.backward)
        if node.revision is not None:
            lines.extend(
                f"    {by_id[needed]} -> {name[node.key]} [style=dotted];"
                for needed in view.graph.dependencies(node.revision.id)
                if needed in by_id
            )
    return [*lines, "}"]


def _label(node: Node, view: View) -> str:
    revision = node.revision
    if revision is None:
        return _escape(f"{node.older} older revision{'' if node.older == 1 else 's'}")
    marks = ["head"] if revision.id in view.heads else []
    marks.extend(f"label {one_line(label, 40)}" for label in shown_labels(revision))
    first = one_line(revision.id, 40) + (f" ({', '.join(marks)})" if marks else "")
    second = one_line(revision.message, _MESSAGE)
    return _escape(first) + (f"\\n{_escape(second)}" if second else "")


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
