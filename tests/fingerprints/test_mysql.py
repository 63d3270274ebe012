"""What is a fact of a MySQL or MariaDB database, and what is the same reached otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from converger.proof.embedded_mariadb import start_mariadb
from converger.proof.facts import Fact, Fingerprint, Mask, differences
from converger.proof.fingerprints import explain_rows, noise, not_compared, read_fingerprint
from converger.proof.fingerprints.data import ROW_LIMIT, reader_of
from converger.proof.fingerprints.mysqlsql import parse_table
from converger.proof.mysql import MysqlServer
from converger.proof.scratch import Scratch
from tests.fingerprints.conftest import NONE, VERSION
from tests.fingerprints.test_data import CONTENT_DIFFERS


@pytest.fixture(scope="module")
def maria() -> Iterator[MysqlServer]:
    embedded = start_mariadb(lambda text: None)
    with MysqlServer(embedded.url, progress=lambda text: None, stop=embedded.stop) as server:
        yield server


def build(server: MysqlServer, *statements: str, source: Scratch | None = None) -> Scratch:
    scratch = server.clone(source) if source else server.create()
    with server.loading(scratch) as loading:
        for statement in statements:
            loading.execute(statement.replace("{db}", scratch.name).encode())
    return scratch


def read(server: MysqlServer, scratch: Scratch, **options: object) -> Fingerprint:
    return read_fingerprint(server, scratch, exclude=VERSION, **options)  # type: ignore[arg-type]


def of(server: MysqlServer, *statements: str, **options: object) -> Fingerprint:
    scratch = build(server, *statements)
    try:
        return read(server, scratch, **options)
    finally:
        server.drop(scratch)


PARENT = (
    "CREATE TABLE p (id INT PRIMARY KEY, n VARCHAR(20)) ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_bin"
)
TABLE = (
    "CREATE TABLE t (id INT UNSIGNED NOT NULL AUTO_INCREMENT, name VARCHAR(20) DEFAULT 'x' COMMENT 'the name',"
    " p_id INT, n DECIMAL(10, 2), g INT AS (p_id + 1) STORED, at TIMESTAMP NULL ON UPDATE CURRENT_TIMESTAMP,"
    " e ENUM('a', 'it''s, (b'), PRIMARY KEY (id), UNIQUE KEY uq (name, p_id), KEY ix (n, name(5) DESC),"
    " CONSTRAINT ck CHECK (n > 0), CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)"
    " ENGINE=InnoDB CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='of things'"
)
REST = (
    "CREATE TABLE v_parts (id INT NOT NULL) ENGINE=InnoDB PARTITION BY RANGE (id)"
    " (PARTITION low VALUES LESS THAN (10), PARTITION rest VALUES LESS THAN MAXVALUE)",
    "CREATE VIEW v AS SELECT name FROM {db}.t WHERE n > 1",
    "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW UPDATE p SET n = 'x'",
    "CREATE FUNCTION f(a INT, b VARCHAR(9)) RETURNS INT DETERMINISTIC COMMENT 'doubles' RETURN a * 2",
    "CREATE PROCEDURE c(IN a INT, OUT b INT) MODIFIES SQL DATA DELETE FROM {db}.p",
    "CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2038-01-01' DISABLE DO DELETE FROM p",
    "CREATE SEQUENCE s START WITH 100 INCREMENT BY 10 MAXVALUE 1000",
    "CREATE TABLE numbered (id INT DEFAULT NEXTVAL(s)) ENGINE=InnoDB",
)
BASE = ("ALTER DATABASE {db} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin", PARENT, TABLE, *REST)


@pytest.fixture(scope="module")
def base(maria: MysqlServer) -> Scratch:
    return build(maria, *BASE)


@pytest.fixture(scope="module")
def base_facts(maria: MysqlServer, base: Scratch) -> frozenset[Fact]:
    return read(maria, base).facts


OPTIONS = "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"


def test_facts_as_a_developer_reads_them(base_facts: frozenset[Fact]) -> None:
    assert {fact for fact in base_facts if fact.kind != "database setting"} == {
        Fact("table", "p", OPTIONS),
        Fact("column", "p.id", "int(11) not null"),
        Fact("column", "p.n", "varchar(20) collate utf8mb4_bin"),
        Fact("primary key", "p", "(id)"),
        Fact("table", "t", OPTIONS),
        Fact("table comment", "t", "'of things'"),
        Fact("column", "t.id", "int(10) unsigned not null auto_increment"),
        Fact("column", "t.name", "varchar(20) collate utf8mb4_bin default 'x'"),
        Fact("column comment", "t.name", "'the name'"),
        Fact("column", "t.p_id", "int(11)"),
        Fact("column", "t.n", "decimal(10,2)"),
        Fact("column", "t.g", "int(11) generated always as (p_id + 1) stored"),
        Fact("column", "t.at", "timestamp on update current_timestamp()"),
        Fact("column", "t.e", "enum('a','it''s, (b') collate utf8mb4_bin"),
        Fact("primary key", "t", "(id)"),
        Fact("index", "t.uq", "unique on t (name,p_id)"),
        Fact("index", "t.ix", "on t (n,name(5) desc)"),
        Fact("index", "t.fk", "on t (p_id)"),
        Fact("check constraint", "t.ck", "n > 0"),
        Fact("foreign key", "t.fk", "(p_id) references p (id) on delete cascade"),
        Fact(
            "table",
            "v_parts",
            f"{OPTIONS} PARTITION BY RANGE (id) (PARTITION low VALUES LESS THAN (10) ENGINE = InnoDB,"
            " PARTITION rest VALUES LESS THAN MAXVALUE ENGINE = InnoDB)",
        ),
        Fact("column", "v_parts.id", "int(11) not null"),
        Fact("view", "v", "as select t.name AS name from t where t.n > 1"),
        Fact("trigger", "t.g", "after insert on t: UPDATE p SET n = 'x'"),
        Fact("function", "f", "(a int(11), b varchar(9)) returns int(11) deterministic RETURN a * 2"),
        Fact("function comment", "f", "doubles"),
        Fact("procedure", "c", "(in a int(11), out b int(11)) modifies sql data DELETE FROM p"),
        Fact("event", "nightly", "every 1 day in +00:00 disabled do DELETE FROM p"),
        Fact(
            "sequence",
            "s",
            "start with 100 minvalue 1 maxvalue 1000 increment by 10 cache 1000 nocycle engine=innodb",
        ),
        Fact("table", "numbered", OPTIONS),
        Fact("column", "numbered.id", "int(11) default nextval(s)"),
    }


def test_a_clone_is_the_same(maria: MysqlServer) -> None:
    rows = ("INSERT INTO p VALUES (1, 'a')", "INSERT INTO t (name, p_id) VALUES ('a', 1), ('b', NULL)")
    source = build(maria, *BASE, *rows)
    assert read(maria, maria.clone(source)) == read(maria, source)
    assert read(maria, build(maria, *BASE, *rows)) == read(maria, source), "the name is nowhere"


CHANGES = """
column t.more: ALTER TABLE t ADD COLUMN more INT
column t.more: ALTER TABLE t ADD COLUMN more INT INVISIBLE
column t.at: ALTER TABLE t DROP COLUMN at
column t.n: ALTER TABLE t MODIFY n DECIMAL(10, 3)
column t.n: ALTER TABLE t MODIFY n DECIMAL(10, 2) NOT NULL
column t.n: ALTER TABLE t MODIFY n DECIMAL(10, 2) DEFAULT 0
column comment t.n: ALTER TABLE t MODIFY n DECIMAL(10, 2) COMMENT 'money'
check constraint t.n: ALTER TABLE t MODIFY n DECIMAL(10, 2) CHECK (n > 1)
column t.n: ALTER TABLE t MODIFY n DECIMAL(10, 2) UNSIGNED
column t.name: ALTER TABLE t MODIFY name VARCHAR(20) COLLATE utf8mb4_general_ci DEFAULT 'x' COMMENT 'the name'
column t.name: ALTER TABLE t MODIFY name VARCHAR(20) CHARACTER SET latin1 DEFAULT 'x' COMMENT 'the name'
column t.name: ALTER TABLE t MODIFY name VARCHAR(20) DEFAULT 'X' COMMENT 'the name'
column comment t.name: ALTER TABLE t MODIFY name VARCHAR(20) DEFAULT 'x' COMMENT 'The name'
column comment t.name: ALTER TABLE t MODIFY name VARCHAR(20) DEFAULT 'x'
column t.id: ALTER TABLE t MODIFY id INT UNSIGNED NOT NULL
column t.g: ALTER TABLE t MODIFY g INT AS (p_id + 2) STORED
column t.at: ALTER TABLE t MODIFY at TIMESTAMP NULL
column t.at: ALTER TABLE t MODIFY at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP
column t.e: ALTER TABLE t MODIFY e ENUM('it''s, (b', 'a')
column t.e: ALTER TABLE t MODIFY e ENUM('a', 'it''s, (b', 'c')
index t.ix: ALTER TABLE t DROP INDEX ix
index t.ix, index t.ix2: ALTER TABLE t RENAME INDEX ix TO ix2
index t.ix: ALTER TABLE t DROP INDEX ix, ADD INDEX ix (n, name(5))
index t.ix: ALTER TABLE t DROP INDEX ix, ADD INDEX ix (n, name(6) DESC)
index t.ix: ALTER TABLE t DROP INDEX ix, ADD INDEX ix (name(5) DESC, n)
index t.ix: ALTER TABLE t DROP INDEX ix, ADD UNIQUE INDEX ix (n, name(5) DESC)
index t.words: ALTER TABLE t ADD FULLTEXT INDEX words (name)
index t.ix: ALTER TABLE t ALTER INDEX ix IGNORED
index p.id, primary key p: ALTER TABLE p DROP PRIMARY KEY, ADD UNIQUE (id)
check constraint t.ck: ALTER TABLE t DROP CONSTRAINT ck
check constraint t.ck: ALTER TABLE t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (n >= 0)
check constraint t.ck, check constraint t.ck2: ALTER TABLE t DROP CONSTRAINT ck, ADD CONSTRAINT ck2 CHECK (n > 0)
foreign key t.fk: ALTER TABLE t DROP FOREIGN KEY fk
foreign key t.fk: ALTER TABLE t DROP FOREIGN KEY fk; ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id)
foreign key t.fk, foreign key t.fk2: ALTER TABLE t DROP FOREIGN KEY fk; ALTER TABLE t ADD CONSTRAINT fk2 FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE
table numbered: ALTER TABLE numbered ENGINE=Aria
table comment t: ALTER TABLE t COMMENT='of others'
table t: ALTER TABLE t ROW_FORMAT=COMPRESSED
table v_parts: ALTER TABLE v_parts REORGANIZE PARTITION low INTO (PARTITION low VALUES LESS THAN (5), PARTITION mid VALUES LESS THAN (10))
table v_parts: ALTER TABLE v_parts REMOVE PARTITIONING
database setting collation: ALTER DATABASE {db} COLLATE utf8mb4_general_ci
column more.id, table more: CREATE TABLE more (id INT)
column numbered.id, table numbered: DROP TABLE numbered
view v: DROP VIEW v
view v: CREATE OR REPLACE VIEW v AS SELECT name FROM t WHERE n > 2
view v: CREATE OR REPLACE SQL SECURITY INVOKER VIEW v AS SELECT name FROM t WHERE n > 1
view v: CREATE OR REPLACE ALGORITHM=TEMPTABLE VIEW v AS SELECT name FROM t WHERE n > 1
view v: CREATE OR REPLACE VIEW v AS SELECT name FROM t WHERE n > 1 WITH CHECK OPTION
trigger t.h: CREATE TRIGGER h AFTER INSERT ON t FOR EACH ROW PRECEDES g UPDATE p SET n = 'y'
trigger t.g: DROP TRIGGER g
trigger t.g: CREATE OR REPLACE TRIGGER g BEFORE INSERT ON t FOR EACH ROW UPDATE p SET n = 'x'
trigger t.g: CREATE OR REPLACE TRIGGER g AFTER INSERT ON t FOR EACH ROW UPDATE p SET n = 'X'
function f, function comment f: DROP FUNCTION f
function f: CREATE OR REPLACE FUNCTION f(a INT, b VARCHAR(9)) RETURNS INT DETERMINISTIC COMMENT 'doubles' RETURN a * 3
function f: CREATE OR REPLACE FUNCTION f(a INT, b VARCHAR(8)) RETURNS INT DETERMINISTIC COMMENT 'doubles' RETURN a * 2
function f: CREATE OR REPLACE FUNCTION f(a INT, b VARCHAR(9)) RETURNS BIGINT DETERMINISTIC COMMENT 'doubles' RETURN a * 2
function f: CREATE OR REPLACE FUNCTION f(a INT, b VARCHAR(9)) RETURNS INT COMMENT 'doubles' RETURN a * 2
function comment f: ALTER FUNCTION f COMMENT 'something else'
function f: ALTER FUNCTION f SQL SECURITY INVOKER
procedure c: CREATE OR REPLACE PROCEDURE c(INOUT a INT, OUT b INT) MODIFIES SQL DATA DELETE FROM {db}.p
event nightly: ALTER EVENT nightly ENABLE
event nightly: ALTER EVENT nightly ON SCHEDULE EVERY 2 DAY
event nightly: ALTER EVENT nightly DO DELETE FROM t
event nightly: ALTER EVENT nightly ON COMPLETION PRESERVE
sequence s: ALTER SEQUENCE s INCREMENT BY 5
rows p: INSERT INTO p VALUES (1, 'a')
"""
"""What differs after a statement."""

ALONE = """
check constraint t.ck, column t.m, column t.n, index t.ix: ALTER TABLE t RENAME COLUMN n TO m
table t: ALTER TABLE t COLLATE=utf8mb4_general_ci
table t: ALTER TABLE t ADD SYSTEM VERSIONING
procedure c: SET sql_mode = 'ANSI_QUOTES'; CREATE OR REPLACE PROCEDURE c(IN a INT, OUT b INT) MODIFIES SQL DATA DELETE FROM {db}.p
"""
"""The same for what would get into the way of others."""


def _batches() -> list[list[tuple[frozenset[str], str]]]:
    """The changes in groups in which no two are about one object: clones take time."""
    batches = [[_change(line)] for line in ALONE.strip().splitlines()]
    taken: list[set[str]] = []
    alone = len(batches)
    for line in CHANGES.strip().splitlines():
        things, statement = _change(line)
        objects = {thing.rpartition(" ")[2] for thing in things}
        number = next((n for n, others in enumerate(taken) if not others & objects), len(taken))
        if number == len(taken):
            taken.append(set())
            batches.append([])
        taken[number] |= objects
        batches[alone + number].append((things, statement))
    return batches


def _change(line: str) -> tuple[frozenset[str], str]:
    things, _, statement = line.partition(": ")
    return frozenset(things.split(", ")), statement


@pytest.mark.parametrize("batch", _batches(), ids=lambda batch: batch[0][1])
def test_a_change_shows(
    maria: MysqlServer,
    base: Scratch,
    base_facts: frozenset[Fact],
    batch: list[tuple[frozenset[str], str]],
) -> None:
    statements = [part for _, statement in batch for part in statement.split("; ")]
    changed = build(maria, *statements, source=base)
    found = {f"{one.kind} {one.object}" for one in differences(base_facts, read(maria, changed).facts)}
    assert found == {thing for things, _ in batch for thing in things}
    maria.drop(changed)


def test_a_table_that_is_renamed(maria: MysqlServer, base: Scratch, base_facts: frozenset[Fact]) -> None:
    changed = build(maria, "ALTER TABLE t RENAME TO u", source=base)
    moved = {
        Fact(fact.kind, "u" + fact.object[1:], fact.text.replace("on t", "on u", 1))
        if fact.object == "t" or fact.object.startswith("t.")
        else fact
        for fact in base_facts
    }
    assert differences(moved, read(maria, changed).facts) == ()
    maria.drop(changed)


NO_CHANGES = """
ALTER TABLE t AUTO_INCREMENT = 500
ALTER TABLE t MODIFY n DECIMAL(10, 2) AFTER id
ALTER TABLE t DROP FOREIGN KEY fk; ALTER TABLE t ADD CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE ON UPDATE NO ACTION
ALTER TABLE t DROP INDEX ix; ALTER TABLE t ADD INDEX ix (n, name(5) DESC)
ALTER TABLE t DROP COLUMN at; ALTER TABLE t ADD COLUMN at TIMESTAMP NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP
CREATE OR REPLACE VIEW v AS SELECT t.name AS `name` FROM t WHERE (t.n > 1)
ALTER EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01'
SELECT NEXTVAL(s)
CREATE TEMPORARY TABLE passing (id INT)
"""


def test_what_is_no_change_of_the_schema(
    maria: MysqlServer, base: Scratch, base_facts: frozenset[Fact]
) -> None:
    statements = [part for line in NO_CHANGES.strip().splitlines() for part in line.split("; ")]
    changed = build(maria, *statements, source=base)
    assert differences(base_facts, read(maria, changed).facts) == ()
    maria.drop(changed)


def test_asides(maria: MysqlServer) -> None:
    one = of(maria, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)", "CREATE SEQUENCE s")
    other = of(
        maria,
        "CREATE TABLE t (a INT, id INT AUTO_INCREMENT PRIMARY KEY) AUTO_INCREMENT=7",
        "CREATE SEQUENCE s",
        "SELECT NEXTVAL(s)",
    )
    assert one.facts == other.facts
    assert {(each.kind, each.object) for each in differences(one.asides, other.asides)} == {
        ("column order", "t"),
        ("sequence value", "t"),
        ("sequence value", "s"),
    }


def test_triggers_of_one_event_are_in_an_order(maria: MysqlServer) -> None:
    table = "CREATE TABLE t (id INT)"
    a = "CREATE TRIGGER a BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 1"
    b = "CREATE TRIGGER b BEFORE INSERT ON t FOR EACH ROW SET NEW.id = 2"
    other = b.replace("BEFORE INSERT", "BEFORE UPDATE")
    found = differences(of(maria, table, a, b).facts, of(maria, table, b, a).facts)
    assert [(one.object, one.first, one.second) for one in found] == [
        ("t.a", "before insert on t, then b: SET NEW.id = 1", "before insert on t: SET NEW.id = 1"),
        ("t.b", "before insert on t: SET NEW.id = 2", "before insert on t, then a: SET NEW.id = 2"),
    ]
    assert of(maria, table, a, other).facts == of(maria, table, other, a).facts


def test_a_version_table_is_left_out_with_what_hangs_on_it(maria: MysqlServer) -> None:
    version = (
        "CREATE TABLE Alembic_Version (version_num VARCHAR(32) PRIMARY KEY)",
        "INSERT INTO Alembic_Version VALUES ('a')",
        "CREATE TRIGGER g AFTER INSERT ON Alembic_Version FOR EACH ROW DELETE FROM t",
    )
    scratch = build(maria, "CREATE TABLE t (id INT)", *version)
    expected = of(maria, "CREATE TABLE t (id INT)")
    for schema in (None, scratch.name):
        exclude = frozenset({(schema, "alembic_version")})
        assert read_fingerprint(maria, scratch, exclude=exclude) == expected
    other = read_fingerprint(maria, scratch, exclude=frozenset({("other", "alembic_version")}))
    assert ("rows", "Alembic_Version") in {(fact.kind, fact.object) for fact in other.facts}


def test_who_defines_something_is_a_fact_unless_it_is_the_run(maria: MysqlServer) -> None:
    """The project's account is another in each run; other definers come with a dump, or with DEFINER in a migration."""
    table, body = "CREATE TABLE t (id INT)", "FOR EACH ROW SET NEW.id = 1"
    own = of(maria, table, f"CREATE DEFINER=CURRENT_USER TRIGGER a BEFORE INSERT ON t {body}")
    assert Fact("trigger", "t.a", "before insert on t: SET NEW.id = 1") in own.facts
    other = of(
        maria,
        table,
        f"CREATE DEFINER=app@localhost TRIGGER a BEFORE INSERT ON t {body}",
        "CREATE DEFINER=app@localhost PROCEDURE p() SELECT 1",
        "CREATE DEFINER=app@localhost VIEW v AS SELECT 1 AS one",
    )
    assert other.facts >= {
        Fact("trigger", "t.a", "before insert on t: SET NEW.id = 1 [definer app@localhost]"),
        Fact("procedure", "p", "() SELECT 1 [definer app@localhost]"),
        Fact("view", "v", "as select 1 AS one [definer app@localhost]"),
    }


