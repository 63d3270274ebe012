"""What migrations do beside plain DDL."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

from .conftest import Production
from .running import commutes, refused


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


def test_an_index_made_concurrently(project: AlembicProject, postgres_url: str) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "with op.get_context().autocommit_block():\n"
        "    op.create_index('ix', 'accounts', ['name'], postgresql_concurrently=True)\n"
        "with op.get_context().autocommit_block():\n"
        "    op.execute('CREATE INDEX CONCURRENTLY ix2 ON accounts (name)')\n"
        "op.execute('CREATE TABLE after (id INTEGER)')",
    )
    commutes(project.root, database_url=postgres_url)


def test_a_clash_behind_an_autocommit_block(project: AlembicProject, postgres_url: str) -> None:
    for name in "ab":
        project.revision(
            f"{name * 4}0001",
            "base0001",
            "with op.get_context().autocommit_block():\n"
            "    op.execute('CREATE INDEX CONCURRENTLY ix_same ON accounts (name)')",
        )
    proof = refused(project.root, database_url=postgres_url)
    assert proof.verdict == "neither-order"
    assert 'relation "ix_same" already exists' in (proof.conflicts[0].error or "")


@pytest.mark.parametrize("body", ["op.execute('COMMIT')", "op.get_bind().commit()"], ids=["sql", "api"])
def test_a_migration_that_commits(project: AlembicProject, postgres_url: str, body: str) -> None:
    """Some end Alembic's transaction by hand, as one had to before there was an autocommit block."""
    tail = "" if "api" in body or ".commit()" in body else "\nop.execute('BEGIN')"
    if ".commit()" in body:
        env = ENV_PY.replace(
            "        with context.begin_transaction():\n            context.run_migrations()\n",
            "        context.run_migrations()\n        connection.commit()\n",
        )
        assert env != ENV_PY
        (project.root / "migrations" / "env.py").write_text(env)
    project.revision("bbbb0001", "base0001", f"op.execute('CREATE TABLE early (id INTEGER)')\n{body}{tail}")
    commutes(project.root, database_url=postgres_url)


DATA = {
    "bind": "bind = op.get_bind()\n"
    "bind.execute(sa.text('INSERT INTO accounts (id, name) VALUES (:id, :name)'), [{'id': 1, 'name': 'x'}])\n"
    "for row in bind.execute(sa.text('SELECT id, name FROM accounts')).mappings():\n"
    "    bind.execute(sa.text('UPDATE accounts SET name = :name WHERE id = :id'), {'id': row['id'], 'name': 'y'})",
    "bulk insert": "table = sa.table('accounts', sa.column('id', sa.Integer), sa.column('name', sa.String))\n"
    "op.bulk_insert(table, [{'id': 1, 'name': 'x'}])\n"
    "op.execute(table.update().where(table.c.id == 1).values(name='y'))",
    "session": "from sqlalchemy.orm import Session, declarative_base\n"
    "class Account(declarative_base()):\n"
    "    __tablename__ = 'accounts'\n    id = sa.Column(sa.Integer, primary_key=True)\n    name = sa.Column(sa.String)\n"
    "session = Session(bind=op.get_bind())\nsession.add(Account(id=1, name='x'))\nsession.flush()\n"
    "session.query(Account).filter_by(id=1).update({'name': 'y'})\nsession.commit()",
    "reflection": "metadata = sa.MetaData()\naccounts = sa.Table('accounts', metadata, autoload_with=op.get_bind())\n"
    "op.execute(accounts.insert().values(id=1, name='y'))",
    "raw cursor": "cursor = op.get_bind().connection.cursor()\n"
    "cursor.execute('INSERT INTO accounts (id, name) VALUES (1, %s)', ['y'])\ncursor.close()",
    "driver sql": "op.get_bind().exec_driver_sql('INSERT INTO accounts (id, name) VALUES (1, %s)', ('y',))",
}
SEEN = (
    "found = op.get_bind().exec_driver_sql('SELECT id, name FROM accounts').all()\n"
    "assert [tuple(row) for row in found] == [(1, 'y')], found"
)
EMPTY = "op.execute('DELETE FROM accounts')"


def one_after_the_other(*ways: str) -> str:
    """A migration that goes all these ways; the row that each leaves is that of the next one's table, too."""
    return f"\n{EMPTY}\n".join(f"{way}\n{SEEN}" for way in ways)


def test_data(project: AlembicProject, postgres_url: str) -> None:
    project.revision("bbbb0001", "base0001", one_after_the_other(*DATA.values()))
    commutes(project.root, database_url=postgres_url)


def test_data_on_sqlite(project: AlembicProject) -> None:
    project.revision("bbbb0001", "base0001", one_after_the_other(DATA["bind"], DATA["session"]))
    commutes(project.root, database_url="sqlite://")


