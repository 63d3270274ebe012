"""Alembic, the project's configuration and (when preloaded) its revision files, in memory before the fork."""

import gc
import importlib
import os
import sys

from . import asynchronous
from .afterimport import when_imported
from .application import application
from .databases import Databases
from .drivers import install
from .guard import ForeignConnection, Guard
from .running import Running
from .watch import Watch, see_staged

_CANDIDATES = {
    "postgresql": ["psycopg2", "psycopg", "asyncpg", "pg8000"],
    "mysql": ["pymysql", "MySQLdb", "mysql.connector", "aiomysql", "asyncmy"],
    "mariadb": ["pymysql", "MySQLdb", "mysql.connector", "aiomysql", "asyncmy"],
    "sqlite": ["sqlite3"],
}
_MODULES = {"pysqlite": "sqlite3", "mysqldb": "MySQLdb", "mysqlconnector": "mysql.connector"}
_DRIVERS = {"sqlite3": None, "MySQLdb": "mysqldb", "mysql.connector": "mysqlconnector"}


class Loaded:
    """What all upgrades of a worker share. Raises whatever the project's code raises."""

    def __init__(self, order):
        self.order = order
        os.chdir(order["config"]["cwd"])
        self.guard = Guard()
        install(self.guard)  # before anything of the project's: whoever imports a driver gets ours
        asynchronous.install(self.guard)
        import alembic
        import alembic.config
        import sqlalchemy

        self.guard.watch_sqlalchemy()
        # Only now: a project's script folder is often called "alembic". Last, so that it can only add.
        sys.path.append(os.getcwd())
        self.versions = (alembic.__version__, sqlalchemy.__version__)
        self.driver = _find_driver(order["driver_url"])
        _import_dialect(order["driver_url"].partition("+")[0], self.driver)
        if order["flask"] is not None:
            _import_if_there("flask.cli", "flask_migrate", "flask_sqlalchemy")
        self.script = None
        self.backwards = False
        self.pose("heads")
        when_imported("alembic.script.base", self.show_staged)
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

    def pose(self, target, verb="upgrade"):
        """Let sys.argv and __main__ be those of the command that would be run: the project's code may look."""
        import alembic.config

        given = self.order["config"]
        if self.order["flask"] is None:
            program, arguments = "alembic", ["-c", given["ini"]] if given["ini"] else []
        else:
            program, arguments = "flask", ["db"]
        path = os.path.join(os.path.dirname(os.path.abspath(sys.executable)), program)
        sys.argv[:] = [path] + arguments + [verb, target]
        # Ours is inside a zip file, where no file is: looking for it fails in a way that nobody expects.
        sys.modules["__main__"].__file__ = path if os.path.exists(path) else alembic.config.__file__

    def show_staged(self, module):
        see_staged(self.order["staged"], module, lambda: self.backwards)

    def facts(self):
        import threading

        return {
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            "alembic": self.versions[0],
            "sqlalchemy": self.versions[1],
            "driver": self.driver,
            "threads": threading.active_count(),
        }

    def upgrade(self, order, send):
        """Run one upgrade in a forked child. Returns its Watch; raises what the project's code raises."""
        watch = Watch(send, self.guard, order["shared"], Running(order["output"] + ".statement"))
        self.guard.admit(Databases(order), watch.send)
        watch.watch_sqlalchemy()
        when_imported("alembic.runtime.environment", watch.watch_environment)
        when_imported("alembic.script.base", watch.watch_script)
        return watch

    def run(self, order):
        """`alembic upgrade` or `downgrade TARGET`, inside the project's Flask application where it has one."""
        from alembic import command
        from alembic.script import ScriptDirectory

        verb = "downgrade" if order["down"] else "upgrade"
        self.pose(order["target"], verb)
        if order["reversed"]:
            self.script = None  # which has them in their own order
            self.backwards = True
        with application(self.order["flask"]) as configure:
            config = configure(self.config(verb, order["target"]))
            _point_at(config, order)
            if self.script is not None:
                original = ScriptDirectory.from_config

                def from_config(given):
                    return self.script if given is config else original(given)

                ScriptDirectory.from_config = from_config
            getattr(command, verb)(config, order["target"])


def _point_at(config, order):
    """Write the scratch databases' URLs wherever a template's env.py reads one."""
    config.set_main_option("sqlalchemy.url", order["urls"][0].replace("%", "%%"))
    for section, url in zip(order["sections"], order["urls"]):
        config.set_section_option(section, "sqlalchemy.url", url.replace("%", "%%"))
    config.attributes = _Attributes(config.attributes, order["urls"][0])


class _Attributes(dict):
    """`config.attributes`: gives a connection to an env.py that insists on one, and only then.

    `attributes["connection"]` connects; `attributes.get("connection")` and `in` say that there is none,
    so that an env.py with a path of its own takes that.
    """

    def __init__(self, given, url):
        super().__init__(given)
        self._url = url

    def __missing__(self, key):
        if key != "connection":
            raise KeyError(key)
        import sqlalchemy

        self[key] = sqlalchemy.create_engine(self._url, poolclass=sqlalchemy.pool.NullPool).connect()
        return self[key]


def _read_main_option(config):
    def read(name):
        section = config.config_ini_section
        return config.get_main_option(name) if config.file_config.has_section(section) else None

    return read


def _find_driver(url):
    """The driver name for a URL like `postgresql://` that names none: the first that is installed."""
    dialect, _, driver = url.partition("+")
    for name in [driver] if driver else _CANDIDATES.get(dialect, []):
        try:
            importlib.import_module(_MODULES.get(name, name))
        except ImportError:
            continue
        return _DRIVERS.get(name, name)
    return driver or None


def _import_if_there(*names):
    """Import libraries that every upgrade will need, once; what is wrong with them shows later."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception:
            pass


def _import_dialect(dialect, driver):
    """Import what an engine for this URL will need; that it cannot be imported shows later, in env.py."""
    from sqlalchemy.engine.url import make_url

    try:
        found = make_url((dialect + "+" + driver if driver else dialect) + "://").get_dialect()
        getattr(found, "import_dbapi", found.dbapi)()
    except Exception:
        pass
