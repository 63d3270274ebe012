"""Real servers for the tests of fingerprints, and a session whose uncommitted changes can be looked at."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence

import pytest

from converger.proof import pgconnect
from converger.proof.embedded import EmbeddedPostgres, find_binaries
from converger.proof.facts import Fingerprint
from converger.proof.fingerprints import read_fingerprint
from converger.proof.postgres import PostgresServer
from converger.proof.scratch import Row, Scratch
from converger.proof.sqlite import SqliteServer

NONE: frozenset[tuple[str | None, str]] = frozenset()
VERSION = frozenset({(None, "alembic_version")})
VERSIONS = [binaries.version for binaries in find_binaries()]

ROLES = ("fp_app", "fp_reader")


class Postgres:
    """A PostgreSQL server for tests, and its scratch databases."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self.embedded = embedded
        self.server = PostgresServer(embedded.url, progress=lambda text: None, stop=embedded.stop)
        self.version = self.server.server_version
        self.number = VERSIONS.index(self.version)
        self.major = int(self.version.split(".")[0])
        with self.connect("postgres") as connection:
            for role in ROLES:
                connection.execute(f"CREATE ROLE {role}".encode())
            if self.major >= 15:
                connection.execute("SET allow_in_place_tablespaces = on")
                connection.execute("CREATE TABLESPACE fp_space LOCATION ''")

    def connect(self, database: str) -> pgconnect.Connection:
        return pgconnect.connect(self.embedded.url, database)

    def build(self, *statements: str, source: Scratch | None = None) -> Scratch:
        """A new scratch database, or a clone, in which these were run."""
        scratch = self.server.clone(source) if source else self.server.create()
        with self.connect(scratch.name) as connection:
            for statement in statements:
                connection.execute(statement.encode())
        return scratch

    def read(self, scratch: Scratch, **options: object) -> Fingerprint:
        return read_fingerprint(self.server, scratch, exclude=VERSION, **options)  # type: ignore[arg-type]

    def of(self, *statements: str, **options: object) -> Fingerprint:
        """The fingerprint of a database that is made for it and then dropped."""
        scratch = self.build(*statements)
        try:
            return self.read(scratch, **options)
        finally:
            self.server.drop(scratch)


class Within:
    """The same server, seen from within one open session: what it did and did not commit is there."""

    def __init__(self, postgres: Postgres, connection: pgconnect.Connection) -> None:
        self.server_version = postgres.server.server_version
        self.dialect = "postgresql"
        self._connection = connection

    def query_all(self, scratch: Scratch, statements: Sequence[str]) -> list[list[Row]]:
        answers = []
        for statement in statements:
            cursor = self._connection.execute(statement.encode())
            answers.append(cursor.fetchall() if cursor.description else [])
        return answers


Trial = Callable[..., Fingerprint]


@contextlib.contextmanager
def trials(postgres: Postgres, scratch: Scratch) -> Iterator[Trial]:
    """Gives a function: run these statements, take the fingerprint, and undo it all."""
    with postgres.connect(scratch.name) as connection:
        server = Within(postgres, connection)

        def run(*statements: str) -> Fingerprint:
            with connection.transaction(force_rollback=True):
                for statement in statements:
                    connection.execute(statement.encode())
                return read_fingerprint(server, scratch, exclude=VERSION)  # type: ignore[arg-type]

        yield run


@pytest.fixture(scope="session")
def postgres_of() -> Iterator[Callable[[str], Postgres]]:
    """The server of a version, started when it is first asked for."""
    with contextlib.ExitStack() as stack:

        @functools.cache
        def start(version: str) -> Postgres:
            binaries = next(each for each in find_binaries() if each.version == version)
            postgres = Postgres(EmbeddedPostgres(binaries, progress=lambda text: None))
            stack.enter_context(postgres.server)
            return postgres

        yield start


@pytest.fixture(scope="session", params=VERSIONS)
def pg(request: pytest.FixtureRequest, postgres_of: Callable[[str], Postgres]) -> Postgres:
    """Every PostgreSQL of this machine."""
    return postgres_of(request.param)


@pytest.fixture(scope="session")
def one_pg(postgres_of: Callable[[str], Postgres]) -> Postgres:
    """The first of them, for what does not depend on the version."""
    return postgres_of(VERSIONS[0])


@pytest.fixture
def lite() -> Iterator[SqliteServer]:
    with SqliteServer() as server:
        yield server
