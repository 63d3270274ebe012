"""Two actions of two branches: do they clash, and how is that called?"""

from __future__ import annotations

import re
from typing import NamedTuple

from converger.guess.model import Action, Confidence, Word
from converger.guess.net import key_of, new_key, owner_key


class Clash(NamedTuple):
    """`kind` is one of the names that the proof uses; `object` a qualified name."""

    kind: str
    confidence: Confidence
    object: str


_DUPLICATES = {
    "table": "duplicate-table",
    "view": "duplicate-table",
    "column": "duplicate-column",
    "index": "duplicate-index-name",
    "constraint": "duplicate-constraint-name",
    "label": "duplicate-enum-label",
}
_REPLACED = {"view": "view-replaced", "function": "function-replaced"}
_RULES = {"unique": "unique-against-data", "foreign": "foreign-key-against-data"}
_WORD = re.compile(r"\w+")
_DROPPED = {"table": "dropped-table-used", "column": "dropped-column-used"}


def clash(x: Action, y: Action) -> Clash | None:
    """How two actions clash, or None. The order of the two does not matter."""
    if x.kind == "rows" and y.kind == "rows":
        return _rows(x, y) or _rows(y, x)
    return _alike(x, y) or _one_way(x, y) or _one_way(y, x)


def _confidence(x: Action, y: Action) -> Confidence:
    return "possible" if x.guarded or y.guarded else "likely"


def _soft(action: Action) -> bool:
    return action.tolerant or action.guarded


# -- the same thing twice ------------------------------------------------------------------------------


def _alike(x: Action, y: Action) -> Clash | None:
    if x.verb == y.verb == "create" and x.kind == y.kind == "label" and x.owner == y.owner:
        return _labels(x, y)
    if x.verb == y.verb == "create" and x.kind == y.kind == "constraint" and x.owner == y.owner:
        if x.aspect == y.aspect == "primary":
            return Clash("second-primary-key", _confidence(x, y), str(x.owner))
        if not x.part and not y.part:
            same = x.aspect == y.aspect and (x.aspect == "check" or x.detail == y.detail)
            return Clash("generated-constraint-name", "possible", str(x.owner)) if same else None
    if x.verb == y.verb == "create" and x.kind == y.kind == "index" and not x.part:
        # The name is made of table and columns; what is taken gets a number.
        same = not y.part and x.owner == y.owner and x.detail.split(")")[0] == y.detail.split(")")[0]
        return Clash("generated-constraint-name", "possible", str(x.owner)) if same else None
    if key_of(x) != key_of(y) or x.kind == "rows" or y.kind == "rows":
        return None
    if x.verb == y.verb == "create":
        return _created_twice(x, y)
    if x.verb == y.verb == "drop":
        return None if _soft(x) and _soft(y) else Clash("dropped-twice", _confidence(x, y), x.object)
    if x.verb == y.verb == "rename":
        return None if x.guarded and y.guarded else Clash("renamed-twice", _confidence(x, y), x.object)
    if x.verb == y.verb == "rebuild":
        same = x.detail == y.detail
        return None if same else Clash("last-writer-wins", _rebuild_confidence(x, y), x.object)
    if x.verb == y.verb == "alter":
        return _altered_twice(x, y)
    return None


def _labels(x: Action, y: Action) -> Clash | None:
    if x.part == y.part:
        return (
            None if _soft(x) and _soft(y) else Clash("duplicate-enum-label", _confidence(x, y), str(x.owner))
        )
    # Both at the end, or both beside the same label: which one comes first depends on the order.
    return Clash("enum-label-order", _confidence(x, y), str(x.owner)) if x.detail == y.detail else None


def _created_twice(x: Action, y: Action) -> Clash | None:
    if _soft(x) and _soft(y):
        if x.detail == y.detail or x.guarded or y.guarded or x.kind in ("type", "schema", "extension"):
            return None
        return Clash("first-writer-wins", "possible", x.object)
    kind = _DUPLICATES.get(x.kind, "duplicate-object")
    confidence = _confidence(x, y)
    if "implied" in (x.aspect, y.aspect):
        confidence = "possible"  # only where the database has enum types
    if x.kind == "index" and x.owner.name and y.owner.name and x.owner != y.owner:
        confidence = "possible"  # MySQL keeps the names of each table apart
    return Clash(kind, confidence, x.object)


