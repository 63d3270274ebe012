"""Real dumps of the sqlite3 shell, and database files, loaded into a SQLite scratch database."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converger.errors import ConfigurationError, CouldNotEvaluate
from converger.mergefile import Note
from converger.proof.dumps import load_dump
from converger.proof.fingerprints import read_fingerprint
from converger.proof.scratch import Scratch
from converger.proof.sqlite import SqliteServer
from converger.proof.versiontable import version_rows

from .dumps import Quiet, documented

Load = Callable[..., Scratch]

RICH = r"""
CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);
INSERT INTO alembic_version VALUES ('base1');
CREATE TABLE "odd; ""name" (id integer PRIMARY KEY AUTOINCREMENT, [in brackets;] text DEFAULT 'a;''b',
    `ticks;` blob, d integer GENERATED ALWAYS AS (id * 2) VIRTUAL, CHECK ("in brackets;" <> ';'));
INSERT INTO "odd; ""name" ("in brackets;", "ticks;") VALUES ('x; --', x'00ff27'), ('line
break', NULL), (';' || char(13, 10) || 'Zoë ☃', 'text'), ('/* not */', zeroblob(5));
CREATE TABLE log (what text);
CREATE TRIGGER logs AFTER INSERT ON "odd; ""name" WHEN new.id > 1 BEGIN
    INSERT INTO log VALUES ('in;' || CASE WHEN 1 THEN 'a' ELSE 'b' END); -- a ; here
    UPDATE log SET what = 'END;';
END;
CREATE VIEW seen AS SELECT 'a;b' AS c FROM log;
CREATE INDEX "i;" ON log (lower(what)) WHERE what <> ';';
CREATE TABLE parent (id integer PRIMARY KEY);
CREATE TABLE child (parent integer REFERENCES parent) STRICT;
INSERT INTO child VALUES (7);
CREATE VIRTUAL TABLE words USING fts5(body);
INSERT INTO words VALUES ('some; words');
"""


@pytest.fixture
def server() -> Iterator[SqliteServer]:
    with SqliteServer() as server:
        yield server


@pytest.fixture
def load(server: SqliteServer, tmp_path: Path) -> Load:
    def run(text: bytes | str) -> Scratch:
        path = tmp_path / "base.sql"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        scratch = server.create()
        assert load_dump(server, scratch, path, progress=Quiet()) == ()
        return scratch

    return run


@pytest.fixture
def rich(tmp_path: Path) -> str:
    path = str(tmp_path / "rich.db")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.executescript(RICH)
    return path


def shell_dump(path: str) -> bytes:
    return subprocess.run(["sqlite3", path, ".dump"], capture_output=True, check=True).stdout


def contents(path: str) -> list[object]:
    """All that is in a database, read by another way than the dump."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found: list[object] = [
            connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY 1, 2").fetchall()
        ]
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'words_%' ORDER BY 1"
        ).fetchall():
            found.append(
                (name, connection.execute('SELECT * FROM "{}"'.format(name.replace('"', '""'))).fetchall())
            )
        return found


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell here")
def test_a_dump_of_the_shell_gives_back_the_database(server: SqliteServer, load: Load, rich: str) -> None:
    dump = shell_dump(rich)
    assert dump.startswith(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;")
    scratch = load(dump)
    assert contents(server.mark(scratch)) == contents(rich)
    assert shell_dump(server.mark(scratch)) == dump
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    # sqlite3.Connection.iterdump, which people use where there is no shell
    with contextlib.closing(sqlite3.connect(rich)) as connection:
        connection.execute("DROP TABLE words")
        written = "\n".join(connection.iterdump())
    again = load(written)
    assert "BEGIN TRANSACTION" in written
    assert contents(server.mark(again)) == contents(rich)


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="there is no sqlite3 shell here")
def test_the_structure_and_the_version_as_documented(server: SqliteServer, load: Load, rich: str) -> None:
    commands = documented("(sqlite3 .*)")
    assert len(commands) == 2
    place = Path(rich).parent
    shutil.copyfile(rich, place / "app.db")
    for command in commands:
        subprocess.run(f"{command} >> base.sql", shell=True, check=True, cwd=place)
    scratch = load((place / "base.sql").read_bytes())
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    source = server.create()
    load_dump(server, source, rich, progress=Quiet())
    # The structure: rows are in neither, but for the version.
    here, there = (
        {fact for fact in read_fingerprint(server, each, exclude=frozenset()).facts if fact.kind != "rows"}
        for each in (scratch, source)
    )
    assert here == there
    assert server.query(scratch, "SELECT count(*) FROM log") == [(0,)]


