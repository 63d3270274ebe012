"""The scratch databases of one upgrade: how each is connected to, and the mark by which it is known."""

import os
from urllib.parse import unquote

from .wire import text

FAMILIES = {"mariadb": "mysql", "postgres": "postgresql"}
"""Names of dialects that are other names for one of ours."""


def family(dialect):
    """Our name for SQLAlchemy's name of a dialect."""
    return FAMILIES.get(dialect, dialect)


class Databases:
    """All scratch databases that an upgrade may use; the first is the primary one.

    Made from an order: "dialect", and "databases", a list of {"name": the database's name or a file's path,
    "urls": {driver: URL to connect with; "" for any other}, "mark": the text that "mark_query" answers,
    "place": which of the project's own databases it stands for, None for those that are asked for by name}.
    """

    def __init__(self, order):
        self.dialect = order["dialect"]
        self.mark_query = order["mark_query"]
        self._all = order["databases"]
        self._marks = {database["mark"]: number for number, database in enumerate(self._all)}

    def marked(self, text):
        """The number of the database that carries this mark; None if none does."""
        return self._marks.get(text)

    def url(self, driver, wanted, place):
        """The URL, as text, of the database that `wanted` names or that stands for `place`, else of the primary."""
        urls = self._find(wanted, place)["urls"]
        return urls.get(driver) or urls[""]

    def path(self, wanted, place):
        """The file of a SQLite database."""
        return self._find(wanted, place)["name"]

    def holds(self, wanted):
        """Whether `wanted` names one of them."""
        return any(self._is(database, wanted) for database in self._all)

    def place(self, given):
        """A database of the project's as one text, from {"database", "host", "port"}; "" for one of ours."""
        wanted = given.get("database")
        if self.holds(wanted):
            return ""
        if self.dialect == "sqlite":
            return os.path.realpath(sqlite_file(os.fsdecode(wanted)) or "/") if wanted else ""
        address = ":".join(text(given[name], 200) for name in ("host", "port") if given.get(name))
        return "%s/%s" % (address, text(wanted or "", 200))

    def _find(self, wanted, place):
        for database in self._all:
            if self._is(database, wanted):
                return database
        for database in self._all:
            if place and database["place"] == place:
                return database
        return self._all[0]

    def _is(self, database, wanted):
        if not isinstance(wanted, (str, bytes)) and not hasattr(wanted, "__fspath__"):
            return False
        if self.dialect != "sqlite":
            return wanted == database["name"]
        return os.path.realpath(sqlite_file(os.fsdecode(wanted)) or "/") == os.path.realpath(database["name"])


def sqlite_file(name):
    """The file that a SQLite database name means; None for a database in memory."""
    if name.startswith("file:"):
        path, _, query = name[5:].partition("?")
        modes = [word for word in query.split("&") if word.startswith("mode=")]
        if path == ":memory:" or (modes and set(modes) == {"mode=memory"}):
            return None
        return unquote(path[len("//localhost") :] if path.startswith("//localhost/") else path)
    return None if name in ("", ":memory:") else name
