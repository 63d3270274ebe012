"""Every connection of the project's code: taken to a scratch database, or refused.

Three layers on SQLAlchemy's own events, a fourth for drivers that are used past it (`drivers.py`):

- before connecting, all arguments are replaced by those of the scratch database;
- as soon as the driver has connected, and whenever a pool or an engine hands a connection out, it must carry
  the mark of this run: connections made by `creator=`, or before we came, do not pass;
- what Alembic is configured with must be a scratch database, before it looks for its version table.
"""

from .databases import family, sqlite_file
from .wire import TEXT, text

# What of a project's own arguments says how to connect, not where. The drivers' patches have the same rule.
_DRIVERS = {"pysqlite": "sqlite3", "psycopg_async": "psycopg", "aiosqlite": "sqlite3"}


class ForeignConnection(BaseException):
    """The project's code connected to something that is not this run's scratch database.

    Not an Exception: `except Exception` in an env.py must not carry on with that connection.
    """


class Guard:
    """Refuses every connection until `admit` says which databases are ours."""

    def __init__(self):
        self.databases = None
        self.foreign = None
        self.tell = None

    def watch_sqlalchemy(self):
        """Listen to every engine and pool of this process, present and future."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.pool import Pool

        event.listen(Engine, "do_connect", self.before_connecting)
        event.listen(Pool, "connect", self.connected)
        event.listen(Pool, "checkout", self.checked_out)
        event.listen(Engine, "engine_connect", self.handed_out)

    def admit(self, databases, tell):
        self.databases = databases
        self.tell = tell

    # -- SQLAlchemy

    def before_connecting(self, dialect, record, cargs, cparams):
        given = cargs[0] if cargs else cparams.get("database", cparams.get("dbname", cparams.get("db")))
        if dialect.name == "sqlite" and _in_memory(given):
            if record is not None:
                record.info["converger"] = self
                record.info["converger_memory"] = True
            return
        self._needs_dialect(dialect.name, given)
        from sqlalchemy.engine.url import make_url

        from .driver_arguments import how_arguments, where_arguments

        driver = _DRIVERS.get(dialect.driver, dialect.driver)
        place = self.databases.place(dict(where_arguments(cparams), database=given))
        if record is not None:
            record.info["converger_place"] = place
        url = make_url(self.databases.url(dialect.driver, given, place))
        if dialect.driver and "+" in url.drivername:
            url = _with_driver(url, "%s+%s" % (dialect.name, dialect.driver))
        arguments, parameters = dialect.create_connect_args(url)
        kept = how_arguments(driver, dict(cparams))
        cargs[:] = arguments
        cparams.clear()
        cparams.update(parameters)
        cparams.update(kept)

    def connected(self, raw, record):
        if record.info.get("converger_memory"):
            self._needs_memory(raw)
            return
        record.info["converger_database"] = self._marked(raw, "another database")
        record.info["converger"] = self
        raw.rollback()  # end what the driver began for our query

    def checked_out(self, raw, record, proxy):
        if record.info.get("converger") is not self:  # the pool was filled before we came
            self.connected(raw, record)

    def handed_out(self, connection, *_branch):
        # Every connection, not only Alembic's: an env.py may create a schema before it configures.
        info = connection.info  # kept with the driver's connection, not with the checkout
        if info.get("converger") is not self:
            self._needs_dialect(connection.dialect.name, None)
            in_transaction = connection.in_transaction()
            raw = connection.connection
            info["converger_database"] = self._marked(
                raw, "another %s database, %r," % (connection.dialect.name, connection.engine.url.database)
            )
            info["converger"] = self
            if not in_transaction:
                raw.rollback()

    def configured(self, connection):
        """The number of the database that Alembic is given; refuses what is none of ours."""
        self.handed_out(connection)
        number = connection.info.get("converger_database")
        if number is None:
            self.refuse("a %s database in memory" % connection.dialect.name)
        return number

    # -- drivers: see `drivers.install`

    def arguments(self, driver, given):
        """The keyword arguments with which `driver` has to connect instead of what it was `given`."""
        if driver == "sqlite3":
            self._needs_dialect("sqlite", given.get("database"))
            return {"database": self.databases.path(given.get("database"), self.databases.place(given))}
        dialect = _DIALECTS[driver]
        self._needs_dialect(dialect, given.get("database"))
        from sqlalchemy.engine.url import make_url

        url = make_url(self.databases.url(driver, given.get("database"), self.databases.place(given)))
        url = _with_driver(url, "%s+%s" % (dialect, driver))
        _, parameters = url.get_dialect()().create_connect_args(url)
        return dict(parameters)

    def is_ours(self, path):
        """Whether a SQLite file is a scratch database of this upgrade."""
        return self.databases is not None and self.databases.holds(path)

    # -- refusing

    def refuse(self, found):
        self.foreign = "the project's code connected to %s instead of this run's scratch database" % found
        if self.tell is not None:
            # At once: it may have been a thread or a child of the project's that nobody waits for.
            self.tell({"event": "foreign", "message": self.foreign[:TEXT]})
        raise ForeignConnection(self.foreign)

    def _needs_dialect(self, name, database):
        if self.databases is None:
            self.refuse("a %s database while the revision files were loaded," % name)
        if family(name) != self.databases.dialect:
            where = ", %s," % text(repr(database), 200) if database else ""
            self.refuse("a %s database%s" % (name, where))

    def _needs_memory(self, raw):
        """Refuse a file: another listener may have put it in the place of the name that we saw."""
        for row in rows(raw, "PRAGMA database_list"):
            if row[2]:
                self.refuse("another SQLite file, %r," % text(row[2], 200))

    def _marked(self, raw, what):
        if self.databases is None:
            self.refuse("a database while the revision files were loaded,")
        try:
            found = rows(raw, self.databases.mark_query)
        except Exception:  # another kind of database does not even know the question
            found = []
        number = self.databases.marked(found[0][0]) if found else None
        if number is None:
            self.refuse(what)
        return number


_DIALECTS = {
    "psycopg2": "postgresql",
    "psycopg": "postgresql",
    "asyncpg": "postgresql",
    "pg8000": "postgresql",
    "pymysql": "mysql",
    "mysqldb": "mysql",
    "mysqlconnector": "mysql",
    "aiomysql": "mysql",
    "asyncmy": "mysql",
}


def rows(raw, sql):
    """Rows of a query on a driver's own connection.

    Not through SQLAlchemy: its autobegin would make Alembic believe that somebody else owns the
    transaction, and nothing would ever be committed.
    """
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def _in_memory(name):
    return name is None or (isinstance(name, str) and sqlite_file(name) is None)


def _with_driver(url, name):
    if hasattr(url, "set"):  # SQLAlchemy 1.4
        return url.set(drivername=name)
    url.drivername = name
    return url
