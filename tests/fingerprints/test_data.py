"""Rows are compared whatever their order, and what differs is named."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from converger.proof.facts import Fact, Fingerprint, Mask, differences
from converger.proof.fingerprints import (
    data,
    explain_rows,
    noise,
    not_compared,
    pgdata,
    read_fingerprint,
    sqlite,
)
from converger.proof.scratch import Scratch, Server
from converger.proof.sqlite import SqliteServer

from .conftest import NONE, Postgres

Build = Callable[..., Scratch]


class Place:
    """A server of one dialect, and how to make databases on it."""

    def __init__(self, server: Server, build: Build, prefix: str) -> None:
        self.server = server
        self.build = build
        self.prefix = prefix

    def read(self, scratch: Scratch, **options: object) -> Fingerprint:
        return read_fingerprint(self.server, scratch, exclude=NONE, **options)  # type: ignore[arg-type]

    def rows(self, *statements: str) -> frozenset[Fact]:
        return frozenset(fact for fact in self.read(self.build(*statements)).facts if fact.kind == "rows")


@pytest.fixture(params=["postgresql", "sqlite"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "sqlite":
        server: SqliteServer = request.getfixturevalue("lite")

        def build(*statements: str) -> Scratch:
            scratch = server.create()
            with server.loading(scratch) as loading:
                for statement in statements:
                    loading.execute(statement.encode())
            return scratch

        return Place(server, build, "")
    pg: Postgres = request.getfixturevalue("one_pg")
    return Place(pg.server, pg.build, "public.")


TABLE = "CREATE TABLE t (a integer, b text, c double precision)"

CONTENT_DIFFERS = [
    ("a value", "(1, 'x', 0)", "(1, 'y', 0)"),
    ("null and empty", "(1, NULL, 0)", "(1, '', 0)"),
    ("null and the word", "(1, NULL, 0)", "(1, 'NULL', 0)"),
    ("one row more", "(1, 'x', 0)", "(1, 'x', 0), (1, 'x', 0)"),
    (
        "twice one, twice the other",
        "(1, 'x', 0), (1, 'x', 0), (2, 'x', 0)",
        "(1, 'x', 0), (2, 'x', 0), (2, 'x', 0)",
    ),
    ("the same values in other rows", "(1, 'x', 0), (2, 'y', 0)", "(1, 'y', 0), (2, 'x', 0)"),
    ("where a text ends", "(1, 'x,1', 0)", "(1, 'x', 1)"),
    ("quotes", "(1, '\"', 0)", "(1, '\"\"', 0)"),
    ("a bit of a number", "(1, 'x', 0.1)", "(1, 'x', 0.10000000000000002)"),
    ("no row", "(1, 'x', 0)", None),
]


@pytest.mark.parametrize("case", CONTENT_DIFFERS, ids=lambda case: case[0])
def test_other_rows_are_told_apart(place: Place, case: tuple[str, str, str | None]) -> None:
    found = [
        place.rows(TABLE, *([] if values is None else [f"INSERT INTO t VALUES {values}"]))
        for values in case[1:]
    ]
    assert found[0] != found[1]


def test_the_order_of_rows_and_columns_does_not_count(place: Place) -> None:
    one = place.rows(TABLE, "INSERT INTO t VALUES (1, 'x', 0.5), (2, NULL, NULL)")
    other = place.rows(
        "CREATE TABLE t (c double precision, a integer, b text)",
        "INSERT INTO t VALUES (NULL, 2, NULL), (0.5, 1, 'x')",
    )
    assert one == other
    assert [fact.object for fact in one] == [f"{place.prefix}t"]
    assert next(iter(one)).text.startswith("2 rows, ")


def test_empty_tables_have_no_fact(place: Place) -> None:
    assert (
        place.rows(TABLE)
        == place.rows(TABLE, "INSERT INTO t VALUES (1, '', 1)", "DELETE FROM t")
        == frozenset()
    )


def test_without_data_no_row_is_looked_at(place: Place) -> None:
    scratch = place.build(TABLE, "INSERT INTO t VALUES (1, 'x', 0)")
    assert {fact.kind for fact in place.read(scratch, data=False).facts} & {"rows"} == set()


def _keys(place: Place) -> str:
    return "serial PRIMARY KEY" if place.prefix else "INTEGER PRIMARY KEY"


def test_surrogate_keys_that_nothing_refers_to_are_an_aside(place: Place) -> None:
    table = f"CREATE TABLE t (id {_keys(place)}, name text)"
    one, other, third = (
        place.read(place.build(table, *(f"INSERT INTO t (name) VALUES ('{name}')" for name in names)))
        for names in ("abc", "cab", "abd")
    )
    assert one.facts == other.facts != third.facts
    assert {
        each.object for each in differences(one.asides, other.asides) if each.kind == "generated keys"
    } == {f"{place.prefix}t"}
    assert place.rows(table, "INSERT INTO t (name) VALUES ('a')") == place.rows(
        table, "INSERT INTO t VALUES (7, 'a')"
    )


def test_surrogate_keys_that_a_row_refers_to_count(place: Place) -> None:
    tables = (
        f"CREATE TABLE t (id {_keys(place)}, name text)",
        "CREATE TABLE u (t_id integer REFERENCES t (id))",
        "INSERT INTO t (name) VALUES ('old')",
        "INSERT INTO u VALUES (1)",
    )
    more = ("INSERT INTO t (name) VALUES ('a')", "INSERT INTO t (name) VALUES ('b')")
    one, other = place.rows(*tables, *more), place.rows(*tables, *reversed(more))
    assert one == other, "a foreign key could refer to the new rows, but none does"
    assert place.rows(*tables, *more, "INSERT INTO u VALUES (2)") != place.rows(
        *tables, *reversed(more), "INSERT INTO u VALUES (2)"
    )
    referred = f"CREATE TABLE w (id {_keys(place)}, parent integer REFERENCES w (id))"
    tree = (referred, "INSERT INTO w (parent) VALUES (NULL)", "INSERT INTO w (parent) VALUES (1)")
    assert place.rows(*tree) != place.rows(*tree, "UPDATE w SET parent = 2 WHERE id = 2")


def test_a_key_that_people_give_counts(place: Place) -> None:
    table = "CREATE TABLE t (id text PRIMARY KEY, name text)"
    assert place.rows(table, "INSERT INTO t VALUES ('1', 'a')") != place.rows(
        table, "INSERT INTO t VALUES ('2', 'a')"
    )


def test_generated_columns_are_left_out(place: Place) -> None:
    table = "CREATE TABLE t (a integer{})"
    generated = ", b integer GENERATED ALWAYS AS (a * 2) STORED"
    insert = "INSERT INTO t (a) VALUES (1)"
    assert place.rows(table.format(""), insert) == place.rows(table.format(generated), insert)


def test_masked_columns_are_left_out(place: Place) -> None:
    name = f"{place.prefix}t"
    one, other = (
        place.build(TABLE, f"INSERT INTO t VALUES (1, '{text}', 0)") for text in ("now", "a moment later")
    )
    mask = Mask(columns=frozenset({(name, "b")}))
    assert place.read(one).facts != place.read(other).facts
    assert place.read(one, mask=mask).facts == place.read(other, mask=mask).facts
    third = place.build(TABLE, "INSERT INTO t VALUES (2, 'now', 0)")
    assert place.read(one, mask=mask).facts != place.read(third, mask=mask).facts
    whole = Mask(things=frozenset({("rows", name)}))
    assert place.read(one, mask=whole).facts == place.read(third, mask=whole).facts


def _noise(place: Place, first: Scratch, second: Scratch) -> Mask:
    mask = noise(place.server, first, second, differences(place.read(first).facts, place.read(second).facts))
    assert place.read(first, mask=mask).facts == place.read(second, mask=mask).facts
    return mask


def test_noise_is_the_columns_that_differ(place: Place) -> None:
    name = f"{place.prefix}t"
    first = place.build(TABLE, "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 7)")
    second = place.build(TABLE, "INSERT INTO t VALUES (1, 'c', 0), (2, 'd', 7)")
    assert _noise(place, first, second) == Mask(columns=frozenset({(name, "b")}))
    second = place.build(TABLE, "INSERT INTO t VALUES (1, 'c', 0), (2, 'd', 8)")
    assert _noise(place, first, second) == Mask(columns=frozenset({(name, "b"), (name, "c")}))


def test_noise_is_the_table_where_columns_do_not_explain_it(place: Place) -> None:
    name = f"{place.prefix}t"
    whole = Mask(things=frozenset({("rows", name)}))
    first = place.build(TABLE, "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 7)")
    assert _noise(place, first, place.build(TABLE, "INSERT INTO t VALUES (1, 'b', 0), (2, 'a', 7)")) == whole
    assert _noise(place, first, place.build(TABLE, "INSERT INTO t VALUES (1, 'b', 0)")) == whole
    assert _noise(place, first, place.build(TABLE)) == whole
    other = place.build("CREATE TABLE u (x integer)", TABLE, "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 7)")
    assert _noise(place, first, other).things == {
        ("table", f"{place.prefix}u"),
        ("column", f"{place.prefix}u.x"),
    }


def test_rows_that_differ_are_shown(place: Place) -> None:
    first = place.build(TABLE, "INSERT INTO t VALUES (1, 'a', 0), (2, 'b', 7), (3, NULL, 1), (3, NULL, 1)")
    second = place.build(TABLE, "INSERT INTO t VALUES (1, 'a', 0), (2, 'c', 7), (3, NULL, 1)")
    found = explain_rows(place.server, first, second, f"{place.prefix}t")
    seven, one = ("7", "1") if place.prefix else ("7.0", "1.0")
    assert found is not None
    assert found.columns == ("a", "b", "c")
    assert found.first == (f"a=2, b=b, c={seven}", f"a=3, b=NULL, c={one}")[:1] or found.first_count == 2
    assert (found.first_count, found.second_count) == (2, 1)
    assert found.second == (f"a=2, b=c, c={seven}",)
    assert f"a=2, b=b, c={seven}" in found.first


def test_what_is_shown_of_rows_is_bounded(place: Place) -> None:
    long = "y" * 5000
    first = place.build(TABLE, *(f"INSERT INTO t VALUES ({n}, '{long}', 0)" for n in range(20)))
    found = explain_rows(place.server, first, place.build(TABLE), f"{place.prefix}t", limit=3)
    assert found is not None
    assert (len(found.first), found.first_count, found.second, found.second_count) == (3, 20, (), 0)
    assert all(len(line) < 100 for line in found.first)
    back = explain_rows(place.server, place.build(TABLE), first, f"{place.prefix}t", limit=3)
    assert back is not None and back.second == found.first


def test_rows_of_a_table_with_other_columns_are_not_explained(place: Place) -> None:
    first = place.build(TABLE, "INSERT INTO t VALUES (1, 'a', 0)")
    second = place.build("CREATE TABLE t (a integer)", "INSERT INTO t VALUES (1)")
    assert explain_rows(place.server, first, second, f"{place.prefix}t") is None
    assert explain_rows(place.server, first, second, "nothing") is None


def test_rows_are_shown_where_only_one_database_has_what_refers_to_them(place: Place) -> None:
    key = "INTEGER GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY" if place.prefix else "INTEGER PRIMARY KEY"
    one = [f"CREATE TABLE t (id {key}, a integer)", "INSERT INTO t (a) VALUES (1), (2)"]
    other = ["CREATE TABLE u (t integer REFERENCES t (id))", "INSERT INTO u VALUES (2)"]
    databases = [place.build(*one), place.build(*one, *other)]
    for first, second in (databases, databases[::-1]):
        found = explain_rows(place.server, first, second, f"{place.prefix}t")
        assert found is not None
        assert (found.first_count, found.second_count) == (1, 1)
        assert found.first == found.second == ("a=2, id=2",)


def test_too_many_rows_are_not_compared_and_it_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (data, pgdata, sqlite):
        monkeypatch.setattr(module, "ROW_LIMIT", 500)
    monkeypatch.setattr(pgdata, "_MOST_ROWS_PER_PAGE", 10_000)
    if place.prefix:
        many = "INSERT INTO t SELECT n, 'x', {} FROM generate_series(1, {}) n"
    else:
        many = (
            "WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {1})"
            " INSERT INTO t SELECT n, 'x', {0} FROM s"
        )
    below, also_below = (place.rows(TABLE, many.format(value, 500)) for value in (1, 2))
    assert below != also_below
    above, also_above = (place.rows(TABLE, many.format(value, 501)) for value in (1, 2))
    assert above == also_above != below
    assert not_compared(below) == ()
    assert not_compared(above) == (Fact("rows", f"{place.prefix}t", "not compared: more than 500 rows"),)


# -- PostgreSQL's own


def test_types_of_all_kinds_are_compared(one_pg: Postgres) -> None:
    columns = {
        "j": ("json", "'{\"a\": 1}'", "'{\"a\": 2}'"),
        "b": ("jsonb", "'{\"a\": 1}'", "'{\"a\": 2}'"),
        "y": ("bytea", "'\\x01'", "'\\x02'"),
        "r": ("int4range", "'[1,2)'", "'[1,3)'"),
        "l": ("text[]", "'{a,NULL}'", "'{a,\"NULL\"}'"),
        "u": ("uuid", f"'{'0' * 32}'", f"'{'1' * 32}'"),
        "x": ("xml", "'<a/>'", "'<b/>'"),
        "p": ("point", "'(1,2)'", "'(1,3)'"),
        "t": ("timestamptz", "'2024-01-01 00:00+00'", "'2024-01-01 00:00+01'"),
        "v": ("interval", "'1 day'", "'24 hours'"),
        "m": ("money", "'1'", "'2'"),
        "s": ("tsvector", "'a'", "'b'"),
        "k": ("char(5)", "'a'", "'b'"),
        "i": ("inet", "'10.0.0.1'", "'10.0.0.2'"),
    }
    table = f"CREATE TABLE t ({', '.join(f'{name} {kind}' for name, (kind, *_) in columns.items())})"

    def rows(**changed: str) -> frozenset[Fact]:
        values = ", ".join(changed.get(name, one) for name, (_, one, _) in columns.items())
        return one_pg.of(table, f"INSERT INTO t VALUES ({values})").facts

    same = rows()
    assert same == rows()
    for name, (_, _, other) in columns.items():
        assert rows(**{name: other}) != same, name
        assert rows(**{name: "NULL"}) != same, name


def test_session_settings_of_the_database_do_not_show_in_rows(one_pg: Postgres) -> None:
    statements = (
        "CREATE TABLE t (a timestamptz, b interval, c float8, d bytea, e regclass)",
        "INSERT INTO t VALUES ('2024-01-01 00:00+00', '1 day 2 hours', 0.1, '\\x01', 't')",
    )
    one = one_pg.build(*statements)
    other = one_pg.build(*statements)
    with one_pg.connect(other.name) as connection:
        for setting in (
            "TimeZone = 'Asia/Tokyo'",
            "DateStyle = 'German'",
            "IntervalStyle = 'sql_standard'",
            "extra_float_digits = -5",
            "bytea_output = 'escape'",
        ):
            connection.execute(f"ALTER DATABASE {other.name} SET {setting}".encode())
    left, right = one_pg.read(one).facts, one_pg.read(other).facts
    assert {each.kind for each in differences(left, right)} == {"database setting"}


def test_a_sequence_that_will_give_a_value_again(one_pg: Postgres) -> None:
    def positions(*statements: str) -> dict[str, str]:
        found = one_pg.of(*statements).facts
        return {fact.object: fact.text for fact in found if fact.kind == "sequence position"}

    table = "CREATE TABLE t (id {} PRIMARY KEY, x int)"
    defect = {"public.t_id_seq": "will give values that public.t.id already has"}
    for kind in ("serial", "bigint GENERATED BY DEFAULT AS IDENTITY"):
        made = table.format(kind)
        assert positions(made, "INSERT INTO t (x) VALUES (1), (2)") == {}
        assert positions(made, "INSERT INTO t VALUES (1, 1)") == defect
        assert positions(made, "INSERT INTO t VALUES (1, 1)", "SELECT setval('t_id_seq', 1)") == {}
        assert positions(made, "INSERT INTO t VALUES (2, 1)", "SELECT setval('t_id_seq', 1)") == defect
        assert positions(made, "INSERT INTO t VALUES (2, 1)", "SELECT setval('t_id_seq', 2, false)") == defect
    down = ("CREATE SEQUENCE s INCREMENT -1", "CREATE TABLE t (id int DEFAULT nextval('s') UNIQUE)")
    assert positions(*down, "INSERT INTO t DEFAULT VALUES") == {}
    assert set(positions(*down, "INSERT INTO t VALUES (-3)")) == {"public.s"}
    free = ("CREATE SEQUENCE s", "CREATE TABLE t (n int DEFAULT nextval('s'))", "INSERT INTO t VALUES (9)")
    assert positions(*free) == {}, "the column need not be unique"


def test_where_a_sequence_stands_is_an_aside(one_pg: Postgres) -> None:
    one = one_pg.of("CREATE SEQUENCE s")
    other = one_pg.of("CREATE SEQUENCE s", "SELECT nextval('s')")
    assert one.facts == other.facts
    assert other.asides == {Fact("sequence value", "public.s", "1")}


def test_rows_hidden_by_row_security_are_not_compared(one_pg: Postgres) -> None:
    from dataclasses import replace

    from converger.proof.postgres import PostgresServer

    with one_pg.connect("postgres") as connection:
        connection.execute("CREATE ROLE fp_secured LOGIN CREATEDB PASSWORD 'plain'")
    url = replace(one_pg.embedded.url, user="fp_secured", password="plain")
    with PostgresServer(url, progress=lambda text: None) as server:
        scratch = server.create()
        with server.loading(scratch) as loading:
            for statement in (
                "CREATE SCHEMA s",
                "CREATE TABLE s.t (x int)",
                "INSERT INTO s.t VALUES (1)",
                "ALTER TABLE s.t ENABLE ROW LEVEL SECURITY",
                "ALTER TABLE s.t FORCE ROW LEVEL SECURITY",
            ):
                loading.execute(statement.encode())
        found = read_fingerprint(server, scratch, exclude=NONE)
        assert Fact("rows", "s.t", "not compared: row security hides some") in found.facts
    with one_pg.connect("postgres") as connection:
        connection.execute("DROP ROLE fp_secured")


def test_partitions_and_children_have_rows_of_their_own(one_pg: Postgres) -> None:
    found = one_pg.of(
        "CREATE TABLE p (x int) PARTITION BY LIST (x)",
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)",
        "CREATE TABLE a (x int)",
        "CREATE UNLOGGED TABLE b () INHERITS (a)",
        "INSERT INTO p VALUES (1)",
        "INSERT INTO a VALUES (1)",
        "INSERT INTO b VALUES (1)",
        "CREATE MATERIALIZED VIEW m AS SELECT 1 AS x",
        "CREATE TABLE no_columns ()",
        "INSERT INTO no_columns DEFAULT VALUES",
    ).facts
    rows = {fact.object: fact.text for fact in found if fact.kind == "rows"}
    assert set(rows) == {"public.p1", "public.a", "public.b", "public.m", "public.no_columns"}
    assert len(set(rows.values())) == 2, "the same row everywhere, and one without columns"


def test_many_tables_with_rows(one_pg: Postgres) -> None:
    statement = "DO $$ BEGIN FOR i IN 1..130 LOOP EXECUTE format({}, i); END LOOP; END $$"
    scratch = one_pg.build(
        statement.format("'CREATE TABLE t%s (id serial PRIMARY KEY, x int)'"),
        statement.format("'INSERT INTO t%1$s (x) VALUES (%1$s)'"),
    )
    found = one_pg.read(scratch).facts
    assert len({fact.text for fact in found if fact.kind == "rows"}) == 130


def test_names_that_need_quotes(place: Place) -> None:
    name = 'odd "name; DROP'
    quoted = '"' + name.replace('"', '""') + '"'
    found = place.rows(
        f"CREATE TABLE {quoted} (id {_keys(place)}, {quoted} text)", f"INSERT INTO {quoted} VALUES (1, 'x')"
    )
    assert [fact.object for fact in found] == [f"{place.prefix}{name}"]