def test_a_view_that_stands_on_nothing_is_read(maria: MysqlServer) -> None:
    found = of(maria, "CREATE TABLE t (id INT)", "CREATE VIEW v AS SELECT id FROM t", "DROP TABLE t")
    assert Fact("view", "v", "as select t.id AS id from t") in found.facts


def test_odd_names(maria: MysqlServer) -> None:
    odd = "a `b. 'c' é, ("
    quoted = "`" + odd.replace("`", "``") + "`"
    scratch = build(
        maria,
        f"CREATE TABLE {quoted} ({quoted} INT PRIMARY KEY COMMENT 'x, \\n) y', KEY {quoted} ({quoted}),"
        f" b VARCHAR(90) DEFAULT '\\n  KEY `x` (`y`),\\n', CONSTRAINT {quoted} CHECK ({quoted} > 0))",
        f"INSERT INTO {quoted} VALUES (1, 'x')",
    )
    found = {(fact.kind, fact.object): fact.text for fact in read(maria, scratch).facts}
    assert found["column", f"{odd}.{odd}"] == "int(11) not null"
    assert found["column", f"{odd}.b"].endswith(r"default '\n  KEY `x` (`y`),\n'")
    assert found["column comment", f"{odd}.{odd}"] == r"'x, \n) y'"
    assert found["index", f"{odd}.{odd}"] == f"on {quoted} ({quoted})"
    assert found["check constraint", f"{odd}.{odd}"] == f"{quoted} > 0"
    assert found["rows", odd].startswith("1 row, ")


