"""What a pull request will be once it is merged: base tip and head, merged in memory, and commits made of that.

GitHub's own test merge is rebuilt on a push to the pull request only (or after 12 hours), so that it says nothing of
a base that moved on. `git merge-tree --write-tree` is the merge that `git merge` does, without a work tree.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.git import GitError, call_git, run_git
from converger.github.repository import ScratchRepository
from converger.report.result import Looked

_DEEPEST = 8
"""Levels of merge bases of merge bases; histories that cross more often than that are merged without the rest."""

# The settings of the machine and the user decide nothing: they name merge drivers and filters, among which a
# repository chooses by `.gitattributes`, and with `merge.directoryRenames` another tree would come out.
_NO_SETTINGS = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}

_IDENTITY = {
    # Commits that only the merge sees: the same on every machine.
    **{f"GIT_{who}_NAME": "converger" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "converger@localhost" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_DATE": "2000-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class Merged:
    """A tree to look at, in the repository `path` (a GitTree reads it), and the commits that it is made of.

    `base` is None where a branch is looked at by itself; `base_tree` and `head_tree` are the trees of both sides.
    `contains_base` is whether the head has the base's tip already, so that it alone says what the merge is made of.
    `conflicts` are the paths that git could not merge: in the tree they hold conflict markers, or one side's file.
    """

    path: Path
    tree: str
    head: Looked
    head_tree: str
    base: Looked | None = None
    base_tree: str | None = None
    conflicts: tuple[str, ...] = ()
    contains_base: bool = False

    @property
    def parents(self) -> tuple[str, ...]:
        """The parents of a commit that holds this tree: the head, and the base tip unless the head has it already."""
        if self.base is None or self.contains_base:
            return (self.head.commit,)
        return (self.head.commit, self.base.commit)


@dataclass(frozen=True)
class Entry:
    """One path that differs from the tree that a new one is made from; `id` None: it is gone."""

    path: str
    mode: str
    id: str | None


@dataclass(frozen=True)
class Change:
    """A commit to be made through the API, as data.

    `tree` is `base_tree`, which the server has, with `entries`; `blobs` are those contents that it may not have.
    """

    parents: tuple[str, ...]
    base_tree: str
    entries: tuple[Entry, ...]
    tree: str
    message: str
    blobs: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def merge_pull_request(repository: ScratchRepository, base_branch: str, head: Looked) -> Merged:
    """Fetch the tip of the base and the head, and merge them.

    Raises FetchFailed, and GitError where git cannot merge at all. A conflict is none of these: see `conflicts`.
    """
    base = Looked(repository.branch_and(base_branch, (head.commit,)), base_branch)
    levels = _levels(repository, base.commit, head.commit)
    repository.contents((base.commit, head.commit, *(commit for level in levels for commit in level)))
    repository.name(base_branch, base.commit)
    base_tree, head_tree = repository.tree_of(base.commit), repository.tree_of(head.commit)
    ours, theirs = _stand_ins(repository, (base.commit, head.commit), levels)
    tree, conflicts = merge_trees(repository.path, ours, theirs)
    contains_base = levels[:1] == ((base.commit,),)
    return Merged(repository.path, tree, head, head_tree, base, base_tree, conflicts, contains_base)


def look_at_branch(repository: ScratchRepository, branch: str) -> Merged:
    """Fetch the tip of a branch as it is now."""
    tip = repository.branch_and(branch)
    repository.contents((tip,))
    repository.name(branch, tip)
    tree = repository.tree_of(tip)
    return Merged(repository.path, tree, Looked(tip, branch), tree)


def look_at_commit(repository: ScratchRepository, commit: str, branch: str) -> Merged:
    """Fetch one commit, such as a merge group's. `branch` is what to call it."""
    repository.contents((commit,))
    tree = repository.tree_of(commit)
    return Merged(repository.path, tree, Looked(commit, branch), tree)


def merge_trees(path: Path, ours: str, theirs: str) -> tuple[str, tuple[str, ...]]:
    """Merge two commits in memory; gives the tree and the paths in conflict. Raises GitError."""
    command = [
        "merge-tree",
        "--write-tree",
        "-z",
        "--name-only",
        "--no-messages",
        "--allow-unrelated-histories",
    ]
    result = call_git(path, [*command, ours, theirs], variables=_NO_SETTINGS)
    if result.returncode not in (0, 1):
        said = result.stderr.decode("utf-8", "replace").strip()
        old = "usage" in said or "not a valid object name" in said.lower()
        raise GitError(f"git merge-tree failed: {said}", "git 2.38 or later is needed" if old else None)
    tree, *names = result.stdout.split(b"\0")
    conflicts = sorted({os.fsdecode(name) for name in names if name}) if result.returncode else []
    return tree.decode("ascii"), tuple(conflicts)


