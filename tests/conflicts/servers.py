"""Servers for the oracle, and what is in a database of theirs as one comparable text.

The text is the server's own dump (pg_dump, mariadb-dump, sqlite_master) and the rows. The physical order of a
table's columns is left out; so are numbers that the database gave to rows and that nothing refers to.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_hex

from converger.proof.urls import DatabaseUrl, format_url


@dataclass(frozen=True)
class Database:
    """A fresh database: its URL for SQLAlchemy, and what says all that is in it but some columns' content."""

    url: str
    dump: Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class OracleServer:
    """Where databases come from; `database` gives one for the time of a `with`. `url` is for `--database-url`."""

    dialect: str
    url: str | None
    database: Callable[[], contextlib.AbstractContextManager[Database]]


@contextlib.contextmanager
def open_oracle_server(dialect: str) -> Iterator[OracleServer]:
    """A server of our own for a dialect, ended at the end."""
    if dialect == "sqlite":
        yield OracleServer(dialect, None, _sqlite)
    elif dialect == "postgresql":
        from converger.proof.embedded import start_postgres

        postgres = start_postgres(lambda text: None)
        try:
            yield OracleServer(dialect, format_url(postgres.url), lambda: _postgres(postgres.url))
        finally:
            postgres.stop()
    else:
        from converger.proof.embedded_mariadb import start_mariadb

        mariadb = start_mariadb(lambda text: None)
        try:
            yield OracleServer(dialect, format_url(mariadb.url), lambda: _mariadb(mariadb.url))
        finally:
            mariadb.stop()


# PostgreSQL