# -- rows


def rows(server: MysqlServer, *statements: str) -> frozenset[Fact]:
    return frozenset(fact for fact in of(server, *statements).facts if fact.kind == "rows")


DATA = "CREATE TABLE t (a integer, b text, c double precision)"


@pytest.mark.parametrize("case", CONTENT_DIFFERS, ids=lambda case: case[0])
def test_other_rows_are_told_apart(maria: MysqlServer, case: tuple[str, str, str | None]) -> None:
    found = [
        rows(maria, DATA, *([] if values is None else [f"INSERT INTO t VALUES {values}"]))
        for values in case[1:]
    ]
    assert found[0] != found[1]


VALUES = [
    ("INT", "1", "2"),
    ("DECIMAL(30, 10)", "0.0000000001", "0.0000000002"),
    ("FLOAT", "0.1", "0.10000001"),
    ("DOUBLE", "0.1", "0.10000000000000002"),
    ("BIT(3)", "1", "2"),
    ("YEAR", "2024", "2025"),
    ("DATE", "'2024-01-01'", "'2024-01-02'"),
    ("TIME(6)", "'10:00:00'", "'10:00:00.000001'"),
    ("DATETIME(6)", "'2024-01-01'", "'2024-01-01 00:00:00.000001'"),
    ("TIMESTAMP", "'2024-01-01'", "'2024-01-02'"),
    ("CHAR(3)", "'a'", "'A'"),
    ("VARCHAR(9) CHARACTER SET latin1", "'é'", "'e'"),
    ("VARCHAR(9) COLLATE utf8mb4_unicode_ci", "'a'", "'a '"),
    ("VARCHAR(9) COLLATE utf8mb4_bin", "''", "NULL"),
    ("VARCHAR(9) COLLATE utf8mb4_german2_ci", "'N'", "NULL"),
    ("VARCHAR(9) CHARACTER SET ucs2", "'x'", "'y'"),
    ("VARBINARY(9)", "x'00ff'", "x'00fe'"),
    ("BINARY(3)", "x'00'", "x'01'"),
    ("TEXT CHARACTER SET latin1", "'a'", "'A'"),
    ("LONGTEXT", "REPEAT('x', 2000000)", "REPEAT('x', 2000001)"),
    ("BLOB", "x'00ff'", "x'00fe'"),
    ("JSON", "'[1]'", "'[2]'"),
    ("ENUM('a', 'b')", "'a'", "'b'"),
    ("SET('a', 'b')", "'a'", "'a,b'"),
    ("POINT", "POINT(1, 2)", "POINT(1, 3)"),
    ("UUID", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    ("INET6", "'::1'", "'::2'"),
]


def test_values_of_every_type_are_told_apart(maria: MysqlServer) -> None:
    """In one table, so that types and character sets are also put together."""
    columns = ", ".join(f"c{number:02} {type_}" for number, (type_, _, _) in enumerate(VALUES))
    first = [value for _, value, _ in VALUES]
    others = [[*first[:number], value, *first[number + 1 :]] for number, (_, _, value) in enumerate(VALUES)]
    scratch = build(
        maria,
        f"CREATE TABLE t ({columns})",
        *(f"INSERT INTO t VALUES ({', '.join(values)})" for values in (first, *others, first)),
    )
    reader = reader_of(maria)
    table = reader.tables(scratch)[0]
    hashes = reader.row_hashes(scratch, table)
    assert sorted(hashes.values()) == [1] * len(VALUES) + [2]
    assert reader.digests(scratch, [table])["t"].total == sum(key * count for key, count in hashes.items())
    shown = reader.rows(scratch, table, [hashes.most_common(1)[0][0]])
    assert len(shown) == 2 and shown[0] == shown[1]


def test_the_order_of_rows_and_columns_does_not_count(maria: MysqlServer) -> None:
    one = rows(maria, DATA, "INSERT INTO t VALUES (1, 'x', 0.5), (2, NULL, NULL)")
    other = rows(
        maria,
        "CREATE TABLE t (c double precision, a integer, b text)",
        "INSERT INTO t VALUES (NULL, 2, NULL), (0.5, 1, 'x')",
    )
    assert one == other
    assert [fact.text[:8] for fact in one] == ["2 rows, "]
    assert rows(maria, DATA) == rows(maria, DATA, "INSERT INTO t VALUES (1, '', 1)", "DELETE FROM t") == set()
    scratch = build(maria, DATA, "INSERT INTO t VALUES (1, '', 1)")
    assert "rows" not in {fact.kind for fact in read(maria, scratch, data=False).facts}


def test_the_zone_of_the_session_does_not_count(maria: MysqlServer) -> None:
    table = "CREATE TABLE t (at TIMESTAMP NULL DEFAULT '2024-01-01 10:00:00')"
    one = of(maria, "SET time_zone = '+00:00'", table, "INSERT INTO t VALUES ('2024-01-01 12:00:00')")
    other = of(
        maria,
        "SET time_zone = '+02:00'",
        table.replace("10:00", "12:00"),
        "INSERT INTO t VALUES ('2024-01-01 14:00:00')",
    )
    assert one == other


KEYED = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT)"


