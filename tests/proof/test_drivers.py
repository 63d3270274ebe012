"""Connections past SQLAlchemy: however a project spells production, it is in the scratch database.

The same lines run twice in a child process: without us, where they reach production (so the test would see
it), and with us, where production sees nobody.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proof.broker import BROKER, reaching_production
from tests.proof.decoys import PostgresPair
from tests.proof.inside_child import answer


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresPair]:
    pair = PostgresPair()
    yield pair
    pair.stop()


def postgres_arguments(settings: dict[str, object]) -> dict[str, dict[str, object]]:
    libpq = {**settings, "sslmode": "disable"}
    other = {name if name != "dbname" else "database": value for name, value in settings.items()}
    return {
        "psycopg2": libpq,
        "psycopg": libpq,
        "asyncpg": other,
        "pg8000": other,
        "sqlite3": {"database": "/nonexistent/scratch.db"},
    }


POSTGRES_NAMES = """
P = PRODUCTION
K = {k: P[k] for k in ("host", "port", "user", "password")}
URL = "postgresql://{user}:{password}@{host}:{port}/{dbname}".format(**P)
DSN = "host={host} port={port} user={user} password={password} dbname={dbname}".format(**P)
ENV = {"PGHOST": P["host"], "PGPORT": str(P["port"]), "PGUSER": P["user"], "PGPASSWORD": P["password"],
       "PGDATABASE": P["dbname"]}
SERVICE = os.path.join(os.getcwd(), "services.conf")
with open(SERVICE, "w") as file:
    file.write("[prod]\\n" + DSN.replace(" ", "\\n") + "\\n")
def with_env(changes, call):
    kept = dict(os.environ)
    os.environ.update(changes)
    try:
        return call()
    finally:
        os.environ.clear()
        os.environ.update(kept)
def name(connection, sql="SELECT current_database()"):
    try:
        cursor = connection.cursor()
        cursor.execute(sql)
        row = cursor.fetchone()
        return row["current_database"] if isinstance(row, dict) else row[0]
    finally:
        connection.close()
def engine_name(url, **keywords):
    import sqlalchemy as sa
    engine = sa.create_engine(url, **keywords)
    with engine.begin() as connection:
        sa.inspect(connection).get_table_names()
        return connection.execute(sa.text("SELECT current_database()")).scalar()
async def async_engine_name(url, **keywords):
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    engine = create_async_engine(url, **keywords)
    async with engine.begin() as connection:
        found = (await connection.execute(sa.text("SELECT current_database()"))).scalar()
    await engine.dispose()
    return found
"""

PSYCOPG2 = (
    "import psycopg2, psycopg2.extensions, psycopg2.extras, psycopg2.pool\nfrom psycopg2 import connect as bare\n"
    """
class Mine(psycopg2.extensions.connection):
    def __init__(self, dsn, **keywords):
        super().__init__(dsn, **keywords)
class Naughty(psycopg2.extensions.connection):
    def __init__(self, dsn):
        super().__init__(DSN)
def pooled(pool):
    try:
        return name(pool.getconn())
    finally:
        pool.closeall()
