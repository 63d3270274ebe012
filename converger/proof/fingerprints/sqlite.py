"""The facts of a SQLite database, from sqlite_master and PRAGMA.

Names are compared as SQLite does, without regard to capitals. Left out: what SQLite keeps for itself
(`sqlite_…`), and the tables in which virtual tables keep their contents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from converger.proof.facts import Fact, Fingerprint, Mask
from converger.proof.fingerprints.data import ROW_LIMIT, Digest, Surrogate, Table, read_rows
from converger.proof.fingerprints.sqlitesql import (
    Constraint,
    NotUnderstood,
    TableSql,
    index_text,
    parse_table,
    rest_of,
    tokens,
    written,
)
from converger.proof.scratch import Row, Scratch, Server

_OBJECTS = (
    "SELECT type, name, tbl_name, sql FROM sqlite_master"
    " WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND sql IS NOT NULL ORDER BY rowid"
)
_GENERATED = (2, 3)
"""`hidden` of PRAGMA table_xinfo for a generated column."""


@dataclass(frozen=True)
class _SqliteTable:
    """A table as it was found: `parsed` is None for a virtual table and for what cannot be taken apart."""

    name: str
    sql: str
    virtual: bool
    parsed: TableSql | None
    columns: tuple[str, ...]
    """In their physical order, without generated ones."""


def read(
    server: Server, scratch: Scratch, exclude: frozenset[tuple[str | None, str]], mask: Mask, data: bool
) -> Fingerprint:
    """See `read_fingerprint`. A schema other than SQLite's own is an attached database, which is not ours."""
    left_out = {name.lower() for schema, name in exclude if schema in (None, "main")}
    objects, tables = _schema(server, scratch, left_out)
    facts: set[Fact] = set()
    asides: set[Fact] = set()
    keys = {
        table.name.lower(): constraint.columns
        for table in tables
        if table.parsed
        for constraint in table.parsed.constraints
        if constraint.kind == "primary key"
    }
    for table in tables:
        facts.update(_table_facts(table, keys))
        if not table.virtual:
            asides.add(Fact("column order", table.name, ", ".join(table.columns)))
    for kind, name, sql in objects:
        if kind == "index":
            facts.add(Fact("index", name, index_text(sql)))
        else:
            facts.add(Fact(kind, name, written(rest_of(sql, after=("create", kind)))))
    settings = server.query_all(scratch, ["PRAGMA user_version", "PRAGMA application_id"])
    for name, rows in zip(("user_version", "application_id"), settings, strict=True):
        if rows[0][0]:
            facts.add(Fact("database setting", name, str(rows[0][0])))
    if data:
        content = read_rows(SqliteRows(server), scratch, _with_rows(server, scratch, tables), mask)
        facts |= content.facts
        asides |= content.asides
        asides |= _counters(server, scratch, left_out)
    return Fingerprint(frozenset(facts), frozenset(asides))


class SqliteRows:
    """See `data.RowReader`. SQLite has no hash function: rows are hashed here."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def tables(self, scratch: Scratch) -> tuple[Table, ...]:
        """See `RowReader.tables`."""
        return _with_rows(self._server, scratch, _schema(self._server, scratch, set())[1])

    def digests(self, scratch: Scratch, tables: Sequence[Table]) -> Mapping[str, Digest]:
        """See `RowReader.digests`."""
        small = [table for table in tables if not table.large]
        found = {table.object: Digest(None, 0) for table in tables if table.large}
        answers = self._server.query_all(scratch, [_select(table) for table in small]) if small else []
        for table, rows in zip(small, answers, strict=True):
            keys = sum(map(_hash, rows)) if table.surrogates else None
            found[table.object] = Digest(
                len(rows), sum(map(_hash, self._compared(scratch, table, rows))), keys
            )
        return found

    def column_totals(self, scratch: Scratch, table: Table) -> Mapping[str, int]:
        """See `RowReader.column_totals`."""
        rows = self._server.query(scratch, _select(table))
        return {
            column: sum(_hash((row[place],)) for row in rows) for place, column in enumerate(table.columns)
        }

    def row_hashes(self, scratch: Scratch, table: Table) -> Counter[int]:
        """See `RowReader.row_hashes`."""
        rows = self._server.query(scratch, _select(table))
        return Counter(map(_hash, self._compared(scratch, table, rows)))

    def rows(self, scratch: Scratch, table: Table, hashes: Sequence[int]) -> list[tuple[str | None, ...]]:
        """See `RowReader.rows`."""
        wanted = frozenset(hashes)
        rows = self._server.query(scratch, _select(table))
        return [
            tuple(None if value is None else str(value) for value in row)
            for row, compared in zip(rows, self._compared(scratch, table, rows), strict=True)
            if _hash(compared) in wanted
        ]

    def _compared(self, scratch: Scratch, table: Table, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows with None for a surrogate key to which no row refers."""
        for surrogate in table.surrogates:
            place = table.columns.index(surrogate.column)
            referred = {
                value
                for _, name, column in surrogate.referrers
                for (value,) in self._server.query(
                    scratch,
                    f"SELECT DISTINCT {_quoted(column)} FROM {_quoted(name)}",  # noqa: S608
                )
            }
            rows = [
                row if row[place] in referred else (*row[:place], None, *row[place + 1 :]) for row in rows
            ]
        return rows