def test_keys_that_nothing_refers_to_are_an_aside(maria: MysqlServer) -> None:
    one, other, third = (
        of(maria, KEYED, *(f"INSERT INTO t (name) VALUES ('{name}')" for name in names))
        for names in ("abc", "cab", "abd")
    )
    assert one.facts == other.facts != third.facts
    assert {each.object for each in differences(one.asides, other.asides)} == {"t"}
    assert rows(maria, KEYED, "INSERT INTO t (name) VALUES ('a')") == rows(
        maria, KEYED, "INSERT INTO t VALUES (7, 'a')"
    )
    # Nobody but people gives values to this one.
    plain = "CREATE TABLE t (id INT PRIMARY KEY, name TEXT)"
    assert rows(maria, plain, "INSERT INTO t VALUES (1, 'a')") != rows(
        maria, plain, "INSERT INTO t VALUES (2, 'a')"
    )


def test_keys_that_a_row_refers_to_count(maria: MysqlServer) -> None:
    tables = (
        KEYED,
        "CREATE TABLE u (t_id INT, CONSTRAINT fk FOREIGN KEY (t_id) REFERENCES t (id))",
        "INSERT INTO t (name) VALUES ('old')",
        "INSERT INTO u VALUES (1)",
    )
    more = ("INSERT INTO t (name) VALUES ('a')", "INSERT INTO t (name) VALUES ('b')")
    assert rows(maria, *tables, *more) == rows(maria, *tables, *reversed(more))
    refer = "INSERT INTO u VALUES (2)"
    assert rows(maria, *tables, *more, refer) != rows(maria, *tables, *reversed(more), refer)


