"""Calls of `op.*`, and of a batch, to actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from converger.guess.model import Action, Name, Word, named
from converger.guess.values import UNKNOWN, Made
from converger.guess.words import Unknown

_NOTHING = object()


class Call:
    """One call: arguments by position or name. A name or position that is computed raises Unknown when asked."""

    def __init__(self, args: Sequence[Any], keywords: Mapping[str, Any], line: int, texts: Mapping[str, str]):
        self.args = args
        self.keywords = keywords
        self.line = line
        self.texts = texts
        """The source of each keyword's value."""

    def value(self, at: int, *names: str, default: Any = None) -> Any:
        for name in names:
            if name in self.keywords:
                return self.keywords[name]
        return self.args[at] if 0 <= at < len(self.args) else default

    def text(self, at: int, *names: str) -> str:
        value = self.value(at, *names)
        if not isinstance(value, str):
            raise Unknown
        return value

    def text_or_none(self, at: int, *names: str) -> str | None:
        value = self.value(at, *names)
        if value is not None and not isinstance(value, str):
            raise Unknown
        return value

    def schema(self, *names: str) -> str | None:
        """A schema's name; where it is computed, the text that computes it stands for it."""
        for name in names or ("schema",):
            value = self.keywords.get(name)
            if value is not None:
                return value if isinstance(value, str) else f"<{self.texts[name]}>"
        return None

    def columns(self, at: int, *names: str) -> list[str]:
        """A list of column names; expressions in it are left out."""
        value = self.value(at, *names, default=())
        if value is UNKNOWN:
            raise Unknown
        parts = value if isinstance(value, list | tuple) else [value]
        return [part for part in parts if isinstance(part, str)]

    def flag(self, name: str) -> bool:
        return self.keywords.get(name) is True


def read_operation(method: str, call: Call, batch: Name | None = None) -> list[Action]:
    """The actions of `op.<method>(…)`, or of a batch on the table `batch`.

    Raises Unknown where a name is computed, and for operations that are not known.
    """
    reader = _READERS.get(method)
    if reader is None:
        raise Unknown
    return list(reader(_Operation(call, batch)))


class _Operation:
    """One call, with where the arguments behind the table's name begin."""

    def __init__(self, call: Call, batch: Name | None) -> None:
        self.call = call
        self.batch = batch

    def at(self, position: int, *, table_at: int = 0) -> int:
        """The place of an argument, given where it is in `op`: a batch has no table's name."""
        return position - 1 if self.batch is not None and position > table_at else position

    def table(self, at: int, *names: str) -> Name:
        if self.batch is not None:
            return self.batch
        return named(self.call.text(at, *names), self.call.schema("schema", "source_schema"))

    def action(self, verb: str, kind: str, owner: Name, part: str = "", **more: Any) -> Action:
        more.setdefault("line", self.call.line)
        return Action(verb, kind, owner, part, **more)  # type: ignore[arg-type]


def _create_table(op: _Operation) -> Iterator[Action]:
    table = op.table(0, "table_name", "name")
    yield op.action(
        "create", "table", table, tolerant=op.call.flag("if_not_exists"), detail=op.call.texts["*"]
    )
    for item in op.call.args[1:]:
        if not isinstance(item, Made):
            continue
        yield from _references(op, item, table)
        if item.what == "Column":
            if item.keywords.get("index") is True and item.name():
                yield op.action("create", "index", table, f"ix_{table.name}_{item.name()}")
            for part in item.args:
                yield from _created_type(op, part)
        elif item.what == "Index" and item.name():
            yield op.action("create", "index", table, str(item.name()), detail=item.text)


def _created_type(op: _Operation, part: Any) -> Iterator[Action]:
    """CREATE TABLE makes the enum types of its columns on PostgreSQL, without looking whether they are there."""
    if (
        isinstance(part, Made)
        and part.what in ("Enum", "ENUM")
        and part.keywords.get("create_type") is not False
    ):
        name = part.keywords.get("name")
        if isinstance(name, str):
            schema = part.keywords.get("schema")
            owner = named(name, schema if isinstance(schema, str) else None)
            yield op.action("create", "type", owner, aspect="implied", detail=part.text)


def _references(op: _Operation, item: Made, table: Name) -> Iterator[Action]:
    """The tables and columns that foreign keys in a column or constraint name."""
    targets: list[Any] = []
    for part in (item, *item.args):
        if isinstance(part, Made) and part.what == "ForeignKey" and part.args:
            targets.append(part.args[0])
        if isinstance(part, Made) and part.what == "ForeignKeyConstraint" and len(part.args) > 1:
            targets += part.args[1] if isinstance(part.args[1], list | tuple) else []
    for target in targets:
        if isinstance(target, str) and "." in target:
            owner, _, column = target.rpartition(".")
            if named(owner) != table:
                yield op.action("use", "column", named(owner), column)


def _add_column(op: _Operation) -> Iterator[Action]:
    table = op.table(0, "table_name")
    column = op.call.value(op.at(1), "column")
    if not isinstance(column, Made) or column.name() is None:
        raise Unknown
    keywords = column.keywords
    required = keywords.get("nullable") is False and keywords.get("server_default") is None
    yield op.action(
        "create",
        "column",
        table,
        str(column.name()),
        aspect="required" if required else "",
        detail=column.text,
        tolerant=op.call.flag("if_not_exists"),
    )
    yield from _references(op, column, table)


