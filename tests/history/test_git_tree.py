"""The same reading from a commit: no checkout, shallow and detached clones, links and submodules."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from converger.git import GitError, find_root, resolve_commit, run_git
from converger.history import GitTree, Graph, History, read_history
from converger.project import load_project
from tests.history.gits import commit_all, git
from tests.history.real_alembic import codes, ours, project_folder, write_revision


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git(root, "init", "-q")
    project_folder(root)
    return root


def _versions(root: Path) -> Path:
    return root / "migrations" / "versions"


def _at(root: Path, treeish: str) -> History:
    tree = GitTree(root, treeish)
    return read_history(tree, load_project(tree, config=None, cwd=root))


def test_a_commit_is_read_as_its_files_were(repository: Path) -> None:
    versions = _versions(repository)
    write_revision(versions, "a", name="a b\nc.py")
    write_revision(versions, "b", "a", labels="red", name="é.py")
    (versions / "c.py").write_text("revision = 'c'\ndown_revision = f()\n")
    (versions / "d.py").write_text("revision = 'd'\ndown_revision = 'b'\ndef u():\n    print 'x'\n")
    (versions / "e.py").write_bytes(b"revision = 'e'\r\ndown_revision = 'd'\r\n")
    commit = commit_all(repository)
    before = ours(repository)[1]
    for path in versions.iterdir():
        path.unlink()
    git(repository, "rm", "-q", "-r", "--cached", ".")
    after = _at(repository, commit)
    assert after == before and len(after.revisions) == 4
    assert {code for code, _ in codes(after)} == {"computed-identifier", "syntax-error"}


def test_the_working_tree_does_not_show_through(repository: Path) -> None:
    write_revision(_versions(repository), "a")
    first = commit_all(repository)
    write_revision(_versions(repository), "b", "a")
    second = commit_all(repository)
    write_revision(_versions(repository), "c", "b")
    assert Graph(_at(repository, first)).heads == ("a",)
    assert Graph(_at(repository, second)).heads == ("b",)
    assert ours(repository)[2].heads == ("c",)
    assert Graph(_at(repository, f"{second}^{{tree}}")).heads == ("b",)


def test_shallow_detached_and_linked_work_trees(repository: Path, tmp_path: Path) -> None:
    write_revision(_versions(repository), "a")
    old = commit_all(repository)
    write_revision(_versions(repository), "b", "a")
    new = commit_all(repository)
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository}", "shallow")
    shallow = tmp_path / "shallow"
    git(shallow, "checkout", "-q", "--detach")
    assert Graph(_at(shallow, "HEAD")).heads == ("b",)
    assert resolve_commit(shallow, old) is None and resolve_commit(shallow, "HEAD") == new
    with pytest.raises(GitError):
        _at(shallow, old)
    git(repository, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"), old)
    assert find_root(tmp_path / "linked" / "migrations") == tmp_path / "linked"
    assert Graph(_at(tmp_path / "linked", "HEAD")).heads == ("a",)


def test_links_are_followed_inside_the_commit_only(repository: Path) -> None:
    versions = _versions(repository)
    (repository / "real").mkdir()
    write_revision(repository / "real", "a", name="a.py")
    (versions / "a.py").symlink_to("../../real/a.py")
    (versions / "out.py").symlink_to("../../../outside.py")
    (versions / "absolute.py").symlink_to("/etc/passwd")
    (versions / "gone.py").symlink_to("nothing.py")
    (versions / "round.py").symlink_to("round.py")
    (repository.parent / "outside.py").write_text("revision = 'z'\ndown_revision = None\n")
    history = _at(repository, commit_all(repository))
    assert list(history.revisions) == ["a"]
    assert codes(history) == [
        ("symlink-outside-repository", "absolute.py"),
        ("unreadable-file", "gone.py"),
        ("symlink-outside-repository", "out.py"),
        ("unreadable-file", "round.py"),
    ]


def test_a_linked_versions_folder(repository: Path) -> None:
    versions = _versions(repository)
    versions.rmdir()
    (repository / "elsewhere").mkdir()
    write_revision(repository / "elsewhere", "a")
    versions.symlink_to("../elsewhere")
    commit = commit_all(repository)
    assert _at(repository, commit) == ours(repository)[1]
    assert _at(repository, commit).revisions["a"].path == "migrations/versions/a_.py"


def test_a_submodule_is_no_empty_folder(repository: Path, tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    git(inner, "init", "-q")
    write_revision(inner, "a")
    commit_all(inner)
    _versions(repository).rmdir()
    git(repository, "submodule", "add", "-q", str(inner), "migrations/versions")
    history = _at(repository, commit_all(repository))
    assert not history.revisions and codes(history) == [("unreadable-file", "versions")]


def test_versions_outside_the_repository(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    write_revision(tmp_path / "far", "a")
    (repository / "alembic.ini").write_text(
        f"[alembic]\nscript_location = migrations\npath_separator = os\nversion_locations = {tmp_path}/far\n"
    )
    (repository / "migrations" / "env.py").write_text("")
    commit = commit_all(repository)
    assert list(ours(repository)[1].revisions) == ["a"]
    assert ours(repository)[1].revisions["a"].path == f"{tmp_path}/far/a_.py"
    history = _at(repository, commit)
    assert [(problem.code, problem.severity) for problem in history.problems] == [
        ("outside-repository", "error")
    ]


def test_an_object_that_is_missing_is_not_fetched(repository: Path, tmp_path: Path) -> None:
    path = write_revision(_versions(repository), "a")
    write_revision(_versions(repository), "b", "a")
    commit = commit_all(repository)
    blob = git(repository, "hash-object", str(path))
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    history = _at(repository, commit)
    assert ("unreadable-file", path.name) in codes(history) and "b" in history.revisions


def test_two_processes_are_enough(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(30):
        write_revision(_versions(repository), f"r{number}", f"r{number - 1}" if number else None)
    commit = commit_all(repository)
    tree = GitTree(repository, commit)
    project = load_project(tree, config=None, cwd=repository)
    calls: list[str] = []

    def counting(root: Path, arguments: list[str], *, input: bytes | None = None) -> bytes:
        calls.append(arguments[0])
        return run_git(root, arguments, input=input)

    monkeypatch.setattr("converger.history.gittree.run_git", counting)
    read_history(tree, project)
    assert calls == ["cat-file"]  # the listing was made for the configuration


def test_resolve_commit(repository: Path) -> None:
    commit = commit_all(repository)
    git(repository, "tag", "-a", "v1", "-m", "x")
    git(repository, "branch", "feature/x")
    for text in ("HEAD", "main", "v1", "feature/x", commit, commit[:8], "HEAD~0", "refs/heads/main"):
        assert resolve_commit(repository, text) == commit, text
    (repository / ".git" / "refs" / "heads" / "--output=x").write_text(commit)
    for text in (
        "",
        "nope",
        "--output=x",
        "-h",
        "--all",
        "HEAD:alembic.ini",
        "a..b",
        "a\0b",
        "HEAD\nmain",
        "HEAD^{tree}",
    ):
        assert resolve_commit(repository, text) is None, text
    assert not (repository / "x").exists()
    with pytest.raises(ValueError, match="not a commit"):
        GitTree(repository, "--output=x")


def test_find_root(tmp_path: Path, repository: Path) -> None:
    assert find_root(_versions(repository)) == repository
    assert find_root(repository) == repository
    assert find_root(tmp_path) is None or find_root(tmp_path) != repository
    assert find_root(Path(os.path.relpath(repository))) == repository


def test_a_hooks_environment_does_not_lead_elsewhere(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = commit_all(repository)
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    assert resolve_commit(repository, "HEAD") == commit


def test_git_failures_are_said(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(GitError, match="ls-tree") as raised:
        run_git(repository, ["ls-tree", "nope"])
    assert raised.value.exit_code == 3
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="not installed"):
        resolve_commit(repository, "HEAD")


def test_a_repository_of_another_user_is_read(repository: Path) -> None:
    """In a container the checkout belongs to somebody else; git refuses that unless told."""
    write_revision(_versions(repository), "a")
    commit = commit_all(repository)
    if os.geteuid() != 0:
        pytest.skip("only root can give files away")
    for folder, _, files in os.walk(repository):
        for name in (".", *files):
            os.lchown(os.path.join(folder, name), 12345, 12345)
    assert resolve_commit(repository, "HEAD") == commit
    assert list(_at(repository, commit).revisions) == ["a"]
