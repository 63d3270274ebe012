"""psycopg2, psycopg, asyncpg and pg8000: they connect where the broker says.

What a caller asked for is read only to recognise a database by its name. What libpq would read by itself
(PGHOSTADDR, a service file) is shut off: it would be stronger than the address that we give.
"""

import functools
import inspect
import os
import sys
from urllib.parse import parse_qsl, unquote, urlsplit

from .afterimport import when_imported
from .driver_arguments import redirected
from .patching import replace_init

_LEADS_ELSEWHERE = (
    "PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGPASSWORD PGPASSFILE PGSERVICE PGSERVICEFILE PGTARGETSESSIONATTRS"
    " PGLOADBALANCEHOSTS PGREQUIREAUTH PGCHANNELBINDING PGREQUIREPEER PGREQUIRESSL PGSSLMODE PGSSLNEGOTIATION"
    " PGSSLCERT PGSSLKEY PGSSLROOTCERT PGSSLCRL PGSSLCRLDIR PGSSLSNI PGSSLMINPROTOCOLVERSION"
    " PGSSLMAXPROTOCOLVERSION PGSSLCERTMODE PGSSLCOMPRESSION PGGSSENCMODE PGGSSLIB PGGSSDELEGATION PGKRBSRVNAME"
    " PGMINPROTOCOLVERSION PGMAXPROTOCOLVERSION"
).split()
_READ_BY_PSYCOPG = (
    ("PGHOSTADDR", "hostaddr", ""),
    ("PGTARGETSESSIONATTRS", "target_session_attrs", "any"),
    ("PGLOADBALANCEHOSTS", "load_balance_hosts", "disable"),
)


def install(broker):
    """Patch the drivers when they are imported."""
    for name, patch in (
        ("psycopg2._psycopg", _psycopg2),
        ("psycopg2", _psycopg2_names),
        ("psycopg2.extensions", _psycopg2_names),
        ("psycopg.generators", _psycopg_generators),
        ("psycopg.connection", _psycopg),
        ("psycopg.connection_async", _psycopg),
        ("psycopg", _psycopg_names),
        ("asyncpg.connection", _asyncpg),
        ("asyncpg", _asyncpg_names),
        ("pg8000.core", _pg8000),
    ):
        when_imported(name, functools.partial(patch, broker))


def _psycopg2(broker, module):
    """The C module, below everything: `psycopg2.connect`, its pools and extras all end there."""
    original_connect = module._connect
    original = module.connection

    def ours(dsn):
        given = _read_conninfo(dsn, module.parse_dsn)
        return _write_conninfo(_for_libpq(redirected(broker, "psycopg2", given)))

    class connection(original):
        __doc__ = original.__doc__

        def __init__(self, dsn, *args, **kwargs):
            original.__init__(self, ours(dsn), *args, **kwargs)

    _like(connection, original)
    module.connection = connection
    replication = getattr(module, "ReplicationConnection", None)
    if replication is not None:

        class ReplicationConnection(replication, connection):  # its base in C is the original, not ours
            __doc__ = replication.__doc__

            def __init__(self, dsn, *args, **kwargs):
                replication.__init__(self, ours(dsn), *args, **kwargs)

        _like(ReplicationConnection, replication)
        module.ReplicationConnection = ReplicationConnection

    @functools.wraps(original_connect)
    def _connect(dsn, connection_factory=None, *args, **kwargs):
        return original_connect(ours(dsn), connection_factory or connection, *args, **kwargs)

    module._connect = _connect


def _like(cls, original):
    cls.__module__ = original.__module__
    cls.__qualname__ = original.__qualname__


def _psycopg2_names(broker, module):
    """Names that were copied from the C module before we came."""
    inner = sys.modules["psycopg2._psycopg"]
    for name in ("_connect", "connection", "ReplicationConnection"):
        if hasattr(module, name):
            setattr(module, name, getattr(inner, name))


def _psycopg(broker, module):
    for name in ("Connection", "AsyncConnection"):
        cls = vars(module).get(name)
        if cls is not None and cls.__module__ in (module.__name__, "psycopg"):
            cls.connect = _psycopg_connect(broker, vars(cls)["connect"].__func__)


def _psycopg_connect(broker, original):
    def arguments(conninfo, kwargs):
        given = _read_conninfo(conninfo, _conninfo_to_dict)
        given.update((name, value) for name, value in kwargs.items() if value is not None)
        for name in ("prepare_threshold", "context"):  # None means something
            if name in kwargs:
                given[name] = kwargs[name]
        return _for_psycopg(redirected(broker, "psycopg", given))

    if inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        async def connect(cls, conninfo="", **kwargs):
            return await original(cls, **arguments(conninfo, kwargs))

    else:

        @functools.wraps(original)
        def connect(cls, conninfo="", **kwargs):
            return original(cls, **arguments(conninfo, kwargs))

    return classmethod(connect)


