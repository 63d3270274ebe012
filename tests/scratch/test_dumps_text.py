"""SQL text is taken apart as the client programs do it, wherever the blocks that are read end."""

from __future__ import annotations

import io
import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converger.proof import sqlsplitter
from converger.proof.sqltext import SplitError, read_statements

from .conftest import Site

POSTGRES = r"""-- a comment;
SET client_encoding = 'UTF8'; /* a /* nested ; */ ; */ SELECT 'a;''b', E'x\';y\\', "q;""z", $$;$$, $a$ $$ ; $a$, a$b$c, 1;
SELECT e'\'', 'e', U&'\0041;', name'x', somee'\'; SELECT '\'; SELECT $1, $1a;
CREATE FUNCTION f(a text DEFAULT $$;$$) RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
create or replace procedure p() language sql begin atomic; select 1; end; CREATE TABLE begin_ (case_ int, "end" text);
COPY t (a, b) FROM stdin;
1	x;y
2	\\.
\.x
\.
COPY e FROM stdin WITH (FORMAT csv);
\.
\connect foo bar
CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); ;; select 1 --x;
 + 2 /* ; */ - 3 / 4;
SET standard_conforming_strings = off;
SELECT 'it\'s; on', 1;
SET standard_conforming_strings = on;
SELECT 'it\', 1;
SELECT 5"""
POSTGRES_EXPECTED = [
    (2, "SET client_encoding = 'UTF8'"),
    (2, """SELECT 'a;''b', E'x\\';y\\\\', "q;""z", $$;$$, $a$ $$ ; $a$, a$b$c, 1"""),
    (3, r"""SELECT e'\'', 'e', U&'\0041;', name'x', somee'\'"""),
    (3, r"SELECT '\'"),
    (3, "SELECT $1, $1a"),
    (
        4,
        "CREATE FUNCTION f(a text DEFAULT $$;$$) RETURNS int BEGIN ATOMIC"
        " SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
    ),
    (5, "create or replace procedure p() language sql begin atomic; select 1; end"),
    (5, 'CREATE TABLE begin_ (case_ int, "end" text)'),
    (6, "COPY t (a, b) FROM stdin", 7, "1\tx;y\n2\t\\\\.\n\\.x\n"),
    (11, "COPY e FROM stdin WITH (FORMAT csv)", 12, ""),
    (13, "\\connect foo bar", "command"),
    (14, "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)"),
    (14, "select 1 --x;\n + 2 /* ; */ - 3 / 4"),
    (16, "SET standard_conforming_strings = off"),
    (17, "SELECT 'it\\'s; on', 1"),
    (18, "SET standard_conforming_strings = on"),
    (19, "SELECT 'it\\', 1"),
    (20, "SELECT 5"),
]

MYSQL = r"""/*M!999999\- enable the sandbox mode */
-- MariaDB dump 10.19  Distrib 10.11.6-MariaDB
/*!40101 SET NAMES utf8mb4 */; /* ; */
USE `app2`;
# it's a comment;
INSERT INTO `t` VALUES (1,'a\';b\\',"x\";","y"";",`z;``;`), (5--3); SELECT 1 -- it's;
 , 2 # ;
 ;
DELIMITER ;;
/*!50003 CREATE*/ /*!50017 DEFINER=`a;;`@`%`*/ /*!50003 TRIGGER x BEGIN
 SELECT 1; SELECT ';;';
END */;;
DELIMITER ;
/*!50003 SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES' */ ;
SELECT '\', 1;
/*!50003 SET sql_mode = @saved */ ;
SELECT '\';', 1;
delimiter //
CREATE PROCEDURE p() BEGIN SELECT 4 / 2; END//
source /etc/x
\! ls
-- Dump completed on 2024-01-01
"""
MYSQL_EXPECTED = [
    (3, "/*!40101 SET NAMES utf8mb4 */"),
    (4, "USE `app2`", "command"),
    (6, r"""INSERT INTO `t` VALUES (1,'a\';b\\',"x\";","y"";",`z;``;`), (5--3)"""),
    (6, "SELECT 1 -- it's;\n , 2 # ;"),
    (
        10,
        "/*!50003 CREATE*/ /*!50017 DEFINER=`a;;`@`%`*/ /*!50003 TRIGGER x BEGIN\n SELECT 1; SELECT ';;';\nEND */",
    ),
    (14, "/*!50003 SET sql_mode = 'ANSI,NO_BACKSLASH_ESCAPES' */"),
    (15, "SELECT '\\', 1"),
    (16, "/*!50003 SET sql_mode = @saved */"),
    (17, "SELECT '\\';', 1"),
    (19, "CREATE PROCEDURE p() BEGIN SELECT 4 / 2; END"),
    (20, "source /etc/x", "command"),
    (21, "\\! ls", "command"),
]

