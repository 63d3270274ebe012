"""A change as one commit on a branch, through the API: all of it, or nothing that anybody sees.

Blobs, trees and commits that no branch has are invisible; what makes them seen is one last step, moving the branch,
and GitHub does that for a fast-forward only (`force=False`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from converger.errors import CouldNotEvaluate
from converger.github.api import Commit, GitHub
from converger.github.failures import BranchMoved
from converger.github.merged import Change

ATTEMPTS = 3


@dataclass(frozen=True)
class Committed:
    """What became of a change: the commit on `branch`, or None where there was nothing to do."""

    branch: str
    commit: Commit | None


def commit_to_branch(
    github: GitHub,
    branch: str,
    head: str,
    propose: Callable[[str], Change | None],
    attempts: int = ATTEMPTS,
) -> Committed:
    """Put a change on a branch that is at `head`.

    `propose` looks at a head and gives the change to make, whose first parent is that head, or None for nothing.
    Where the branch moved in the meantime it is asked again for the new head, `attempts` times in all. Before
    anything is written the branch is looked at: it moves on often while a proof runs.

    Raises BranchMoved when the branch would not stand still or is gone, BranchProtected, NotPermitted, and whatever
    `propose` raises.
    """
    for left in reversed(range(attempts)):
        change = propose(head)
        if change is None:
            return Committed(branch, None)
        if change.parents[0] != head:
            raise ValueError("the change is not one of this head")
        tip = github.tip(branch)
        try:
            if tip != head:
                raise BranchMoved(branch, tip)
            commit = make_commit(github, change)
            github.move_branch(branch, head, commit.id)
            return Committed(branch, commit)
        except BranchMoved as moved:
            if moved.tip is None or not left:
                raise
            head = moved.tip
    raise AssertionError("the last attempt gives or raises")


def make_commit(github: GitHub, change: Change) -> Commit:
    """The change as a commit that no branch has yet. What GitHub made is held against what was proven.

    Raises CouldNotEvaluate (`unexpected-tree`) where GitHub's tree is another one than ours.
    """
    for id, data in change.blobs.items():
        _same(github.add_blob(data), id)
    tree = github.add_tree(change.base_tree, change.entries) if change.entries else change.base_tree
    _same(tree, change.tree)
    commit = github.add_commit(change.message, tree, change.parents)
    if (commit.tree, commit.parents) != (change.tree, change.parents):
        _same(commit.tree, change.tree)
        raise _unexpected("the commit has other parents")
    return commit


def _same(found: str, wanted: str) -> None:
    if found != wanted:
        raise _unexpected(f"{found[:12]} instead of {wanted[:12]}")


def _unexpected(what: str) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"GitHub made something else of the files than git here does: {what}; no branch has it",
        code="unexpected-tree",
        hint="merge the base into the branch by hand, and report this with the two commits",
    )
