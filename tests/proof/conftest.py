from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_hex

import psycopg
import pytest


@dataclass(frozen=True)
class Production:
    """A database that stands for production; it is on the server that the user names for scratch databases.

    So nothing but our redirect and our guard stands between it and the project's code.
    """

    server_url: str
    name: str

    def url(self, driver: str = "psycopg") -> str:
        """The SQLAlchemy URL that a project has written down somewhere."""
        return (
            self.server_url.rsplit("/", 1)[0].replace("postgresql:", f"postgresql+{driver}:")
            + "/"
            + self.name
        )

    @property
    def settings(self) -> dict[str, object]:
        """Keyword arguments of a driver."""
        found = psycopg.conninfo.conninfo_to_dict(self.server_url)
        return {key: found[key] for key in ("host", "port", "user", "password")} | {"dbname": self.name}

    def visits(self) -> int:
        """How many sessions it has ever had, without making one."""
        with psycopg.connect(self.server_url) as connection:
            query = "SELECT sessions FROM pg_stat_database WHERE datname = %s"
            (found,) = connection.execute(query, [self.name]).fetchone() or (0,)
        return int(found)


@pytest.fixture(scope="session")
def _production(postgres_url: str) -> Production:
    production = Production(postgres_url, f"production_{token_hex(4)}")
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {production.name}")  # type: ignore[call-overload]
    psycopg.connect(**production.settings).close()  # type: ignore[arg-type]
    deadline = time.monotonic() + 10
    while production.visits() != 1:  # that a visit is seen at all
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return production


@pytest.fixture
def production(_production: Production) -> Iterator[Production]:
    """The database for one test: nobody may have connected to it meanwhile."""
    before = _production.visits()
    yield _production
    assert _production.visits() == before, "somebody connected to production"