""",
    [
        "name(psycopg2.connect(URL))",
        "name(psycopg2.connect(DSN))",
        "name(psycopg2.connect(DSN.encode().decode() + ' application_name=x'))",
        "name(psycopg2.connect(dsn=URL))",
        "name(psycopg2.connect(URL.replace('postgresql://', 'postgres://') + '?connect_timeout=5'))",
        "name(psycopg2.connect('postgresql:///production?host=%s&port=%s&user=%s&password=%s'"
        " % (P['host'], P['port'], P['user'], P['password'])))",
        "name(psycopg2.connect(database='production', **K))",
        "name(psycopg2.connect(dbname='production', **K))",
        "name(psycopg2.connect('dbname=production', **K))",
        "name(psycopg2.connect(dbname='production', hostaddr='127.0.0.1', port=P['port'], user=P['user'],"
        " password=P['password']))",
        "name(psycopg2.connect(dbname='production', host='127.0.0.9,127.0.0.1', port='%s,%s' % (P['port'], P['port']),"
        " user=P['user'], password=P['password'], target_session_attrs='read-write'))",
        "name(bare(URL))",
        "name(psycopg2.connect(URL, connection_factory=Mine))",
        "name(psycopg2.connect(URL, connection_factory=Naughty))",
        "name(psycopg2.connect(URL, connection_factory=lambda dsn: Mine(DSN)))",
        "name(psycopg2.connect(URL, cursor_factory=psycopg2.extras.RealDictCursor))",
        "name(psycopg2.connect(URL, connection_factory=psycopg2.extras.RealDictConnection))",
        "name(psycopg2.extensions.connection(DSN))",
        "name(Mine(DSN))",
        "name(psycopg2._connect(DSN))",
        "pooled(psycopg2.pool.SimpleConnectionPool(1, 2, URL))",
        "pooled(psycopg2.pool.ThreadedConnectionPool(1, 2, database='production', **K))",
        "with_env(ENV, lambda: name(psycopg2.connect('')))",
        "with_env(dict(PGSERVICEFILE=SERVICE), lambda: name(psycopg2.connect('service=prod')))",
        "with_env(dict(PGSERVICEFILE=SERVICE, PGSERVICE='prod'), lambda: name(psycopg2.connect('')))",
        "engine_name(URL.replace('://', '+psycopg2://'))",
        "engine_name('postgresql+psycopg2://', connect_args=dict(dbname='production', **K))",
        "engine_name('postgresql+psycopg2://', creator=lambda: psycopg2.connect(URL))",
    ],
)

PSYCOPG = (
    """
import psycopg, psycopg.rows, psycopg.conninfo, psycopg_pool
from psycopg import connect as bare
class Mine(psycopg.Connection):
    pass
class Naughty(psycopg.Connection):
    @classmethod
    def connect(cls, conninfo="", **keywords):
        return super().connect(DSN)
class Deep(psycopg.Connection):
    @classmethod
    def _get_connection_params(cls, conninfo, **keywords):
        return psycopg.conninfo.conninfo_to_dict(DSN)
def pooled(**keywords):
    with psycopg_pool.ConnectionPool(min_size=1, max_size=1, timeout=5, open=True, **keywords) as pool:
        with pool.connection() as connection:
            return connection.execute("SELECT current_database()").fetchone()[0]
async def apooled(**keywords):
    async with psycopg_pool.AsyncConnectionPool(min_size=1, max_size=1, timeout=5, open=False, **keywords) as pool:
        async with pool.connection() as connection:
            return (await (await connection.execute("SELECT current_database()")).fetchone())[0]
async def aname(coming):
    connection = await coming
    async with connection:
        return (await (await connection.execute("SELECT current_database()")).fetchone())[0]
""",
    [
        "name(psycopg.connect(URL))",
        "name(psycopg.connect(DSN))",
        "name(psycopg.connect(conninfo=URL, connect_timeout=5))",
        "name(psycopg.connect(dbname='production', **K))",
        "name(psycopg.connect('dbname=production', **K))",
        "name(psycopg.connect(dbname='production', host='127.0.0.9,127.0.0.1', port=P['port'], user=P['user'],"
        " password=P['password']))",
        "name(bare(URL))",
        "name(psycopg.Connection.connect(URL))",
        "name(Mine.connect(URL))",
        "name(Naughty.connect(''))",
        "name(Deep.connect(URL))",
        "name(psycopg.connect(URL, row_factory=psycopg.rows.dict_row))",
        "aname(psycopg.AsyncConnection.connect(URL))",
        "aname(psycopg.AsyncConnection.connect(dbname='production', **K))",
        "pooled(conninfo=URL)",
        "pooled(kwargs=dict(dbname='production', **K), connection_class=Mine)",
        "apooled(conninfo=URL)",
        "with_env(ENV, lambda: name(psycopg.connect()))",
        "with_env(dict(PGSERVICEFILE=SERVICE, PGSERVICE='prod'), lambda: name(psycopg.connect('')))",
        "engine_name(URL.replace('://', '+psycopg://'))",
        "engine_name('postgresql+psycopg://', creator=lambda: psycopg.connect(URL))",
        "async_engine_name(URL.replace('://', '+psycopg://'))",
    ],
)

ASYNCPG = (
    """
import asyncpg
from asyncpg import connect as bare
from asyncpg.connection import connect as barer
class Mine(asyncpg.Connection):
    pass
async def aname(coming):
    connection = await coming
    try:
        return await connection.fetchval("SELECT current_database()")
    finally:
        await connection.close()
