"""PyMySQL, mysqlclient, MySQL Connector/Python, aiomysql and asyncmy: they connect where the broker says."""

import functools
import os

from .afterimport import when_imported
from .driver_arguments import redirected
from .patching import replace_init

# The order of positional arguments in C, the same since MySQLdb 1.
_MYSQLDB = (
    "host user password database port unix_socket conv connect_timeout compress named_pipe init_command"
    " read_default_file read_default_group client_flag ssl local_infile"
).split()

_OF_THE_PYTHON_CLASS = frozenset("autocommit charset collation cursorclass sql_mode use_unicode".split())


def install(broker):
    """Patch the drivers when they are imported."""
    for name, patch in (
        ("pymysql.connections", functools.partial(_connection, "pymysql")),
        ("aiomysql.connection", functools.partial(_connection, "aiomysql")),
        ("asyncmy.connection", functools.partial(_connection, "asyncmy")),
        ("MySQLdb.connections", functools.partial(_connection, "mysqldb")),
        ("MySQLdb._mysql", _mysqldb),
        ("mysql.connector.abstracts", _mysqlconnector),
        ("mysql.connector.aio.abstracts", _mysqlconnector_async),
    ):
        when_imported(name, functools.partial(patch, broker))


def _connection(driver, broker, module):
    """A class `Connection` in Python, whose `__init__` is where all ways in of its package end."""
    names = _MYSQLDB if driver == "mysqldb" else ()
    replace_init(module.Connection, functools.partial(_redirected, broker, driver), names)


def _mysqldb(broker, module):
    """The C module below MySQLdb, which can be used by itself; the Python class inherits from this one."""
    original = module.connection

    class connection(original):
        __doc__ = original.__doc__

        def __init__(self, *args, **kwargs):
            given = dict(zip(_MYSQLDB, args), **kwargs)
            arguments = _redirected(broker, "mysqldb", given)
            for old, new in (("db", "database"), ("passwd", "password")):
                if old in arguments:
                    arguments[new] = arguments.pop(old)
            for name in _OF_THE_PYTHON_CLASS.difference(given):
                arguments.pop(name, None)
            super().__init__(**arguments)

    connection.__module__ = original.__module__
    connection.__qualname__ = original.__qualname__
    module.connection = connection
    module.connect = functools.wraps(module.connect)(lambda *args, **kwargs: connection(*args, **kwargs))


def _mysqlconnector(broker, module):
    """`connect` of the common base: a constructor with arguments calls it, so does every pool and reconnect."""
    cls = module.MySQLConnectionAbstract
    original = cls.connect
    if getattr(original, "_converger", False):
        return

    @functools.wraps(original)
    def connect(self, **kwargs):
        given = dict(kwargs)
        if not kwargs:  # what `config` was told
            given = {name: getattr(self, "_" + name, None) for name in ("database", "host", "port", "user")}
        return original(self, **_redirected(broker, "mysqlconnector", given))

    connect._converger = True
    cls.connect = connect


def _mysqlconnector_async(broker, module):
    def redirect(given):
        arguments = _redirected(broker, "mysqlconnector", given)
        if arguments.get("unix_socket") or arguments.get("host") in ("127.0.0.1", "::1", "localhost"):
            # It fails with a TypeError where it is to use TLS and the server has none.
            arguments.setdefault("ssl_disabled", True)
        return arguments

    replace_init(module.MySQLConnectionAbstract, redirect)


def _redirected(broker, driver, given):
    for name in ("MYSQL_HOST", "MYSQL_PWD", "MYSQL_TCP_PORT", "MYSQL_UNIX_PORT"):
        if name in os.environ:
            os.unsetenv(name)  # for the C libraries; the project still finds it in `os.environ`
    return redirected(broker, driver, given)
