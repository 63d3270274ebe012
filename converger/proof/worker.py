"""Runs in the project's interpreter: upgrades scratch databases through the project's own env.py.

This file is started by path, never imported by us. It must run on Python 3.8 with Alembic 1.7 or
later and nothing else of ours installed, so it imports only the standard library, Alembic and SQLAlchemy.

One process is started for a proof. It imports Alembic (and, when told to, the revision files), then
forks one child for each upgrade: every upgrade so begins with the same untouched interpreter, as a
deployment does, without paying for the imports again. Messages go over one socket (argv[1] is its
file descriptor), one JSON object a packet, never over standard output, because migrations print.

Orders:  {"cmd": "load", "config": {...}, "staged": [path], "preload": bool, "driver_url": str}
         {"cmd": "upgrade", "run": int, "url": str, "target": str, "environ": {...}, "output": path,
          "mark": {"dialect": str, "query": SQL, "text": what it must answer}}
         {"cmd": "kill", "run": int}
Events:  {"event": "loaded", ...} {"event": "load-failed", ...}
         {"event": "begin"|"step"|"done"|"failed"|"exited", "run": int, ...}
"""

import os
import sys

if __name__ == "__main__":  # our own folder must not shadow the project's modules
    sys.path[:] = sys.path[1:]

import gc
import json
import select
import signal
import socket
import time
import traceback

_PACKET = 128 * 1024  # below Linux' default socket buffer, so that a packet is sent whole
_TEXT = 6000  # characters of a statement or message that are worth sending; a packet holds several


class ForeignConnection(BaseException):
    """The project's code opened a connection to something that is not this run's scratch database.

    Not an Exception: `except Exception` in an env.py must not carry on with that connection.
    """


def main(argv):
    sock = socket.socket(fileno=int(argv[1]))
    sock.set_inheritable(False)
    try:  # while our parent is busy with other things; what is wrong shows when it says "load"
        pass
    except Exception:
        pass
    _Zygote(sock).serve()


class _Zygote:
    """Takes orders, forks a child for each upgrade, tells when a child ended."""

    def __init__(self, sock):
        self.sock = sock
        self.loaded = None
        self.children = {}  # read end of the child's life line -> (run, pid)

    def serve(self):
        while True:
            readable, _, _ = select.select([self.sock] + list(self.children), [], [])
            for end in readable:
                if end is self.sock:
                    packet = self.sock.recv(_PACKET)
                    if not packet:  # our parent is gone: so are we, and what we started
                        for _run, pid in self.children.values():
                            _kill(pid)
                        os._exit(0)
                    self.obey(json.loads(packet.decode("utf-8")))
                elif end in self.children:
                    self.reap(end)

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
            for run, pid in self.children.values():
                if run == order["run"]:
                    _kill(pid)

    def fork(self, order):
        alive_read, alive_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            code = 70
            try:
                os.setpgid(0, 0)
                os.close(alive_read)
                for end in self.children:
                    os.close(end)
                code = _upgrade(self.loaded, order, self.sock)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        os.close(alive_write)
        self.children[alive_read] = (order["run"], pid)

    def reap(self, end):
        run, pid = self.children.pop(end)
        os.close(end)
        _kill(pid)  # whatever it left running in its group
        _, status = os.waitpid(pid, 0)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else None
        _send(self.sock, {"event": "exited", "run": run, "signal": number, "code": code})


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
        _see_staged(order["staged"])
        if order["preload"]:
            from alembic.script import ScriptDirectory

            self.script = ScriptDirectory.from_config(self.config("upgrade", "heads"))
            self.script.get_heads()  # reads every revision file
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
    watch = _Watch(order, sock)
    try:
        watch.install()
        _run_command(loaded, order)
        if watch.foreign:  # somebody swallowed it
            raise ForeignConnection(watch.foreign)
    except BaseException as error:
        if isinstance(error, SystemExit) and error.code in (None, 0) and not watch.foreign:
            pass  # an env.py may leave that way; the version table tells what it did
        else:
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


