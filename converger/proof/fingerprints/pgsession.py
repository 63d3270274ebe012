"""How our sessions on PostgreSQL begin, and how names are written in SQL."""

# ruff: noqa: S608 - SQL is put together from our own text and from literals

from __future__ import annotations

import re

from converger.proof.fingerprints.pgsql import OURS
from converger.proof.scratch import Server

_PREPARE = (
    # Nothing that is set for the database may show: names are qualified, dates and numbers printed one way.
    "SELECT set_config(name, value, false) FROM (VALUES ('search_path', ''), ('jit', 'off'),"
    " ('quote_all_identifiers', 'off'), ('DateStyle', 'ISO, YMD'), ('IntervalStyle', 'iso_8601'),"
    " ('TimeZone', 'UTC'), ('extra_float_digits', '1'), ('bytea_output', 'hex'), ('xmloption', 'content'),"
    " ('lc_monetary', 'C')) s (name, value)"
)


def preparation(exclude: frozenset[tuple[str | None, str]]) -> list[str]:
    """The statements with which a session begins; their answers are of no use. `exclude` as for `read_fingerprint`."""
    return ["SET standard_conforming_strings = on", _left_out(exclude), _PREPARE]


def _left_out(exclude: frozenset[tuple[str | None, str]]) -> str:
    """Remember what is not to be compared: these tables, and what belongs to extensions.

    Without a schema a table is the one that the search path finds, else the only one of that name. That
    oids of different catalogs are in one list does no harm: they come from one counter.
    """
    tables = [
        f"""SELECT oid FROM (
            SELECT c.oid, n.nspname, pg_table_is_visible(c.oid) AS visible, count(*) OVER () AS count
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = {literal(table)} AND c.relkind IN ('r', 'p', 'v')
                AND left(n.nspname, 3) <> 'pg_' AND n.nspname <> 'information_schema'
        ) found WHERE {"(visible OR count = 1)" if schema is None else f"nspname = {literal(schema)}"}"""
        for schema, table in sorted(exclude, key=lambda each: (each[0] or "", each[1]))
    ]
    every = "\nUNION ALL ".join(
        [*tables, "SELECT objid AS oid FROM pg_depend WHERE deptype = 'e' AND objid >= 16384"]
    )
    oids = f"(SELECT coalesce(array_agg(oid), '{{}}') FROM ({every}) o)"
    return f"SELECT set_config('{OURS}left_out', {oids}::text, false)"


def major_of(server: Server) -> int:
    """The server's version as 12, 13, …"""
    match = re.match(r"\d+", server.server_version)
    assert match is not None
    return int(match.group())


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
