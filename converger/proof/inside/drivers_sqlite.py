"""sqlite3, and what is built on it (aiosqlite): a file is opened where the broker says, and no other attached.

Databases in memory are left alone: they are nobody's.

`ATTACH` and `VACUUM INTO` are stopped by SQLite's own authorizer, which sees the file that a statement names
when the statement is prepared, however it is written. It costs 1 to 2 microseconds a statement.
"""

import functools
import os
import sys
import threading

from .afterimport import when_imported
from .databases import sqlite_file
from .driver_arguments import redirected

_NAMES = (
    "database timeout detect_types isolation_level check_same_thread factory cached_statements uri"
).split()
_ATTACH = 24
_OK = 0
_DENY = 1


def install(broker):
    """Patch sqlite3 and its copies when they are imported."""
    opening = threading.local()
    for name in ("_sqlite3", "pysqlite3._sqlite3"):
        when_imported(name, functools.partial(_patch, broker, opening))
    for name in ("sqlite3.dbapi2", "sqlite3", "pysqlite3.dbapi2", "pysqlite3"):
        when_imported(name, _names)
    sys.addaudithook(functools.partial(_opened, broker, opening))


def _patch(broker, opening, module):
    """The C module: the others have their names from it."""
    original_connect = module.connect
    original = module.Connection

    def ours(args, kwargs):
        given = dict(zip(_NAMES, args), **kwargs)
        if in_memory(given.get("database"), given.get("uri")):
            return given
        given["database"] = os.fsdecode(given["database"])
        return redirected(broker, "sqlite3", given)

    class Connection(original):
        __doc__ = original.__doc__

        def __init__(self, *args, **kwargs):
            arguments = ours(args, kwargs)
            arguments.pop("factory", None)
            with _Opening(opening):
                super().__init__(**arguments)
            Connection.set_authorizer(self, None)

        def set_authorizer(self, *args, **kwargs):
            theirs = args[0] if args else kwargs.get("authorizer_callback", kwargs.get("authorizer"))
            super().set_authorizer(_authorizer(broker, theirs))

    Connection.__module__ = original.__module__
    Connection.__qualname__ = original.__qualname__

    @functools.wraps(original_connect, assigned=("__name__", "__doc__", "__module__"))
    def connect(*args, **kwargs):
        arguments = ours(args, kwargs)
        factory = arguments.get("factory") or Connection
        if isinstance(factory, type) and not issubclass(factory, Connection):  # made before we came
            factory = type(factory.__name__, (factory, Connection), {"__module__": factory.__module__})
        arguments["factory"] = factory
        with _Opening(opening):
            return original_connect(**arguments)

    module.connect = connect
    module.Connection = Connection


def _names(module):
    """Names that were copied from the C module before we came."""
    inner = sys.modules.get(("pysqlite3." if module.__name__.startswith("pysqlite3") else "") + "_sqlite3")
    if inner is not None:
        module.connect = inner.connect
        module.Connection = inner.Connection


def in_memory(database, uri):
    """Whether SQLite keeps a database of this name in memory, or in a file of its own that it deletes."""
    if database is None:
        return False
    try:
        name = os.fsdecode(database)
    except TypeError:
        return False
    if not uri and name.startswith("file:"):
        return False
    return sqlite_file(name) is None


def _authorizer(broker, theirs):
    def authorize(action, first, *rest):
        if action == _ATTACH and not _may_attach(broker, first):
            return _DENY
        return _OK if theirs is None else theirs(action, first, *rest)

    return authorize


def _may_attach(broker, name):
    if name is not None:
        path = sqlite_file(name)
        if path is None or broker.is_ours(path):
            return True
        found = "another SQLite file, %r, by ATTACH or VACUUM INTO" % name
    else:  # SQLite tells no more
        found = "another SQLite file by an ATTACH that names it with a parameter"
    try:
        broker.refuse(found)
    except BaseException:  # SQLite would drop it: what the statement raises is "not authorized"
        pass
    return False


class _Opening:
    """While a thread is in it, a file is opened by us."""

    def __init__(self, state):
        self.state = state

    def __enter__(self):
        self.state.depth = getattr(self.state, "depth", 0) + 1

    def __exit__(self, *_):
        self.state.depth -= 1


def _opened(broker, opening, event, args):
    """Python's own notice that SQLite is about to open a file, also by a function that was kept from before."""
    if event != "sqlite3.connect" or getattr(opening, "depth", 0):
        return
    name = args[0]
    if in_memory(name, True):
        return
    path = sqlite_file(os.fsdecode(name))
    if not broker.is_ours(path):
        broker.refuse("another SQLite file, %r," % path)
