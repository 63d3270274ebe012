"""Pieces of SQL that the queries of the PostgreSQL fingerprint share."""

# ruff: noqa: S608 - SQL is put together from our own text only

from __future__ import annotations

OURS = "converger."
"""Prefix of the settings by which the first statement tells the others what it found out."""


def kept(oid: str) -> str:
    """Condition: the object with this oid is neither PostgreSQL's own, nor an extension's, nor to be left out.

    Objects that initdb made have oids below 16384 (FirstNormalObjectId).
    """
    return f"({oid} >= 16384 AND {oid} NOT IN (SELECT unnest(current_setting('{OURS}left_out')::oid[])))"


def lasting(schema: str) -> str:
    """Condition: the schema of this name is neither a session's temporary one nor that of TOAST tables."""
    return f"left({schema}, 8) NOT IN ('pg_temp_', 'pg_toast')"


def role(oid: str) -> str:
    """A role's name as one writes it; `public` for all."""
    return f"CASE {oid} WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid({oid})) END"


def words(options: str) -> str:
    """An array of options as text, sorted: their order says only who set them first. NULL for none."""
    return f"(SELECT string_agg(o, ', ' ORDER BY o) FROM unnest({options}) o)"


def names(table: str, prefix: str, oid: str) -> str:
    """The qualified name of the object with this oid, as one writes it. NULL for none."""
    return (
        f"(SELECT quote_ident(xn.nspname) || '.' || quote_ident(x.{prefix}name) FROM {table} x"
        f" JOIN pg_namespace xn ON xn.oid = x.{prefix}namespace WHERE x.oid = {oid})"
    )


def collation(oid: str) -> str:
    """A collation's name as one writes it."""
    return (
        "(SELECT CASE xn.nspname WHEN 'pg_catalog' THEN '' ELSE quote_ident(xn.nspname) || '.' END"
        " || quote_ident(x.collname)"
        f" FROM pg_collation x JOIN pg_namespace xn ON xn.oid = x.collnamespace WHERE x.oid = {oid})"
    )


RELATION_KIND = """
    CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
    WHEN 'S' THEN 'sequence' WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'c' THEN 'composite type'
    ELSE 'table' END
"""
"""What a row `c` of pg_class is called."""

CONSTRAINT_KIND = """
    CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique constraint' WHEN 'f' THEN 'foreign key'
    WHEN 'c' THEN CASE k.contypid WHEN 0 THEN 'check constraint' ELSE 'domain constraint' END
    WHEN 'n' THEN 'not null constraint' WHEN 'x' THEN 'exclusion constraint' ELSE 'constraint' END
"""
"""What a row `k` of pg_constraint is called."""

ROUTINE_KIND = "CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END"
"""What a row `p` of pg_proc is called."""

TYPE_KIND = """
    CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite type'
    WHEN 'r' THEN 'range type' ELSE 'type' END
"""
"""What a row `t` of pg_type is called."""

OWN_TYPE = """
    (t.typtype <> 'm'
     AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
     AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class r WHERE r.oid = t.typrelid AND r.relkind = 'c')))
"""
"""Condition: a row `t` of pg_type was made by CREATE TYPE or DOMAIN, and not along with something else."""
