"""SQLAlchemy's database URLs, read and written without importing SQLAlchemy.

The grammar is SQLAlchemy's (`sqlalchemy.engine.make_url`); its import alone costs 0.4 seconds, more
than reading the whole history of a project.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, quote, unquote, urlencode

_URL = re.compile(
    r"""
    (?P<name>[\w+]+)://
    (?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?
    (?:\[(?P<ipv6>[^/?\]]+)\]|(?P<host>[^/:?]*))
    (?::(?P<port>[^/?]*))?
    (?:/(?P<database>[^?]*))?
    (?:\?(?P<query>.*))?
    """,
    re.VERBOSE | re.DOTALL,
)
_ALIASES = {"postgres": "postgresql"}
_OF_TCP = frozenset(
    "host hostaddr port unix_sock unix_socket protocol channel_binding gssencmode requiressl requirepeer direct_tls"
    " min_protocol_version load_balance_hosts".split()
)
"""Parameters of drivers that would overrule a Unix socket, or that fail with one."""
MYSQL_FAMILY = frozenset({"mysql", "mariadb"})
"""SQLAlchemy's two names for one family of servers."""
_LIBPQ_DRIVERS = frozenset({None, "psycopg", "psycopg2", "psycopg2cffi", "psycopg_async"})


@dataclass(frozen=True)
class DatabaseUrl:
    """The parts of a database URL, decoded. `str()` is not defined: it would show the password."""

    dialect: str
    driver: str | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    host: str | None = None
    port: int | None = None
    database: str | None = None
    query: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def parse_url(text: str) -> DatabaseUrl:
    """Read a URL. Raises ValueError, whose text never contains any part of the URL."""
    match = _URL.fullmatch(text.strip())
    if match is None:
        raise ValueError("not of the form dialect+driver://user:password@host:port/database")
    dialect, _, driver = match["name"].partition("+")
    port = match["port"]
    if port and not port.isdecimal():
        raise ValueError("the port is not a number")
    return DatabaseUrl(
        dialect=_ALIASES.get(dialect.lower(), dialect.lower()),
        driver=driver or None,
        user=unquote(match["user"]) if match["user"] else None,
        password=unquote(match["password"]) if match["password"] is not None else None,
        host=match["ipv6"] or match["host"] or None,
        port=int(port) if port else None,
        database=match["database"] or None,
        query=tuple(parse_qsl(match["query"] or "", keep_blank_values=True)),
    )


def format_url(url: DatabaseUrl) -> str:
    """The URL as SQLAlchemy reads it back: every special character is escaped."""
    text = url.dialect + (f"+{url.driver}" if url.driver else "") + "://"
    if url.user is not None or url.password is not None:
        text += quote(url.user or "", safe="")
        if url.password is not None:
            text += ":" + quote(url.password, safe="")
        text += "@"
    if url.host:
        text += f"[{url.host}]" if ":" in url.host else url.host
    if url.port:
        text += f":{url.port}"
    text += "/" + (url.database or "")
    if url.query:
        text += "?" + urlencode(url.query, quote_via=quote)  # libpq does not read + as a space
    return text


def query_for_driver(
    url: DatabaseUrl, driver: str | None, libpq: frozenset[str]
) -> tuple[tuple[str, str], ...]:
    """The part behind `?` for another driver than the URL was written for.

    Drivers of libpq's family take libpq's own words (`libpq`), asyncpg calls `sslmode` `ssl`, and those of
    MySQL have each their own words for TLS. Words that the driver would not know make it fail before it
    connects, so they are left out.
    """
    if driver == url.driver:
        return url.query
    if url.dialect in MYSQL_FAMILY:
        return _mysql_query(url, driver)
    if driver in _LIBPQ_DRIVERS:
        if url.driver in _LIBPQ_DRIVERS:
            return url.query
        renamed = (("sslmode" if key == "ssl" else key, value) for key, value in url.query)
        return tuple((key, value) for key, value in renamed if key in libpq)
    if driver == "asyncpg":
        known = {"sslmode": "ssl", "ssl": "ssl", "host": "host", "port": "port"}
        return tuple((known[key], value) for key, value in url.query if key in known)
    return tuple((key, value) for key, value in url.query if key in {"host", "port"})


