"""What is a fact of a SQLite database, and what is the same spelled otherwise."""

from __future__ import annotations

import pytest

from converger.proof.facts import Fact, Fingerprint, differences
from converger.proof.fingerprints import read_fingerprint
from converger.proof.fingerprints.sqlitesql import NotUnderstood, parse_table, tokens, written
from converger.proof.scratch import Scratch
from converger.proof.sqlite import SqliteServer

from .conftest import VERSION


def build(server: SqliteServer, *statements: str) -> Scratch:
    scratch = server.create()
    with server.loading(scratch) as loading:
        for statement in statements:
            loading.execute(statement.encode())
    return scratch


def of(server: SqliteServer, *statements: str) -> Fingerprint:
    return read_fingerprint(server, build(server, *statements), exclude=VERSION)


PARENT = "CREATE TABLE p (id INTEGER PRIMARY KEY, n TEXT)"
FULL = (
    "CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20) DEFAULT 'x', p_id INTEGER, n NUMERIC(10, 2),"
    " CONSTRAINT pk PRIMARY KEY (id), CONSTRAINT uq UNIQUE (name, p_id), CONSTRAINT ck CHECK (n > 0),"
    " CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)"
)
REST = (
    "CREATE INDEX ix ON t (name)",
    "CREATE VIEW v AS SELECT name FROM t",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE p SET n = 'x'; END",
)

SAME = [
    (
        "spaces, quotes, capitals, comments",
        "create table \"t\" ( [id] integer not null -- the key\n, `name` varchar (20) default 'x', p_id integer,"
        ' n numeric(10,2), /* names */ constraint "pk" primary key (id asc), constraint uq unique ("name", p_id),'
        ' constraint ck check ((n>0)), constraint fk foreign key (p_id) references "p" (id) on delete cascade)',
    ),
    (
        "another order of columns and of constraints",
        "CREATE TABLE t (p_id INTEGER, n NUMERIC(10, 2), name VARCHAR(20) DEFAULT 'x', id INTEGER NOT NULL,"
        " CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE, CONSTRAINT ck CHECK (n > 0),"
        " CONSTRAINT pk PRIMARY KEY (id), CONSTRAINT uq UNIQUE (name, p_id))",
    ),
    (
        "constraints at the columns",
        "CREATE TABLE t (id INTEGER CONSTRAINT pk PRIMARY KEY NOT NULL, name VARCHAR(20) DEFAULT ('x'),"
        " p_id INTEGER CONSTRAINT fk REFERENCES p ON DELETE CASCADE ON UPDATE NO ACTION NOT DEFERRABLE,"
        " n NUMERIC(10, 2) DEFAULT NULL CONSTRAINT ck CHECK (n > 0), CONSTRAINT uq UNIQUE (name, p_id))",
    ),
    (
        "no commas between constraints",
        "CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20) DEFAULT 'x', p_id INTEGER, n NUMERIC(10, 2),"
        " CONSTRAINT pk PRIMARY KEY (id) CONSTRAINT uq UNIQUE (name, p_id) CONSTRAINT ck CHECK (n > 0)"
        " CONSTRAINT fk FOREIGN KEY (p_id) REFERENCES p (id) ON DELETE CASCADE)",
    ),
]


@pytest.mark.parametrize("case", SAME, ids=lambda case: case[0])
def test_other_spellings_are_equal(lite: SqliteServer, case: tuple[str, str]) -> None:
    one, other = of(lite, PARENT, FULL, *REST), of(lite, PARENT, case[1], *REST)
    assert differences(one.facts, other.facts) == ()
    assert one.facts == other.facts


