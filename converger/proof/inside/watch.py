"""Sees which revision runs on which version table, and which statement was last."""

import functools
import time

from .guard import ForeignConnection, rows
from .statements import changes_server, connects_elsewhere
from .wire import text

_RUNS_TWICE = (
    "env.py runs the same migrations twice on one version table in one upgrade (several tenants or databases"
    " that share it): that cannot be followed"
)
_SEVERAL_DATABASES = (
    "env.py upgrades several databases in one go, which cannot be told apart before it runs: they would share"
    " one scratch database"
)


class ServerWide(BaseException):
    """A migration is about to change what the whole server shares: roles, tablespaces, databases."""


class RunsTwice(BaseException):
    """env.py upgrades several version tables in one go in a way that cannot be followed."""


class Watch:
    """Follows one `alembic upgrade`. A pass is one run over one version table; most upgrades have one.

    Events: {"event": "pass", "number", "database", "table", "schema"}, then for each revision of it
    {"event": "begin", "revision"} and {"event": "step", "pass", "revision", "seconds", "rows"}.
    """

    def __init__(self, send, guard, shared, running):
        """`send` takes an event; `shared`: what the whole server shares must not be changed.

        `running` is told of every statement.
        """
        self.send = send
        self.guard = guard
        self.shared = shared
        self.running = running
        self.revision = None
        self.statement = None
        self.stopped = None  # by us, whatever the project's code makes of it
        self.context = None
        self.database = 0
        self.places = {}  # number of a scratch database: which of its own the project asked for, where it is known
        self.needs = None  # one of its databases that has to have a scratch database of its own
        self.passes = []
        self.began = False  # whether any revision did
        self.error = None  # of the step that began last
        self.unfinished = False

    def watch_sqlalchemy(self):
        """Listen to the statements of every engine of this process."""
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        def before_cursor_execute(conn, cursor, statement, parameters, context, executemany):
            self.statement = statement
            by = connects_elsewhere(statement)
            if by is not None:
                self.guard.refuse("another place, by the server itself (%s)," % by)
            if self.shared and changes_server(statement, self.guard.databases):
                self.stopped = ServerWide("it changes the whole server: " + text(statement, 500).strip())
                raise self.stopped
            self.running.begins(statement)

        event.listen(Engine, "before_cursor_execute", before_cursor_execute)
        event.listen(Engine, "after_cursor_execute", lambda *_: self.running.ended())
        event.listen(Engine, "handle_error", lambda _: self.running.ended())

    def watch_environment(self, module):
        """Patch `alembic.runtime.environment`: look at the connection before Alembic uses it."""
        watch = self
        configure = module.EnvironmentContext.configure

        def guarded_configure(self, connection=None, *args, **kwargs):
            # Before Alembic looks for, or creates, its version table.
            if connection is not None:
                watch.see_database(connection)
            configure(self, connection, *args, **kwargs)
            watch.context = self.get_context()

        module.EnvironmentContext.configure = guarded_configure

    def see_database(self, connection):
        """Note which scratch database Alembic is given; two that would be one cannot be followed."""
        database = self.guard.configured(connection)
        place = connection.info.get("converger_place")
        before = self.places.get(database)
        if None not in (place, before) and place != before and any(key[0] == database for key in self.passes):
            self.needs = place or before
            self.stopped = RunsTwice(_SEVERAL_DATABASES)
            raise self.stopped
        self.database = database
        self.places[database] = before if place is None else place

    def watch_script(self, module):
        """Patch `alembic.script.base`: see every step of an upgrade or a downgrade."""
        directory = module.ScriptDirectory
        directory._upgrade_revs = self.watched_revs(directory._upgrade_revs)
        directory._downgrade_revs = self.watched_revs(directory._downgrade_revs)

    def watched_revs(self, revs):
        @functools.wraps(revs)
        def watched(*args, **kwargs):
            return self.steps(revs(*args, **kwargs))

        return watched

    def steps(self, steps):
        """Alembic's own steps, one at a time, with the version table read after each."""
        number = self.begin_pass()
        for step in steps:
            if number is None:
                self.stopped = RunsTwice(_RUNS_TWICE)
                raise self.stopped
            self.revision = step.revision.revision
            self.statement = self.error = None
            self.unfinished = self.began = True
            self.send({"event": "begin", "revision": self.revision})
            step.migration_fn = self.watched(step.migration_fn)
            began = time.monotonic()
            yield step
            self.unfinished = False
            self.send(
                {
                    "event": "step",
                    "pass": number,
                    "revision": self.revision,
                    "seconds": time.monotonic() - began,
                    "rows": self.version_rows(),
                }
            )
        self.revision = None

    def begin_pass(self):
        """The number of the pass that begins now; None when its version table had one already."""
        context = self.context
        table = getattr(context, "version_table", None) or "alembic_version"
        schema = _translated_schema(context) or _schema_of(table, context)
        key = (self.database, table, schema)
        if key in self.passes:
            return None
        self.passes.append(key)
        number = len(self.passes) - 1
        self.send(
            {"event": "pass", "number": number, "database": self.database, "table": table, "schema": schema}
        )
        return number

    def watched(self, migrate):
        @functools.wraps(migrate)
        def run(*args, **kwargs):
            try:
                return migrate(*args, **kwargs)
            except BaseException as error:
                self.error = error
                raise

        return run

    def raise_what_was_swallowed(self):
        """An env.py may catch everything and end well: raise what it caught."""
        if self.guard.foreign:
            raise ForeignConnection(self.guard.foreign)
        if self.stopped is not None:
            raise self.stopped
        if self.unfinished:
            raise self.error or RuntimeError(
                "it did not end, but env.py reported success: it hides the error"
            )

    def version_rows(self):
        """What the version table holds now, seen from this connection; None where it cannot be read."""
        try:
            quote = self.context.dialect.identifier_preparer.quote
            schema = _translated_schema(self.context)
            table = (quote(schema) + "." if schema else "") + quote(self.context._version.name)
            return [row[0] for row in _ask(self.context.connection, "SELECT version_num FROM " + table)]
        except Exception:
            return None

    def state(self):
        """What to say with the upgrade's last event."""
        return {
            "revision": self.revision,
            "last_statement": text(self.statement) if self.statement else None,
            "foreign": self.guard.foreign,
            "began": self.began,
            "needs": self.needs,
        }


