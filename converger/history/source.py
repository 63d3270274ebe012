"""Bytes of a revision file to a syntax tree, as far as it goes: a broken body does not hide the header."""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

_ERRORS = (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError)
"""What the compiler raises for text that it cannot take: NUL bytes are a ValueError before Python 3.12,
absurd nesting a MemoryError or RecursionError."""

_DEFINITION = re.compile(rb"^(?:def|class|async|@)\b|^@", re.MULTILINE)
_OURS = re.compile(rb"\b(?:revision|down_revision|branch_labels|depends_on|__getattr__)\b")
_NAMESPACE = re.compile(
    rb"\b(?:global|globals|exec|eval|vars|locals|builtins)\b|\bimport[ \t\f\\(]*\*|__globals__|frame"
)


class Broken(NamedTuple):
    """The first syntax error: what Python says, and where."""

    message: str
    line: int | None


class Source(NamedTuple):
    """`tree` is None where not even the header can be read; `broken` is None where all is well."""

    tree: ast.Module | None
    broken: Broken | None


def parse(data: bytes) -> Source:
    """Parse a file; where that fails, the part above the first definition, if the rest cannot matter."""
    try:
        return Source(_compiled(data), None)
    except _ERRORS as error:
        broken = _described(error)
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for start in _DEFINITION.finditer(data):
        try:
            tree = _compiled(data[: start.start()])
        except _ERRORS:
            continue  # that line may stand in the docstring
        if _cannot_matter(data[start.start() :]):
            return Source(tree, broken)
        break
    return Source(None, broken)


def syntax_error(data: bytes) -> Broken | None:
    """What Python would say against a file, without making a tree of it."""
    try:
        compile(data, "<revision>", "exec", dont_inherit=True)
    except _ERRORS as error:
        return _described(error)
    return None


def _compiled(data: bytes) -> ast.Module:
    tree = compile(data, "<revision>", "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


def _described(error: BaseException) -> Broken:
    if isinstance(error, SyntaxError):
        return Broken(error.msg or "invalid syntax", error.lineno or None)
    return Broken(str(error) or type(error).__name__, None)


def _cannot_matter(rest: bytes) -> bool:
    """Whether text that starts at a definition, and does not parse, surely rebinds no identifier.

    Indented lines under a `def` run only when it is called, and no call can reach the module's names
    without one of a few words. Any other line may do no more than not mention our names.
    """
    if _NAMESPACE.search(rest):
        return False
    in_function = False
    for line in rest.splitlines():
        if line[:1] in (b" ", b"\t", b"#", b""):
            if in_function:
                continue
        else:
            in_function = line.startswith((b"def ", b"async def "))
        if not line.isascii() or _OURS.search(line):
            return False
    return True
