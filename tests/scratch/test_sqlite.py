"""SQLite: files in a folder of our own, and copies that miss nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from converger import folders
from converger.errors import CouldNotEvaluate
from converger.proof.scratch import Scratch
from converger.proof.servers import open_server
from converger.proof.sqlite import SqliteServer


def path_of(server: SqliteServer, scratch: Scratch) -> str:
    return server.url(scratch, None).removeprefix("sqlite:///")


def test_the_folder_goes_when_it_is_closed() -> None:
    with SqliteServer() as server:
        path = path_of(server, server.create())
        folder = os.path.dirname(path)
        assert os.path.basename(folder).startswith("converger-sqlite-")
        assert os.stat(folder).st_mode & 0o077 == 0
    assert not os.path.exists(folder)
    server.close()


def test_it_is_chosen_by_the_configuration() -> None:
    with open_server(database_url=None, project_url="sqlite:///app.db", progress=lambda text: None) as server:
        assert isinstance(server, SqliteServer)
        scratch = server.create()
        assert server.url(scratch, "aiosqlite") == f"sqlite+aiosqlite:///{path_of(server, scratch)}"
        assert server.mark(scratch) == path_of(server, scratch)
        assert os.path.isabs(server.mark(scratch))


def test_a_clone_has_what_is_only_in_the_write_ahead_log() -> None:
    with SqliteServer() as server:
        source = server.create()
        with contextlib.closing(sqlite3.connect(path_of(server, source))) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute("PRAGMA user_version = 77")
            connection.execute("CREATE TABLE t (id integer)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.commit()
            assert os.path.getsize(path_of(server, source) + "-wal") > 0
            copy = server.clone(source)
        assert server.query_all(copy, ["SELECT id FROM t", "PRAGMA user_version"]) == [[(1,)], [(77,)]]


KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("DELETE FROM t")
connection.execute("CREATE TABLE half (x)")
for number in range(2000):
    connection.execute("INSERT INTO half VALUES (randomblob(500))")
os.kill(os.getpid(), 9)
"""


def test_a_clone_does_not_have_what_a_killed_worker_left_half_done() -> None:
    with SqliteServer() as server:
        source = server.create()
        with contextlib.closing(sqlite3.connect(path_of(server, source))) as connection:
            connection.execute("CREATE TABLE t (id integer)")
            connection.execute("INSERT INTO t VALUES (1)")
            connection.commit()
        child = subprocess.run([sys.executable, "-c", KILLED, path_of(server, source)], check=False)
        assert child.returncode == -signal.SIGKILL
        # The half-written pages are in the file; only the journal beside it tells how to undo them.
        assert os.path.getsize(path_of(server, source) + "-journal") > 0
        copy = server.clone(source)
        assert server.query(copy, "SELECT name FROM sqlite_master") == [("t",)]
        assert server.query(copy, "SELECT id FROM t") == [(1,)]


def test_a_database_that_stays_locked_is_could_not_evaluate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("converger.proof.sqlite.BUSY_SECONDS", 0.2)
    with SqliteServer() as server:
        source = server.create()
        with contextlib.closing(sqlite3.connect(path_of(server, source), isolation_level=None)) as holder:
            holder.execute("BEGIN EXCLUSIVE")
            with pytest.raises(CouldNotEvaluate) as caught:
                server.clone(source)
        assert caught.value.code == "scratch-failed"


def test_nothing_is_left_of_a_file_that_is_dropped() -> None:
    with SqliteServer() as server:
        scratch = server.create()
        with contextlib.closing(sqlite3.connect(path_of(server, scratch))) as connection:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE t (id integer)")
            server.drop(scratch)
            assert os.listdir(os.path.dirname(path_of(server, scratch))) == [folders.MARK_FILE]


def test_the_next_run_removes_the_folder_of_a_killed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    code = (
        "import os\nfrom converger.proof.sqlite import SqliteServer\nserver = SqliteServer()\n"
        "server.create()\nos.kill(os.getpid(), 9)\n"
    )
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], check=False)
        assert len(list(tmp_path.iterdir())) == 1
    with SqliteServer() as live, SqliteServer() as other:
        names = {os.path.dirname(path_of(server, server.create())) for server in (live, other)}
        assert {str(path) for path in tmp_path.iterdir()} == names
    assert list(tmp_path.iterdir()) == []