async def pooled(*args, **kwargs):
    async with asyncpg.create_pool(*args, min_size=1, max_size=1, **kwargs) as pool:
        return await pool.fetchval("SELECT current_database()")
""",
    [
        "aname(asyncpg.connect(URL))",
        "aname(asyncpg.connect(dsn=URL, timeout=5))",
        "aname(asyncpg.connect(database='production', **K))",
        "aname(asyncpg.connect('postgres://', database='production', **K))",
        "aname(asyncpg.connect(URL.replace(P['host'], '127.0.0.9:%s,127.0.0.1' % P['port'])))",
        "aname(asyncpg.connect('postgresql://?host=%s&port=%s&user=%s&password=%s&database=production'"
        " % (P['host'], P['port'], P['user'], P['password'])))",
        "aname(bare(URL))",
        "aname(barer(URL))",
        "aname(asyncpg.connect(URL, connection_class=Mine))",
        "pooled(URL)",
        "pooled(database='production', **K)",
        "with_env(ENV, lambda: asyncio.run(aname(asyncpg.connect())))",
        "async_engine_name(URL.replace('://', '+asyncpg://'))",
        "async_engine_name('postgresql+asyncpg://', connect_args=dict(database='production', **K))",
        "async_engine_name('postgresql+asyncpg://', async_creator=lambda: asyncpg.connect(URL))",
    ],
)

PG8000 = (
    """
import pg8000, pg8000.dbapi, pg8000.legacy, pg8000.native
from pg8000 import connect as bare
class Mine(pg8000.dbapi.Connection):
    pass
def native(connection):
    try:
        return connection.run("SELECT current_database()")[0][0]
    finally:
        connection.close()
""",
    [
        "name(pg8000.connect(database='production', **K))",
        "name(pg8000.connect(P['user'], P['host'], 'production', P['port'], P['password']))",
        "name(bare(database='production', **K))",
        "name(pg8000.dbapi.connect(database='production', **K))",
        "name(pg8000.dbapi.Connection(P['user'], P['host'], 'production', P['port'], P['password']))",
        "name(pg8000.legacy.connect(database='production', **K))",
        "name(Mine(database='production', **K))",
        "native(pg8000.native.Connection(database='production', **K))",
        "native(pg8000.native.Connection(P['user'], database='production', port=P['port'], password=P['password'],"
        " host='127.0.0.1', timeout=5))",
        "engine_name(URL.replace('://', '+pg8000://'))",
    ],
)


@pytest.mark.parametrize(
    ("before", "spellings"),
    [PSYCOPG2, PSYCOPG, ASYNCPG, PG8000],
    ids=["psycopg2", "psycopg", "asyncpg", "pg8000"],
)
def test_postgresql(before: str, spellings: list[str], postgres: PostgresPair, tmp_path: Path) -> None:
    def run(redirected: bool) -> Any:
        return answer(
            BROKER + POSTGRES_NAMES + before + "answer = run(SPELLINGS)",
            tmp_path,
            REDIRECTED=redirected,
            ARGUMENTS=postgres_arguments(postgres.scratch),
            PRODUCTION=postgres.production,
            SPELLINGS=spellings,
        )

    spellings = reaching_production(run(False))
    visits = postgres.visits()
    assert visits >= len(spellings)
    assert run(True) == dict.fromkeys(spellings, "scratch")
    assert postgres.visits() == visits
    assert postgres.rows() == [(1, "of production")]
    postgres.visits()


def test_drivers_that_were_imported_before(postgres: PostgresPair, tmp_path: Path) -> None:
    """As in a process that begins elsewhere: every name in their modules means ours from then on."""
    visits = postgres.visits()
    for imports, (before, spellings) in {
        "import psycopg2, psycopg2.extras, psycopg2.pool\n": PSYCOPG2,
        "import psycopg, psycopg_pool\n": PSYCOPG,
        "import asyncpg.pool\n": ASYNCPG,
        "import pg8000.dbapi, pg8000.native, pg8000.legacy\n": PG8000,
    }.items():
        spellings = [spelling for spelling in spellings if "engine" not in spelling]
        found = answer(
            imports + BROKER + POSTGRES_NAMES + before + "answer = run(SPELLINGS)",
            tmp_path,
            REDIRECTED=True,
            ARGUMENTS=postgres_arguments(postgres.scratch),
            PRODUCTION=postgres.production,
            SPELLINGS=spellings,
        )
        assert found == dict.fromkeys(spellings, "scratch")
    assert postgres.visits() == visits


DECEIVING = {
    "PGHOSTADDR": "127.0.0.9",
    "PGSERVICE": "absent",
    "PGTARGETSESSIONATTRS": "standby",
    "PGSSLMODE": "require",
    "PGCHANNELBINDING": "require",
    "PGREQUIREAUTH": "none",
}
"""What libpq, psycopg or asyncpg read by themselves although they were told where to connect."""


def test_the_environment_does_not_lead_elsewhere(postgres: PostgresPair, tmp_path: Path) -> None:
    """Set by the project, as `load_dotenv` does; it still finds it there afterwards."""

    def run(redirected: bool) -> Any:
        return answer(
            BROKER
            + POSTGRES_NAMES
            + ASYNCPG[0]
            + """
