"""A clone on MySQL and MariaDB is our own dump and load; held against what the server's own dump says."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from converger.errors import CouldNotEvaluate
from converger.proof.fingerprints import read_fingerprint
from converger.proof.mysql import MysqlServer
from converger.proof.scratch import Scratch
from converger.proof.versiontable import version_rows

from .conftest import MysqlSite

SCHEMA = [
    "ALTER DATABASE {db} CHARACTER SET latin1 COLLATE latin1_german1_ci",
    # A key to a table that comes later, one to itself, and a cycle.
    "CREATE TABLE a_child (id INT AUTO_INCREMENT PRIMARY KEY, parent INT, self INT, name VARCHAR(20))",
    "CREATE TABLE b_parent (id INT PRIMARY KEY, child INT,"
    " CONSTRAINT back FOREIGN KEY (child) REFERENCES a_child (id) ON DELETE SET NULL)",
    "ALTER TABLE a_child ADD FOREIGN KEY (parent) REFERENCES b_parent (id),"
    " ADD CONSTRAINT itself FOREIGN KEY (self) REFERENCES a_child (id) ON UPDATE CASCADE",
    "INSERT INTO b_parent VALUES (1, NULL), (2, NULL)",
    "INSERT INTO a_child VALUES (10, 1, NULL, 'ten'), (11, 2, 10, 'é')",
    "UPDATE b_parent SET child = 11 WHERE id = 1",
    "ALTER TABLE a_child AUTO_INCREMENT = 5000",
    # What must not be given, must not be changed, or is not seen by `*`.
    "CREATE TABLE computed (a INT, twice INT AS (a * 2) STORED, thrice INT AS (a * 3) VIRTUAL,"
    " at TIMESTAMP(6) DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6), KEY (thrice))",
    "INSERT INTO computed (a, at) VALUES (1, '2001-02-03 04:05:06.789'), (2, '2002-02-03')",
    "CREATE TABLE zero (id INT AUTO_INCREMENT PRIMARY KEY, at DATETIME)",
    "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO'",
    "INSERT INTO zero VALUES (0, '0000-00-00'), (1, '2001-00-00')",
    "SET SESSION sql_mode = DEFAULT",
    "CREATE TABLE `odd ``name. é` (`a ``column` INT COMMENT 'it''s \\\\ here', `select` JSON, b BIT(3), bin VARBINARY(9))",
    "INSERT INTO `odd ``name. é` VALUES (1, '{{\"k\": [1]}}', b'101', x'00ff27')",
    "CREATE TABLE big (id INT, what ENUM('x', 'y''z'), body LONGTEXT CHARACTER SET utf8mb4,"
    " CHECK (id > 0), FULLTEXT KEY (body)) COMMENT='a comment'",
    "INSERT INTO big VALUES (1, 'y''z', REPEAT('ü', 100000))",
    "CREATE TABLE parted (id INT, PRIMARY KEY (id)) PARTITION BY RANGE (id)"
    " (PARTITION low VALUES LESS THAN (10), PARTITION rest VALUES LESS THAN MAXVALUE)",
    "INSERT INTO parted VALUES (5), (50)",
    "CREATE TABLE other_engine (id INT) ENGINE=MyISAM",
    "INSERT INTO other_engine VALUES (3)",
    # Views on views, in an order that is not that of their names, and on a function.
    "CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN x * 2",
    "CREATE VIEW v_first AS SELECT twice(id) AS id, name FROM a_child WHERE name LIKE 't%%'",
    "CREATE SQL SECURITY INVOKER VIEW m_second AS SELECT * FROM v_first",
    "CREATE ALGORITHM=MERGE VIEW a_third AS SELECT id FROM m_second WHERE id > 0 WITH LOCAL CHECK OPTION",
    # Definitions depend on what the session was set to.
    "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'",
    "CREATE PROCEDURE quoted(OUT r VARCHAR(9)) COMMENT 'c' BEGIN SELECT 'a' || \"name\" INTO r FROM a_child LIMIT 1; END",
    "SET SESSION sql_mode = DEFAULT",
    "SET collation_connection = utf8mb4_bin",
    "CREATE PROCEDURE {db}.compare() SELECT 'A' = 'a'",
    "CREATE TRIGGER z_first BEFORE INSERT ON zero FOR EACH ROW SET NEW.at = '2020-01-01'",
    "CREATE TRIGGER a_second BEFORE INSERT ON zero FOR EACH ROW FOLLOWS z_first SET NEW.at = NEW.at + INTERVAL 1 DAY",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2038-01-01' DISABLE COMMENT 'c' DO DELETE FROM zero",
]
MARIADB = [
    "CREATE SEQUENCE counter START WITH 100 INCREMENT BY 10 CACHE 5 CYCLE MAXVALUE 1000",
    "SELECT NEXTVAL(counter)",
    "CREATE TABLE counted (id INT DEFAULT NEXTVAL(counter), hidden INT INVISIBLE DEFAULT 4)",
    "INSERT INTO counted (id, hidden) VALUES (DEFAULT, 8)",
    "CREATE TABLE past (id INT) WITH SYSTEM VERSIONING",
    "INSERT INTO past VALUES (1)",
    "UPDATE past SET id = 2",
    "CREATE TABLE past_named (id INT, since TIMESTAMP(6) GENERATED ALWAYS AS ROW START,"
    " till TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (since, till)) WITH SYSTEM VERSIONING",
    "INSERT INTO past_named (id) VALUES (1)",
    "DELETE FROM past_named",
]


def load(server: MysqlServer, scratch: Scratch, *statements: str) -> None:
    with server.loading(scratch) as loading:
        for statement in statements:
            loading.execute(statement.format(db=scratch.name).encode())


def dump(site: MysqlSite, database: str) -> str:
    """What the server's own program writes, without the one thing that must differ."""
    program = shutil.which("mariadb-dump") or shutil.which("mysqldump")
    assert program is not None
    answer = subprocess.run(
        [
            program,
            "--no-defaults",
            "--host=127.0.0.1",
            f"--port={site.url.port}",
            f"--user={site.url.user}",
            f"--password={site.url.password}",
            *"--routines --events --triggers --skip-dump-date --skip-comments --order-by-primary --hex-blob".split(),
            "--databases",
            database,
        ],
        capture_output=True,
        check=True,
    )
    # MySQL says whether a column's character set was written out, which a dump does wherever it is not the
    # table's; it means the same.
    text = re.sub(r"CHARACTER SET \w+ COLLATE", "COLLATE", answer.stdout.decode())
    return text.replace(database, "DB")