def test_noise_is_masked(maria: MysqlServer) -> None:
    table = "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name TEXT, token TEXT)"
    one, other = (
        build(maria, table, f"INSERT INTO t (name, token) VALUES ('a', '{token}'), ('b', 'x')")
        for token in ("1", "2")
    )
    found = differences(read(maria, one).facts, read(maria, other).facts)
    mask = noise(maria, one, other, found)
    assert mask == Mask(columns=frozenset({("t", "token")}))
    assert read(maria, one, mask=mask).facts == read(maria, other, mask=mask).facts
    third = build(maria, "UPDATE t SET name = 'c' WHERE id = 1", source=one)
    explained = explain_rows(maria, one, third, "t", mask=mask)
    assert explained is not None
    assert (explained.columns, explained.first, explained.second) == (
        ("name",),
        ("id=1, name=a",),
        ("id=1, name=c",),
    )
    whole = Mask(things=frozenset({("rows", "t"), ("column", "t.name")}))
    kinds = {(fact.kind, fact.object) for fact in read(maria, one, mask=whole).facts}
    assert ("rows", "t") not in kinds and ("column", "t.name") not in kinds and ("column", "t.id") in kinds


def test_too_many_rows_are_said(maria: MysqlServer) -> None:
    many = f"INSERT INTO t SELECT seq FROM seq_1_to_{ROW_LIMIT + 1}"
    found = of(maria, "CREATE TABLE t (id INT) ENGINE=MyISAM", many)
    assert [fact.text for fact in not_compared(found.facts)] == [f"not compared: more than {ROW_LIMIT} rows"]


