"""Runs attempts to reach production from within a project, and writes down what became of each.

Copied into projects together with one of its neighbours; not a module of the tests. An attempt makes a table
called `reached_` and its own name, and answers which database it is in.
"""

# ruff: noqa: B023 - every function is called before its loop goes on

import asyncio
import json
import os

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import AssertionPool, NullPool, QueuePool, SingletonThreadPool, StaticPool

PRODUCTION = json.loads(os.environ["PRODUCTION"])
POOLS = {
    "queue": QueuePool,
    "null": NullPool,
    "static": StaticPool,
    "thread": SingletonThreadPool,
    "asserting": AssertionPool,
}
_FILE = os.environ["ATTEMPTS"]
_FOUND = {}


def attempt(name, function):
    """Run `function(name)`. Its answer, or the exception that it raised, is written down."""
    try:
        answer = function(name)
        if asyncio.iscoroutine(answer):
            answer = asyncio.run(answer)
        found = str(answer)
    except BaseException as error:
        found = f"{type(error).__name__}: {error}"
    _FOUND[name] = found
    with open(_FILE, "w") as file:
        json.dump(_FOUND, file)


class Attempts:
    """Those that are alike for every dialect. `where` is the query for the current database's name."""

    def __init__(self, dialect, drivers, async_drivers, url, makers, async_makers, where):
        """`url(driver)` is production's, `makers` holds for each driver a function that connects past SQLAlchemy."""
        self.dialect = dialect
        self.drivers = drivers
        self.async_drivers = async_drivers
        self.url = url
        self.makers = makers
        self.async_makers = async_makers
        self.where = where

    def write(self, connection, name):
        connection.execute(sa.text(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)"))
        return connection.execute(sa.text(self.where)).scalar()

    def through(self, engine, name):
        with engine.begin() as connection:
            return self.write(connection, name)

    async def through_async(self, engine, name):
        async with engine.begin() as connection:
            found = await connection.run_sync(self.write, name)
        await engine.dispose()
        return found

    def raw(self, connection, name):
        try:
            cursor = connection.cursor()
            cursor.execute(f"CREATE TABLE IF NOT EXISTS reached_{name} (id INTEGER)")
            cursor.execute(self.where)
            found = cursor.fetchone()[0]
            connection.commit()
            return found
        finally:
            connection.close()

    def empty(self, driver):
        return f"{self.dialect}+{driver}://"

    def engines(self):
        """Engines with an address that is written down, whatever the pool."""
        for driver in self.drivers:
            for pool, cls in POOLS.items():
                attempt(
                    f"{driver}_{pool}",
                    lambda name: self.through(sa.create_engine(self.url(driver), poolclass=cls), name),
                )
            attempt(
                f"{driver}_raw_connection",
                lambda name: self.raw(sa.create_engine(self.url(driver)).raw_connection(), name),
            )
        for driver in self.async_drivers:
            for pool, keywords in {
                "queue": {},
                "null": {"poolclass": NullPool},
                "static": {"poolclass": StaticPool},
            }.items():
                attempt(
                    f"{driver}_async_{pool}",
                    lambda name: self.through_async(create_async_engine(self.url(driver), **keywords), name),
                )

    def earlier(self, engines, what):
        """Engines that somebody else made, by driver; "async" is in the name of asynchronous ones."""
        for driver, engine in engines.items():
            reach = self.through_async if "async" in driver else self.through
            attempt(f"{driver}_{what}", lambda name: reach(engine, name))

    def creators(self):
        """Connections that SQLAlchemy is given instead of making them."""
        for driver, make in self.makers.items():
            attempt(
                f"{driver}_creator",
                lambda name: self.through(sa.create_engine(self.empty(driver), creator=make), name),
            )
            attempt(f"{driver}_bare_pool", lambda name: self.raw(QueuePool(make).connect(), name))
            attempt(
                f"{driver}_engine_on_a_pool",
                lambda name: self.through(sa.create_engine(self.empty(driver), pool=QueuePool(make)), name),
            )
        for driver, make in self.async_makers.items():
            attempt(
                f"{driver}_async_creator",
                lambda name: self.through_async(
                    create_async_engine(self.empty(driver), async_creator=make), name
                ),
            )

    def tricks(self):
        """Ways around our place in SQLAlchemy, which only what comes after it can see."""
        from sqlalchemy import event

        for driver, make in self.makers.items():

            def after_us(name):
                engine = sa.create_engine(self.empty(driver))

                @event.listens_for(engine, "do_connect")
                def change(dialect, record, cargs, cparams):
                    arguments, parameters = dialect.create_connect_args(sa.make_url(self.url(driver)))
                    cargs[:] = arguments
                    cparams.clear()
                    cparams.update(parameters)

                return self.through(engine, name)

            def instead_of_us(name):
                engine = sa.create_engine(self.empty(driver))
                event.listen(engine, "do_connect", lambda *_: make())
                return self.through(engine, name)

            def in_the_dialect(name):
                engine = sa.create_engine(self.empty(driver))

                class Mine(type(engine.dialect)):
                    supports_statement_cache = True

                    def connect(self, *cargs, **cparams):
                        return make()

                engine.dialect.__class__ = Mine
                return self.through(engine, name)

            def listening_to_the_pool(name):
                engine = sa.create_engine(self.empty(driver), creator=make)
                event.listen(
                    engine,
                    "connect",
                    lambda raw, _: raw.cursor().execute(f"CREATE TABLE reached_{name} (i INTEGER)"),
                )
                return self.through(engine, name)

            for function in (after_us, instead_of_us, in_the_dialect, listening_to_the_pool):
                attempt(f"{driver}_{function.__name__}", function)

    def raw_drivers(self):
        """Past SQLAlchemy."""
        for driver, make in self.makers.items():
            attempt(f"{driver}_connect", lambda name: self.raw(make(), name))

    def configured(self):
        """What is handed to `context.configure`, which would make the version table there."""
        from alembic import context

        def configure(connection):
            context.configure(connection=connection)
            with context.begin_transaction():
                context.get_context()._ensure_version_table()
            connection.commit()
            return connection.execute(sa.text(self.where)).scalar()

        def of(name):
            with sa.create_engine(self.url(driver)).connect() as connection:
                return configure(connection)

        async def of_async(name):
            engine = create_async_engine(self.url(driver))
            async with engine.connect() as connection:
                found = await connection.run_sync(configure)
            await engine.dispose()
            return found

        for driver in self.drivers:
            attempt(f"{driver}_configured", of)
        for driver in self.async_drivers:
            attempt(f"{driver}_async_configured", of_async)