def test_facts_as_a_developer_reads_them(lite: SqliteServer) -> None:
    found = of(lite, PARENT, FULL, *REST, "CREATE UNIQUE INDEX lo ON t (lower(name) DESC, n ASC) WHERE n > 3")
    assert found.facts == {
        Fact("table", "p", "exists"),
        Fact("column", "p.id", "integer"),
        Fact("column", "p.n", "text"),
        Fact("primary key", "p", "(id)"),
        Fact("table", "t", "exists"),
        Fact("column", "t.id", "integer not null"),
        Fact("column", "t.name", "varchar(20) default 'x'"),
        Fact("column", "t.p_id", "integer"),
        Fact("column", "t.n", "numeric(10, 2)"),
        Fact("primary key", "t.pk", "(id)"),
        Fact("unique constraint", "t.uq", "(name, p_id)"),
        Fact("check constraint", "t.ck", "n > 0"),
        Fact("foreign key", "t.fk", "(p_id) references p (id) on delete cascade"),
        Fact("index", "ix", "on t (name)"),
        Fact("index", "lo", "unique on t (lower (name) desc, n) where n > 3"),
        Fact("view", "v", "as select name from t"),
        Fact("trigger", "g", "after insert on t begin update p set n = 'x'; end"),
    }
    assert found.asides == {
        Fact("column order", "p", "id, n"),
        Fact("column order", "t", "id, name, p_id, n"),
    }


CHANGES = """
ALTER TABLE t RENAME TO u
ALTER TABLE t RENAME COLUMN n TO m
ALTER TABLE t ADD COLUMN more TEXT
ALTER TABLE t ADD COLUMN more TEXT COLLATE NOCASE
CREATE TABLE u (id INTEGER)
DROP TABLE p
DROP INDEX ix
DROP INDEX ix; CREATE UNIQUE INDEX ix ON t (name)
DROP INDEX ix; CREATE INDEX ix ON t (name DESC)
DROP INDEX ix; CREATE INDEX ix ON t (name) WHERE name <> ''
DROP INDEX ix; CREATE INDEX ix ON t (name COLLATE NOCASE)
DROP INDEX ix; CREATE INDEX ix ON t (lower(name))
DROP INDEX ix; CREATE INDEX ix2 ON t (name)
DROP VIEW v
DROP VIEW v; CREATE VIEW v AS SELECT name FROM t WHERE 1
DROP VIEW v; CREATE VIEW v (other) AS SELECT name FROM t
DROP TRIGGER g
DROP TRIGGER g; CREATE TRIGGER g BEFORE INSERT ON t BEGIN UPDATE p SET n = 'x'; END
DROP TRIGGER g; CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE p SET n = 'X'; END
PRAGMA user_version = 5
CREATE VIRTUAL TABLE f USING fts5(x)
INSERT INTO p VALUES (1, 'a')
"""

REBUILDS = [
    ("VARCHAR(20)", "VARCHAR(21)"),
    ("VARCHAR(20)", "TEXT"),
    ("name VARCHAR(20) DEFAULT 'x'", "name VARCHAR(20)"),
    ("DEFAULT 'x'", "DEFAULT 'X'"),
    ("DEFAULT 'x'", "DEFAULT 'x' NOT NULL"),
    ("DEFAULT 'x'", "DEFAULT 'x' COLLATE NOCASE"),
    ("id INTEGER NOT NULL", "id INTEGER"),
    ("p_id INTEGER", "p_id INTEGER GENERATED ALWAYS AS (id + 1) VIRTUAL"),
    ("CONSTRAINT pk PRIMARY KEY (id)", "PRIMARY KEY (id)"),
    ("CONSTRAINT pk PRIMARY KEY (id)", "CONSTRAINT pk PRIMARY KEY (id, name)"),
    ("CONSTRAINT pk PRIMARY KEY (id), ", ""),
    ("CONSTRAINT uq UNIQUE (name, p_id), ", ""),
    ("CONSTRAINT uq UNIQUE (name, p_id)", "UNIQUE (name, p_id)"),
    ("CONSTRAINT uq UNIQUE (name, p_id)", "CONSTRAINT uq UNIQUE (p_id, name)"),
    ("CONSTRAINT uq UNIQUE (name, p_id)", "CONSTRAINT uq UNIQUE (name, p_id) ON CONFLICT IGNORE"),
    ("CONSTRAINT ck CHECK (n > 0), ", ""),
    ("CHECK (n > 0)", "CHECK (n >= 0)"),
    ("CONSTRAINT ck", "CONSTRAINT ck2"),
    ("ON DELETE CASCADE", "ON DELETE SET NULL"),
    ("ON DELETE CASCADE", ""),
    ("ON DELETE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE"),
    ("ON DELETE CASCADE", "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"),
    ("REFERENCES p (id)", "REFERENCES p (n)"),
    ("REFERENCES p", "REFERENCES q"),
    ("CONSTRAINT fk FOREIGN", "FOREIGN"),
    ("ON DELETE CASCADE)", "ON DELETE CASCADE) WITHOUT ROWID"),
    ("INTEGER NOT NULL, name", "INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name"),
]


