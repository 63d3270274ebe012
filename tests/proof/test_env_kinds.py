"""env.py as projects write it: where its connection comes from, and what it does with it.

Wherever a URL is written down it names production, which is a real database on the same server.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

from .conftest import Production
from .running import commutes, refused, unevaluated

RUN = """
with context.begin_transaction():
    context.run_migrations()
"""


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


def set_env(project: AlembicProject, text: str) -> None:
    (project.root / "migrations" / "env.py").write_text(text)


def write(project: AlembicProject, name: str, text: str) -> None:
    path = project.root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def with_engine(lines: str) -> str:
    """An env.py that makes `engine` with these lines."""
    return (
        f"import sqlalchemy\nfrom alembic import context\n{lines}\n"
        "with engine.connect() as connection:\n"
        "    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n"
    )


# -- where the URL comes from


def test_settings_read_from_a_dotenv_file(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """`load_dotenv(override=True)` undoes every variable that we set."""
    write(project, ".env", f"DATABASE_URL={production.url()}\nAPP_NAME=shop\n")
    write(
        project,
        "shop/settings.py",
        "import os\nfrom dotenv import load_dotenv\nload_dotenv(override=True)\n"
        "class Settings:\n    database_url = os.environ['DATABASE_URL']\n    name = os.environ['APP_NAME']\n"
        "settings = Settings()\nassert settings.name == 'shop'\n"
        f"assert settings.database_url.endswith({production.name!r}), 'the .env file was not read'\n",
    )
    set_env(
        project,
        ENV_PY.replace(
            "config = context.config\n",
            "config = context.config\nimport sys\nsys.path.insert(0, '.')\nfrom shop.settings import settings\n"
            "config.set_main_option('sqlalchemy.url', settings.database_url.replace('%', '%%'))\n",
        ),
    )
    commutes(project.root, database_url=postgres_url)


def test_an_ini_that_names_the_variable(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """Alembic's ini has no variables of the environment; several projects expand them by themselves."""
    project.ini.write_text(
        project.ini.read_text().replace("sqlalchemy.url = ", "sqlalchemy.url = $SHOP_DB #")
    )
    set_env(
        project,
        with_engine(
            "import os\nengine = sqlalchemy.create_engine(os.environ['SHOP_DB'])\n"
            "assert engine.url.database.startswith('converger_')"
        ),
    )
    commutes(project.root, database_url=postgres_url, database_url_env=("SHOP_DB",))


# -- config.attributes


@pytest.mark.parametrize(
    "text",
    [
        "assert attributes.get('connection') is None\n"
        "connection = attributes['connection']\n"
        f"context.configure(connection=connection){RUN}connection.commit()\n",
        "with attributes['connection'].engine.connect() as connection:\n"
        "    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n",
    ],
    ids=["taken", "its engine"],
)
def test_a_connection_in_the_attributes(project: AlembicProject, postgres_url: str, text: str) -> None:
    set_env(project, "from alembic import context\nattributes = context.config.attributes\n" + text)
    commutes(project.root, database_url=postgres_url)


# -- an engine that the application made when it was imported


APP_WIDE = "from alembic import context\nfrom shop.db import engine\n" + with_engine("").partition("\n\n")[2]

