"""Connecting to MySQL and MariaDB as ourselves, and saying in a user's words why it did not work.

We use PyMySQL, whichever driver the project has: it is small, pure Python and speaks to both.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pymysql
import pymysql.constants.CLIENT
from pymysql.connections import Connection as PyMySqlConnection
from pymysql.cursors import Cursor

from converger.errors import CouldNotEvaluate
from converger.proof.scratch import Row
from converger.proof.urls import DatabaseUrl, mysql_words, scrub

CONNECT_SECONDS = 10
STARTING_SECONDS = 30
STATEMENT_SECONDS = 300
LOCK_SECONDS = 60
USUAL_SOCKETS = ("/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock")  # noqa: S108

if TYPE_CHECKING:
    Connection = PyMySqlConnection[Cursor]
else:
    Connection = PyMySqlConnection

_TLS = ("ssl_ca", "ssl_cert", "ssl_key")
_TLS_MODES = {"REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY"}
_FLAGS = ("ssl_verify_identity", "ssl_verify_cert", "ssl_disabled")
_NO = {"", "0", "false", "no", "off"}

# Server's and client's error numbers.
HOST_BLOCKED, HOST_NOT_ALLOWED = 1129, 1130
AUTHENTICATION = {1045, 1698, 1251, 1524, HOST_NOT_ALLOWED, 2049, 2054, 2059, 2061, 1862, 3118, 3159, 4151}
UNREACHABLE = {HOST_BLOCKED, 1053, 2001, 2002, 2003, 2004, 2005, 2006, 2012, 2013, 2026, 2055}
PRIVILEGE = {1044, 1142, 1143, 1211, 1227, 1370, 1410, 1419}
READ_ONLY = {1290, 1836, 3100}
LACKING = {1021, 1037, 1038, 1040, 1041, 1114, 1203, 1226}
NO_SUCH_DATABASE = 1049


def connect(
    url: DatabaseUrl,
    database: str | None = None,
    *,
    seconds: int = CONNECT_SECONDS,
    statement_seconds: int = STATEMENT_SECONDS,
    tls: Mapping[str, Any] | None = None,
) -> Connection:
    """A connection in autocommit, with bounds on connecting, on locks and on a dead network.

    `tls` is `tls_of` an earlier one to the same server: to prepare for TLS takes 15 ms. Raises
    pymysql.Error as it comes.
    """
    words = mysql_words(url)
    parameters: dict[str, Any] = dict(_tls(words) if tls is None else tls)
    if words.get("unix_socket"):
        parameters["unix_socket"] = words["unix_socket"]
        if not os.path.exists(words["unix_socket"]):  # PyMySQL forgets to close its own end then
            raise pymysql.err.OperationalError(2002, f"there is no socket {words['unix_socket']}")
    elif url.host is not None:
        parameters["host"] = url.host
    if url.port is not None:
        parameters["port"] = url.port
    try:
        connection: Connection = pymysql.connect(
            user=url.user or "",
            password=url.password or "",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=seconds,
            read_timeout=seconds,
            write_timeout=statement_seconds,
            client_flag=pymysql.constants.CLIENT.FOUND_ROWS,
            program_name="alembic-converger",
            # A long run must keep its lock through hours without a statement.
            init_command=(
                f"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', wait_timeout = 2147483,"
                f" lock_wait_timeout = {LOCK_SECONDS}, innodb_lock_wait_timeout = {LOCK_SECONDS}"
            ),
            **parameters,
        )
    except (OSError, RuntimeError, ValueError, UnicodeError) as error:
        # A bad certificate file, a password that cannot be sent without TLS, a host name that is none.
        raise pymysql.err.OperationalError(2026, str(error)) from None
    # Looked at before every read. It also bounds the wait for a server that never says hello.
    connection._read_timeout = statement_seconds  # type: ignore[attr-defined]
    return connection


def _tls(words: Mapping[str, str]) -> dict[str, Any]:
    """PyMySQL's arguments for what the URL asks for. Without any it tries TLS, and goes on if there is none."""
    parameters: dict[str, Any] = {name: words[name] for name in _TLS if name in words}
    parameters |= {name: words[name].lower() not in _NO for name in _FLAGS if name in words}
    if words.get("ssl_mode", "").upper() == "DISABLED":
        parameters["ssl_disabled"] = True
    return parameters


def tls_of(connection: Connection) -> Mapping[str, Any]:
    """How to connect to the server of this open connection once more, encrypted or not as it is."""
    if isinstance(getattr(connection, "_sock", None), ssl.SSLSocket):
        return {"ssl": connection.ctx}  # type: ignore[attr-defined]
    return {"ssl_disabled": True}


def connect_anywhere(url: DatabaseUrl) -> tuple[Connection, DatabaseUrl]:
    """A connection, and the URL with the place where the server was found.

    A server that is starting is waited for. Without a host it is this machine: TCP, else the usual
    Unix sockets. Raises CouldNotEvaluate: `server-unreachable`, `authentication-failed`, ….
    """
    places = [url]
    if url.host is None and "unix_socket" not in mysql_words(url):
        places = [replace(url, host="127.0.0.1")]
        places += [
            replace(url, query=(*url.query, ("unix_socket", path)))
            for path in USUAL_SOCKETS
            if os.path.exists(path)
        ]
    first: pymysql.Error | None = None
    for place in places:
        deadline = time.monotonic() + STARTING_SECONDS
        while True:
            try:
                connection = connect(place)
                return connection, _located(place, connection)
            except pymysql.Error as error:
                first = first or error
                if number_of(error) in UNREACHABLE and _is_starting(error) and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                break
    assert first is not None
    raise explain(first, url) from None