@pytest.mark.parametrize("case", CHANGES.strip().splitlines())
def test_a_change_shows(lite: SqliteServer, case: str) -> None:
    parts = [case] if "BEGIN" not in case else [case.split(";", 1)[0], case.split(";", 1)[1]]
    if "BEGIN" not in case:
        parts = case.split(";")
    assert of(lite, PARENT, FULL, *REST, *parts).facts != of(lite, PARENT, FULL, *REST).facts


@pytest.mark.parametrize("case", REBUILDS, ids=lambda case: f"{case[0]} -> {case[1]}")
def test_another_definition_shows(lite: SqliteServer, case: tuple[str, str]) -> None:
    assert case[0] in FULL
    changed = FULL.replace(*case, 1)
    if "AUTOINCREMENT" in changed:
        changed = changed.replace("CONSTRAINT pk PRIMARY KEY (id), ", "")
    assert of(lite, PARENT, FULL).facts != of(lite, PARENT, changed).facts


def test_a_table_that_was_altered_is_one_that_was_written_so(lite: SqliteServer) -> None:
    altered = of(
        lite,
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE old (id INTEGER NOT NULL PRIMARY KEY, gone TEXT, was TEXT)",
        "CREATE INDEX ix ON old (was)",
        "ALTER TABLE old RENAME TO t",
        "ALTER TABLE t RENAME COLUMN was TO name",
        "ALTER TABLE t DROP COLUMN gone",
        "ALTER TABLE t ADD COLUMN p_id INTEGER CONSTRAINT fk REFERENCES p (id)",
        "ALTER TABLE t ADD COLUMN flag BOOLEAN DEFAULT 0 NOT NULL CHECK (flag IN (0, 1))",
    )
    written_ = of(
        lite,
        "CREATE TABLE p (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER NOT NULL, flag BOOLEAN NOT NULL DEFAULT (0), p_id INTEGER, name TEXT,"
        " PRIMARY KEY (id), CHECK (flag IN (0, 1)), CONSTRAINT fk FOREIGN KEY(p_id) REFERENCES p (id))",
        'CREATE INDEX "ix" ON "t" ("name")',
    )
    assert differences(altered.facts, written_.facts) == ()


