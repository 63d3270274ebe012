"""Revisions in folders that Alembic does not read: said where they matter, and only there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from converger.history import GitTree, WorkingTree, below, read_history
from converger.project import load_project
from tests.history.real_alembic import ours, project_folder, theirs, write_revision


@pytest.fixture
def versions(tmp_path: Path) -> Path:
    return project_folder(tmp_path)


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def keystone(versions: Path) -> None:
    """As keystone has it: the first revision above, a folder for each release and line that only code names."""
    write_revision(versions, "init")
    write_revision(folder(versions / "yoga" / "expand"), "e1", "init")
    write_revision(folder(versions / "yoga" / "contract"), "c1", "init")
    write_revision(folder(versions / "bobcat" / "expand"), "e2", "e1")


def test_further_revisions_in_folders_that_code_names(versions: Path, tmp_path: Path) -> None:
    keystone(versions)
    _, history, graph = ours(tmp_path)
    assert graph.heads == tuple(theirs(tmp_path).get_heads()) == ("init",)  # Alembic passes over them too
    [problem] = history.problems
    assert (problem.code, problem.severity, problem.path) == (
        "revisions-below",
        "warning",
        "migrations/versions",
    )
    assert problem.message.startswith(
        "3 more revisions descend from those here, in bobcat/expand/, yoga/contract/ and yoga/expand/,"
    )
    ini = tmp_path / "alembic.ini"
    ini.write_text(ini.read_text() + "recursive_version_locations = true\n")
    _, history, graph = ours(tmp_path)
    assert (graph.heads, history.problems) == (("c1", "e2"), ())


def test_the_same_from_a_commit(versions: Path, tmp_path: Path) -> None:
    keystone(versions)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], check=True)
    found = []
    for tree in (WorkingTree(tmp_path), GitTree(tmp_path, "HEAD")):
        found.append(read_history(tree, load_project(tree, config=None, cwd=tmp_path)).problems)
    assert found[0] == found[1] != ()


def test_an_archive_or_a_copy_is_no_news(versions: Path, tmp_path: Path) -> None:
    """squashed: a0 <- a1 became s1; the old files are kept, and so is a copy of the live ones."""
    archive = folder(versions / "archive")
    write_revision(archive, "a0")
    write_revision(archive, "a1", "a0")
    write_revision(versions, "s1")
    write_revision(versions, "s2", "s1")
    copy = folder(versions / "backup")
    write_revision(copy, "s1")
    write_revision(copy, "s2", "s1")
    write_revision(folder(versions / "__pycache__"), "z", "s2")
    (folder(versions / "helpers") / "names.py").write_text('"""No down_revision = "s1" here."""\n')
    (versions / "helpers" / "broken.py").write_text("down_revision = 's1'\nrevision = (\n")
    assert ours(tmp_path)[1].problems == ()


def test_a_folder_that_is_a_version_location_itself_is_read(versions: Path, tmp_path: Path) -> None:
    write_revision(versions, "a")
    write_revision(folder(versions / "more" / "deep"), "b", "a")
    ini = tmp_path / "alembic.ini"
    here = "%(here)s/migrations/versions"
    ini.write_text(ini.read_text() + f"version_locations = {here}{':'}{here}/more/deep\n")
    _, history, graph = ours(tmp_path)
    assert (graph.heads, history.problems) == (("b",), ())


def test_folders_two_levels_below_an_empty_history(versions: Path, tmp_path: Path) -> None:
    write_revision(folder(versions / "a" / "b"), "x")
    [problem] = ours(tmp_path)[1].problems
    assert (problem.code, problem.severity) == ("revisions-below", "error")
    assert " in a/b/," in problem.message


def test_a_link_is_not_followed_and_the_effort_is_bounded(
    versions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_revision(versions, "a")
    elsewhere = folder(tmp_path / "elsewhere")
    write_revision(elsewhere, "b", "a")
    (versions / "link").symlink_to(elsewhere)
    (versions / "loop").symlink_to(versions)
    assert ours(tmp_path)[1].problems == ()
    for number in range(6):
        write_revision(folder(versions / f"f{number}"), f"b{number}", "a")
    monkeypatch.setattr(below, "_FILES", 4)
    assert ours(tmp_path)[1].problems[0].message.startswith("4 more revisions descend")
    monkeypatch.setattr(below, "_FOLDERS", 2)
    assert ours(tmp_path)[1].problems[0].message.startswith("2 more revisions descend")
