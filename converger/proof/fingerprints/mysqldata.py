"""The rows of MySQL's and MariaDB's tables, hashed by the server.

SHA2, because newer servers come without MD5. Values are hashed as text, in UTF-8 and UTC, floating-point numbers with
all their digits; long ones one by one, so that no row's text exceeds what the server allows.
"""

# ruff: noqa: S608 - SQL is put together from our own text and from quoted identifiers

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from converger.proof.fingerprints.data import ROW_LIMIT, Digest, Table
from converger.proof.fingerprints.mysqltables import PREPARATION, MysqlTable, data_tables, read_tables
from converger.proof.mysqlclone import quoted
from converger.proof.scratch import Row, Scratch, Server

_AT_ONCE = 60
"""Tables in one statement: enough to save round trips, few enough to plan them fast."""

_NUMBERS = frozenset("tinyint smallint mediumint int bigint decimal year".split())
_FLOATS = frozenset(("float", "double"))
_LONG = frozenset("tinytext text mediumtext longtext json tinyblob blob mediumblob longblob vector".split())
_BINARY = frozenset(
    "binary varbinary bit geometry point linestring polygon multipoint multilinestring multipolygon"
    " geometrycollection geomcollection".split()
)


class MysqlRows:
    """See `data.RowReader`. `known` are the tables of databases that were read before, by the database's name."""

    def __init__(self, server: Server, *, known: Mapping[str, Sequence[MysqlTable]] | None = None) -> None:
        self._server = server
        self._known = dict(known or {})

    def tables(self, scratch: Scratch) -> tuple[Table, ...]:
        """See `RowReader.tables`."""
        return self.with_rows(scratch, data_tables(self._tables(scratch)))

    def with_rows(self, scratch: Scratch, tables: Sequence[Table]) -> tuple[Table, ...]:
        """Those of the tables that have rows, and those of which nobody knows."""
        counts: dict[str, int] = {}
        selects = [
            (table, f"COUNT(*) FROM (SELECT 1 FROM {quoted(table.name)} LIMIT {ROW_LIMIT + 1}) x")
            for table in tables
            if table.obstacle is None
        ]
        for table, (count,) in self._each(scratch, selects):
            counts[table.object] = count
        return tuple(
            table if table.obstacle else _sized(table, counts[table.object])
            for table in tables
            if table.obstacle or counts[table.object]
        )

    def digests(self, scratch: Scratch, tables: Sequence[Table]) -> Mapping[str, Digest]:
        """See `RowReader.digests`."""
        found = {table.object: Digest(None, 0) for table in tables if table.large}
        selects = [(table, self._digest(scratch, table)) for table in tables if not table.large]
        for table, (count, total, keys) in self._each(scratch, selects):
            found[table.object] = Digest(count, int(total or 0), None if keys is None else int(keys))
        return found

    def column_totals(self, scratch: Scratch, table: Table) -> Mapping[str, int]:
        """See `RowReader.column_totals`."""
        if not table.columns:
            return {}
        types = self._types(scratch, table)
        sums = ", ".join(f"SUM({_hash([_cell(column, types)])})" for column in table.columns)
        row = self._ask(scratch, f"SELECT {sums} FROM {quoted(table.name)} t")[0]
        return {column: int(total or 0) for column, total in zip(table.columns, row, strict=True)}

    def row_hashes(self, scratch: Scratch, table: Table) -> Counter[int]:
        """See `RowReader.row_hashes`."""
        sql = f"SELECT {self._row(scratch, table)} AS h, COUNT(*) FROM {quoted(table.name)} t GROUP BY h"
        return Counter({int(value): count for value, count in self._ask(scratch, sql)})

    def rows(self, scratch: Scratch, table: Table, hashes: Sequence[int]) -> list[tuple[str | None, ...]]:
        """See `RowReader.rows`."""
        types = self._types(scratch, table)
        cells = ", ".join(_shown(column, types) for column in table.columns)
        wanted = ", ".join(str(value) for value in hashes)
        sql = (
            f"SELECT {cells} FROM {quoted(table.name)} t WHERE {self._row(scratch, table)} IN ({wanted})"
            " LIMIT 1000"
        )
        return [tuple(None if cell is None else str(cell) for cell in row) for row in self._ask(scratch, sql)]

    def _tables(self, scratch: Scratch) -> Sequence[MysqlTable]:
        if scratch.name not in self._known:
            self._known[scratch.name] = read_tables(self._server, scratch)
        return self._known[scratch.name]

    def _types(self, scratch: Scratch, table: Table) -> Mapping[str, str]:
        return next(each.types for each in self._tables(scratch) if each.name == table.name)

    def _row(self, scratch: Scratch, table: Table) -> str:
        """SQL for the hash of a row of table `t`, with surrogate keys only where a row refers to them."""
        types = self._types(scratch, table)
        referrers = {surrogate.column: surrogate.referrers for surrogate in table.surrogates}
        cells = []
        for column in table.columns:
            cell = _cell(column, types)
            if column in referrers:
                referred = " OR ".join(
                    f"t.{quoted(column)} IN (SELECT {quoted(other)} FROM {quoted(name)})"
                    for _, name, other in referrers[column]
                )
                cell = f"CASE WHEN {referred} THEN {cell} ELSE 'N' END" if referred else "'N'"
            cells.append(cell)
        return _hash(cells)

    def _digest(self, scratch: Scratch, table: Table) -> str:
        keys = "NULL"
        row = self._row(scratch, table)
        if table.surrogates:
            types = self._types(scratch, table)
            keys = f"SUM({_hash([row, *(_cell(each.column, types) for each in table.surrogates)])})"
        return f"COUNT(*), SUM({row}), {keys} FROM {quoted(table.name)} t"

    def _each(self, scratch: Scratch, selects: Sequence[tuple[Table, str]]) -> Iterator[tuple[Table, Row]]:
        """The row of each of these selections, which are without the word SELECT."""
        parts = [f"SELECT {number}, {select}" for number, (_, select) in enumerate(selects)]
        statements = [
            " UNION ALL ".join(parts[start : start + _AT_ONCE]) for start in range(0, len(parts), _AT_ONCE)
        ]
        answers = self._server.query_all(scratch, [*PREPARATION, *statements]) if statements else []
        for number, *row in (row for rows in answers[len(PREPARATION) :] for row in rows):
            yield selects[number][0], tuple(row)

    def _ask(self, scratch: Scratch, sql: str) -> list[Row]:
        return self._server.query_all(scratch, [*PREPARATION, sql])[-1]