def _schema(
    server: Server, scratch: Scratch, left_out: set[str]
) -> tuple[list[tuple[str, str, str]], list[_SqliteTable]]:
    """(kind, name, SQL) of indexes, views and triggers; and the tables."""
    found = [row for row in server.query(scratch, _OBJECTS) if row[2].lower() not in left_out]
    virtual = {name.lower() for kind, name, _, sql in found if kind == "table" and _is_virtual(sql)}
    inner = tuple(f"{name}_" for name in virtual)
    found = [row for row in found if not row[2].lower().startswith(inner)]
    kept = [(name, sql) for kind, name, _, sql in found if kind == "table"]
    answers = server.query_all(scratch, [f"PRAGMA table_xinfo({_quoted(name)})" for name, _ in kept])
    tables = [
        _table(name, sql, name.lower() in virtual, columns)
        for (name, sql), columns in zip(kept, answers, strict=True)
    ]
    return [(kind, name, sql) for kind, name, _, sql in found if kind != "table"], tables


def _table(name: str, sql: str, virtual: bool, columns: Sequence[Row]) -> _SqliteTable:
    parsed = None
    if not virtual:
        try:
            parsed = parse_table(sql)
        except NotUnderstood:
            parsed = None
        if parsed and [column for column, _ in parsed.columns] != [column[1].lower() for column in columns]:
            parsed = None
    plain = tuple(column[1] for column in columns if column[6] not in _GENERATED)
    return _SqliteTable(name, sql, virtual, parsed, plain)


def _table_facts(table: _SqliteTable, keys: Mapping[str, tuple[str, ...]]) -> list[Fact]:
    if table.virtual:
        return [
            Fact(
                "virtual table", table.name, written(rest_of(table.sql, after=("create", "virtual", "table")))
            )
        ]
    if table.parsed is None:
        return [Fact("table", table.name, written(tokens(table.sql)))]
    facts = [Fact("table", table.name, ", ".join(sorted(table.parsed.options)) or "exists")]
    facts += [Fact("column", f"{table.name}.{name}", text) for name, text in table.parsed.columns]
    return facts + [_constraint(table, constraint, keys) for constraint in table.parsed.constraints]


def _constraint(table: _SqliteTable, constraint: Constraint, keys: Mapping[str, tuple[str, ...]]) -> Fact:
    text = constraint.text
    if constraint.kind == "foreign key":
        parent = constraint.parent or ""
        columns = constraint.parent_columns or keys.get(parent.lower(), ())
        text = f"({', '.join(constraint.columns)}) references {parent}"
        text += (f" ({', '.join(columns)})" if columns else "") + constraint.text
    if constraint.name:
        return Fact(constraint.kind, f"{table.name}.{constraint.name}", text)
    # There is one primary key; the others are told apart by what they say.
    return Fact(
        constraint.kind, table.name if constraint.kind == "primary key" else f"{table.name} {text}", text
    )


def _with_rows(server: Server, scratch: Scratch, tables: Sequence[_SqliteTable]) -> tuple[Table, ...]:
    """The tables that have rows, and the virtual ones, of which nobody knows."""
    plain = [table for table in tables if not table.virtual]
    counts = server.query_all(
        scratch,
        [
            f"SELECT count(*) FROM (SELECT 1 FROM {_quoted(table.name)} LIMIT {ROW_LIMIT + 1})"  # noqa: S608
            for table in plain
        ],
    )
    found = [
        Table(
            table.name,
            None,
            table.name,
            tuple(sorted(table.columns)),
            _surrogates(table, tables),
            count > ROW_LIMIT,
        )
        for table, [(count,)] in zip(plain, counts, strict=True)
        if count
    ]
    found += [
        Table(table.name, None, table.name, (), obstacle="a virtual table")
        for table in tables
        if table.virtual
    ]
    return tuple(sorted(found, key=lambda table: table.object))


def _surrogates(table: _SqliteTable, tables: Sequence[_SqliteTable]) -> tuple[Surrogate, ...]:
    """The column that stands for the row's number, if there is one."""
    if table.parsed is None or "without rowid" in table.parsed.options:
        return ()
    keys = [each for each in table.parsed.constraints if each.kind == "primary key"]
    if not keys or len(keys[0].columns) != 1 or "desc" in keys[0].text:
        return ()
    types = dict(table.parsed.columns)
    name = keys[0].columns[0]
    if types[name].split(" ")[0] != "integer":
        return ()
    referrers = tuple(
        (None, other.name, column)
        for other in tables
        if other.parsed
        for each in other.parsed.constraints
        if each.kind == "foreign key" and (each.parent or "").lower() == table.name.lower()
        for column, theirs in zip(each.columns, each.parent_columns or (name,), strict=False)
        if theirs == name
    )
    return tuple(Surrogate(column, referrers) for column in table.columns if column.lower() == name)


def _counters(server: Server, scratch: Scratch, left_out: set[str]) -> set[Fact]:
    """How far AUTOINCREMENT has counted. It never gives a value that is there already."""
    if not server.query(scratch, "SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence'"):
        return set()
    rows = server.query(scratch, "SELECT name, seq FROM sqlite_sequence WHERE seq <> 0")
    return {Fact("sequence value", name, str(value)) for name, value in rows if name.lower() not in left_out}


def _is_virtual(sql: str) -> bool:
    return [token.text for token in tokens(sql)[:2]] == ["create", "virtual"]


def _select(table: Table) -> str:
    columns = ", ".join(_quoted(column) for column in table.columns) or "1"
    return f"SELECT {columns} FROM {_quoted(table.name)}"  # noqa: S608


def _hash(row: Row) -> int:
    # What repr() says tells 1 from 1.0 and from '1'.
    return int.from_bytes(blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
