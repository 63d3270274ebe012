"""Bytes come through the forwarder as they were, and a server's end shows as an end."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import random
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from converger import folders
from converger.proof import pgconnect
from converger.proof.embedded import EmbeddedPostgres, start_postgres
from converger.proof.forwarder import CHUNK, LONGEST_PATH, POSTGRESQL_FILE, Forwarder, why_not
from converger.proof.postgres import PostgresServer
from converger.proof.urls import DatabaseUrl, format_url, parse_url, through_socket


@pytest.fixture
def folder() -> Iterator[str]:
    """Short, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="fw-", dir="/tmp") as path:
        yield path


class Peer:
    """A server that does with each connection what the test says, and one forwarder to it."""

    def __init__(self, folder: str, serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.serve = serve
        threading.Thread(target=self._accept, daemon=True).start()
        self.forwarder = Forwarder(("127.0.0.1", self.port), folder)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.serve(connection)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(10)
        client.connect(self.forwarder.path)
        return client

    def close(self) -> None:
        self.forwarder.close()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


@pytest.fixture
def peer(folder: str) -> Iterator[Callable[[Callable[[socket.socket], None]], Peer]]:
    made: list[Peer] = []

    def make(serve: Callable[[socket.socket], None]) -> Peer:
        made.append(Peer(folder, serve))
        return made[-1]

    yield make
    for one in made:
        one.close()


MakePeer = Callable[[Callable[[socket.socket], None]], Peer]


def echo(connection: socket.socket) -> None:
    while data := connection.recv(65536):
        connection.sendall(data)


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(1 << 20):
        parts.append(part)
    return b"".join(parts)


def test_bytes_come_back_as_they_were_whatever_their_sizes(peer: MakePeer) -> None:
    made = peer(echo)
    source = random.Random(3)
    data = source.randbytes(20 * CHUNK + 17)
    with made.connect() as client:
        place = 0

        def send() -> None:
            nonlocal place
            while place < len(data):
                size = source.choice([1, 7, 100, 5000, CHUNK, 3 * CHUNK])
                client.sendall(data[place : place + size])
                place += size
            client.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        assert read_all(client) == data
        thread.join()


def test_a_half_closed_connection_still_gets_its_answer(peer: MakePeer) -> None:
    def answer(connection: socket.socket) -> None:
        asked = read_all(connection)
        time.sleep(0.05)
        connection.sendall(b"you sent %d" % len(asked))

    with peer(answer).connect() as client:
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"you sent 100000"


def test_the_last_words_of_a_server_arrive(peer: MakePeer) -> None:
    def refuse(connection: socket.socket) -> None:
        connection.recv(10)
        connection.sendall(b"FATAL: go away")

    with peer(refuse).connect() as client:
        client.sendall(b"hello")
        assert read_all(client) == b"FATAL: go away"


def test_last_words_arrive_though_the_client_was_still_sending(peer: MakePeer) -> None:
    said = threading.Event()

    def refuse(connection: socket.socket) -> None:
        connection.sendall(b"FATAL: enough")
        connection.shutdown(socket.SHUT_WR)
        said.set()

    with peer(refuse).connect() as client:
        said.wait(5)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(100):
                client.sendall(b"x" * 10_000)
        assert client.recv(100) == b"FATAL: enough"


def test_nothing_is_kept_for_a_client_that_does_not_read(peer: MakePeer) -> None:
    """Back pressure: the server cannot send more than the buffers of the sockets and one chunk take."""
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.settimeout(1)
        block = b"x" * 65536
        while sent < 400 << 20:
            sent += connection.send(block)

    with peer(flood).connect() as client:
        client.recv(1)
        deadline = time.monotonic() + 10
        before = -1
        while sent != before and time.monotonic() < deadline:
            before = sent
            time.sleep(0.2)
        assert 0 < sent < 40 << 20


def test_a_big_copy_does_not_keep_a_small_question_waiting(peer: MakePeer) -> None:
    def serve(connection: socket.socket) -> None:
        kind = connection.recv(1)
        if kind == b"q":
            echo(connection)
        while connection.send(b"x" * 65536):
            pass

    made = peer(serve)
    stop = threading.Event()

    def drain(client: socket.socket) -> None:
        client.sendall(b"c")
        while not stop.is_set() and client.recv(1 << 20):
            pass

    with made.connect() as first, made.connect() as second, made.connect() as asking:
        threads = [threading.Thread(target=drain, args=(client,)) for client in (first, second)]
        for thread in threads:
            thread.start()
        asking.sendall(b"q")
        slowest = 0.0
        for _ in range(50):
            began = time.monotonic()
            asking.sendall(b"?")
            assert asking.recv(1) == b"?"
            slowest = max(slowest, time.monotonic() - began)
        stop.set()
        for thread in threads:
            thread.join()
    assert slowest < 2


def test_many_connections_at_once_do_not_mix(peer: MakePeer) -> None:
    made = peer(echo)
    clients = [made.connect() for _ in range(150)]
    for number, client in enumerate(clients):
        client.sendall(b"%04d" % number * 1000)
    for number, client in enumerate(clients):
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b"%04d" % number * 1000
        client.close()
    wait_until(lambda: not made.forwarder.pairs)


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_closed_connections_leave_no_descriptors(peer: MakePeer) -> None:
    gc.collect()
    made = peer(echo)
    before = open_files()
    for round in range(30):
        with made.connect() as client:
            if round % 3:
                client.sendall(b"x" * 300_000)  # closed with bytes on their way in both directions
            if round % 2:
                client.shutdown(socket.SHUT_WR)
    wait_until(lambda: not made.forwarder.pairs)
    wait_until(lambda: open_files() <= before)


def test_a_server_that_is_not_there_shows_at_once(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Forwarder(("127.0.0.1", port), folder) as forwarder:
        began = time.monotonic()
        with pytest.raises(psycopg.OperationalError, match=r"closed|reset"):
            psycopg.connect(host=folder, port=5432, user="x", dbname="x")
        assert time.monotonic() - began < 2
        wait_until(lambda: not forwarder.pairs)


def test_the_next_address_of_a_name_is_tried(folder: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, Forwarder(("localhost", 1), folder) as forwarder:
        refused = socket.socket()
        refused.bind(("127.0.0.1", 0))  # bound and not listening
        forwarder.targets[:] = [
            (socket.AF_INET6, ("::1", refused.getsockname()[1], 0, 0)),
            (socket.AF_INET, refused.getsockname()),
            (socket.AF_INET, listener.getsockname()),
        ]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(forwarder.path)
            listener.settimeout(5)
            server, _ = listener.accept()
            server.sendall(b"here")
            assert client.recv(4) == b"here"
            server.close()
        refused.close()


def test_a_server_behind_a_unix_socket(folder: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/server")
        listener.listen()
        with Forwarder(f"{folder}/server", folder) as forwarder, socket.socket(socket.AF_UNIX) as client:
            client.connect(forwarder.path)
            server, _ = listener.accept()
            with server:
                client.sendall(b"hello")
                assert server.recv(10) == b"hello"


def test_a_server_that_goes_away_shows_at_once(peer: MakePeer) -> None:
    accepted: list[socket.socket] = []
    gone = threading.Event()

    def serve(connection: socket.socket) -> None:
        accepted.append(connection)
        gone.wait(10)
        connection.setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )  # RST, as from a crash

    with peer(serve).connect() as client:
        wait_until(lambda: bool(accepted))
        gone.set()
        began = time.monotonic()
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert time.monotonic() - began < 2


def test_close_ends_every_connection_and_leaves_nothing(folder: str) -> None:
    gc.collect()
    before = open_files()
    threads = threading.active_count()
    listener = socket.create_server(("127.0.0.1", 0))
    forwarder = Forwarder(listener.getsockname(), folder)
    status = os.stat(forwarder.path)
    assert stat.S_ISSOCK(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(5)
    client.connect(forwarder.path)
    server, _ = listener.accept()
    server.settimeout(5)
    forwarder.close()
    forwarder.close()
    assert client.recv(1) == b""
    assert server.recv(1) == b""
    assert os.listdir(folder) == []
    for end in (client, server, listener):
        end.close()
    assert threading.active_count() == threads
    assert open_files() == before


def test_no_descriptor_left_is_no_end(peer: MakePeer) -> None:
    """A connection that cannot be accepted waits, and is served when others have ended."""
    made = peer(echo)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    fill: list[int] = []
    with made.connect() as first, socket.socket(socket.AF_UNIX) as waiting:
        waiting.settimeout(10)
        first.sendall(b"1")
        assert first.recv(1) == b"1"
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    fill.append(os.dup(0))
            waiting.connect(made.forwarder.path)
            waiting.sendall(b"2")
            time.sleep(0.3)
            began = time.process_time()
            first.sendall(b"3")
            assert first.recv(1) == b"3"
            time.sleep(0.4)
            assert time.process_time() - began < 0.2  # nor does it spin
        finally:
            for number in fill:
                os.close(number)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert waiting.recv(1) == b"2"


def test_a_path_that_is_too_long_for_a_socket_is_an_error(folder: str) -> None:
    long = os.path.join(folder, "x" * (LONGEST_PATH - len(folder) - len(POSTGRESQL_FILE) - 2))
    os.mkdir(long)
    Forwarder(("127.0.0.1", 1), long).close()
    os.rename(long, long + "x")
    with pytest.raises(OSError) as caught:
        Forwarder(("127.0.0.1", 1), long + "x")
    assert caught.value.errno == errno.ENAMETOOLONG


def test_a_name_that_is_not_known_is_an_error(folder: str) -> None:
    with pytest.raises(OSError):
        Forwarder(("converger-test.invalid", 5432), folder)
    assert os.listdir(folder) == []


def test_a_killed_process_leaves_only_what_is_swept() -> None:
    code = """
import sys, time
from converger.folders import run_folder
from converger.proof.forwarder import Forwarder
with run_folder() as folder:
    forwarder = Forwarder(("127.0.0.1", 1), str(folder))
    print(forwarder.path, flush=True)
    time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = process.stdout.readline().strip()
    assert os.path.exists(path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(OSError):
        client.connect(path)
    folders.sweep(folders.RUN_FOLDER)
    assert not os.path.exists(os.path.dirname(path))


# -- PostgreSQL


@pytest.fixture
def opened(postgres_url: str, folder: str) -> Iterator[tuple[DatabaseUrl, Forwarder]]:
    url = parse_url(postgres_url)
    assert url.host is not None and url.port is not None
    with Forwarder((url.host, url.port), folder) as forwarder:
        yield url, forwarder


DRIVERS = {
    "psycopg2": "psycopg2",
    "psycopg": "psycopg",
    "psycopg_async": "psycopg",
    "asyncpg": "asyncpg",
    "pg8000": "pg8000",
}


@pytest.mark.parametrize("driver", [None, *DRIVERS])
def test_every_driver_reaches_the_same_database(
    opened: tuple[DatabaseUrl, Forwarder], driver: str | None
) -> None:
    if driver is not None:
        pytest.importorskip(DRIVERS[driver])
    else:
        pytest.importorskip("psycopg2")
    sqlalchemy = pytest.importorskip("sqlalchemy")
    url, forwarder = opened
    query = (("host", "10.0.0.1"), ("sslmode", "require"), ("ssl", "true"))
    inside = through_socket(replace(url, driver=driver, query=query), forwarder.folder, forwarder.file)
    text = format_url(inside)
    sql = "SELECT current_database(), inet_client_addr() IS NOT NULL"
    if driver in {"asyncpg", "psycopg_async"}:
        import asyncio

        from sqlalchemy.ext.asyncio import create_async_engine

        async def ask() -> tuple[object, ...]:
            engine = create_async_engine(text)
            async with engine.connect() as connection:
                row = (await connection.execute(sqlalchemy.text(sql))).one()
            await engine.dispose()
            return tuple(row)

        answer = asyncio.run(ask())
    else:
        engine = sqlalchemy.create_engine(text)
        with engine.connect() as connection:
            answer = tuple(connection.execute(sqlalchemy.text(sql)).one())
        engine.dispose()
    # The server sees TCP, because it is our end that has connected.
    assert answer == (url.database, True)


def test_libpq_reads_the_url_as_sqlalchemy_does(opened: tuple[DatabaseUrl, Forwarder]) -> None:
    url, forwarder = opened
    text = format_url(through_socket(url, forwarder.folder, forwarder.file))
    with psycopg.connect(text) as connection:
        assert connection.info.host == forwarder.folder
        assert connection.info.dbname == url.database


def test_a_server_process_that_is_ended_says_so(opened: tuple[DatabaseUrl, Forwarder]) -> None:
    url, forwarder = opened
    inside = format_url(through_socket(url, forwarder.folder, forwarder.file))
    with psycopg.connect(inside, autocommit=True) as victim, psycopg.connect(format_url(url)) as killer:
        pid = victim.execute("SELECT pg_backend_pid()").fetchone()
        killer.execute("SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(psycopg.errors.AdminShutdown):
            for _ in range(100):
                victim.execute("SELECT 1")
                time.sleep(0.01)


def test_a_client_that_is_killed_ends_its_server_process(opened: tuple[DatabaseUrl, Forwarder]) -> None:
    url, forwarder = opened
    inside = format_url(through_socket(url, forwarder.folder, forwarder.file))
    code = f"""
import psycopg, time
connection = psycopg.connect({inside!r})
print(connection.execute("SELECT pg_backend_pid()").fetchone()[0], flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    with psycopg.connect(format_url(url), autocommit=True) as watching:

        def alive() -> bool:
            found = watching.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", (pid,)
            ).fetchone()
            return found == (1,)

        assert alive()
        process.kill()
        process.wait()
        process.stdout.close()
        wait_until(lambda: not alive())


def test_copy_and_cancel_come_through(opened: tuple[DatabaseUrl, Forwarder]) -> None:
    url, forwarder = opened
    inside = format_url(through_socket(url, forwarder.folder, forwarder.file))
    with psycopg.connect(inside, autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE big (line text)")
        with connection.cursor().copy("COPY big FROM STDIN") as copy:
            for _ in range(100):
                copy.write(b"x" * 99 + b"\n" + b"y" * 9999 + b"\n")
        found = connection.execute("SELECT count(*), sum(length(line)) FROM big").fetchone()
        assert found == (200, 100 * (99 + 9999))
        # Not `cancel`, which holds the lock of the interpreter that the forwarder needs: it is in this process.
        timer = threading.Timer(0.2, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        timer.join()


# -- the URL


def test_what_belongs_to_another_way_is_left_out() -> None:
    url = parse_url(
        "postgresql+psycopg2://me:pa%2Fss@db.example:6543/app?sslmode=verify-full&sslrootcert=/ca&application_name=x"
        "&host=other&port=1&hostaddr=10.0.0.1&channel_binding=require&gssencmode=require"
    )
    inside = through_socket(url, "/tmp/f", ".s.PGSQL.7777")
    expected = "postgresql+psycopg2://me:pa%2Fss@localhost:7777/app?application_name=x&host=%2Ftmp%2Ff"
    assert format_url(inside) == expected
    pg8000 = through_socket(replace(url, driver="pg8000", query=()), "/tmp/f", ".s.PGSQL.5432")
    assert pg8000.query == (("unix_sock", "/tmp/f/.s.PGSQL.5432"),)


@pytest.mark.parametrize("driver", [None, "pymysql", "mysqldb", "mysqlconnector", "aiomysql", "asyncmy"])
def test_the_drivers_of_mysql(driver: str | None) -> None:
    url = parse_url(
        "mysql://me:pw@db.example:3307/app?charset=utf8mb4&ssl_ca=/ca&ssl=true&unix_socket=/other"
    )
    inside = through_socket(replace(url, driver=driver), "/tmp/f", "mysql")
    name = f"mysql+{driver}" if driver else "mysql"
    assert (
        format_url(inside) == f"{name}://me:pw@localhost/app?charset=utf8mb4&unix_socket=%2Ftmp%2Ff%2Fmysql"
    )


def test_what_no_socket_leads_to() -> None:
    with pytest.raises(ValueError, match="sqlite"):
        through_socket(parse_url("sqlite:///x.db"), "/tmp/f", POSTGRESQL_FILE)
    with pytest.raises(ValueError, match="pg"):
        through_socket(parse_url("postgresql://h/d"), "/tmp/f", "pg")


@pytest.mark.parametrize(
    ("driver", "module", "expected"),
    [
        ("postgresql+psycopg2", "psycopg2", {"host": "/f", "port": 5432}),
        ("postgresql+psycopg", "psycopg", {"host": "/f", "port": 5432}),
        ("postgresql+psycopg_async", "psycopg", {"host": "/f", "port": 5432}),
        ("postgresql+asyncpg", "asyncpg", {"host": "/f", "port": 5432}),
        ("postgresql+pg8000", "pg8000", {"unix_sock": "/f/.s.PGSQL.5432"}),
        ("mysql+pymysql", "pymysql", {"host": "localhost", "unix_socket": "/f/.s.PGSQL.5432"}),
        pytest.param(
            *("mysql+mysqldb", "MySQLdb", {"host": "localhost", "unix_socket": "/f/.s.PGSQL.5432"}),
            marks=pytest.mark.network,  # it has no wheels: who runs these tests has installed it
        ),
        ("mysql+mysqlconnector", "mysql.connector", {"host": "localhost", "unix_socket": "/f/.s.PGSQL.5432"}),
        ("mysql+aiomysql", "aiomysql", {"host": "localhost", "unix_socket": "/f/.s.PGSQL.5432"}),
        ("mysql+asyncmy", "asyncmy", {"host": "localhost", "unix_socket": "/f/.s.PGSQL.5432"}),
    ],
)
def test_sqlalchemy_makes_the_right_arguments_of_it(
    driver: str, module: str, expected: dict[str, object]
) -> None:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    importlib.import_module(module)
    url = through_socket(
        parse_url(f"{driver}://u:p@db.example:1234/d?sslmode=require"), "/f", POSTGRESQL_FILE
    )
    made = sqlalchemy.make_url(format_url(url))
    _, arguments = made.get_dialect()().create_connect_args(made)
    for key, value in expected.items():
        assert str(arguments[key]) == str(value)
    assert not [key for key in arguments if "ssl" in key]


# -- whether it can be


def test_the_server_says_where_it_is(postgres_url: str) -> None:
    url = parse_url(postgres_url)
    with PostgresServer(replace(url, host="localhost"), progress=lambda text: None) as server:
        assert server.address == ("127.0.0.1", url.port)


class Tls:
    """A server of ours that speaks TLS, with a certificate that nobody signed."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        assert server.folder is not None
        self.server = server
        self.data = Path(server.folder, "data")
        key, certificate = self.data / "server.key", self.data / "server.crt"
        command = ["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost"]
        subprocess.run(
            [*command, "-out", str(certificate), "-keyout", str(key)],
            check=True,
            capture_output=True,
            timeout=60,
        )
        for path in (key, certificate):
            path.chmod(0o600)
            os.chown(path, self.data.stat().st_uid, self.data.stat().st_gid)
        with self.connect() as connection:
            connection.execute("ALTER SYSTEM SET ssl = on")
        self.allow("host")

    def allow(self, kind: str) -> None:
        """Let in what pg_hba.conf calls `host` or `hostssl`."""
        with self.connect() as connection:
            (self.data / "pg_hba.conf").write_text(f"{kind} all all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        want = kind == "host"

        def settled() -> bool:
            with contextlib.suppress(psycopg.Error), self.connect("require"):
                try:
                    self.connect("disable").close()
                    return want
                except psycopg.Error:
                    return not want
            return False

        wait_until(settled)

    def connect(self, mode: str = "prefer") -> pgconnect.Connection:
        return pgconnect.connect(self.url(mode), "postgres")

    def url(self, mode: str) -> DatabaseUrl:
        return replace(self.server.url, query=(("sslmode", mode),))

    def socket(self) -> DatabaseUrl:
        return replace(self.server.url, host=None, query=(("host", f"{self.server.folder}/socket"),))


@pytest.fixture(scope="module")
def tls() -> Iterator[Tls]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so there is no certificate")
    server = start_postgres(lambda text: None)
    try:
        with pgconnect.connect(server.url, "postgres") as connection:
            try:
                connection.execute("ALTER SYSTEM SET ssl = off")
            except psycopg.Error:
                pytest.skip("this PostgreSQL was built without TLS")
        yield Tls(server)
    finally:
        server.stop()


def reason(url: DatabaseUrl) -> str | None:
    with pgconnect.connect(url, "postgres") as connection:
        return why_not(url, connection)


def test_tls_that_is_asked_for_is_kept(tls: Tls) -> None:
    tls.allow("host")
    assert reason(tls.url("disable")) is None
    assert reason(tls.url("require")) == "TLS is asked for (sslmode=require)"
    # Nobody asked for it, and nobody can listen on this machine.
    with tls.connect("prefer") as connection:
        assert connection.pgconn.ssl_in_use
        assert why_not(tls.url("prefer"), connection) is None


def test_tls_that_the_server_insists_on_is_found_out(tls: Tls) -> None:
    tls.allow("hostssl")
    assert reason(tls.url("prefer")) == "the server takes encrypted connections only"
    tls.allow("host")


def test_tls_to_another_machine_is_kept(tls: Tls) -> None:
    own = tls.url("prefer")
    with tls.connect("prefer") as connection:

        class Elsewhere:
            """The real connection, to an address that is not this machine's."""

            pgconn = connection.pgconn

            class info:
                hostaddr = "10.0.0.1"

        answer = why_not(own, Elsewhere())  # type: ignore[arg-type]
    assert answer is not None and "sslmode=disable" in answer