def _sized(table: Table, count: int) -> Table:
    return replace(table, large=count > ROW_LIMIT)


def _hash(cells: Sequence[str]) -> str:
    """SQL for the first eight bytes of a hash of these texts, as a number."""
    text = f"CONCAT_WS(',', {', '.join(cells)})" if cells else "''"
    return f"CAST(CONV(LEFT(SHA2({text}, 256), 16), 16, 10) AS UNSIGNED)"


def _cell(column: str, types: Mapping[str, str]) -> str:
    """SQL for a text that tells the value from every other, NULL too, and ends where it ends."""
    type_, name = types.get(column, ""), f"t.{quoted(column)}"
    if type_ in _NUMBERS:
        text = name
    elif type_ in _FLOATS:
        text = f"{name} + 0e0"
    elif type_ in _LONG:
        text = f"SHA2({name}, 256)"
    elif type_ in _BINARY:
        text = f"HEX({name})"
    else:
        text = f"QUOTE(CONVERT({name} USING utf8mb4))"
        return f"IF({name} IS NULL, 'N', {text})"
    return f"COALESCE({text}, 'N')"


def _shown(column: str, types: Mapping[str, str]) -> str:
    name, type_ = f"t.{quoted(column)}", types.get(column, "")
    if type_ in _BINARY or type_.endswith("blob") or type_ == "vector":
        return f"LEFT(HEX({name}), 200)"
    if type_ in _LONG:
        return f"LEFT({name}, 200)"
    return name
