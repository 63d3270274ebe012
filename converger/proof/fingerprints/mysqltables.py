"""The tables of a MySQL or MariaDB database as they are found: SHOW CREATE TABLE, and information_schema.columns."""

# ruff: noqa: S608 - SQL is put together from our own names and from quoted identifiers

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from converger.proof.fingerprints.data import Surrogate, Table
from converger.proof.fingerprints.mysqlsql import Column, TableSql, parse_table
from converger.proof.mysqlclone import quoted
from converger.proof.scratch import Row, Scratch, Server

PREPARATION = ("SET SESSION time_zone = '+00:00'", "SET SESSION sql_quote_show_create = 1")
"""What is said first in each session: times are printed in its zone, and names are to be in quotes."""

_ELSEWHERE = frozenset("federated connect spider s3 oqgraph sphinx mroonga rocksdb_se".split())
"""Engines whose rows are kept by another server, or in files that a clone does not copy."""


@dataclass(frozen=True)
class MysqlTable:
    """A table. `types` has the type of each column (`varchar`), `collations` its collation where it has one."""

    name: str
    sql: TableSql
    types: dict[str, str]
    collations: dict[str, str | None]
    engine: str


def relations(scratch: Scratch) -> str:
    """SQL: (name, type) of tables, views and sequences."""
    return (
        f"SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = '{scratch.name}'"
    )


def columns(scratch: Scratch) -> str:
    """SQL: (table, column, type, collation) of what is in tables and views."""
    return (
        "SELECT table_name, column_name, data_type, collation_name FROM information_schema.columns"
        f" WHERE table_schema = '{scratch.name}'"
    )


def names(found: Sequence[Row], *types: str) -> list[str]:
    """The names of the answer to `relations` that are of these types."""
    return sorted(name for name, type_ in found if type_ in types)


def table_names(found: Sequence[Row]) -> list[str]:
    """The tables in the answer to `relations`."""
    return names(found, "BASE TABLE", "SYSTEM VERSIONED")


def show(scratch: Scratch, name: str, kind: str = "TABLE") -> str:
    """SQL for the definition of a table or sequence."""
    return f"SHOW CREATE {kind} {quoted(scratch.name)}.{quoted(name)}"


def tables(found: Sequence[Row], shown: Sequence[tuple[str, str]]) -> list[MysqlTable]:
    """The tables of which `shown` are the definitions; `found` is the answer to `columns`."""
    types: dict[str, dict[str, str]] = defaultdict(dict)
    collations: dict[str, dict[str, str | None]] = defaultdict(dict)
    for table, column, type_, collation in found:
        types[table][column] = type_.lower()
        collations[table][column] = collation
    parsed = []
    for name, sql in shown:
        table = parse_table(sql)
        parsed.append(MysqlTable(name, table, types[name], collations[name], _engine(table.options)))
    return parsed


def read_tables(server: Server, scratch: Scratch) -> list[MysqlTable]:
    """All tables of a database. Raises CouldNotEvaluate."""
    *_, found, of_columns = server.query_all(scratch, [*PREPARATION, relations(scratch), columns(scratch)])
    wanted = table_names(found)
    shown = definitions(server, scratch, wanted)
    return tables(of_columns, shown)


def definitions(server: Server, scratch: Scratch, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """The name and the definition of each of these tables."""
    if not wanted:
        return []
    answers = server.query_all(scratch, [*PREPARATION, *(show(scratch, name) for name in wanted)])
    return [(name, rows[0][1]) for name, rows in zip(wanted, answers[len(PREPARATION) :], strict=True)]


def data_tables(found: Sequence[MysqlTable]) -> tuple[Table, ...]:
    """The tables as the hashing of rows knows them, whether they have rows or not."""
    return tuple(
        Table(
            table.name,
            None,
            table.name,
            tuple(sorted(column.name for column in table.sql.columns if not column.generated)),
            _surrogates(table, found),
            obstacle=f"the engine {table.engine} keeps them elsewhere"
            if table.engine.lower() in _ELSEWHERE
            else None,
        )
        for table in sorted(found, key=lambda table: table.name)
    )


def _surrogates(table: MysqlTable, found: Sequence[MysqlTable]) -> tuple[Surrogate, ...]:
    return tuple(
        Surrogate(column.name, _referrers(table, column, found))
        for column in table.sql.columns
        if column.auto_increment and column.name in table.sql.unique
    )


def _referrers(
    table: MysqlTable, column: Column, found: Sequence[MysqlTable]
) -> tuple[tuple[str | None, str, str], ...]:
    return tuple(
        sorted(
            (None, other.name, mine)
            for other in found
            for key in other.sql.foreign_keys
            if key.database is None and key.parent.lower() == table.name.lower()
            for mine, theirs in zip(key.columns, key.parent_columns, strict=True)
            if theirs.lower() == column.name.lower()
        )
    )


def _engine(options: str) -> str:
    start = options.find("ENGINE=")
    return options[start + len("ENGINE=") :].split(" ")[0] if start >= 0 else ""
