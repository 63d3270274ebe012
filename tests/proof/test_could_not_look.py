"""Whatever keeps us from looking is exit 3, names its cause, and leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.converge import converge
from converger.interpreter import worker_environment
from converger.outcome import Options, Outcome, Silent
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads

from .conftest import Production


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


def run(project: AlembicProject, url: str, **changes: object) -> Outcome:
    before = project.digest()
    outcome = converge(Options(cwd=project.root, database_url=url, **changes), Silent())  # type: ignore[arg-type]
    assert project.digest() == before
    assert (outcome.status, outcome.exit_code) == ("unevaluated", 3), outcome
    assert outcome.reason is not None
    return outcome


def set_env(project: AlembicProject, text: str) -> None:
    (project.root / "migrations" / "env.py").write_text(text)


def test_an_env_py_that_connects_elsewhere_and_swallows_everything(
    project: AlembicProject, postgres_url: str, production: Production
) -> None:
    """It commits nothing, wherever it believes to be; `production` is held to have had no visitor."""
    set_env(
        project,
        "import sqlalchemy\nfrom alembic import context\n"
        f"engine = sqlalchemy.create_engine({production.url()!r})\n"
        "try:\n    with engine.connect() as connection:\n        context.configure(connection=connection)\n"
        "        context.run_migrations()\nexcept BaseException:\n    pass\n",
    )
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "cannot-start-from-empty"
    assert "committed nothing" in outcome.reason.message


def test_a_missing_dependency_of_env_py_is_named(project: AlembicProject, postgres_url: str) -> None:
    set_env(project, "import acme_settings\n" + ENV_PY)
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "missing-dependency"
    assert "migrations/env.py:1: No module named 'acme_settings'" in outcome.reason.message
    assert "--python" in (outcome.reason.hint or "")


def test_a_missing_dependency_of_a_revision_is_named(project: AlembicProject, postgres_url: str) -> None:
    project.revision("bbbb0001", "base0001", "import acme_models")
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "missing-dependency"
    assert "bbbb0001_rev.py" in outcome.reason.message


def test_env_py_that_fails(project: AlembicProject, postgres_url: str) -> None:
    set_env(project, "raise RuntimeError('SECRET_KEY is not set')\n")
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "env-failed"
    assert "migrations/env.py:1: RuntimeError: SECRET_KEY is not set" in outcome.reason.message


def test_a_hanging_migration_is_ended(project: AlembicProject, postgres_url: str) -> None:
    project.revision("bbbb0001", "base0001", "import time\ntime.sleep(600)")
    outcome = run(project, postgres_url, timeout=2.0)
    assert outcome.reason is not None
    assert outcome.reason.code == "worker-timeout"
    assert "bbbb0001" in outcome.reason.message


def test_a_killed_worker_is_no_verdict(project: AlembicProject, postgres_url: str) -> None:
    project.revision(
        "bbbb0001", "base0001", "import os\nprint('last words', flush=True)\nos.kill(os.getpid(), 9)"
    )
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "worker-ended"
    assert "signal 9" in outcome.reason.message
    assert "last words" in outcome.reason.message


def test_a_server_that_runs_out_of_room_is_no_conflict(project: AlembicProject, postgres_url: str) -> None:
    project.sql(
        "bbbb0001", "base0001", "DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    )
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "server-refused"
    assert "no space left" in outcome.reason.message


def test_a_history_that_does_not_start_from_empty(project: AlembicProject, postgres_url: str) -> None:
    project.sql("base0001", None, "ALTER TABLE made_by_create_all ADD COLUMN x INTEGER")
    outcome = run(project, postgres_url)
    assert outcome.reason is not None
    assert outcome.reason.code == "cannot-start-from-empty"
    assert "base0001" in outcome.reason.message
    assert "made_by_create_all" in outcome.reason.message


def test_an_env_py_that_leaves_early_with_success(project: AlembicProject, postgres_url: str) -> None:
    set_env(project, "import sys\nsys.exit(0)\n")
    run(project, postgres_url)


def test_a_server_that_is_not_there(project: AlembicProject) -> None:
    outcome = run(project, "postgresql://u:hush@127.0.0.1:9/db")
    assert outcome.reason is not None
    assert outcome.reason.code == "server-unreachable"
    assert "hush" not in outcome.reason.message + (outcome.reason.hint or "")


def test_an_interpreter_that_is_not_there(project: AlembicProject, postgres_url: str) -> None:
    outcome = run(project, postgres_url, python="/nowhere/python")
    assert outcome.reason is not None
    assert outcome.reason.code == "python-not-found"


def test_an_interpreter_without_alembic(project: AlembicProject, postgres_url: str, tmp_path: Path) -> None:
    import venv

    venv.create(tmp_path / "bare", with_pip=False)
    outcome = run(project, postgres_url, python=str(tmp_path / "bare" / "bin" / "python"))
    assert outcome.reason is not None
    assert outcome.reason.code == "missing-dependency"
    assert "alembic" in outcome.reason.message


def test_the_worker_sees_no_secret() -> None:
    own = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "GITHUB_TOKEN": "t",
        "INPUT_TOKEN": "t",
        "ACTIONS_RUNTIME_TOKEN": "t",
        "PGPASSWORD": "t",
        "AWS_SECRET_ACCESS_KEY": "t",
        "DATABASE_URL": "production",
    }
    environment = worker_environment(
        own, {"SECRET_KEY": "mapped", "DATABASE_URL": "x"}, database_url_names=("DATABASE_URL",)
    )
    assert environment == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "SECRET_KEY": "mapped",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
