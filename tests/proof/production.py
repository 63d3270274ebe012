"""Databases that stand for production, with evidence of everything that anybody did to them.

Each is a real server (or a folder of SQLite files) of its own, which writes down every connection and every
statement that it receives. The evidence is taken without being part of it.
"""

from __future__ import annotations

import glob
import re
import shutil
import subprocess
import time
from pathlib import Path

import psycopg
import pymysql

from converger.proof.embedded import start_postgres
from converger.proof.embedded_mariadb import start_mariadb
from converger.proof.urls import DatabaseUrl, format_url


class PostgresProduction:
    """A PostgreSQL server with a database `production`."""

    def __init__(self) -> None:
        self._server = start_postgres(lambda text: None)
        url = self._server.url
        self.host, self.port, self.user, self.password = "127.0.0.1", url.port, url.user, url.password
        self._log = Path(f"{self._server.folder}/log")
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute("CREATE DATABASE production")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute("CREATE TABLE customers AS SELECT 1 AS id, 'precious' AS name")
            for setting in ("log_connections = on", "log_statement = 'all'", "log_line_prefix = '<%a>'"):
                connection.execute(f"ALTER SYSTEM SET {setting}")
            connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 20
        while "connection received" not in self._log.read_text():  # until it has read its configuration
            assert time.monotonic() < deadline
            self._dump()
        self.forget()

    def url(self, database: str = "production", driver: str | None = None) -> str:
        own = self._server.url
        return format_url(
            DatabaseUrl("postgresql", driver, own.user, own.password, own.host, own.port, database)
        )

    def forget(self) -> None:
        """Begin to collect evidence anew."""
        self.content = self._dump()
        time.sleep(0.05)  # its last words on our own visit
        self._seen = len(self._log.read_text())

    def visits(self) -> int:
        """Connections that it received since `forget`, whatever became of them."""
        return self._news().count("connection received")

    def entered(self, database: str = "production") -> int:
        """Connections to this database that it let in since `forget`."""
        return self._news().count(f" database={database}")

    def statements(self) -> list[str]:
        """Statements that it received since `forget`, without those that begin and end a transaction."""
        found = re.findall(r"LOG:  (?:statement|execute [^:]*): (.*)", self._news())
        return [text for text in found if not re.fullmatch(r"(BEGIN|ROLLBACK)( TRANSACTION)?;?", text, re.I)]

    def content_now(self) -> str:
        """Its dump."""
        return self._dump()

    def clear(self) -> None:
        """Take away what a test without a guard has made."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            found = connection.execute("SELECT tablename FROM pg_tables WHERE tablename LIKE 'reached%'")
            for (table,) in found.fetchall():
                connection.execute(f'DROP TABLE "{table}"')

    def changed(self) -> bool:
        """Whether its dump, roles and databases included, is another than at `forget`."""
        return self._dump() != self.content

    def stop(self) -> None:
        self._server.stop()

    def _news(self) -> str:
        return self._log.read_text(errors="replace")[self._seen :]

    def _dump(self) -> str:
        program = sorted(glob.glob("/usr/lib/postgresql/*/bin/pg_dumpall"))[-1:] or ["pg_dumpall"]
        text = subprocess.run(
            [program[0], f"--host={self.host}", f"--port={self.port}", f"--username={self.user}"],
            check=True,
            capture_output=True,
            text=True,
            env={"PGPASSWORD": self.password or "", "PATH": "/usr/bin:/bin"},
        ).stdout
        # A random word of newer versions, and the password's salt is stored, so it stays the same.
        return re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)


class MariadbProduction:
    """A MariaDB server with a database `production`."""

    def __init__(self) -> None:
        self._server = start_mariadb(lambda text: None)
        url = self._server.url
        self.host, self.port, self.user, self.password = "127.0.0.1", url.port, url.user, url.password
        self._log = Path(f"{self._server.folder}/general.log")
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE DATABASE production")
            cursor.execute("CREATE TABLE production.customers AS SELECT 1 AS id, 'precious' AS name")
            cursor.execute("SELECT @@datadir")
            row = cursor.fetchone()
            assert row
            self._log = Path(row[0], "general.log")
            cursor.execute(f"SET GLOBAL general_log_file = '{self._log}'")
            cursor.execute("SET GLOBAL general_log = ON")
        self.forget()

    def url(self, database: str = "production", driver: str | None = None) -> str:
        own = self._server.url
        return format_url(DatabaseUrl("mysql", driver, own.user, own.password, own.host, own.port, database))

    def forget(self) -> None:
        """Begin to collect evidence anew."""
        self.content = self._dump()
        time.sleep(0.05)
        self._seen = len(self._log.read_bytes())

    def visits(self) -> int:
        """Connections that it received since `forget`, whatever became of them."""
        return len(re.findall(r"\bConnect\t", self._news()))

    def statements(self) -> list[str]:
        """Statements that it received since `forget`, without those that end a transaction or set a session."""
        found = re.findall(r"\bQuery\t(.*)", self._news())
        return [text for text in found if not re.match(r"(ROLLBACK|COMMIT|SET)\b", text, re.I)]

    def changed(self) -> bool:
        """Whether its dump, accounts included, is another than at `forget`."""
        return self._dump() != self.content

    def stop(self) -> None:
        self._server.stop()

    def _news(self) -> str:
        return self._log.read_bytes()[self._seen :].decode("utf-8", "replace")

    def _dump(self) -> str:
        program = shutil.which("mariadb-dump") or "mysqldump"
        done = subprocess.run(
            [
                program,
                f"--host={self.host}",
                f"--port={self.port}",
                f"--user={self.user}",
                "--all-databases",
                "--skip-dump-date",
                "--skip-lock-tables",
                # Logs, and what a thread of the server counts in the background.
                *(
                    f"--ignore-table=mysql.{name}"
                    for name in ("general_log", "innodb_index_stats", "innodb_table_stats")
                ),
            ],
            check=True,
            capture_output=True,
            text=True,
            env={"MYSQL_PWD": self.password or "", "PATH": "/usr/bin:/bin"},
        )
        return done.stdout

    def _connect(self) -> pymysql.connections.Connection:  # type: ignore[type-arg]
        own = self._server.url
        return pymysql.connect(host=own.host, port=own.port or 0, user=own.user, password=own.password or "")


class SqliteProduction:
    """A folder with a SQLite file `production.db`, and whatever else appears there."""

    def __init__(self, folder: Path) -> None:
        import sqlite3

        folder.mkdir(parents=True)
        self.folder = folder
        self.path = folder / "production.db"
        connection = sqlite3.connect(self.path)
        connection.executescript("CREATE TABLE customers (id INTEGER); INSERT INTO customers VALUES (1);")
        connection.close()
        self.forget()

    def forget(self) -> None:
        """Begin to collect evidence anew."""
        self.content = self._look()

    def changed(self) -> bool:
        """Whether any file of the folder is another than at `forget`, in bytes or in the time of its change."""
        return self._look() != self.content

    def _look(self) -> dict[str, tuple[bytes, int]]:
        return {
            path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in sorted(self.folder.iterdir())
        }
