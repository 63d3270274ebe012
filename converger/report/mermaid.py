"""The graph as a Mermaid flowchart, which GitHub draws in comments and Markdown files.

Nothing from the repository may leave its label. Node names are ours (`n0`, `n1`, …), and every character
of a label other than letters, digits and a few harmless ones is written as `#NN;`, Mermaid's own escape.
That covers quotes and brackets, HTML, `%%{…}%%` directives (Mermaid looks for them anywhere in the text),
back-ticks (which would end a Markdown fence), the colon (`style x: #…;` would eat the end of an escape), and
Markdown (Mermaid shows "Unsupported markdown: list" for a line that begins with `1.` or `-`).
"""

from __future__ import annotations

from converger.report.selection import Node, View, caption

_HARMLESS = frozenset(" ,/")


def mermaid(view: View) -> list[str]:
    """Lines of a flowchart with the bases at the bottom: arrows go from parent to child."""
    lines = ["flowchart BT"]
    name = {node.key: f"n{i}" for i, node in enumerate(view.nodes)}
    by_id = {n.revision.id: name[n.key] for n in view.nodes if n.revision is not None}
    heads = []
    older = []
    for node in view.nodes:
        lines.append(f'    {name[node.key]}["{_label(node, view)}"]')
        if node.revision is None:
            older.append(name[node.key])
        elif node.revision.id in view.heads:
            heads.append(name[node.key])
    for node in view.nodes:
        lines.extend(f"    {name[parent]} --> {name[node.key]}" for parent in node.parents)
        lines.extend(f"    {by_id[parent]} --> {name[node.key]}" for parent in node.backward)
        if node.revision is not None:
            lines.extend(
                f"    {by_id[needed]} -.-> {name[node.key]}"
                for needed in view.graph.dependencies(node.revision.id)
                if needed in by_id
            )
    if heads:
        lines.append("    classDef head stroke-width:3px,font-weight:bold")
        lines.append(f"    class {','.join(heads)} head")
    if older:
        lines.append("    classDef older stroke-dasharray:4 4")
        lines.append(f"    class {','.join(older)} older")
    return lines


def _label(node: Node, view: View) -> str:
    return "<br/>".join(_escape(line) for line in caption(node, view))


def _escape(text: str) -> str:
    return "".join(c if c.isalnum() or c in _HARMLESS else f"#{ord(c)};" for c in text)
