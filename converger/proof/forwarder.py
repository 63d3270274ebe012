"""A Unix socket behind which a database server is: the only way out for a worker without a network.

One thread of ours takes connections on a socket file and pumps bytes between each and a connection of its
own to the server. Of what goes through it, it looks at the first words at most (`startup.py`).
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from converger.proof.urls import DatabaseUrl

if TYPE_CHECKING:
    from converger.proof.pgconnect import Connection
    from converger.proof.startup import Gate

Address = tuple[str, int] | str
"""Host and port of a server, or the path of its Unix socket; a leading `@` means an abstract one."""

_Target = tuple[socket.AddressFamily, Any]

POSTGRESQL_FILE = ".s.PGSQL.5432"
"""The name under which every PostgreSQL client looks for a server's socket in a folder."""

LONGEST_PATH = 107
"""Bytes of a Unix socket's path (unix(7): 108 with the zero at the end)."""

CHUNK = 128 * 1024
"""Bytes that one connection may move before the others have their turn, and that are kept for it at most."""
BACKLOG = 1024
CONNECT_SECONDS = 10.0
KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
PAUSE_SECONDS = 0.1
"""How long no new connection is taken when there is no file descriptor left."""
STOP_SECONDS = 5.0
EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
TLS_MODES = {"require", "verify-ca", "verify-full"}
LOOPBACK = {"127.0.0.1", "::1"}


