"""The library's front door, under both names."""

from __future__ import annotations

import os
from dataclasses import fields
from inspect import signature
from pathlib import Path

import pytest

import alembic_converger
import converger
from converger.api import ConvergenceError
from converger.errors import ConfigurationError
from converger.outcome import Options
from tests.alembic_project import AlembicProject, two_harmless_heads


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AlembicProject:
    made = AlembicProject(tmp_path / "p", url="sqlite:///never.db")
    monkeypatch.chdir(made.root)
    return made


def test_both_names_are_the_same_function() -> None:
    assert alembic_converger.converge_migrations is converger.converge_migrations
    assert alembic_converger.ConvergenceResult is converger.ConvergenceResult


def test_it_takes_what_the_documentation_says(project: AlembicProject) -> None:
    two_harmless_heads(project)
    before = project.digest()
    result = converger.converge_migrations(
        base_revision="base0001",
        config_path="alembic.ini",
        dry_run=True,
        skip_validation=False,
        verbose=False,
    )
    assert project.digest() == before
    assert isinstance(result, converger.ConvergenceResult)
    assert len(result.merges_created) == 1
    assert result.final_head == result.merges_created[-1]
    assert result.initial_heads == ("aaaa0001", "bbbb0001")
    written = converger.converge_migrations()
    assert written.merges_created == result.merges_created
    assert converger.converge_migrations().already_converged


def test_every_option_of_a_run_is_a_keyword() -> None:
    renamed = {"from_revision": "base_revision", "config": "config_path"}
    chosen = {renamed.get(field.name, field.name) for field in fields(Options)} - {"cwd", "environment"}
    assert chosen | {"verbose"} == set(signature(converger.converge_migrations).parameters)


def test_a_refusal_is_an_exception_that_cannot_be_overlooked(project: AlembicProject) -> None:
    project.sql("base0001", None, "CREATE TABLE t (id INTEGER)")
    project.sql("aaaa0001", "base0001", "ALTER TABLE t ADD COLUMN x TEXT")
    project.sql("bbbb0001", "base0001", "ALTER TABLE t ADD COLUMN x TEXT")
    before = project.digest()
    with pytest.raises(ConvergenceError) as caught:
        converger.converge_migrations()
    assert (caught.value.exit_code, caught.value.code) == (1, "neither-order")
    assert caught.value.result.merges_created == ()
    assert caught.value.result.final_head is None
    assert project.digest() == before


def test_could_not_look_is_an_exception_with_its_own_code(project: AlembicProject) -> None:
    two_harmless_heads(project)
    (project.root / "migrations" / "env.py").write_text("raise RuntimeError('no settings')\n")
    with pytest.raises(ConvergenceError) as caught:
        converger.converge_migrations()
    assert (caught.value.exit_code, caught.value.code) == (3, "env-failed")


def test_bad_configuration_is_raised_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError) as caught:
        converger.converge_migrations()
    assert caught.value.exit_code == 2
    assert caught.value.code == "no-configuration"


def test_importing_the_package_imports_nothing_heavy() -> None:
    import subprocess
    import sys

    code = "import converger, sys; print([m for m in ('alembic', 'sqlalchemy', 'psycopg', 'rich') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    assert done.stdout.strip() == "[]"
