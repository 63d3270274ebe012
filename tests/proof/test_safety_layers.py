"""Each layer alone keeps a project's code from production: whole runs, with all other layers taken away.

The project's env.py makes some seventy attempts to create a table in a database that stands for production.
Without any layer every attempt succeeds, so each would be noticed.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from converger.proof.embedded_mariadb import start_mariadb
from converger.proof.urls import format_url
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads
from tests.proof.layers import LAYERS, program_with
from tests.proof.production import MariadbProduction, PostgresProduction, SqliteProduction

ATTEMPTS = Path(__file__).with_name("attempts")
EVERYTHING = ("engines", "early_engines", "creators", "tricks", "early_pools", "raw_drivers", "configured")

ENV = (
    """\
import os
if not (os.environ["ONCE"] and os.path.exists(os.environ["ATTEMPTS"])):
    from importlib import import_module
    attempts = import_module(os.environ["EARLY"]).ATTEMPTS
    import sitecustomize
    for group in os.environ["GROUPS"].split():
        if group == "early_engines":
            attempts.earlier(sitecustomize.ENGINES, "engine_from_before_us")
        elif group == "early_pools":
            attempts.earlier(sitecustomize.FILLED, "pool_filled_before_us")
        else:
            getattr(attempts, group)()
"""
    + ENV_PY
)

Production = PostgresProduction | MariadbProduction | SqliteProduction


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgresProduction]:
    production = PostgresProduction()
    yield production
    production.stop()


@pytest.fixture(scope="module")
def mysql() -> Iterator[MariadbProduction]:
    production = MariadbProduction()
    yield production
    production.stop()


@pytest.fixture(scope="module")
def mysql_url() -> Iterator[str]:
    """A server that stands for the one that the user named."""
    server = start_mariadb(lambda text: None)
    yield format_url(server.url)
    server.stop()


class Run:
    """One run of a project that makes these attempts, guarded by these layers only."""

    def __init__(self, request: pytest.FixtureRequest, dialect: str, tmp_path: Path) -> None:
        self.dialect = dialect
        self.tmp_path = tmp_path
        self.production: Production
        self.database_url: str | None = None
        if dialect == "sqlite":
            self.production = SqliteProduction(tmp_path / "production")
            self.description: dict[str, object] = {"path": str(self.production.path)}
        else:
            self.production = request.getfixturevalue(dialect)
            self.database_url = request.getfixturevalue(
                "postgres_url" if dialect == "postgresql" else "mysql_url"
            )
            named = ("host", "port", "user", "password")
            self.description = {name: getattr(self.production, name) for name in named}
            self.description["mysqldb"] = False

    def __call__(
        self, *layers: str, attempts: tuple[str, ...], network: bool = True, once: bool = True
    ) -> tuple[Outcome, dict[str, str]]:
        library = self.tmp_path / "library"
        shutil.copytree(ATTEMPTS, library, ignore=shutil.ignore_patterns("__pycache__"))
        (library / "early.py").rename(library / "sitecustomize.py")
        url = {"postgresql": "driver://", "mysql": "mysql+pymysql://", "sqlite": "sqlite://"}[self.dialect]
        project = two_harmless_heads(AlembicProject(self.tmp_path / "p", url=f"{url}/nowhere", env_py=ENV))
        found = self.tmp_path / "found.json"
        options = Options(
            cwd=project.root,
            database_url=self.database_url,
            dry_run=True,
            allow_network=network,
            env={
                "PYTHONPATH": str(library),
                "PRODUCTION": json.dumps(self.description),
                "ATTEMPTS": str(found),
                "EARLY": f"on_{self.dialect}",
                "FILL": "early_pools" if "early_pools" in attempts else "",
                "GROUPS": " ".join(attempts),
                "ONCE": "once" if once else "",
            },
        )
        self.production.forget()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("converger.proof.bench.packed", lambda: program_with(*layers))
            outcome = converge(options, Silent())
        return outcome, json.loads(found.read_text())


DIALECTS = ("postgresql", "mysql", "sqlite")


@pytest.fixture(params=DIALECTS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    return Run(request, request.param, tmp_path)


def in_scratch(answer: str) -> bool:
    return re.fullmatch(r"(/.*/)?converger_[0-9a-f]{16}(\.sqlite)?", answer) is not None


def test_without_any_layer_every_attempt_reaches_production(run: Run) -> None:
    _, found = run(attempts=EVERYTHING)
    production = "production"
    if isinstance(run.production, SqliteProduction):
        production = str(run.production.path)
        assert found.pop("spelling_1") == production + ".new"
    assert [item for item in found.items() if item[1] != production] == []
    assert len(found) > 25
    assert run.production.changed()


def test_do_connect_alone_takes_every_engine_to_the_scratch_database(run: Run) -> None:
    outcome, found = run("do_connect", attempts=("engines", "early_engines"))
    assert [item for item in found.items() if not in_scratch(item[1])] == []
    assert outcome.status == "would-merge", outcome.reason
    assert_nobody_came(run)


def test_the_pools_guard_alone_refuses_every_connection(run: Run) -> None:
    """Nothing but our own question was asked there, not even what SQLAlchemy asks a new connection."""
    attempts = ("engines", "early_engines", "creators", "tricks", "early_pools")
    outcome, found = run("pool", attempts=attempts, once=False)
    assert [item for item in found.items() if not refused(item[1])] == []
    assert_stopped(outcome)
    assert_only_the_mark_was_asked_for(run)


@pytest.mark.parametrize("run", ["sqlite"], indirect=True)
def test_what_says_to_be_in_memory_is_looked_at_all_the_same(run: Run) -> None:
    outcome, found = run("do_connect", "pool", attempts=("memory_first",), once=False)
    assert refused(found["memory_first"]), found
    assert_stopped(outcome)
    assert not run.production.changed()


def test_the_guard_of_connections_handed_out_alone_refuses_them(run: Run) -> None:
    outcome, found = run("engine_connect", attempts=("engines", "creators", "early_pools"), once=False)
    by_engine = {
        name: answer for name, answer in found.items() if not re.search("bare_pool|raw_connection", name)
    }
    assert [item for item in by_engine.items() if not refused(item[1])] == []
    assert len(by_engine) > 8
    assert_stopped(outcome)


def test_the_guard_of_configure_alone_refuses_its_connection(run: Run) -> None:
    outcome, found = run("configure", attempts=("configured",), once=False)
    assert [item for item in found.items() if not refused(item[1])] == []
    assert_stopped(outcome)
    assert not run.production.changed()


def test_the_drivers_alone_connect_to_the_scratch_database(run: Run) -> None:
    outcome, found = run("drivers", attempts=(*EVERYTHING[:-3], "raw_drivers"))
    assert [item for item in found.items() if not in_scratch(item[1])] == []
    assert outcome.status == "would-merge", outcome.reason
    assert_nobody_came(run)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can cut the network off")
@pytest.mark.parametrize("run", DIALECTS[:2], indirect=True)
def test_the_network_cut_alone_lets_nothing_out(run: Run) -> None:
    outcome, found = run(
        attempts=tuple(group for group in EVERYTHING if group != "early_pools"), network=False
    )
    assert "production" not in found.values()
    assert len(found) > 25
    assert "unreachable" in " ".join(found.values())
    # Nor was there a way to the scratch server, to which only the other layers lead.
    assert outcome.status == "unevaluated"
    assert outcome.reason is not None
    assert outcome.reason.code in ("env-failed", "no-network"), outcome.reason
    assert_nobody_came(run)


def test_all_layers_together(run: Run) -> None:
    outcome, found = run(*LAYERS, attempts=EVERYTHING, network=False, once=False)
    assert [item for item in found.items() if not in_scratch(item[1]) and not refused(item[1])] == []
    assert_stopped(outcome)  # because of the connections that were there before us
    if not isinstance(run.production, SqliteProduction):
        assert run.production.statements() == []
    assert not run.production.changed()


def refused(answer: str) -> bool:
    return answer.startswith("ForeignConnection: the project's code connected to ")


def assert_stopped(outcome: Outcome) -> None:
    assert outcome.status == "unevaluated"
    assert outcome.reason is not None
    assert outcome.reason.code == "foreign-connection"


def assert_nobody_came(run: Run) -> None:
    if not isinstance(run.production, SqliteProduction):
        assert run.production.visits() == 0
    assert not run.production.changed()


def assert_only_the_mark_was_asked_for(run: Run) -> None:
    if not isinstance(run.production, SqliteProduction):
        asked = set(run.production.statements())
        assert run.production.visits() > 0
        mark = (
            "FROM pg_database WHERE datname = current_database()"
            if run.dialect == "postgresql"
            else "FROM converger_registry_"
        )
        assert {statement for statement in asked if mark not in statement} == set()
        assert asked
    else:
        new = run.production.path.with_name("production.db.new")
        assert new.read_bytes() == b""  # SQLite makes a file when it is asked whose it is
        new.unlink()
    assert not run.production.changed()
