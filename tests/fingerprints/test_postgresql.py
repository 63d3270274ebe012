"""What is a fact of a PostgreSQL database, what an aside, and what nothing at all."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from converger.proof.embedded import find_binaries
from converger.proof.facts import Fact, Mask, differences
from converger.proof.fingerprints import read_fingerprint

from . import rich
from .conftest import NONE, Postgres


def test_a_clone_has_the_fingerprint_of_its_source(pg: Postgres) -> None:
    database = pg.build(rich.SCHEMA)
    pg.build()
    with pg.connect(database.name) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET work_mem = '3MB'".encode())
    source = pg.read(database)
    clone = pg.server.clone(database)
    assert pg.read(clone) == source
    with pg.connect(database.name) as connection:
        connection.execute(f"ALTER DATABASE {database.name} RESET work_mem".encode())
    assert pg.read(database) != source
    assert pg.read(clone) == source


def test_the_same_history_twice_gives_the_same_fingerprint(pg: Postgres) -> None:
    schema = rich.SCHEMA.replace("DEFAULT now()", "DEFAULT '2024-01-01'")
    database = pg.build(schema)
    again = pg.build("CREATE TABLE oids_are_others ()", "DROP TABLE oids_are_others", schema)
    assert pg.read(database) == pg.read(again)


SAME = [
    (
        "tables in another order",
        ("CREATE TABLE a (x int)", "CREATE TABLE b (y int)"),
        ("CREATE TABLE b (y int)", "CREATE TABLE a (x int)"),
    ),
    (
        "columns in another order",
        ("CREATE TABLE a ()", "ALTER TABLE a ADD x int DEFAULT 1", "ALTER TABLE a ADD y text NOT NULL"),
        ("CREATE TABLE a (y text NOT NULL)", "ALTER TABLE a ADD x int DEFAULT 1"),
    ),
    (
        "constraints inline, at the table, or added",
        (
            "CREATE TABLE p (id int CONSTRAINT pk PRIMARY KEY)",
            "CREATE TABLE a (x int CONSTRAINT c CHECK (x > 0) CONSTRAINT u UNIQUE CONSTRAINT f REFERENCES p)",
        ),
        (
            "CREATE TABLE p (id int, CONSTRAINT pk PRIMARY KEY (id))",
            "CREATE TABLE a (x int)",
            "ALTER TABLE a ADD CONSTRAINT f FOREIGN KEY (x) REFERENCES p (id)",
            "ALTER TABLE a ADD CONSTRAINT u UNIQUE (x)",
            "ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0)",
        ),
    ),
    (
        "a constraint validated later, and one made from an index",
        ("CREATE TABLE a (x int CONSTRAINT c CHECK (x > 0), CONSTRAINT u UNIQUE (x))",),
        (
            "CREATE TABLE a (x int)",
            "ALTER TABLE a ADD CONSTRAINT c CHECK (x > 0) NOT VALID",
            "ALTER TABLE a VALIDATE CONSTRAINT c",
            "CREATE UNIQUE INDEX i ON a (x)",
            "ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX i",
        ),
    ),
    (
        "serial, and what it stands for",
        ("CREATE TABLE a (id serial)",),
        (
            "CREATE SEQUENCE a_id_seq AS integer",
            "CREATE TABLE a (id integer NOT NULL DEFAULT nextval('a_id_seq'))",
            "ALTER SEQUENCE a_id_seq OWNED BY a.id",
        ),
    ),
    (
        "enum labels that end in the same order",
        ("CREATE TYPE e AS ENUM ('a', 'b', 'c')",),
        (
            "CREATE TYPE e AS ENUM ('b')",
            "ALTER TYPE e ADD VALUE 'c'",
            "ALTER TYPE e ADD VALUE 'a' BEFORE 'b'",
        ),
    ),
    (
        "storage parameters in another order",
        (
            "CREATE TABLE a (x text)",
            "ALTER TABLE a SET (fillfactor = 70)",
            "ALTER TABLE a SET (autovacuum_enabled = false)",
        ),
        ("CREATE TABLE a (x text) WITH (autovacuum_enabled = false, fillfactor = 70)",),
    ),
    (
        "a table attached as a partition",
        (
            "CREATE TABLE a (x int) PARTITION BY LIST (x)",
            "CREATE TABLE a1 (x int)",
            "ALTER TABLE a ATTACH PARTITION a1 FOR VALUES IN (1)",
            "ALTER TABLE a ATTACH PARTITION a2 FOR VALUES IN (2)",
        )[:3],
        (
            "CREATE TABLE a (x int) PARTITION BY LIST (x)",
            "CREATE TABLE a1 (x int)",
            "ALTER TABLE a ATTACH PARTITION a1 FOR VALUES IN (1)",
        ),
    ),
    (
        "partitions of a table with a foreign key, in another order",
        (
            "CREATE TABLE p (x int PRIMARY KEY) PARTITION BY LIST (x)",
            "CREATE TABLE c (x int CONSTRAINT f REFERENCES p)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
        ),
        (
            "CREATE TABLE p (x int PRIMARY KEY) PARTITION BY LIST (x)",
            "CREATE TABLE c (x int CONSTRAINT f REFERENCES p)",
            "CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)",
            "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        ),
    ),
    (
        "one table for a publication, then the other",
        ("CREATE TABLE a ()", "CREATE TABLE b ()", "CREATE PUBLICATION u FOR TABLE a, b"),
        (
            "CREATE TABLE a ()",
            "CREATE TABLE b ()",
            "CREATE PUBLICATION u FOR TABLE b",
            "ALTER PUBLICATION u ADD TABLE a",
        ),
    ),
    (
        "rights to several roles in another order",
        ("CREATE TABLE a ()", "GRANT SELECT ON a TO fp_app", "GRANT UPDATE, INSERT ON a TO fp_reader"),
        (
            "CREATE TABLE a ()",
            "GRANT INSERT ON a TO fp_reader",
            "GRANT UPDATE ON a TO fp_reader",
            "GRANT SELECT ON a TO fp_app",
        ),
    ),
    (
        "rows in another order",
        ("CREATE TABLE a (x int, y text)", "INSERT INTO a VALUES (1, 'a'), (2, NULL), (2, NULL)"),
        ("CREATE TABLE a (y text, x int)", "INSERT INTO a VALUES (NULL, 2), (NULL, 2), ('a', 1)"),
    ),
    (
        "an empty table, and one that was emptied",
        ("CREATE TABLE a (x int)",),
        ("CREATE TABLE a (x int)", "INSERT INTO a VALUES (1)", "DELETE FROM a"),
    ),
]


@pytest.mark.parametrize("case", SAME, ids=lambda case: case[0])
def test_equivalent_databases_are_equal(
    one_pg: Postgres, case: tuple[str, tuple[str, ...], tuple[str, ...]]
) -> None:
    one, other = one_pg.of(*case[1]), one_pg.of(*case[2])
    assert differences(one.facts, other.facts) == ()
    assert one.shared == other.shared


def test_the_order_of_columns_is_an_aside(one_pg: Postgres) -> None:
    one = one_pg.of("CREATE TABLE a (x int, gone int, y int)", "ALTER TABLE a DROP gone")
    other = one_pg.of("CREATE TABLE a (y int, x int)")
    assert one.facts == other.facts
    assert one.asides == {Fact("column order", "public.a", "x, y")}
    assert other.asides == {Fact("column order", "public.a", "y, x")}


def test_facts_as_a_developer_reads_them(one_pg: Postgres) -> None:
    found = one_pg.of(
        "CREATE SCHEMA app",
        "CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok')",
        'CREATE TABLE app."user" (id int GENERATED ALWAYS AS IDENTITY CONSTRAINT pk PRIMARY KEY,'
        " m app.mood DEFAULT 'sad', name varchar(20) COLLATE \"C\" NOT NULL,"
        " twice int GENERATED ALWAYS AS (1 + 1) STORED, price numeric(10, 2)[])",
        'CREATE INDEX ix ON app."user" (name) WHERE price IS NULL',
        'GRANT SELECT, UPDATE ON app."user" TO fp_app',
        "ALTER SCHEMA app OWNER TO fp_reader",
        "CREATE FUNCTION app.f(a int, b app.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "COMMENT ON COLUMN app.\"user\".name IS 'what'",
        data=False,
    )
    owner = "postgres: delete, insert, {}references, select, trigger, truncate, update"
    everything = owner.format("maintain, " if one_pg.major >= 17 else "")
    definition = next(fact.text for fact in found.facts if fact.kind == "function")
    public = {fact for fact in found.facts if fact.object == "public"}
    assert definition.startswith("CREATE OR REPLACE FUNCTION app.f(a integer, b app.mood)")
    assert found.facts - public == {
        Fact("schema", "app", "exists"),
        Fact("schema owner", "app", "fp_reader"),
        Fact("enum", "app.mood", "'sad', 'it''s ok'"),
        Fact("table", "app.user", "exists"),
        Fact("column", "app.user.id", "integer not null generated always as identity"),
        Fact("column", "app.user.m", "app.mood default 'sad'::app.mood"),
        Fact("column", "app.user.name", 'character varying(20) collate "C" not null'),
        Fact("column", "app.user.twice", "integer generated always as ((1 + 1)) stored"),
        Fact("column", "app.user.price", "numeric(10,2)[]"),
        Fact("primary key", "app.user.pk", "PRIMARY KEY (id)"),
        Fact("index", "app.ix", 'CREATE INDEX ix ON app."user" USING btree (name) WHERE (price IS NULL)'),
        Fact(
            "sequence",
            "app.user_id_seq",
            'integer start 1 increment 1 minvalue 1 maxvalue 2147483647 cache 1 identity of app."user".id',
        ),
        Fact("table privileges", "app.user", f"fp_app: select, update; {everything}"),
        Fact("function", "app.f(integer, app.mood)", definition),
        Fact("column comment", "app.user.name", "what"),
    }


def test_an_empty_database_has_almost_no_facts(pg: Postgres) -> None:
    assert {fact.kind for fact in pg.of().facts} == {"schema", "schema owner", "schema privileges"}
    assert {fact.object for fact in pg.of().facts} == {"public"}


def test_the_version_table_is_left_out_with_all_that_hangs_on_it(one_pg: Postgres) -> None:
    version = (
        "CREATE TABLE {} (version_num varchar(32) NOT NULL CONSTRAINT {}_pkc PRIMARY KEY, id serial)",
        "INSERT INTO {} VALUES ('a')",
    )
    scratch = one_pg.build("CREATE SCHEMA one", *(part.format("one.v", "v") for part in version))
    alone = one_pg.of("CREATE SCHEMA one").facts

    def left(*exclude: tuple[str | None, str]) -> set[tuple[str, str]]:
        found = read_fingerprint(one_pg.server, scratch, exclude=frozenset(exclude))
        return {(fact.kind, fact.object) for fact in found.facts - alone}

    assert left(("one", "v")) == set()
    assert left((None, "v")) == set(), "the only one of that name"
    assert left(("two", "v")) == left() != set()
    with one_pg.connect(scratch.name) as connection:
        connection.execute("CREATE TABLE public.v (version_num text)")
    assert (
        left((None, "v"))
        == left(("public", "v"))
        == left()
        - {
            ("table", "public.v"),
            ("column", "public.v.version_num"),
        }
    )


def test_what_belongs_to_an_extension_is_left_out(one_pg: Postgres) -> None:
    scratch = one_pg.build()
    name = one_pg.server.query(
        scratch, "SELECT name FROM pg_available_extensions WHERE name IN ('vector', 'citext') ORDER BY 1"
    )[0][0]
    with one_pg.connect(scratch.name) as connection:
        connection.execute(f"CREATE SCHEMA e; CREATE EXTENSION {name} SCHEMA e".encode())
    kinds = {(fact.kind, fact.object) for fact in one_pg.read(scratch).facts if fact.object != "public"}
    assert kinds == {("schema", "e"), ("extension", name), ("extension comment", name)}


def test_names_are_qualified_whatever_is_set_for_the_database(one_pg: Postgres) -> None:
    scratch = one_pg.build("CREATE TYPE mood AS ENUM ('a')", "CREATE TABLE t (m mood DEFAULT 'a')")
    before = one_pg.read(scratch)
    settings = {
        "search_path": "public, s",
        "quote_all_identifiers": "on",
        "standard_conforming_strings": "off",
        "TimeZone": "'Asia/Tokyo'",
    }
    with one_pg.connect(scratch.name) as connection:
        for name, value in settings.items():
            connection.execute(f"ALTER DATABASE {scratch.name} SET {name} = {value}".encode())
    after = one_pg.read(scratch)
    assert {(each.kind, each.object) for each in differences(before.facts, after.facts)} == {
        ("database setting", name) for name in settings
    }
    assert Fact("column", "public.t.m", "public.mood default 'a'::public.mood") in before.facts


def test_the_name_of_the_database_is_no_difference(one_pg: Postgres) -> None:
    statement = (
        "DO $$ BEGIN EXECUTE format('CREATE FUNCTION f() RETURNS text LANGUAGE sql AS %L',"
        " format('SELECT %L', current_database())); END $$"
    )
    one, other = one_pg.of(statement), one_pg.of(statement)
    assert one == other
    assert any("SELECT '<database>'" in fact.text for fact in one.facts)


def test_roles_are_shared(one_pg: Postgres) -> None:
    scratch = one_pg.build()
    before = one_pg.read(scratch)
    assert {fact.object for fact in before.shared if fact.kind == "role"} >= {"fp_app", "fp_reader"}
    with one_pg.connect("postgres") as connection:
        connection.execute("CREATE ROLE fp_new LOGIN; GRANT fp_app TO fp_new; COMMENT ON ROLE fp_new IS 'x'")
        try:
            after = one_pg.read(scratch)
        finally:
            connection.execute("DROP ROLE fp_new")
    assert after.facts == before.facts
    assert {(each.kind, each.object) for each in differences(before.shared, after.shared)} >= {
        ("role", "fp_new"),
        ("membership", "fp_new in fp_app"),
        ("role comment", "fp_new"),
    }


def test_masked_things_are_left_out(one_pg: Postgres) -> None:
    scratch = one_pg.build("CREATE TABLE a (x int)", "CREATE TABLE b (x int)")
    mask = Mask(frozenset({("table", "public.a"), ("column order", "public.a")}))
    whole, masked = one_pg.read(scratch), one_pg.read(scratch, mask=mask)
    assert whole.facts - masked.facts == {Fact("table", "public.a", "exists")}
    assert whole.asides - masked.asides == {Fact("column order", "public.a", "x")}


def test_names_of_not_null_constraints_are_asides(pg: Postgres) -> None:
    one = pg.of("CREATE TABLE a (x int NOT NULL)", "ALTER TABLE a RENAME x TO y")
    other = pg.of("CREATE TABLE a (y int NOT NULL)")
    assert one.facts == other.facts
    kinds = {each.kind for each in differences(one.asides, other.asides)}
    assert kinds == ({"not null constraint"} if pg.major >= 18 else set())


def test_a_user_who_is_no_superuser_can_look(one_pg: Postgres) -> None:
    from dataclasses import replace

    from converger.proof.postgres import PostgresServer

    with one_pg.connect("postgres") as connection:
        connection.execute("CREATE ROLE fp_plain LOGIN CREATEDB PASSWORD 'plain'")
    url = replace(one_pg.embedded.url, user="fp_plain", password="plain")
    with PostgresServer(url, progress=lambda text: None) as server:
        scratch = server.create()
        with one_pg.connect(scratch.name) as connection:
            connection.execute(rich.SCHEMA)
            connection.execute("GRANT SELECT ON parent TO fp_plain; CREATE TABLE secret (x int)")
            connection.execute("INSERT INTO secret VALUES (1)")
        found = read_fingerprint(server, scratch, exclude=NONE)
        assert Fact("rows", "public.secret", "not compared: no privilege to read them") in found.facts
        assert Fact("table owner", "public.parent", "postgres") in found.facts
    with one_pg.connect("postgres") as connection:
        connection.execute("DROP ROLE fp_plain")


# -- pg_dump, which knows all that matters


def _dump(pg: Postgres, database: str) -> list[str]:
    """The lines of a dump of the schema, sorted, without what says in which order things were made."""
    binaries = next(each for each in find_binaries() if each.version == pg.version)
    program = os.path.join(os.path.dirname(os.path.realpath(binaries.postgres)), "pg_dump")
    url = pg.embedded.url
    text = subprocess.run(
        [program, "--schema-only", "-h", str(url.host), "-p", str(url.port), "-U", str(url.user), database],
        env={"PGPASSWORD": str(url.password), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    text = re.sub(r"^\\(un)?restrict .*$", "", text, flags=re.MULTILINE)
    return sorted(line.rstrip(",") for line in text.splitlines() if line and not line.startswith("--"))


ORDERS = [
    "ALTER TABLE parent ADD COLUMN phone text; CREATE INDEX ix_phone ON parent (phone)",
    "ALTER TABLE parent ADD COLUMN born date NOT NULL DEFAULT '2000-01-01'; GRANT UPDATE ON parent TO fp_reader",
    "CREATE TABLE pets (id serial PRIMARY KEY, owner_id int REFERENCES parent); GRANT SELECT ON parent TO fp_reader",
    "ALTER TABLE parent DROP COLUMN note; CREATE VIEW people AS SELECT name FROM parent",
    "CREATE TABLE measures_2026 PARTITION OF measures FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    "ALTER TYPE pair ADD ATTRIBUTE c integer; ALTER FUNCTION twice(integer) SET work_mem = '1MB'",
]


def test_databases_that_are_equal_are_dumped_alike(pg: Postgres) -> None:
    base = pg.build(rich.SCHEMA.replace("DEFAULT now()", "DEFAULT '2024-01-01'"))
    one = pg.build(*ORDERS, source=base)
    other = pg.build(*reversed(ORDERS), source=base)
    assert differences(pg.read(one).facts, pg.read(other).facts) == ()
    assert _dump(pg, one.name) == _dump(pg, other.name)
    assert _dump(pg, one.name) != _dump(pg, base.name)


def test_what_means_nothing_is_dumped_alike(one_pg: Postgres) -> None:
    base = one_pg.build(rich.SCHEMA)
    dump = _dump(one_pg, base.name)
    harmless = [
        case
        for case in rich.cases(rich.HARMLESS)
        if "alembic_version" not in case[0] and "OPTIONS" not in case[0] and "fillfactor" not in case[0]
    ]
    assert len(harmless) > 20
    statements = (part for case in harmless for part in (*case, "RESET ALL"))
    changed = one_pg.build(*statements, source=base)
    lines = set(dump) ^ set(_dump(one_pg, changed.name))
    # PostgreSQL writes down privileges that everybody has once somebody touched them.
    assert {line for line in lines if not line.startswith(("GRANT", "REVOKE", "ALTER DEFAULT"))} == set()
