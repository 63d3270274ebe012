"""Runs in the project's interpreter: upgrades scratch databases through the project's own env.py.

This file is started by path, never imported by us. It must run on Python 3.8 with Alembic 1.7 or
later and nothing else of ours installed, so it imports only the standard library, Alembic and SQLAlchemy.

One process is started for a proof. It imports Alembic (and, when told to, the revision files), then
forks one child for each upgrade: every upgrade so begins with the same untouched interpreter, as a
deployment does, without paying for the imports again. Messages go over one socket (argv[1] is its
file descriptor), one JSON object a packet, never over standard output, because migrations print.

Orders:  {"cmd": "load", "config": {...}, "staged": [path], "preload": bool, "driver_url": str}
         {"cmd": "upgrade", "run": int, "url": str, "target": str, "environ": {...}, "output": path,
          "shared": whether what the whole server shares must not be changed,
          "mark": {"dialect": str, "query": SQL, "text": what it must answer}}
         {"cmd": "kill", "run": int}
Events:  {"event": "loaded", ...} {"event": "load-failed", ...}
         {"event": "begin"|"step"|"foreign"|"done"|"failed"|"exited", "run": int, ...}
"""

import os
import sys

if __name__ == "__main__":  # our own folder must not shadow the project's modules
    sys.path[:] = sys.path[1:]

import functools
import gc
import importlib
import json
import re
import select
import signal
import socket
import time
import traceback

_PACKET = 128 * 1024  # below Linux' default socket buffer, so that a packet is sent whole
_TEXT = 6000  # characters of a statement or message that are worth sending; a packet holds several
_POLL = 0.2  # seconds between two looks whether a child ended whose life line somebody else holds open
_SERVER_WIDE = re.compile(  # at the start of a statement, or of one inside a DO block
    r"(?:^|;|\b(?:BEGIN|THEN|ELSE|LOOP)\b|\bEXECUTE\s+(?:format\s*\(\s*)?')\s*"
    r"(?:(?:CREATE|ALTER|DROP)\s+(?:ROLE|USER(?!\s+MAPPING)|GROUP|TABLESPACE)\b(?![^;]*\bIN\s+DATABASE\b)"
    r"|(?:CREATE|DROP)\s+DATABASE\b|ALTER\s+SYSTEM\b)",
    re.IGNORECASE | re.MULTILINE,
)


class ForeignConnection(BaseException):
    """The project's code opened a connection to something that is not this run's scratch database.

    Not an Exception: `except Exception` in an env.py must not carry on with that connection.
    """


class ServerWide(BaseException):
    """A migration is about to change what the whole server shares: roles, tablespaces, databases."""


class RunsTwice(BaseException):
    """env.py upgrades several version tables in one go (tenants, databases): only one can be followed."""


def main(argv):
    sock = socket.socket(fileno=int(argv[1]))
    sock.set_inheritable(False)
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)  # what daemons of the project's code become: ours to end
    try:  # while our parent is busy with other things; what is wrong shows when it says "load"
        importlib.import_module("alembic.config")
        importlib.import_module("sqlalchemy")
    except Exception:
        pass
    _Zygote(sock).serve()


class _Child:
    """One upgrade's process. `alive` is the read end of its life line; None once that ended."""

    def __init__(self, run, pid, alive):
        self.run = run
        self.pid = pid
        self.alive = alive
        self.hung_up = None  # when its life line ended: it is ending, or closed what it does not know

    def ended(self):
        # Not reaped yet, so the number still is its own.
        return os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


