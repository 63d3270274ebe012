"""URLs are read and written as SQLAlchemy does it, without SQLAlchemy."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.engine import URL, make_url

from converger.proof.pgconnect import libpq_words
from converger.proof.urls import DatabaseUrl, format_url, parse_url, query_for_driver, scrub

text = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True)


@given(
    user=text,
    password=st.none() | text,
    host=st.sampled_from(["localhost", "db.example.org", "10.0.0.1", "::1", "fe80::1"]),
    port=st.none() | st.integers(1, 65535),
    database=names,
    query=st.dictionaries(names, text, max_size=3),
)
def test_sqlalchemy_reads_what_we_write_and_we_read_what_it_writes(
    user: str, password: str | None, host: str, port: int | None, database: str, query: dict[str, str]
) -> None:
    ours = DatabaseUrl("postgresql", "asyncpg", user, password, host, port, database, tuple(query.items()))
    theirs = make_url(format_url(ours))
    assert (theirs.drivername, theirs.username, theirs.password) == ("postgresql+asyncpg", user, password)
    assert (theirs.host, theirs.port, theirs.database) == (host, port, database)
    assert dict(theirs.query) == query
    created = URL.create("postgresql+asyncpg", user, password, host, port, database, query)
    read = parse_url(created.render_as_string(hide_password=False))
    assert (read.user, read.password, read.host, read.port) == (user, password, host, port)
    assert (read.database, dict(read.query)) == (database, query)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://",
        "postgresql:///db",
        "postgresql://host",
        "postgresql://host:5433",
        "postgresql://:pw@host/db",
        "postgresql://user@/db?host=/var/run/postgresql",
        "postgresql://user:p%40ss%2Fw%25@[::1]:5432/db?sslmode=require&a=%20b",
        "postgresql://user:a/b:c@host/db",
        "sqlite://",
        "sqlite:///relative/file.db",
        "sqlite:////absolute/file.db",
        "sqlite:///:memory:",
        "mysql+pymysql://u:p@h/d?charset=utf8mb4",
    ],
)
def test_the_usual_spellings_are_read_as_sqlalchemy_reads_them(url: str) -> None:
    theirs, ours = make_url(url), parse_url(url)
    assert f"{ours.dialect}{f'+{ours.driver}' if ours.driver else ''}" == theirs.drivername
    assert (ours.user or None, ours.password) == (theirs.username or None, theirs.password)
    assert (ours.host, ours.port, ours.database) == (
        theirs.host or None,
        theirs.port,
        theirs.database or None,
    )
    assert dict(ours.query) == dict(theirs.query)


@pytest.mark.parametrize("url", ["", "postgresql", "postgresql:/x", "%(URL)s", "://h/d", "pg://h:12x/d"])
def test_what_is_no_url_is_an_error_that_shows_nothing(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_url(url)
    assert not url or url not in str(caught.value)


def test_heroku_spelling() -> None:
    assert parse_url("postgres://u:p@h/d").dialect == "postgresql"


@pytest.mark.parametrize(
    ("source", "driver", "query"),
    [
        ("postgresql://h/d?sslmode=require&options=-cx%3Dy", None, "sslmode=require&options=-cx%3Dy"),
        ("postgresql://h/d?sslmode=require&options=-cx%3Dy", "psycopg2", "sslmode=require&options=-cx%3Dy"),
        ("postgresql://h/d?sslmode=require&options=-cx%3Dy", "asyncpg", "ssl=require"),
        ("postgresql://h/d?sslmode=require&host=/run", "pg8000", "host=%2Frun"),
        (
            "postgresql+asyncpg://h/d?ssl=require&prepared_statement_cache_size=0",
            "psycopg",
            "sslmode=require",
        ),
        ("postgresql+asyncpg://h/d?ssl=require&timeout=3", "asyncpg", "ssl=require&timeout=3"),
    ],
)
def test_parameters_are_said_in_the_words_of_the_driver(source: str, driver: str | None, query: str) -> None:
    from urllib.parse import urlencode

    assert urlencode(query_for_driver(parse_url(source), driver, libpq_words())) == query


def test_a_password_is_scrubbed_in_every_spelling() -> None:
    url = parse_url("postgresql://u:p%40ss%20w%2Ford@h/d")
    assert url.password == "p@ss w/ord"
    for spelling in ("p@ss w/ord", "p%40ss%20w%2Ford", "p%40ss%20w/ord", "p%40ss w%2Ford"):
        assert scrub(f"could not use <{spelling}>", url) == "could not use <***>"
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    "url", ["postgresql://postgres:postgres@postgres:5432/postgres", "mysql://root:db@db/"]
)
def test_a_password_that_is_the_users_or_the_hosts_name_is_no_secret(url: str) -> None:
    """As in every example of a service. A message without its words says nothing."""
    host = parse_url(url).host
    assert scrub(f"failed to resolve host '{host}'", parse_url(url)) == f"failed to resolve host '{host}'"
