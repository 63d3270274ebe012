from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from converger.proof.scratch import Server


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server that stands for "the server that the user named", for the whole session."""
    from converger.proof.servers import open_server

    server: Server = open_server(database_url=None, project_url=None, progress=lambda text: None)
    scratch = server.create()
    try:
        yield server.url(scratch, None)
    finally:
        server.close()


def pytest_configure() -> None:
    """Have signals that were ignored where the tests were started end a program again, as tests expect.

    A shell ignores SIGINT for what it runs in the background, nohup SIGHUP, and children inherit that.
    """
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)
