"""Keep the one comment up to date: decide by what is there, write, and look again where that went wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from converger.github.api import GitHub
from converger.github.comment import Create, Existing, Keep, Update, find
from converger.github.failures import NotPermitted
from converger.github.marker import read_marker


@dataclass(frozen=True)
class Commented:
    """What became of the comment, and its address where there is one."""

    change: Literal["created", "updated", "kept", "none"]
    url: str | None = None


def keep_comment(
    github: GitHub,
    pull_request: int,
    decide: Callable[[Iterable[Existing], str], Create | Update | Keep],
) -> Commented:
    """Write what `decide` says, given all comments and our login: usually `comment.decide_comment` of a result.

    Raises NotPermitted where the token may not comment; the run should then say it all in the summary, and go on.
    """
    for left in (1, 0):
        me = github.login()
        existing = tuple(github.comments(pull_request))
        decision = decide(existing, me)
        if isinstance(decision, Keep):
            if decision.id is None:
                return Commented("none")
            return Commented("kept", next(one.url for one in existing if one.id == decision.id))
        if isinstance(decision, Create):
            url = github.create_comment(pull_request, decision.body, _ours(decision.body, me))
            return Commented("created", url)
        try:
            return Commented("updated", github.update_comment(decision.id, decision.body))
        except NotPermitted as error:
            # Somebody removed it since it was read.
            if error.code != "github-not-found" or not left:
                raise
    raise AssertionError("the last attempt gives or raises")


def upsert(
    marker_configuration: str, body: str
) -> Callable[[Iterable[Existing], str], Create | Update | Keep]:
    """The decision for a text that is ready, whose last line is its marker: the same text is not written again."""

    def decide(existing: Iterable[Existing], me: str) -> Create | Update | Keep:
        mine = find(existing, marker_configuration, me)
        if mine is None:
            return Create(body)
        return Keep(mine.id) if read_marker(mine.body) == read_marker(body) else Update(mine.id, body)

    return decide


def _ours(body: str, me: str) -> Callable[[Iterable[Existing]], Existing | None]:
    """Finds the comment that an attempt to write `body` made."""
    marker = read_marker(body)

    def written(existing: Iterable[Existing]) -> Existing | None:
        if marker is None:
            return next((one for one in existing if (one.author, one.body) == (me, body)), None)
        return find(existing, marker.configuration, me)

    return written
