"""What git has now, merged in memory: from shallow, full, partial and no checkouts, without touching them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from converger.errors import ConvergerError
from converger.github.merged import (
    change_of,
    checkout,
    look_at_branch,
    look_at_commit,
    merge_pull_request,
)
from converger.github.repository import FetchFailed, Remote, ScratchRepository
from converger.report.result import Looked
from tests.github.server.world import TOKEN, World, graph_of, revision_file


def clone(world: World, *options: str) -> Path:
    """A checkout as a workflow has one; it holds no token."""
    path = world.folder / "workspace"
    source = f"file://{world.store.path}"
    subprocess.run(["git", "clone", "--quiet", *options, source, str(path)], check=True, capture_output=True)
    return path


def state_of(path: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(path.rglob("*")) if p.is_file() and not p.is_symlink()}


def expected_tree(world: World, base: str, head: str) -> str:
    """What git makes of the two in the repository that has everything."""
    return world.store.text("merge-tree", "--write-tree", base, head).splitlines()[0]


CHECKOUTS = {
    "none": None,
    "shallow": ("--depth=1", "--branch=feature"),
    "shallow-base": ("--depth=1", "--branch=main"),
    "full": (),
    "partial": ("--filter=blob:none", "--no-checkout"),
}


@pytest.mark.parametrize("kind", CHECKOUTS)
def test_the_merged_tree_is_gits_whatever_the_checkout_has(world: World, kind: str) -> None:
    options = CHECKOUTS[kind]
    workspace = None if options is None else clone(world, *options)
    before = state_of(workspace) if workspace else None
    head = world.tip("feature")
    found = merge_pull_request(world.scratch(workspace=workspace), "main", Looked(head, "feature"))
    assert found.base == Looked(world.tip("main"), "main")
    assert found.head == Looked(head, "feature")
    assert found.tree == expected_tree(world, world.tip("main"), head)
    assert found.conflicts == ()
    assert found.parents == (head, world.tip("main"))
    assert graph_of(found.path, found.tree).heads == ("ffff", "mmmm")
    if workspace is not None:
        assert state_of(workspace) == before


def test_a_full_clone_that_fell_behind_is_no_shallow_one_afterwards(world: World) -> None:
    workspace = clone(world, "--branch=feature")
    world.store.commit("main", revision_file("m2", "mmmm"))
    found = merge_pull_request(
        world.scratch(workspace=workspace), "main", Looked(world.tip("feature"), "feature")
    )
    assert found.base == Looked(world.tip("main"), "main")
    assert graph_of(found.path, found.tree).heads == ("ffff", "m2")
    assert not (workspace / ".git" / "shallow").exists()


def test_only_what_the_checkout_has_not_is_fetched(world: World) -> None:
    world.store.commit("main", {"large.bin": os.urandom(1_000_000)})
    world.store.git("update-ref", "refs/heads/feature", world.tip("main"))
    world.store.commit("feature", {"small.txt": b"x"})
    world.store.commit("main", {"small2.txt": b"x"})
    workspace = clone(world, "--depth=1", "--branch=feature")
    scratch = world.scratch(workspace=workspace)
    merge_pull_request(scratch, "main", Looked(world.tip("feature"), "feature"))
    own = sum(path.stat().st_size for path in scratch.path.parent.rglob("*") if path.is_file())
    assert own < 200_000


def test_branches_that_were_merged_into_each_other(world: World) -> None:
    """Two merge bases: git merges these first. A shallow look would find none of it."""
    store = world.store
    text = [b"%d\n" % number for number in range(40)]

    def changed(**lines: bytes) -> bytes:
        return b"".join(lines.get(f"l{number}", line) for number, line in enumerate(text))

    fork = store.commit("main", {"x.txt": changed()})
    store.git("update-ref", "refs/heads/feature", fork)
    one = store.commit("main", {"x.txt": changed(l3=b"main\n")})
    two = store.commit("feature", {"x.txt": changed(l30=b"feature\n")})
    both = changed(l3=b"main\n", l30=b"feature\n")
    store.commit("main", {"x.txt": both}, parents=(one, two))
    store.commit("feature", {"x.txt": both}, parents=(two, one))
    store.commit("main", {"x.txt": changed(l3=b"main again\n", l30=b"feature\n")})
    store.commit("feature", {"x.txt": changed(l3=b"main\n", l30=b"feature again\n")})
    assert len(store.text("merge-base", "--all", "main", "feature").split()) == 2
    found = world.merged()
    assert found.conflicts == ()
    assert found.tree == expected_tree(world, world.tip("main"), world.tip("feature"))


def test_histories_without_anything_in_common(world: World) -> None:
    orphan = world.store.commit("other", {"else.txt": b"x"}, parents=())
    found = merge_pull_request(world.scratch(), "main", Looked(orphan, "other"))
    assert found.conflicts == ()
    assert graph_of(found.path, found.tree).heads == ("mmmm",)


def test_a_conflict_elsewhere_does_not_hide_the_heads(world: World) -> None:
    world.store.commit("main", {"app.py": b"main\n"})
    world.store.commit("feature", {"app.py": b"feature\n", "gone.txt": b"changed\n"})
    found = world.merged()
    assert found.conflicts == ("app.py", "gone.txt")
    assert graph_of(found.path, found.tree).heads == ("ffff", "mmmm")
    with pytest.raises(ConvergerError) as error:
        change_of(found, {}, "message")
    assert error.value.code == "merge-conflict"


def test_a_head_that_has_the_base_already_has_one_parent_more_all_the_same(world: World) -> None:
    tip = world.tip("main")
    found = merge_pull_request(world.scratch(), "main", Looked(tip, "main"))
    assert found.parents == (tip,)
    assert found.tree == world.store.text("rev-parse", f"{tip}^{{tree}}")


def test_a_commit_of_a_fork_is_found_by_its_id(world: World) -> None:
    """A fork's head is in no branch of the base's repository, only below refs/pull."""
    head = world.store.commit(None, revision_file("kkkk", "bbbb"), parents=(world.tip("feature"),))
    world.store.git("update-ref", "refs/pull/7/head", head)
    found = merge_pull_request(world.scratch(), "main", Looked(head, "somebody:feature"))
    assert graph_of(found.path, found.tree).heads == ("ffff", "kkkk", "mmmm")


def test_a_branch_and_a_merge_group_are_looked_at_as_they_are(world: World) -> None:
    found = look_at_branch(world.scratch(), "main")
    assert (found.head, found.base, found.parents) == (
        Looked(world.tip("main"), "main"),
        None,
        (world.tip("main"),),
    )
    assert graph_of(found.path, found.tree).heads == ("mmmm",)
    group = look_at_commit(world.scratch(), world.tip("feature"), "gh-readonly-queue/main/pr-1")
    assert graph_of(group.path, group.tree).heads == ("ffff",)


def test_the_checkout_of_a_merged_tree_is_a_work_tree(world: World, tmp_path: Path) -> None:
    world.store.commit("feature", {"dir/x.txt": b"x\r\n", ".gitattributes": b"*.txt -text filter=evil\n"})
    scratch = world.scratch()
    found = merge_pull_request(scratch, "main", Looked(world.tip("feature"), "feature"))
    folder = tmp_path / "tree"
    checkout(scratch, found.tree, folder, found.head.commit)
    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    del files[".git"]
    assert set(files) == {*world.store.files("main"), *world.store.files("feature")} - {"gone.txt"}
    assert files["dir/x.txt"] == b"x\r\n"

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git("rev-parse", "--show-toplevel") == str(folder)
    assert git("diff", "--name-only") == git("ls-files", "--others") == ""
    assert git("rev-parse", "HEAD") == found.head.commit
    assert git("rev-parse", "main") == git("rev-parse", "origin/main") == world.tip("main")


def test_the_change_is_small_and_makes_the_tree(world: World) -> None:
    found = world.merged()
    change = change_of(found, {"migrations/versions/m.py": b"merge\n"}, "message")
    paths = {entry.path: entry.id for entry in change.entries}
    # Against the base: what the pull request brings. Only what is on neither side is sent.
    assert set(paths) == {"both.txt", "migrations/versions/ffff_.py", "migrations/versions/m.py"}
    assert set(change.blobs.values()) == {
        b"merge\n",
        b"main\n" + world.store.files("feature")["both.txt"],
    }
    assert world.store.text("cat-file", "-t", change.base_tree) == "tree"


def test_modes_links_and_removals_survive(world: World) -> None:
    store = world.store
    index = {"GIT_INDEX_FILE": str(world.folder / "index")}
    store.git("read-tree", "feature", **index)
    blob = store.git("hash-object", "-w", "--stdin", input=b"app.py").decode().strip()
    lines = f"100755 {blob}\trun.sh\n120000 {blob}\tlink\n160000 {'1' * 40}\tsub\n0 {'0' * 40}\tapp.py\n"
    store.git("update-index", "--index-info", input=lines.encode(), **index)
    head = store.commit_tree(store.text("write-tree", **index), (world.tip("feature"),), "modes")
    store.git("update-ref", "refs/heads/feature", head)
    store.commit("main", {f"{number}.txt": b"x" for number in range(9)})
    found = world.merged()
    change = change_of(found, {}, "message")
    modes = {entry.path: (entry.mode, entry.id) for entry in change.entries}
    assert modes["run.sh"] == ("100755", blob)
    assert modes["link"] == ("120000", blob)
    assert modes["sub"] == ("160000", "1" * 40)
    assert modes["app.py"] == ("100644", None)
    for data in change.blobs.values():
        store.git("hash-object", "-w", "--stdin", input=data)
    assert change.tree == found.tree == store.tree(change.base_tree, [vars_of(e) for e in change.entries])


def vars_of(entry: object) -> dict[str, object]:
    return {"path": entry.path, "mode": entry.mode, "sha": entry.id}  # type: ignore[attr-defined]


def test_a_name_that_is_no_utf8_is_said_to_be_the_reason(world: World) -> None:
    store = world.store
    blob = store.git("hash-object", "-w", "--stdin", input=b"x").decode().strip()
    index = {"GIT_INDEX_FILE": str(world.folder / "index")}
    store.git("read-tree", "feature", **index)
    store.git("update-index", "-z", "--index-info", input=f"100644 {blob}\tf".encode() + b"\xff\0", **index)
    head = store.commit_tree(store.text("write-tree", **index), (world.tip("feature"),), "x")
    store.git("update-ref", "refs/heads/feature", head)
    store.commit("main", {f"{n}.txt": b"x" for n in range(9)})
    with pytest.raises(ConvergerError) as error:
        change_of(world.merged(), {}, "message")
    assert error.value.code == "path-not-utf8"


# -- the token -------------------------------------------------------------------------------------


def test_a_public_repository_needs_no_token(world: World) -> None:
    world.store.public = True
    found = merge_pull_request(world.scratch(token=None), "main", Looked(world.tip("feature"), "feature"))
    assert found.conflicts == ()


@pytest.mark.parametrize("token", [None, "ghs_" + "wrong" * 7])
def test_who_may_not_read_is_told_so_without_the_token(world: World, token: str | None) -> None:
    with pytest.raises(FetchFailed) as error:
        merge_pull_request(world.scratch(token=token), "main", Looked(world.tip("feature"), "feature"))
    assert error.value.code == "fetch-failed"
    assert "main" in error.value.message
    assert token is None or token not in f"{error.value!r} {error.value} {error.value.hint}"


def test_what_is_not_there_is_named(world: World) -> None:
    with pytest.raises(FetchFailed, match="the branch nowhere"):
        look_at_branch(world.scratch(), "nowhere")
    with pytest.raises(FetchFailed, match="eeeeeeeeeeee"):
        look_at_commit(world.scratch(), "e" * 40, "x")


def test_a_server_that_says_nothing_does_not_hold_us_up(world: World, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        remote = Remote(f"http://127.0.0.1:{silent.getsockname()[1]}", "octo/shop", TOKEN)
        scratch = ScratchRepository(tmp_path / "s", remote, seconds=0.3)
        with pytest.raises(FetchFailed, match=r"0\.3 seconds"):
            look_at_branch(scratch, "main")


def test_the_token_is_in_no_argument_no_file_and_no_repr(world: World, tmp_path: Path) -> None:
    """Looked at from outside: a git of ours writes down how it is called before it goes on."""
    log = tmp_path / "log"
    fake = tmp_path / "bin" / "git"
    fake.parent.mkdir()
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    fake.write_text(f'#!/bin/sh\nprintf "%s\\n" "$*" >> {log}.arguments\nenv > {log}.$$\nexec {real} "$@"\n')
    fake.chmod(0o755)
    scratch = None
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{fake.parent}{os.pathsep}{before}"
    try:
        scratch = world.scratch()
        merge_pull_request(scratch, "main", Looked(world.tip("feature"), "feature"))
    finally:
        os.environ["PATH"] = before
    import base64

    encoded = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    secrets = (TOKEN.encode(), encoded.encode())
    arguments = Path(f"{log}.arguments").read_bytes()
    assert b"fetch" in arguments
    for place in (arguments, repr(scratch.remote).encode(), repr(vars(scratch)).encode()):
        assert not any(secret in place for secret in secrets)
    for data in state_of(scratch.path.parent).values():
        assert not any(secret in data for secret in secrets)
    # Of all calls of git only those that fetch have it, in their environment.
    given = [path.read_bytes() for path in tmp_path.glob("log.*") if path.name.removeprefix("log.").isdigit()]
    having = [data for data in given if any(secret in data for secret in secrets)]
    assert len(given) > len(having) == arguments.count(b" fetch ")


def test_the_header_goes_to_this_server_only() -> None:
    remote = Remote("https://github.example", "octo/shop", TOKEN)
    values = remote.variables()
    keys = [value for name, value in values.items() if name.startswith("GIT_CONFIG_KEY_")]
    headers = {key for key in keys if key.endswith(".extraHeader")}
    assert headers == {"http.https://github.example/.extraHeader"}
