"""Connections made past SQLAlchemy: every driver is patched right after the project has imported it.

A driver connects with what the broker says, and with those of the project's arguments that say how. The broker
has `arguments(driver, given)`, which gives keyword arguments in the driver's own words or refuses;
`is_ours(path)`, for files of SQLite; and `refuse(found)`, which raises. SQLAlchemy connects through the
same functions, with arguments that are ours already: it gets the same again.
"""

import functools

from . import drivers_mysql, drivers_postgresql, drivers_sqlite
from .afterimport import when_imported
from .driver_arguments import how_arguments

__all__ = ["how_arguments", "install"]

# Relational databases of which we have no scratch copy, by what opens one. Short: those that SQLAlchemy has a
# dialect for, that come in one package with a driver of ours, or that are files. All else (document stores,
# brokers, HTTP) is left to the network guard: an application often makes such a client and never uses it.
_REFUSED = {
    "apsw": ("a SQLite file with apsw, which we do not redirect,", "Connection"),
    "cx_Oracle": ("an Oracle database", "connect Connection SessionPool"),
    "duckdb": ("a DuckDB file", "connect"),
    "ibm_db": ("a Db2 database", "connect pconnect"),
    "mariadb": (
        "a database with the driver mariadb, which we do not redirect,",
        "connect Connection ConnectionPool",
    ),
    "mysqlx": ("a MySQL server by its X protocol", "get_session get_client"),
    "oracledb": ("an Oracle database", "connect connect_async create_pool create_pool_async"),
    "psycopg2cffi": ("a database with psycopg2cffi, which we do not redirect,", "connect"),
    "pymssql": ("a SQL Server", "connect"),
    "pyodbc": ("an ODBC data source", "connect"),
    "snowflake.connector": ("Snowflake", "connect Connect SnowflakeConnection"),
    "sqlcipher3.dbapi2": ("an encrypted SQLite file", "connect Connection"),
}


_KNOW_MEMORY = ("apsw", "duckdb")
"""Those of them whose databases in memory are let through, as with sqlite3."""


def install(broker):
    """Patch every driver, now if it was imported, else when it is."""
    for module in (drivers_postgresql, drivers_mysql, drivers_sqlite):
        module.install(broker)
    for name, (found, functions) in _REFUSED.items():
        when_imported(name, functools.partial(_refuse_all, broker, name, found, functions.split()))


def _refuse_all(broker, driver, found, functions, module):
    def check(args, kwargs):
        if driver not in _KNOW_MEMORY or not _in_memory(args, kwargs):
            broker.refuse(found)

    for name in functions:
        if hasattr(module, name):
            setattr(module, name, _checked(check, getattr(module, name)))


def _in_memory(args, kwargs):
    name = args[0] if args else kwargs.get("database", kwargs.get("filename", ":memory:"))
    return isinstance(name, str) and (name == "" or name.startswith((":memory:", "file::memory:")))


def _checked(check, original):
    if isinstance(original, type):  # still a class, for `isinstance`

        def __new__(cls, *args, **kwargs):
            check(args, kwargs)
            return original.__new__(cls, *args, **kwargs)

        try:
            return type(
                original.__name__, (original,), {"__new__": __new__, "__module__": original.__module__}
            )
        except TypeError:  # a class that cannot be inherited from
            pass

    def connect(*args, **kwargs):
        check(args, kwargs)
        return original(*args, **kwargs)

    return functools.update_wrapper(connect, original, assigned=("__name__", "__doc__", "__module__"))
