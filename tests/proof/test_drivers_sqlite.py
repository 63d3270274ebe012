"""sqlite3 past SQLAlchemy: another file is neither opened, nor made, nor attached. See `test_drivers`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from tests.proof.broker import BROKER
from tests.proof.decoys import files
from tests.proof.inside_child import answer

NAMES = """
import contextlib, pathlib, sqlite3, sqlite3.dbapi2, aiosqlite, _sqlite3
from sqlite3 import connect as bare
PROD = os.path.join(os.getcwd(), "production", "data.db")
class Mine(sqlite3.Connection):
    pass
class Naughty(sqlite3.Connection):
    def __init__(self, database, **keywords):
        super().__init__(PROD, **keywords)
def name(connection):
    with contextlib.closing(connection):
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        connection.execute("INSERT INTO customers VALUES (2)")
        connection.commit()
        return os.path.basename(os.path.dirname(file))
async def aname(coming):
    async with coming as connection:
        async with connection.execute("PRAGMA database_list") as cursor:
            file = (await cursor.fetchone())[2]
        await connection.execute("INSERT INTO customers VALUES (2)")
        await connection.commit()
        return os.path.basename(os.path.dirname(file))
def engine_name(url, **keywords):
    import sqlalchemy as sa
    engine = sa.create_engine(url, **keywords)
    with engine.begin() as connection:
        sa.inspect(connection).get_table_names()
        connection.execute(sa.text("INSERT INTO customers VALUES (2)"))
        file = connection.execute(sa.text("PRAGMA database_list")).fetchone()[2]
    engine.dispose()
    return os.path.basename(os.path.dirname(file))
async def async_engine_name(url, **keywords):
    import sqlalchemy as sa
    from sqlalchemy.ext.asyncio import create_async_engine
    engine = create_async_engine(url, **keywords)
    async with engine.begin() as connection:
        file = (await connection.execute(sa.text("PRAGMA database_list"))).fetchone()[2]
    await engine.dispose()
    return os.path.basename(os.path.dirname(file))
"""

FILES = [
    "name(sqlite3.connect(PROD))",
    "name(sqlite3.connect(database=PROD))",
    "name(sqlite3.connect('production/data.db'))",
    "name(sqlite3.connect(pathlib.Path(PROD)))",
    "name(sqlite3.connect(os.fsencode(PROD)))",
    "name(sqlite3.connect('file:' + PROD + '?mode=rw', uri=True))",
    "name(sqlite3.connect('file://localhost' + PROD, uri=True))",
    "name(sqlite3.connect('file:production/da%74a.db', 5.0, 0, None, True, sqlite3.Connection, 100, True))",
    "name(sqlite3.connect(PROD, factory=Mine))",
    "name(sqlite3.connect(':memory:', factory=Naughty))",
    "name(sqlite3.connect(PROD, factory=lambda *args, **keywords: Mine(PROD)))",
    "name(sqlite3.Connection(PROD))",
    "name(Mine(PROD))",
    "name(bare(PROD))",
    "name(sqlite3.dbapi2.connect(PROD))",
    "name(sqlite3.dbapi2.Connection(PROD))",
    "name(_sqlite3.connect(PROD))",
    "name(_sqlite3.Connection(PROD))",
    "aname(aiosqlite.connect(PROD))",
    "aname(aiosqlite.connect(pathlib.Path(PROD)))",
    "engine_name('sqlite:///' + PROD)",
    "engine_name('sqlite:///file:' + PROD + '?mode=rw&uri=true')",
    "engine_name('sqlite://', creator=lambda: sqlite3.connect(PROD))",
    "async_engine_name('sqlite+aiosqlite:///' + PROD)",
]


@pytest.fixture
def places(tmp_path: Path) -> Path:
    for name in ("production", "scratch"):
        (tmp_path / name).mkdir()
        with sqlite3.connect(tmp_path / name / "data.db") as connection:
            connection.execute("CREATE TABLE customers (id INTEGER)")
        connection.close()
    return tmp_path


def child(places: Path, lines: str, redirected: bool = True, **values: object) -> Any:
    arguments = {"sqlite3": {"database": str(places / "scratch" / "data.db")}}
    return answer(BROKER + NAMES + lines, places, REDIRECTED=redirected, ARGUMENTS=arguments, **values)


def test_files(places: Path) -> None:
    before = files(places / "production")
    assert child(places, "answer = run(SPELLINGS)", SPELLINGS=FILES) == dict.fromkeys(FILES, "scratch")
    assert files(places / "production") == before
    assert child(places, "answer = run(SPELLINGS)", False, SPELLINGS=FILES) == dict.fromkeys(
        FILES, "production"
    )
    assert files(places / "production") != before


def test_sqlite3_that_was_imported_before(places: Path) -> None:
    before = files(places / "production")
    arguments = {"sqlite3": {"database": str(places / "scratch" / "data.db")}}
    found = answer(
        "import aiosqlite, sqlite3, sqlalchemy.dialects.sqlite\n"
        + BROKER
        + NAMES
        + "answer = run(SPELLINGS)",
        places,
        REDIRECTED=True,
        ARGUMENTS=arguments,
        SPELLINGS=FILES,
    )
    assert found == dict.fromkeys(FILES, "scratch")
    assert files(places / "production") == before


def test_a_file_that_is_not_there_is_not_made(places: Path) -> None:
    lines = "PROD += '.new'\nanswer = run(SPELLINGS)\nimport glob\nanswer = glob.glob('**/*.new*', recursive=True)"
    assert child(places, lines, SPELLINGS=FILES) == []


MEMORY = [
    "path(sqlite3.connect(':memory:'))",
    "path(sqlite3.connect(b':memory:'))",
    "path(sqlite3.connect(''))",
    "path(sqlite3.connect('file::memory:', uri=True))",
    "path(sqlite3.connect('file::memory:?cache=shared', uri=True))",
    "path(sqlite3.connect('file:shared?mode=memory&cache=shared', uri=True))",
    "path(sqlite3.Connection(':memory:'))",
]


def test_databases_in_memory_are_nobodys(places: Path) -> None:
    lines = """