# -- what belongs to the server


def test_accounts_are_shared_facts_where_they_are_shown() -> None:
    """With an account of the run nothing of it is shown, and nothing of it can be changed."""
    from dataclasses import replace

    from converger.proof import mysqlconnect

    embedded = start_mariadb(lambda text: None)
    try:
        admin = mysqlconnect.connect(embedded.url)
        for statement in (
            "CREATE USER deployer@'%' IDENTIFIED BY 'x'",
            r"GRANT ALL ON `converger\_%`.* TO deployer@'%'",
            "GRANT SELECT ON mysql.* TO deployer@'%'",
        ):
            mysqlconnect.rows(admin, statement)
        url = replace(embedded.url, user="deployer", password="x")
        with MysqlServer(url, progress=lambda text: None) as server:
            assert server.why_not_isolated() is not None
            scratch = server.create()
            before = read_fingerprint(server, scratch, exclude=NONE)
            mysqlconnect.rows(admin, "CREATE USER app@localhost")
            mysqlconnect.rows(admin, "GRANT SELECT (user) ON mysql.user TO app@localhost")
            after = read_fingerprint(server, server.clone(scratch), exclude=NONE)
            assert before.facts == after.facts
            assert after.shared - before.shared == {
                Fact("account", "app@localhost", "usage"),
                Fact("account privileges", "app@localhost on mysql.user.user", "select"),
            }
            assert before.shared <= after.shared
        admin.close()
    finally:
        embedded.stop()


