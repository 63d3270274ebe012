"""The one comment on a pull request: its text, never too long, and what to do with the one that is there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converger.github.marker import Marker, make_marker, read_marker
from converger.report.markdown import FULL, SHORT, report, resolved, verdict_only, without_times

if TYPE_CHECKING:
    from converger.report.result import Result

LIMIT = 65_536
"""Characters that GitHub takes for the body of a comment or a pull request."""


@dataclass(frozen=True)
class Existing:
    """A comment that is there: its id, the login of its author, its body, and its address."""

    id: int
    author: str
    body: str
    url: str | None = None


@dataclass(frozen=True)
class Create:
    """Write a new comment."""

    body: str


@dataclass(frozen=True)
class Update:
    """Replace the body of the comment `id`."""

    id: int
    body: str


@dataclass(frozen=True)
class Keep:
    """Leave all as it is; `id` is our comment, None where there is none and none is needed."""

    id: int | None = None


def decide_comment(
    result: Result, configuration: str, existing: Iterable[Existing], me: str
) -> Create | Update | Keep:
    """What to do about the comment for one configuration, given all comments of the pull request.

    `me` is the login that our token writes as: a comment with our marker by somebody else is none of ours. Without a
    fork nothing new is said; one that was reported is turned into a short "resolved". A text that says the same, but
    for how long it took, is not written again.
    """
    mine = find(existing, configuration, me)
    if mine is None:
        if result.situation == "one-head" and result.outcome.status == "converged":
            return Keep()
        return Create(comment_body(result, configuration))
    body = comment_body(result, configuration)
    if read_marker(body) == read_marker(mine.body):
        return Keep(mine.id)
    return Update(mine.id, body)


def find(existing: Iterable[Existing], configuration: str, me: str) -> Existing | None:
    """Our comment for a configuration: the oldest, should there be several."""
    for comment in existing:
        marker = read_marker(comment.body)
        if comment.author == me and marker is not None and marker.configuration == configuration:
            return comment
    return None


def comment_body(result: Result, configuration: str, limit: int = LIMIT) -> str:
    """The text of the comment with its marker, at most `limit` characters."""
    if result.situation == "one-head" and result.outcome.status == "converged":
        # Later commits that keep it resolved are no news.
        return _marked(resolved(result), make_marker(configuration, "resolved"))
    marker = make_marker(configuration, report(without_times(result)))
    return _marked(bounded(result, limit - len(f"\n{marker}\n")), marker)


def bounded(result: Result, limit: int) -> str:
    """The report in the fullest form that has at most `limit` characters; the body of a pull request, too."""
    for text in (report(result, FULL), report(result, SHORT, pointer=True), verdict_only(result)):
        if length(text) <= limit:
            return text
    raise AssertionError("the shortest form is longer than any limit of GitHub's")


def length(text: str) -> int:
    """Characters as the strictest of GitHub's counts them: those beyond 16 bits are two."""
    return len(text) + sum(ord(character) > 0xFFFF for character in text)


def _marked(text: str, marker: Marker) -> str:
    return f"{text}\n{marker}\n"
