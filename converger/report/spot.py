"""Which lines of a revision's `upgrade` are about a thing that is known by its name only. Pure; nothing is run.

Where two revisions define the same thing differently no statement failed, so no line is known for certain. What the
source says is shown instead, as `check --static` reads it: the statements about the thing, or how `upgrade` begins.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converger.guess.model import Action

_LARGEST = 400_000
_MOST_LINES = 8
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Spot:
    """Lines of a file, 1-based: `marked` are those about the thing, none where only the beginning is shown."""

    first: int
    last: int
    marked: frozenset[int]


def find_spot(source: bytes, names: Iterable[str]) -> Spot | None:
    """Where `upgrade` has to do with one of `names` (`schema.table.column` and the like).

    None where there is no `upgrade` with something in it, or the source cannot be read.
    """
    try:
        return _find(source, list(names))
    except RecursionError:
        return None


def _find(source: bytes, names: list[str]) -> Spot | None:
    tree = _parsed(source)
    upgrade = None if tree is None else _upgrade(tree)
    if tree is None or upgrade is None:
        return None
    statements = [
        (one.lineno, one.end_lineno or one.lineno)
        for one in _statements(upgrade.body)
        if not _says_nothing(one)
    ]
    if not statements:
        return None
    concerned = _lines_about(tree, names)
    found = sorted({lines for lines in statements if any(lines[0] <= one <= lines[1] for one in concerned)})
    if not found:
        first, last = statements[0][0], max(end for _, end in statements)
        return Spot(first, min(last, first + _MOST_LINES - 1), frozenset())
    begin = found[0][0]
    marked: set[int] = set()
    for first, last in found:
        if not marked or last - begin < _MOST_LINES:
            marked.update(range(first, min(last, first + _MOST_LINES - 1) + 1))
    return Spot(begin, max(marked), frozenset(marked))


def _parsed(source: bytes) -> ast.Module | None:
    if len(source) > _LARGEST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _upgrade(tree: ast.Module) -> ast.FunctionDef | None:
    return next(
        (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "upgrade"), None
    )


def _says_nothing(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )


def _statements(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that have none in them, in the order of the file."""
    for statement in body:
        inner = [getattr(statement, name, None) for name in ("body", "orelse", "finalbody")]
        blocks = [block for block in inner if isinstance(block, list) and block]
        for block in blocks:
            yield from _statements(block)
        if not blocks:
            yield statement


def _lines_about(tree: ast.Module, names: list[str]) -> set[int]:
    """The lines of what has most to do with one of these things: a column counts more than its table."""
    from converger.guess.upgrade import read_upgrade

    best: set[int] = set()
    most = 0
    actions = read_upgrade(tree).actions
    for name in names:
        parts = _WORD.findall(name.lower())[-2:]
        for action in actions:
            count = len({*parts} & _named(action))
            if count > most:
                best, most = set(), count
            if count and count == most:
                best.add(action.line)
    return best


def _named(action: Action) -> set[str]:
    words = {word.name for word in action.words} | set(action.columns or ())
    return {name.lower() for name in {action.owner.name, action.part, action.new} | words}
