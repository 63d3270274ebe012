"""What SQLite keeps as text, CREATE statements, taken apart and written one way. Pure.

Grammar: https://www.sqlite.org/lang_createtable.html. The text is what somebody wrote, changed by ALTER TABLE,
so that the same table may be spelled in many ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

_TOKEN = re.compile(
    r"""
    (?P<space>\s+ | --[^\n]* | /\*.*?(?:\*/|\Z))
  | (?P<string>'[^']*(?:''[^']*)*' | [xX]'[0-9a-fA-F]*')
  | (?P<name>"[^"]*(?:""[^"]*)*" | `[^`]*(?:``[^`]*)*` | \[[^\]]*\])
  | (?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)? )
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$]*)
  | (?P<mark>\|\||->>?|<<|>>|<=|>=|<>|!=|==|.)
    """,
    re.X | re.S,
)
_VALUES = frozenset("null true false current_date current_time current_timestamp".split())
"""Words that are a value unless they are quoted."""
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*")


@dataclass(frozen=True)
class Token:
    """One word, quoted name, string, number or mark; `text` is written one way, words in small letters."""

    kind: Literal["word", "name", "string", "number", "mark"]
    text: str


@dataclass(frozen=True)
class Constraint:
    """A constraint of a table. `columns` are empty for a check; `parent` has the table that a foreign key names."""

    kind: Literal["primary key", "unique constraint", "check constraint", "foreign key"]
    name: str | None
    columns: tuple[str, ...]
    text: str
    parent: str | None = None
    parent_columns: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableSql:
    """A CREATE TABLE taken apart: (name, definition) of each column, constraints, and what stands at the end."""

    columns: tuple[tuple[str, str], ...]
    constraints: tuple[Constraint, ...]
    options: tuple[str, ...]


class NotUnderstood(Exception):
    """The statement is written in a way that is not known here."""


def tokens(sql: str) -> list[Token]:
    """The tokens of a statement, without blanks and comments."""
    found: list[Token] = []
    for match in _TOKEN.finditer(sql):
        kind, text = match.lastgroup, match[0]
        if kind == "space":
            continue
        if kind == "name":
            name = text[1:-1] if text[0] == "[" else text[1:-1].replace(text[0] * 2, text[0])
            name = name.lower()
            if not _PLAIN_NAME.fullmatch(name) or name in _VALUES:
                name = '"' + name.replace('"', '""') + '"'
            found.append(Token("name", name))
        elif kind == "word":
            found.append(Token("word", text.lower()))
        elif kind in ("string", "number"):
            found.append(Token("string" if kind == "string" else "number", text))
        else:
            found.append(Token("mark", {"<>": "!=", "==": "="}.get(text, text)))
    return found


def written(parts: Iterable[Token]) -> str:
    """Tokens as text."""
    text = ""
    glue = True
    for part in parts:
        if not glue and part.text not in (",", ")", ".", ";"):
            text += " "
        text += part.text
        glue = part.text in ("(", ".")
    return text


def rest_of(sql: str, *, after: Sequence[str]) -> list[Token]:
    """What follows these words and the name after them: `after` is `create view`, say."""
    parts = tokens(sql)
    at = 0
    for word in after:
        if at < len(parts) and parts[at] == Token("word", word):
            at += 1
    at += 1
    if at + 1 < len(parts) and parts[at].text == ".":
        at += 2
    return parts[at:]


def index_text(sql: str) -> str:
    """An index as text; that it is ascending goes without saying."""
    parts = tokens(sql)
    unique = "unique " if Token("word", "unique") in parts[:2] else ""
    at = next(number for number, part in enumerate(parts) if part == Token("word", "on"))
    return unique + written(part for part in parts[at:] if part != Token("word", "asc"))


def parse_table(sql: str) -> TableSql:
    """Take a CREATE TABLE apart. Raises NotUnderstood."""
    parts = tokens(sql)
    at = next((number for number, part in enumerate(parts) if part.text == "("), None)
    if at is None:
        raise NotUnderstood("no columns")
    reader = _Reader(parts, at)
    body, options = reader.bracket(), reader.parts[reader.at :]
    columns: list[tuple[str, str]] = []
    constraints: list[Constraint] = []
    for piece in _split(body):
        definition = _Reader(piece, 0)
        if definition.starts("constraint", "primary", "unique", "check", "foreign"):
            while definition.more:
                constraints.append(_table_constraint(definition))
        else:
            name = definition.take().text
            columns.append((_plain(name), _column(definition, _plain(name), constraints)))
    return TableSql(
        tuple(columns), tuple(constraints), tuple(written(each) for each in _split(options) if each)
    )


class _Reader:
    """Goes through tokens."""

    def __init__(self, parts: Sequence[Token], at: int) -> None:
        self.parts = parts
        self.at = at

    @property
    def more(self) -> bool:
        return self.at < len(self.parts)

    def starts(self, *words: str) -> bool:
        """Whether the next token is one of these words."""
        return self.more and self.parts[self.at].kind == "word" and self.parts[self.at].text in words

    def skip(self, *words: str) -> bool:
        """Go past these words, one after the other, if they are next."""
        end = self.at + len(words)
        if [part.text for part in self.parts[self.at : end] if part.kind == "word"] != list(words):
            return False
        self.at = end
        return True

    def take(self) -> Token:
        if not self.more:
            raise NotUnderstood("ends early")
        self.at += 1
        return self.parts[self.at - 1]

    def bracket(self) -> list[Token]:
        """What is within the brackets that begin here."""
        if self.take().text != "(":
            raise NotUnderstood("no bracket")
        start, depth = self.at, 1
        while depth:
            depth += {"(": 1, ")": -1}.get(self.take().text, 0)
        return list(self.parts[start : self.at - 1])

    def on_conflict(self) -> str:
        """What is to be done on a conflict; nothing is said of what is done anyway."""
        if not self.skip("on", "conflict"):
            return ""
        word = self.take().text
        return "" if word == "abort" else f" on conflict {word}"


_COLUMN_WORDS = ("constraint primary not null unique check default collate references generated as").split()


def _column(reader: _Reader, name: str, constraints: list[Constraint]) -> str:
    """The definition of a column, after its name; its constraints are added to those of the table."""
    kind: list[Token] = []
    while reader.more and not reader.starts(*_COLUMN_WORDS):
        kind.append(reader.take())
    found = {"type": written(kind).replace(" (", "(") or "any"}
    while reader.more:
        label = _plain(reader.take().text) if reader.skip("constraint") else None
        if reader.skip("not", "null"):
            found["not null"] = "not null" + reader.on_conflict()
        elif reader.skip("null"):
            reader.on_conflict()
        elif reader.skip("default"):
            default = _default(reader)
            found["default"] = "" if default == "null" else f"default {default}"
        elif reader.skip("collate"):
            collation = reader.take().text
            found["collate"] = "" if collation == "binary" else f"collate {collation}"
        elif reader.skip("generated", "always", "as") or reader.skip("as"):
            expression = written(reader.bracket())
            stored = "stored" if reader.skip("stored") else "virtual"
            reader.skip("virtual")
            found["generated"] = f"generated always as ({expression}) {stored}"
        elif reader.starts("references"):
            constraints.append(_references(reader, label, (name,)))
        elif reader.skip("primary", "key"):
            order = " desc" if reader.skip("desc") else ""
            reader.skip("asc")
            text = f"({name}{order}){reader.on_conflict()}"
            text += " autoincrement" if reader.skip("autoincrement") else ""
            constraints.append(Constraint("primary key", label, (name,), text))
        elif reader.skip("unique"):
            constraints.append(
                Constraint("unique constraint", label, (name,), f"({name}){reader.on_conflict()}")
            )
        elif reader.skip("check"):
            constraints.append(_check(reader, label))
        else:
            raise NotUnderstood(reader.take().text)
    parts = ("type", "not null", "default", "collate", "generated")
    return " ".join(found[part] for part in parts if found.get(part))


def _table_constraint(reader: _Reader) -> Constraint:
    label = _plain(reader.take().text) if reader.skip("constraint") else None
    if reader.skip("check"):
        return _check(reader, label)
    if reader.skip("foreign", "key"):
        return _references(reader, label, _names(reader.bracket()))
    if reader.skip("primary", "key"):
        inner = [part for part in reader.bracket() if part != Token("word", "asc")]
        automatic = inner and inner[-1] == Token("word", "autoincrement")
        inner = inner[:-1] if automatic else inner
        text = f"({_listed(inner)}){reader.on_conflict()}" + (" autoincrement" if automatic else "")
        return Constraint("primary key", label, _names(inner), text)
    if reader.skip("unique"):
        inner = [part for part in reader.bracket() if part != Token("word", "asc")]
        return Constraint(
            "unique constraint", label, _names(inner), f"({_listed(inner)}){reader.on_conflict()}"
        )
    raise NotUnderstood(reader.take().text)


def _check(reader: _Reader, label: str | None) -> Constraint:
    text = written(_bare(reader.bracket()))
    reader.on_conflict()  # is read and ignored by SQLite, too
    return Constraint("check constraint", label, (), text)


def _references(reader: _Reader, label: str | None, columns: tuple[str, ...]) -> Constraint:
    if not reader.skip("references"):
        raise NotUnderstood("foreign key without references")
    parent = _plain(reader.take().text)
    theirs = _names(reader.bracket()) if reader.more and reader.parts[reader.at].text == "(" else ()
    actions = []
    deferred = ""
    while reader.more:
        if reader.skip("on", "delete") or reader.skip("on", "update"):
            event = reader.parts[reader.at - 1].text
            action = reader.take().text
            if action in ("set", "no"):
                action += f" {reader.take().text}"
            if action != "no action":
                actions.append(f" on {event} {action}")
        elif reader.skip("match"):
            reader.take()  # SQLite does the same whatever is said
        elif reader.skip("not", "deferrable"):
            reader.skip("initially", "deferred") or reader.skip("initially", "immediate")
        elif reader.skip("deferrable"):
            # Immediate is what happens without any word.
            deferred = " deferrable initially deferred" if reader.skip("initially", "deferred") else ""
            reader.skip("initially", "immediate")
        else:
            break
    text = "".join(sorted(actions)) + deferred
    return Constraint("foreign key", label, columns, text, parent, theirs)


def _default(reader: _Reader) -> str:
    if reader.more and reader.parts[reader.at].text == "(":
        return written(_bare(reader.bracket()))
    sign = reader.take()
    if sign.text == "+":
        return reader.take().text
    return f"-{reader.take().text}" if sign.text == "-" else sign.text


def _bare(parts: list[Token]) -> list[Token]:
    """Without brackets around the whole."""
    while len(parts) > 1 and parts[0].text == "(":
        reader = _Reader(parts, 0)
        inner = reader.bracket()
        if reader.more:
            break
        parts = inner
    return parts


def _split(parts: Iterable[Token]) -> list[list[Token]]:
    """At commas that are within no brackets."""
    pieces: list[list[Token]] = [[]]
    depth = 0
    for part in parts:
        depth += {"(": 1, ")": -1}.get(part.text, 0)
        if part.text == "," and depth == 0:
            pieces.append([])
        else:
            pieces[-1].append(part)
    return pieces


def _names(parts: Iterable[Token]) -> tuple[str, ...]:
    return tuple(_plain(piece[0].text) for piece in _split(parts) if piece)


def _listed(parts: Iterable[Token]) -> str:
    return ", ".join(written(piece) for piece in _split(parts))


def _plain(name: str) -> str:
    """A name without the quotes that it needs in SQL. SQLite takes a string for a name, too."""
    quote = name[:1]
    if quote not in ('"', "'"):
        return name
    return name[1:-1].replace(quote * 2, quote).lower()
