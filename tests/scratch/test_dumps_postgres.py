"""Real pg_dump of a real database, loaded into a scratch database, and compared with what it came from."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from converger.errors import ConfigurationError, ConvergerError, CouldNotEvaluate
from converger.mergefile import Note
from converger.proof.dumps import load_dump
from converger.proof.facts import differences
from converger.proof.fingerprints import read_fingerprint
from converger.proof.pgconnect import connect
from converger.proof.postgres import PostgresServer
from converger.proof.scratch import Scratch
from converger.proof.versiontable import version_rows

from .conftest import Site
from .dumps import RICH, Quiet, pg_dump, pg_programs

needs_pg_dump = pytest.mark.skipif(not pg_programs("pg_dump"), reason="there is no pg_dump here")

Load = Callable[..., tuple[Scratch, dict[str, Note]]]


@pytest.fixture(scope="module")
def rich(site: Site) -> str:
    """A database with everything in it."""
    site.run('CREATE ROLE "the; readers"')
    site.run("CREATE ROLE owner_of_empty")
    site.run("CREATE DATABASE rich TEMPLATE template0 ENCODING 'UTF8'")
    site.run(RICH, "rich")
    return "rich"


@pytest.fixture
def server(site: Site) -> Iterator[PostgresServer]:
    with site.open() as server:
        yield server


@pytest.fixture
def load(server: PostgresServer, tmp_path: Path) -> Load:
    """Load bytes as a dump into a new scratch database; gives the database and the notes by kind."""

    def run(text: bytes | str, name: str = "base.sql") -> tuple[Scratch, dict[str, Note]]:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        scratch = server.create()
        notes = load_dump(server, scratch, path, progress=Quiet())
        return scratch, {note.kind: note for note in notes}

    return run


def same(dump: bytes) -> bytes:
    """A dump without what differs from one run of pg_dump to the next."""
    return re.sub(rb"\\(un)?restrict \w+", b"", dump)


@needs_pg_dump
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--inserts",),
        ("--column-inserts", "--rows-per-insert=50"),
        ("--clean", "--if-exists"),
        ("--clean",),
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_a_dump_gives_back_the_database(
    site: Site, server: PostgresServer, load: Load, rich: str, options: tuple[str, ...]
) -> None:
    scratch, notes = load(pg_dump(site, rich, *options))
    source = Scratch(rich, server)
    exclude: frozenset[tuple[str | None, str]] = frozenset()
    assert read_fingerprint(server, scratch, exclude=exclude) == read_fingerprint(
        server, source, exclude=exclude
    )
    assert same(pg_dump(site, scratch.name)) == same(pg_dump(site, rich))
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    assert site.run("SELECT nextval('counter')", scratch.name) == [(13,)]
    assert set(notes) == ({"dump-nothing-to-drop"} if options == ("--clean",) else set())


@pytest.mark.parametrize("program", pg_programs("pg_dump"))
def test_the_dump_of_any_pg_dump(site: Site, load: Load, rich: str, program: str) -> None:
    """Newer ones write \\restrict and settings that an older server does not know."""
    try:
        dump = pg_dump(site, rich, program=program)
    except AssertionError as error:
        assert "server version mismatch" in str(error)  # an older one refuses a newer server
        return
    scratch, notes = load(dump)
    assert not notes
    assert same(pg_dump(site, scratch.name)) == same(pg_dump(site, rich))


@needs_pg_dump
def test_the_structure_and_the_version_as_documented(
    site: Site, server: PostgresServer, load: Load, rich: str
) -> None:
    lines = re.findall(
        r"^    pg_dump (.*) app >>? base\.sql$", Path("docs/starting-points.md").read_text(), re.M
    )
    assert len(lines) == 2
    scratch, notes = load(b"".join(pg_dump(site, rich, *shlex.split(line)) for line in lines))
    assert set(notes) <= {"dump-owners"}
    structure = ("--schema-only", "--no-owner", "--no-privileges")
    assert same(pg_dump(site, scratch.name, *structure)) == same(pg_dump(site, rich, *structure))
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    assert server.query(scratch, 'SELECT count(*) FROM "Odd; ""name"""') == [(0,)]