import psycopg, psycopg2
calls = ["name(psycopg2.connect(**ARGUMENTS['psycopg2']))", "name(psycopg.connect(**ARGUMENTS['psycopg']))",
         "aname(asyncpg.connect(**ARGUMENTS['asyncpg']))"]
answer = {}
for variable, value in DECEIVING.items():
    os.environ[variable] = value
    answer[variable] = list(run(calls).values()) + [os.environ.pop(variable, None)]
""",
            tmp_path,
            REDIRECTED=redirected,
            ARGUMENTS=postgres_arguments(postgres.scratch),
            PRODUCTION=postgres.production,
            DECEIVING=DECEIVING,
        )

    without_us = run(False)
    assert [name for name, found in without_us.items() if found[:3] == ["scratch"] * 3] == [], (
        "it does no harm"
    )
    removed = {"PGSERVICE"}  # asyncpg has no argument that says "none"
    assert run(True) == {
        name: ["scratch"] * 3 + [None if name in removed else value] for name, value in DECEIVING.items()
    }


def test_how_a_project_connects_is_kept(postgres: PostgresPair, tmp_path: Path) -> None:
    found = answer(
        BROKER
        + POSTGRES_NAMES
        + """
import psycopg2, psycopg2.extras, psycopg, psycopg.rows, asyncpg, pg8000.dbapi, pg8000.native
import psycopg2.extensions
def show(connection, *settings):
    cursor = connection.cursor()
    found = []
    for setting in settings:
        cursor.execute("SHOW " + setting)
        row = cursor.fetchone()
        found.append(list(row.values())[0] if hasattr(row, "values") else row[0])
    return found
class Mine(psycopg2.extensions.connection):
    pass
class MinePsycopg(psycopg.Connection):
    pass
answer = {}
connection = psycopg2.connect(URL + "?application_name=tool&options=-csearch_path%3Dtenant", connection_factory=Mine,
                              cursor_factory=psycopg2.extras.RealDictCursor)
answer["psycopg2"] = show(connection, "application_name", "search_path") + [
    type(connection).__name__, type(connection.cursor()).__name__, isinstance(connection, psycopg2.extensions.connection)]
answer["psycopg2 replication"] = issubclass(psycopg2.extras.LogicalReplicationConnection, psycopg2.extensions.connection)
connection = psycopg2.connect(application_name="it's a \\ tool", **dict(K, dbname="production"))
answer["psycopg2 quoted"] = show(connection, "application_name") + [
    type(connection) is psycopg2.extensions.connection, type(connection).__qualname__, type(connection).__module__]
connection = psycopg2.connect(URL, async_=True)
answer["psycopg2 async"] = bool(connection.async_)
connection = MinePsycopg.connect(URL + "?application_name=tool", autocommit=True, row_factory=psycopg.rows.dict_row,
                                 prepare_threshold=None, options="-csearch_path=tenant")
answer["psycopg"] = show(connection, "application_name", "search_path") + [
    type(connection).__name__, connection.autocommit, connection.prepare_threshold]
async def of_asyncpg():
    connection = await asyncpg.connect(URL + "?search_path=tenant", server_settings={"application_name": "tool"},
                                       statement_cache_size=0, command_timeout=None)
    return [await connection.fetchval("SHOW application_name"), await connection.fetchval("SHOW search_path"),
            connection._config.statement_cache_size, connection._config.command_timeout]
