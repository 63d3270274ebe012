"""The Action, from the event to the commit, on repositories with real projects' histories.

`main` and a pull request are the two sides of a merge that the maintainers wrote, as they were just before. Nothing is
told to the Action but the token: it finds the configuration, installs what requirements.txt says, starts a server.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from converger.history import GitTree, Graph, read_history
from converger.project import load_project
from tests.github.running import Job
from tests.github.server.store import Store
from tests.github.server.world import make_world

from .projects import Recipe, cut_open
from .reading import read_folders, revision_path

QUETZ = Recipe(
    "quetz-server",
    "ea6eba9a9ffc",
    requirements=("quetz-server==0.10.4", "alembic", "psycopg[binary]"),
    quick=True,
)
# What a runner's machine has: where uv is, and whom to trust where somebody stands between it and the package index.
SURROUNDINGS = {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    **{
        name: os.environ[name]
        for name in ("SSL_CERT_FILE", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy")
        if name in os.environ
    },
}
LANGFLOW = ("langflow-base==1.13.0", "psycopg[binary]")
# Its alembic.ini names SQLite. The second merge is one of three heads, the third one of 16 pairs of revisions.
RECIPES = [
    QUETZ,
    Recipe(
        "skyvern", "2c34dee3304e", requirements=("alembic", "sqlalchemy", "psycopg[binary]"), own_env=False
    ),
    *(
        Recipe("langflow-base", merge, requirements=LANGFLOW, dialect="sqlite")
        for merge in ("844cad9a53fa", "a6d8e0f2b4c7", "0819aa415ead")
    ),
]


def case(recipe: Recipe) -> Any:
    marker = pytest.mark.network if recipe.quick else pytest.mark.heavy
    return pytest.param(recipe, id=str(recipe), marks=[marker, pytest.mark.timeout(1200)])


@pytest.mark.parametrize("recipe", [case(recipe) for recipe in RECIPES])
def test_a_pull_request_as_the_maintainers_had_it(recipe: Recipe, tmp_path: Path) -> None:
    store, heads = repository(recipe, tmp_path)
    world = make_world(store.path, tmp_path)
    with world.github:
        job = Job(world, tmp_path, extra=SURROUNDINGS)
        tip, main = world.tip("feature"), world.tip("main")
        began = time.monotonic()
        ran = job.run("pull_request", job.pull(), install="", strategy="single")
        seconds = time.monotonic() - began
        assert (ran.code, ran.status, ran.outputs["verdict"]) == (0, "merged", "commute"), "\n".join(ran.log)

        installed = next(line for line in ran.log if line.startswith("Installed from requirements.txt in "))
        commit = ran.outputs["commit-sha"]
        assert world.tip("feature") == commit and world.store.parents(commit) == (tip, main)
        (merge,) = json.loads(ran.outputs["merges"])
        assert sorted(merge["parents"]) == sorted(heads), "what the maintainers merged"
        changed = world.store.text("diff", "--name-status", f"{commit}^1", commit).split("\n")
        brought = world.store.text("diff", "--name-status", "feature~1...main").split("\n")
        assert sorted(changed) == sorted([*brought, f"A\t{merge['path']}"])
        assert graph_of(world.store.path, commit).heads == (merge["revision"],)

        (comment,) = world.store.comments
        assert f"Merged {len(heads)} heads" in comment.body and "proven" in comment.body
        text = comment.body
        ran = job.run("pull_request", job.pull(), install="")
        assert (ran.code, ran.status, job.converged) == (0, "converged", 1)
        world.client.close()
    assert world.github.violations == []
    print(f"\n{recipe}: {seconds:.1f} s; {installed}; {text}")


def repository(recipe: Recipe, folder: Path) -> tuple[Store, tuple[str, ...]]:
    """A repository with the project: common ancestors, then on `main` the first head's branch, on `feature` the rest."""
    project = cut_open(recipe, folder / "project")
    (folder / "graph").mkdir()
    graph = read_folders(folder / "graph", project.versions)
    heads = project.heads
    whole = files(project.folder)
    mine = graph.ancestors(heads[:1])
    others = graph.ancestors(heads[1:])
    paths = {
        id: revision_path(graph, folder / "graph", id).relative_to(project.folder) for id in graph.revisions
    }
    both = {str(paths[id]) for id in mine & others}
    store = Store(folder / "made" / "octo-shop.git")
    store.initialise()
    start = {
        path: data for path, data in whole.items() if path in both or path not in map(str, paths.values())
    }
    requirements = "".join(f"{line}\n" for line in recipe.requirements).encode()
    store.commit("main", {**start, "requirements.txt": requirements}, message="start")
    store.git("update-ref", "refs/heads/feature", "main")
    for branch, ids in (("main", mine - others), ("feature", others - mine)):
        store.commit(
            branch, {str(paths[id]): whole[str(paths[id])] for id in ids}, message=f"{len(ids)} revisions"
        )
    return store, heads


def files(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def graph_of(path: Path, treeish: str) -> Graph:
    tree = GitTree(path, treeish)
    return Graph(read_history(tree, load_project(tree, config=None, cwd=path)))