def _altered_twice(x: Action, y: Action) -> Clash | None:
    if x.kind == "privilege":
        shared = x.detail == y.detail or any(a.detail.startswith("ALL") for a in (x, y))
        opposite = x.aspect != y.aspect and shared
        return Clash("grant-and-revoke", _confidence(x, y), str(x.owner)) if opposite else None
    if x.aspect != y.aspect or x.detail == y.detail or x.guarded or y.guarded:
        return None
    confidence: Confidence = (
        "possible" if x.aspect in ("type", "definition") and x.kind == "column" else "likely"
    )
    return Clash(_REPLACED.get(x.kind, "last-writer-wins"), confidence, x.object)


# -- one takes away, moves or makes what the other needs -------------------------------------------------


def _one_way(x: Action, y: Action) -> Clash | None:
    if x.verb == "rename" and y.verb in ("create", "rename") and not y.guarded:
        other = key_of(y) if y.verb == "create" else new_key(y)
        if new_key(x) == other:
            return Clash(_DUPLICATES.get(x.kind, "duplicate-object"), _confidence(x, y), _renamed_to(x))
    if x.verb == "drop" and y.verb == "create" and key_of(x) == key_of(y):
        return Clash("drop-if-exists", _confidence(x, y), x.object) if _soft(x) else None
    if y.guarded or (x.verb == y.verb and key_of(x) == key_of(y)):
        return None  # mostly it asks first whether the thing is there
    if x.verb in ("drop", "rename"):
        return _gone(x, y)
    if x.verb == "rebuild" and owner_key(y) == key_of(x):
        return _rebuilt(x, y)
    if y.verb == "insert" and x.owner == y.owner:
        return _inserted(x, y) if x.kind == "column" else _ruled(x, y)
    if x.verb == "alter" and x.aspect == "type" and y.aspect == "view" and x.owner == y.owner:
        found = _touches(y, x.part)
        return Clash("view-dependency", "possible" if x.guarded else found, x.object) if found else None
    return None


def _renamed_to(x: Action) -> str:
    return f"{x.owner}.{x.new}" if x.part else x.new


def _gone(x: Action, y: Action) -> Clash | None:
    """`x` drops or renames what `y` uses."""
    moved = x.verb == "rename"
    if x.kind in ("table", "view", "type", "sequence", "function") and not (x.part and x.kind != "function"):
        if (
            owner_key(x) != owner_key(y)
            or (y.verb == "create" and key_of(y) == key_of(x))
            or y.kind == "privilege"
        ):
            return None
        kind = "renamed-table-used" if moved else "dropped-table-used"
        if x.kind != "table":
            kind = "renamed-object-used" if moved else "dropped-object-used"
        return Clash(kind, _confidence(x, y), x.object)
    if x.owner != y.owner:
        return None
    if x.kind == "column":
        found = _touches(y, x.part)
        if found is None or (y.kind == "column" and y.verb == "create"):
            return None
        kind = "renamed-column-used" if moved else "dropped-column-used"
        return Clash(kind, "possible" if x.guarded else found, x.object)
    if (
        x.kind in ("constraint", "trigger", "policy")
        and key_of(x) == key_of(y)
        and y.verb in ("use", "alter")
    ):
        return Clash("dropped-object-used", _confidence(x, y), x.object)
    if x.kind == "constraint" and y.verb == "insert" and re.search(r"ON CONFLICT ?\(", y.detail):
        return Clash("dropped-object-used", "possible", x.object)
    return None


def _touches(y: Action, column: str) -> Confidence | None:
    """Whether an action on the same table uses a column."""
    if y.kind == "column":
        return "likely" if y.part == column else None
    if column in (y.columns or ()):
        return "likely"
    if Word(y.owner.name, column) in y.words:
        return "likely"
    if Word(None, column) in y.words:
        return "likely" if y.alone else "possible"
    return None


