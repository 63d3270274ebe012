from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def mariadb_url() -> Iterator[str]:
    """A real MariaDB server that stands for "the server that the user named", for the whole session."""
    from converger.proof.embedded_mariadb import start_mariadb
    from converger.proof.urls import format_url

    mariadb = start_mariadb(lambda text: None)
    try:
        yield format_url(mariadb.url)
    finally:
        mariadb.stop()