@needs_pg_dump
@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "UTF8"])
def test_a_dump_in_another_encoding(site: Site, server: PostgresServer, load: Load, encoding: str) -> None:
    name = f"letters_{encoding.lower()}"
    site.run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
    site.run(
        "CREATE TABLE \"größe\" (t text DEFAULT 'é;'); INSERT INTO \"größe\" VALUES ('Zoë'), (E'ÿ\\\\')", name
    )
    dump = pg_dump(site, name, f"--encoding={encoding}")
    assert ("Zoë".encode() in dump) == (encoding == "UTF8")
    scratch, _ = load(dump)
    assert server.query(scratch, 'SELECT t FROM "größe" ORDER BY 1') == [("ÿ\\",), ("Zoë",)] or server.query(
        scratch, 'SELECT t FROM "größe" ORDER BY 1'
    ) == [("Zoë",), ("ÿ\\",)]
    assert same(pg_dump(site, scratch.name)) == same(pg_dump(site, name))


@needs_pg_dump
@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_compressed_dump(site: Site, load: Load, rich: str, pack: Callable[[bytes], bytes]) -> None:
    dump = pg_dump(site, rich)
    scratch, _ = load(pack(dump), "base.sql.packed")
    assert same(pg_dump(site, scratch.name)) == same(dump)
    with pytest.raises(
        ConfigurationError, match=r"base\.sql\.packed cannot be read to its end|is damaged"
    ) as caught:
        load(pack(dump)[:-2000], "base.sql.packed")
    assert caught.value.code == "dump-unreadable"


@needs_pg_dump
def test_a_dump_that_powershell_wrote(site: Site, load: Load, rich: str) -> None:
    dump = pg_dump(site, rich)
    text = dump.decode().replace("\n", "\r\n") if False else dump.decode()
    scratch, _ = load(text.encode("utf-16"))
    assert same(pg_dump(site, scratch.name)) == same(dump)
    scratch, _ = load(b"\xef\xbb\xbf" + dump)
    assert same(pg_dump(site, scratch.name)) == same(dump)


@needs_pg_dump
@pytest.mark.parametrize("format", ["custom", "tar", "directory"])
def test_what_pg_restore_reads_is_named_with_its_command(
    site: Site, server: PostgresServer, tmp_path: Path, rich: str, format: str
) -> None:
    path = tmp_path / "the dump"
    pg_dump(site, rich, f"--format={format}", f"--file={path}")
    with pytest.raises(ConfigurationError) as caught:
        load_dump(server, server.create(), path, progress=Quiet())
    assert caught.value.code == "dump-unreadable"
    hint = caught.value.hint or ""
    command = re.search(r"pg_restore --file=base\.sql '.*?'", hint)
    assert command is not None, hint
    words = [pg_programs("pg_restore")[0], f"--file={tmp_path / 'base.sql'}", str(path)]
    subprocess.run(words, check=True)
    scratch = server.create()
    load_dump(server, scratch, tmp_path / "base.sql", progress=Quiet())
    assert same(pg_dump(site, scratch.name)) == same(pg_dump(site, rich))


@needs_pg_dump
def test_roles_that_are_not_there(site: Site, server: PostgresServer, load: Load, rich: str) -> None:
    """The database is as it was but for owner and privileges, and one note says whose."""
    dump = (
        pg_dump(site, rich)
        .replace(b"the; readers", b"gone; readers")
        .replace(b"owner_of_empty", b"gone_owner")
    )
    scratch, notes = load(dump)
    assert set(notes) == {"dump-owners"}
    assert "gone; readers, gone_owner" in notes["dump-owners"].message
    without = ("--no-owner", "--no-privileges")
    policy = rb"CREATE POLICY p .*"
    mended = re.sub(policy, b"", same(pg_dump(site, scratch.name, *without)))
    assert mended == re.sub(policy, b"", same(pg_dump(site, rich, *without)))
    assert server.query(scratch, "SELECT polname, polroles::text FROM pg_policy") == [("p", "{0}")]


