"""Repositories and workspaces as strangers have them: links, submodules, large files elsewhere, odd checkouts."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject
from tests.github.running import EMAIL, VERSIONS, Job

LOOK = {"mode": "check", "comment": "false"}


def link(job: Job, branch: str, path: str, target: str, mode: str = "120000") -> None:
    """A link (or, with 160000, a submodule) in a commit on a branch."""
    store = job.store
    id = target if mode == "160000" else store.text("hash-object", "-w", "--stdin", input=target.encode())
    index = {"GIT_INDEX_FILE": str(job.folder / "index")}
    tip = job.world.tip(branch)
    store.git("read-tree", tip, **index)
    store.git("update-index", "--add", "--cacheinfo", f"{mode},{id},{path}", **index)
    tree = store.text("write-tree", **index)
    commit = store.text("commit-tree", "-m", "link", "-p", tip, tree)
    store.git("update-ref", f"refs/heads/{branch}", commit)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("name", ["seed-sql", "base-sql"])
def test_sql_through_a_link_out_of_the_repository(job: Job, name: str) -> None:
    secret = job.folder / "secret"
    secret.write_text("TOPSECRET\n")
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    link(job, "feature", "load.sql", str(secret))
    ran = job.run("pull_request", job.pull(), **LOOK, **{name.replace("-", "_"): "load.sql"})
    assert (ran.code, ran.status) == (2, "unevaluated")
    assert "leads out of the repository" in ran.summary and "TOPSECRET" not in ran.summary + "".join(ran.log)


def test_sql_that_git_lfs_has_elsewhere(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    job.store.commit("feature", {"load.sql": pointer})
    ran = job.run("pull_request", job.pull(), **LOOK, seed_sql="load.sql")
    assert (ran.code, ran.status) == (2, "unevaluated") and "Git LFS" in ran.summary


def test_a_configuration_and_revisions_through_links(job: Job) -> None:
    """Inside the repository they are followed, and merges are written where they lead; outside they are refused."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    link(job, "feature", "api/alembic.ini", "../alembic.ini")
    link(job, "feature", "api/migrations", "../migrations")
    ran = job.run("pull_request", job.pull(), skip_validation="true", working_directory="api")
    assert (ran.code, ran.status) == (0, "merged"), ran.log
    added = job.store.text("diff", "--name-status", "feature~1", "feature").split("\n")
    assert any(line.startswith("A\tmigrations/versions/") for line in added), added
    assert job.store.text("ls-tree", "feature", "api/migrations").startswith("120000")

    link(job, "feature", "out/alembic.ini", "/etc/passwd")
    ran = job.run("pull_request", job.pull(), **LOOK, working_directory="out")
    assert (ran.code, ran.status) == (2, "unevaluated") and "root:" not in ran.summary, ran.summary


def test_migrations_in_a_submodule(job: Job) -> None:
    job.store.commit("feature", {"sub/alembic.ini": b"[alembic]\nscript_location = %(here)s/migrations\n"})
    link(job, "feature", "sub/migrations", "1" * 40, "160000")
    ran = job.run("pull_request", job.pull(), **LOOK, working_directory="sub")
    assert ran.code in (2, 3) and ran.status == "unevaluated"
    assert "submodule" in ran.summary and "/converger-" not in ran.summary + "".join(ran.log)


