"""Databases that stand for production: real servers, which can tell whether anybody came."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pymysql

from converger.proof.embedded import start_postgres
from converger.proof.embedded_mariadb import start_mariadb
from converger.proof.urls import DatabaseUrl


class PostgresPair:
    """Two servers: `production`, which nobody may reach, and `scratch`."""

    def __init__(self) -> None:
        self._servers = [start_postgres(lambda text: None), start_postgres(lambda text: None)]
        self.production, self.scratch = (_settings(server.url) for server in self._servers)
        self.production["dbname"], self.scratch["dbname"] = "production", "scratch"
        self._log = Path(f"{self._servers[0].folder}/log")
        for settings in (self.production, self.scratch):
            with psycopg.connect(**{**settings, "dbname": "postgres"}, autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {settings['dbname']}")  # type: ignore[call-overload]
                connection.execute("ALTER SYSTEM SET log_connections = on")
                connection.execute("SELECT pg_reload_conf()")
            with psycopg.connect(**settings, autocommit=True) as connection:
                connection.execute(
                    "CREATE TABLE customers AS SELECT 1 AS id, 'of ' || current_database() AS name"
                )
        deadline = time.monotonic() + 10
        while not self._came():  # until the server has read its new configuration
            assert time.monotonic() < deadline
            psycopg.connect(**self.production).close()
        self._base = self._came()

    def visits(self) -> int:
        """How many connections the production server has received, whatever became of them."""
        return self._came() - self._base

    def _came(self) -> int:
        return len(re.findall(r"connection received", self._log.read_text(errors="replace")))

    def rows(self) -> list[tuple[object, ...]]:
        """What production holds. Counts as a visit."""
        with psycopg.connect(**self.production) as connection:
            return connection.execute("SELECT * FROM customers").fetchall()

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


class MariadbPair:
    """Two servers: `production`, which nobody may reach, and `scratch`."""

    def __init__(self) -> None:
        self._servers = [start_mariadb(lambda text: None), start_mariadb(lambda text: None)]
        self.production, self.scratch = (_settings(server.url) for server in self._servers)
        for settings, name in ((self.production, "production"), (self.scratch, "scratch")):
            del settings["dbname"]
            with pymysql.connect(**settings) as connection, connection.cursor() as cursor:  # type: ignore[arg-type]
                cursor.execute(f"CREATE DATABASE {name}")
            settings["database"] = name
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE customers AS SELECT 1 AS id")
            for host in ("localhost", "127.0.0.1"):
                cursor.execute(f"CREATE USER shop@'{host}' IDENTIFIED BY 'shop'")
                cursor.execute(f"GRANT ALL ON *.* TO shop@'{host}'")
            cursor.execute("SELECT @@datadir, @@socket")
            self.socket = str(Path(*cursor.fetchone()))
        self.production.update(user="shop", password="shop")
        self._base = self._came()

    def visits(self) -> int:
        """How many connections the production server has received since the last question."""
        before, self._base = self._base, self._came()
        return self._base - before - 1

    def _came(self) -> int:
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Connections'")
            return int(cursor.fetchone()[1])

    def rows(self) -> tuple[tuple[object, ...], ...]:
        """What production holds. Counts as a visit."""
        with self._connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT * FROM customers")
            return tuple(cursor.fetchall())

    def _connect(self) -> pymysql.connections.Connection:  # type: ignore[type-arg]
        return pymysql.connect(**self.production)  # type: ignore[arg-type]

    def stop(self) -> None:
        for server in self._servers:
            server.stop()


def _settings(url: DatabaseUrl) -> dict[str, object]:
    return {
        "host": url.host,
        "port": url.port,
        "user": url.user,
        "password": url.password,
        "dbname": url.database,
    }


def files(folder: Path) -> Mapping[str, tuple[bytes, int]]:
    """All files of a folder, byte by byte, with the time of their last change."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
