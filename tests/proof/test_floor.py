"""The worker's floor: Python 3.8 and Alembic 1.7, with nothing else of ours installed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Silent
from tests.alembic_project import AlembicProject, two_harmless_heads

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


def _pythons() -> list[str]:
    """The oldest Python of this machine that the worker promises, and ours."""
    oldest = sorted(Path.home().glob(".pyenv/versions/3.8.*/bin/python"))
    return [sys.executable, *(str(path) for path in oldest[:1])]


@pytest.mark.network
@pytest.mark.parametrize("python", _pythons())
@pytest.mark.parametrize(("alembic", "sqlalchemy"), [("1.7.0", "1.4.54"), ("1.13.3", "2.0.36")])
def test_old_versions_of_alembic(
    tmp_path: Path, postgres_url: str, python: str, alembic: str, sqlalchemy: str
) -> None:
    environment = tmp_path / "venv"
    subprocess.run([python, "-m", "venv", str(environment)], check=True)
    packages = [f"alembic=={alembic}", f"sqlalchemy=={sqlalchemy}", "psycopg2-binary", "setuptools<81"]
    if python != sys.executable:
        packages += ["importlib-metadata", "importlib-resources"]
    subprocess.run([str(environment / "bin" / "pip"), "install", "-q", *packages], check=True, timeout=300)
    project = two_harmless_heads(AlembicProject(tmp_path / "p"))
    outcome = converge(
        Options(cwd=project.root, database_url=postgres_url, python=str(environment / "bin" / "python")),
        Silent(),
    )
    assert outcome.status == "merged", outcome.reason
    assert outcome.proof is not None
    assert f"Alembic {alembic}, SQLAlchemy {sqlalchemy}" in outcome.proof.notes[0].message
