"""What SHOW CREATE TABLE prints, taken apart. Pure.

MySQL and MariaDB print a table one way, whatever it was made with: a line for each column, key and constraint, then
the options. Formats: https://dev.mysql.com/doc/refman/8.4/en/show-create-table.html and
https://mariadb.com/kb/en/show-create-table/. What is not known here is kept as it is printed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<string>(?:\b[xXbBnN](?='))?'(?:[^'\\]|\\.|'')*')
  | (?P<name>`(?:[^`]|``)*`)
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$]*)
  | (?P<versioned>/\*M?!\d*|\*/)
  | (?P<mark>\d[\w.]*|.)
    """,
    re.X | re.S,
)
_PLAIN_NAME = re.compile(r"[A-Za-z_\u0080-\U0010ffff][\w$]*")
_COLUMN = re.compile(r"`((?:[^`]|``)+)` (.*)", re.S)
_USUAL = re.compile(
    r"([a-z]+(?:\(\d+(?:,\d+)?\))?(?: unsigned)?)(?: CHARACTER SET \w+)?(?: COLLATE \w+)?( NOT NULL)?"
    r"(?: DEFAULT NULL)?( AUTO_INCREMENT)?"
)
"""What most columns are."""
_KEY = re.compile(
    r"(?:(UNIQUE|FULLTEXT|SPATIAL|VECTOR) )?(?:KEY|INDEX) `((?:[^`]|``)*)` (\(.*)", re.S | re.IGNORECASE
)
_CONSTRAINT = re.compile(r"CONSTRAINT `((?:[^`]|``)+)` (FOREIGN KEY|CHECK) (.*)", re.S)
_FOREIGN_KEY = re.compile(
    r"\(((?:`(?:[^`]|``)+`(?:, ?)?)+)\) REFERENCES (?:`((?:[^`]|``)+)`\.)?`((?:[^`]|``)+)`"
    r" \(((?:`(?:[^`]|``)+`(?:, ?)?)+)\)(.*)",
    re.S,
)
_NAME = re.compile(r"`((?:[^`]|``)+)`")
_NO_ACTION = re.compile(r" ON (?:DELETE|UPDATE) (?:NO ACTION|RESTRICT)\b")
_KEY_COLUMNS = re.compile(r"\((`(?:[^`]|``)+`)(?: (?:ASC|DESC))?\)")


@dataclass(frozen=True)
class Column:
    """A column: its definition without collation and comment. `check` is MariaDB's check at the column."""

    name: str
    text: str
    comment: str = ""
    check: str = ""
    generated: bool = False
    auto_increment: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key; `database` is None where the parent is in the same database."""

    name: str
    columns: tuple[str, ...]
    database: str | None
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableSql:
    """A table taken apart.

    `constraints` are (kind, name, text) of its primary key, indexes, foreign keys and checks; the name of a primary
    key is empty. `unique` are the columns that have a unique key of their own. `counter` is the next AUTO_INCREMENT,
    if it says so.
    """

    columns: tuple[Column, ...]
    constraints: tuple[tuple[str, str, str], ...]
    foreign_keys: tuple[ForeignKey, ...]
    unique: frozenset[str]
    options: str
    comment: str
    counter: int | None


@dataclass
class _Parts:
    columns: list[Column] = field(default_factory=list)
    constraints: list[tuple[str, str, str]] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    unique: set[str] = field(default_factory=set)
    rest: list[str] = field(default_factory=list)


def parse_table(sql: str) -> TableSql:
    """The answer of SHOW CREATE TABLE, taken apart. `sql_mode` has no ANSI_QUOTES and escapes by backslashes."""
    lines, options = _lines(sql)
    parts = _Parts()
    for line in lines:
        _take(line, parts)
    options, comment, counter = _options(options)
    return TableSql(
        tuple(parts.columns),
        tuple(parts.constraints),
        tuple(parts.foreign_keys),
        frozenset(parts.unique),
        "; ".join([options, *parts.rest]),
        comment,
        counter,
    )


def written(text: str, *, lower: bool = True) -> str:
    """A piece of the server's text written one way: plain names without quotes, one blank, no versioned comments."""
    found: list[str] = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "space":
            found += [" "] if found[-1:] != [" "] else []
        elif kind == "name":
            found.append(plain(match[0]))
        elif kind == "word":
            found.append(match[0].lower() if lower else match[0])
        elif kind != "versioned":
            found.append(match[0])
    return "".join(found).strip()


def plain(name: str) -> str:
    """A quoted name without its quotes where it needs none."""
    inner = name[1:-1]
    return inner if _PLAIN_NAME.fullmatch(inner) else name


def unquoted(name: str) -> str:
    """What stands between backquotes."""
    return name.replace("``", "`")