SQLITE = """PRAGMA foreign_keys=OFF; -- ;
# of the shell
CREATE TABLE "a;""b" ([c;] text DEFAULT 'd;''\\', `e;` text); /* ; */
CREATE TRIGGER t AFTER INSERT ON x BEGIN
  SELECT CASE WHEN 1 THEN 'END;' END; -- END;
END; INSERT INTO "é" VALUES('END;');
.read x.sql
CREATE TEMP TRIGGER u AFTER INSERT ON x BEGIN SELECT 1; END;
SELECT 1 /* never ends"""
SQLITE_EXPECTED = [
    (1, "PRAGMA foreign_keys=OFF"),
    (3, "CREATE TABLE \"a;\"\"b\" ([c;] text DEFAULT 'd;''\\', `e;` text)"),
    (
        4,
        "CREATE TRIGGER t AFTER INSERT ON x BEGIN\n  SELECT CASE WHEN 1 THEN 'END;' END; -- END;\nEND",
    ),
    (6, "INSERT INTO \"é\" VALUES('END;')"),
    (7, ".read x.sql", "command"),
    (8, "CREATE TEMP TRIGGER u AFTER INSERT ON x BEGIN SELECT 1; END"),
]


class Dripping:
    """A file that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._file = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._file.read(min(size, self._size))


def taken_apart(text: str, dialect: str, size: int = 1 << 20) -> Iterator[tuple[object, ...]]:
    for statement in read_statements(Dripping(text.encode(), size), dialect):
        if statement.data is not None:
            yield statement.line, statement.text, statement.data_line, b"".join(statement.data).decode()
        elif statement.command:
            yield statement.line, statement.text, "command"
        else:
            yield statement.line, statement.text


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1 << 20])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        ("postgresql", POSTGRES, POSTGRES_EXPECTED),
        ("mysql", MYSQL, MYSQL_EXPECTED),
        ("mariadb", MYSQL, MYSQL_EXPECTED),
    ],
)
def test_a_text_with_everything_in_it(
    dialect: str, text: str, expected: list[tuple[object, ...]], size: int, line_end: str
) -> None:
    found = list(taken_apart(text.replace("\n", line_end), dialect, size))
    assert found == [
        tuple(part.replace("\n", line_end) if isinstance(part, str) else part for part in statement)
        for statement in expected
    ]


@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_sqlite_text(size: int) -> None:
    found = []
    with pytest.raises(SplitError, match="line 9: a comment begins here"):
        for statement in taken_apart(SQLITE, "sqlite", size):
            found.append(statement)
    assert found == SQLITE_EXPECTED


def test_data_that_nobody_read_is_passed_over() -> None:
    text = b"COPY t FROM stdin;\n1\n2\n\\.\nSELECT 1;"
    assert [statement.text for statement in read_statements(text, "postgresql")] == [
        "COPY t FROM stdin",
        "SELECT 1",
    ]


UNFINISHED = [
    ("postgresql", "SELECT 1;\n\nSELECT 'a", 3, "a string"),
    ("postgresql", 'SELECT 1;\nSELECT\n "a', 3, "a quoted name"),
    ("postgresql", "SELECT $a$ $b$", 1, "a dollar-quoted string"),
    ("postgresql", "SELECT 1 /* /* */", 1, "a comment"),
    ("postgresql", "COPY t FROM stdin;\n1\n2", 2, r"do not end with \\\."),
    ("postgresql", "COPY t FROM stdin; SELECT 1;\n1\n\\.\n", 1, "in the same line"),
    ("postgresql", "SELECT 1\n\\gexec\n", 2, "psql command"),
    ("mysql", "SELECT 'a\\'", 1, "a string"),
    ("mysql", "DELIMITER\nSELECT 1;", 1, "names none"),
    ("mysql", "-- MySQL dump 10.13\nSELECT 1;\n", 3, "cut off"),
    ("sqlite", "CREATE TABLE [t (a);", 1, "a quoted name"),
]


@pytest.mark.parametrize(("dialect", "text", "line", "what"), UNFINISHED)
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_text_that_ends_too_early(dialect: str, text: str, line: int, what: str, size: int) -> None:
    with pytest.raises(SplitError, match=f"line {line}: .*{what}"):
        list(taken_apart(text, dialect, size))


PIECES = {
    "postgresql": [
        "'a;'",
        "E'\\';'",
        '";"',
        "$$;$$",
        "$x$;$$;$x$",
        "/*;/*;*/*/",
        "--;\n",
        "e",
        "$",
        "-",
        "/",
        "'",
        " ",
        "a$",
    ],
    "mysql": ["'a;'", "'\\';'", '";"', "`;`", "/*;*/", "-- ;\n", "#;\n", "/*! 1 */", "-", "/", " ", "--1"],
    "sqlite": ["'a;'", "''", '";"', "`;`", "[;]", "/*;*/", "--;\n", "-", "/", " ", "END"],
}


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_where_blocks_end_makes_no_difference(data: st.DataObject) -> None:
    dialect = data.draw(st.sampled_from(sorted(PIECES)))
    pieces = st.lists(
        st.sampled_from([*PIECES[dialect], "\n", ";", ";", "x", "CREATE TRIGGER ", "BEGIN "]), max_size=12
    )
    text = "".join(data.draw(pieces))

    def outcome(size: int) -> object:
        found: list[object] = []
        try:
            for statement in taken_apart(text, dialect, size):
                found.append(statement)
        except SplitError as error:
            found.append(str(error))
        return found

    whole = outcome(1 << 20)
    assert outcome(1) == whole
    assert outcome(3) == whole


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                *PIECES["sqlite"],
                "\n",
                ";",
                "; ",
                "CREATE TRIGGER x BEGIN SELECT 1; ",
                "END;",
                "CREATE TEMP TABLE x(a);",
            ]
        ),
        max_size=10,
    )
)
def test_sqlite_text_ends_where_sqlite_says(pieces: list[str]) -> None:
    """Each statement but the last is complete for SQLite, and was not one piece earlier."""
    text = "".join(pieces) + "\n;"
    try:
        found = [statement[1] for statement in taken_apart(text, "sqlite") if statement[-1] != "command"]
    except SplitError:
        return
    for statement in found[:-1]:
        assert isinstance(statement, str)
        assert sqlite3.complete_statement(statement + "\n;") or "TRIGGER" in statement


PSQL = r"""SELECT 'a;''b', E'x\';y\\', $$;$$, $a$ $$ ; $a$ AS a$b$c; SELECT 2;
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
SELECT 1 AS begin_, /* ; /* ; */ ; */ 2 -- ;
 ; SELECT ';' AS "x;""y"; SELECT 1 - - 2 / 3;