def rows(connection: Connection, sql: str, values: Sequence[object] | None = None) -> list[Row]:
    """The rows of one statement; `%s` in it stands for a value only when there are `values`."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall()) if cursor.description else []


def sessions(connection: Connection) -> list[tuple[int, str, str | None]]:
    """Number, user and database of every session that this connection's user may see."""
    # Not information_schema.processlist, which MySQL is about to take away.
    return [(row[0], row[1], row[3]) for row in rows(connection, "SHOW PROCESSLIST")]


def address_of(url: DatabaseUrl) -> tuple[str, int] | str:
    """Where the server listens: host and port, or the path of a Unix socket."""
    words = mysql_words(url)
    return words["unix_socket"] if words.get("unix_socket") else (url.host or "127.0.0.1", url.port or 3306)


def why_no_socket(url: DatabaseUrl, connection: Connection) -> str | None:
    """Why the project should not be led to the server through a Unix socket; None where it can be.

    Nothing is encrypted on that way. `connection` is ours to that server, made as `url` says.
    """
    words = mysql_words(url)
    if any(name in words for name in _TLS) or words.get("ssl_mode", "").upper() in _TLS_MODES:
        return "TLS is asked for in --database-url"
    required = rows(connection, "SHOW GLOBAL VARIABLES LIKE 'require_secure_transport'")
    if required and required[0][1] == "ON":
        return "the server takes encrypted connections only"
    sock = getattr(connection, "_sock", None)
    if isinstance(sock, ssl.SSLSocket) and not _is_near(sock):
        return (
            "the connection to the server is encrypted; ssl_disabled=true in the URL says that it need not be"
        )
    return None


def _is_near(sock: socket.socket) -> bool:
    """Whether the server is on this machine or in a private network, as a job's service is."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return True
    return ipaddress.ip_address(sock.getpeername()[0].partition("%")[0]).is_private


def number_of(error: BaseException) -> int:
    """The error number of server or client; 0 when there is none."""
    number = error.args[0] if error.args else 0
    return number if isinstance(number, int) else 0


def is_lost(error: BaseException) -> bool:
    """Whether the connection is of no use any more."""
    return number_of(error) in UNREACHABLE or isinstance(error, pymysql.err.InterfaceError)


def explain(error: pymysql.Error, url: DatabaseUrl) -> CouldNotEvaluate:
    """The error as one for users: code, the server's words without the password, the way out."""
    number = number_of(error)
    text = " ".join(str(error.args[1] if len(error.args) > 1 else error).split())
    text = scrub(text, url)
    where = _where(url)
    if number in AUTHENTICATION:
        return CouldNotEvaluate(
            f"The MySQL server at {where} does not let {url.user or 'this user'} in: {text}",
            code="authentication-failed",
            hint="Check user and password in --database-url (special characters must be percent-encoded).",
        )
    if number in PRIVILEGE:
        return missing_privilege(url.user, text)
    if number in READ_ONLY:
        return CouldNotEvaluate(
            f"The server at {where} is read-only: {text}",
            code="missing-privilege",
            hint="Name a server in --database-url on which databases can be created.",
        )
    if number in UNREACHABLE or isinstance(error, pymysql.err.InterfaceError) or number == 0:
        return CouldNotEvaluate(
            f"The MySQL server at {where} cannot be used: {text}",
            code="server-unreachable",
            hint=_unreachable_hint(url),
        )
    hint = "Use a server on which --database-url's user may create databases, or leave the option out."
    if number in LACKING:
        hint = "Give the server more room (disk, memory or connections), or use another one, and run again."
    return CouldNotEvaluate(f"The server at {where} refused: {text}", code="server-refused", hint=hint)


def missing_privilege(user: str | None, text: str) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"{user or 'the user'} may not create databases on this server: {text}",
        code="missing-privilege",
        hint=r"Run GRANT ALL ON `converger\_%`.* TO the user WITH GRANT OPTION and GRANT CREATE USER ON *.* as"
        " an administrator, give another user in --database-url, or leave --database-url out to use a"
        " server of our own.",
    )


def _located(url: DatabaseUrl, connection: Connection) -> DatabaseUrl:
    """`localhost` as an address: MySQL's own library, which some drivers use, takes it for a Unix socket."""
    if url.host not in (None, "localhost") or "unix_socket" in mysql_words(url):
        return url
    with contextlib.suppress(OSError, AttributeError, IndexError):
        sock: socket.socket = connection._sock  # type: ignore[attr-defined]
        peer = sock.getpeername()
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            return replace(url, host=peer[0], port=peer[1])
    return url


def _is_starting(error: pymysql.Error) -> bool:
    return number_of(error) == 1053 or "Lost connection to MySQL server during query" in str(error)


def _where(url: DatabaseUrl) -> str:
    address = address_of(url)
    return address if isinstance(address, str) else f"{address[0]}{f':{url.port}' if url.port else ''}"


def _unreachable_hint(url: DatabaseUrl) -> str:
    hint = "Check host and port in --database-url, and that the server is running; or leave the option out."
    in_container = os.path.exists("/.dockerenv") or "GITHUB_ACTIONS" in os.environ
    if url.host in {"localhost", "127.0.0.1", "::1"} and in_container:
        hint += (
            f" {url.host} is this container itself: a service of the job is reached by its label,"
            " as in mysql://root:root@mysql:3306."
        )
    return hint
