"""Real histories cut open at a real merge are converged again, proven on PostgreSQL.

Their maintainers merged these heads with an empty merge revision, and their users upgraded: any verdict
but `commute` would be a false alarm.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converger.proof.embedded import start_postgres

from .projects import CutOpen, Recipe, cut_open
from .reading import literals, revision_map
from .recipes import AIRFLOW, FIDES, RECIPES, TOLD

pytestmark = [pytest.mark.timeout(1200)]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server, for projects whose configured URL is of another dialect."""
    embedded = start_postgres(print)
    try:
        url = embedded.url
        yield f"postgresql+psycopg://{url.user}:{url.password}@{url.host}:{url.port}/{url.database}"
    finally:
        embedded.stop()


def case(recipe: Recipe, *more: object) -> Any:
    """A recipe with its marker, and what goes with it; all but the quick ones are asked for by `-m heavy`."""
    marker = pytest.mark.network if recipe.quick else pytest.mark.heavy
    return pytest.param(recipe, *more, id=str(recipe), marks=marker)


@pytest.mark.parametrize("recipe", [case(recipe) for recipe in RECIPES])
def test_what_the_maintainers_merged_is_proven(
    recipe: Recipe, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    project = cut_open(recipe, tmp_path / "project")
    before = contents(project.folder)
    heads = list(project.heads)

    code, result = converge(project, named_server(recipe, request))

    assert code == 0, result
    assert result["status"] == "merged"
    assert set(heads) <= set(result["heads"])
    proof = result["proof"]
    assert proof["verdict"] == "commute"
    assert proof["dialect"] == recipe.dialect.partition("+")[0]
    assert proof["conflicts"] == []
    assert {path["result"] for path in proof["paths"]} == {"ok"}
    # From empty, and from each head alone: the states that real databases are in.
    starts = [path["start"] for path in proof["paths"]]
    assert [] in starts
    assert all([head] in starts for head in heads)

    after = contents(project.folder)
    assert {path: after[path] for path in before} == before, "an existing file was changed"
    (merge,) = result["merges"]
    (added,) = {path for path in set(after) - set(before) if path.suffix == ".py"}
    assert added == project.folder / merge["path"] or added == Path(merge["path"])
    assert literals(added)["down_revision"] == tuple(heads)
    other_lines = set(result["heads"]) - set(heads)
    assert set(alembic_heads(project)) == {merge["revision"], *other_lines}
    seconds = f"{proof['seconds']:.1f} s, {len(proof['paths'])} paths"
    print(f"{recipe}: {proof['verdict']} in {seconds}, {notes(result)}")


@pytest.mark.parametrize(("recipe", "code", "words"), [case(*told) for told in TOLD])
def test_who_leaves_an_option_out_is_told(
    recipe: Recipe, code: str, words: tuple[str, ...], tmp_path: Path
) -> None:
    project = cut_open(recipe, tmp_path / "project")
    before = contents(project.folder)

    exit_code, result = converge(project, None)

    assert (exit_code, result["status"]) == (3, "unevaluated")
    errors = [problem for problem in result["problems"] if problem["severity"] == "error"]
    assert {problem["code"] for problem in errors} == {code}
    said = " ".join(f"{problem['path']} {problem['message']}" for problem in errors)
    assert [word for word in words if word not in said] == []
    after = contents(project.folder)
    assert {path: after[path] for path in before} == before
    assert not [path for path in set(after) - set(before) if path.suffix == ".py"]


@pytest.mark.heavy
def test_a_production_database_in_the_settings_sees_nobody(tmp_path: Path, server: str) -> None:
    """airflow makes its engine at import, of what its settings say: a database that is there and would let it in."""
    import psycopg

    plain = server.replace("+psycopg", "")
    production = plain.rpartition("/")[0] + "/production"
    sessions = "SELECT sessions FROM pg_stat_database WHERE datname = 'production'"
    project = cut_open(replace(AIRFLOW, options=()), tmp_path / "project")
    setting = f"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN={production.replace('postgresql', 'postgresql+psycopg2')}"
    with psycopg.connect(plain, autocommit=True) as watching:
        watching.execute("CREATE DATABASE production")
        before = watching.execute(sessions).fetchone()

        code, result = converge(replace(project, options=(*project.options, "--env", setting)), None)

        assert (code, result["proof"]["verdict"]) == (0, "commute")
        assert watching.execute(sessions).fetchone() == before == (0,)
        with psycopg.connect(production) as looking:
            assert looking.execute(
                "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
            ).fetchone() == (0,)
        deadline = time.monotonic() + 30
        while watching.execute(sessions).fetchone() != (1,):  # it does count, a moment later
            assert time.monotonic() < deadline
            time.sleep(0.1)


def named_server(recipe: Recipe, request: pytest.FixtureRequest) -> str | None:
    """What --database-url is, where the configuration names another dialect than the proof's."""
    if recipe.dialect != "postgresql":
        return f"{recipe.dialect}://"
    url = request.getfixturevalue("server") if recipe.name_server else None
    assert url is None or isinstance(url, str)
    return url


def notes(result: dict[str, Any]) -> str:
    """The versions that the project's interpreter has."""
    return "; ".join(note["message"] for note in result["proof"]["notes"] if note["kind"] == "environment")


@pytest.mark.network
def test_a_real_interference_is_refused(tmp_path: Path, server: str) -> None:
    project = cut_open(FIDES, tmp_path / "project")
    before = contents(project.folder)
    renames, adds_column = "aaa81d97a6f6", "f131a1263a10"
    assert project.heads == (renames, adds_column)

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
            *project.options,
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
    """What Alembic says. Not the project's own: superset's revisions cannot be loaded without its application."""
    return sorted(revision_map(project.versions).heads)