class _Zygote:
    """Takes orders, forks a child for each upgrade, tells when a child ended."""

    def __init__(self, sock):
        self.sock = sock
        self.loaded = None
        self.children = []

    def serve(self):
        while True:
            lines = [child.alive for child in self.children if child.alive is not None]
            readable, _, _ = select.select([self.sock] + lines, [], [], self.patience())
            for child in list(self.children):
                if child.alive in readable:
                    os.close(child.alive)
                    child.alive = None
                    child.hung_up = time.monotonic()
                if child.ended():
                    self.reap(child)
            if self.sock in readable:
                packet = self.sock.recv(_PACKET)
                if not packet:  # our parent is gone: so are we, and what we started
                    self.end()
                self.obey(json.loads(packet.decode("utf-8")))

    def patience(self):
        if not self.children:
            return None
        now = time.monotonic()
        # A life line ends a moment before its process does.
        ending = any(child.hung_up is not None and now - child.hung_up < 1 for child in self.children)
        return 0.001 if ending else _POLL

    def end(self):
        for child in self.children:
            _kill(child.pid)
        for _ in range(20):  # the children of what we end become ours
            left = _own_children()
            if not left:
                break
            for pid in left:
                _kill(pid)
                try:
                    os.waitpid(pid, 0)
                except OSError:
                    pass
        os._exit(0)

    def obey(self, order):
        if order["cmd"] == "load":
            try:
                self.loaded = _Loaded(order)
            except BaseException as error:
                _send(self.sock, dict(_describe(error), event="load-failed"))
            else:
                _send(self.sock, dict(self.loaded.facts(), event="loaded"))
        elif order["cmd"] == "upgrade":
            self.fork(order)
        elif order["cmd"] == "kill":
            for child in self.children:
                if child.run == order["run"]:
                    _kill(child.pid)

    def fork(self, order):
        alive_read, alive_write = os.pipe()
        own = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
                if os.getppid() != own:
                    os._exit(code)
                os.setpgid(0, 0)
                os.close(alive_read)
                for child in self.children:
                    if child.alive is not None:
                        os.close(child.alive)
                code = _upgrade(self.loaded, order, self.sock)
            finally:
                for stream in (sys.stdout, sys.stderr):
                    try:
                        stream.flush()
                    except BaseException:  # closed, or replaced by whatever
                        pass
                os._exit(code)
        os.close(alive_write)
        self.children.append(_Child(order["run"], pid, alive_read))

    def reap(self, child):
        self.children.remove(child)
        if child.alive is not None:
            os.close(child.alive)
        _kill(child.pid)  # whatever it left running in its group
        _, status = os.waitpid(child.pid, 0)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        _send(self.sock, {"event": "exited", "run": child.run, "signal": number, "code": code})


class _Loaded:
    """Alembic, the configuration and (when preloaded) the revision files, in memory before the fork."""

    def __init__(self, order):
        self.order = order
        os.chdir(order["config"]["cwd"])
        import alembic
        import alembic.config
        import sqlalchemy

        # Only now: a project's script folder is often called "alembic". Last, so that it can only add.
        sys.path.append(os.getcwd())

        self.versions = (alembic.__version__, sqlalchemy.__version__)
        self.driver = _find_driver(order["driver_url"])
        _import_dialect(order["driver_url"].partition("+")[0], self.driver)
        self.script = None
        self.guard = _Guard()
        _see_staged(order["staged"])
        if order["preload"]:
            from alembic.script import ScriptDirectory

            self.script = ScriptDirectory.from_config(self.config("upgrade", "heads"))
            self.script.get_heads()  # reads every revision file
            if self.guard.foreign:
                raise ForeignConnection(self.guard.foreign)
        gc.collect()
        gc.freeze()  # children then share these pages instead of copying them to count references

    def config(self, *arguments):
        """The Config that Alembic's own command line would make of these arguments."""
        from alembic.config import CommandLine, Config

        given = self.order["config"]
        options = CommandLine("alembic").parser.parse_args(list(arguments))
        keywords = {"file_": given["ini"], "ini_section": given["section"], "cmd_opts": options}
        if given["toml"]:
            keywords["toml_file"] = given["toml"]
        if given["ini"]:
            options.config = given["ini"]
        options.name = given["section"]
        config = Config(**keywords)
        read = getattr(config, "get_alembic_option", None) or _read_main_option(config)  # the first is 1.16's
        if read("script_location") is None:  # Flask-Migrate's ini does not say where it is
            config.set_main_option("script_location", given["script_location"].replace("%", "%%"))
        return config

    def facts(self):
        import threading

        return {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "alembic": self.versions[0],
            "sqlalchemy": self.versions[1],
            "driver": self.driver,
            "threads": threading.active_count(),
        }


def _read_main_option(config):
    def read(name):
        section = config.config_ini_section
        return config.get_main_option(name) if config.file_config.has_section(section) else None

    return read