def test_a_submodule_elsewhere_is_in_nobodys_way(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    link(job, "feature", "vendor", "1" * 40, "160000")
    ran = job.run("pull_request", job.pull())
    assert (ran.code, ran.status) == (0, "merged"), ran.log
    assert job.store.text("ls-tree", "feature", "vendor").startswith("160000")


@pytest.mark.parametrize(
    "how", ["depth 1", "all", "partial", "worktree", "below", "somebody else's", "none", "gone"]
)
def test_workspaces(job: Job, how: str) -> None:
    """Whatever the workspace is, the result is the same, and nothing of it is changed."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    workspace = job.folder / "workspace"
    url = f"file://{job.store.path}"
    options = {"depth 1": ["--depth=1", "--branch=feature"], "partial": ["--filter=blob:none"]}
    place = workspace / "below" if how == "below" else workspace
    if how == "worktree":
        git(job.folder, "clone", "-q", url, "main-clone")
        git(job.folder / "main-clone", "worktree", "add", "-q", str(workspace), "origin/feature")
    elif how == "gone":
        job.extra["GITHUB_WORKSPACE"] = str(job.folder / "nowhere")
    elif how != "none":
        git(job.folder, "clone", "-q", *options.get(how, []), url, str(place))
        git(place, "checkout", "-q", "--detach")
    if how == "somebody else's" and os.geteuid() == 0:
        for path in (workspace, *workspace.rglob("*")):
            os.chown(path, 1001, 1001)
    before = (
        git(place, "-c", "safe.directory=*", "status", "--porcelain", "--branch")
        if (place / ".git").exists()
        else ""
    )
    ran = job.run("pull_request", job.pull(), skip_validation="true", mode="check")
    assert (ran.code, ran.status) == (1, "would-merge"), ran.log
    assert bool(ran.outputs["report-path"]) == (how != "gone")
    if before:
        status = git(place, "-c", "safe.directory=*", "status", "--porcelain", "--branch")
        assert status == before and not (place / ".git" / "FETCH_HEAD").exists()
    if how == "somebody else's" and os.geteuid() == 0:
        report = workspace / ran.outputs["report-path"]
        assert {path.stat().st_uid for path in (report, report.parent, *report.parent.iterdir())} == {1001}


def test_a_report_folder_that_is_a_link(job: Job) -> None:
    elsewhere = job.folder / "elsewhere"
    elsewhere.mkdir()
    (job.folder / "workspace").mkdir()
    (job.folder / "workspace" / ".alembic-converger").symlink_to(elsewhere)
    ran = job.run("pull_request", job.pull(), **LOOK)
    assert (ran.code, ran.outputs["report-path"], list(elsewhere.iterdir())) == (0, "", [])


def test_no_folder_of_ours_is_in_a_report(job: Job) -> None:
    """Their names differ from run to run: a comment would be written anew each time."""
    body = "raise RuntimeError(f'no good in {__file__} with {sa.__file__} and {op.get_bind().engine.url}')"
    path = AlembicProject(job.folder / "made").revision("aaaa0001", "base0001", body)
    job.store.commit("feature", {f"{VERSIONS}/{path.name}": path.read_bytes()})
    ran = job.run("pull_request", job.pull())
    assert (ran.code, ran.status) == (1, "refused"), ran.log
    (comment,) = job.store.comments
    assert f"no good in {VERSIONS}/aaaa0001_rev.py with" in comment.body, comment.body
    report = (job.folder / "workspace" / ran.outputs["report-path"]).read_text()
    for text in (comment.body, ran.summary, report, "".join(ran.log)):
        assert not re.search(r"converger-\w+-[0-9a-f]{16}", text), text
    body = comment.body
    assert job.again("pull_request", job.pull()).code == 1 and comment.body == body


def test_settings_of_the_machine(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """They run nothing and change no result; a header that is there for our server is not sent twice."""
    files = {"old/a": b"a\n", "old/b": b"b\n", ".gitattributes": b"* merge=evil filter=evil\n"}
    job.store.git("update-ref", "refs/heads/feature", job.store.commit("main", files))
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    job.store.commit("feature", {"old/a": None, "old/b": None, "new/a": b"a\n", "new/b": b"b\n"})
    job.store.commit("main", {"old/c": b"c\n"})
    home, ran_it = job.folder / "home", job.folder / "ran"
    home.mkdir()
    script = f"sh -c 'echo >> {ran_it}; cat'"
    for name, value in {
        "merge.directoryRenames": "true",
        "merge.evil.driver": script,
        "filter.evil.smudge": script,
        "filter.evil.process": script,
        "core.fsmonitor": script,
        "core.sshCommand": script,
        "credential.helper": f"!{script}",
        f"http.{job.world.github.server_url}/.extraHeader": "Authorization: basic bm90OnVz",
    }.items():
        git(home, "config", "--file", str(home / ".gitconfig"), name, value)
    monkeypatch.setenv("HOME", str(home))
    ran = job.run("pull_request", job.pull(), skip_validation="true")
    assert (ran.code, ran.status) == (1, "would-merge"), ran.log
    assert "Git cannot merge 1 file" in ran.summary and not ran_it.exists()


def test_a_branch_with_an_emoji_and_a_percent_sign(job: Job) -> None:
    """GitHub allows nearly every character; they are in URLs, in arguments of git, and in the comment."""
    name = "fix/\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}#1%20&<b>`$(id)`"
    job.store.git("update-ref", f"refs/heads/{name}", job.world.tip("feature"))
    job.sql(name, "aaaa0001", "base0001", EMAIL)
    ran = job.run("pull_request", job.pull(name), skip_validation="true")
    assert (ran.code, ran.status) == (0, "merged"), ran.log
    (comment,) = job.store.comments
    assert "<b>" not in re.sub(r"`+.*?`+|```.*?```", "", comment.body, flags=re.DOTALL)
    assert job.run("pull_request", job.pull(name)).status == "converged"
    assert job.again("pull_request", job.pull(name)).code == 0