class _Watch:
    """Sees which revision runs, which statement was last, and whose database it is."""

    def __init__(self, order, sock):
        self.order = order
        self.sock = sock
        self.revision = None
        self.statement = None
        self.foreign = None
        self.context = None
        self.configured = False

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
                watch.guard(connection)
            configure(self, connection, *args, **kwargs)
            watch.configured = True
            watch.context = self.get_context()

        def watched_upgrade_revs(self, *args, **kwargs):
            return watch.steps(upgrade_revs(self, *args, **kwargs))

        def before_cursor_execute(conn, cursor, statement, parameters, context, executemany):
            watch.statement = statement

        def engine_connect(conn, *_branch):
            # Every connection, not only Alembic's: an env.py may create a schema before it configures.
            watch.guard(conn)

        event.listen(Engine, "engine_connect", engine_connect)
        EnvironmentContext.configure = guarded_configure
        ScriptDirectory._upgrade_revs = watched_upgrade_revs
        event.listen(Engine, "before_cursor_execute", before_cursor_execute)

    def guard(self, connection):
        """Raise ForeignConnection unless the connection carries this run's mark."""
        if connection.info.get("converger") is self:  # kept with the driver's connection, not the checkout
            return
        mark = self.order["mark"]
        if connection.dialect.name != mark["dialect"]:
            found = "a %s database" % connection.dialect.name
        else:
            rows = _raw_query(connection, mark["query"])
            if rows and rows[0][0] == mark["text"]:
                connection.info["converger"] = self
                return
            found = "another %s database" % mark["dialect"]
            if connection.engine.url.database:
                found += ", %r" % connection.engine.url.database
        self.foreign = "the project's code connected to %s instead of this run's scratch database" % found
        raise ForeignConnection(self.foreign)

    def steps(self, steps):
        """Alembic's own steps, one at a time, with the version table read after each."""
        for step in steps:
            self.revision = step.revision.revision
            self.statement = None
            self.send({"event": "begin", "revision": self.revision})
            began = time.monotonic()
            yield step
            seconds = time.monotonic() - began
            self.send(
                {"event": "step", "revision": self.revision, "seconds": seconds, "rows": self.version_rows()}
            )
        self.revision = None

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
            "last_statement": (self.statement or "")[:_TEXT] or None,
            "foreign": self.foreign,
            "configured": self.configured,
            "version_table": getattr(context, "version_table", None),
            "version_table_schema": getattr(context, "version_table_schema", None),
        }


def _raw_query(connection, sql):
    """Rows of a read-only query, on the driver's connection.

    Not through SQLAlchemy: its autobegin would make Alembic believe that somebody else owns the
    transaction, and nothing would ever be committed.
    """
    raw = connection.connection
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
        rows = [tuple(row) for row in cursor.fetchall()]
    finally:
        cursor.close()
    if not connection.in_transaction():
        raw.rollback()  # end what the driver began for our query
    return rows


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
    message = str(error)
    kind = type(error).__name__
    sqlstate = None
    for link in chain:
        if getattr(link, "orig", None) is not None and hasattr(link, "statement"):
            statement = link.statement
            message = str(link.orig)
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
        "message": message[:_TEXT],
        "statement": statement[:_TEXT] if statement else None,
        "frames": frames[:80],
        "module": module,
        "missing_module": isinstance(error, ImportError)
        or any(isinstance(x, ModuleNotFoundError) for x in chain),
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_TEXT:],
    }


def _send(sock, message):
    sock.send(json.dumps(message, ensure_ascii=False).encode("utf-8", "replace"))


def _kill(pid):
    for send in (os.killpg, os.kill):
        try:
            send(pid, signal.SIGKILL)
        except OSError:
            pass


if __name__ == "__main__":
    main(sys.argv)
