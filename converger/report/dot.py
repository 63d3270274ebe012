"""The graph in Graphviz' dot language.

Node names are ours; text from the repository only occurs in quoted strings, where a backslash and a quote
are all that means anything (https://graphviz.org/doc/info/lang.html).
"""

from __future__ import annotations

from converger.report.selection import Node, View, caption


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
    return "\\n".join(_escape(line) for line in caption(node, view))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