def _psycopg_generators(broker, module):
    """Below `connect`, where a subclass that makes its own parameters ends; after the name was looked up."""
    original = module.connect

    @functools.wraps(original)
    def connect(conninfo, *args, **kwargs):
        given = _read_conninfo(conninfo, _conninfo_to_dict)
        return original(_write_conninfo(_for_psycopg(redirected(broker, "psycopg", given))), *args, **kwargs)

    module.connect = connect


def _conninfo_to_dict(text):
    return sys.modules["psycopg.conninfo"].conninfo_to_dict(text)


def _for_psycopg(arguments):
    """psycopg reads some variables by itself, from `os.environ`; what is said here is stronger."""
    known = None
    for name, parameter, value in _READ_BY_PSYCOPG:
        if os.environ.get(name) and parameter not in arguments:
            if known is None:
                known = {default.keyword for default in sys.modules["psycopg.pq"].Conninfo.get_defaults()}
            if parameter.encode() in known:  # by the installed libpq
                arguments[parameter] = value
    return _for_libpq(arguments)


def _psycopg_names(broker, module):
    module.connect = module.Connection.connect


def _asyncpg(broker, module):
    original = module.connect
    parameters = inspect.signature(original).parameters

    @functools.wraps(original)
    async def connect(dsn=None, **kwargs):
        given = _read_url(dsn)
        settings = dict(given.pop("server_settings", None) or {})
        given.update((name, value) for name, value in kwargs.items() if value is not None)
        if settings:
            given["server_settings"] = dict(settings, **(kwargs.get("server_settings") or {}))
        if "command_timeout" in kwargs or "timeout" in kwargs:  # None means none
            given.update((name, kwargs[name]) for name in ("command_timeout", "timeout") if name in kwargs)
        arguments = redirected(broker, "asyncpg", given)
        for name in ("PGSERVICE", "PGSERVICEFILE"):  # read without an argument that could say "none"
            os.environ.pop(name, None)
        if os.environ.get("PGSSLMODE"):
            arguments.setdefault("ssl", "prefer")
        if os.environ.get("PGTARGETSESSIONATTRS") and "target_session_attrs" in parameters:
            arguments.setdefault("target_session_attrs", "any")
        return await original(**arguments)

    module.connect = connect


def _asyncpg_names(broker, module):
    module.connect = module.connection.connect


def _pg8000(broker, module):
    for name in ("CoreConnection", "Connection"):  # the second is that of versions before 1.17
        if hasattr(module, name):
            replace_init(getattr(module, name), lambda given: redirected(broker, "pg8000", given))
            return


def _for_libpq(arguments):
    """These arguments, made proof against what libpq reads from the environment."""
    if "database" in arguments:
        arguments.setdefault("dbname", arguments.pop("database"))
    for name in _LEADS_ELSEWHERE:
        if name in os.environ:
            # For C code and child processes only: the project still finds it in `os.environ`.
            os.unsetenv(name)
    return arguments


def _read_conninfo(text, parse):
    """A connection string of libpq's, `key=value` or URL, as far as it can be read."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    if not text:
        return {}
    try:
        return dict(parse(text))
    except Exception:
        return {}


def _write_conninfo(arguments):
    return " ".join(
        "%s='%s'" % (name, str(value).replace("\\", "\\\\").replace("'", "\\'"))
        for name, value in arguments.items()
        if value is not None
    )


def _read_url(dsn):
    """asyncpg's URL, as far as it can be read: words that are not libpq's become server settings."""
    if not dsn:
        return {}
    try:
        parts = urlsplit(dsn if isinstance(dsn, str) else str(dsn))
        query = dict(parse_qsl(parts.query))
        login, _, address = parts.netloc.rpartition("@")
        port = address[len(address.rstrip("0123456789")) :]
        given = {
            "database": unquote(parts.path.lstrip("/")),
            "user": unquote(login.partition(":")[0]),
            "host": unquote(
                address[: len(address) - len(port)].rstrip(":") if ":" + port in address else address
            ),
            "port": port if ":" + port in address else "",
        }
        for name in ("host", "port", "user", "database", "dbname"):
            if query.get(name):
                given["database" if name == "dbname" else name] = query[name]
        settings = {name: value for name, value in query.items() if name not in _ASYNCPG_WORDS}
        if settings:
            given["server_settings"] = settings
        return given
    except Exception:
        return {}


_ASYNCPG_WORDS = frozenset(
    "host port user password database dbname passfile service servicefile ssl sslmode sslnegotiation sslcert sslkey"
    " sslrootcert sslcrl sslpassword ssl_min_protocol_version ssl_max_protocol_version target_session_attrs"
    " krbsrvname gsslib direct_tls".split()
)
