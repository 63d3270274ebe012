"""The rows of a database: one hash a table, independent of the order of rows and of columns.

A table without rows has no fact; one with rows has `rows` with their number and a hash. Generated columns
follow from others and are left out. A surrogate key (one column, unique, not null, filled by the database)
is in that hash only in those rows to which a row refers by a foreign key; of all rows it is in an aside of
its own, `generated keys`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from converger.proof.facts import Difference, Fact, Fingerprint, Mask, RowDifference
from converger.proof.scratch import Scratch, Server

ROW_LIMIT = 500_000
"""Rows of one table that are compared at most. Beyond it, the fact says that they are not."""

NOT_COMPARED = "not compared"
"""How the text of a `rows` fact begins where rows could not be looked at, before a colon and the reason."""

NO_MASK = Mask()

_CELL = 60
_LINE = 400


@dataclass(frozen=True)
class Surrogate:
    """A surrogate key: its column, and the (schema, table, column)s of foreign keys that refer to it."""

    column: str
    referrers: tuple[tuple[str | None, str, str], ...] = ()


@dataclass(frozen=True)
class Table:
    """A table that has rows, or may have. `object` is its name in facts.

    `columns` are sorted and without generated ones; `surrogates` are those of them that are surrogate keys;
    `large` says that there may be more rows than ROW_LIMIT; `obstacle` why it cannot be read.
    """

    object: str
    schema: str | None
    name: str
    columns: tuple[str, ...]
    surrogates: tuple[Surrogate, ...] = ()
    large: bool = False
    obstacle: str | None = None

    def without(self, columns: Iterable[str]) -> Table:
        """The table as if it did not have these columns."""
        gone = frozenset(columns)
        return replace(
            self,
            columns=tuple(column for column in self.columns if column not in gone),
            surrogates=tuple(each for each in self.surrogates if each.column not in gone),
        )


@dataclass(frozen=True)
class Digest:
    """The rows of one table: how many, None for too many to compare, and the sum of their hashes.

    `keys` is the same with surrogate keys, where the table has any.
    """

    count: int | None
    total: int
    keys: int | None = None


class RowReader(Protocol):
    """How one dialect reads rows. Hashes are comparable between databases of the same server only.

    All methods raise CouldNotEvaluate.
    """

    def tables(self, scratch: Scratch) -> tuple[Table, ...]:
        """The tables that have rows or may have, sorted."""

    def digests(self, scratch: Scratch, tables: Sequence[Table]) -> Mapping[str, Digest]:
        """By a table's `object`. Tables with an obstacle are not asked for."""

    def column_totals(self, scratch: Scratch, table: Table) -> Mapping[str, int]:
        """For each column the sum of its values' hashes."""

    def row_hashes(self, scratch: Scratch, table: Table) -> Counter[int]:
        """The hashes of all rows, with surrogate keys only where a row refers to them."""

    def rows(self, scratch: Scratch, table: Table, hashes: Sequence[int]) -> list[tuple[str | None, ...]]:
        """The rows with these hashes, as text by columns, None for NULL."""


def reader_of(server: Server) -> RowReader:
    """The reader for the server's dialect."""
    if server.dialect == "sqlite":
        from converger.proof.fingerprints.sqlite import SqliteRows

        return SqliteRows(server)
    if server.dialect == "postgresql":
        from converger.proof.fingerprints.pgdata import PostgresRows

        return PostgresRows(server)
    from converger.proof.fingerprints.mysqldata import MysqlRows

    return MysqlRows(server)


def read_rows(reader: RowReader, scratch: Scratch, tables: Sequence[Table], mask: Mask) -> Fingerprint:
    """The facts about the rows of these tables, without the columns in `mask`. Raises CouldNotEvaluate."""
    masked = masked_columns(mask)
    facts, asides = set(), set()
    readable = []
    for table in tables:
        if table.obstacle is not None:
            facts.add(Fact("rows", table.object, f"{NOT_COMPARED}: {table.obstacle}"))
        elif ("rows", table.object) not in mask.things:
            readable.append(table.without(masked.get(table.object, ())))
    for name, digest in reader.digests(scratch, readable).items():
        if digest.count is None:
            facts.add(Fact("rows", name, f"{NOT_COMPARED}: more than {ROW_LIMIT} rows"))
        elif digest.count:
            many = f"{digest.count} row" + ("s" if digest.count > 1 else "")
            facts.add(Fact("rows", name, f"{many}, {shown(digest.total)}"))
            if digest.keys is not None:
                asides.add(Fact("generated keys", name, shown(digest.keys)))
    return Fingerprint(frozenset(facts), frozenset(asides))


