"""--from-revision with a revision, a prefix, a commit, a branch and a tag: the two examples of the README."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.alembic_project import AlembicProject

COMMAND = f"{sys.executable} -m converger.cli converge --skip-validation --dry-run --format json"


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    """On main: base, then old1 and old2 that nobody merged; tagged v1. Since then two branches on old1."""
    origin = AlembicProject(tmp_path / "origin", url="sqlite:///never.db")
    origin.sql("base0001", None)
    origin.sql("0dd10001", "base0001")
    origin.sql("0dd20001", "base0001")
    origin.commit()
    origin.git("tag", "-a", "v1", "-m", "one")
    subprocess.run(["git", "clone", "-q", str(origin.root), str(tmp_path / "clone")], check=True)
    clone = AlembicProject.__new__(AlembicProject)
    clone.__dict__.update(origin.__dict__)
    clone.root = tmp_path / "clone"
    clone.versions = clone.root / "migrations" / "versions"
    clone.git("checkout", "-q", "-b", "work")
    clone.sql("aaaa0001", "0dd10001")
    clone.commit()
    clone.sql("bbbb0001", "0dd10001")
    clone.commit()
    return clone


def run(project: AlembicProject, shell: str) -> tuple[int, dict[str, Any], str]:
    import json

    done = subprocess.run(["bash", "-c", shell], cwd=project.root, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def parents(result: dict[str, Any]) -> set[str]:
    """The heads that are merged: the parents of the merges that are no merges themselves."""
    merges = result["merges"]
    return {id for merge in merges for id in merge["parents"]} - {merge["revision"] for merge in merges}


@pytest.mark.parametrize(
    "argument",
    [
        "$(git merge-base origin/main HEAD)",
        "$(git describe --tags --abbrev=0)",
        "v1",
        "origin/main",
        "HEAD~2",
    ],
)
def test_a_commit_means_the_heads_that_it_had(project: AlembicProject, argument: str) -> None:
    """0dd1 and 0dd2 were heads there: all three heads of today descend from (or are) one of them."""
    before = project.digest()
    code, result, _ = run(project, f"{COMMAND} --from-revision {argument}")
    assert code == 0, result
    assert parents(result) == {"0dd20001", "aaaa0001", "bbbb0001"}
    assert project.digest() == before
    assert project.git("status", "--porcelain") == ""


@pytest.mark.parametrize("argument", ["0dd10001", "0dd1"])
def test_a_revision_or_prefix_takes_only_its_descendants(project: AlembicProject, argument: str) -> None:
    code, result, _ = run(project, f"{COMMAND} --from-revision {argument}")
    assert code == 0
    assert parents(result) == {"aaaa0001", "bbbb0001"}
    assert result["heads"] == ["0dd20001", "aaaa0001", "bbbb0001"], "what `alembic heads` says"
    assert result["base"] == "0dd10001"


def test_heads_that_are_left_out_are_said(project: AlembicProject) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{COMMAND} --format text --from-revision 0dd1"],
        cwd=project.root,
        capture_output=True,
        text=True,
    )
    assert "0dd20001" in done.stdout, "the history still has this head afterwards"


def test_the_working_tree_counts_not_the_commit(project: AlembicProject) -> None:
    project.sql("cccc0001", "0dd10001")
    _, result, _ = run(project, f"{COMMAND} --from-revision v1")
    assert "cccc0001" in parents(result)


def test_something_unknown_is_a_usage_error_that_names_the_way_out(project: AlembicProject) -> None:
    code, _, errors = run(project, f"{COMMAND} --from-revision nothing-of-that-name")
    assert code == 2
    assert "nothing-of-that-name" in errors
    assert "fetch-depth: 0" in " ".join(errors.split())


def test_a_name_cannot_become_an_option_of_git(project: AlembicProject) -> None:
    code, _, _ = run(project, f"{COMMAND} --from-revision=--output=stolen")
    assert code == 2
    assert not (project.root / "stolen").exists()


def test_a_git_branch_comes_before_a_label_of_the_same_name(project: AlembicProject) -> None:
    project.sql("1abe1001", "0dd20001", labels="work")
    _, result, _ = run(project, f"{COMMAND} --from-revision work")
    assert parents(result) == {"aaaa0001", "bbbb0001"}, (
        "the heads at the tip of the branch, not below the label"
    )


def test_a_head_of_then_that_is_gone_is_said(project: AlembicProject) -> None:
    (project.versions / "0dd20001_rev.py").unlink()
    code, _, errors = run(project, f"{COMMAND} --from-revision v1")
    assert code == 2
    assert "0dd20001" in errors


def test_a_commit_without_configuration_is_named(project: AlembicProject) -> None:
    project.git("checkout", "-q", "--orphan", "empty")
    project.git("rm", "-rq", "--cached", ".")
    project.git("commit", "-q", "--allow-empty", "-m", "nothing")
    project.git("tag", "nothing")
    code, _, errors = run(project, f"{COMMAND} --from-revision nothing")
    assert code == 2
    assert project.git("rev-parse", "nothing")[:12] in errors


def test_a_configuration_in_another_repository(project: AlembicProject, tmp_path: Path) -> None:
    """References are looked up where the configuration is, not where one happens to stand."""
    (tmp_path / "elsewhere").mkdir()
    command = f"cd {tmp_path / 'elsewhere'} && {COMMAND} -c {project.root / 'alembic.ini'} --from-revision v1"
    code, result, errors = run(project, command)
    assert code == 0, errors
    assert parents(result) == {"0dd20001", "aaaa0001", "bbbb0001"}
    assert all(path.startswith("migrations/") for path in (merge["path"] for merge in result["merges"]))
