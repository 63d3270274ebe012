"""The first words of a PostgreSQL client, and whether the database that it asks for is one of ours.

The scratch server may hold other databases, and the user whom we were given may be allowed to use them. A
session cannot change its database, so the first message decides for all that follows. Facts: PostgreSQL's
documentation, "Message Formats" (StartupMessage, SSLRequest, GSSENCRequest, CancelRequest, ErrorResponse).
"""

from __future__ import annotations

import struct
from collections.abc import Callable

LONGEST = 10_000
"""Bytes that a server takes before it knows who somebody is (`MAX_STARTUP_PACKET_LENGTH`)."""

NONE_OF_OURS = "none of the scratch databases of this run"
"""What every refusal says. Without quotes, which some drivers escape."""

_CANCEL, _TLS, _KERBEROS = 80877102, 80877103, 80877104
_NO = {b"", b"0", b"f", b"false", b"n", b"no", b"of", b"off"}
"""How a client says that it wants no replication."""


class Gate:
    """One client's first words. Feed it until it says yes or no."""

    def __init__(self, allowed: Callable[[str], bool]) -> None:
        """`allowed` says whether a database of that name may be used."""
        self._allowed = allowed
        self._heard = b""
        self.passed: bytes | None = None
        """What is to be sent to the server once the client may go on."""
        self.refused = False

    def hear(self, data: bytes) -> bytes:
        """Take more of what the client sent; return what to answer, mostly nothing."""
        self._heard += data
        answer = b""
        while len(self._heard) >= 8:
            length, code = struct.unpack("!II", self._heard[:8])
            if length == 8 and code in (_TLS, _KERBEROS):  # the server's own answer through a Unix socket
                answer += b"N"
                self._heard = self._heard[8:]
            elif not 8 <= length <= LONGEST:
                return answer + self._refuse("what a client says here is a PostgreSQL startup message")
            elif len(self._heard) < length:
                break
            else:
                return answer + self._decide(code, self._heard[8:length])
        return answer

    def _decide(self, code: int, body: bytes) -> bytes:
        if code == _CANCEL:  # it needs the secret of the session that it ends
            self.passed = self._heard
            return b""
        if code >> 16 != 3:
            return self._refuse("protocol versions other than 3 are not spoken here")
        given = _words(body)
        name = (given.get(b"database") or given.get(b"user", b"")).decode("utf-8", "replace")
        if given.get(b"replication", b"").lower() not in _NO:
            return self._refuse("a connection for replication reaches the whole server")
        if not self._allowed(name):
            return self._refuse(f'database "{name}" is {NONE_OF_OURS}')
        self.passed = self._heard
        return b""

    def _refuse(self, why: str) -> bytes:
        self.refused = True
        text = why if NONE_OF_OURS in why else f"{why}, and it leads to {NONE_OF_OURS}"
        fields = ("SFATAL", "VFATAL", "C28000", f"M{text}")
        body = b"".join(field.encode() + b"\0" for field in fields) + b"\0"
        return b"E" + struct.pack("!I", len(body) + 4) + body


def _words(body: bytes) -> dict[bytes, bytes]:
    """As the server reads it: up to an empty name, and of two with the same name the last."""
    words = iter(body.split(b"\0"))
    given = {}
    for name in words:
        if not name:
            break
        given[name] = next(words, b"")
    return given
