"""Asynchronous engines on a scratch URL: it names the driver that was found, which may not be asynchronous.

A project's own URL would name the right one. Where that is not to be seen (a placeholder in the ini, a variable)
the URL that we put in its place says what is installed first.
"""

import functools
import importlib

from .afterimport import when_imported
from .databases import family

_DRIVERS = {"postgresql": ["asyncpg", "psycopg"], "mysql": ["aiomysql", "asyncmy"], "sqlite": ["aiosqlite"]}


def install(guard):
    """Patch SQLAlchemy's asynchronous engines when they are imported; only a URL of ours is changed."""
    when_imported("sqlalchemy.ext.asyncio.engine", functools.partial(_patch, guard))


def _patch(guard, module):
    create = module.create_async_engine
    init = module.AsyncEngine.__init__

    @functools.wraps(create)
    def create_async_engine(url, *args, **kwargs):
        return create(_asynchronous(guard, url), *args, **kwargs)

    @functools.wraps(init)
    def __init__(self, sync_engine, *args, **kwargs):
        # Alembic's template before 1.9 puts an engine of `engine_from_config` into it.
        url = _asynchronous(guard, sync_engine.url)
        if url is not sync_engine.url and not sync_engine.dialect.is_async:
            import sqlalchemy

            sync_engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool, future=True)
        init(self, sync_engine, *args, **kwargs)

    module.create_async_engine = create_async_engine
    module.AsyncEngine.__init__ = __init__


def _asynchronous(guard, url):
    """The URL; with another driver where it is of a scratch database and its own is not asynchronous."""
    from sqlalchemy.engine.url import make_url

    try:
        given = make_url(url)
        dialect = _dialect(given)
    except Exception:  # what is wrong with it shows when the engine is made
        return url
    if dialect.is_async or not guard.is_ours(given.database):
        return url
    for driver in _DRIVERS.get(family(dialect.name), ()):
        try:
            importlib.import_module(driver)
        except ImportError:
            continue
        return given.set(drivername="%s+%s" % (given.get_backend_name(), driver))
    return url


def _dialect(url):
    try:
        return url.get_dialect(_is_async=True)
    except TypeError:  # SQLAlchemy 1.4
        return url.get_dialect()
