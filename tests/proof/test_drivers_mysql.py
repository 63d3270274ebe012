"""The same for MySQL's drivers: see `test_drivers`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proof.broker import BROKER, reaching_production
from tests.proof.decoys import MariadbPair
from tests.proof.inside_child import answer


@pytest.fixture(scope="module")
def mariadb() -> Iterator[MariadbPair]:
    pair = MariadbPair()
    yield pair
    pair.stop()


MYSQL_NAMES = """
import warnings
warnings.simplefilter("ignore")
P = PRODUCTION
K = {k: P[k] for k in ("host", "port", "user", "password")}
MYCNF = os.path.join(os.getcwd(), "my.cnf")
with open(MYCNF, "w") as file:
    file.write("[client]\\nhost={host}\\nport={port}\\nuser={user}\\npassword={password}\\ndatabase={database}\\n".format(**P))
    file.write("[connector_python]\\nhost={host}\\nport={port}\\nuser={user}\\npassword={password}\\ndatabase={database}\\n".format(**P))
def name(connection):
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT database() AS name")
        row = cursor.fetchone()
        return row["name"] if isinstance(row, dict) else row[0]
    finally:
        connection.close()
async def aname(coming):
    connection = await coming
    try:
        cursor = connection.cursor()
        if hasattr(cursor, "__await__"):
            cursor = await cursor
        await cursor.execute("SELECT database()")
        return (await cursor.fetchone())[0]
    finally:
        closed = connection.close()
        if closed is not None:
            await closed
async def pooled(coming):
    async with coming as pool:
        async with pool.acquire() as connection:
            async with connection.cursor() as cursor:
                await cursor.execute("SELECT database()")
                return (await cursor.fetchone())[0]
def engine_name(driver, **keywords):
    import sqlalchemy as sa
    url = "mysql+%s://{user}:{password}@{host}:{port}/{database}".format(**P) % driver
    engine = sa.create_engine(keywords.pop("url", url), **keywords)
    with engine.begin() as connection:
        sa.inspect(connection).get_table_names()
        return connection.execute(sa.text("SELECT database()")).scalar()
async def async_engine_name(driver, **keywords):
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    engine = create_async_engine("mysql+%s://{user}:{password}@{host}:{port}/{database}".format(**P) % driver, **keywords)
    async with engine.begin() as connection:
        found = (await connection.execute(sa.text("SELECT database()"))).scalar()
    await engine.dispose()
    return found
"""

PYMYSQL = (
    """
import pymysql, pymysql.connections, pymysql.cursors
from pymysql import connect as bare
class Mine(pymysql.connections.Connection):
    pass
class Naughty(pymysql.connections.Connection):
    def __init__(self, **keywords):
        super().__init__(**P)
def late():
    connection = pymysql.connect(defer_connect=True, **P)
    connection.connect()
    return connection
""",
    [
        "name(pymysql.connect(**P))",
        "name(pymysql.connect(db='production', host=P['host'], port=P['port'], user=P['user'], passwd=P['password']))",
        "name(pymysql.connect(unix_socket=SOCKET, user=P['user'], password=P['password'], database='production'))",
        "name(pymysql.connect(read_default_file=MYCNF))",
        "name(pymysql.connect(read_default_file=MYCNF, read_default_group='client', database='production'))",
        "name(bare(**P))",
        "name(pymysql.Connect(**P))",
        "name(pymysql.Connection(**P))",
        "name(pymysql.connections.Connection(**P))",
        "name(pymysql.connect(cursorclass=pymysql.cursors.DictCursor, **P))",
        "name(Mine(**P))",
        "name(Naughty())",
        "name(late())",
        "engine_name('pymysql')",
        "engine_name('pymysql', url='mysql+pymysql://', connect_args=P)",
        "engine_name('pymysql', url='mysql+pymysql://', creator=lambda: pymysql.connect(**P))",
    ],
)

MYSQLCONNECTOR = (
    """
import mysql.connector, mysql.connector.pooling
try:
    import mysql.connector.aio