@needs_pg_dump
def test_a_user_who_is_no_superuser(site: Site, tmp_path: Path, rich: str) -> None:
    dump = pg_dump(site, rich, "--no-publications")
    path = tmp_path / "base.sql"
    path.write_bytes(dump)
    with site.open(user="maker", password="m@k:e/r%") as server:
        scratch = server.create()
        notes = load_dump(server, scratch, path, progress=Quiet())
        assert [note.kind for note in notes] == ["dump-owners"]
        exclude: frozenset[tuple[str | None, str]] = frozenset()
        source = site.open()
        try:
            found = differences(
                read_fingerprint(server, scratch, exclude=exclude).facts,
                read_fingerprint(source, Scratch(rich, source), exclude=exclude).facts,
            )
            # What another owner has, and grants, is his.
            others = ("publication", "owner", "privileges")
            left = [one for one in found if not one.kind.endswith(others)]
            assert left == []
        finally:
            source.close()


def test_nothing_of_the_whole_server_is_run(site: Site, server: PostgresServer, load: Load) -> None:
    before = site.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1"), site.databases()
    scratch, notes = load(
        """
        CREATE ROLE intruder SUPERUSER PASSWORD 'secret-word';
        ALTER ROLE plain SUPERUSER;
        ALTER USER plain PASSWORD 'other';
        CREATE DATABASE elsewhere; DROP DATABASE IF EXISTS postgres;
        ALTER DATABASE postgres SET work_mem = '1MB';
        ALTER SYSTEM SET work_mem = '1MB';
        GRANT plain TO maker;
        GRANT ALL ON DATABASE postgres TO plain;
        COMMENT ON ROLE plain IS 'x';
        DROP /* a comment */ ROLE plain;
        CREATE SUBSCRIPTION s CONNECTION 'host=elsewhere' PUBLICATION p;
        COMMENT ON DATABASE postgres IS 'not ours';
        CREATE TABLE database (role text);
        """
    )
    after = site.run("SELECT rolname, rolpassword FROM pg_authid ORDER BY 1")
    assert after == before[0]
    assert site.databases() - before[1] == {scratch.name}
    assert site.run("SELECT count(*) FROM pg_db_role_setting") == [(0,)]
    assert site.run(
        "SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE rolname = 'maker'"
    ) == [(0,)]
    assert set(notes) == {"dump-server-wide"}
    message = notes["dump-server-wide"].message
    assert message.startswith("base.sql: 12 statements (the first in line 2) left out")
    assert "secret-word" not in message
    assert server.query(scratch, "SELECT count(*) FROM database") == [(0,)]


def test_our_mark_stays(server: PostgresServer, load: Load) -> None:
    scratch, notes = load("COMMENT ON DATABASE whatever IS 'mine now'; CREATE TABLE t (a integer);")
    assert server.query(scratch, server.mark_query) == [(server.mark(scratch),)]
    assert not notes
    sneaky = "DO $$ BEGIN EXECUTE format('COMMENT ON DATABASE %I IS ''mine''', current_database()); END $$;"
    scratch, _ = load(sneaky)  # only the comment, not what this run knows it by
    assert server.query(scratch, server.mark_query) == [(server.mark(scratch),)]
    server.drop(scratch)
    with pytest.raises(CouldNotEvaluate):
        server.query(scratch, "SELECT 1")


