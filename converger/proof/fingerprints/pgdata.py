"""The rows of PostgreSQL's tables, hashed by the server."""

# ruff: noqa: S608 - SQL is put together from our own text and from quoted identifiers

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from converger.proof.facts import Fact
from converger.proof.fingerprints.data import ROW_LIMIT, Digest, Surrogate, Table
from converger.proof.fingerprints.pgsession import preparation, quoted
from converger.proof.fingerprints.pgsql import kept, lasting
from converger.proof.scratch import Row, Scratch, Server

_AT_ONCE = 60
"""Tables in one statement: enough to save round trips, few enough to plan them fast."""

# A column with one unique index of its own that is always in force.
_UNIQUE = """EXISTS (
    SELECT FROM pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indimmediate AND i.indisvalid
        AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum)"""

# The sequences from which a column takes its values: its own, and those that its default names.
_FEEDING = """
    SELECT w.objid AS sequence, w.refobjid AS relation, w.refobjsubid AS number FROM pg_depend w
    WHERE w.classid = 'pg_catalog.pg_class'::regclass AND w.refclassid = 'pg_catalog.pg_class'::regclass
        AND w.refobjsubid > 0 AND w.deptype = 'i'
    UNION
    SELECT w.refobjid, d.adrelid, d.adnum FROM pg_depend w JOIN pg_attrdef d ON d.oid = w.objid
    WHERE w.classid = 'pg_catalog.pg_attrdef'::regclass AND w.refclassid = 'pg_catalog.pg_class'::regclass
        AND w.deptype = 'n'
"""

# Tables without a page have no rows. Foreign tables are somebody else's; a materialized view may be stale,
# so that its rows say something. What belongs to columns is put together once for all tables: there is no
# index by which one table's part would be found.
TABLES = f"""
WITH feeding AS MATERIALIZED (
    SELECT DISTINCT f.relation, f.number FROM ({_FEEDING}) f JOIN pg_class s ON s.oid = f.sequence
    WHERE s.relkind = 'S'
), referring AS MATERIALIZED (
    SELECT k.confrelid AS relation, p.theirs AS number,
        jsonb_agg(DISTINCT jsonb_build_array(kn.nspname, kc.relname, ka.attname)) AS columns,
        bool_or(NOT has_table_privilege(kc.oid, 'SELECT') OR row_security_active(kc.oid)) AS hidden
    FROM pg_constraint k CROSS JOIN LATERAL unnest(k.conkey, k.confkey) p (mine, theirs)
    JOIN pg_class kc ON kc.oid = k.conrelid JOIN pg_namespace kn ON kn.oid = kc.relnamespace
    JOIN pg_attribute ka ON ka.attrelid = k.conrelid AND ka.attnum = p.mine
    WHERE k.contype = 'f' GROUP BY 1, 2
), surrogates AS MATERIALIZED (
    SELECT a.attrelid AS relation,
        jsonb_agg(jsonb_build_array(a.attname, coalesce(r.columns, '[]')) ORDER BY a.attnum) AS found
    FROM feeding f JOIN pg_attribute a ON a.attrelid = f.relation AND a.attnum = f.number
    LEFT JOIN referring r ON r.relation = a.attrelid AND r.number = a.attnum
    WHERE a.attnum > 0 AND a.attnotnull AND {_UNIQUE} AND NOT coalesce(r.hidden, false) GROUP BY 1
)
SELECT n.nspname, c.relname, pg_relation_size(c.oid) / current_setting('block_size')::int,
    CASE WHEN NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_table_privilege(c.oid, 'SELECT')
            THEN 'no privilege to read them'
        WHEN row_security_active(c.oid) THEN 'row security hides some' END,
    (SELECT coalesce(array_agg(a.attname::text), '{{}}') FROM pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
    coalesce(g.found, '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN surrogates g ON g.relation = c.oid
WHERE (c.relkind = 'r' OR c.relkind = 'm' AND c.relispopulated) AND c.relpersistence <> 't'
    AND {kept("c.oid")} AND {lasting("n.nspname")} AND pg_relation_size(c.oid) > 0
"""

