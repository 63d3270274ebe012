"""Connecting to PostgreSQL as ourselves, and saying in a user's words why it did not work."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psycopg

from converger.errors import CouldNotEvaluate
from converger.proof.urls import DatabaseUrl, scrub

CONNECT_SECONDS = 10
STARTING_SECONDS = 30
STATEMENT_SECONDS = 300

Connection = psycopg.Connection[tuple[Any, ...]]


def libpq_words() -> frozenset[str]:
    """The connection parameters that the libpq in use knows."""
    return frozenset(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults())


def connect(url: DatabaseUrl, database: str, *, seconds: int = CONNECT_SECONDS) -> Connection:
    """A connection in autocommit, with bounds on connecting, on statements and on a dead network.

    Raises psycopg.Error as it comes. Settings are made with SET: poolers refuse `options`.
    """
    words = libpq_words()
    parameters: dict[str, Any] = {
        "connect_timeout": seconds,
        "application_name": "alembic-converger",
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 60_000,
    }
    for key, value in url.query:
        name = "sslmode" if key == "ssl" else key
        if name in words and name not in {"dbname", "application_name", "connect_timeout"}:
            parameters[name] = (
                f"{parameters[name]},{value}" if name == "host" and name in parameters else value
            )
    for name, given in (
        ("host", url.host),
        ("port", url.port),
        ("user", url.user),
        ("password", url.password),
    ):
        if given is not None:
            parameters[name] = given
    connection: Connection = psycopg.connect(dbname=database, autocommit=True, **parameters)
    try:
        connection.execute(
            f"SET statement_timeout = '{STATEMENT_SECONDS}s'; SET lock_timeout = '60s';"
            " SET client_encoding = 'UTF8'".encode()
        )
    except BaseException:
        connection.close()
        raise
    return connection


def connect_anywhere(url: DatabaseUrl, databases: Sequence[str]) -> tuple[Connection, str]:
    """A connection to the first of `databases` that lets us in, and its name.

    Raises CouldNotEvaluate: `server-unreachable`, `authentication-failed` or `missing-privilege`.
    """
    deadline = time.monotonic() + STARTING_SECONDS
    first: psycopg.Error | None = None
    for database in databases:
        while True:
            try:
                return connect(url, database), database
            except psycopg.Error as error:
                starting = re.search(r"the database system is (starting up|not yet accepting)", str(error))
                if starting and time.monotonic() < deadline:
                    time.sleep(0.2)
                    continue
                if _is_authentication(error) or "FATAL" not in str(error):
                    raise explain(error, url) from None
                first = first or error
                break
    assert first is not None
    raise explain(first, url) from None


def resolved(url: DatabaseUrl, connection: Connection) -> DatabaseUrl:
    """The URL with what libpq filled in from its own sources (PGUSER, ~/.pgpass, …).

    The project runs with an environment that has none of these, so it must be told.
    """
    info = connection.info
    in_query = {key for key, _ in url.query}
    query = url.query
    if url.host is None and "host" not in in_query and info.host.startswith("/"):
        query = (*query, ("host", info.host))
    return replace(
        url,
        query=query,
        user=url.user if url.user is not None or "user" in in_query else info.user,
        password=url.password
        if url.password is not None or "password" in in_query
        else info.password or None,
        host=url.host
        if url.host is not None or "host" in in_query or info.host.startswith("/")
        else info.host,
        port=url.port if url.port is not None or {"port", "host"} & in_query else info.port,
    )


def explain(error: psycopg.Error, url: DatabaseUrl) -> CouldNotEvaluate:
    """The error as one for users: code, the server's words without the password, the way out."""
    text = scrub(" ".join(str(error).split()), url)
    where = f"{url.host or 'the local socket'}{f':{url.port}' if url.port else ''}"
    if _is_authentication(error):
        return CouldNotEvaluate(
            f"The PostgreSQL server at {where} does not let {url.user or 'this user'} in: {text}",
            code="authentication-failed",
            hint="Check user and password in --database-url (special characters must be percent-encoded).",
        )
    if error.sqlstate == "42501":
        return missing_privilege(url.user, text)
    if error.sqlstate is None or error.sqlstate.startswith(("08", "57P")):
        return CouldNotEvaluate(
            f"The PostgreSQL server at {where} cannot be used: {text}",
            code="server-unreachable",
            hint=_unreachable_hint(url),
        )
    hint = "Use a server on which --database-url's user may create databases, or leave the option out."
    if error.sqlstate.startswith("53"):
        hint = "Give the server more room (disk, memory or connections), or use another one, and run again."
    return CouldNotEvaluate(
        f"The PostgreSQL server at {where} refused: {text}",
        code="server-refused",
        hint=hint,
    )


def missing_privilege(user: str | None, text: str) -> CouldNotEvaluate:
    who = user or "the user"
    return CouldNotEvaluate(
        f"{who} may not create databases on this server: {text}",
        code="missing-privilege",
        hint=f'Run ALTER ROLE "{who}" CREATEDB as a superuser, give another user in --database-url, '
        "or leave --database-url out to use a server of our own.",
    )


def _is_authentication(error: psycopg.Error) -> bool:
    if error.sqlstate is not None:
        return error.sqlstate.startswith("28")
    return bool(
        re.search(
            r"authentication failed|no password supplied|pg_hba\.conf|role \".*\" does not exist"
            r"|is not permitted to log in|SCRAM|requires a valid client certificate",
            str(error),
        )
    )


def _unreachable_hint(url: DatabaseUrl) -> str:
    hint = "Check host and port in --database-url, and that the server is running; or leave the option out."
    in_container = os.path.exists("/.dockerenv") or "GITHUB_ACTIONS" in os.environ
    if url.host in {"localhost", "127.0.0.1", "::1"} and in_container:
        hint += (
            f" {url.host} is this container itself: a service of the job is reached by its label,"
            " as in postgresql://postgres:postgres@postgres:5432/postgres."
        )
    return hint