OTHER_CONNECTIONS = """\
with sessionmaker(bind=sa.create_engine(SETTINGS['engine']))() as session:
    session.execute(sa.text('INSERT INTO kept VALUES (1)'))
    session.commit()
raw = psycopg.connect(**SETTINGS['psycopg'])
with raw.cursor() as cursor, cursor.copy('COPY kept FROM STDIN') as copy:
    copy.write_row([2])
raw.commit()
raw.close()
raw = psycopg2.connect(**SETTINGS['psycopg'])
raw.cursor().copy_expert('COPY kept FROM STDIN', io.StringIO('3\\n'))
raw.commit()
raw.close()
async def work():
    raw = await asyncpg.connect(SETTINGS['asyncpg'])
    await raw.copy_records_to_table('kept', records=[(4,)])
    await raw.close()
asyncio.run(work())
raw = op.get_bind().connection.driver_connection
with raw.cursor() as cursor, cursor.copy('COPY kept FROM STDIN') as copy:
    copy.write_row([5])
assert op.get_bind().exec_driver_sql('SELECT id FROM kept ORDER BY 1').scalars().all() == [1, 2, 3, 4, 5]
"""


def test_data_on_connections_of_its_own(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """A session on the application's engine and COPY by each driver, with commits of their own, and Alembic's."""
    (project.root / "migrations" / "env.py").write_text(
        "import sqlalchemy\nfrom alembic import context\n"
        f"with sqlalchemy.create_engine({production.url()!r}).connect() as connection:\n"
        "    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
    )
    settings = {
        "engine": production.url(),
        "psycopg": production.settings,
        "asyncpg": production.url().replace("+psycopg", ""),
    }
    project.sql(
        "base0001", None, "CREATE TABLE accounts (id INTEGER, name TEXT)", "CREATE TABLE kept (id INTEGER)"
    )
    project.revision(
        "bbbb0001",
        "base0001",
        OTHER_CONNECTIONS,
        header="import asyncio, asyncpg, io, psycopg, psycopg2\nfrom sqlalchemy.orm import sessionmaker\n"
        f"SETTINGS = {settings!r}",
    )
    commutes(project.root, database_url=postgres_url)


BATCH = (
    "with op.batch_alter_table('accounts'{more}) as batch:\n"
    "    batch.add_column(sa.Column('{column}', sa.String(20), server_default='-'))\n"
    "    batch.alter_column('name', existing_type=sa.String(50), nullable={nullable})"
)


def test_batch_mode_on_sqlite(project: AlembicProject) -> None:
    project.revision("aaaa0001", "base0001", BATCH.format(more="", column="x", nullable=True))
    project.revision(
        "bbbb0001", "base0001", BATCH.format(more=", recreate='always'", column="y", nullable=True)
    )
    commutes(project.root, database_url="sqlite://")


def test_a_batch_that_forgets_the_other_branch(project: AlembicProject) -> None:
    """`copy_from` rebuilds the table as its author knew it: what the other branch added is lost."""
    project.revision(
        "bbbb0001",
        "base0001",
        "known = sa.Table('accounts', sa.MetaData(), sa.Column('id', sa.Integer, primary_key=True),"
        " sa.Column('name', sa.String(50)))\n"
        + BATCH.format(more=", copy_from=known, recreate='always'", column="y", nullable=True),
    )
    proof = refused(project.root, database_url="sqlite://")
    assert proof.verdict == "differ"
    assert any("email" in text for text in proof.conflicts[0].objects)


def test_sqlite_pragmas(project: AlembicProject) -> None:
    """Foreign keys off during a batch, on by a listener of the application's."""
    (project.root / "migrations" / "env.py").write_text(
        "import sqlalchemy\n@sqlalchemy.event.listens_for(sqlalchemy.engine.Engine, 'connect')\n"
        "def on(raw, _):\n    raw.execute('PRAGMA foreign_keys = ON')\n    raw.execute('PRAGMA journal_mode = WAL')\n"
        + ENV_PY
    )
    project.revision(
        "bbbb0001",
        "base0001",
        "assert op.get_bind().exec_driver_sql('PRAGMA foreign_keys').scalar() == 1\n"
        "assert op.get_bind().exec_driver_sql('PRAGMA journal_mode').scalar() == 'wal'",
    )
    commutes(project.root, database_url="sqlite://")


def test_functions_and_collations_of_python_on_sqlite(project: AlembicProject) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "raw = op.get_bind().connection.driver_connection\n"
        "raw.create_function('shout', 1, str.upper)\nraw.create_collation('odd', lambda a, b: (a > b) - (a < b))\n"
        "op.execute(\"INSERT INTO accounts (id, name) VALUES (1, shout('y'))\")\n"
        "assert op.get_bind().exec_driver_sql('SELECT name FROM accounts ORDER BY name COLLATE odd').scalar() == 'Y'",
    )
    commutes(project.root, database_url="sqlite://")


def test_migrations_that_look_at_the_dialect(project: AlembicProject, postgres_url: str) -> None:
    body = (
        "if op.get_bind().dialect.name == 'postgresql':\n    op.execute('CREATE TABLE same (id INTEGER)')\n"
        "else:\n    op.execute('CREATE TABLE {} (id INTEGER)')"
    )
    project.revision("aaaa0001", "base0001", body.format("a"))
    project.revision("bbbb0001", "base0001", body.format("b"))
    assert refused(project.root, database_url=postgres_url).verdict == "neither-order"
    commutes(project.root, database_url="sqlite://")