except ImportError:  # before 8.2
    pass
from mysql.connector import connect as bare
PURE = mysql.connector.MySQLConnection
C = getattr(mysql.connector, "CMySQLConnection", PURE)  # not every wheel has it
HAVE_C = mysql.connector.HAVE_CEXT
class Mine(PURE):
    pass
def later(cls):
    connection = cls()
    connection.config(**P)
    connection.connect()
    connection.reconnect()
    return connection
""",
    [
        "name(mysql.connector.connect(**P))",
        "name(mysql.connector.connect(use_pure=True, **P))",
        "name(mysql.connector.connect(use_pure=not HAVE_C, **P))",
        "name(mysql.connector.connect(db='production', host=P['host'], port=P['port'], user=P['user'],"
        " passwd=P['password']))",
        "name(mysql.connector.connect(unix_socket=SOCKET, user=P['user'], password=P['password'],"
        " database='production', use_pure=True))",
        "name(mysql.connector.connect(unix_socket=SOCKET, user=P['user'], password=P['password'],"
        " database='production', use_pure=not HAVE_C))",
        "name(mysql.connector.connect(option_files=MYCNF, option_groups=['connector_python']))",
        "name(mysql.connector.connect(failover=[dict(port=1, host=P['host']), dict(port=P['port'], host=P['host'])],"
        " user=P['user'], password=P['password'], database='production'))",
        "name(bare(**P))",
        "name(mysql.connector.Connect(**P)) if hasattr(mysql.connector, 'Connect') else name(bare(**P))",
        "name(PURE(**P))",
        "name(C(**P))",
        "name(Mine(**P))",
        "name(later(PURE))",
        "name(later(C))",
        "name(mysql.connector.connect(pool_name='a', pool_size=1, **P))",
        "name(mysql.connector.pooling.MySQLConnectionPool(pool_name='b', pool_size=1, **P).get_connection())",
        "aname(mysql.connector.aio.connect(ssl_disabled=True, **P))",
        "engine_name('mysqlconnector')",
        "engine_name('mysqlconnector', creator=lambda: mysql.connector.connect(**P))",
    ],
)

AIOMYSQL = (
    "import aiomysql, aiomysql.connection\nfrom aiomysql import connect as bare\n",
    [
        "aname(aiomysql.connect(db='production', **K))",
        "aname(aiomysql.connect(P['host'], P['user'], P['password'], 'production', P['port']))",
        "aname(aiomysql.connect(unix_socket=SOCKET, user=P['user'], password=P['password'], db='production'))",
        "aname(aiomysql.connect(read_default_file=MYCNF, db='production'))",
        "aname(bare(db='production', **K))",
        "pooled(aiomysql.create_pool(minsize=1, maxsize=1, db='production', **K))",
        "async_engine_name('aiomysql')",
        "async_engine_name('aiomysql', async_creator=lambda: aiomysql.connect(db='production', **K))",
    ],
)

ASYNCMY = (
    "import asyncmy, asyncmy.connection\nfrom asyncmy import connect as bare\n",
    [
        "aname(asyncmy.connect(**P))",
        "aname(asyncmy.connect(db='production', **K))",
        "aname(asyncmy.connect(unix_socket=SOCKET, user=P['user'], password=P['password'], db='production'))",
        "aname(asyncmy.connect(read_default_file=MYCNF, db='production'))",
        "aname(bare(**P))",
        "pooled(asyncmy.create_pool(minsize=1, maxsize=1, **P))",
        "async_engine_name('asyncmy')",
        "async_engine_name('asyncmy', async_creator=lambda: asyncmy.connect(**P))",
    ],
)

MYSQLDB = (
    """
import MySQLdb, MySQLdb.connections, MySQLdb.cursors
from MySQLdb import connect as bare
class Mine(MySQLdb.connections.Connection):
    pass
def low(connection):
    connection.query("SELECT database()")
    return connection.store_result().fetch_row()[0][0].decode()