def _lines(sql: str) -> tuple[list[str], str]:
    """The lines between the brackets without their commas, and what follows the last bracket."""
    _first, *rest = sql.split("\n")
    lines: list[str] = []
    for place, line in enumerate(rest):
        if line.startswith(")"):
            return [each.removesuffix(",") for each in lines], "\n".join([line[1:], *rest[place + 1 :]])
        if line.startswith("  "):
            lines.append(line[2:])
        elif lines:  # a name with a line's end in it
            lines[-1] += "\n" + line
    return [each.removesuffix(",") for each in lines], ""


def _take(line: str, parts: _Parts) -> None:
    if line.startswith("`") and (found := _COLUMN.fullmatch(line)):
        column = _column(unquoted(found[1]), found[2])
        parts.columns.append(column)
    elif line.startswith("PRIMARY KEY "):
        parts.constraints.append(("primary key", "", written(line[len("PRIMARY KEY ") :])))
        parts.unique.update(_only_column(line))
    elif found := _KEY.fullmatch(line):
        sort, name, columns = found.groups()
        parts.constraints.append(("index", unquoted(name), f"{sort or ''} {columns}".strip()))
        if sort == "UNIQUE":
            parts.unique.update(_only_column(columns))
    elif found := _CONSTRAINT.fullmatch(line):
        name, kind, text = unquoted(found[1]), found[2], found[3]
        if kind == "CHECK":
            parts.constraints.append(("check constraint", name, _without_brackets(written(text))))
            return
        parts.constraints.append(("foreign key", name, written(_NO_ACTION.sub("", text))))
        if key := _FOREIGN_KEY.fullmatch(text):
            parts.foreign_keys.append(
                ForeignKey(
                    name,
                    _names(key[1]),
                    unquoted(key[2]) if key[2] else None,
                    unquoted(key[3]),
                    _names(key[4]),
                )
            )
    else:
        parts.rest.append(written(line))


def _names(text: str) -> tuple[str, ...]:
    return tuple(unquoted(name) for name in _NAME.findall(text))


def _only_column(text: str) -> tuple[str, ...]:
    """The column of a key that has one, as a whole."""
    found = _KEY_COLUMNS.search(text)
    return _names(found[1]) if found and text[: found.start()].count("(") == 0 else ()


def _column(name: str, text: str) -> Column:
    if usual := _USUAL.fullmatch(text):
        return Column(name, "".join(usual.groups("")).lower(), auto_increment=usual[3] is not None)
    kept: list[str] = []
    comment, check = "", ""
    tokens = _at_the_top(text)
    words = [token.upper() for token in tokens]
    at = 0
    while at < len(tokens):
        word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
        if word == "CHARACTER" and following == "SET":
            at += 3
        elif word == "COLLATE":
            at += 2
        elif word == "COMMENT" and following.startswith("'"):
            comment = tokens[at + 1]
            at += 2
        elif word == "CHECK" and following.startswith("("):
            check = _without_brackets(written(tokens[at + 1]))
            at += 2
        elif word == "DEFAULT" and following == "NULL":
            at += 2
        elif word == "NULL" and (not kept or kept[-1].upper() != "NOT"):
            at += 1  # what every column is that is not NOT NULL
        else:
            kept.append(tokens[at])
            at += 1
    plain_words = {word for word in words if word[:1] not in "'`("}
    return Column(
        name,
        written(" ".join(kept)),
        comment,
        check,
        generated=bool({"GENERATED", "AS"} & plain_words),
        auto_increment="AUTO_INCREMENT" in plain_words,
    )


def _at_the_top(text: str) -> list[str]:
    """The text cut at the blanks that are in no bracket and no quotes."""
    found: list[str] = []
    depth, fresh = 0, True
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup, match[0]
        if kind == "versioned":
            fresh = True
            continue
        if kind == "space" and depth == 0:
            fresh = True
            continue
        depth += (piece == "(") - (piece == ")")
        if fresh:
            found.append(piece)
            fresh = False
        else:
            found[-1] += piece
    return found


def _without_brackets(text: str) -> str:
    return text[1:-1] if text.startswith("(") and text.endswith(")") and _is_one(text) else text


def _is_one(text: str) -> bool:
    """Whether the first bracket is closed by the last."""
    depth = 0
    for match in _TOKEN.finditer(text):
        depth += (match[0] == "(") - (match[0] == ")")
        if depth == 0 and match.end() < len(text):
            return False
    return True


def _options(text: str) -> tuple[str, str, int | None]:
    comment, counter = "", None
    kept: list[str] = []
    for option in _at_the_top(text):
        name, equals, value = option.partition("=")
        if equals and name == "AUTO_INCREMENT" and value.isdigit():
            counter = int(value)
        elif equals and name == "COMMENT":
            comment = value
        else:
            kept.append(option)
    return written(" ".join(kept), lower=False), comment, counter