class Forwarder:
    """Listens on `path` from its construction to `close`. Any number of connections at a time.

    A server that does not answer, or goes away, shows as a connection that is closed at once. A client that
    ends its side is passed on as just that, so the server can still say its last words.
    """

    def __init__(
        self,
        address: Address,
        folder: str,
        file: str = POSTGRESQL_FILE,
        *,
        gate: Callable[[], Gate] | None = None,
    ) -> None:
        """`folder` exists and is only for us; `file` is the socket's name in it. `gate` gives, for each client,
        who decides by its first words whether it may go on.

        Raises OSError: the host's name is not known, or the path is too long for a socket (ENAMETOOLONG).
        """
        self.folder = folder
        self.file = file
        self.path = os.path.join(folder, file)
        if len(os.fsencode(self.path)) > LONGEST_PATH:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), self.path)
        self.targets = _targets(address)
        self.gate = gate
        self.pairs: set[_Pair] = set()
        self.buffer = memoryview(bytearray(CHUNK))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listener.bind(self.path)
            os.chmod(self.path, 0o600)
            self._listener.listen(BACKLOG)
            self._listener.setblocking(False)
            self._stop, self._told = socket.socketpair()
            self.selector = selectors.DefaultSelector()
        except BaseException:
            self._listener.close()
            raise
        self.selector.register(self._told, selectors.EVENT_READ, None)
        self.selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._paused = 0.0
        self._thread = threading.Thread(target=self._run, name="forwarder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections and remove the socket. May be called again."""
        self._stop.close()
        self._thread.join(STOP_SECONDS)

    def __enter__(self) -> Forwarder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- the thread

    def _run(self) -> None:
        try:
            while True:
                for key, events in self.selector.select(PAUSE_SECONDS if self._paused else None):
                    if key.data is None:
                        return
                    key.data(events)
                if self._paused and time.monotonic() > self._paused + PAUSE_SECONDS:
                    self.selector.register(self._listener, selectors.EVENT_READ, self._accept)
                    self._paused = 0.0
        finally:
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            self._listener.close()
            for pair in list(self.pairs):
                pair.close()
            self.selector.close()
            self._told.close()

    def _accept(self, events: int) -> None:
        try:
            client, _ = self._listener.accept()
        except OSError as error:
            if error.errno in EXHAUSTED:  # it would be ready again at once
                self.selector.unregister(self._listener)
                self._paused = time.monotonic()
            return
        client.setblocking(False)
        pair = _Pair(client, self)
        if not pair.closed:
            self.pairs.add(pair)


class _Flow:
    """One direction: what was read from `source` and `target` did not take yet."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self.pending: memoryview | None = None
        self.ended = False


class _Pair:
    """A client and its connection to the server."""

    def __init__(self, client: socket.socket, owner: Forwarder) -> None:
        self._client = client
        self._owner = owner
        self._targets = iter(owner.targets)
        self._server: socket.socket | None = None
        self._registered: dict[socket.socket, int] = {}
        self._gate = owner.gate() if owner.gate is not None else None
        self.closed = False
        self._connect()

    def close(self) -> None:
        self.closed = True
        for end in (self._client, self._server):
            if end is not None:
                self._want(end, 0)
                end.close()
        self._owner.pairs.discard(self)

    # -- connecting

    def _connect(self) -> None:
        """Begin with the next of the server's addresses; when none is left, the client is told by the end."""
        for family, address in self._targets:
            with contextlib.suppress(OSError):
                self._server = server = socket.socket(family, socket.SOCK_STREAM)
                if family == socket.AF_UNIX:  # such a connection cannot be waited for, and is made at once
                    server.settimeout(CONNECT_SECONDS)
                    server.connect(address)
                    server.setblocking(False)
                    self._begin(server)
                    return
                server.setblocking(False)
                if server.connect_ex(address) in (0, errno.EINPROGRESS):
                    self._want(server, selectors.EVENT_WRITE, self._connected)
                    return
            if self._server is not None:
                self._server.close()
        self.close()

    def _connected(self, events: int) -> None:
        server = self._server
        if server is None or self.closed:
            return
        self._want(server, 0)
        if server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            server.close()
            self._connect()
            return
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in KEEPALIVE:
            if hasattr(socket, name):
                server.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._begin(server)

    def _begin(self, server: socket.socket) -> None:
        self._up = _Flow(self._client, server)
        self._down = _Flow(server, self._client)
        self._wait()

    # -- pumping

    def _on_client(self, events: int) -> None:
        self._go_on(events, self._up, self._down)

    def _on_server(self, events: int) -> None:
        self._go_on(events, self._down, self._up)

    def _go_on(self, events: int, away: _Flow, towards: _Flow) -> None:
        """Something is possible with one end: `away` comes from it, `towards` goes to it."""
        if self.closed:  # by what happened with the other end in the same moment
            return
        try:
            if events & selectors.EVENT_WRITE and towards.pending is not None:
                self._deliver(towards, towards.pending)
            if (
                events & selectors.EVENT_READ
                and away.pending is None
                and not away.ended
                and self._read(away)
                and not events & selectors.EVENT_WRITE
            ):
                return  # the usual case: nothing else is to be waited for than before
        except OSError:  # one end is gone
            self.close()
            return
        if self._up.ended and self._down.ended and self._up.pending is None and self._down.pending is None:
            self.close()
        else:
            self._wait()

    def _read(self, flow: _Flow) -> bool:
        """Read once and pass it on; whether all was taken.

        Only once, and not until nothing is left: a big copy must not keep the others waiting.
        """
        buffer = self._owner.buffer
        try:
            size = flow.source.recv_into(buffer)
        except BlockingIOError:
            return True
        if size:
            if self._gate is None or flow is not self._up:
                self._deliver(flow, buffer[:size])
            else:
                self._ask(self._gate, flow, bytes(buffer[:size]))
            return flow.pending is None and not flow.ended
        flow.ended = True
        self._end(flow)
        return False

    def _ask(self, gate: Gate, flow: _Flow, data: bytes) -> None:
        """Before a client is let through, nothing that it says reaches the server.

        One that is refused may say goodbye before it ends: some drivers do, and would tell of that failure.
        """
        if gate.refused:
            return
        answer = gate.hear(data)
        if answer:
            flow.source.send(answer)
        if gate.refused:
            flow.source.shutdown(socket.SHUT_WR)
        elif gate.passed is not None:
            self._gate = None
            self._deliver(flow, memoryview(gate.passed))

    def _deliver(self, flow: _Flow, data: memoryview) -> None:
        try:
            sent = flow.target.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            if flow is self._down:
                raise
            # The server takes no more, and may have said why: that is still to be read.
            flow.ended = True
            flow.pending = None
            return
        if sent == len(data):
            flow.pending = None
            self._end(flow)
        elif flow.pending is None:
            flow.pending = memoryview(bytes(data[sent:]))  # the buffer serves all connections
        else:
            flow.pending = data[sent:]

    def _end(self, flow: _Flow) -> None:
        if flow.ended and flow.pending is None:
            with contextlib.suppress(OSError):  # the other side may have gone altogether
                flow.target.shutdown(socket.SHUT_WR)

    def _wait(self) -> None:
        """Wait for what can go on. Nothing is read while what was read before is not delivered."""
        up, down = self._up, self._down
        self._want(self._client, _events(up, down), self._on_client)
        self._want(up.target, _events(down, up), self._on_server)

    def _want(self, end: socket.socket, events: int, handle: Callable[[int], None] | None = None) -> None:
        before = self._registered.get(end, 0)
        if events == before:
            return
        selector = self._owner.selector
        self._registered[end] = events
        if not events:
            selector.unregister(end)
        elif before:
            selector.modify(end, events, handle)
        else:
            selector.register(end, events, handle)


def _events(away: _Flow, towards: _Flow) -> int:
    reading = selectors.EVENT_READ if away.pending is None and not away.ended else 0
    return reading | (selectors.EVENT_WRITE if towards.pending is not None else 0)


def _targets(address: Address) -> list[_Target]:
    """Where to connect to, in the order in which it is tried. Raises OSError for a name that is not known."""
    if isinstance(address, str):
        path = "\0" + address[1:] if address.startswith("@") else address
        return [(socket.AF_UNIX, path)]
    host, port = address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


def why_not(url: DatabaseUrl, connection: Connection) -> str | None:
    """Why a worker should not be led to this PostgreSQL server through a socket; None when it can be.

    libpq speaks no TLS through a Unix socket, so what goes to the server would not be encrypted. `connection`
    is ours to that server, made as `url` says. Where it is encrypted though nobody asked for that, an
    unencrypted one is tried, but only on this machine: elsewhere somebody may listen.
    """
    import psycopg

    from converger.proof import pgconnect

    asked = next(
        (option.val or b"" for option in connection.pgconn.info if option.keyword == b"sslmode"), b""
    )
    if asked.decode() in TLS_MODES:
        return f"TLS is asked for (sslmode={asked.decode()})"
    if connection.pgconn.used_gssapi:
        return "the server lets us in by Kerberos, which needs its real address"
    if not connection.pgconn.ssl_in_use:
        return None
    if connection.info.hostaddr not in LOOPBACK:
        return (
            "the connection to the server is encrypted; sslmode=disable in the URL says that it need not be"
        )
    plain = (
        *((key, value) for key, value in url.query if key not in {"ssl", "sslmode"}),
        ("sslmode", "disable"),
    )
    try:
        pgconnect.connect(replace(url, query=plain), connection.info.dbname).close()
    except psycopg.Error:
        return "the server takes encrypted connections only"
    return None
