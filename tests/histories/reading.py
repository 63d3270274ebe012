"""Reads real histories where they were unpacked, and rebuilds earlier states of them."""

from __future__ import annotations

import ast
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from alembic.script.revision import Revision as AlembicRevision
from alembic.script.revision import RevisionMap

from converger.history import Graph, History, WorkingTree, read_history
from converger.project import load_project

from .packages import RealHistory, unpacked


def read_real(history: RealHistory, folder: Path) -> Graph:
    """Read a history where it was unpacked, through a minimal alembic.ini of ours in `folder`."""
    root = unpacked(history)
    versions = tuple(root / name for name in history.versions_folders)
    return read_folders(folder, versions, recursive=history.recursive)


def read_folders(folder: Path, versions: tuple[Path, ...], *, recursive: bool = False) -> Graph:
    """Write an alembic.ini into `folder` that points at `versions`, and read what is there."""
    locations = "\n    ".join(str(path) for path in versions)
    ini = folder / "alembic.ini"
    ini.write_text(
        "[alembic]\n"
        f"script_location = {versions[0].parent}\n"
        f"version_locations =\n    {locations}\n"
        "path_separator = newline\n"
        f"recursive_version_locations = {str(recursive).lower()}\n"
    )
    tree = WorkingTree(folder)
    history: History = read_history(tree, load_project(tree, config=ini, cwd=folder))
    return Graph(history)


def revision_path(graph: Graph, root: Path, revision: str) -> Path:
    """Where the file of `revision` is; `root` is the folder that the graph was read with."""
    return root / graph.revisions[revision].path


def rebuild_state(graph: Graph, root: Path, revisions: Iterable[str], target: Path) -> Path:
    """Copy the files of `revisions` into the new folder `target`: the versions folder of an earlier day."""
    target.mkdir(parents=True)
    for revision in sorted(revisions):
        source = revision_path(graph, root, revision)
        # Two versions folders of one history may use the same file name.
        shutil.copyfile(source, target / f"{source.parent.name}_{source.name}")
    return target


def proper_ancestors(graph: Graph, revision: str) -> frozenset[str]:
    """All that `revision` builds on: the history just before it was added."""
    return graph.ancestors([revision]) - {revision}


def literals(path: Path) -> dict[str, Any]:
    """The literal assignments at the top of a revision file, read with nothing of ours."""
    return {name: value for name, (literal, value) in assignments(path).items() if literal}


def assignments(path: Path) -> dict[str, tuple[bool, Any]]:
    """What a revision file assigns at its top, by name: whether the value is a literal, and the value."""
    found: dict[str, tuple[bool, Any]] = {}
    for node in ast.parse(path.read_bytes()).body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        value = getattr(node, "value", None)
        for target in targets:
            if isinstance(target, ast.Name) and value is not None:
                try:
                    found[target.id] = (True, ast.literal_eval(value))
                except ValueError:
                    found[target.id] = (False, None)
    return found


def revision_map(folders: Iterable[Path]) -> RevisionMap:
    """Alembic's own graph of the revision files in `folders`, from their literal assignments."""
    return RevisionMap(lambda: [_literally(path) for folder in folders for path in _revision_files(folder)])


def _revision_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "revision" in literals(path))


def _literally(path: Path) -> AlembicRevision:
    """Alembic's own object for a revision file (a computed value as None)."""
    found = literals(path)
    return AlembicRevision(
        found["revision"],
        found.get("down_revision"),
        dependencies=found.get("depends_on") or None,
        branch_labels=found.get("branch_labels"),
    )