# Where a column must be unique, a sequence that gives a value which is there already is a defect.
SEQUENCES = f"""
SELECT sn.nspname, s.relname, q.seqincrement > 0, n.nspname, c.relname, a.attname
FROM ({_FEEDING}) f
JOIN pg_class s ON s.oid = f.sequence AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace
JOIN pg_sequence q ON q.seqrelid = s.oid
JOIN pg_class c ON c.oid = f.relation JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.number
WHERE (c.relkind = 'p' OR c.relkind = 'r' AND pg_relation_size(c.oid) > 0)
    AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype)
    AND {_UNIQUE} AND {kept("c.oid")} AND {kept("s.oid")} AND {lasting("n.nspname")}
    AND has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(s.oid, 'SELECT')
    AND NOT row_security_active(c.oid)
"""

_MOST_ROWS_PER_PAGE = 300
"""More than fit: a row takes 28 bytes at least, of 8 KiB."""


class PostgresRows:
    """See `data.RowReader`.

    `sequences`, the answer to SEQUENCES, are looked at along with the rows: `positions` then has a fact for
    each that will give a value once more.
    """

    def __init__(self, server: Server, *, sequences: Sequence[Row] = ()) -> None:
        self._server = server
        self._sequences = sequences
        self.positions: frozenset[Fact] = frozenset()

    def tables(self, scratch: Scratch) -> tuple[Table, ...]:
        """See `RowReader.tables`."""
        return tables(self._ask(scratch, [TABLES])[0])

    def digests(self, scratch: Scratch, tables: Sequence[Table]) -> Mapping[str, Digest]:
        """See `RowReader.digests`."""
        selects = [_digest(number, table) for number, table in enumerate(tables)]
        looks = [_position(number, sequence) for number, sequence in enumerate(self._sequences)]
        statements = [
            "\nUNION ALL ".join(parts[start : start + _AT_ONCE])
            for parts in (selects, looks)
            for start in range(0, len(parts), _AT_ONCE)
        ]
        answers = self._ask(scratch, statements) if statements else []
        split = -(-len(selects) // _AT_ONCE)
        digests = {}
        for number, count, total, keys in (row for rows in answers[:split] for row in rows):
            complete = None if count > ROW_LIMIT else count
            digests[tables[number].object] = Digest(
                complete, int(total or 0), None if keys is None else int(keys)
            )
        self.positions = frozenset(
            Fact("sequence position", f"{schema}.{name}", f"will give values that {table} already has")
            for number, again in (row for rows in answers[split:] for row in rows)
            for schema, name, _, *place in [self._sequences[number]]
            for table in [".".join(place)]
            if again
        )
        return digests

    def column_totals(self, scratch: Scratch, table: Table) -> Mapping[str, int]:
        """See `RowReader.column_totals`."""
        if not table.columns:
            return {}
        sums = ", ".join(f"sum({_hash(f'ROW({quoted(column)})')})" for column in table.columns)
        row = self._ask(scratch, [f"SELECT {sums} FROM ONLY {_place(table)}"])[0][0]
        return {column: int(total or 0) for column, total in zip(table.columns, row, strict=True)}

    def row_hashes(self, scratch: Scratch, table: Table) -> Counter[int]:
        """See `RowReader.row_hashes`."""
        sql = f"SELECT {_hash(_row(table))}, count(*) FROM ONLY {_place(table)} t GROUP BY 1"
        return Counter(dict(self._ask(scratch, [sql])[0]))

    def rows(self, scratch: Scratch, table: Table, hashes: Sequence[int]) -> list[tuple[str | None, ...]]:
        """See `RowReader.rows`."""
        wanted = ", ".join(str(value) for value in hashes)
        cells = ", ".join(f"t.{quoted(column)}::text" for column in table.columns)
        sql = (
            f"SELECT {cells} FROM ONLY {_place(table)} t WHERE {_hash(_row(table))} IN ({wanted}) LIMIT 1000"
        )
        return self._ask(scratch, [sql])[0]

    def _ask(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        before = preparation(frozenset())
        return self._server.query_all(scratch, [*before, *statements])[len(before) :]


def tables(rows: Iterable[Row]) -> tuple[Table, ...]:
    """The tables in the answer to TABLES."""
    return tuple(
        sorted(
            (
                Table(
                    f"{schema}.{name}",
                    schema,
                    name,
                    tuple(sorted(columns)),
                    tuple(
                        Surrogate(column, tuple(tuple(referrer) for referrer in referrers))
                        for column, referrers in sorted(surrogates)
                    ),
                    pages * _MOST_ROWS_PER_PAGE > ROW_LIMIT,
                    obstacle,
                )
                for schema, name, pages, obstacle, columns, surrogates in rows
            ),
            key=lambda table: table.object,
        )
    )


def _place(table: Table) -> str:
    assert table.schema is not None
    return f"{quoted(table.schema)}.{quoted(table.name)}"


def _row(table: Table) -> str:
    """The row of table `t` that is compared, as SQL."""
    referrers = {surrogate.column: surrogate.referrers for surrogate in table.surrogates}
    return f"ROW({', '.join(_cell(column, referrers.get(column)) for column in table.columns)})"


def _cell(column: str, referrers: tuple[tuple[str | None, str, str], ...] | None) -> str:
    cell = f"t.{quoted(column)}"
    if referrers is None:
        return cell
    if not referrers:
        return "NULL"
    referred = " OR ".join(
        f"{cell} IN (SELECT {quoted(other)} FROM {quoted(schema or '')}.{quoted(table)})"
        for schema, table, other in referrers
    )
    return f"CASE WHEN {referred} THEN {cell} END"


def _hash(row: str) -> str:
    # A row's text tells NULL from an empty text, and one column's end from the next one's beginning.
    return f'hashtextextended({row}::text COLLATE "C", 0)'


def _digest(number: int, table: Table) -> str:
    place = _place(table)
    limit = f" LIMIT {ROW_LIMIT + 1}" if table.large else ""
    keys = "NULL::numeric"
    inner = _hash(_row(table))
    if table.surrogates:
        keys = "sum(hashtextextended(h::text || k, 0))"
        inner += (
            f', ROW({", ".join(f"t.{quoted(each.column)}" for each in table.surrogates)})::text COLLATE "C"'
        )
    else:
        inner += ", ''"
    if not table.large:
        return f"SELECT {number}, count(*), sum(h), {keys} FROM (SELECT {inner} FROM ONLY {place} t OFFSET 0) x (h, k)"
    # Rows are counted before they are hashed. What the file's size says is no measure: it keeps dead rows.
    return (
        f"SELECT {number}, y.n, z.total, z.keys FROM (SELECT count(*) AS n FROM (SELECT FROM ONLY {place}{limit}"
        f") x) y LEFT JOIN LATERAL (SELECT sum(h) AS total, {keys} AS keys FROM (SELECT {inner} FROM ONLY {place} t"
        f" WHERE y.n <= {ROW_LIMIT} OFFSET 0) x (h, k)) z ON true"
    )


def _position(number: int, sequence: Row) -> str:
    schema, name, ascending, table_schema, table, column = sequence
    place = f"{quoted(table_schema)}.{quoted(table)}"
    compared = f"<= (SELECT max({quoted(column)})" if ascending else f">= (SELECT min({quoted(column)})"
    step = "1" if ascending else "-1"
    return (
        f"SELECT {number}, s.last_value + CASE WHEN s.is_called THEN {step} ELSE 0 END {compared} FROM {place})"
        f" FROM {quoted(schema)}.{quoted(name)} s"
    )