def through_socket(url: DatabaseUrl, folder: str, file: str) -> DatabaseUrl:
    """The same database through the Unix socket `file` in `folder`; for PostgreSQL it is `.s.PGSQL.<port>`.

    The host stays in the URL as `localhost`, which every driver lets the socket overrule: settings classes
    refuse a URL without a host, and MySQL's C library takes another name for TCP. What concerns TLS and
    several hosts is left out. Raises ValueError for a dialect that has no sockets, or another name.
    """
    path = f"{folder}/{file}"
    port = None
    if url.dialect == "postgresql":
        prefix, _, suffix = file.rpartition(".")
        if prefix != ".s.PGSQL" or not suffix.isdecimal():
            raise ValueError(f"no PostgreSQL client looks for a socket called {file}")
        port = int(suffix)
        place = ("unix_sock", path) if url.driver == "pg8000" else ("host", folder)
    elif url.dialect in MYSQL_FAMILY:
        place = ("unix_socket", path)
    else:
        raise ValueError(f"{url.dialect} is not reached through a socket")
    kept = (
        (key, value) for key, value in url.query if key not in _OF_TCP and not key.startswith(("ssl", "tls_"))
    )
    return replace(url, host="localhost", port=port, query=(*kept, place))


_MYSQL_NEUTRAL = {"ssl_check_hostname": "ssl_verify_identity"}
_MYSQL_TLS = {"ssl_ca": "ssl_ca", "ssl_cert": "ssl_cert", "ssl_key": "ssl_key"}
_MYSQL_WORDS: dict[str | None, dict[str, str]] = {
    # SQLAlchemy makes one `ssl` dictionary of ssl_ca, ssl_cert, ssl_key and ssl_check_hostname.
    "pymysql": {**_MYSQL_TLS, "ssl_verify_identity": "ssl_check_hostname", "ssl_disabled": "ssl_disabled"},
    "mysqldb": {**_MYSQL_TLS, "ssl_mode": "ssl_mode"},
    "asyncmy": _MYSQL_TLS,
    "aiomysql": {},  # takes an SSLContext only, which no URL can hold
    "mysqlconnector": {
        **_MYSQL_TLS,
        "ssl_verify_identity": "ssl_verify_identity",
        "ssl_verify_cert": "ssl_verify_cert",
        "ssl_disabled": "ssl_disabled",
        "collation": "collation",
    },
}


def mysql_words(url: DatabaseUrl) -> dict[str, str]:
    """The URL's parameters in the words that most drivers of MySQL share."""
    return {_MYSQL_NEUTRAL.get(key, key): value for key, value in url.query}


def _mysql_query(url: DatabaseUrl, driver: str | None) -> tuple[tuple[str, str], ...]:
    known = {"unix_socket": "unix_socket"}
    if driver is None or driver in _MYSQL_WORDS:
        # Without a driver SQLAlchemy takes mysqlclient.
        known |= {"charset": "charset", **_MYSQL_WORDS[driver or "mysqldb"]}
    return tuple((known[key], value) for key, value in mysql_words(url).items() if key in known)


def scrub(text: str, url: DatabaseUrl) -> str:
    """The text with the URL's password replaced, in every spelling that it can have.

    One that is the user's or the host's name stays: those are told, and a message without them says nothing.
    """
    secrets = [url.password or "", *(value for key, value in url.query if key == "password")]
    for secret in secrets:
        if secret in (url.user, url.host):
            continue
        for spelling in {secret, quote(secret, safe=""), quote(secret), quote(secret, safe=" +")}:
            if spelling:
                text = text.replace(spelling, "***")
    return text
