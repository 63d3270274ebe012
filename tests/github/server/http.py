"""The server: the API under a prefix, the repository for git, and faults on request.

Every request and every answer is held against GitHub's description; what does not fit is in `violations`.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.github.server.handlers import HANDLERS, Answer, Problem, Request
from tests.github.server.schema import Operation, description
from tests.github.server.store import Store, Token

STATUSES = {
    401: "Bad credentials",
    403: "Resource not accessible by integration",
    404: "Not Found",
    409: "Conflict",
    422: "Validation Failed",
    429: "You have exceeded a secondary rate limit.",
    500: "Server Error",
    502: "Bad Gateway",
}
FAULTS = (
    *("401", "403", "404", "409", "422", "429", "429-long", "403-rate", "500", "502-after"),
    *("reset", "reset-after", "timeout", "timeout-after", "garbage", "garbage-after", "cut-off-after"),
    *("empty", "nothing-after"),
)


# Of the requests that git makes: it only reads, so that before and after are the same.
GIT_FAULTS = (
    "401",
    "403",
    "404",
    "409",
    "422",
    "429",
    "500",
    "502",
    "reset",
    "timeout",
    "garbage",
    "cut-off",
)


GARBAGE = {"garbage": b"<html>Unicorn!</html>", "cut-off": b'{"sha": "', "empty": b"{}", "nothing": b""}


@dataclass
class Fault:
    """What goes wrong for an operation (`POST /git/blobs`), how often. `…-after`: when it was carried out."""

    operation: str
    kind: str
    times: int = 1


@dataclass(frozen=True)
class FaultAt:
    """What goes wrong for the request `number`, counted from 0; `for_good`: and for each later one like it."""

    number: int
    kind: str
    for_good: bool = False

    def meets(self, number: int, requests: list[str]) -> bool:
        """Whether it happens to a request, `requests` being all up to that one."""
        if number < self.number or (number > self.number and not self.for_good):
            return False
        return requests[number] == requests[self.number]


@dataclass(frozen=True)
class Call:
    """A request, and what was done about it. `status` 0: nothing, and there was no answer."""

    operation: str
    status: int


class FakeGitHub:
    """Runs while it is a context manager."""

    def __init__(
        self, store: Store, *, prefix: str = "", silence: float = 1.5, host: str = "127.0.0.1"
    ) -> None:
        self.store = store
        self.host = host
        self.prefix = prefix
        self.silence = silence
        self.description = description("description-ghes" if prefix else "description")
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.authorizations: set[str | None] = set()
        self.faults: list[Fault] = []
        self.fault_at: FaultAt | None = None
        # What somebody else does just before an operation, once.
        self.before: dict[str, Callable[[], object]] = {}
        # The operations of all requests in their order, those that got no answer among them.
        self.requests: list[str] = []
        self.lock = threading.Lock()
        self._stop = threading.Event()
        self._server = ThreadingHTTPServer((host, 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def server_url(self) -> str:
        return f"http://{self.host}:{self._server.server_address[1]}"

    @property
    def api_url(self) -> str:
        return f"{self.server_url}{self.prefix}"

    @property
    def writes(self) -> list[str]:
        """The operations that changed something."""
        return [
            call.operation
            for call in self.calls
            if not call.operation.startswith(("GET", "GIT", "POST /graphql")) and 200 <= call.status < 300
        ]

    def __enter__(self) -> FakeGitHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def fault(self, operation: str, kind: str, times: int = 1) -> None:
        assert kind in FAULTS
        self.faults.append(Fault(operation, kind, times))

    def fault_for(self, operation: str) -> str | None:
        number, at = len(self.requests), self.fault_at
        self.requests.append(operation)
        if at is not None and at.meets(number, self.requests):
            return at.kind
        for fault in self.faults:
            if fault.operation == operation and fault.times > 0:
                fault.times -= 1
                return fault.kind
        return None

    def hold(self) -> None:
        """Say nothing for longer than a client waits."""
        self._stop.wait(self.silence)


def _handler(github: FakeGitHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Else each answer waits for the client's delayed acknowledgement of its headers.
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            parts = urlsplit(self.path)
            if parts.path.startswith(f"/{github.store.name}.git/"):
                self.git(parts.path, parts.query, body)
                return
            self.api(parts.path, dict(parse_qsl(parts.query, keep_blank_values=True)), body)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = do

        # -- the API

        def api(self, path: str, query: dict[str, str], body: bytes) -> None:
            github.authorizations.add(self.headers.get("Authorization"))
            graphql = "/api/graphql" if github.prefix else "/graphql"
            if path == graphql:
                name, operation = "POST /graphql", None
            else:
                operation = github.description.operation(self.command, path.removeprefix(github.prefix))
                known = operation is not None and path.startswith(github.prefix)
                if operation is None or not known:
                    github.violations.append(f"no such operation: {self.command} {path}")
                    self.answer("?", Answer(404, {"message": "Not Found"}))
                    return
                name = operation.name
            with github.lock:
                fault = github.fault_for(name)
            if fault is not None:
                self.fail(name, fault, operation, query, body)
                return
            with github.lock:
                github.before.pop(name, lambda: None)()
                answer = self.carried_out(operation, query, body)
            self.answer(name, answer)

        def carried_out(self, operation: Operation | None, query: dict[str, str], body: bytes) -> Answer:
            token = github.store.tokens.get(self.token())
            if not self.headers.get("User-Agent"):
                github.violations.append("no User-Agent")
            if token is None:
                return Answer(
                    401, {"message": "Bad credentials", "documentation_url": "https://docs.github.com"}
                )
            given = json.loads(body) if body else None
            if operation is None:
                return self.viewer(token, given)
            owner, repo = operation.values.get("owner"), operation.values.get("repo")
            if owner is not None and f"{owner}/{repo}" != github.store.name:
                return Answer(404, {"message": "Not Found"})
            github.violations += github.description.request_problems(operation, query, given)
            url = f"{github.server_url}{urlsplit(self.path).path}"
            try:
                handler = HANDLERS[operation.method, operation.template]
                answer = handler(github.store, token, Request(operation.values, query, given, url))
            except Problem as problem:
                answer = problem.answer
            if answer.status == 204:
                return answer
            answer.body = github.description.completed(operation, answer.status, answer.body)
            github.violations += github.description.response_problems(operation, answer.status, answer.body)
            return answer

        def viewer(self, token: Token, given: Any) -> Answer:
            if given != {"query": "query { viewer { login } }", "variables": {}}:
                github.violations.append(f"an unknown query: {given}")
            return Answer(200, {"data": {"viewer": {"login": token.login}}})

        def token(self) -> str:
            kind, _, value = (self.headers.get("Authorization") or "").partition(" ")
            return value if kind.lower() in ("token", "bearer") else ""

        def answer(self, name: str | None, answer: Answer) -> None:
            data = b"" if answer.status == 204 else json.dumps(answer.body).encode()
            if name is not None:
                github.calls.append(Call(name, answer.status))
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        # -- faults

        def fail(
            self, name: str, kind: str, operation: Operation | None, query: dict[str, str], body: bytes
        ) -> None:
            status = kind.split("-")[0]
            what, after = kind.removesuffix("-after"), kind.endswith("-after")
            done = 0
            if after:
                with github.lock:
                    done = self.carried_out(operation, query, body).status
            if after or not status.isdigit():
                github.calls.append(Call(name, done))
            if status.isdigit():
                headers = (
                    {"Retry-After": "3600" if kind.endswith("-long") else "1"} if status == "429" else {}
                )
                if kind == "403-rate":
                    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 2)}
                # What a proxy on the way may do.
                message = f"{STATUSES[int(status)]} {self.token()}"
                self.answer(None if after else name, Answer(int(status), {"message": message}, headers))
                return
            if what == "timeout":
                github.hold()
            elif what in GARBAGE:
                data = GARBAGE[what]
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)
                return
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        # -- git

        def git(self, path: str, query: str, body: bytes) -> None:
            name = f"GIT {path.rpartition('/')[2]}"
            with github.lock:
                fault = github.fault_for(name)
            if fault is not None and fault != "cut-off":
                self.fail(name, fault, None, {}, b"")
                return
            secret = self.headers.get("Authorization", "")
            kind, _, value = secret.partition(" ")
            user, _, token = (
                base64.b64decode(value).decode().partition(":") if kind.lower() == "basic" else ("",) * 3
            )
            known = github.store.tokens.get(token) if user == "x-access-token" else None
            if known is None and not (github.store.public and not secret):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="GitHub"')
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            environment = {
                "PATH": os.environ["PATH"],
                "GIT_PROJECT_ROOT": str(github.store.path.parent),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": f"/{github.store.path.name}/{path.removeprefix(f'/{github.store.name}.git/')}",
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                "REMOTE_ADDR": "127.0.0.1",
            }
            result = subprocess.run(["git", "http-backend"], input=body, capture_output=True, env=environment)
            about, _, data = result.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in about.decode().split("\r\n") if ": " in line)
            github.calls.append(Call(name, 200))
            self.send_response(int(headers.pop("Status", "200").split(" ")[0]))
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if fault == "cut-off":
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            self.wfile.write(data)

    return Handler
