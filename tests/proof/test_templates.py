"""Alembic's own templates, written by the real `alembic init`, with nothing edited but what a user must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from alembic.config import main as alembic

from .conftest import Production
from .running import commutes, refused, unevaluated

PLACEHOLDER = "driver://user:pass@localhost/dbname"

DRIVERS = {"generic": "psycopg", "async": "asyncpg", "pyproject": "psycopg2", "pyproject_async": "psycopg"}


class Templated:
    """A project made by `alembic init`, with two heads on one base made by `alembic revision`."""

    def __init__(self, root: Path, template: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        root.mkdir()
        monkeypatch.chdir(root)
        alembic(["init", "-t", template, "migrations"])
        self.ini = root / "alembic.ini"
        self._revision("base0001", "base")
        self._revision("aaaa0001", "base0001")
        self._revision("bbbb0001", "base0001")

    def url(self, url: str) -> None:
        text = self.ini.read_text()
        assert PLACEHOLDER in text
        self.ini.write_text(text.replace(PLACEHOLDER, url.replace("%", "%%")))

    def upgrade(self, revision: str, *statements: str, engine: str = "") -> None:
        """Have the revision run these statements."""
        (path,) = self.root.glob(f"migrations/versions/{revision}_*.py")
        text = path.read_text()
        function = "upgrade" + ("_" + engine if engine else "")
        body = "\n".join(f"    op.execute({statement!r})" for statement in statements)
        text, count = re.subn(
            rf'(def {function}\(\).*:\n(?:    """.*"""\n)?)    pass', lambda found: found[1] + body, text
        )
        assert count == 1
        path.write_text(text)

    def _revision(self, revision: str, head: str) -> None:
        alembic(["revision", "-m", "work", "--rev-id", revision, "--head", head, "--splice"])


@pytest.fixture
def templated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Templated:
    return Templated(tmp_path / "p", request.param, monkeypatch)


def harmless(project: Templated, engine: str = "") -> None:
    project.upgrade("base0001", "CREATE TABLE accounts (id INTEGER PRIMARY KEY)", engine=engine)
    project.upgrade("aaaa0001", "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)", engine=engine)
    project.upgrade(
        "bbbb0001", "CREATE TABLE orders (id INTEGER)", "INSERT INTO orders VALUES (1)", engine=engine
    )


def clashing(project: Templated, engine: str = "") -> None:
    """The second works only before the first."""
    project.upgrade(
        "base0001", "CREATE TABLE accounts (id INTEGER PRIMARY KEY, score INTEGER)", engine=engine
    )
    project.upgrade("aaaa0001", "ALTER TABLE accounts DROP COLUMN score", engine=engine)
    project.upgrade("bbbb0001", "DELETE FROM accounts WHERE score = 1", engine=engine)


def differing(project: Templated, engine: str = "") -> None:
    project.upgrade("base0001", "CREATE TABLE accounts (id INTEGER PRIMARY KEY)", engine=engine)
    project.upgrade("aaaa0001", "CREATE TABLE IF NOT EXISTS t (id INTEGER)", engine=engine)
    project.upgrade("bbbb0001", "CREATE TABLE IF NOT EXISTS t (id INTEGER, extra TEXT)", engine=engine)


@pytest.mark.parametrize("templated", ["async", "pyproject"], indirect=True)
def test_on_sqlite(templated: Templated, request: pytest.FixtureRequest) -> None:
    driver = "sqlite+aiosqlite" if "async" in request.node.name else "sqlite"
    templated.url(f"{driver}:///production.db")
    harmless(templated)
    assert commutes(templated.root).dialect == "sqlite"


@pytest.mark.parametrize("templated", DRIVERS, indirect=True)
def test_on_postgresql(
    templated: Templated, production: Production, postgres_url: str, request: pytest.FixtureRequest
) -> None:
    templated.url(production.url(DRIVERS[request.node.callspec.params["templated"]]))
    harmless(templated)
    assert commutes(templated.root, database_url=postgres_url).dialect == "postgresql"


@pytest.mark.parametrize("templated", ["async", "pyproject"], indirect=True)
def test_a_clash_behind_the_placeholder_url(templated: Templated, postgres_url: str) -> None:
    """Many never fill it in, because they read the URL elsewhere: the driver is not known then."""
    clashing(templated)
    proof = refused(templated.root, database_url=postgres_url)
    assert proof.verdict == "one-order"
    assert set(proof.conflicts[0].revisions) == {"aaaa0001", "bbbb0001"}
    assert 'column "score" does not exist' in (proof.conflicts[0].error or "")


@pytest.mark.parametrize("templated", ["multidb"], indirect=True)
class TestMultidb:
    """Not even its placeholder URLs are edited."""

    def test_on_sqlite(self, templated: Templated) -> None:
        harmless(templated, "engine1")
        harmless(templated, "engine2")
        assert commutes(templated.root, database_url="sqlite://").dialect == "sqlite"

    @pytest.mark.parametrize(
        ("engine", "said"),
        [("engine1", "no such column: score"), ("engine2", 'column "score" does not exist')],
    )
    def test_a_clash_in_one_database(
        self, templated: Templated, engine: str, said: str, postgres_url: str
    ) -> None:
        harmless(templated, "engine2" if engine == "engine1" else "engine1")
        clashing(templated, engine)
        proof = refused(templated.root, database_url="sqlite://" if engine == "engine1" else postgres_url)
        assert proof.verdict == "one-order"
        assert set(proof.conflicts[0].revisions) == {"aaaa0001", "bbbb0001"}
        assert said in (proof.conflicts[0].error or "")

    def test_the_second_differs(self, templated: Templated) -> None:
        harmless(templated, "engine1")
        differing(templated, "engine2")
        proof = refused(templated.root, database_url="sqlite://")
        assert proof.verdict == "differ"
        assert all(path.result == "ok" for path in proof.paths)
        objects = proof.conflicts[0].objects
        assert any("extra" in text for text in objects)
        assert all("engine2" in text for text in objects)

    def test_one_server_and_one_file(self, templated: Templated) -> None:
        """Nobody guesses on which of the two dialects both would run."""
        text = templated.ini.read_text().replace(PLACEHOLDER + "2", "postgresql://production.invalid/shop")
        templated.ini.write_text(text.replace(PLACEHOLDER, "sqlite:///production.db"))
        harmless(templated, "engine1")
        harmless(templated, "engine2")
        reason = unevaluated(templated.root)
        assert reason.code == "several-dialects"
        assert "(engine1: sqlite, engine2: postgresql)" in reason.message
        commutes(templated.root, database_url="sqlite://")
