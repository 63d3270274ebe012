"""An action in words."""

from __future__ import annotations

from converger.guess.model import Action

_LIMIT = 60


def describe(action: Action) -> str:
    """`adds the column orders.total`: what a revision does, for a sentence that begins with its id."""
    thing = f"the {_KIND.get(action.kind, action.kind)} {action.object}"
    if action.kind == "label":
        label = f"the label '{_short(action.part)}'"
        if action.verb == "rename":
            return f"renames {label} of {action.owner}"
        return f"adds {label} to {action.owner}"
    if action.kind == "rows":
        return {"insert": "inserts into", "update": "updates", "delete": "deletes from"}[action.verb] + (
            f" {action.owner}"
        )
    if action.kind == "privilege":
        return f"{action.aspect}s {_short(action.part)} on {action.owner}"
    if action.kind == "constraint" and not action.part:
        thing = f"a constraint without a name on {action.owner}"
    if action.verb == "rename":
        return f"renames {thing} to {_short(action.new)}"
    if action.verb == "alter":
        return f"changes {_ASPECT.get(action.aspect, '')}{thing}"
    verb = {"create": "creates", "drop": "drops", "use": "uses", "rebuild": "makes anew"}[action.verb]
    if action.verb == "create" and action.kind == "column":
        verb = "adds"
    return f"{verb} {thing}"


_KIND = {"type": "type", "rows": "rows of"}
_ASPECT = {
    "nullable": "whether NULL may be in ",
    "type": "the type of ",
    "default": "the default of ",
    "comment": "the comment on ",
    "definition": "the definition of ",
}


def _short(text: str) -> str:
    return text if len(text) <= _LIMIT else text[: _LIMIT - 1] + "…"
