"""What Alembic's version table says, read by a connection of our own."""

# ruff: noqa: S608 - SQL is put together from quoted identifiers only

from __future__ import annotations

from converger.proof.scratch import Scratch, Server

_SCHEMAS = "n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"


def version_rows(server: Server, scratch: Scratch, table: str, schema: str | None) -> tuple[str, ...] | None:
    """The rows of Alembic's version table, sorted; None if there is no such table.

    Without a schema it is the one that the connection finds by its search path, else the only one of
    that name: some projects set the search path in env.py.
    """
    if server.dialect == "sqlite":
        # PRAGMA, because a version table in an attached database is not in ours.
        if not server.query(scratch, f"PRAGMA table_info({_quoted(table)})"):
            return None
        rows = server.query(scratch, f"SELECT version_num FROM {_quoted(table)}")
    elif server.dialect == "mysql":
        place = f"'{scratch.name}'" if schema is None else _mysql_literal(schema)
        found = server.query(
            scratch,
            f"SELECT table_schema FROM information_schema.tables WHERE table_schema = {place}"
            f" AND table_name = {_mysql_literal(table)}",
        )
        if not found:
            return None
        rows = server.query(
            scratch, f"SELECT version_num FROM {_mysql_quoted(found[0][0])}.{_mysql_quoted(table)}"
        )
    else:
        found = server.query(scratch, _find(schema, table))
        if not found:
            return None
        rows = server.query(scratch, f"SELECT version_num FROM {_quoted(found[0][0])}.{_quoted(table)}")
    return tuple(sorted(str(row[0]) for row in rows))


def _find(schema: str | None, table: str) -> str:
    """SQL that gives the schema in which a table is, in one row or none."""
    # Without a schema: what the search path finds, else the only one of that name.
    choice = "(visible OR count = 1)" if schema is None else f"nspname = {_literal(schema)}"
    return f"""
        SELECT nspname FROM (
            SELECT n.nspname, pg_table_is_visible(c.oid) AS visible, count(*) OVER () AS count
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = {_literal(table)} AND c.relkind IN ('r', 'p', 'v') AND {_SCHEMAS}
        ) found WHERE {choice}
    """


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _mysql_quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _mysql_literal(text: str) -> str:
    # As hexadecimal digits: what a backslash means depends on the session.
    return f"CONVERT(X'{text.encode().hex()}' USING utf8mb4)"