""",
    [
        "name(MySQLdb.connect(**P))",
        "name(MySQLdb.connect(db='production', passwd=P['password'], host=P['host'], port=P['port'], user=P['user']))",
        "name(MySQLdb.connect(P['host'], P['user'], P['password'], 'production', P['port']))",
        "name(MySQLdb.connect(unix_socket=SOCKET, user=P['user'], password=P['password'], database='production'))",
        "name(MySQLdb.connect(read_default_file=MYCNF, database='production'))",
        "name(MySQLdb.connect(P['host'], P['user'], P['password'], 'production', P['port'], '', read_default_file=MYCNF))",
        "name(bare(**P))",
        "name(MySQLdb.Connect(**P))",
        "name(MySQLdb.Connection(**P))",
        "name(MySQLdb.connections.Connection(**P))",
        "name(MySQLdb.connect(cursorclass=MySQLdb.cursors.DictCursor, **P))",
        "name(Mine(**P))",
        "low(MySQLdb._mysql.connect(**P))",
        "low(MySQLdb._mysql.connection(**P))",
        "engine_name('mysqldb')",
        "engine_name('mysqldb', creator=lambda: MySQLdb.connect(**P))",
    ],
)
"""mysqlclient is built from source: its test is one of those that install packages."""


def mysql_arguments(settings: dict[str, object]) -> dict[str, dict[str, object]]:
    aiomysql = {("db" if name == "database" else name): value for name, value in settings.items()}
    mysqldb = {("passwd" if name == "password" else name): value for name, value in aiomysql.items()}
    # As SQLAlchemy's dialects spell them, which also ask for what is theirs alone.
    return {
        "pymysql": {**settings, "client_flag": 2},
        "mysqldb": {**mysqldb, "client_flag": 2},
        "mysqlconnector": {**settings, "buffered": True, "raise_on_warnings": True},
        "aiomysql": {**aiomysql, "client_flag": 2},
        "asyncmy": {**aiomysql, "client_flag": 2},
        "sqlite3": {"database": "/nonexistent/scratch.db"},
    }


def run_mysql(before: str, spellings: list[str], mariadb: MariadbPair, folder: Path, **where: Any) -> None:
    def run(redirected: bool) -> Any:
        return answer(
            BROKER + MYSQL_NAMES + before + "answer = run(SPELLINGS)",
            folder,
            REDIRECTED=redirected,
            ARGUMENTS=mysql_arguments(mariadb.scratch),
            PRODUCTION=mariadb.production,
            SOCKET=mariadb.socket,
            SPELLINGS=spellings,
            **where,
        )

    mariadb.visits()
    spellings = reaching_production(run(False))
    assert mariadb.visits() >= len(spellings)
    assert run(True) == dict.fromkeys(spellings, "scratch")
    assert mariadb.visits() == 0
    assert mariadb.rows() == ((1,),)


@pytest.mark.parametrize(
    ("before", "spellings"),
    [PYMYSQL, MYSQLCONNECTOR, AIOMYSQL, ASYNCMY],
    ids=["pymysql", "mysqlconnector", "aiomysql", "asyncmy"],
)
def test_mysql(before: str, spellings: list[str], mariadb: MariadbPair, tmp_path: Path) -> None:
    run_mysql(before, spellings, mariadb, tmp_path)


def test_drivers_that_were_imported_before(mariadb: MariadbPair, tmp_path: Path) -> None:
    """As in a process that begins elsewhere: every name in their modules means ours from then on."""
    mariadb.visits()
    for imports, (before, spellings) in {
        "import pymysql\n": PYMYSQL,
        "import mysql.connector.pooling, mysql.connector.aio\n": MYSQLCONNECTOR,
        "import aiomysql\n": AIOMYSQL,
        "import asyncmy\n": ASYNCMY,
    }.items():
        spellings = [spelling for spelling in spellings if "engine" not in spelling]
        found = answer(
            imports + BROKER + MYSQL_NAMES + before + "answer = run(SPELLINGS)",
            tmp_path,
            REDIRECTED=True,
            ARGUMENTS=mysql_arguments(mariadb.scratch),
            PRODUCTION=mariadb.production,
            SOCKET=mariadb.socket,
            SPELLINGS=spellings,
        )
        assert found == dict.fromkeys(spellings, "scratch")
    assert mariadb.visits() == 0


SESSION = """
QUERY = "SELECT @@character_set_client, @@sql_mode, @@autocommit, @hello"
HOW = dict(charset="latin1", sql_mode="ANSI_QUOTES", autocommit=True, init_command="SET @hello = 'world'")
def session(connection):
    cursor = connection.cursor()
    cursor.execute(QUERY)
    return [type(connection).__name__, type(cursor).__name__, *cursor.fetchone()]
