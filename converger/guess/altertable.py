"""ALTER TABLE to actions: one statement may hold several, divided by commas."""

from __future__ import annotations

import re
from collections.abc import Iterator

from converger.guess.model import Action, Name
from converger.guess.words import Words

_AFTER = re.compile(r"\bAFTER `?(\w+)`?$")
_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK", "EXCLUDE")


def read_alter_table(words: Words, line: int) -> Iterator[Action]:
    """`words` stands behind ALTER TABLE. Raises Unknown."""
    words.take_if("IF", "EXISTS")
    words.take_if("ONLY")
    table = words.name()
    for other in words.tables():
        if other != table:
            yield Action("use", "table", other, line=line)
    while True:
        yield from _part(words, table, line)
        _skip_part(words)
        if not words.take_if(","):
            return


def _skip_part(words: Words) -> None:
    depth = 0
    while not words.ended:
        mark = words.peek_mark()
        if mark == "," and not depth:
            return
        depth += (mark == "(") - (mark == ")")
        words.next()


def _part(words: Words, table: Name, line: int) -> Iterator[Action]:
    start = words.next().text
    if start == "ADD":
        yield from _add(words, table, line)
    elif start == "DROP":
        yield from _drop(words, table, line)
    elif start == "RENAME":
        yield from _rename(words, table, line)
    elif start == "ALTER":
        yield from _column(words, table, line)
    elif start == "MODIFY":
        words.take_if("COLUMN")
        column = words.name().name
        yield Action("alter", "column", table, column, line, "definition", _rest(words))
    elif start == "CHANGE":
        words.take_if("COLUMN")
        old, new = words.name().name, words.name().name
        if old == new:
            yield Action("alter", "column", table, old, line, "definition", _rest(words))
        else:
            yield Action("rename", "column", table, old, line, new=new)
    elif start == "SET" and words.take_if("SCHEMA"):
        schema = words.name().name
        yield Action("rename", "table", table, line=line, new=f"{schema}.{table.name}")
    elif start == "VALIDATE" and words.take_if("CONSTRAINT"):
        yield Action("use", "constraint", table, words.name().name, line)
    else:
        yield Action("use", "table", table, line=line)


def _add(words: Words, table: Name, line: int) -> Iterator[Action]:
    if words.peek() in _CONSTRAINTS:
        name = words.name().name if words.take_if("CONSTRAINT") else ""
        kind = words.peek()
        aspect = {"PRIMARY": "primary", "UNIQUE": "unique", "FOREIGN": "foreign", "CHECK": "check"}.get(
            kind, ""
        )
        yield Action("create", "constraint", table, name, line, aspect, words.text_from_here())
        return
    words.take_if("COLUMN")
    tolerant = words.take_if("IF", "NOT", "EXISTS")
    column = words.name().name
    rest = _rest(words)
    required = " NOT NULL" in f" {rest}" and " DEFAULT" not in f" {rest}"
    aspect = "required" if required else ""
    yield Action("create", "column", table, column, line, aspect, rest, tolerant=tolerant)
    place = _AFTER.search(rest)
    if place:
        yield Action("use", "column", table, place[1].lower(), line)


def _rest(words: Words) -> str:
    """The text of this part."""
    at = len(words.text_from_here())
    whole = words.text_from_here()
    _skip_part(words)
    return whole[: at - len(words.text_from_here())].strip()


def _drop(words: Words, table: Name, line: int) -> Iterator[Action]:
    if words.take_if("CONSTRAINT"):
        tolerant = words.take_if("IF", "EXISTS")
        yield Action("drop", "constraint", table, words.name().name, line, tolerant=tolerant)
    elif words.take_if("PRIMARY", "KEY"):
        yield Action("drop", "constraint", table, "PRIMARY KEY", line)
    elif words.take_if("FOREIGN", "KEY"):
        yield Action("drop", "constraint", table, words.name().name, line)
    elif words.take_if("INDEX") or words.take_if("KEY"):
        yield Action("drop", "index", table, words.name().name, line)
    else:
        words.take_if("COLUMN")
        tolerant = words.take_if("IF", "EXISTS")
        yield Action("drop", "column", table, words.name().name, line, tolerant=tolerant)


def _rename(words: Words, table: Name, line: int) -> Iterator[Action]:
    if words.take_if("TO") or words.take_if("AS"):
        yield Action("rename", "table", table, line=line, new=words.name().name)
        return
    if words.take_if("CONSTRAINT"):
        old = words.name().name
        words.take("TO")
        yield Action("drop", "constraint", table, old, line)
        yield Action("create", "constraint", table, words.name().name, line, detail=f"renamed {old}")
        return
    words.take_if("COLUMN")
    old = words.name().name
    words.take("TO")
    yield Action("rename", "column", table, old, line, new=words.name().name)


def _column(words: Words, table: Name, line: int) -> Iterator[Action]:
    if words.take_if("CONSTRAINT"):
        yield Action("use", "constraint", table, words.name().name, line)
        return
    words.take_if("COLUMN")
    column = words.name().name
    if words.take_if("TYPE") or words.take_if("SET", "DATA", "TYPE"):
        yield Action("alter", "column", table, column, line, "type", _rest(words))
    elif words.take_if("SET", "NOT", "NULL"):
        yield Action("alter", "column", table, column, line, "nullable", "False")
    elif words.take_if("DROP", "NOT", "NULL"):
        yield Action("alter", "column", table, column, line, "nullable", "True")
    elif words.take_if("SET", "DEFAULT"):
        yield Action("alter", "column", table, column, line, "default", _rest(words))
    elif words.take_if("DROP", "DEFAULT"):
        yield Action("alter", "column", table, column, line, "default", "None")
    else:
        yield Action("use", "column", table, column, line)
