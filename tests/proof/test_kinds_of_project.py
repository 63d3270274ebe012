"""What projects do that a worker which loads their code once, and runs it often, must not get wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Silent
from tests.alembic_project import ENV_PY, AlembicProject, two_harmless_heads


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return two_harmless_heads(AlembicProject(tmp_path / "p"))


def converges(project: AlembicProject, url: str, **changes: object) -> None:
    outcome = converge(Options(cwd=project.root, database_url=url, **changes), Silent())  # type: ignore[arg-type]
    assert outcome.status == "merged", outcome.reason or outcome.proof
    assert outcome.proof is not None
    assert outcome.proof.verdict == "commute"


def set_env(project: AlembicProject, text: str) -> None:
    (project.root / "migrations" / "env.py").write_text(text)


def test_an_env_py_that_reads_the_environment(project: AlembicProject, postgres_url: str) -> None:
    set_env(
        project,
        "import os\nfrom alembic import context\nfrom sqlalchemy import create_engine\n"
        "engine = create_engine(os.environ['MY_DB'])\nassert os.environ['FLAVOUR'] == 'test'\n"
        "with engine.connect() as connection:\n    context.configure(connection=connection)\n"
        "    with context.begin_transaction():\n        context.run_migrations()\n",
    )
    converges(project, postgres_url, database_url_env=("MY_DB",), env={"FLAVOUR": "test"})


def test_revisions_that_need_what_env_py_sets_up(project: AlembicProject, postgres_url: str) -> None:
    """Loading revisions before env.py fails here; Alembic itself loads them after."""
    (project.root / "deep").mkdir()
    (project.root / "deep" / "acme_tables.py").write_text("NAME = 'from_env'\n")
    set_env(project, "import sys, os\nsys.path.insert(0, os.path.join(os.getcwd(), 'deep'))\n" + ENV_PY)
    project.revision(
        "bbbb0001",
        "base0001",
        "op.execute(f'CREATE TABLE {NAME} (id INTEGER)')",
        header="from acme_tables import NAME",
    )
    converges(project, postgres_url)


def test_module_level_state_does_not_leak_between_paths(project: AlembicProject, postgres_url: str) -> None:
    """A MetaData that reflects would refuse a second run in the same interpreter; deployments never see that."""
    project.revision(
        "bbbb0001",
        "base0001",
        "sa.Table('accounts', metadata, sa.Column('x', sa.Integer)).name\nassert not ran\nran.append(1)",
        header="metadata = sa.MetaData()\nran = []",
    )
    converges(project, postgres_url)


def test_migrations_that_print_and_read_standard_input(project: AlembicProject, postgres_url: str) -> None:
    project.revision(
        "bbbb0001",
        "base0001",
        "import sys\nprint('{\"event\": \"done\"}' * 9000)\nassert sys.stdin.read() == ''",
    )
    converges(project, postgres_url)


def test_depends_on_another_line(project: AlembicProject, postgres_url: str) -> None:
    """b depends on a revision of another base: the version table then holds fewer rows than revisions applied."""
    project.sql("ext00001", None, "CREATE TABLE ext (id INTEGER PRIMARY KEY)", labels="ext")
    project.sql("bbbb0001", "base0001", "ALTER TABLE ext ADD COLUMN accounts INTEGER", depends_on="ext00001")
    converges(project, postgres_url)


def test_a_clash_only_inside_one_transaction(project: AlembicProject, postgres_url: str) -> None:
    """An enum label cannot be used in the transaction that added it: only the database that runs both at once fails."""
    project.sql("base0001", None, "CREATE TYPE mood AS ENUM ('ok')", "CREATE TABLE t (m mood DEFAULT 'ok')")
    project.sql("aaaa0001", "base0001", "ALTER TYPE mood ADD VALUE 'glad'")
    project.sql("bbbb0001", "base0001", "CREATE TABLE u (id INTEGER)")
    project.sql("aaaa0001", "base0001", "CREATE TABLE v (id INTEGER)")
    converges(project, postgres_url)


def test_a_folder_called_alembic_does_not_shadow_alembic(project: AlembicProject, postgres_url: str) -> None:
    """Many projects call their script folder so; `alembic` as installed is not found there either."""
    (project.root / "alembic").mkdir()
    (project.root / "alembic" / "__init__.py").write_text("raise ImportError('the wrong one')\n")
    converges(project, postgres_url)