def not_compared(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts that say that rows could not be compared, sorted: worth a note in any proof."""
    return tuple(sorted(fact for fact in facts if fact.kind == "rows" and fact.text.startswith(NOT_COMPARED)))


def noise(server: Server, first: Scratch, second: Scratch, found: Iterable[Difference]) -> Mask:
    """What to mask, from the differences between two databases that ran the same order.

    Columns of a table whose rows differ, where that is all there is to it; otherwise the thing as a whole.
    Raises CouldNotEvaluate.
    """
    reader = reader_of(server)
    things: set[tuple[str, str]] = set()
    columns: set[tuple[str, str]] = set()
    tables: dict[str, list[Table]] = {}
    found = tuple(found)
    if any(difference.kind == "rows" for difference in found):
        for scratch in (first, second):
            for table in reader.tables(scratch):
                tables.setdefault(table.object, []).append(table)
    for difference in found:
        noisy = None
        if difference.kind == "rows":
            noisy = _noisy_columns(reader, first, second, tables.get(difference.object, []))
        if noisy is None:
            things.add((difference.kind, difference.object))
        else:
            columns.update((difference.object, column) for column in noisy)
    return Mask(frozenset(things), frozenset(columns))


def explain_rows(
    server: Server, first: Scratch, second: Scratch, table: str, limit: int = 5, mask: Mask = NO_MASK
) -> RowDifference | None:
    """What differs in the rows of `table` (its name in facts); None when it cannot be said.

    It cannot where the table is missing on one side, has other columns there, or too many rows. Raises
    CouldNotEvaluate.
    """
    reader = reader_of(server)
    hidden = masked_columns(mask).get(table, ())
    pair = [
        next((each.without(hidden) for each in reader.tables(scratch) if each.object == table), None)
        for scratch in (first, second)
    ]
    one, other = pair
    if one is None and other is None:
        return None
    # A table without rows may have been left out on one side.
    one, other = one or other, other or one
    assert one is not None and other is not None
    if one.columns != other.columns or one.obstacle or other.obstacle:
        return None
    digests = [
        reader.digests(scratch, [each]).get(table) if present else Digest(0, 0)
        for scratch, each, present in zip((first, second), (one, other), pair, strict=True)
    ]
    if any(digest is None or digest.count is None for digest in digests):
        return None
    # Each as it is in its own database: what refers to a table may be another one there.
    counts = [
        reader.row_hashes(scratch, own) if present else Counter[int]()
        for scratch, own, present in zip((first, second), (one, other), pair, strict=True)
    ]
    totals = [
        reader.column_totals(scratch, own) if present else {}
        for scratch, own, present in zip((first, second), (one, other), pair, strict=True)
    ]
    lines = []
    for scratch, own, only in (
        (first, one, counts[0] - counts[1]),
        (second, other, counts[1] - counts[0]),
    ):
        chosen = sorted(only)[:limit]
        rows = reader.rows(scratch, own, chosen) if chosen else []
        lines.append((tuple(sorted(_line(own, row) for row in rows))[:limit], only.total()))
    return RowDifference(
        table,
        tuple(column for column in one.columns if totals[0].get(column) != totals[1].get(column)),
        lines[0][0],
        lines[1][0],
        lines[0][1],
        lines[1][1],
    )


def masked_columns(mask: Mask) -> dict[str, set[str]]:
    """The masked columns of each table."""
    masked: dict[str, set[str]] = {}
    for table, column in mask.columns:
        masked.setdefault(table, set()).add(column)
    return masked


def shown(total: int) -> str:
    """A sum of hashes as a person can compare it."""
    return f"{total % (1 << 64):016x}"


def _noisy_columns(
    reader: RowReader, first: Scratch, second: Scratch, tables: Sequence[Table]
) -> tuple[str, ...] | None:
    """The columns without which the rows are the same; None if there is more to it."""
    if len(tables) != 2 or tables[0].columns != tables[1].columns or tables[0].obstacle or tables[1].obstacle:
        return None
    table = replace(tables[0], large=tables[0].large or tables[1].large)
    digests = [reader.digests(scratch, [table])[table.object] for scratch in (first, second)]
    if digests[0].count is None or digests[0].count != digests[1].count:
        return None
    one, other = (reader.column_totals(scratch, table) for scratch in (first, second))
    noisy = tuple(column for column in table.columns if one[column] != other[column])
    rest = table.without(noisy)
    if not noisy or len({reader.digests(scratch, [rest])[table.object] for scratch in (first, second)}) != 1:
        return None
    return noisy


def _line(table: Table, row: Sequence[str | None]) -> str:
    cells = []
    for column, value in zip(table.columns, row, strict=True):
        text = "NULL" if value is None else value
        cells.append(f"{column}={text if len(text) <= _CELL else text[:_CELL] + '…'}")
    line = ", ".join(cells)
    return line if len(line) <= _LINE else line[:_LINE] + "…"
