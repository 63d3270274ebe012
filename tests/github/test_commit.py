"""`mode: commit` against a GitHub that is backed by a real repository; every scenario is run twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from converger.errors import ConvergerError, CouldNotEvaluate
from converger.github.commit import Committed, commit_to_branch
from converger.github.failures import BranchMoved, BranchProtected, NotPermitted
from converger.github.merged import Change
from tests.github.server.store import READ_ONLY, Token
from tests.github.server.world import TOKEN, VERSIONS, World, graph_of, revision_file

MERGE = f"{VERSIONS}/merge_ffff_mmmm.py"


def run(world: World, head: str | None = None) -> Committed:
    return commit_to_branch(world.client, "feature", head or world.tip("feature"), world.propose)


def nothing_more(world: World) -> None:
    """The second run, for the head that the first one left."""
    tip, before = world.tip("feature"), len(world.github.writes)
    assert run(world) == Committed("feature", None)
    assert (world.tip("feature"), len(world.github.writes)) == (tip, before)


@pytest.mark.parametrize("world", ["", "/api/v3"], indirect=True)
def test_one_commit_brings_the_base_and_the_merge(world: World) -> None:
    head, main = world.tip("feature"), world.tip("main")
    done = run(world)
    tip = world.tip("feature")
    assert done.commit is not None and done.commit.id == tip and done.commit.verified
    assert world.store.parents(tip) == (head, main)
    merged = world.store.text("merge-tree", "--write-tree", main, head).splitlines()[0]
    assert world.store.files(tip) == {
        **{name: world.store.git("cat-file", "blob", f"{merged}:{name}") for name in names_of(world, merged)},
        MERGE: world.store.files(tip)[MERGE],
    }
    assert graph_of(world.store.path, tip).heads == ("merge_ffff_mmmm",)
    assert world.tip("main") == main
    # Nobody is named as the author: then GitHub signs.
    assert world.store.text("show", "--no-patch", "--format=%an %cn", tip) == "GitHub GitHub"
    assert world.github.writes == [
        *["POST /git/blobs"] * 2,
        "POST /git/trees",
        "POST /git/commits",
        "PATCH /git/refs/{ref}",
    ]
    nothing_more(world)


def names_of(world: World, tree: str) -> list[str]:
    return world.store.text("ls-tree", "-r", "--name-only", tree).splitlines()


def test_nothing_to_do_writes_nothing(world: World) -> None:
    world.store.commit("feature", {f"{VERSIONS}/ffff_.py": None})
    nothing_more(world)
    assert [call.operation for call in world.github.calls if "GIT" not in call.operation] == []


def test_a_branch_that_moved_while_the_proof_ran(world: World) -> None:
    event = world.tip("feature")
    later = world.store.commit("feature", {"app.py": b"new\n", **revision_file("f2", "ffff")})
    done = run(world, event)
    assert done.commit is not None
    assert world.store.parents(world.tip("feature")) == (later, world.tip("main"))
    assert graph_of(world.store.path, "feature").heads == ("merge_f2_mmmm",)
    nothing_more(world)


def test_a_branch_that_moved_between_the_look_and_the_write(world: World) -> None:
    """Just before the last step: GitHub refuses what is no fast-forward, and all is looked at again."""
    moved: list[str] = []
    add_commit = world.client.add_commit

    def and_then_somebody_pushes(message: str, tree: str, parents: tuple[str, ...]) -> object:
        made = add_commit(message, tree, parents)
        if not moved:
            moved.append(world.store.commit("feature", {"theirs.txt": b"x"}))
        return made

    world.client.add_commit = and_then_somebody_pushes  # type: ignore[assignment,method-assign]
    assert run(world).commit is not None
    tip = world.tip("feature")
    assert world.store.parents(tip) == (moved[0], world.tip("main"))
    assert world.store.files(tip)["theirs.txt"] == b"x"
    nothing_more(world)


def test_a_branch_that_never_stands_still(world: World) -> None:
    pushes: list[str] = []
    propose = world.propose

    def and_somebody_pushes(head: str) -> Change | None:
        change = propose(head)
        pushes.append(world.store.commit("feature", {"theirs.txt": str(len(pushes)).encode()}))
        return change

    with pytest.raises(BranchMoved) as error:
        commit_to_branch(world.client, "feature", world.tip("feature"), and_somebody_pushes)
    assert (error.value.code, len(pushes), world.tip("feature")) == ("branch-moved", 3, pushes[-1])
    assert world.github.writes == []


def test_another_run_of_ours_was_first(world: World) -> None:
    head = world.tip("feature")
    assert run(world).commit is not None
    tip = world.tip("feature")
    assert run(world, head) == Committed("feature", None)
    assert world.tip("feature") == tip


def test_a_branch_that_is_gone(world: World) -> None:
    head = world.tip("feature")
    world.store.git("update-ref", "refs/keep/feature", head)
    world.store.delete_branch("feature")
    for _ in range(2):
        with pytest.raises(BranchMoved, match="is gone"):
            run(world, head)
    assert world.github.writes == [] and world.store.tip("feature") is None


def test_a_protected_branch(world: World) -> None:
    world.store.protected.add("feature")
    head = world.tip("feature")
    for _ in range(2):
        with pytest.raises(BranchProtected, match="Changes must be made through a pull request"):
            run(world)
        assert world.tip("feature") == head


def test_a_token_that_can_only_read(world: World) -> None:
    world.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    head = world.tip("feature")
    for _ in range(2):
        with pytest.raises(NotPermitted) as error:
            run(world)
        assert error.value.code == "not-permitted"
    assert world.tip("feature") == head and world.github.writes == []


def test_a_conflict_elsewhere_is_no_commit(world: World) -> None:
    world.store.commit("main", {"app.py": b"main\n"})
    head = world.store.commit("feature", {"app.py": b"feature\n"})
    for _ in range(2):
        with pytest.raises(ConvergerError) as error:
            run(world)
        assert error.value.code == "merge-conflict"
    assert world.tip("feature") == head and world.github.writes == []


def test_what_github_makes_is_held_against_what_was_proven(world: World) -> None:
    change = world.propose(world.tip("feature"))
    assert change is not None
    head = world.tip("feature")
    wrong = replace(change, tree="0" * 40)
    with pytest.raises(CouldNotEvaluate) as error:
        commit_to_branch(world.client, "feature", head, lambda _: wrong)
    assert error.value.code == "unexpected-tree"
    assert world.tip("feature") == head and "PATCH /git/refs/{ref}" not in world.github.writes


def test_a_file_where_a_folder_was(world: World) -> None:
    """Git's trees through GitHub's list of changes: what goes makes room for what comes."""
    world.store.commit("main", {"a/b.txt": b"x", "c": b"x"}, message="both")
    world.store.commit("main", {"a/b.txt": None, "a": b"file\n", "c": None, "c/d.txt": b"y"})
    assert run(world).commit is not None
    files = world.store.files("feature")
    assert (files["a"], files["c/d.txt"]) == (b"file\n", b"y")
    nothing_more(world)