# -- what MySQL prints otherwise

MYSQL_8 = """CREATE TABLE `t` (
  `id` bigint unsigned NOT NULL AUTO_INCREMENT,
  `name` varchar(20) CHARACTER SET latin1 COLLATE latin1_bin DEFAULT NULL COMMENT 'a ''b'' \\\\',
  `hidden` int DEFAULT NULL /*!80023 INVISIBLE */,
  `g` int GENERATED ALWAYS AS ((`hidden` + 1)) VIRTUAL,
  `d` int DEFAULT (`hidden` + 1),
  `at` timestamp NULL DEFAULT NULL ON UPDATE CURRENT_TIMESTAMP,
  `place` point DEFAULT NULL /*!80003 SRID 4326 */,
  PRIMARY KEY (`id`),
  UNIQUE KEY `u` (`name`),
  UNIQUE KEY `prefix` (`name`(3)),
  KEY `low` ((lower(`name`))) /*!80000 INVISIBLE */,
  CONSTRAINT `fk` FOREIGN KEY (`hidden`, `d`) REFERENCES `other`.`p` (`a`, `b`) ON DELETE RESTRICT ON UPDATE CASCADE,
  CONSTRAINT `t_chk_1` CHECK ((`hidden` > 0)) /*!80016 NOT ENFORCED */
) ENGINE=InnoDB AUTO_INCREMENT=12 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci COMMENT='AUTO_INCREMENT=3'
/*!50100 PARTITION BY HASH (`id`)
PARTITIONS 4 */"""


