"""What SQLAlchemy's own statements do to rows: `table.update().where(…).values(c=…)`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from converger.guess.model import Action, Word
from converger.guess.operations import table_name
from converger.guess.values import Bound, Made, tables_in


def read_rows(made: Made, node: ast.Call) -> list[Action]:
    """The actions of a statement that was made and is run by the call at `node`."""
    chain: list[Made] = []
    link: Any = made
    while isinstance(link, Made) and link.what not in ("table", "Table", "mapped"):
        chain.append(link)
        link = link.args[0] if link.args else None
        link = link.owner if isinstance(link, Bound) else link
    target = table_name(link)
    verb: Any = next((part.what for part in chain if part.what in ("update", "insert", "delete")), None)
    uses = mentions([made], node)
    if target is None or verb is None:
        return uses
    columns: tuple[str, ...] | None = None
    for part in chain:
        if part.what == "values":
            given = [a for a in part.args[1:] if isinstance(a, dict)]
            columns = (*(key for g in given for key in g), *part.keywords) or None
    condition = " and ".join(part.text for part in chain if part.what in ("where", "filter", "filter_by"))
    words = _words(node) | {Word(None, column) for column in columns or ()}
    others = {table_name(table) for table in tables_in(made)} - {target}
    return [
        Action(verb, "rows", target, line=node.lineno, detail=made.text, columns=columns, words=words,
               alone=not others, aspect=condition),
        *uses,
    ]  # fmt: skip


def mentions(values: Sequence[Any], node: ast.Call) -> list[Action]:
    """Tables that a call we do not follow is given: it reads or writes them."""
    tables = {table_name(table) for value in values for table in tables_in(value)} - {None}
    words = _words(node)
    return [
        Action("use", "table", table, line=node.lineno, words=words, alone=len(tables) == 1)
        for table in sorted(t for t in tables if t is not None)
    ]


def _words(node: ast.Call) -> frozenset[Word]:
    return frozenset(Word(None, n.attr) for n in ast.walk(node) if isinstance(n, ast.Attribute))
