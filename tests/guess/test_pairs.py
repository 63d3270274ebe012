"""Pairs of upgrades beyond the corpus: what clashes, and the like of it that does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject
from tests.guess.reading import guesses_about

Found = set[tuple[str, str, str]]


def guessed(folder: Path, a: str, b: str) -> Found:
    """(confidence, kind, object) of all guesses about two branches of one revision each."""
    project = AlembicProject(folder)
    project.revision("base0001", None)
    project.revision("aaaa0001", "base0001", a)
    project.revision("bbbb0001", "base0001", b)
    return {(g.confidence, g.kind, g.object) for g in guesses_about(project.root).guesses}


INSERT = "op.execute(\"INSERT INTO users (id, email) VALUES (1, 'x'), (2, 'y')\")"
PAIRS: dict[str, tuple[str, str, Found]] = {
    # Rules and rows.
    "a unique constraint and rows": (
        "op.create_unique_constraint('uq', 'users', ['email'])", INSERT,
        {("possible", "unique-against-data", "users.email")},
    ),
    "a unique index and rows": (
        "op.create_index('ix', 'users', ['email'], unique=True)", INSERT,
        {("possible", "unique-against-data", "users.email")},
    ),
    "an index and rows": ("op.create_index('ix', 'users', ['email'])", INSERT, set()),
    "a unique constraint on columns that rows do not fill": (
        "op.create_unique_constraint('uq', 'users', ['email', 'tenant'])", INSERT, set(),
    ),
    "a unique constraint on another table": ("op.create_unique_constraint('uq', 'teams', ['email'])", INSERT, set()),
    "a foreign key and rows": (
        "op.create_foreign_key('fk', 'users', 'mails', ['email'], ['address'])", INSERT,
        {("possible", "foreign-key-against-data", "users.email")},
    ),
    "a foreign key that rows leave NULL": (
        "op.create_foreign_key('fk', 'users', 'teams', ['team'], ['id'])", INSERT, set(),
    ),
    "a check and rows": (
        "op.create_check_constraint('ck', 'users', \"email <> ''\")", INSERT,
        {("possible", "check-against-data", "users")},
    ),
    "a check of another column": ("op.create_check_constraint('ck', 'users', 'score > 0')", INSERT, set()),
    "a type and rows": (
        "op.alter_column('users', 'email', type_=sa.String(3))", INSERT,
        {("possible", "type-against-data", "users.email")},
    ),
    "the same first value": (
        INSERT, "op.execute(\"INSERT INTO users (id, email) VALUES (2, 'z')\")",
        {("possible", "same-row-inserted", "users")},
    ),
    "other first values": (INSERT, "op.execute(\"INSERT INTO users (id, email) VALUES (3, 'z')\")", set()),
    "other columns": (INSERT, "op.execute(\"INSERT INTO users (score, email) VALUES (2, 'z')\")", set()),
    "the same first value, but it stands back": (
        INSERT, "op.execute(\"INSERT INTO users (id, email) VALUES (2, 'z') ON CONFLICT DO NOTHING\")", set(),
    ),
    "a dropped key of an upsert": (
        "op.drop_constraint('uq', 'users')",
        "op.execute(\"INSERT INTO users (id, email) VALUES (2, 'z') ON CONFLICT (email) DO NOTHING\")",
        {("possible", "dropped-object-used", "users.uq")},
    ),
    # How a name is come by.
    "a loop, an f-string, a constant": (
        "for n in ('x', 'y'):\n    op.add_column('t', sa.Column(f'c_{n}', sa.Text))",
        "NAME = 'c_' + 'y'\nop.add_column(table_name='t', column=sa.Column(NAME, sa.Text))",
        {("likely", "duplicate-column", "t.c_y")},
    ),
    "two computed schemas": (
        "op.create_table('t', sa.Column('id', sa.Integer), schema=schema_of('a'))",
        "op.create_table('t', sa.Column('id', sa.Integer), schema=schema_of('b'))", set(),
    ),
    "public and no schema": (
        "op.drop_table('t', schema='public')", "op.execute('DROP TABLE t')", {("likely", "dropped-twice", "t")},
    ),
    "two schemas": ("op.drop_table('t', schema='x')", "op.execute('DROP TABLE y.t')", set()),
    # What the source asks before.
    "guarded by a look at the database": (
        "if 'c' not in [c['name'] for c in sa.inspect(op.get_bind()).get_columns('t')]:\n"
        "    op.add_column('t', sa.Column('c', sa.Text))",
        "op.add_column('t', sa.Column('c', sa.Text))", {("possible", "duplicate-column", "t.c")},
    ),
    "for one dialect": (
        "if op.get_bind().dialect.name == 'postgresql':\n    op.drop_table('t')", "op.drop_table('t')",
        {("likely", "dropped-twice", "t")},
    ),
    # What is made and taken away again concerns nobody.
    "a table for the time of the upgrade": (
        "op.execute('CREATE TABLE tmp (id int)')\nop.drop_table('tmp')",
        "op.execute('CREATE TABLE tmp (id int)')\nop.drop_table('tmp')", set(),
    ),
    "a column after a dropped one": (
        "op.drop_column('t', 'c')", "op.execute('ALTER TABLE t ADD COLUMN d INT AFTER `c`')",
        {("likely", "dropped-column-used", "t.c")},
    ),
    "comments and strings are no SQL": (
        "op.execute(\"UPDATE t SET c = 'DROP TABLE u' -- DROP TABLE u\")", "op.execute('ALTER TABLE u ADD d int')", set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("a", "b", "expected"), PAIRS.values(), ids=PAIRS)
def test_pair(a: str, b: str, expected: Found, tmp_path: Path) -> None:
    assert guessed(tmp_path / "one", a, b) == expected
    assert guessed(tmp_path / "other", b, a) == expected, "whichever of the two comes first"


def test_what_a_branch_makes_itself_is_its_own(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    project.revision("base0001", None)
    project.sql("aaaa0001", "base0001", "CREATE TABLE t (id int)")
    project.sql("aaaa0002", "aaaa0001", "ALTER TABLE t ADD c int")
    project.sql("bbbb0001", "base0001", "CREATE TABLE t (id int)")
    project.sql("bbbb0002", "bbbb0001", "ALTER TABLE t ADD c int")
    assert [(g.kind, g.object) for g in guesses_about(project.root).guesses] == [("duplicate-table", "t")]


def test_only_revisions_that_meet_for_the_first_time_are_compared(tmp_path: Path) -> None:
    project = AlembicProject(tmp_path / "p")
    project.revision("base0001", None)
    project.sql("left0001", "base0001", "DROP TABLE IF EXISTS t")
    project.sql("right001", "base0001", "CREATE TABLE t (id int)")
    project.revision("merge001", ("left0001", "right001"))
    project.revision("aaaa0001", "merge001")
    project.revision("bbbb0001", "right001")
    # `left0001` and `right001` met below; `bbbb0001` brings nothing.
    assert guesses_about(project.root).guesses == ()