CREATE TABLE t (a int, b text); CREATE RULE r AS ON DELETE TO t DO (SELECT 1; SELECT 2);
SET standard_conforming_strings = off;
SELECT 'a\';b'; SET standard_conforming_strings = on;
SELECT '\'; SELECT U&'\0041;', e'\';', 'e', n'x'; SELECT 1 AS é$a$, 2 AS "$a$;";
CREATE OR REPLACE PROCEDURE p(a int) BEGIN ATOMIC; SELECT 1; END; SELECT CASE 1 WHEN 1 THEN 2 END; SELECT 5;
COPY t FROM stdin;
1	';
\.
COPY t FROM stdin;
\.
SELECT count(*) FROM t;
"""


@pytest.mark.skipif(shutil.which("psql") is None, reason="there is no psql here")
def test_psql_takes_it_apart_in_the_same_way(site: Site, tmp_path: Path) -> None:
    """psql itself, asked to log the statements that it sends."""
    path, log = tmp_path / "text.sql", tmp_path / "log"
    path.write_text(PSQL)
    site.run("CREATE DATABASE apart")
    url = site.address(database="apart")
    command = ["psql", "-X", "-q", "-o", os.devnull, "-L", str(log), "-f", str(path), url]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0 and "ERROR" not in result.stderr, result.stderr

    def plain(statement: str) -> str:
        """psql leaves comments out and keeps the semicolon."""
        return re.sub(r"--.*|/\*.*\*/|\s+", " ", statement).strip(" ;")

    sent = re.findall(r"\*{9} QUERY \*{10}\n(.*?)\n\*{26}\n", log.read_text(), re.DOTALL)
    ours = [str(statement[1]) for statement in taken_apart(PSQL, "postgresql")]
    assert [plain(statement) for statement in ours] == [plain(statement) for statement in sent]
    assert len(ours) == 20


def test_a_long_statement_is_read_in_linear_time() -> None:
    def seconds(rows: int) -> float:
        text = (
            b"INSERT INTO t VALUES " + b",".join([b"(1,'it''s a text; \\\\ with things\\'')"] * rows) + b";"
        )
        began = time.process_time()
        assert len(list(read_statements(text, "mysql"))) == 1
        return time.process_time() - began

    assert sqlsplitter.BLOCK == 1 << 20
    small = min(seconds(30_000) for _ in range(3))
    assert seconds(240_000) < 8 * small * 3