def folder(path: str) -> dict[str, tuple[str, int, int]]:
    """Everything in the file's folder: content, time of change, permissions."""
    return {
        name: (
            hashlib.sha256(Path(path).parent.joinpath(name).read_bytes()).hexdigest(),
            os.stat(Path(path).parent / name).st_mtime_ns,
            os.stat(Path(path).parent / name).st_mode,
        )
        for name in os.listdir(Path(path).parent)
    }


def test_a_database_file_is_copied_and_not_touched(server: SqliteServer, rich: str) -> None:
    with contextlib.closing(sqlite3.connect(rich)) as connection:
        assert connection.execute("PRAGMA journal_mode = WAL").fetchone() == ("wal",)
    os.chmod(rich, 0o444)
    os.chmod(Path(rich).parent, 0o555)
    before = folder(rich)
    try:
        scratch = server.create()
        load_dump(server, scratch, rich, progress=Quiet())
        assert folder(rich) == before
        assert set(before) == {"rich.db"}
    finally:
        os.chmod(Path(rich).parent, 0o755)
    assert contents(server.mark(scratch)) == contents(rich)
    exclude: frozenset[tuple[str | None, str]] = frozenset()
    clone = server.clone(scratch)
    assert read_fingerprint(server, clone, exclude=exclude) == read_fingerprint(
        server, scratch, exclude=exclude
    )


