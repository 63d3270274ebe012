"""What real Alembic says about a folder of revision files, and helpers to write such folders."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory

from converger.history import Graph, History, WorkingTree, read_history
from converger.project import Project, load_project


def write_revision(
    folder: Path,
    id: str,
    down: object = None,
    *,
    labels: object = None,
    needs: object = None,
    name: str | None = None,
) -> Path:
    """One ordinary revision file."""
    path = folder / (name or f"{id}_.py")
    path.write_text(
        f'"""Message of {id}\n\nRevision ID: {id}\nCreate Date: 2024-01-02 03:04:05.000006\n\n"""\n\n'
        f"revision = {id!r}\ndown_revision = {down!r}\nbranch_labels = {labels!r}\ndepends_on = {needs!r}\n\n\n"
        "def upgrade() -> None:\n    pass\n\n\ndef downgrade() -> None:\n    pass\n"
    )
    return path


def project_folder(root: Path) -> Path:
    """An ini file and an empty versions folder; gives the folder."""
    versions = root / "migrations" / "versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text(
        "[alembic]\nscript_location = %(here)s/migrations\npath_separator = os\n"
    )
    return versions


def ours(root: Path, **options: Any) -> tuple[Project, History, Graph]:
    """Everything our reader says about the project in `root`."""
    tree = WorkingTree(root)
    project = load_project(tree, config=options.get("config"), cwd=options.get("cwd", root))
    history = read_history(tree, project)
    return project, history, Graph(history)


def theirs(root: Path) -> ScriptDirectory:
    """Alembic's view of the same project. Loading is lazy: the revision map may still raise."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ScriptDirectory.from_config(Config(str(root / "alembic.ini")))


def codes(history: History) -> list[tuple[str, str]]:
    """Code and path of every problem."""
    return [(problem.code, Path(problem.path or "").name) for problem in history.problems]


def by_code(history: History) -> Mapping[str, Any]:
    return {problem.code: problem for problem in history.problems}
