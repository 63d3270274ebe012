"""One view of a run on a repository host: the outcome, where its heads came from, which commits were looked at.

The comment, the summary and the annotations are all written from it. Pure data; whoever runs the Action fills it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from converger.report.markup import quoted_path

if TYPE_CHECKING:
    from converger.outcome import Outcome

Situation = Literal["one-head", "forked-here", "base-forked", "several-heads", "unreadable"]
"""What the histories of both sides say: one head · forked by this pull request · the base is forked already ·
several heads, of a branch that is looked at by itself · a history cannot be read."""


@dataclass(frozen=True)
class Origin:
    """Who brought a head: the author's name, the pull request, the commit. None where that is not known."""

    author: str | None = None
    pull_request: int | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Looked:
    """One commit that was looked at: its id, and the branch (or fork's branch) whose tip it was."""

    commit: str
    branch: str


@dataclass(frozen=True)
class Written:
    """What was written: a commit on `branch`, or the pull request `number` from it.

    `brings` is the branch whose tip the commit has as its second parent, if it has one.
    """

    kind: Literal["commit", "pull-request"]
    branch: str
    commit: str
    number: int | None = None
    brings: str | None = None


@dataclass(frozen=True)
class Local:
    """How a person does the same by hand: options of ours to repeat, and what to merge first.

    `checkout` is the branch that the merge belongs on; `fetch` names where `merge` (the base) comes from (`origin`,
    or an address for who has cloned a fork).
    """

    checkout: str | None = None
    fetch: str = "origin"
    merge: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """All that is reported about one run.

    `server_url` and `repository` (OWNER/NAME) make links. `head` is the pull request's or branch's own tip, `base`
    the tip that it was merged with in memory; `git_conflicts` are the files that git could not merge: they are in
    neither history, and everything else was looked at. `files_at` says for a path in which commit it is (default: the
    head's), `sources` has the revision files that conflicts point to. `not_written` says why nothing was written.
    `configuration` tells several configurations of one repository apart. `dry` is whether the outcome's files were
    made without writing them to a working tree.
    """

    outcome: Outcome
    situation: Situation
    repository: str
    head: Looked
    base: Looked | None = None
    server_url: str = "https://github.com"
    pull_request: int | None = None
    from_fork: bool = False
    git_conflicts: tuple[str, ...] = ()
    origins: Mapping[str, Origin] = field(default_factory=dict)
    files_at: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, bytes] = field(default_factory=dict)
    written: Written | None = None
    not_written: str | None = None
    local: Local = field(default_factory=Local)
    configuration: str = ""
    run_url: str | None = None
    version: str = ""

    @property
    def repository_url(self) -> str:
        """The repository's address; both parts were checked where they were read."""
        return f"{self.server_url}/{self.repository}"

    def file_url(self, path: str, line: int | None = None) -> str | None:
        """Where a file of the repository is to be read; None for one outside of it."""
        if not path or path.startswith("/"):
            return None
        commit = self.files_at.get(path, self.head.commit)
        url = f"{self.repository_url}/blob/{commit}/{quoted_path(path)}"
        return url if line is None else f"{url}#L{line}"

    def commit_url(self, commit: str) -> str:
        """Where a commit is to be seen."""
        return f"{self.repository_url}/commit/{commit}"

    def pull_url(self, number: int) -> str:
        """Where a pull request is to be seen."""
        return f"{self.repository_url}/pull/{number}"


def situation_of(*, readable: bool, heads: int, base_heads: int | None) -> Situation:
    """The situation, from the number of heads that want merging on both sides; `base_heads` None: there is no base.

    A history counts a head for each head of a line that has several; one head in each line counts as one. A base
    that is forked already is said to be so as long as the pull request adds no head to it.
    """
    if not readable:
        return "unreadable"
    if heads <= 1:
        return "one-head"
    if base_heads is None:
        return "several-heads"
    return "base-forked" if base_heads > 1 and heads <= base_heads else "forked-here"