REFUSED = [
    ("\\connect other", r"\\connect leaves the scratch database"),
    ("\\c other", r"\\c leaves"),
    ("\\i other.sql", r"\\i is a command to psql"),
    ("\\! touch {flag}", r"\\! is a command"),
    ("\\copy t from '/etc/passwd'", r"\\copy is a command"),
    ("\\copy t from program 'touch {flag}'", r"\\copy is a command"),
    ("\\set x `touch {flag}`", r"\\set is a command"),
    ("COPY t FROM PROGRAM 'touch {flag}';", "COPY with a file or a program"),
    ("copy/**/t FROM '/etc/passwd';", "COPY with a file or a program"),
    ("COPY t TO '{flag}';", "COPY with a file or a program"),
    ("COPY (SELECT 1) TO PROGRAM 'cat > {flag}';", "COPY with a file or a program"),
    ("COPY t TO stdout;", "COPY with a file or a program"),
    ("SELECT pg_read_file('/etc/passwd');", "pg_read_file leaves the scratch database"),
    ("INSERT INTO t SELECT pg_catalog.lo_import('/etc/passwd');", "lo_import leaves"),
    ("DO $$ BEGIN PERFORM dblink_exec('dbname=postgres', 'SELECT 1'); END $$;", "dblink_exec leaves"),
    ("PREPARE TRANSACTION 'x';", "prepared transaction"),
    ("BEGIN; CREATE TABLE x (a integer); ROLLBACK;", "takes back"),
    ("SELECT 1 \\gexec\n;", "psql command within a statement"),
    ("IMPORT FOREIGN SCHEMA a FROM SERVER b INTO c;", "another server"),
    ("SET client_encoding = 'SJIS';", "SJIS cannot be read"),
    ("\\encoding BIG5", "BIG5 cannot be read"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_would_leave_the_scratch_database(
    site: Site, load: Load, tmp_path: Path, text: str, why: str
) -> None:
    flag = tmp_path / "flag"
    before = site.databases()
    statement = text.replace("{flag}", str(flag))
    with pytest.raises(ConfigurationError, match=why) as caught:
        load(f"CREATE TABLE t (a text);\n\n{statement}\n")
    assert caught.value.code in ("dump-refused", "dump-unreadable")
    assert re.search(r"base\.sql:3: ", caught.value.message), caught.value.message
    assert not flag.exists()
    assert len(site.databases() - before) == 1


def test_what_only_looks_like_it_is_run(server: PostgresServer, load: Load) -> None:
    scratch, notes = load(
        r"""
        \restrict abc123
        \set ON_ERROR_STOP on
        \echo hello
        \encoding UTF8
        CREATE TABLE "COPY" (a text DEFAULT 'COPY t FROM PROGRAM', drop_database text);
        INSERT INTO "COPY" VALUES ('SELECT pg_read_file(''x'')', '\connect x'), ('-- ;', '/*');
        INSERT INTO "COPY" SELECT 'dblink(', 'x'; -- pg_read_file()
        GRANT SELECT (a, drop_database), UPDATE (a, drop_database), REFERENCES (a, drop_database) ON "COPY" TO plain;
        COMMENT ON COLUMN "COPY".a IS 'COMMENT ON DATABASE x IS ''y''; pg_ls_dir()';
        CREATE FUNCTION reads() RETURNS text LANGUAGE sql AS $$ SELECT pg_read_file('/etc/passwd') $$;
        \unrestrict abc123
        """
    )
    assert server.query(scratch, 'SELECT count(*) FROM "COPY"') == [(3,)]
    granted = "SELECT count(*) FROM pg_attribute WHERE attacl::text LIKE '%plain=%' AND attrelid = '\"COPY\"'::regclass"
    assert server.query(scratch, granted) == [(2,)]
    assert not notes


def test_what_cannot_run_in_one_transaction(server: PostgresServer, load: Load) -> None:
    scratch, notes = load(
        """
        CREATE TABLE t (a integer);
        BEGIN;
        INSERT INTO t VALUES (1);
        SET transaction_timeout_of_a_newer_one = 0;
        ALTER TABLE t OWNER TO nobody_has_heard_of;
        DROP TABLE not_there;
        SAVEPOINT one; INSERT INTO t VALUES (2); ROLLBACK TO SAVEPOINT one;
        COMMIT;
        CREATE INDEX CONCURRENTLY i ON t (a);
        CREATE TYPE mood AS ENUM ('a');
        ALTER TYPE mood ADD VALUE 'b';
        CREATE TABLE m (mood mood DEFAULT 'b');
        VACUUM ANALYZE t;
        DO $$ BEGIN INSERT INTO t VALUES (3); COMMIT; END $$
        """
    )
    assert server.query(scratch, "SELECT a FROM t ORDER BY 1") == [(1,), (3,)]
    assert server.query(scratch, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") == [
        (True,)
    ]
    assert set(notes) == {"dump-owners", "dump-settings", "dump-nothing-to-drop"}
    assert "transaction_timeout_of_a_newer_one" in notes["dump-settings"].message


def test_the_session_of_a_dump_ends_with_it(site: Site, server: PostgresServer, load: Load) -> None:
    scratch, _ = load(
        "SELECT pg_catalog.set_config('search_path', '', false); SET TimeZone = 'Asia/Tokyo';"
        "CREATE TABLE public.alembic_version (version_num varchar(32)); SET statement_timeout = 0;"
        "CREATE TABLE public.timeout AS SELECT current_setting('statement_timeout') AS t;"
    )
    path, zone = server.query_all(scratch, ["SHOW search_path", "SHOW TimeZone"])
    assert path == [('"$user", public',)]
    assert zone != [("Asia/Tokyo",)]
    assert server.query(scratch, "SELECT t FROM timeout") == [
        ("30min",)
    ]  # ours, so that nothing hangs for ever
    assert version_rows(server, scratch, "alembic_version", None) == ()
    clone = server.clone(scratch)
    assert server.query(clone, "SHOW search_path") == [('"$user", public',)]


FAILING = [
    ("CREATE TABLE t (a integer);\nINSERT INTO t\nVALUES ('x');", 3, "invalid input syntax"),
    ("CREATE TABLE t (a integer);\nSELECT\n  1,\n  nonsense\nFROM t;", 4, "nonsense"),
    ("CREATE TABLE t (a integer);\nCOPY t (a) FROM stdin;\n1\n2\nx\n\\.\n", 5, "invalid input syntax"),
    ("CREATE TABLE t (a integer);\n\nCOPY t (b) FROM stdin;\n1\n\\.\n", 3, '"b"'),
    ("SELECT 1;\nCREATE EXTENSION no_such_thing;", 2, "no_such_thing"),
    ("-- Grüße\n\nCREATE TABLE ü (a text); SELECT 'ü', nonsense;", 3, "nonsense"),
]


@pytest.mark.parametrize(("text", "line", "says"), FAILING)
def test_a_failing_statement_is_named_with_file_and_line(load: Load, text: str, line: int, says: str) -> None:
    with pytest.raises(CouldNotEvaluate, match=rf"base\.sql:{line}: .*{says}") as caught:
        load(text)
    assert caught.value.code == "dump-failed"
    assert caught.value.exit_code == 3
    assert "nothing was said about the branches" in caught.value.message


def test_letters_that_are_none_get_a_way_out(load: Load) -> None:
    with pytest.raises(CouldNotEvaluate, match=r"base\.sql:2: ") as caught:
        load(b"CREATE TABLE t (a text);\nINSERT INTO t VALUES ('Zo\xeb');")
    assert "client_encoding" in (caught.value.hint or "")


CUT_OFF = [
    ("CREATE TABLE t (a text);\nINSERT INTO t VALUES ('x", 2, "a string begins here"),
    ("CREATE TABLE t (a text);\nCOPY t FROM stdin;\nx\ny\n", 3, r"do not end with \\\."),
    ("CREATE TABLE t (a text);\nBEGIN;\nINSERT INTO t VALUES ('x');", 3, "within a transaction"),
    ("SELECT 1;\nCREATE FUNCTION f() RETURNS text AS $$ x", 2, "a dollar-quoted string begins"),
    ("SELECT 1;\n/* /* */", 2, "a comment begins here"),
    ("--\n-- PostgreSQL database dump\n--\nSELECT 1;\n", 5, "cut off"),
    ("SELECT 1;\nSELECT '\0';", 2, "NUL"),
]


@pytest.mark.parametrize(("text", "line", "says"), CUT_OFF)
def test_a_dump_that_is_cut_off_is_no_dump(load: Load, text: str, line: int, says: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"base\.sql:{line}: .*{says}") as caught:
        load(text)
    assert caught.value.code == "dump-unreadable"


@needs_pg_dump
def test_a_dump_cut_anywhere_is_noticed(site: Site, load: Load, rich: str) -> None:
    dump = pg_dump(site, rich)
    for cut in range(5000, len(dump) - 80, len(dump) // 12):
        with pytest.raises(ConvergerError):
            load(dump[:cut])


UNREADABLE = [
    (b"SQLite format 3\0" + b"\0" * 84, "SQLite database"),
    (b"\x28\xb5\x2f\xfdxxxx", "zstd"),
    (b"PK\x03\x04xxxx", "zip"),
    (b"\x1f\x8bnot really", "damaged|cannot be read"),
    (b"-- MariaDB dump 10.19  Distrib 10.11\n", "MySQL or MariaDB"),
    (b"/*M!999999\\- enable the sandbox mode */ \n", "MySQL or MariaDB"),
    (b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCOMMIT;\n", "SQLite dump"),
]


@pytest.mark.parametrize(("content", "says"), UNREADABLE)
def test_a_file_of_another_kind(load: Load, content: bytes, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        load(content)
    assert caught.value.code == "dump-unreadable"
    assert caught.value.hint


def test_a_file_that_is_not_there(server: PostgresServer, tmp_path: Path) -> None:
    scratch = server.create()
    for path in (tmp_path / "nowhere.sql", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            load_dump(server, scratch, path, progress=Quiet())
        assert caught.value.code == "dump-unreadable"


def test_a_server_that_goes_away_is_no_fault_of_the_dump(
    site: Site, server: PostgresServer, load: Load
) -> None:
    def end_it() -> None:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if site.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%sleep(7)%' AND pid <> pg_backend_pid()"
            ):
                return
            time.sleep(0.05)

    ending = threading.Thread(target=end_it)
    ending.start()
    with pytest.raises(CouldNotEvaluate) as caught:
        load("SELECT pg_sleep(7);")
    ending.join()
    assert caught.value.code == "server-unreachable"


def test_a_big_dump_does_not_fill_the_memory(site: Site, server: PostgresServer, tmp_path: Path) -> None:
    import tracemalloc

    path = tmp_path / "big.sql"
    with path.open("w") as file:
        file.write("CREATE TABLE t (a integer, b text);\nCOPY t FROM stdin;\n")
        for start in range(0, 400_000, 1000):
            file.write("".join(f"{n}\t{'some text ' * 8}{n}\n" for n in range(start, start + 1000)))
        file.write("\\.\nSELECT 1;\n")
    size = path.stat().st_size
    assert size > 32 << 20
    progress = Quiet()
    scratch = server.create()
    tracemalloc.start()
    try:
        load_dump(server, scratch, path, progress=progress)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert server.query(scratch, "SELECT count(*) FROM t") == [(400_000,)]
    assert peak < 12 << 20
    assert progress.said == ["loading big.sql", "loading big.sql, 32 MB so far"]


def test_it_is_our_own_connection_that_loads(site: Site, server: PostgresServer, load: Load) -> None:
    scratch, _ = load(
        "CREATE TABLE t AS SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid();"
    )
    assert server.query(scratch, "SELECT * FROM t") == [("alembic-converger",)]
    with connect(site.url, scratch.name) as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT * FROM not_there")