answer["asyncpg"] = asyncio.run(of_asyncpg())
connection = pg8000.dbapi.connect(application_name="tool", timeout=7, **dict(K, database="production"))
answer["pg8000"] = show(connection, "application_name") + [connection._usock.gettimeout()]
""",
        tmp_path,
        REDIRECTED=True,
        ARGUMENTS=postgres_arguments(postgres.scratch),
        PRODUCTION=postgres.production,
    )
    assert found == {
        "psycopg2": ["tool", "tenant", "Mine", "RealDictCursor", True],
        "psycopg2 quoted": ["it's a \\ tool", True, "connection", "psycopg2.extensions"],
        "psycopg2 async": True,
        "psycopg2 replication": True,
        "psycopg": ["tool", "tenant", "MinePsycopg", True, None],
        "asyncpg": ["tool", "tenant", 0, None],
        "pg8000": ["tool", 7.0],
    }


def test_which_database_was_meant_is_told(tmp_path: Path) -> None:
    """Also by what no driver would accept: what is odd is nobody's, not an error."""
    found = answer(
        BROKER
        + """
import psycopg2, psycopg2.extras, psycopg2.extensions, psycopg, asyncpg, pg8000, pymysql, mysql.connector, aiomysql, asyncmy, sqlite3
import pathlib
class Broken:
    def __str__(self):
        raise ValueError
def refuse(driver, given):
    broker.asked.append([driver, given])
    raise Foreign()
broker.arguments = refuse
answer = []
async def of(driver, *args, **kwargs):
    return await driver.connect(*args, **kwargs)
for spelling in SPELLINGS:
    broker.asked.clear()
    assert outcome(spelling, globals()) == "Foreign: ", (spelling, outcome(spelling, globals()))
    driver, given = broker.asked[0]
    answer.append([driver] + [given[part] for part in ("database", "host", "port", "user")])
""",
        tmp_path,
        REDIRECTED=True,
        ARGUMENTS={},
        SPELLINGS=list(MEANT),
    )
    assert dict(zip(MEANT, found, strict=True)) == {
        spelling: list(meant) for spelling, meant in MEANT.items()
    }


NOBODY = (None, None, None, None)
MEANT: dict[str, tuple[str | None, ...]] = {
    "psycopg2.connect('postgresql://u%40:p@h:77/a%2Fb?sslmode=require')": (
        "psycopg2",
        "a/b",
        "h",
        "77",
        "u@",
    ),
    "psycopg2.connect(\"dbname='a b' host=h\", port=78)": ("psycopg2", "a b", "h", "78", None),
    "psycopg2.extensions.connection('not a dsn')": ("psycopg2", *NOBODY),
    "psycopg2.extensions.connection('')": ("psycopg2", *NOBODY),
    "psycopg2.extras.LogicalReplicationConnection('dbname=d host=h')": ("psycopg2", "d", "h", None, None),
    "psycopg.connect('postgresql:///d?host=/run/pg')": ("psycopg", "d", "/run/pg", None, None),
    "psycopg.connect('postgresql://u@/d', dbname='e')": ("psycopg", "e", None, None, "u"),
    "psycopg.connect('not a dsn')": ("psycopg", *NOBODY),
    "of(asyncpg, 'postgres://u%40:p@h:77/d%20e?application_name=x')": ("asyncpg", "d e", "h", "77", "u@"),
    "of(asyncpg, 'postgresql://u@[::1]:77/d')": ("asyncpg", "d", "[::1]", "77", "u"),
    "of(asyncpg, 'postgresql://u@[::1]/d')": ("asyncpg", "d", "[::1]", None, "u"),
    "of(asyncpg, 'postgresql://h:7,i/d')": ("asyncpg", "d", "h:7,i", None, None),
    "of(asyncpg, 'postgresql://?dbname=d&host=/run/pg')": ("asyncpg", "d", "/run/pg", None, None),
    "of(asyncpg, 'postgresql://[/d')": ("asyncpg", *NOBODY),
    "of(asyncpg, Broken())": ("asyncpg", *NOBODY),
    "of(asyncpg, host=['a', 'b'], port=[1, 2], database='d')": ("asyncpg", "d", "['a', 'b']", "[1, 2]", None),
    "pg8000.connect('u', unix_sock='/run/pg/.s.PGSQL.1')": ("pg8000", None, "localhost", "5432", "u"),
    "pg8000.connect(b'u', database=b'd', host=Broken())": ("pg8000", "d", None, "5432", "u"),
    "pymysql.connect(host='h', user='u', passwd='p', db='d', port=77)": ("pymysql", "d", "h", "77", "u"),
    "pymysql.connect(read_default_file='/absent', read_default_group='x')": ("pymysql", *NOBODY),
    "pymysql.connect(unix_socket='/run/s')": ("pymysql", None, "/run/s", None, None),
    "mysql.connector.connect(user='u', host='h', db='d')": ("mysqlconnector", "d", "h", None, "u"),
    "mysql.connector.connect(user='u', unix_socket='/s', use_pure=True)": (
        "mysqlconnector",
        None,
        "/s",
        None,
        "u",
    ),
    "of(aiomysql, 'h', 'u', 'p', 'd', 77)": ("aiomysql", "d", "h", "77", "u"),
    "of(asyncmy, host='h', user='u', database='d', port=77)": ("asyncmy", "d", "h", "77", "u"),
    "sqlite3.connect('a.db')": ("sqlite3", "a.db", None, None, None),
    "sqlite3.connect(b'a.db')": ("sqlite3", "a.db", None, None, None),
    "sqlite3.connect(pathlib.Path('a.db'))": ("sqlite3", "a.db", None, None, None),
    "sqlite3.connect('file:a.db?mode=ro', uri=True)": ("sqlite3", "file:a.db?mode=ro", None, None, None),
}