def checkout(repository: ScratchRepository, tree: str, folder: Path, commit: str | None = None) -> None:
    """Write the files of a tree into `folder`, which must be empty, as the work tree of the scratch repository.

    `commit` becomes HEAD there. Filters (LFS, line ends of the user's) are not run. What runs in `folder` can reach
    the repository, so it is not to be fetched into afterwards: take a new one. Raises GitError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if commit is not None:
        run_git(repository.path, ["update-ref", "--no-deref", "HEAD", commit])
    for arguments in (
        ["config", "core.bare", "false"],
        ["config", "core.worktree", str(folder)],
        ["read-tree", tree],
        [f"--work-tree={folder}", "checkout-index", "--all", "--force", "--index", f"--prefix={folder}/"],
    ):
        _checked(repository.path, arguments, _NO_SETTINGS)
    (folder / ".git").write_text(f"gitdir: {repository.path}\n", "utf-8")


def change_of(merged: Merged, files: Mapping[str, bytes], message: str) -> Change:
    """The commit that brings the merged tree and `files` (path in the repository -> contents).

    Raises CouldNotEvaluate (`merge-conflict`) where git could not merge: such a commit would hold conflict markers.
    """
    if merged.conflicts:
        count = "1 file" if len(merged.conflicts) == 1 else f"{len(merged.conflicts)} files"
        raise CouldNotEvaluate(
            f"git cannot merge {count}, so no commit can be made: {', '.join(merged.conflicts[:3])}",
            code="merge-conflict",
            hint="merge the base into the branch by hand; the merge revision is in the report",
        )
    tree = _with_files(merged, files)
    bases = (merged.head_tree,) if merged.base_tree is None else (merged.head_tree, merged.base_tree)
    # What git had to put together from both sides is on neither.
    there = frozenset().union(*(_objects(merged.path, base) for base in bases))
    differences = [(base, _differences(merged.path, base, tree)) for base in bases]
    base_tree, entries = min(differences, key=lambda found: len(found[1]))
    wanted = {entry.id for entry in entries if entry.id is not None and entry.mode != "160000"} - there
    blobs = {id: run_git(merged.path, ["cat-file", "blob", id]) for id in sorted(wanted)}
    return Change(merged.parents, base_tree, entries, tree, message, blobs)


# -- the merge -----------------------------------------------------------------------------------


def _levels(repository: ScratchRepository, one: str, other: str) -> tuple[tuple[str, ...], ...]:
    """The merge bases of two commits; where there are several (branches merged into each other), theirs; and so on."""
    levels: list[tuple[str, ...]] = []
    level = repository.merge_bases(one, other)
    while level and len(levels) < _DEEPEST:
        levels.append(level)
        level = _bases_of_all(repository, level)
    return tuple(levels)


def _bases_of_all(repository: ScratchRepository, commits: Sequence[str]) -> tuple[str, ...]:
    pairs = ((a, b) for number, a in enumerate(commits) for b in commits[number + 1 :])
    return tuple(sorted({base for a, b in pairs for base in repository.merge_bases(a, b)}))


def _stand_ins(
    repository: ScratchRepository, tips: Sequence[str], levels: Sequence[Sequence[str]]
) -> tuple[str, ...]:
    """Commits with the same trees whose history is only what a merge looks at.

    A shallow clone has not the history by which git finds the merge base; which one it is was found among the
    commits alone.
    """
    parents: tuple[str, ...] = ()
    for level in (*reversed(levels), tips):
        parents = tuple(_stand_in(repository, commit, parents) for commit in level)
    return parents


def _stand_in(repository: ScratchRepository, commit: str, parents: Sequence[str]) -> str:
    # The message keeps two with the same tree apart.
    arguments = ["commit-tree", "-m", commit, repository.tree_of(commit)]
    for parent in parents:
        arguments += ["-p", parent]
    return _checked(repository.path, arguments, _IDENTITY).decode("ascii").strip()


# -- trees ---------------------------------------------------------------------------------------

_DIFFERENCE = re.compile(rb":\d{6} (\d{6}) [0-9a-f]+ ([0-9a-f]+) ([A-Z])")


def _with_files(merged: Merged, files: Mapping[str, bytes]) -> str:
    """The merged tree with files added; what stands at a path already is replaced."""
    if not files:
        return merged.tree
    index = merged.path / "write-index"
    variables = {"GIT_INDEX_FILE": str(index)}
    lines = []
    for path, data in sorted(files.items()):
        id = run_git(merged.path, ["hash-object", "-w", "--stdin"], input=data).strip()
        lines.append(b"100644 " + id + b"\t" + os.fsencode(path) + b"\0")
    try:
        _checked(merged.path, ["read-tree", merged.tree], variables)
        _checked(merged.path, ["update-index", "-z", "--index-info"], variables, b"".join(lines))
        return _checked(merged.path, ["write-tree"], variables).decode("ascii").strip()
    finally:
        index.unlink(missing_ok=True)


def _differences(path: Path, old: str, new: str) -> tuple[Entry, ...]:
    output = run_git(path, ["diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", old, new])
    parts = output.split(b"\0")
    found = []
    for about, name in zip(parts[::2], parts[1::2], strict=False):
        match = _DIFFERENCE.fullmatch(about)
        if match is None:
            raise GitError(f"git diff-tree gave something else: {about[:80]!r}")
        gone = match[3] == b"D"
        mode = about[1:7] if gone else match[1]
        try:
            text = name.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CouldNotEvaluate(
                f"the path {os.fsdecode(name)!r} is not UTF-8, and GitHub's API takes no other",
                code="path-not-utf8",
                hint="merge the base into the branch with git, which can",
            ) from error
        found.append(Entry(text, mode.decode("ascii"), None if gone else match[2].decode("ascii")))
    return tuple(found)


def _objects(path: Path, tree: str) -> frozenset[str]:
    lines = run_git(path, ["ls-tree", "-r", "-z", "--full-tree", tree]).split(b"\0")
    return frozenset(line.split(b"\t", 1)[0].split(b" ")[2].decode("ascii") for line in lines if line)


def _checked(
    path: Path, arguments: Sequence[str], variables: Mapping[str, str], input: bytes | None = None
) -> bytes:
    result = call_git(path, arguments, input=input, variables=variables)
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise GitError(f"git {arguments[0]} failed: {said or f'exit code {result.returncode}'}")
    return result.stdout
