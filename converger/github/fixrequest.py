"""A pull request of our own that brings the merge revisions into a branch: opened, kept up to date, closed.

Its branch is ours, and we never force it: a newer version is one more commit on it, whose files are those of the base
and the merges and nothing else. A branch whose newest commit is somebody else's is left alone, also one of ours for
another configuration: a second project in the repository.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from converger.errors import ConvergerError
from converger.github.api import Commit, GitHub, Pull
from converger.github.commit import make_commit
from converger.github.failures import BranchMoved
from converger.github.marker import read_marker
from converger.github.merged import Change

ATTEMPTS = 3
_TRAILER = re.compile(r"^Alembic-Converger: ([0-9a-f]{16})(?: ([0-9a-f]{16}))?$", re.M)
_FURTHEST = 20


@dataclass(frozen=True)
class Request:
    """What the pull request shall be: from `branch` into `base`, whose tip is `change.parents[0]`."""

    branch: str
    base: str
    change: Change
    title: str
    body: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Requested:
    """What became of it. `notes` are things that could not be done and hinder nothing.

    `foreign`: the branch has somebody else's commits, or ours for another configuration · `declined`: a person closed
    the pull request for these merges.
    In both cases nothing was written, and `why` says it.
    """

    change: Literal["created", "updated", "kept", "closed", "none", "foreign", "declined"]
    branch: str
    pull: Pull | None = None
    commit: str | None = None
    notes: tuple[str, ...] = ()
    why: str | None = None


def merges_digest(files: Mapping[str, bytes]) -> str:
    """What tells one set of merge files from another: the same merges are not proposed twice."""
    digest = hashlib.sha256()
    for path, data in sorted(files.items()):
        digest.update(hashlib.sha256(path.encode("utf-8", "surrogateescape")).digest())
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class _Trailer:
    """What our commits say of themselves. `configuration` is empty where it was not said."""

    digest: str
    configuration: str = ""

    def may_be(self, configuration: str) -> bool:
        """Whether the commit is not for another configuration."""
        return not (self.configuration and configuration) or self.configuration == configuration


def message_with_trailer(message: str, digest: str, configuration: str = "") -> str:
    """The commit message with the line by which we know a commit as ours, the merges in it and what they are for.

    `configuration` is that of `marker.configuration_key`.
    """
    words = f"{digest} {configuration}".rstrip()
    return f"{message.rstrip()}\n\nAlembic-Converger: {words}\n"


def open_request(github: GitHub, request: Request, attempts: int = ATTEMPTS) -> Requested:
    """Open the pull request, or bring it up to date. The message of `request.change` must have our trailer.

    Raises BranchMoved when somebody keeps moving the branch, NotPermitted and the other errors of GitHub.
    """
    wanted = _trailer(request.change.message)
    if wanted is None:
        raise ValueError("the message has no trailer")
    for left in reversed(range(attempts)):
        tip = github.tip(request.branch)
        there = github.pulls(request.branch, request.base)
        current = next((pull for pull in there if pull.open), None)
        newest = None if tip is None else github.commit(tip)
        last = None if newest is None else _last_trailer(github, newest)
        if newest is not None and (last is None or not last.may_be(wanted.configuration)):
            why = (
                f"the newest commit of {request.branch} is not ours; nothing was written to it. Merge it, or "
                "delete the branch"
            )
            if last is not None:
                why = (
                    f"{request.branch} has the merges of another Alembic configuration; nothing was written to it. "
                    "Give each a branch of its own with the input `branch`"
                )
            return Requested("foreign", request.branch, current, newest.id, why=why)
        same = last is not None and last.digest == wanted.digest
        # The branch of one that is closed or merged has moved on since: an earlier run was cut short.
        ended = there[0] if there and current is None else None
        if same and ended is not None and ended.head == tip and not ended.merged:
            why = f"#{ended.number} proposed the same and was closed"
            return Requested("declined", request.branch, ended, tip, why=why)
        try:
            if newest is None:
                commit = make_commit(github, request.change).id
                github.create_branch(request.branch, commit)
            elif same and (ended is None or ended.head != tip):
                commit = newest.id
            else:
                commit = _onto(github, request, newest)
        except BranchMoved:
            if not left:
                raise
            continue
        return _with_pull(github, request, commit, current, written=commit != tip)
    raise AssertionError("the last attempt gives or raises")


def close_request(github: GitHub, branch: str, base: str, configuration: str = "") -> Requested:
    """Close the pull request and delete its branch, because there is one head again.

    Nothing there, or only for another configuration: nothing is done.
    """
    current = next((pull for pull in github.pulls(branch, base) if pull.open), None)
    tip = github.tip(branch)
    last = None if tip is None else _last_trailer(github, github.commit(tip))
    if last is not None and not last.may_be(configuration):
        return Requested("none", branch)
    closed = None
    if current is not None:
        closed = github.update_pull(current.number, close=True)
    notes: tuple[str, ...] = ()
    deleted = False
    if last is not None:
        try:
            github.delete_branch(branch)
            deleted = True
        except ConvergerError as error:
            notes = (f"the branch {branch} could not be deleted: {error.message}",)
    return Requested("closed" if closed or deleted else "none", branch, closed, notes=notes)


def _onto(github: GitHub, request: Request, newest: Commit) -> str:
    """One more commit on our branch, with what the base has now."""
    parents = (newest.id, *(parent for parent in request.change.parents if parent != newest.id))
    commit = make_commit(github, replace(request.change, parents=parents))
    github.move_branch(request.branch, newest.id, commit.id)
    return commit.id


def _with_pull(
    github: GitHub, request: Request, commit: str, current: Pull | None, *, written: bool
) -> Requested:
    change: Literal["created", "updated", "kept"] = "updated" if written else "kept"
    if current is None:
        current = github.create_pull(request.branch, request.base, request.title, request.body)
        change = "created"
    elif not _same_text(current.body, request.body):
        current = github.update_pull(current.number, title=request.title, body=request.body)
        change = "updated"
    notes: tuple[str, ...] = ()
    missing = [label for label in request.labels if label.lower() not in {x.lower() for x in current.labels}]
    if missing:
        try:
            github.add_labels(current.number, missing)
        except ConvergerError as error:
            notes = (f"labels could not be set: {error.message}",)
    return Requested(change, request.branch, current, commit, notes)


def _same_text(there: str, wanted: str) -> bool:
    """Whether a text says the same: by its marker where it has one, for times differ from run to run."""
    marker = read_marker(wanted)
    if marker is not None:
        return read_marker(there) == marker
    return _lines(there) == _lines(wanted)


def _lines(text: str) -> Sequence[str]:
    return [line.rstrip() for line in text.strip().splitlines()]


def _trailer(message: str) -> _Trailer | None:
    found = _TRAILER.findall(message)
    return _Trailer(*found[-1]) if found else None


def _last_trailer(github: GitHub, commit: Commit) -> _Trailer | None:
    """Of our newest commit on a branch. A merge of the base into it ("Update branch") may follow it."""
    for _ in range(_FURTHEST):
        trailer = _trailer(commit.message)
        if trailer is not None:
            return trailer
        if len(commit.parents) != 2:
            return None
        commit = github.commit(commit.parents[0])
    return None