def _find_driver(url):
    """The driver name for a URL like `postgresql://` that names none: the first that is installed."""
    import importlib

    dialect, _, driver = url.partition("+")
    candidates = {
        "postgresql": ["psycopg2", "psycopg", "asyncpg", "pg8000"],
        "sqlite": ["sqlite3"],
    }
    modules = {"pysqlite": "sqlite3"}
    names = [driver] if driver else candidates.get(dialect, [])
    for name in names:
        try:
            importlib.import_module(modules.get(name, name))
        except ImportError:
            continue
        return {"sqlite3": None}.get(name, name)
    return driver or None


def _import_dialect(dialect, driver):
    """Import what an engine for this URL will need; that it cannot be imported shows later, in env.py."""
    from sqlalchemy.engine import make_url

    try:
        found = make_url((dialect + "+" + driver if driver else dialect) + "://").get_dialect()
        getattr(found, "import_dbapi", found.dbapi)()
    except Exception:
        pass


def _see_staged(paths):
    """Let every ScriptDirectory of this process see merge revisions that are not in the tree yet."""
    from alembic.script import Script, ScriptDirectory

    original = ScriptDirectory._load_revisions

    def load_revisions(self):
        for script in original(self):
            yield script
        for path in paths:
            import importlib.util

            spec = importlib.util.spec_from_file_location("converger_staged", path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            yield Script(module, module.revision, path)

    ScriptDirectory._load_revisions = load_revisions


def _upgrade(loaded, order, sock):
    """One upgrade in a forked child. Returns the exit status; every outcome is sent as an event."""
    out = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.environ.update(order["environ"])
    watch = _Watch(order, sock, loaded.guard)
    try:
        try:
            watch.install()
            _run_command(loaded, order)
        except SystemExit as error:
            if error.code not in (None, 0):
                raise  # an env.py may leave with success; the version table tells what it did
        watch.raise_what_was_swallowed()
    except BaseException as error:
        _send(sock, dict(_describe(error), event="failed", run=order["run"], **watch.state()))
        return 1
    _send(sock, dict(watch.state(), event="done", run=order["run"]))
    return 0


def _run_command(loaded, order):
    from alembic import command
    from alembic.script import ScriptDirectory

    config = loaded.config("upgrade", order["target"])
    config.set_main_option("sqlalchemy.url", order["url"].replace("%", "%%"))
    config.attributes = _Attributes(order["url"])
    if loaded.script is not None:
        original = ScriptDirectory.from_config

        def from_config(given):
            return loaded.script if given is config else original(given)

        ScriptDirectory.from_config = from_config
    command.upgrade(config, order["target"])


_RUNS_TWICE = (
    "env.py runs the migrations several times in one upgrade (several schemas, tenants or databases):"
    " one version table can be followed, not several"
)


class _Attributes(dict):
    """`config.attributes`: gives a connection to an env.py that insists on one, and only then.

    `attributes["connection"]` connects; `attributes.get("connection")` and `in` say that there is none,
    so that an env.py with a path of its own takes that.
    """

    def __init__(self, url):
        super().__init__()
        self._url = url

    def __missing__(self, key):
        if key != "connection":
            raise KeyError(key)
        import sqlalchemy

        self[key] = sqlalchemy.create_engine(self._url, poolclass=sqlalchemy.pool.NullPool).connect()
        return self[key]


class _Guard:
    """Lets the project's code connect to this run's scratch database only; before `admit`, to nothing.

    It looks three times: before anything is opened (SQLite makes a file, a server writes a log), as soon as
    the driver has connected (before SQLAlchemy's or the project's `connect` hooks), and when a connection is
    handed out.
    """

    def __init__(self):
        from sqlalchemy import event
        from sqlalchemy.engine import Engine
        from sqlalchemy.pool import Pool

        self.mark = None
        self.database = None
        self.foreign = None
        self.tell = None
        event.listen(Engine, "do_connect", self.before_connecting)
        event.listen(Pool, "connect", self.connected)
        event.listen(Engine, "engine_connect", self.handed_out)

    def admit(self, order, tell):
        from sqlalchemy.engine import make_url

        self.mark = order["mark"]
        self.database = make_url(order["url"]).database
        self.tell = tell

    def before_connecting(self, dialect, record, cargs, cparams):
        if self.mark is None:
            self.refuse("a %s database while the revision files were loaded," % dialect.name)
        if dialect.name != self.mark["dialect"]:
            self.refuse("a %s database" % dialect.name)
        if dialect.name == "sqlite":
            name = cargs[0] if cargs else cparams.get("database")
            if not _same_file(name, self.database):
                self.refuse("another sqlite database, %r," % (name,))
        else:
            name = cparams.get("dbname", cparams.get("database"))
            if name is not None and name != self.database:
                self.refuse("another %s database, %r," % (dialect.name, name))

    def connected(self, raw, record):
        if self.mark is None:
            self.refuse("a database while the revision files were loaded,")
        if not self.is_marked(_rows(raw, self.mark["query"])):
            self.refuse("another database")
        raw.rollback()  # end what the driver began for our query
        record.info["converger"] = self

    def handed_out(self, connection, *_branch):
        # Every connection, not only Alembic's: an env.py may create a schema before it configures.
        if connection.info.get("converger") is self:  # kept with the driver's connection, not the checkout
            return
        if self.mark is None or connection.dialect.name != self.mark["dialect"]:
            self.refuse("a %s database" % connection.dialect.name)
        if not self.is_marked(_raw_query(connection, self.mark["query"])):
            self.refuse(
                "another %s database, %r," % (connection.dialect.name, connection.engine.url.database)
            )
        connection.info["converger"] = self

    def is_marked(self, rows):
        return bool(rows) and rows[0][0] == self.mark["text"]

    def refuse(self, found):
        self.foreign = "the project's code connected to %s instead of this run's scratch database" % found
        if self.tell is not None:
            # At once: it may have been a thread or a child of the project's that nobody waits for.
            self.tell({"event": "foreign", "message": self.foreign[:_TEXT]})
        raise ForeignConnection(self.foreign)


def _same_file(name, path):
    if not isinstance(name, str):
        return False
    if name.startswith("file:"):
        name = name[5:].partition("?")[0]
    return os.path.realpath(name) == os.path.realpath(path)


class _Watch:
    """Sees which revision runs, and which statement was last."""

    def __init__(self, order, sock, guard):
        self.order = order
        self.sock = sock
        self.guard = guard
        self.revision = None
        self.statement = None
        self.stopped = None  # by us, whatever the project's code makes of it
        self.context = None
        self.passes = 0
        self.error = None  # of the step that began last
        self.unfinished = False

    def install(self):
        from alembic.runtime.environment import EnvironmentContext
        from alembic.script import ScriptDirectory
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        watch = self
        configure = EnvironmentContext.configure
        upgrade_revs = ScriptDirectory._upgrade_revs

        def guarded_configure(self, connection=None, *args, **kwargs):
            # Before Alembic looks for, or creates, its version table.
            if connection is not None:
                watch.guard.handed_out(connection)
            configure(self, connection, *args, **kwargs)
            watch.context = self.get_context()

        def watched_upgrade_revs(self, *args, **kwargs):
            return watch.steps(upgrade_revs(self, *args, **kwargs))

        def before_cursor_execute(conn, cursor, statement, parameters, context, executemany):
            watch.statement = statement
            if watch.order["shared"] and _SERVER_WIDE.search(statement):
                watch.stopped = ServerWide("it changes the whole server: " + _text(statement, 500).strip())
                raise watch.stopped

        self.guard.admit(self.order, self.send)
        EnvironmentContext.configure = guarded_configure
        ScriptDirectory._upgrade_revs = watched_upgrade_revs
        event.listen(Engine, "before_cursor_execute", before_cursor_execute)

    def steps(self, steps):
        """Alembic's own steps, one at a time, with the version table read after each."""
        first = True
        for step in steps:
            if first:
                first = False
                self.passes += 1
                if self.passes > 1:
                    self.stopped = RunsTwice(_RUNS_TWICE)
                    raise self.stopped
            self.revision = step.revision.revision
            self.statement = self.error = None
            self.unfinished = True
            self.send({"event": "begin", "revision": self.revision})
            step.migration_fn = self.watched(step.migration_fn)
            began = time.monotonic()
            yield step
            self.unfinished = False
            self.send(
                {
                    "event": "step",
                    "revision": self.revision,
                    "seconds": time.monotonic() - began,
                    "rows": self.version_rows(),
                }
            )
        self.revision = None

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
            table = self.context.dialect.identifier_preparer.format_table(self.context._version)
            return [row[0] for row in _raw_query(self.context.connection, "SELECT version_num FROM " + table)]
        except Exception:
            return None

    def send(self, message):
        _send(self.sock, dict(message, run=self.order["run"]))

    def state(self):
        context = self.context
        return {
            "revision": self.revision,
            "last_statement": _text(self.statement) if self.statement else None,
            "foreign": self.guard.foreign,
            "began": self.passes > 0,
            "version_table": getattr(context, "version_table", None),
            "version_table_schema": getattr(context, "version_table_schema", None),
        }


def _raw_query(connection, sql):
    """Rows of a read-only query, on the driver's connection.

    Not through SQLAlchemy: its autobegin would make Alembic believe that somebody else owns the
    transaction, and nothing would ever be committed.
    """
    raw = connection.connection
    rows = _rows(raw, sql)
    if not connection.in_transaction():
        raw.rollback()  # end what the driver began for our query
    return rows


def _rows(raw, sql):
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()


def _describe(error):
    """An exception as data: type, message, statement, and where in whose code."""
    chain = []
    seen = set()
    current = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        chain.append(current)
        current = current.__cause__ or (None if current.__suppress_context__ else current.__context__)
    statement = None
    message = _text(error)
    kind = type(error).__name__
    sqlstate = None
    database = False
    if isinstance(error, SystemExit):
        message = "the process was ended by sys.exit(%s)" % _text(repr(error.code))
    for link in chain:
        if getattr(link, "orig", None) is not None and hasattr(link, "statement"):
            database = True
            statement = link.statement
            message = _text(link.orig)
            kind = type(link.orig).__name__
            sqlstate = getattr(link.orig, "sqlstate", None) or getattr(link.orig, "pgcode", None)
            break
    frames = []
    for link in chain:
        if isinstance(link, SyntaxError) and link.filename:
            frames.append({"path": link.filename, "line": link.lineno or 1, "name": "<module>"})
        for frame in reversed(traceback.extract_tb(link.__traceback__)):
            frames.append({"path": frame.filename, "line": frame.lineno or 1, "name": frame.name})
    module = None
    for link in chain:
        if isinstance(link, ImportError):
            module = link.name
            if isinstance(link, ModuleNotFoundError):
                break
    return {
        "type": kind,
        "sqlstate": sqlstate if isinstance(sqlstate, str) else None,
        "message": message or kind,
        "statement": _text(statement) if statement else None,
        "frames": frames[:80],
        "module": module,
        # What the database said is not the fault of a module that was looked for before.
        "missing_module": not database
        and (isinstance(error, ImportError) or any(isinstance(x, ModuleNotFoundError) for x in chain)),
        "traceback": _traceback(error),
    }


def _text(value, limit=_TEXT):
    """A value as text of bounded length, whatever it does when asked."""
    try:
        return str(value)[:limit]
    except BaseException:
        return "<%s>" % type(value).__name__


def _traceback(error):
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_TEXT:]
    except BaseException:
        return ""


def _send(sock, message):
    packet = _packet(message)
    for _ in range(20):  # what is too long for one packet loses its ends
        if len(packet) <= _PACKET:
            break
        message = {
            key: value[: len(value) // 2] if isinstance(value, (str, list)) and len(value) > 100 else value
            for key, value in message.items()
        }
        if isinstance(message.get("frames"), list):
            message["frames"] = message["frames"][: len(message["frames"]) // 2]
        packet = _packet(message)
    sock.send(packet)


def _packet(message):
    return json.dumps(message, ensure_ascii=False).encode("utf-8", "replace")


_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option, value):
    """Linux' prctl(2); elsewhere nothing."""
    try:
        import ctypes

        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
    except Exception:
        pass


def _own_children():
    try:
        with open("/proc/self/task/%d/children" % os.getpid()) as listing:
            return [int(pid) for pid in listing.read().split()]
    except OSError:
        return []


def _kill(pid):
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except OSError:
            pass


if __name__ == "__main__":
    main(sys.argv)