@contextlib.contextmanager
def _postgres(server: DatabaseUrl) -> Iterator[Database]:
    import psycopg

    url = replace(server, database=f"oracle_{token_hex(6)}")
    with psycopg.connect(format_url(server), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {url.database}".encode())
        try:
            yield Database(
                format_url(replace(url, driver="psycopg")), lambda noise: _postgres_text(url, noise)
            )
        finally:
            admin.execute(f"DROP DATABASE {url.database} WITH (FORCE)".encode())


def _postgres_text(url: DatabaseUrl, noise: Sequence[str]) -> str:
    done = subprocess.run(
        [_pg_dump(), "--schema-only", "--no-owner", "--exclude-table=*.alembic_version", format_url(url)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    # A statement with its "-- Name: …; Type: …" comment; lines with a backslash hold a random token.
    lines = [line for line in done.stdout.splitlines() if not line.startswith("\\")]
    entries = "\n".join(lines).split("\n--\n-- Name: ")
    return "\n".join([*sorted(_postgres_entry(entry) for entry in entries[1:]), *_postgres_rows(url, noise)])


def _postgres_entry(entry: str) -> str:
    if "; Type: ACL;" in entry or "; Type: DEFAULT ACL;" in entry:
        return "\n".join(sorted(entry.splitlines()))
    if "; Type: TABLE;" not in entry:
        return entry
    # The physical order of columns: a line each, indented.
    lines = [line.rstrip(",") for line in entry.splitlines()]
    columns = sorted(line for line in lines if line.startswith("    "))
    return "\n".join([*(line for line in lines if not line.startswith("    ")), *columns])


def _postgres_rows(url: DatabaseUrl, noise: Sequence[str]) -> list[str]:
    import psycopg

    tables = """
        SELECT c.oid::regclass::text,
               (SELECT array_agg(a.attname::text) FROM pg_index i
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
                LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
                WHERE i.indrelid = c.oid AND i.indisprimary AND i.indnkeyatts = 1
                  AND (a.attidentity <> '' OR pg_get_expr(d.adbin, d.adrelid) LIKE 'nextval%')
                  AND NOT EXISTS (SELECT FROM pg_constraint f WHERE f.contype = 'f' AND f.confrelid = c.oid))
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
          AND c.relname <> 'alembic_version'
        ORDER BY 1"""
    found = []
    with psycopg.connect(format_url(url)) as connection:
        for table, given in connection.execute(tables).fetchall():
            rows = connection.execute(
                f"SELECT (to_jsonb(t) - %s::text[])::text FROM {table} t ORDER BY 1".encode(),
                [[*(given or []), *noise]],
            ).fetchall()
            found += [f"{table} {row}" for (row,) in rows]
        for name, last, called in connection.execute(
            "SELECT schemaname || '.' || sequencename, last_value, last_value IS NOT NULL FROM pg_sequences ORDER BY 1"
        ).fetchall():
            found.append(f"{name} {last} {called}")
    return found


def _pg_dump() -> str:
    from converger.proof.embedded import find_binaries

    beside = Path(next(iter(find_binaries())).postgres).resolve().parent / "pg_dump"
    return str(beside) if beside.exists() else shutil.which("pg_dump") or "pg_dump"


# SQLite


@contextlib.contextmanager
def _sqlite() -> Iterator[Database]:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "oracle.db"
        yield Database(f"sqlite:///{path}", lambda noise: _sqlite_text(path, noise))


def _sqlite_text(path: Path, noise: Sequence[str]) -> str:
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    found = []
    try:
        for kind, name, table, sql in connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name <> 'alembic_version'"
        ).fetchall():
            text = " ".join((sql or "").replace('"', "").split()).lower()
            if kind == "table" and "(" in text:
                head, _, rest = text.partition("(")
                # Batch mode puts brackets around a default that it found.
                rest = re.sub(r"default \(('[^']*'|[0-9.]+)\)", r"default \1", rest)
                text = " | ".join(
                    [head.strip(), *sorted(_split(rest.rpartition(")")[0])), rest.rpartition(")")[2]]
                )
            found.append(f"{kind} {name} {table} {text}")
            if kind == "table":
                out = {_sqlite_given(connection, name), *noise}
                for row in connection.execute(f'SELECT * FROM "{name}"'):
                    values = {key: str(row[key]) for key in row.keys() if key not in out}  # noqa: SIM118
                    found.append(f"{name} {json.dumps(values, sort_keys=True)}")
    finally:
        connection.close()
    return "\n".join(sorted(found))


def _sqlite_given(connection: sqlite3.Connection, table: str) -> str | None:
    """The column that SQLite numbers itself, unless another table refers to it."""
    keys = [row for row in connection.execute(f'PRAGMA table_info("{table}")') if row["pk"]]
    others = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    for (other,) in others:
        for key in connection.execute(f'PRAGMA foreign_key_list("{other}")'):
            if key["table"].lower() == table.lower():
                return None
    return keys[0]["name"] if len(keys) == 1 and keys[0]["type"].upper() == "INTEGER" else None


def _split(text: str) -> list[str]:
    """The parts of a list, at its commas that are in no bracket and no string."""
    parts, depth, quoted, last = [], 0, False, 0
    for place, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
        elif not quoted and letter == "," and not depth:
            parts.append(text[last:place].strip())
            last = place + 1
    return [*parts, text[last:].strip()]


# MariaDB


@contextlib.contextmanager
def _mariadb(server: DatabaseUrl) -> Iterator[Database]:
    from converger.proof import mysqlconnect

    url = replace(server, database=f"oracle_{token_hex(6)}")
    admin = mysqlconnect.connect(server, None)
    try:
        mysqlconnect.rows(admin, f"CREATE DATABASE {url.database} CHARACTER SET utf8mb4")
        # ssl_disabled is a word of the driver; what SQLAlchemy makes of it is the same.
        yield Database(format_url(replace(url, driver="pymysql")), lambda noise: _mariadb_text(url, noise))
    finally:
        mysqlconnect.rows(admin, f"DROP DATABASE IF EXISTS {url.database}")
        admin.close()


def _mariadb_text(url: DatabaseUrl, noise: Sequence[str]) -> str:
    from converger.proof import mysqlconnect

    done = subprocess.run(
        [
            shutil.which("mariadb-dump") or "mysqldump",
            "--no-defaults", "--protocol=tcp", f"--host={url.host}", f"--port={url.port}", f"--user={url.user}",
            "--no-data", "--routines", "--events", "--triggers", "--skip-comments", "--compact",
            f"--ignore-table={url.database}.alembic_version", str(url.database),
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "MYSQL_PWD": str(url.password)},
    )  # fmt: skip
    found, inside = [], []
    for line in done.stdout.replace(str(url.database), "DATABASE").splitlines():
        if line.startswith("  "):  # a column, key or constraint
            inside.append(line.rstrip(","))
        else:
            found += [*sorted(inside), line]
            inside = []
    connection = mysqlconnect.connect(url, url.database)
    try:
        found += _mariadb_rows(connection, noise)
    finally:
        connection.close()
    return "\n".join(found)


def _mariadb_rows(connection: object, noise: Sequence[str]) -> list[str]:
    from converger.proof import mysqlconnect

    def ask(sql: str) -> list[tuple[object, ...]]:
        return list(mysqlconnect.rows(connection, sql))  # type: ignore[arg-type]

    found = []
    tables = ask(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE()"
        " AND table_type = 'BASE TABLE' AND table_name <> 'alembic_version' ORDER BY 1"
    )
    for (table,) in tables:
        columns = [
            str(name)
            for name, extra in ask(
                "SELECT column_name, extra FROM information_schema.columns"
                f" WHERE table_schema = DATABASE() AND table_name = '{table}' ORDER BY 1"
            )
            if name not in noise
            and ("auto_increment" not in str(extra) or _mariadb_referred(ask, str(table)))
        ]
        if columns:
            rows = ask(f"SELECT {', '.join(f'`{name}`' for name in columns)} FROM `{table}`")
            found += sorted(f"{table} {[str(value) for value in row]} {columns}" for row in rows)
    return found


def _mariadb_referred(ask: Callable[[str], list[tuple[object, ...]]], table: str) -> bool:
    return bool(
        ask(
            "SELECT 1 FROM information_schema.key_column_usage"
            f" WHERE table_schema = DATABASE() AND referenced_table_name = '{table}'"
        )
    )
