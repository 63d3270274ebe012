"""The advice of a real refused run, followed: the order that it leaves works, and who had run the branch skips."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, inspect

from tests.alembic_project import AlembicProject
from tests.cli.running import run


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """`drops` takes away what `fills` needs: only `fills`, then `drops` works."""
    project = AlembicProject(tmp_path / "p", url=f"sqlite:///{tmp_path}/real.db")
    project.sql("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, score INTEGER)")
    project.sql("drop0001", "base0001", "ALTER TABLE accounts DROP COLUMN score")
    project.sql(
        "fill0001",
        "base0001",
        "UPDATE accounts SET score = 0 WHERE score IS NULL",
        "ALTER TABLE accounts ADD COLUMN filled INTEGER",
    )
    return project


def upgrade(project: AlembicProject, database: Path, target: str) -> set[str]:
    """`alembic upgrade` with a database of this name; the columns that `accounts` has then."""
    config = Config(str(project.ini), stdout=io.StringIO())
    config.set_main_option("sqlalchemy.url", f"sqlite:///{database}")
    command.upgrade(config, target)
    engine = create_engine(f"sqlite:///{database}")
    try:
        return {column["name"] for column in inspect(engine).get_columns("accounts")}
    finally:
        engine.dispose()


def test_following_the_advice(project: AlembicProject, tmp_path: Path) -> None:
    upgrade(project, tmp_path / "at-fill.db", "fill0001")
    upgrade(project, tmp_path / "at-drop.db", "drop0001")
    before = project.digest()
    done = run("converge", "--dry-run", cwd=project.root)
    assert done.returncode == 1, done.stderr
    assert done.stdout.startswith("Refused (one-order)")
    assert "fill0001 first, then drop0001: the order that works" in done.stdout
    assert "Only if no database has run drop0001 yet" in done.stdout
    (edit,) = re.findall(r"^    (\S+):(\d+): down_revision = (\S+) → (\S+)$", done.stdout, re.MULTILINE)
    path, line, old, new = edit
    assert project.digest() == before, "we only say it"

    file = project.root / path
    lines = file.read_text().splitlines(keepends=True)
    assert lines[int(line) - 1] == f"down_revision = {old}\n"
    lines[int(line) - 1] = f"down_revision = {new}\n"
    file.write_text("".join(lines))

    assert run("check", cwd=project.root).returncode == 0
    for database in ("from-empty.db", "at-fill.db"):
        assert upgrade(project, tmp_path / database, "head") == {"id", "filled"}
    # What the report warns of: no error, and a column that is not there.
    assert upgrade(project, tmp_path / "at-drop.db", "head") == {"id"}
