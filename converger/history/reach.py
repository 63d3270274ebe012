"""Which code of a revision file runs when the file is imported, and whether it can reach the module's names
other than by name: through `globals()`, `exec`, frames and the like."""

from __future__ import annotations

import ast
from typing import NamedTuple

_ANYWHERE = frozenset({"exec", "eval", "execfile", "globals", "builtins", "__builtins__", "__dict__"})
"""Reach the module's names from inside a function as well."""

_AT_MODULE_LEVEL = frozenset({"locals", "vars"})
"""Are the module's names only where the module itself is the scope."""

_ATTRIBUTES = frozenset({"__globals__", "f_globals", "f_locals", "_getframe", "currentframe", "__builtins__"})

_Function = ast.FunctionDef | ast.AsyncFunctionDef


class Place(NamedTuple):
    """A line, and what is there."""

    line: int
    why: str


class Reach(NamedTuple):
    """`namespace`: where imported code may reach the module's names, if anywhere. `loaded`: the names that
    functions which may run on import refer to."""

    namespace: Place | None
    loaded: frozenset[str]


def reaches_namespace(tree: ast.Module) -> Reach:
    """Look at everything that may run on import.

    That is the top level, class bodies and their methods, decorated functions, lambdas, and functions
    whose name is mentioned in any of those. `upgrade` and `downgrade` normally are none of them.
    """
    todo: list[tuple[ast.AST, bool]] = [(node, False) for node in tree.body]
    waiting: list[_Function] = []
    mentioned: set[str] = set()
    loaded: set[str] = set()
    place: Place | None = None
    while todo or waiting:
        if not todo:
            called = [function for function in waiting if function.name in mentioned]
            if not called:
                break
            waiting = [function for function in waiting if function.name not in mentioned]
            todo = [(part, True) for function in called for part in function.body]
            continue
        node, inside = todo.pop()
        place = _first(place, _danger(node, inside))
        if isinstance(node, ast.Name):
            mentioned.add(node.id)
            if inside:
                loaded.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            todo.extend((part, inside) for part in (*node.decorator_list, node.args))
            if node.returns is not None:
                todo.append((node.returns, inside))
            if node.decorator_list or inside:
                todo.extend((part, True) for part in node.body)
            else:
                waiting.append(node)
            continue
        elif isinstance(node, ast.Lambda):
            todo.append((node.args, inside))
            todo.append((node.body, True))
            continue
        elif isinstance(node, ast.ClassDef):
            todo.extend((part, inside) for part in (*node.decorator_list, *node.bases, *node.keywords))
            for part in node.body:
                if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    todo.extend((inner, True) for inner in (*part.decorator_list, part.args, *part.body))
                else:
                    todo.append((part, True))
            continue
        todo.extend((part, inside) for part in ast.iter_child_nodes(node))
    return Reach(place, frozenset(loaded))


def _first(one: Place | None, other: Place | None) -> Place | None:
    if one is None or other is None:
        return one or other
    return min(one, other)


def _danger(node: ast.AST, inside: bool) -> Place | None:
    name: str | None = None
    if isinstance(node, ast.Name):
        if node.id in _ANYWHERE or (not inside and node.id in _AT_MODULE_LEVEL):
            name = node.id
    elif isinstance(node, ast.Attribute):
        if node.attr in _ATTRIBUTES:
            name = node.attr
    elif isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            if alias.name in _ANYWHERE | _ATTRIBUTES:
                name = alias.name
    if name is None:
        return None
    return Place(getattr(node, "lineno", 1), f"`{name}` can change any name of the module")
