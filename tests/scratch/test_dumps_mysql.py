"""Real dumps of a MariaDB (or MySQL) database, loaded into a scratch database."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from converger.errors import ConfigurationError, CouldNotEvaluate
from converger.mergefile import Note
from converger.proof.dumps import load_dump
from converger.proof.mysql import MysqlServer
from converger.proof.scratch import Scratch
from converger.proof.versiontable import version_rows

from .conftest import MysqlSite
from .dumps import Quiet, documented

Load = Callable[..., tuple[Scratch, dict[str, Note]]]

PROGRAM = shutil.which("mariadb-dump") or shutil.which("mysqldump")
needs_program = pytest.mark.skipif(PROGRAM is None, reason="there is no mariadb-dump here")

RICH = [
    "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)",
    "INSERT INTO alembic_version VALUES ('base1')",
    r"""CREATE TABLE `odd; ``name` (id int AUTO_INCREMENT PRIMARY KEY, `in;` text, raw blob,
        kind enum('a;','b''s','c\\'), doc json, d int GENERATED ALWAYS AS (length(`in;`)) STORED,
        at timestamp(3) NULL DEFAULT current_timestamp(3) ON UPDATE current_timestamp(3),
        KEY `i;` (`in;`(10))) COMMENT='a; -- comment # \' "'""",
    r"""INSERT INTO `odd; ``name` (`in;`, raw, kind, doc, at) VALUES
        ('x; -- y', unhex('00ff5c27220a0d1a3b'), 'a;', '{"k": ";"}', '2024-05-05 01:02:03.456'),
        ('it''s \\ "q" # ; \n line \r\n', '', 'b''s', '[]', NULL), ('Zoë ☃ 𝄞', NULL, 'c\\', NULL, NULL),
        ('/*! no */ DELIMITER ;;', repeat('long ', 200000), NULL, NULL, NULL)""",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int, parent int, CONSTRAINT fk FOREIGN KEY (parent) REFERENCES parent (id))",
    "INSERT INTO parent VALUES (1), (2)",
    "INSERT INTO child VALUES (1, 1)",
    "CREATE TABLE log (what varchar(100) CHARACTER SET latin1 DEFAULT 'é;')",
    """CREATE DEFINER=`no body`@`%` TRIGGER t AFTER INSERT ON parent FOR EACH ROW BEGIN
        INSERT INTO log VALUES ('a;'); -- a comment;
        IF NEW.id > 5 THEN INSERT INTO log VALUES (';;'); END IF; # another
    END""",
    """CREATE DEFINER=`no body`@`%` PROCEDURE p(IN a int) COMMENT 'DEFINER=`x`@`y`' BEGIN
        DECLARE b int; SET b = a; SELECT ';;', b; END""",
    "CREATE FUNCTION f(a int) RETURNS int DETERMINISTIC RETURN a + 1",
    "CREATE DEFINER=`no body`@`%` SQL SECURITY DEFINER VIEW seen AS SELECT id, 'DEFINER=`x`@`y`;' AS c FROM parent",
    "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO INSERT INTO log VALUES ('event;')",
]


@pytest.fixture(scope="module")
def rich(mysql_site: MysqlSite) -> str:
    mysql_site.run("CREATE DATABASE rich CHARACTER SET utf8mb4")
    mysql_site.run(*RICH, database="rich")
    return "rich"


@pytest.fixture
def server(mysql_site: MysqlSite) -> Iterator[MysqlServer]:
    with mysql_site.open() as server:
        yield server


@pytest.fixture
def load(server: MysqlServer, tmp_path: Path) -> Load:
    def run(text: bytes | str) -> tuple[Scratch, dict[str, Note]]:
        path = tmp_path / "base.sql"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        scratch = server.create()
        notes = load_dump(server, scratch, path, progress=Quiet())
        return scratch, {note.kind: note for note in notes}

    return run


def dump(site: MysqlSite, *options: str) -> bytes:
    return dump_as(site, "--routines", "--triggers", "--events", *options)


def dump_as(site: MysqlSite, *options: str) -> bytes:
    assert PROGRAM is not None
    url = site.url
    login = [f"--host={url.host}", f"--port={url.port}", f"--user={url.user}", f"--password={url.password}"]
    command = [PROGRAM, "--no-defaults", *login, *options]
    site.run("CREATE USER `no body`@`%`", "GRANT ALL ON rich.* TO `no body`@`%`")
    try:
        result = subprocess.run(command, capture_output=True, check=False)
    finally:
        site.run("DROP USER `no body`@`%`")
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def same(text: bytes) -> bytes:
    """A dump without definers, name of the database, comments and time."""
    text = re.sub(rb"DEFINER=`(?:[^`]*)`@`[^`]*`", b"", text)
    text = re.sub(rb"--.*", b"", text)
    text = re.sub(rb"/\*!50013\s+SQL SECURITY DEFINER \*/", b"", text)
    return re.sub(rb"\s+|converger_[0-9a-f]{16}|`rich`", b" ", text)


@needs_program
@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--databases",),
        ("--skip-extended-insert",),
        ("--hex-blob", "--single-transaction"),
        ("--skip-comments",),
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_a_dump_gives_back_the_database(
    mysql_site: MysqlSite, server: MysqlServer, load: Load, rich: str, options: tuple[str, ...]
) -> None:
    before = mysql_site.databases()
    scratch, notes = load(dump(mysql_site, *options, rich))
    assert mysql_site.databases() - before == {scratch.name}
    assert same(dump(mysql_site, scratch.name)) == same(dump(mysql_site, rich))
    assert (
        mysql_site.run(f"CHECKSUM TABLE `{scratch.name}`.`odd; ``name`")[0][1]
        == (mysql_site.run("CHECKSUM TABLE rich.`odd; ``name`")[0][1])
    )
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    assert set(notes) == {"dump-owners"} | ({"dump-server-wide"} if "--databases" in options else set())
    # Views and triggers whose definer does not exist would fail when they are used.
    assert server.query(scratch, "SELECT count(*) FROM seen") == [(2,)]
    definers = mysql_site.run(
        f"SELECT DISTINCT definer FROM information_schema.triggers WHERE trigger_schema = '{scratch.name}'"
    )
    assert "no body@%" not in {row[0] for row in definers}
    comment = mysql_site.run(
        f"SELECT routine_comment FROM information_schema.routines WHERE routine_schema = '{scratch.name}' AND routine_name = 'p'"
    )
    assert comment == [("DEFINER=`x`@`y`",)]


@needs_program
def test_the_structure_and_the_version_as_documented(
    mysql_site: MysqlSite, server: MysqlServer, load: Load, rich: str
) -> None:
    lines = documented(r"mysqldump (.*)")
    assert len(lines) == 2
    scratch, _ = load(b"".join(dump_as(mysql_site, *line.replace("app", rich, 1).split()) for line in lines))
    structure = ("--no-data", "--routines")
    assert same(dump_as(mysql_site, *structure, scratch.name)) == same(dump_as(mysql_site, *structure, rich))
    assert version_rows(server, scratch, "alembic_version", None) == ("base1",)
    assert server.query(scratch, "SELECT count(*) FROM parent") == [(0,)]


def test_nothing_of_the_whole_server_is_run(mysql_site: MysqlSite, server: MysqlServer, load: Load) -> None:
    accounts = "SELECT user, host, authentication_string FROM mysql.user WHERE user NOT LIKE 'converger%' ORDER BY 1, 2"
    before = (
        mysql_site.databases(),
        mysql_site.run(accounts),
        mysql_site.run("SELECT @@GLOBAL.max_connections"),
    )
    scratch, notes = load(
        """
        CREATE DATABASE /*!32312 IF NOT EXISTS*/ `elsewhere`; DROP DATABASE IF EXISTS mysql;
        USE `elsewhere`;
        /*!50000 CREATE */ USER intruder@'%' IDENTIFIED BY 'secret-word';
        GRANT ALL ON *.* TO plain@'%'; FLUSH PRIVILEGES;
        SET GLOBAL max_connections = 7; SET @@GLOBAL.max_connections = 8;
        SET @MYSQLDUMP_TEMP_LOG_BIN = @@SESSION.SQL_LOG_BIN;
        SET @@SESSION.SQL_LOG_BIN= 0;
        SET @@GLOBAL.GTID_PURGED=/*!80000 '+'*/ '';
        CHANGE MASTER TO MASTER_LOG_FILE='x', MASTER_LOG_POS=4;
        SET PASSWORD = 'secret-word';
        USE elsewhere
        CREATE TABLE t (a int); LOCK TABLES t WRITE; INSERT INTO t VALUES (1); UNLOCK TABLES;
        """
    )
    assert mysql_site.databases() - before[0] == {scratch.name}
    assert mysql_site.run(accounts) == before[1]
    assert mysql_site.run("SELECT @@GLOBAL.max_connections") == before[2]
    assert set(notes) == {"dump-server-wide"}
    assert "secret-word" not in notes["dump-server-wide"].message
    assert notes["dump-server-wide"].message.startswith(
        "base.sql: 9 statements (the first in line 2) left out"
    )
    assert server.query(scratch, "SELECT a FROM t") == [(1,)]


REFUSED = [
    ("USE other;", "USE other leaves"),
    ("source /etc/passwd", "source is a command"),
    ("\\. /etc/passwd", r"\\\. is a command"),
    ("\\! touch {flag}", r"\\! is a command"),
    ("system touch {flag}", "system is a command"),
    ("LOAD DATA INFILE '/etc/passwd' INTO TABLE t;", "reads a file"),
    ("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;", "reads a file"),
    ("SELECT 1 INTO OUTFILE '{flag}';", "writes a file"),
    ("/*!50000 SELECT 1 INTO DUMPFILE '{flag}' */;", "writes a file"),
    ("XA START 'x';", "prepared transaction"),
    ("ROLLBACK;", "takes back"),
]


@pytest.mark.parametrize(("text", "why"), REFUSED, ids=[text for text, _ in REFUSED])
def test_what_would_leave_the_scratch_database(load: Load, tmp_path: Path, text: str, why: str) -> None:
    flag = tmp_path / "flag"
    with pytest.raises(ConfigurationError, match=why) as caught:
        load("USE app;\nCREATE TABLE t (a text);\n" + text.replace("{flag}", str(flag)))
    assert caught.value.code == "dump-refused"
    assert re.search(r"base\.sql:3: ", caught.value.message)
    assert not flag.exists()


def test_another_database_by_its_name_is_out_of_reach(mysql_site: MysqlSite, load: Load, rich: str) -> None:
    with pytest.raises(CouldNotEvaluate, match=r"base\.sql:2: .*denied"):
        load("CREATE TABLE t (a int);\nINSERT INTO rich.parent VALUES (99);")
    assert mysql_site.run("SELECT count(*) FROM rich.parent") == [(2,)]


FAILING = [
    ("CREATE TABLE t (a int);\nINSERT INTO\n nowhere VALUES (1);", 2, "nowhere", "dump-failed"),
    ("CREATE TABLE t (a int);\n\nSELECT 1\n FRO t x y;", 4, "syntax", "dump-failed"),
    ("CREATE TABLE t (a int);\nINSERT INTO t VALUES ('x", 2, "a string begins here", "dump-unreadable"),
    ("-- MariaDB dump 10.19\nCREATE TABLE t (a int);\n", 3, "cut off", "dump-unreadable"),
    (
        "CREATE TABLE t (a int);\nBEGIN;\nINSERT INTO t VALUES (1);",
        3,
        "within a transaction",
        "dump-unreadable",
    ),
]


@pytest.mark.parametrize(("text", "line", "says", "code"), FAILING)
def test_a_fault_is_named_with_file_and_line(load: Load, text: str, line: int, says: str, code: str) -> None:
    with pytest.raises(
        (CouldNotEvaluate, ConfigurationError), match=rf"base\.sql:{line}: .*{says}"
    ) as caught:
        load(text)
    assert caught.value.code == code


def test_a_dump_of_postgresql(load: Load) -> None:
    with pytest.raises(ConfigurationError, match="a PostgreSQL dump, and the proof runs on mysql"):
        load("--\n-- PostgreSQL database dump\n--\n\nSET x = 1;")