def path(connection):
    connection.execute("CREATE TABLE t (id)")
    return connection.execute("PRAGMA database_list").fetchone()[2]
answer = [run(SPELLINGS), list(broker.asked), sorted(os.listdir())]
# Without uri=True this is the name of a file.
answer.append(os.path.basename(os.path.dirname(path(sqlite3.connect("file::memory:")))))
"""
    found, asked, listing, plain = child(places, lines, SPELLINGS=MEMORY)
    assert (found, asked, plain) == (dict.fromkeys(MEMORY, ""), [], "scratch")
    assert listing == ["production", "scratch"]


ATTACHING = [
    "ATTACH 'production/data.db' AS other",
    '/* x */ attach database "production/data.db" as other',
    "ATTACH 'file:production/data.db?mode=ro' AS other",
    "ATTACH 'produc' || 'tion/data.db' AS other",
    "VACUUM INTO 'production/copy.db'",
    "VACUUM INTO 'produc' || 'tion/copy.db'",
]
BY_PARAMETER = ["ATTACH ? AS other", "ATTACH DATABASE :file AS other", "VACUUM INTO ?"]
ALLOWED = [
    "ATTACH ':memory:' AS other",
    "ATTACH '' AS other",
    "ATTACH 'scratch/data.db' AS other",
    "VACUUM",
    "ATTACH 'file:none?mode=memory&cache=shared' AS other",
]

ATTACH = """
def attach(statement, parameters=(), how=lambda c, s, p: c.execute(s, p), **keywords):
    connection = sqlite3.connect(":memory:", isolation_level=None, **keywords)
    try:
        how(connection, statement, parameters)
    except sqlite3.DatabaseError as error:
        return [str(error), len(broker.refused)]
    finally:
        broker.refused.clear()
        connection.close()
    return "done"
"""


def test_other_files_are_not_attached(places: Path) -> None:
    before = files(places)
    lines = (
        ATTACH
        + """
