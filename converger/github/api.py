"""GitHub as our own small interface: the calls that we need, and what they give. Nothing of PyGithub is seen here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from converger.github.comment import Existing
from converger.github.merged import Entry


@dataclass(frozen=True)
class Commit:
    """A commit as GitHub has it. `verified` is whether GitHub signed it or accepts its signature."""

    id: str
    tree: str
    parents: tuple[str, ...]
    message: str
    verified: bool = False


@dataclass(frozen=True)
class Pull:
    """A pull request of the repository itself. `head` is the newest commit of `branch`."""

    number: int
    url: str
    title: str
    body: str
    open: bool
    merged: bool
    branch: str
    head: str
    base: str
    labels: frozenset[str] = frozenset()


class GitHub(Protocol):
    """What we ask of GitHub. Every call raises a ConvergerError of `converger.github.failures`."""

    def close(self) -> None:
        """End the connection."""

    def login(self) -> str:
        """Who the token writes as."""

    def tip(self, branch: str) -> str | None:
        """The newest commit of a branch; None if there is no such branch."""

    def commit(self, id: str) -> Commit: ...

    def add_blob(self, data: bytes) -> str: ...

    def add_tree(self, base: str, entries: Sequence[Entry]) -> str: ...

    def add_commit(self, message: str, tree: str, parents: Sequence[str]) -> Commit:
        """Author, date and signature are GitHub's. No branch has it yet."""

    def create_branch(self, branch: str, commit: str) -> None:
        """Raises BranchMoved where the branch is there already, at another commit."""

    def move_branch(self, branch: str, old: str, new: str) -> None:
        """Fast-forward a branch.

        Raises BranchMoved where it is not at `old`, BranchProtected where a rule forbids it.
        """

    def delete_branch(self, branch: str) -> None: ...

    def comments(self, pull_request: int) -> Iterable[Existing]:
        """All comments, the oldest first."""

    def create_comment(
        self, pull_request: int, body: str, written: Callable[[Iterable[Existing]], Existing | None]
    ) -> str:
        """Write a comment; gives its address. `written` finds it among all, should an answer be lost."""

    def update_comment(self, id: int, body: str) -> str: ...

    def pulls(self, branch: str, base: str) -> tuple[Pull, ...]:
        """All pull requests from a branch of the repository into another, open or not, the newest first."""

    def create_pull(self, branch: str, base: str, title: str, body: str) -> Pull: ...

    def update_pull(
        self, number: int, *, title: str | None = None, body: str | None = None, close: bool = False
    ) -> Pull: ...

    def add_labels(self, number: int, labels: Sequence[str]) -> None: ...

    def added(self, path: str, tip: str) -> tuple[str, str] | None:
        """The first commit in the history of `tip` that has a file, and its author's name."""

    def pull_of(self, commit: str) -> int | None:
        """The merged pull request that brought a commit; None where none did."""
