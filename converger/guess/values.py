"""What an expression of a revision file is, as far as its text says: a value, a made thing, or unknown."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""Only running the file would tell."""


@dataclass(frozen=True)
class Made:
    """What a call of SQLAlchemy makes (`Column`, `Enum`, `table`, …), or a class mapped to a table."""

    what: str
    args: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""
    line: int = 0

    def name(self) -> str | None:
        """The first argument or `name=`, where that is text."""
        value = self.keywords.get("name", self.args[0] if self.args else None)
        return value if isinstance(value, str) else None


@dataclass(frozen=True)
class Batch:
    """What `op.batch_alter_table` gives. `table` is None where it is computed."""

    table: str | None
    schema: str | None


@dataclass(frozen=True)
class Bound:
    """A method of a made thing, or of a batch, before it is called."""

    owner: Any
    name: str


_LONGEST = 100_000
"""Characters or items of a value that is computed; real ones are short, and a bomb in a file must not go off."""
_PADDING = re.compile(r"\d{4}|%[^%a-zA-Z(]*\*|\{[^{}]*\{")


def binary(operator: ast.operator, left: Any, right: Any) -> Any:
    """`+`, `%` and `*` of literals."""
    if left is UNKNOWN or right is UNKNOWN or _holds_unknown(right):
        return UNKNOWN
    try:
        if isinstance(operator, ast.Add) and isinstance(left, str | list | tuple | int):
            return left + right if size(left) + size(right) < _LONGEST else UNKNOWN
        if isinstance(operator, ast.Mod) and isinstance(left, str):
            values = tuple(right.values()) if isinstance(right, dict) else right
            parts = values if isinstance(values, tuple) else (values,)
            return left % right if _stays_short(left, "%", parts) else UNKNOWN
    except (TypeError, ValueError, KeyError, OverflowError, MemoryError):
        pass
    return UNKNOWN


def size(value: Any) -> int:
    """How much memory a value takes, about, in characters."""
    return len(value) if isinstance(value, str | list | tuple | dict) else 1


def _stays_short(text: str, mark: str, parts: Iterable[Any]) -> bool:
    """Whether a format filled with these parts is of bounded length; padding in it is not looked into."""
    if not all(isinstance(part, str | int) for part in parts) or _PADDING.search(text):
        return False
    longest = sum(len(str(part)) for part in parts)
    return len(text) + text.count(mark) * longest < _LONGEST


def _holds_unknown(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(part is UNKNOWN or isinstance(part, Made) for part in value)
    return isinstance(value, Made)


def string_method(text: str, method: str, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Any:
    """A method of a text that is known."""
    if any(part is UNKNOWN or isinstance(part, Made) for part in (*args, *keywords.values())):
        return UNKNOWN
    try:
        if method == "format":
            short = _stays_short(text, "{", (*args, *keywords.values()))
            return text.format(*args, **keywords) if short else UNKNOWN
        if method == "join" and len(args) == 1 and isinstance(args[0], list | tuple):
            length = sum(len(part) + len(text) for part in args[0])
            return text.join(args[0]) if length < _LONGEST else UNKNOWN
        if method == "replace" and len(args) == 2:
            length = len(text) + text.count(args[0]) * len(args[1])
            return text.replace(*args) if length < _LONGEST else UNKNOWN
        if method in ("strip", "lstrip", "rstrip", "lower", "upper", "title", "capitalize") and not args:
            return getattr(text, method)()
        if method in ("split", "removeprefix", "removesuffix"):
            return getattr(text, method)(*args)
    except (TypeError, ValueError, IndexError, KeyError, AttributeError):
        pass
    return UNKNOWN


def plain_function(name: str, args: tuple[Any, ...]) -> Any:
    """A built-in function of literals."""
    if any(part is UNKNOWN for part in args):
        return UNKNOWN
    try:
        if name in ("list", "tuple", "sorted", "set", "reversed") and len(args) == 1:
            if isinstance(args[0], dict | list | tuple):
                return sorted(args[0]) if name == "sorted" else list(args[0])
        elif name == "dict" and len(args) == 1 and isinstance(args[0], dict):
            return dict(args[0])
        elif name == "enumerate" and len(args) == 1 and isinstance(args[0], list | tuple):
            return list(enumerate(args[0]))
        elif name == "zip" and all(isinstance(a, list | tuple) for a in args):
            return list(zip(*args, strict=False))
        elif name == "str" and len(args) == 1 and isinstance(args[0], str | int):
            return str(args[0])
    except TypeError:
        pass
    return UNKNOWN


def tables_in(value: Any, depth: int = 0) -> list[Made]:
    """The tables that a made thing was made of."""
    if depth > 8:
        return []
    if isinstance(value, Made):
        own = [value] if value.what in ("table", "Table", "mapped") else []
        if own:
            return own
        parts = [*value.args, *value.keywords.values()]
    elif isinstance(value, list | tuple):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, Bound):
        parts = [value.owner]
    else:
        return []
    return [table for part in parts for table in tables_in(part, depth + 1)]


def bind(target: ast.expr, value: Any, names: dict[str, Any]) -> None:
    """Give the value to the names of an assignment's target; what is changed in part is unknown from then on."""
    if isinstance(target, ast.Name):
        names[target.id] = value
    elif isinstance(target, ast.Tuple | ast.List):
        parts = value if isinstance(value, tuple | list) and len(value) == len(target.elts) else None
        for number, part in enumerate(target.elts):
            bind(part, parts[number] if parts is not None else UNKNOWN, names)
    elif isinstance(target, ast.Subscript | ast.Attribute) and isinstance(target.value, ast.Name):
        names[target.value.id] = UNKNOWN


def item(value: Any, key: Any) -> Any:
    """`value[key]`."""
    try:
        if isinstance(value, dict | list | tuple | str) and isinstance(key, str | int):
            return value[key]  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        pass
    return UNKNOWN


def of_dict(owner: dict[Any, Any], method: str, args: list[Any]) -> Any:
    """A method of a dict that is known."""
    if method == "items":
        return list(owner.items())
    if method in ("keys", "values"):
        return list(getattr(owner, method)())
    if method == "get" and args and isinstance(args[0], str | int):
        return owner.get(args[0], args[1] if len(args) > 1 else None)
    return UNKNOWN