def _alter_column(op: _Operation) -> Iterator[Action]:
    call = op.call
    table = op.table(0, "table_name")
    column = call.text(op.at(1), "column_name")
    new = call.value(-1, "new_column_name", "name")
    if new is UNKNOWN:
        raise Unknown
    changed = False
    for aspect, name in (("nullable", "nullable"), ("type", "type_"), ("default", "server_default"),
                         ("comment", "comment")):  # fmt: skip
        if name in call.keywords and call.keywords[name] is not _NOTHING:
            changed = True
            yield op.action("alter", "column", table, column, aspect=aspect, detail=call.texts[name])
    if isinstance(new, str) and new != column:
        yield op.action("rename", "column", table, column, new=new)
    elif not changed:
        yield op.action("use", "column", table, column)


def _create_index(op: _Operation) -> Iterator[Action]:
    call = op.call
    table = op.table(1, "table_name", "tablename")
    columns = call.columns(op.at(2, table_at=1), "columns")
    name = call.text_or_none(0, "index_name", "name") or ""
    detail = f"{table} {columns} {call.texts.get('unique', '')} {call.texts.get('postgresql_where', '')}"
    yield from _column_uses(op, table, columns)
    unique = call.flag("unique")
    yield op.action("create", "index", table, name, detail=detail, tolerant=call.flag("if_not_exists"),
                    aspect="unique" if unique else "", columns=tuple(columns) if unique else None)  # fmt: skip


def _drop_index(op: _Operation) -> Iterator[Action]:
    call = op.call
    table = op.batch or named(call.text_or_none(1, "table_name", "tablename") or "", call.schema())
    yield op.action(
        "drop", "index", table, call.text(0, "index_name", "name"), tolerant=call.flag("if_exists")
    )


def _column_uses(op: _Operation, table: Name, columns: Sequence[str]) -> Iterator[Action]:
    yield op.action("use", "table", table)
    for column in columns:
        yield op.action("use", "column", table, column)


def _constraint(aspect: str, columns_at: int = 2) -> Callable[[_Operation], Iterator[Action]]:
    def read(op: _Operation) -> Iterator[Action]:
        call = op.call
        table = op.table(1, "table_name", "source")
        name = call.text_or_none(0, "constraint_name", "name") or ""
        columns: list[str] = []
        if aspect in ("unique", "primary"):
            columns = call.columns(op.at(columns_at, table_at=1), "columns", "local_cols")
            yield from _column_uses(op, table, columns)
        else:
            yield op.action("use", "table", table)
        yield op.action("create", "constraint", table, name, aspect=aspect, detail=call.texts["*"],
                        columns=tuple(columns) or None)  # fmt: skip

    return read


def _create_foreign_key(op: _Operation) -> Iterator[Action]:
    call = op.call
    table = op.table(1, "source_table", "source")
    referent_at = op.at(2, table_at=1)
    schema = call.schema("referent_schema")
    referent = named(call.text(referent_at, "referent_table", "referent"), schema)
    columns = call.columns(referent_at + 1, "local_cols")
    yield from _column_uses(op, table, columns)
    if referent != table:
        yield from _column_uses(op, referent, call.columns(referent_at + 2, "remote_cols"))
    name = call.text_or_none(0, "constraint_name", "name") or ""
    yield op.action("create", "constraint", table, name, aspect="foreign", detail=call.texts["*"],
                    columns=tuple(columns) or None)  # fmt: skip


def _drop_constraint(op: _Operation) -> Iterator[Action]:
    name = op.call.text(0, "constraint_name", "name")
    table = op.table(1, "table_name")
    yield op.action("drop", "constraint", table, name, tolerant=op.call.flag("if_exists"))


def _comment(op: _Operation) -> Iterator[Action]:
    detail = op.call.texts["*"]
    yield op.action("alter", "table", op.table(0, "table_name"), aspect="comment", detail=detail)


def _drop_table(op: _Operation) -> Iterator[Action]:
    yield op.action("drop", "table", op.table(0, "table_name", "name"), tolerant=op.call.flag("if_exists"))


def _rename_table(op: _Operation) -> Iterator[Action]:
    new = op.call.text(1, "new_table_name")
    yield op.action("rename", "table", op.table(0, "old_table_name"), new=new)


def _drop_column(op: _Operation) -> Iterator[Action]:
    column = op.call.text(op.at(1), "column_name")
    yield op.action("drop", "column", op.table(0, "table_name"), column, tolerant=op.call.flag("if_exists"))


def _bulk_insert(op: _Operation) -> Iterator[Action]:
    table, rows = op.call.value(0, "table"), op.call.value(1, "rows")
    name = table_name(table)
    if name is None:
        raise Unknown
    known = isinstance(rows, list) and bool(rows) and all(isinstance(row, dict) for row in rows)
    columns = tuple(dict.fromkeys(key for row in rows for key in row)) if known else None
    words = frozenset(Word(None, column) for column in columns or ())
    yield op.action("insert", "rows", name, detail=op.call.texts["*"], columns=columns, words=words)


def table_name(table: Any) -> Name | None:
    """The name of a `sa.table`, `sa.Table` or mapped class."""
    if not isinstance(table, Made) or table.what not in ("table", "Table", "mapped") or table.name() is None:
        return None
    schema = table.keywords.get("schema")
    return named(str(table.name()), schema if isinstance(schema, str) else None)


_READERS: Mapping[str, Callable[[_Operation], Iterator[Action]]] = {
    "create_table": _create_table,
    "drop_table": _drop_table,
    "rename_table": _rename_table,
    "add_column": _add_column,
    "drop_column": _drop_column,
    "alter_column": _alter_column,
    "create_index": _create_index,
    "drop_index": _drop_index,
    "create_unique_constraint": _constraint("unique"),
    "create_primary_key": _constraint("primary"),
    "create_check_constraint": _constraint("check"),
    "create_exclude_constraint": _constraint("exclude"),
    "create_foreign_key": _create_foreign_key,
    "drop_constraint": _drop_constraint,
    "create_table_comment": _comment,
    "drop_table_comment": _comment,
    "bulk_insert": _bulk_insert,
}