def test_a_table_that_batch_mode_rebuilt_is_one_that_was_altered(lite: SqliteServer) -> None:
    """Real Alembic, real batch mode, against ALTER TABLE where SQLite has it."""
    import sqlalchemy as sa
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    base = (
        "CREATE TABLE p (id INTEGER NOT NULL, PRIMARY KEY (id))",
        "CREATE TABLE t (id INTEGER NOT NULL, name VARCHAR(20) DEFAULT 'x' NOT NULL, p_id INTEGER,"
        " made DATETIME DEFAULT CURRENT_TIMESTAMP, old TEXT, PRIMARY KEY (id), CONSTRAINT uq UNIQUE (name),"
        " CONSTRAINT ck CHECK (name <> ''), CONSTRAINT fk FOREIGN KEY(p_id) REFERENCES p (id) ON DELETE CASCADE)",
        "CREATE INDEX ix ON t (name)",
        "INSERT INTO t (id, name, made) VALUES (1, 'a', '2024-01-01')",
    )
    one, other = build(lite, *base), build(lite, *base)

    def migrate(scratch: Scratch, recreate: str) -> None:
        engine = sa.create_engine(lite.url(scratch, None), poolclass=sa.pool.NullPool)
        with engine.begin() as connection:
            operations = Operations(MigrationContext.configure(connection))
            with operations.batch_alter_table("t", recreate=recreate) as batch:
                batch.add_column(sa.Column("size", sa.Integer(), server_default=sa.text("0"), nullable=False))
            with operations.batch_alter_table("t", recreate=recreate) as batch:
                batch.create_index("ix_size", ["size"])
        engine.dispose()

    migrate(one, "always")
    migrate(other, "never")
    rebuilt, altered = (read_fingerprint(lite, scratch, exclude=VERSION) for scratch in (one, other))
    assert differences(rebuilt.facts, altered.facts) == ()
    assert rebuilt.facts != read_fingerprint(lite, build(lite, *base), exclude=VERSION).facts


def test_what_sqlite_keeps_for_itself_is_left_out(lite: SqliteServer) -> None:
    found = of(
        lite,
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT)",
        "INSERT INTO t VALUES (5)",
        "ANALYZE",
        "CREATE VIRTUAL TABLE f USING fts5(x)",
        "INSERT INTO f VALUES ('words')",
        "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)",
        "INSERT INTO alembic_version VALUES ('a')",
        "CREATE INDEX iv ON alembic_version (version_num)",
    )
    assert {(fact.kind, fact.object) for fact in found.facts} == {
        ("table", "t"),
        ("column", "t.id"),
        ("primary key", "t"),
        ("rows", "t"),
        ("virtual table", "f"),
        ("rows", "f"),
    }
    assert Fact("rows", "f", "not compared: a virtual table") in found.facts
    assert Fact("sequence value", "t", "5") in found.asides


def test_a_clone_has_the_fingerprint_of_its_source(lite: SqliteServer) -> None:
    scratch = build(lite, PARENT, FULL, *REST, "INSERT INTO p VALUES (1, 'a')", "PRAGMA user_version = 3")
    clone = lite.clone(scratch)
    assert read_fingerprint(lite, clone, exclude=VERSION) == read_fingerprint(lite, scratch, exclude=VERSION)


def test_capitals_in_names_are_written_as_they_are_and_compared_without(lite: SqliteServer) -> None:
    one = of(lite, "CREATE TABLE Users (Id INTEGER PRIMARY KEY)", "CREATE INDEX Ix ON USERS (ID)")
    assert {fact.object for fact in one.facts} == {"Users", "Users.id", "Ix"}
    other = of(lite, "CREATE TABLE Users (ID INTEGER PRIMARY KEY)", "CREATE INDEX Ix ON users (id)")
    assert one.facts == other.facts


def test_what_is_not_understood_is_compared_as_it_is_written(lite: SqliteServer) -> None:
    for strange in ("CREATE TABLE t", "CREATE TABLE t (a INTEGER CONSTRAINT c 5)", "CREATE TABLE t (a, b"):
        with pytest.raises(NotUnderstood):
            parse_table(strange)
    # SQLite itself takes this for a type.
    assert of(lite, "CREATE TABLE t (a SOMEHOW STRANGE)").facts >= {Fact("column", "t.a", "somehow strange")}


def test_tokens() -> None:
    same = ["a<>'x''Y' and \"B c\"  = x'0F' -- no", "A != 'x''Y' AND [b C]=x'0F'/* no */"]
    assert len({written(tokens(text)) for text in same}) == 1
    assert written(tokens('a = "null"')) != written(tokens("a = null"))
    assert written(tokens("f(a, 1.5e3, t.b)")) == "f (a, 1.5e3, t.b)"