REFUSED = {
    "oracledb": [
        "connect(user='u', password='p', dsn='h/d')",
        "create_pool(dsn='h/d')",
        "connect_async(dsn='h/d')",
    ],
    "pymssql": ["connect('h', 'u', 'p', 'd')"],
    "duckdb": ["connect('production.duckdb')", "connect(database='production.duckdb', read_only=True)"],
    "apsw": ["Connection('production.db')", "Connection(filename='production.db')"],
}
IN_MEMORY = [
    "duckdb.connect()",
    "duckdb.connect(':memory:')",
    "duckdb.connect(':memory:named')",
    "apsw.Connection('')",
]


@pytest.mark.network
def test_drivers_of_other_databases_are_refused(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    install = [
        str(venv / "bin" / "pip"),
        "install",
        "-q",
        "oracledb",
        "pymssql",
        "duckdb",
        "apsw",
        "pysqlite3-binary",
    ]
    subprocess.run(install, check=True, timeout=600)
    calls = [f"{name}.{call}" for name, calls in REFUSED.items() for call in calls]
    found = answer(
        BROKER
        + """
import oracledb, pymssql, duckdb, apsw, pysqlite3, pysqlite3.dbapi2
answer = [[outcome(call, globals()), len(broker.refused)] for call in CALLS]
answer.append([type(outcome(call, globals())).__name__ for call in IN_MEMORY])
answer.append(isinstance(apsw.Connection(""), apsw.Connection))
connections = [pysqlite3.connect("production.db"), pysqlite3.dbapi2.Connection("production.db")]
answer.append([connection.execute("PRAGMA database_list").fetchone()[2] for connection in connections])
answer.append([outcome("connections[0].execute(STATEMENT)", globals()), os.listdir()])
""",
        tmp_path,
        python=str(venv / "bin" / "python"),
        REDIRECTED=True,
        ARGUMENTS={"sqlite3": {"database": str(tmp_path / "scratch.db")}},
        CALLS=calls,
        IN_MEMORY=IN_MEMORY,
        STATEMENT="ATTACH 'production.db' AS other",
    )
    *refused, in_memory, is_instance, pysqlite, (attached, listing) = found
    assert all(message.startswith("Foreign: ") for message, _ in refused), refused
    assert [count for _, count in refused] == list(range(1, len(calls) + 1))
    assert in_memory == ["DuckDBPyConnection"] * 3 + ["Connection"]
    assert is_instance is True
    assert pysqlite == [str(tmp_path / "scratch.db")] * 2
    assert attached == "DatabaseError: not authorized"
    assert set(listing) <= {"venv", "scratch.db"}