def _rebuilt(x: Action, y: Action) -> Clash | None:
    if x.kind == "type":
        return Clash("last-writer-wins", _confidence(x, y), x.object) if y.kind == "label" else None
    changes = y.verb in ("create", "alter", "drop", "rename") and y.kind not in ("rows", "privilege")
    if not changes or key_of(y) == key_of(x):
        return None
    return Clash("lost-by-table-rebuild", _rebuild_confidence(x, y), str(x.owner))


def _rebuild_confidence(x: Action, y: Action) -> Confidence:
    """A batch makes a table anew only where the database cannot alter it."""
    return "possible" if "batch" in (x.aspect, y.aspect) else _confidence(x, y)


def _inserted(x: Action, y: Action) -> Clash | None:
    """`x` changes a column that the rows of `y` do not give a value."""
    if y.columns is None:
        return None
    if x.part in y.columns:
        narrowed = x.verb == "alter" and x.aspect == "type"
        return Clash("type-against-data", "possible", x.object) if narrowed else None
    if x.verb == "create" and x.aspect.startswith("required"):
        confidence: Confidence = "possible" if x.guarded or x.aspect == "required later" else "likely"
        return Clash("not-null-against-data", confidence, x.object)
    if x.verb == "alter" and x.aspect == "nullable" and x.detail == "False":
        return Clash("not-null-against-data", "possible", x.object)
    if x.verb == "alter" and x.aspect == "default":
        return Clash("default-used-by-insert", _confidence(x, y), x.object)
    return None


def _ruled(x: Action, y: Action) -> Clash | None:
    """`x` makes a rule for rows, and `y` inserts some: whether these fit takes the rows."""
    if x.verb != "create" or x.kind not in ("constraint", "index"):
        return None
    if x.aspect == "check":
        named = bool(y.columns) and not set(_WORD.findall(x.detail)).isdisjoint(y.columns or ())
        return Clash("check-against-data", "possible", str(x.owner)) if named else None
    kind = _RULES.get(x.aspect)
    if kind is None or not x.columns or (y.columns is not None and not set(x.columns) <= set(y.columns)):
        return None
    return Clash(kind, "possible", f"{x.owner}.{x.columns[0]}")


# -- rows ----------------------------------------------------------------------------------------------


def _rows(x: Action, y: Action) -> Clash | None:
    if x.owner != y.owner or (x.detail == y.detail and x.verb != "insert"):
        return None
    table = str(x.owner)
    if x.verb == y.verb == "insert":
        twice = not x.tolerant and not y.tolerant and (x.detail == y.detail or _same_key(x, y))
        return Clash("same-row-inserted", "possible", table) if twice else None
    if x.verb == "delete":
        return Clash("same-rows-updated", "possible", table) if not x.aspect and y.verb != "delete" else None
    if x.verb != "update" or not x.columns:
        return None
    if y.verb == "insert":
        catches = not x.aspect or (
            (y.columns is None or not set(x.columns) & set(y.columns)) and "IS NULL" in x.aspect
        )
        return Clash("same-rows-updated", "possible", f"{table}.{x.columns[0]}") if catches else None
    if y.verb == "update" and not _disjoint(x.aspect, y.aspect):
        both = [column for column in x.columns if column in (y.columns or ())]
        if both:
            return Clash("same-rows-updated", "possible", f"{table}.{both[0]}")
    return None


_FIRST = re.compile(r"\( ?('[^']*'|\d+) ?[,)]")


def _same_key(x: Action, y: Action) -> bool:
    """Whether two INSERTs of literals give a row the same first value, which mostly is its key."""
    if x.columns != y.columns:
        return False
    left, right = (set(_FIRST.findall(action.detail.partition("VALUES")[2])) for action in (x, y))
    return not left.isdisjoint(right)


_EQUAL = re.compile(r"(\"?[\w.]+\"?) = ('[^']*'|\d+)")


def _disjoint(one: str, other: str) -> bool:
    """Whether two conditions ask one column for two different values."""
    if re.search(r"\b(?:OR|NOT)\b", f"{one} {other}"):
        return False
    left, right = (dict(_EQUAL.findall(text)) for text in (one, other))
    return any(column in right and right[column] != value for column, value in left.items())
