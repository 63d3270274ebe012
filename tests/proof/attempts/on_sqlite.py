"""Attempts to reach the SQLite file `production.db`, or to make another one beside it."""

import sqlite3

import sqlalchemy as sa
from common import PRODUCTION, Attempts, attempt

PATH = PRODUCTION["path"]


def url(driver):
    return f"sqlite+{driver}:///{PATH}"


def _sqlite3():
    return sqlite3.connect(PATH)


def _aiosqlite():
    import aiosqlite

    return aiosqlite.connect(PATH)


async def _awaited():
    return await _aiosqlite()


class OnSqlite(Attempts):
    def __init__(self):
        super().__init__(
            "sqlite",
            ("pysqlite",),
            ("aiosqlite",),
            url,
            {"pysqlite": _sqlite3},
            {"aiosqlite": _awaited},
            "SELECT file FROM pragma_database_list WHERE name = 'main'",
        )

    def engines(self):
        super().engines()
        for number, spelling in enumerate((f"sqlite:///file:{PATH}?uri=true", f"sqlite:///{PATH}.new")):
            attempt(
                f"spelling_{number}",
                lambda name, spelling=spelling: self.through(sa.create_engine(spelling), name),
            )

    def memory_first(self):
        """A database in memory, as far as we are told, whose file is put in behind us."""

        def reach(name):
            engine = sa.create_engine("sqlite://")

            @sa.event.listens_for(engine, "do_connect")
            def change(dialect, record, cargs, cparams):
                cargs[0] = PATH

            return self.through(engine, name)

        attempt("memory_first", reach)

    def raw_drivers(self):
        super().raw_drivers()
        attempt("aiosqlite_connect", self._aiosqlite)
        attempt("uri", lambda name: self.raw(sqlite3.connect(f"file:{PATH}", uri=True), name))
        attempt("class", lambda name: self.raw(sqlite3.Connection(PATH), name))

    async def _aiosqlite(self, name):
        async with _aiosqlite() as connection:
            await connection.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            cursor = await connection.execute(self.where)
            await connection.commit()
            return (await cursor.fetchone())[0]


ATTEMPTS = OnSqlite()