def test_rows_that_are_only_in_the_write_ahead_log(server: SqliteServer, rich: str) -> None:
    """The application runs, or was killed: the newest rows are next to the database."""
    with contextlib.closing(sqlite3.connect(rich)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("INSERT INTO parent VALUES (4711)")
        connection.commit()
        assert os.path.getsize(rich + "-wal") > 0
        before = folder(rich)
        scratch = server.create()
        load_dump(server, scratch, rich, progress=Quiet())
        assert folder(rich) == before
    assert server.query(scratch, "SELECT id FROM parent") == [(4711,)]


def test_a_hot_journal_is_rolled_back_in_our_copy_only(
    server: SqliteServer, rich: str, tmp_path: Path
) -> None:
    program = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 1")
connection.execute("BEGIN")
connection.execute("CREATE TABLE half (a)")
for n in range(3000):
    connection.execute("INSERT INTO half VALUES (randomblob(1000))")
os._exit(1)
"""
    subprocess.run([sys.executable, "-c", program, rich], check=False)
    assert os.path.getsize(rich + "-journal") > 0
    before = folder(rich)
    scratch = server.create()
    load_dump(server, scratch, rich, progress=Quiet())
    assert folder(rich) == before
    assert server.query(scratch, "SELECT count(*) FROM sqlite_master WHERE name = 'half'") == [(0,)]


def test_a_compressed_database_file(server: SqliteServer, rich: str, tmp_path: Path) -> None:
    packed = tmp_path / "packed.gz"
    packed.write_bytes(gzip.compress(Path(rich).read_bytes()))
    scratch = server.create()
    load_dump(server, scratch, packed, progress=Quiet())
    assert contents(server.mark(scratch)) == contents(rich)


def test_a_damaged_database_file(server: SqliteServer, rich: str) -> None:
    content = bytearray(Path(rich).read_bytes())
    content[4096:12288] = b"\x55" * 8192
    Path(rich).write_bytes(content)
    with pytest.raises(CouldNotEvaluate, match=r"rich\.db") as caught:
        load_dump(server, server.create(), rich, progress=Quiet())
    assert caught.value.code == "dump-failed"


REFUSED = [
    ("ATTACH '{flag}' AS other;", "ATTACH leaves"),
    ("/* x */ attach database '{flag}' as other;", "ATTACH leaves"),
    ("VACUUM INTO '{flag}';", "VACUUM INTO"),
    (".read other.sql", r"\.read is a command"),
    (".shell touch {flag}", r"\.shell is a command"),
    ("ROLLBACK; -- due to errors", "takes back"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_would_leave_the_scratch_database(load: Load, tmp_path: Path, text: str, why: str) -> None:
    flag = tmp_path / "flag"
    with pytest.raises(ConfigurationError, match=why) as caught:
        load("BEGIN;\nCREATE TABLE t (a);\n" + text.replace("{flag}", str(flag)))
    assert caught.value.code == "dump-refused"
    assert re.search(r"base\.sql:3: ", caught.value.message)
    assert not flag.exists()


def test_sqlite_itself_denies_a_second_database(server: SqliteServer, tmp_path: Path) -> None:
    """Should a statement get by the rules."""
    from converger.proof.scratch import StatementFailed

    with server.loading(server.create()) as loading:
        for text in (
            f"ATTACH '{tmp_path}/x' AS y",
            f"VACUUM INTO '{tmp_path}/x'",
            f"ATTACH '{tmp_path}' || '/x' AS y",
        ):
            with pytest.raises(StatementFailed, match="authoriz"):
                loading.execute(text.encode())
        loading.execute(b"CREATE TABLE t (a)")
        loading.execute(b"VACUUM")
    assert not (tmp_path / "x").exists()


FAILING = [
    ("CREATE TABLE t (a);\nINSERT INTO nowhere VALUES (1);", 2, "nowhere", "dump-failed"),
    ("CREATE TABLE t (a);\n\nCREATE TABL u (a);", 3, "syntax error", "dump-failed"),
    ("BEGIN;\nCREATE TABLE t (a);\n", 2, "within a transaction", "dump-unreadable"),
    ("CREATE TABLE t (a);\nINSERT INTO t VALUES ('x", 2, "a string begins here", "dump-unreadable"),
]


@pytest.mark.parametrize(("text", "line", "says", "code"), FAILING)
def test_a_fault_is_named_with_file_and_line(load: Load, text: str, line: int, says: str, code: str) -> None:
    with pytest.raises(
        (CouldNotEvaluate, ConfigurationError), match=rf"base\.sql:{line}: .*{says}"
    ) as caught:
        load(text)
    assert caught.value.code == code


def test_letters_that_are_none(load: Load) -> None:
    with pytest.raises(CouldNotEvaluate, match=r"base\.sql:2: .*UTF-8"):
        load(b"CREATE TABLE t (a);\nINSERT INTO t VALUES ('Zo\xeb');")


def test_what_is_set_for_the_session_ends_with_it(server: SqliteServer, load: Load) -> None:
    scratch = load(
        "PRAGMA synchronous = 0; PRAGMA foreign_keys = OFF; PRAGMA user_version = 7; CREATE TABLE t (a)"
    )
    assert server.query_all(
        scratch, ["PRAGMA synchronous", "PRAGMA journal_mode", "PRAGMA user_version"]
    ) == [
        [(2,)],
        [("delete",)],
        [(7,)],
    ]


def test_the_dump_of_a_newer_shell(server: SqliteServer, load: Load) -> None:
    scratch = load(r"""
        CREATE TABLE t (a text);
        INSERT INTO t VALUES (unistr('line\u000aback\\slash \0007 \+01d11e \U0001d11e'' ;')), (unistr(NULL));
    """)
    assert server.query(scratch, "SELECT a FROM t") == [("line\nback\\slash \x07 𝄞 𝄞' ;",), (None,)]


def test_a_note_is_what_load_dump_gives(server: SqliteServer, tmp_path: Path) -> None:
    path = tmp_path / "base.sql"
    path.write_text("")
    notes: tuple[Note, ...] = load_dump(server, server.create(), path, progress=Quiet())
    assert notes == ()