answer = [attach(statement, uri=True) for statement in STATEMENTS]
answer += [attach(statement, {"file": PROD} if ":" in statement else (PROD,)) for statement in BY_PARAMETER]
answer += [attach(STATEMENTS[0], how=lambda c, s, p: c.executescript("SELECT 1; " + s))]
answer += [attach(STATEMENTS[0], how=lambda c, s, p: c.cursor().execute(s))]
"""
    )
    found = child(places, lines, STATEMENTS=ATTACHING, BY_PARAMETER=BY_PARAMETER)
    assert all(message in ("not authorized", "authorization denied") for message, _ in found), found
    assert [refused for _, refused in found] == [1] * len(found)
    assert files(places) == before


def test_without_us_they_are(places: Path) -> None:
    """What the test above would see: the statements are right."""
    lines = ATTACH + "answer = [attach(statement, uri=True) for statement in STATEMENTS[:-1]]"
    assert child(places, lines, False, STATEMENTS=ATTACHING) == ["done"] * (len(ATTACHING) - 1)
    assert (places / "production" / "copy.db").exists()


def test_ours_and_those_in_memory_are_attached(places: Path) -> None:
    lines = ATTACH + "answer = [attach(statement, uri=True) for statement in STATEMENTS]"
    assert child(places, lines, STATEMENTS=ALLOWED) == ["done"] * len(ALLOWED)


def test_the_applications_own_authorizer_does_not_lift_ours(places: Path) -> None:
    lines = """
class Early(BEFORE):                     # a subclass that was made before we came
    pass
early = BEFORE_CONNECT
answer = []
def attaches(connection):
    try:
        connection.execute("ATTACH 'production/data.db' AS other")
    except sqlite3.DatabaseError as error:
        return str(error)
for make in (sqlite3.connect, lambda path: sqlite3.connect(path, factory=Early), lambda path: sqlite3.connect(path, factory=Mine)):
    connection = make(PROD)
    seen = []
    found = [attaches(connection)]
    connection.set_authorizer(lambda action, *rest: seen.append(action) or 0)
    found.append(attaches(connection))
    connection.execute("SELECT id FROM customers")
    connection.set_authorizer(authorizer_callback=lambda action, *rest: 1) if sys.version_info < (3, 13) else (
        connection.set_authorizer(lambda action, *rest: 1))
    try:
        connection.execute("SELECT id FROM customers")
    except sqlite3.DatabaseError as error:
        found.append(str(error))
    connection.set_authorizer(None)
    connection.execute("SELECT id FROM customers")
    answer.append(found + [attaches(connection), 24 in seen, 20 in seen, isinstance(connection, sqlite3.Connection)])
try:
    early(PROD)                          # kept from before: Python's own notice tells us
except Foreign as error:
    answer.append(str(error))
try:
    Early(PROD)
except Foreign as error:
    answer.append(str(error))
answer.append(early(":memory:").execute("SELECT 1").fetchone())
"""
    arguments = {"sqlite3": {"database": str(places / "scratch" / "data.db")}}
    before = files(places / "production")
    first = "import sqlite3 as kept\nBEFORE, BEFORE_CONNECT = kept.Connection, kept.connect\n"
    found = answer(first + BROKER + NAMES + lines, places, REDIRECTED=True, ARGUMENTS=arguments)
    denied = "not authorized"
    one = [denied, denied, denied, denied, False, True, True]
    refused = f"another SQLite file, '{places / 'production' / 'data.db'}',"
    assert found == [one, one, one, refused, refused, [1]]
    assert files(places / "production") == before


def test_how_a_project_connects_is_kept(places: Path) -> None:
    lines = """
import datetime
connection = sqlite3.connect(PROD, detect_types=sqlite3.PARSE_COLNAMES, isolation_level=None, factory=Mine)
connection.row_factory = sqlite3.Row
row = connection.execute('SELECT 1 AS "a [mine]"').fetchone()
answer = [type(connection).__name__, connection.isolation_level, row.keys(), repr(type(sqlite3.connect(PROD)))]
threads = sqlite3.connect(PROD, 3.0, check_same_thread=False)
import threading
thread = threading.Thread(target=lambda: answer.append(threads.execute("PRAGMA busy_timeout").fetchone()[0]))
thread.start(); thread.join()
source, target = sqlite3.connect(":memory:"), sqlite3.connect(PROD)
source.execute("CREATE TABLE copied (id)")
source.backup(target)
answer.append(sqlite3.connect(PROD).execute("SELECT name FROM sqlite_master").fetchall())
"""
    before = files(places / "production")
    found = child(places, lines)
    assert found == ["Mine", None, ["a"], "<class 'sqlite3.Connection'>", 3000, [["copied"]]]
    assert files(places / "production") == before
