from __future__ import annotations

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
