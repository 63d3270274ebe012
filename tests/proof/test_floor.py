"""The worker's floor: Python 3.8 and Alembic 1.7, with nothing else of ours installed."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import Any

import pytest

from .interpreters import (
    MIDDLE,
    NEWEST,
    OLD,
    OLDEST,
    YOUNG,
    Versions,
    interpreter,
    pythons,
    run_in,
)
from .running import commutes, refused

INSIDE = sorted((Path(__file__).parents[2] / "converger" / "proof" / "inside").glob("*.py"))
ALLOWED = {*sys.stdlib_module_names, "alembic", "sqlalchemy", "flask"}


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.stem)
def test_it_is_python_3_8(path: Path) -> None:
    ast.parse(path.read_text(), feature_version=(3, 8))
    assert "removeprefix" not in path.read_text(), "a method of 3.9; syntax alone does not tell"


@pytest.mark.parametrize("path", INSIDE, ids=lambda path: path.stem)
def test_it_imports_nothing_of_ours(path: Path) -> None:
    """But its own modules, relatively; `sitecustomize` stands outside of their package."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            imported.add((node.module or "").split(".")[0])
    own = {"converger_inside"} if path.stem == "sitecustomize" else set()
    assert imported - own <= ALLOWED


REVISION = """\
from alembic import op
revision = {name!r}
down_revision = {parent!r}


def upgrade(engine_name=None):
    {body}


def downgrade(engine_name=None):
    pass
"""


def revisions(root: Path, *, clash: bool = False) -> None:
    """Two heads on one base; with `clash` the second only works before the first."""
    second = "ALTER TABLE accounts ADD COLUMN email TEXT" if clash else "CREATE TABLE orders (id INTEGER)"
    for name, parent, body in (
        ("base0001", None, "CREATE TABLE accounts (id INTEGER PRIMARY KEY)"),
        ("aaaa0001", "base0001", "ALTER TABLE accounts ADD COLUMN email TEXT"),
        ("bbbb0001", "base0001", second),
    ):
        path = root / "migrations" / "versions" / f"{name}_.py"
        path.write_text(REVISION.format(name=name, parent=parent, body=f"op.execute({body!r})"))


FLASK_APP = """\
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = "postgresql+psycopg2://shop@production.invalid/shop"
app.config["SQLALCHEMY_TRACK_MODIFICATIONS"] = False
Migrate(app, SQLAlchemy(app))
"""

COMBINATIONS = [
    (version, versions)
    for version in pythons()
    for versions in (OLDEST, OLD, MIDDLE, YOUNG, NEWEST)
    # Installs, but "directly inherits TypingOnly but has additional attributes" when it is imported.
    if (version, versions) != ("3.13", MIDDLE)
]
BY_AGE = sorted(pythons(), key=lambda version: [int(part) for part in version.split(".")])
QUICK = {(BY_AGE[0], OLDEST), (BY_AGE[len(BY_AGE) // 2], OLD), (BY_AGE[-1], NEWEST)}
"""The ends, and one between: what `.ci/run` tries. The others are asked for by `-m heavy`."""
TEMPLATES = ("generic", "async", "multidb")


def case(version: str, versions: Versions, *more: str) -> Any:
    """A combination with its marker, and what goes with it."""
    marker = pytest.mark.network if (version, versions) in QUICK else pytest.mark.heavy
    return pytest.param(
        version, versions, *more, id="-".join((f"py{version}-{versions}", *more)), marks=marker
    )


@pytest.fixture
def python(version: str, versions: Versions) -> str:
    return interpreter(version, versions)


@pytest.mark.parametrize(
    ("version", "versions", "template"),
    [
        case(version, versions, template)
        for version, versions in COMBINATIONS
        for template in TEMPLATES
        if template != "async" or versions.is_async  # SQLAlchemy 1.3 has no asyncio
    ],
)
def test_a_template(tmp_path: Path, postgres_url: str, python: str, template: str) -> None:
    """Its placeholder URL is not edited, so the driver is not known."""
    run_in(tmp_path, python, "-m", "alembic", "init", "-t", template, "migrations")
    revisions(tmp_path)
    commutes(tmp_path, database_url=postgres_url, python=python)


@pytest.mark.parametrize(("version", "versions"), [case(*combination) for combination in COMBINATIONS])
class TestVersions:
    """What those versions write and do, Flask-Migrate too."""

    def test_a_clash(self, tmp_path: Path, postgres_url: str, python: str, versions: Versions) -> None:
        run_in(tmp_path, python, "-m", "alembic", "init", "migrations")
        revisions(tmp_path, clash=True)
        proof = refused(tmp_path, database_url=postgres_url, python=python, dry_run=True)
        assert proof.verdict == "neither-order"
        assert 'column "email" of relation "accounts" already exists' in (proof.conflicts[0].error or "")
        assert proof.conflicts[0].statement == "ALTER TABLE accounts ADD COLUMN email TEXT"
        (environment,) = (note.message for note in proof.notes if note.kind == "environment")
        assert versions.alembic.lstrip("=") in environment
        assert versions.sqlalchemy.lstrip("=") in environment

    def test_on_sqlite(self, tmp_path: Path, python: str) -> None:
        run_in(tmp_path, python, "-m", "alembic", "init", "migrations")
        revisions(tmp_path)
        commutes(tmp_path, database_url="sqlite://", python=python)

    def test_the_own_command(self, tmp_path: Path, postgres_url: str, python: str) -> None:
        run_in(tmp_path, python, "-m", "alembic", "init", "migrations")
        url = "postgresql+psycopg2://shop@production.invalid/shop"
        ini = tmp_path / "alembic.ini"
        ini.write_text(ini.read_text().replace("driver://user:pass@localhost/dbname", url))
        revisions(tmp_path)
        proof = commutes(
            tmp_path, database_url=postgres_url, python=python, command="alembic upgrade {revision}"
        )
        assert len(next(path for path in proof.paths if path.start == ()).order) == 4, "every step was seen"

    @pytest.mark.parametrize("command", [None, "flask db upgrade {revision}"], ids=["env.py", "command"])
    def test_flask_migrate(self, tmp_path: Path, postgres_url: str, python: str, command: str | None) -> None:
        (tmp_path / "app.py").write_text(FLASK_APP)
        run_in(tmp_path, python, "-m", "flask", "db", "init", FLASK_APP="app.py")
        revisions(tmp_path)
        commutes(tmp_path, database_url=postgres_url, python=python, command=command)