def test_what_mysql_prints() -> None:
    """As its manual shows it; there may be no such server here."""
    table = parse_table(MYSQL_8)
    assert [(column.name, column.text) for column in table.columns] == [
        ("id", "bigint unsigned not null auto_increment"),
        ("name", "varchar(20)"),
        ("hidden", "int invisible"),
        ("g", "int generated always as ((hidden + 1)) virtual"),
        ("d", "int default (hidden + 1)"),
        ("at", "timestamp on update current_timestamp"),
        ("place", "point srid 4326"),
    ]
    assert table.columns[1].comment == "'a ''b'' \\\\'"
    assert [column.name for column in table.columns if column.generated] == ["g"]
    assert [column.name for column in table.columns if column.auto_increment] == ["id"]
    assert table.constraints == (
        ("primary key", "", "(id)"),
        ("index", "u", "UNIQUE (`name`)"),
        ("index", "prefix", "UNIQUE (`name`(3))"),
        ("index", "low", "((lower(`name`))) /*!80000 INVISIBLE */"),
        ("foreign key", "fk", "(hidden, d) references other.p (a, b) on update cascade"),
        ("check constraint", "t_chk_1", "((hidden > 0)) not enforced"),
    )
    assert table.unique == {"id", "name"}
    assert [(key.database, key.parent, key.columns) for key in table.foreign_keys] == [
        ("other", "p", ("hidden", "d"))
    ]
    assert table.options == (
        "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci PARTITION BY HASH (id) PARTITIONS 4"
    )
    assert (table.comment, table.counter) == ("'AUTO_INCREMENT=3'", 12)
