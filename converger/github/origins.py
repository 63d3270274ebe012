"""Who brought a head: the pull request that is looked at, or what the history and GitHub say of its file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from converger.errors import ConvergerError
from converger.git import GitError, call_git
from converger.history import GitTree
from converger.report.result import Origin

if TYPE_CHECKING:
    from converger.github.api import GitHub
    from converger.github.events import Subject
    from converger.github.merged import Merged
    from converger.github.repository import ScratchRepository
    from converger.history import Graph

_MOST = 20


def find_origins(
    repository: ScratchRepository,
    merged: Merged,
    graph: Graph,
    heads: Sequence[str],
    *,
    subject: Subject,
    github: GitHub | None,
) -> Mapping[str, Origin]:
    """Origins of heads, as far as they are to be found; without them a report only says less.

    A file that only the pull request has is its own. Of another one the commit is in the history, where the repository
    has all of it (a checkout with `fetch-depth: 0`); else GitHub is asked, as it is for the pull request of a commit.
    It is not asked again once it did not answer.
    """
    found: dict[str, Origin] = {}
    base = None if merged.base_tree is None else GitTree(merged.path, merged.base_tree)
    tip = merged.base.commit if merged.base is not None else merged.head.commit
    for head in heads[:_MOST]:
        path = graph.revisions[head].path
        if path.startswith("/"):
            continue
        if subject.kind == "pull-request" and base is not None and base.kind(str(merged.path / path)) is None:
            found[head] = Origin(subject.author, subject.number)
            continue
        brought = _commit_of(repository, tip, path)
        number = None
        try:
            if brought is None and github is not None and path.isascii():
                brought = github.added(path, tip)
            if brought is not None and github is not None:
                number = github.pull_of(brought[0])
        except ConvergerError:
            github = None
        if brought is not None:
            commit, author = brought
            found[head] = Origin(author, number, commit)
    return found


def _commit_of(repository: ScratchRepository, tip: str, path: str) -> tuple[str, str] | None:
    """The commit that added a file, and its author's name."""
    if not repository.complete:
        return None
    arguments = ["--literal-pathspecs", "log", "-1", "--diff-filter=A", "--format=%H%x00%an", tip, "--", path]
    try:
        done = call_git(repository.path, arguments)
    except GitError:
        return None
    commit, separator, author = done.stdout.decode("utf-8", "replace").strip().partition("\0")
    return (commit, author) if separator and done.returncode == 0 else None