# One env.py walks through all of them: each is a pass with a version table of its own.
ENGINES = {
    "plain": "create_engine(URL)",
    "parts": "create_engine(URL_object.create('postgresql+psycopg2', username=SETTINGS['user'],"
    " password=SETTINGS['password'], host=SETTINGS['host'], port=SETTINGS['port'], database=SETTINGS['dbname']))",
    "pinging": "create_engine(URL, pool_pre_ping=True, pool_recycle=60, pool_size=1, max_overflow=0,"
    " connect_args={'connect_timeout': 3, 'application_name': 'shop', 'options': '-c statement_timeout=60000'})",
    "queue": "create_engine(URL, poolclass=pool.QueuePool, isolation_level='READ COMMITTED', echo_pool=True)",
    "static": "create_engine(URL, poolclass=pool.StaticPool)",
    "creator": "create_engine('postgresql+psycopg://', creator=lambda: psycopg.connect(**SETTINGS))",
    "creator2": "create_engine('postgresql+psycopg2://', creator=lambda: psycopg2.connect(**SETTINGS))",
    "pool": "create_engine('postgresql+psycopg2://', pool=pool.QueuePool(lambda: psycopg2.connect(**SETTINGS)))",
    "config": "engine_from_config({'db.url': URL, 'db.echo': 'false'}, prefix='db.')",
    "options": "create_engine(URL).execution_options(schema_translate_map={None: None})",
}
WALK = """\
import sys
sys.path.insert(0, ".")
from alembic import context
from shop.db import engines
for name, engine in engines.items():
    with engine.connect() as connection:
        context.configure(connection=connection, version_table=f"{name}_version")
        with context.begin_transaction():
            context.run_migrations()
"""


def walked_through(project: AlembicProject) -> None:
    """Revisions that run once for each pass."""
    project.sql("base0001", None, "CREATE TABLE IF NOT EXISTS accounts (id INTEGER)")
    project.sql("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN IF NOT EXISTS email TEXT")
    project.sql("bbbb0001", "base0001", "CREATE TABLE IF NOT EXISTS orders (id INTEGER)")


def test_app_wide_engines(project: AlembicProject, production: Production, postgres_url: str) -> None:
    lines = [f"engines[{name!r}] = {text}\n" for name, text in ENGINES.items()]
    write(
        project,
        "shop/db.py",
        "import psycopg, psycopg2\nfrom sqlalchemy import URL as URL_object, create_engine, engine_from_config, pool\n"
        f"URL = {production.url()!r}\nSETTINGS = {production.settings!r}\nengines = {{}}\n{''.join(lines)}",
    )
    set_env(project, WALK)
    walked_through(project)
    commutes(project.root, database_url=postgres_url)


