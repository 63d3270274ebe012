"""Real histories cut open at a real merge are converged again, proven on PostgreSQL.

Their maintainers merged these heads with an empty merge revision, and their users upgraded: any verdict
but `commute` would be a false alarm.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from converger.proof.embedded import start_postgres

from .projects import CutOpen, Recipe, cut_open
from .reading import literals

LANGFLOW = ("langflow-base==1.13.0", "psycopg[binary]")

RECIPES = [
    # 143 revisions; its env.py needs the application's settings, its revisions nothing.
    Recipe("skyvern", "2c34dee3304e", own_env=False),
    # A branch label, and an env.py that takes sqlalchemy.url or config.attributes["connection"].
    Recipe("quetz-server", "ea6eba9a9ffc", ("quetz-server==0.10.4", "alembic", "psycopg[binary]")),
    # An async env.py with an advisory lock and a naming convention; two heads, then three. SQLite is
    # what its alembic.ini names.
    Recipe("langflow-base", "844cad9a53fa", LANGFLOW, name_server=True),
    Recipe("langflow-base", "a6d8e0f2b4c7", LANGFLOW, name_server=True),
]

# Renames data_categories in one branch, adds a column to it in the other. Their merge revision is empty too:
# a database that ran aaa81d97a6f6 first cannot be upgraded, and one starting from empty may run that first.
# What is installed with it is of 2022: Alembic 1.8 and SQLAlchemy 1.4.
FIDES = Recipe(
    "ethyca-fides",
    "4fc34906c389",
    ("ethyca-fides==2.78.2", "setuptools<81", "psycopg2-binary"),
    own_env=False,
    name_server=True,
)

pytestmark = [pytest.mark.network, pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server, for projects whose configured URL is of another dialect."""
    embedded = start_postgres(print)
    try:
        url = embedded.url
        yield f"postgresql+psycopg://{url.user}:{url.password}@{url.host}:{url.port}/{url.database}"
    finally:
        embedded.stop()


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_the_maintainers_own_merge_is_proven(
    recipe: Recipe, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = cut_open(recipe, tmp_path / "project")
    before = contents(project.folder)
    heads = list(recipe.real_merge.heads_before)

    code, result = converge(project, request.getfixturevalue("server") if recipe.name_server else None)

    assert code == 0, result
    assert result["status"] == "merged"
    assert result["heads"] == heads
    proof = result["proof"]
    assert proof["verdict"] == "commute"
    assert proof["dialect"] == "postgresql"
    assert proof["conflicts"] == []
    assert {path["result"] for path in proof["paths"]} == {"ok"}
    # From empty, and from each head alone: the states that real databases are in.
    starts = [path["start"] for path in proof["paths"]]
    assert [] in starts
    assert all([head] in starts for head in heads)

    after = contents(project.folder)
    assert {path: after[path] for path in before} == before, "an existing file was changed"
    (merge,) = result["merges"]
    (added,) = set(after) - set(before)
    assert added == project.folder / merge["path"] or added == Path(merge["path"])
    assert literals(added)["down_revision"] == tuple(heads)
    assert alembic_heads(project) == [merge["revision"]]
    print(f"{recipe}: {proof['verdict']} in {proof['seconds']:.1f} s, {len(proof['paths'])} paths")


def test_a_real_interference_is_refused(tmp_path: Path, server: str) -> None:
    project = cut_open(FIDES, tmp_path / "project")
    before = contents(project.folder)
    renames, adds_column = "aaa81d97a6f6", "f131a1263a10"
    assert FIDES.real_merge.heads_before == (renames, adds_column)

    code, result = converge(project, server.replace("+psycopg", "+psycopg2"))

    assert (code, result["status"]) == (1, "refused")
    proof = result["proof"]
    assert proof["verdict"] == "one-order"
    outcomes = {tuple(path["start"]): path["result"] for path in proof["paths"]}
    assert outcomes[(adds_column,)] == "ok"
    assert outcomes[(renames,)] == "failed"
    (conflict,) = proof["conflicts"]
    assert sorted(conflict["revisions"]) == [renames, adds_column]
    assert 'relation "data_categories" does not exist' in conflict["error"]
    assert "data_categories" in conflict["statement"]
    assert adds_column in conflict["location"]["path"]
    line = Path(project.folder, conflict["location"]["path"]).read_text().splitlines()
    assert "data_categories" in "".join(line[conflict["location"]["line"] - 1 :][:3])
    assert contents(project.folder) == before, "a refusal writes nothing"


def converge(project: CutOpen, database_url: str | None) -> tuple[int, dict[str, Any]]:
    """Run the command as a person would, with one merge for all heads; its exit code and JSON."""
    server = ("--database-url", database_url) if database_url else ()
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("alembic-converger")),
            *("converge", "--strategy", "single", "--format", "json", "--python", str(project.python)),
            *server,
        ],
        cwd=project.folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout.startswith("{"), f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.returncode, json.loads(done.stdout)


def contents(folder: Path) -> dict[Path, str]:
    """A hash of every file below `folder`."""
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()
    }


def alembic_heads(project: CutOpen) -> list[str]:
    """What the project's own Alembic says."""
    done = subprocess.run(
        [str(project.python.with_name("alembic")), "heads"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return [line.split()[0] for line in done.stdout.splitlines() if line]