def _translated_schema(context):
    """The version table's schema as SQLAlchemy writes it into its statements; None where it writes none."""
    schema = getattr(context, "version_table_schema", None)
    if context.connection is None:
        return schema
    # There from SQLAlchemy 1.3 on under this name; what `as_sql` has for a connection has none.
    options = getattr(context.connection, "_execution_options", None) or {}
    return (options.get("schema_translate_map") or {}).get(schema, schema)


def _schema_of(table, context):
    """Where PostgreSQL finds the version table, which is there by now; None where that is nothing special.

    Many keep each tenant in a schema, and change the search path from one to the next.
    """
    if context.connection is None or context.dialect.name != "postgresql":
        return None
    query = (
        "SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = '%s' AND c.relkind IN ('r', 'p') AND pg_catalog.pg_table_is_visible(c.oid)"
    )
    try:
        schema = _ask(context.connection, query % str(table).replace("'", "''"))[0][0]
    except Exception:
        return None
    return None if schema == "public" else schema


def _ask(connection, sql):
    """The rows of a query of ours; no transaction is begun or ended by it."""
    raw = connection.connection
    began = connection.in_transaction() or _in_transaction(raw)
    found = rows(raw, sql)
    if not began:
        raw.rollback()  # end what the driver began for our query
    return found


def _in_transaction(raw):
    """Whether the driver has begun a transaction that SQLAlchemy may not know of: before 2.0 it did for a SET."""
    driver = getattr(raw, "dbapi_connection", None) or raw.connection
    driver = getattr(driver, "driver_connection", driver)
    if hasattr(driver, "is_in_transaction"):  # asyncpg
        return driver.is_in_transaction()
    status = getattr(getattr(driver, "info", None), "transaction_status", None)
    if status is not None:  # libpq's, where 0 is none
        return int(status) != 0
    return bool(getattr(driver, "in_transaction", False))


def see_staged(paths, module, backwards):
    """Patch `alembic.script.base`: a ScriptDirectory also holds merge revisions not in the tree yet.

    `backwards` tells, when one is loaded, whether their parents are to be listed the other way round. Only a
    directory that holds their parents has them: another may be that of an installed copy, or of a library.
    """
    original = module.ScriptDirectory._load_revisions

    def load_revisions(self):
        known = set()
        for script in original(self):
            known.add(script.revision)
            yield script
        for path in paths:
            import importlib.util

            spec = importlib.util.spec_from_file_location("converger_staged", path)
            staged = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(staged)
            if backwards():
                staged.down_revision = tuple(reversed(staged.down_revision))
            if known.issuperset(staged.down_revision):
                known.add(staged.revision)
                yield module.Script(staged, staged.revision, path)

    module.ScriptDirectory._load_revisions = load_revisions
