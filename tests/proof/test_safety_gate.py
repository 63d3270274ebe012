"""Through our socket to the scratch server only scratch databases are reached, whatever else is on the server."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from converger.proof.forwarder import Forwarder
from converger.proof.startup import NONE_OF_OURS, Gate
from converger.proof.urls import parse_url

ALLOWED = "converger_0123456789abcdef"


def startup(*words: str, version: int = 3 << 16) -> bytes:
    body = b"".join(word.encode() + b"\0" for word in words) + b"\0"
    return struct.pack("!II", len(body) + 8, version) + body


TLS = struct.pack("!II", 8, 80877103)
KERBEROS = struct.pack("!II", 8, 80877104)
CANCEL = struct.pack("!IIII", 16, 80877102, 1, 2)
OURS = startup("user", "u", "database", ALLOWED)


def gate() -> Gate:
    return Gate({ALLOWED}.__contains__)


@pytest.mark.parametrize(
    "words",
    [
        OURS,
        startup("user", ALLOWED),
        startup("user", ALLOWED, "database", ""),
        startup("database", "production", "user", "u", "database", ALLOWED),
        startup("user", "u", "database", ALLOWED, "replication", "false", "options", "-c a=b"),
        startup("user", "u", "database", ALLOWED, version=(3 << 16) + 2),
        OURS + b"Q\0\0\0\x04",
        CANCEL,
    ],
)
def test_who_may_go_on(words: bytes) -> None:
    one = gate()
    assert one.hear(words) == b""
    assert (one.passed, one.refused) == (words, False)


@pytest.mark.parametrize(
    "words",
    [
        startup("user", "u", "database", "production"),
        startup("user", "production"),
        startup("user", "u", "database", ALLOWED, "database", "production"),
        startup("user", "u", "database", ALLOWED + " "),
        startup("user", "u", "database", ALLOWED.upper()),
        startup("user", "u", "database", "production", "", "database", ALLOWED),
        startup("user", "u", "database", ALLOWED, "replication", "true"),
        startup("user", "u", "database", ALLOWED, "replication", "database"),
        startup("user", "u", "database", ALLOWED, version=2 << 16),
        startup("user", "u", "Database", ALLOWED),
        startup(),
        struct.pack("!II", 0xFFFFFFFF, 3 << 16),
        struct.pack("!II", 4, 3 << 16),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS at once, as of PostgreSQL 17
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_who_is_refused(words: bytes) -> None:
    one = gate()
    answer = one.hear(words)
    assert (one.passed, one.refused) == (None, True)
    assert answer[:1] == b"E"
    assert struct.unpack("!I", answer[1:5])[0] == len(answer) - 1
    assert NONE_OF_OURS.encode() in answer


def test_encryption_is_declined_as_a_server_declines_it_through_a_socket() -> None:
    one = gate()
    assert one.hear(KERBEROS) == b"N"
    assert one.hear(TLS) == b"N"
    assert one.hear(OURS) == b""
    assert one.passed == OURS


def test_words_that_come_in_pieces() -> None:
    one = gate()
    answers = b""
    for number, byte in enumerate(TLS + OURS, 1):
        assert one.passed is None
        answers += one.hear(bytes([byte]))
        assert answers == (b"N" if number >= 8 else b"")
    assert one.passed == OURS


# -- a real server, on which production is another database


@pytest.fixture
def folder(tmp_path: Path, postgres_url: str) -> Iterator[Path]:
    """Of a socket through which only the database of `postgres_url` is reached."""
    url = parse_url(postgres_url)
    assert url.host and url.port
    with Forwarder((url.host, url.port), str(tmp_path), gate=lambda: Gate({url.database}.__contains__)):
        yield tmp_path


def test_a_real_client_is_let_through_to_ours_only(folder: Path, postgres_url: str) -> None:
    import asyncio

    import asyncpg
    import pg8000.dbapi
    import psycopg2

    url = parse_url(postgres_url)
    how = {"user": url.user, "password": url.password}
    inside = psycopg.connect(host=str(folder), dbname=url.database, **how)
    assert inside.execute("SELECT current_database()").fetchone() == (url.database,)
    inside.cancel_safe()  # by a connection of its own; `cancel` would keep our thread from running
    inside.close()
    for name in ("postgres", "template1", "absent", str(url.user)):
        with pytest.raises(psycopg.OperationalError, match=f'database "{name}" is {NONE_OF_OURS}'):
            psycopg.connect(host=str(folder), dbname=name, **how)
        with pytest.raises(psycopg2.OperationalError, match=NONE_OF_OURS):
            psycopg2.connect(host=str(folder), dbname=name, **how)
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match=NONE_OF_OURS):
            asyncio.run(asyncpg.connect(host=str(folder), database=name, **how))
        with pytest.raises(pg8000.dbapi.DatabaseError, match=NONE_OF_OURS):
            pg8000.dbapi.connect(unix_sock=f"{folder}/.s.PGSQL.5432", database=name, **how)
    with pytest.raises(psycopg.OperationalError, match="for replication reaches the whole server"):
        psycopg.connect(host=str(folder), dbname=url.database, replication="database", **how)


def test_a_client_that_says_nothing_keeps_nobody_waiting(folder: Path, postgres_url: str) -> None:
    url = parse_url(postgres_url)
    with socket.socket(socket.AF_UNIX) as silent, socket.socket(socket.AF_UNIX) as half:
        silent.connect(f"{folder}/.s.PGSQL.5432")
        half.connect(f"{folder}/.s.PGSQL.5432")
        half.send(OURS[:20])
        psycopg.connect(host=str(folder), dbname=url.database, user=url.user, password=url.password).close()
        half.shutdown(socket.SHUT_WR)
        half.settimeout(10)
        assert half.recv(100) == b""


def test_much_is_sent_along_with_the_first_words(folder: Path, postgres_url: str) -> None:
    """More than one turn takes: nothing of it is lost or changed at the moment when a client is let through."""
    url = parse_url(postgres_url)
    listener = socket.create_server(("127.0.0.1", 0))
    heard = bytearray()

    def serve() -> None:
        with listener, listener.accept()[0] as server:
            time.sleep(0.2)
            while data := server.recv(1 << 16):
                heard.extend(data)

    thread = threading.Thread(target=serve)
    thread.start()
    words = startup("user", "u", "database", url.database or "") + bytes(range(256)) * 8000
    port = listener.getsockname()[1]
    with (
        Forwarder(("127.0.0.1", port), str(folder), "other", gate=lambda: Gate({url.database}.__contains__)),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.connect(f"{folder}/other")
        client.sendall(words)
        client.shutdown(socket.SHUT_WR)
        thread.join(20)
    assert bytes(heard) == words
