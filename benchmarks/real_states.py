"""The verdict on every real state with several heads: what maintainers had on disk just before a merge of theirs.

    python benchmarks/real_states.py [--package NAME]... [--timeout SECONDS]

Each project of tests/histories/recipes.py whose maintainers merged is cut open at each of their merges, and run
with `alembic-converger converge --dry-run`, embedded PostgreSQL, its own env.py unless the recipe says otherwise. One
line for each state, as a row of the table in docs/real-histories.md. Downloads packages and makes environments on
first use (gigabytes); takes from five seconds to some minutes for each state.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from common import BIN, ROOT, environment

sys.path.insert(0, str(ROOT))

from converger.proof.embedded import start_postgres
from tests.histories.packages import expected_histories
from tests.histories.projects import CutOpen, Recipe, cut_open
from tests.histories.recipes import (
    FIDES,
    FLEXMEASURES,
    GALAXY,
    LANGFLOW,
    PRIVACYIDEA,
    QCFRACTAL,
    RECIPES,
    SUPERSET,
)


def recipes() -> Iterator[Recipe]:
    """One recipe for each package that has merges: how its history is run, wherever it is cut open."""
    langflow = Recipe("langflow-base", requirements=LANGFLOW)
    known = {recipe.package: recipe for recipe in RECIPES if recipe.merge and recipe.dialect == "postgresql"}
    for recipe in (FLEXMEASURES, SUPERSET, GALAXY, PRIVACYIDEA, QCFRACTAL, FIDES, langflow):
        known.setdefault(recipe.package, recipe)
    yield from known.values()


def states(packages: list[str]) -> Iterator[Recipe]:
    """A recipe for each merge of the packages that are asked for."""
    for recipe in recipes():
        if packages and recipe.package not in packages:
            continue
        for history in expected_histories():
            if history.package == recipe.package:
                for merge in history.merges:
                    yield replace(recipe, merge=merge.revision)


def run(project: CutOpen, timeout: float, server: str | None) -> dict[str, Any]:
    """What `converge --dry-run --format json` says. Raises subprocess.TimeoutExpired."""
    command = [str(BIN / "alembic-converger"), "converge", "--dry-run", "--format", "json"]
    command += ["--python", str(project.python), *project.options]
    if server is not None:
        command += ["--database-url", server]
    done = subprocess.run(
        command,
        cwd=project.folder,
        env=environment(write_bytecode=True),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if not done.stdout:
        return {
            "status": f"exit {done.returncode}: {done.stderr.strip()[-300:]}",
            "proof": None,
            "problems": [],
        }
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def row(recipe: Recipe, heads: int, result: dict[str, Any], seconds: float) -> str:
    proof = result["proof"]
    if proof is None:
        return f"| {recipe.package} | `{recipe.merge}` | {heads} | {result['status']} | | | {seconds:.0f} |"
    why = "; ".join(f"{c['kind']} {' / '.join(c['revisions'])}" for c in proof["conflicts"])
    if proof["verdict"] == "unevaluated":
        why = "; ".join(
            f"{p['code']}: {p['message'][:160]}" for p in result["problems"] if p["severity"] == "error"
        )
    covered = proof["coverage"]
    pairs = f"{covered['pairs']}/{covered['of']}, {covered['steps']} steps"
    return (
        f"| {recipe.package} | `{recipe.merge}` | {heads} | {proof['verdict']}{' ' if why else ''}{why} | {pairs}"
        f" | {proof['downgrade']['result']} | {seconds:.0f} |"
    )


def state(recipe: Recipe, folder: Path, timeout: float, server: str) -> str:
    """One row of the table, whatever happens."""
    try:
        project = cut_open(recipe, folder)
        began = time.monotonic()
        result = run(project, timeout, server if recipe.name_server else None)
        return row(recipe, len(project.heads), result, time.monotonic() - began)
    except (subprocess.TimeoutExpired, ValueError, AssertionError) as error:
        return (
            f"| {recipe.package} | `{recipe.merge}` | | {type(error).__name__}: {str(error)[-200:]} | | | |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--package", action="append", default=[], help="only this one; repeatable")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for one state (default 600)")
    options = parser.parse_args()
    titles = "history", "merge", "heads", "verdict", "pairs", "downgrade", "seconds"
    print(f"| {' | '.join(titles)} |\n|{' --- |' * len(titles)}", flush=True)
    server = start_postgres(lambda _: None)
    url = server.url
    named = f"postgresql+psycopg://{url.user}:{url.password}@{url.host}:{url.port}/{url.database}"
    try:
        for recipe in states(options.package):
            with tempfile.TemporaryDirectory(prefix="real-state-") as place:
                print(state(recipe, Path(place) / "project", options.timeout, named), flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