"""


def test_how_a_project_connects_is_kept(mariadb: MariadbPair, tmp_path: Path) -> None:
    found = answer(
        BROKER
        + MYSQL_NAMES
        + SESSION
        + """
import pymysql, pymysql.cursors, pymysql.constants.CLIENT as CLIENT, mysql.connector, aiomysql, asyncmy
class Mine(pymysql.connections.Connection):
    pass
class Cursor(pymysql.cursors.Cursor):
    pass
async def asession(coming):
    connection = await coming
    cursor = connection.cursor()
    cursor = await cursor if hasattr(cursor, "__await__") else cursor
    await cursor.execute(QUERY)
    return list(await cursor.fetchone())
answer = {}
connection = Mine(cursorclass=Cursor, client_flag=CLIENT.MULTI_STATEMENTS, **P, **HOW)
answer["pymysql"] = session(connection) + [bool(connection.client_flag & CLIENT.MULTI_STATEMENTS)]
# SQLAlchemy's own wish, which the broker speaks of, is not pushed on others.
answer["found rows"] = [bool(connection.client_flag & CLIENT.FOUND_ROWS), isinstance(connection, pymysql.Connection)]
answer["mysqlconnector"] = session(mysql.connector.connect(raw=False, **P, **HOW))
answer["aiomysql"] = asyncio.run(asession(aiomysql.connect(db="production", **K, **HOW)))
answer["asyncmy"] = asyncio.run(asession(asyncmy.connect(**P, **HOW)))
""",
        tmp_path,
        REDIRECTED=True,
        ARGUMENTS=mysql_arguments(mariadb.scratch),
        PRODUCTION=mariadb.production,
    )
    connector = found.pop("mysqlconnector")
    assert connector[1].startswith(("MySQLCursor", "CMySQLCursor")) and connector[2:] == EXPECTED
    assert found == {
        "pymysql": ["Mine", "Cursor", *EXPECTED, True],
        "found rows": [False, True],
        "aiomysql": EXPECTED,
        "asyncmy": EXPECTED,
    }


EXPECTED = ["latin1", "ANSI_QUOTES", 1, "world"]


@pytest.fixture(scope="module")
def with_mysqlclient(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter that has mysqlclient, which has no wheels: a compiler and libmariadb-dev build it."""
    folder = tmp_path_factory.mktemp("mysqlclient")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    install = [str(folder / "bin" / "pip"), "install", "-q", "mysqlclient", "sqlalchemy"]
    subprocess.run(install, check=True, timeout=600)
    return str(folder / "bin" / "python")


@pytest.mark.network
def test_mysqlclient(mariadb: MariadbPair, tmp_path: Path, with_mysqlclient: str) -> None:
    run_mysql(*MYSQLDB, mariadb, tmp_path, python=with_mysqlclient)
    found = answer(
        BROKER
        + MYSQL_NAMES
        + SESSION
        + """
import MySQLdb
from MySQLdb.constants import CLIENT
HOW["use_unicode"] = True
connection = MySQLdb.connect(client_flag=CLIENT.MULTI_STATEMENTS, **P, **HOW)
answer = session(connection)
""",
        tmp_path,
        python=with_mysqlclient,
        REDIRECTED=True,
        ARGUMENTS=mysql_arguments(mariadb.scratch),
        PRODUCTION=mariadb.production,
    )
    assert found == ["Connection", "Cursor", *EXPECTED]