def test_connect_args_are_those_of_the_project(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """How it connects is kept, so that migrations find the session that they rely on."""
    set_env(
        project,
        with_engine(
            f"engine = sqlalchemy.create_engine({production.url()!r},"
            " connect_args={'options': '-c search_path=shop,public', 'application_name': 'shop'})"
        ),
    )
    project.sql("base0001", None, "CREATE SCHEMA shop", "CREATE TABLE accounts (id INTEGER PRIMARY KEY)")
    project.revision(
        "bbbb0001",
        "base0001",
        "found = op.get_bind().exec_driver_sql(\n"
        "    \"SELECT current_setting('search_path'), current_setting('application_name')\").one()\n"
        "assert tuple(found) == ('shop,public', 'shop'), found\n"
        "op.execute('SELECT * FROM shop.accounts')",
    )
    commutes(project.root, database_url=postgres_url)


def test_an_engine_that_connected_when_it_was_imported(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """A pool keeps that connection until the migrations run."""
    write(
        project,
        "shop/db.py",
        "from sqlalchemy import create_engine, text\n"
        f"engine = create_engine({production.url()!r})\n"
        "with engine.connect() as connection:\n    VERSION = connection.scalar(text('SHOW server_version'))\n",
    )
    set_env(project, "import sys\nsys.path.insert(0, '.')\n" + APP_WIDE)
    commutes(project.root, database_url=postgres_url)


def test_ddl_before_alembic_is_configured(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    """On a connection of its own: what it makes is there for the migrations."""
    set_env(
        project,
        "import sqlalchemy\n"
        f"with sqlalchemy.create_engine({production.url()!r}).begin() as connection:\n"
        "    connection.execute(sqlalchemy.text('CREATE SCHEMA IF NOT EXISTS tenant'))\n" + ENV_PY,
    )
    project.sql("bbbb0001", "base0001", "CREATE TABLE tenant.t (id INTEGER)")
    commutes(project.root, database_url=postgres_url)


def test_a_scoped_session_of_the_application(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    set_env(
        project,
        "import sqlalchemy\nfrom alembic import context\nfrom sqlalchemy.orm import scoped_session, sessionmaker\n"
        f"session = scoped_session(sessionmaker(bind=sqlalchemy.create_engine({production.url()!r})))\n"
        f"context.configure(connection=session.connection()){RUN}session.commit()\nsession.remove()\n",
    )
    commutes(project.root, database_url=postgres_url)


# -- asyncio


ASYNC = """\
import asyncio
from alembic import context
from sqlalchemy import pool
from sqlalchemy.ext.asyncio import create_async_engine

def run(connection):
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()

async def main():
    engine = create_async_engine({url!r}{more})
    async with engine.{how}() as connection:
        await connection.run_sync(run)
        {end}
    await engine.dispose()

{start}
"""


@pytest.mark.parametrize(
    ("driver", "more", "how", "start"),
    [
        ("psycopg", ", pool_pre_ping=True", "begin", "asyncio.run(main())"),
        (
            "asyncpg",
            ", poolclass=pool.NullPool, connect_args={'server_settings': {'search_path': 'public'},"
            " 'statement_cache_size': 0, 'prepared_statement_name_func': lambda: ''}",
            "connect",
            "import threading\nthread = threading.Thread(target=lambda: asyncio.run(main()))\nthread.start()\n"
            "thread.join()",
        ),
    ],
    ids=["psycopg", "asyncpg in a thread"],
)
def test_asyncio(
    project: AlembicProject,
    production: Production,
    postgres_url: str,
    driver: str,
    more: str,
    how: str,
    start: str,
) -> None:
    end = "await connection.commit()" if how == "connect" else "pass"
    set_env(project, ASYNC.format(url=production.url(driver), more=more, how=how, start=start, end=end))
    commutes(project.root, database_url=postgres_url)


def test_an_async_creator(project: AlembicProject, production: Production, postgres_url: str) -> None:
    more = f", async_creator=lambda: __import__('asyncpg').connect(**{production.settings!r})"
    text = ASYNC.format(
        url="postgresql+asyncpg://", more=more, how="begin", start="asyncio.run(main())", end="pass"
    )
    set_env(project, text.replace("'dbname'", "'database'"))
    commutes(project.root, database_url=postgres_url)


# -- what it sets


def test_logging_that_silences_everybody(project: AlembicProject) -> None:
    """`fileConfig` disables existing loggers, among them whoever wanted to follow Alembic by its log."""
    text = project.ini.read_text().replace("level = WARNING", "level = CRITICAL")
    project.ini.write_text(text)
    env = ENV_PY.replace(
        "fileConfig(config.config_file_name)",
        "fileConfig(config.config_file_name, disable_existing_loggers=True)\n"
        "    import logging\n    logging.disable(logging.CRITICAL)",
    )
    assert env != ENV_PY
    set_env(project, env)
    for name in "ab":
        project.sql(f"{name * 4}0001", "base0001", "CREATE TABLE same (id INTEGER)")
    proof = refused(project.root, database_url="sqlite://")
    assert proof.verdict == "neither-order"
    assert "table same already exists" in (proof.conflicts[0].error or "")


ARGUMENTS = """\
import sqlalchemy
from alembic import context

for arguments in (
    {},
    {"version_table": 'Odd "Name"', "version_table_pk": False},
    {"version_table_schema": "meta", "include_schemas": True},
    {"version_table": "Odd", "version_table_schema": "meta", "transaction_per_migration": True},
    {"version_table": "by_hand", "transaction_per_migration": True, "transactional_ddl": False},
    {
        "version_table": "comparing",
        "compare_type": True,
        "compare_server_default": True,
        "include_object": lambda *_: True,
        "render_as_batch": True,
    },
    {
        "version_table": "hooked",
        "user_module_prefix": "x.",
        "process_revision_directives": lambda *_: None,
        "on_version_apply": [lambda **_: None],
    },
):
    # `alembic -x url=…`, which nobody gave.
    url = context.get_x_argument(as_dictionary=True).get("url") or context.config.get_main_option("sqlalchemy.url")
    with sqlalchemy.create_engine(url).connect() as connection:
        connection.exec_driver_sql("CREATE SCHEMA IF NOT EXISTS meta")
        connection.commit()
        context.configure(connection=connection, **arguments)
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
"""


def test_arguments_of_configure(project: AlembicProject, postgres_url: str) -> None:
    set_env(project, ARGUMENTS)
    walked_through(project)
    commutes(project.root, database_url=postgres_url)


def test_search_path_by_a_connect_event(
    project: AlembicProject, production: Production, postgres_url: str
) -> None:
    set_env(
        project,
        with_engine(
            f"engine = sqlalchemy.create_engine({production.url('psycopg2')!r})\n"
            "@sqlalchemy.event.listens_for(engine, 'connect')\n"
            "def connected(raw, _record):\n"
            "    with raw.cursor() as cursor:\n"
            "        cursor.execute('CREATE SCHEMA IF NOT EXISTS shop')\n"
            "        cursor.execute('SET search_path TO shop')\n"
            "    raw.commit()\n"
        ),
    )
    project.sql("bbbb0001", "base0001", "INSERT INTO shop.accounts (id) VALUES (1)")
    commutes(project.root, database_url=postgres_url)


@pytest.mark.parametrize(
    "lines",
    [
        "    with engine.connect() as other:\n"
        "        other.exec_driver_sql('SELECT pg_advisory_lock(4711)')\n"
        "        context.configure(connection=connection)\n"
        "        with context.begin_transaction():\n            context.run_migrations()\n",
        "    context.configure(connection=connection)\n    with context.begin_transaction():\n"
        "        context.get_context()._ensure_version_table()\n"
        "        connection.exec_driver_sql('SELECT pg_advisory_xact_lock(4711)')\n"
        "        context.run_migrations()\n",
    ],
    ids=["second connection", "transaction"],
)
def test_an_advisory_lock(
    project: AlembicProject, production: Production, postgres_url: str, lines: str
) -> None:
    """Two upgrades run side by side, each on its own database: a lock of the database does not stop the other."""
    set_env(
        project,
        "import sqlalchemy\nfrom alembic import context\n"
        f"engine = sqlalchemy.create_engine({production.url()!r})\n"
        "with engine.connect() as connection:\n" + lines,
    )
    commutes(project.root, database_url=postgres_url, timeout=20.0)


def test_engine_begin(project: AlembicProject, production: Production, postgres_url: str) -> None:
    set_env(
        project,
        "import sqlalchemy\nfrom alembic import context\n"
        f"with sqlalchemy.create_engine({production.url()!r}).begin() as connection:\n"
        "    context.configure(connection=connection)\n    context.run_migrations()\n",
    )
    commutes(project.root, database_url=postgres_url)


def test_offline_only(project: AlembicProject, postgres_url: str) -> None:
    """An env.py that can only print SQL runs no migration, which is told."""
    set_env(
        project,
        "from alembic import context\nassert context.is_offline_mode(), 'only --sql is supported here'\n"
        f"context.configure(url='postgresql://'){RUN}",
    )
    reason = unevaluated(project.root, database_url=postgres_url)
    assert reason.code == "env-failed"
    assert "only --sql is supported here" in reason.message


def test_an_env_py_that_prints_sql_though_online(project: AlembicProject, postgres_url: str) -> None:
    set_env(
        project,
        "from alembic import context\ncontext.configure(url='postgresql://', as_sql=True,"
        f" dialect_opts={{'paramstyle': 'named'}}){RUN}",
    )
    reason = unevaluated(project.root, database_url=postgres_url)
    assert reason.code == "cannot-start-from-empty"
    assert "env.py committed nothing, or it only printed their SQL" in reason.message


# -- tenants: a schema and a version table for each


TENANTS = """\
import sqlalchemy
from alembic import context

engine = sqlalchemy.create_engine({url!r})
with engine.connect() as connection:
    connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS public.tenants (name TEXT PRIMARY KEY)")
    connection.exec_driver_sql("INSERT INTO public.tenants VALUES ('red'), ('blue') ON CONFLICT DO NOTHING")
    connection.commit()
    for name in connection.exec_driver_sql("SELECT name FROM public.tenants ORDER BY 1").scalars().all():
        connection.exec_driver_sql(f"CREATE SCHEMA IF NOT EXISTS {{name}}")
        connection.exec_driver_sql(f"SET search_path TO {{name}}")
        connection.commit()
        connection.dialect.default_schema_name = name
        context.configure(connection=connection{more})
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
"""


class TestTenants:
    def test_by_a_schema_translate_map(
        self, project: AlembicProject, production: Production, postgres_url: str
    ) -> None:
        """Statements of SQLAlchemy's get the tenant's schema, and so do those of Alembic for its version table."""
        text = TENANTS.format(url=production.url(), more="")
        set_env(
            project,
            text.replace(
                "connection=connection",
                "connection=connection.execution_options(schema_translate_map={None: name})",
            ),
        )
        for path in project.versions.glob("*.py"):
            path.unlink()
        for name, parent in (("base0001", None), ("aaaa0001", "base0001"), ("bbbb0001", "base0001")):
            project.revision(name, parent, f"op.create_table('of_{name}', sa.Column('id', sa.Integer))")
        commutes(project.root, database_url=postgres_url)

    def test_by_the_search_path_alone(
        self, project: AlembicProject, production: Production, postgres_url: str
    ) -> None:
        set_env(project, TENANTS.format(url=production.url(), more=""))
        proof = commutes(project.root, database_url=postgres_url)
        empty = next(path for path in proof.paths if path.start == ())
        assert len(set(empty.order)) == len(empty.order) == 4

    @pytest.mark.parametrize("tenant", ["red", "blue"])
    def test_a_conflict_in_one(
        self, project: AlembicProject, production: Production, postgres_url: str, tenant: str
    ) -> None:
        """In the first of them both create a table, in the last they leave it with different columns."""
        set_env(project, TENANTS.format(url=production.url(), more=", version_table_schema=name"))
        clash = tenant == "red"
        for name, column in (("a", "INTEGER"), ("b", "BIGINT")):
            project.revision(
                f"{name * 4}0001",
                "base0001",
                f"if op.get_bind().exec_driver_sql('SELECT current_schema()').scalar() == {tenant!r}:\n"
                f"    op.execute('CREATE TABLE {'' if clash else 'IF NOT EXISTS'} same (id {column})')",
            )
        proof = refused(project.root, database_url=postgres_url)
        assert proof.verdict == ("neither-order" if clash else "differ")
        if clash:
            assert 'relation "same" already exists' in (proof.conflicts[0].error or "")
        else:
            assert any(name.startswith("blue.same") for name in proof.conflicts[0].objects)

    def test_a_tenant_that_a_migration_adds(
        self, project: AlembicProject, production: Production, postgres_url: str
    ) -> None:
        """Its version table comes with the next upgrade, and starts from nothing."""
        set_env(project, TENANTS.format(url=production.url(), more=", version_table_schema=name"))
        project.sql(
            "aaaa0001", "base0001", "INSERT INTO public.tenants VALUES ('white') ON CONFLICT DO NOTHING"
        )
        proof = refused(project.root, database_url=postgres_url)
        assert proof.verdict == "differ", "the database that runs all at once has no tables for it yet"
        found = proof.conflicts[0]
        assert {name.partition(".")[0] for name in found.objects} == {"white"}
        assert all(" white" in text for text in found.differences)