def test_the_servers_own_dump_of_a_clone_is_that_of_its_source(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        source = server.create()
        mariadb = "MariaDB" in server.server_version
        load(server, source, *SCHEMA, *(MARIADB if mariadb else ()))
        copy = server.clone(source)
        again = server.clone(copy)
        expected = dump(mysql_site, source.name)
        assert expected.count("INSERT INTO") >= 8 and "nightly" in expected and "a_second" in expected
        assert dump(mysql_site, copy.name).splitlines() == expected.splitlines()
        assert dump(mysql_site, again.name).splitlines() == expected.splitlines()
        assert read_fingerprint(server, copy, exclude=frozenset()) == read_fingerprint(
            server, source, exclude=frozenset()
        )
        # Each works on its own tables.
        load(server, copy, "INSERT INTO zero VALUES (NULL, NULL)", "DELETE FROM other_engine")
        rows = "SELECT id, CAST(at AS CHAR) FROM zero ORDER BY id"
        assert server.query(copy, rows)[-1] == (2, "2020-01-02 00:00:00")
        assert len(server.query(source, rows)) == 2
        assert server.query(source, "SELECT * FROM other_engine") == [(3,)]
        assert server.query(copy, "SELECT id FROM a_third") == [(20,)]
        if mariadb:
            history = "SELECT id, row_start, row_end FROM past FOR SYSTEM_TIME ALL ORDER BY id"
            assert len(server.query(source, history)) == 2
            assert server.query(copy, history) == server.query(source, history)
            named = "SELECT * FROM past_named FOR SYSTEM_TIME ALL"
            assert server.query(copy, named) == server.query(source, named) != []
            # What the source had in reserve is gone with it, as when a server is stopped.
            assert server.query(copy, "SELECT next_not_cached_value FROM counter") == server.query(
                source, "SELECT next_not_cached_value FROM counter"
            )


def test_many_tables(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        source = server.create()
        load(server, source, *(f"CREATE TABLE t{n} (id INT)" for n in range(450)))
        load(server, source, *(f"INSERT INTO t{n} VALUES ({n})" for n in range(0, 450, 3)))
        copy = server.clone(source)
        assert read_fingerprint(server, copy, exclude=frozenset()) == read_fingerprint(
            server, source, exclude=frozenset()
        )
        counted = server.query_all(copy, [f"SELECT COUNT(*), SUM(id) FROM t{n}" for n in range(450)])
        assert [rows[0][0] for rows in counted] == [1 if n % 3 == 0 else 0 for n in range(450)]


def test_a_view_that_stands_on_nothing_is_said(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        source = server.create()
        load(server, source, "CREATE TABLE t (id INT)", "CREATE VIEW v AS SELECT id FROM t", "DROP TABLE t")
        with pytest.raises(CouldNotEvaluate) as caught:
            server.clone(source)
        assert caught.value.code == "dangling-view"
        assert "cannot be used, v, so" in caught.value.message
    assert mysql_site.ours() == set(), "the half copy is gone"


def test_a_source_that_is_gone(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        source = server.create()
        server.drop(source)
        with pytest.raises(CouldNotEvaluate, match="Unknown database"):
            server.clone(source)


def test_version_rows(mysql_site: MysqlSite) -> None:
    with mysql_site.open() as server:
        scratch = server.create()
        assert version_rows(server, scratch, "alembic_version", None) is None
        name = "odd `table` \\ name"
        quoted = "`" + name.replace("`", "``") + "`"
        load(server, scratch, f"CREATE TABLE {quoted} (version_num VARCHAR(32))")
        assert version_rows(server, scratch, name, None) == ()
        load(server, scratch, f"INSERT INTO {quoted} VALUES ('b'), ('a')")
        assert version_rows(server, scratch, name, None) == ("a", "b")
        assert version_rows(server, scratch, name, scratch.name) == ("a", "b")
        assert version_rows(server, scratch, name, "not_there") is None
        assert version_rows(server, scratch, "user", "mysql") is None, "that is not ours to see"
