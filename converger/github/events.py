"""From an event to a decision: what to evaluate, and what may be written. No side effects, nothing is asked.

What an event's payload holds: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from converger.errors import CouldNotEvaluate
from converger.github.inputs import is_branch_name
from converger.github.settings import Settings

Write = Literal["commit", "pull-request", "nothing"]

_SHA = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_BRANCHES = "refs/heads/"
_DEPENDABOT = "dependabot[bot]"


@dataclass(frozen=True)
class PullRequest:
    """A pull request. `head` is its newest commit, on `head_branch` of `head_repository` (None: deleted).

    `base_branch` is where it goes to; its tip is to be fetched: the one in the event is as old as the event.
    """

    number: int
    head: str
    head_branch: str
    head_repository: str | None
    base_branch: str
    author: str | None

    kind: Literal["pull-request"] = "pull-request"


@dataclass(frozen=True)
class Branch:
    """A branch by itself, at `head`."""

    branch: str
    head: str
    kind: Literal["branch"] = "branch"


@dataclass(frozen=True)
class MergeGroup:
    """A group of a merge queue: `head` is the merged commit itself, `base` what it will go on top of."""

    head: str
    base: str
    base_branch: str
    kind: Literal["merge-group"] = "merge-group"


Subject = PullRequest | Branch | MergeGroup


@dataclass(frozen=True)
class Evaluate:
    """Look at `subject`. `write` is what may be written if heads have to be merged, `target` the branch.

    With `commit` the commit goes to `target`; with `pull-request` a pull request into `target` is opened from
    `own_branch`. `why_not` says why nothing may be written. `comment_on` is the pull request whose comment is
    kept up to date (trying it may still fail: then the summary carries all), `from_fork` whether it is a fork's.
    """

    subject: Subject
    write: Write
    target: str | None = None
    own_branch: str | None = None
    why_not: str | None = None
    comment_on: int | None = None
    from_fork: bool = False


@dataclass(frozen=True)
class Ignore:
    """Nothing to look at: say `notice` and end with 0."""

    notice: str


@dataclass(frozen=True)
class Refuse:
    """This must not run at all: say `message` and `hint`, and end with 2."""

    message: str
    hint: str


Decision = Evaluate | Ignore | Refuse


def read_event(data: bytes) -> Mapping[str, Any]:
    """The payload, from the bytes of the file of `GITHUB_EVENT_PATH`. Raises CouldNotEvaluate."""
    try:
        payload = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable("it is no JSON") from error
    if not isinstance(payload, dict):
        raise _unreadable("it is no object")
    return payload


def decide(payload: Mapping[str, Any], settings: Settings) -> Decision:
    """What this event asks for.

    Raises CouldNotEvaluate (`unreadable-event`) where the payload has not what its event must have.
    """
    event = settings.runner.event_name
    if event == "pull_request":
        return _pull_request(payload, settings)
    if event == "push":
        return _push(payload, settings)
    if event in ("schedule", "workflow_dispatch"):
        return _current_branch(event, settings)
    if event == "merge_group":
        return _merge_group(payload)
    if event == "pull_request_target":
        return Refuse(
            "on pull_request_target the project's migrations, which whoever opened the pull request wrote, would run "
            "with the repository's secrets and a token that can write",
            "use `on: pull_request`; for a pull request from a fork the result is in the summary of the run",
        )
    if event == "workflow_run":
        return Ignore(
            "workflow_run says nothing of what to evaluate, and must not run a fork's code. Use pull_request or push"
        )
    return Ignore(
        f"nothing to do on {event}: use pull_request, push, merge_group, schedule or workflow_dispatch"
    )


def own_branch(settings: Settings, base: str) -> str:
    """The branch on which the pull request into `base` is prepared."""
    return settings.inputs.branch.replace("{base}", base)


def is_own_branch(settings: Settings, branch: str) -> bool:
    """Whether a branch is one that we prepare a pull request on, for whatever base."""
    parts = settings.inputs.branch.split("{base}")
    return re.fullmatch("(.+)".join(map(re.escape, parts)), branch) is not None


# -- the events ----------------------------------------------------------------------------------


def _pull_request(payload: Mapping[str, Any], settings: Settings) -> Decision:
    pull = _object(payload, "pull_request")
    number = _number(pull, "number")
    if payload.get("action") == "closed" or pull.get("state") == "closed":
        return Ignore(f"pull request #{number} is closed")
    head, base = _object(pull, "head"), _object(pull, "base")
    subject = PullRequest(
        number=number,
        head=_sha(head, "sha"),
        head_branch=_branch(head, "ref"),
        head_repository=_repository(head),
        base_branch=_branch(base, "ref"),
        author=_login(pull),
    )
    from_fork = (subject.head_repository or "").lower() != settings.runner.repository.lower()
    comment_on = number if settings.inputs.comment and settings.inputs.token else None

    def only_look(why: str) -> Evaluate:
        return Evaluate(subject, "nothing", why_not=why, comment_on=comment_on, from_fork=from_fork)

    if why := _asked_to_write_nothing(settings):
        return only_look(why)
    if from_fork:
        return only_look("the pull request comes from a fork, whose workflows get a token that can only read")
    if settings.runner.actor == _DEPENDABOT:
        return only_look("the run was started by Dependabot, whose token can only read")
    if not settings.inputs.token:
        return only_look(_EMPTY)
    target = subject.head_branch
    if settings.inputs.mode == "commit":
        return Evaluate(subject, "commit", target=target, comment_on=comment_on)
    if is_own_branch(settings, target):
        return only_look(f"{target} is the branch of our own pull request")
    return Evaluate(
        subject,
        "pull-request",
        target=target,
        own_branch=own_branch(settings, target),
        comment_on=comment_on,
    )


def _push(payload: Mapping[str, Any], settings: Settings) -> Decision:
    ref = _text(payload, "ref")
    name = _branch_of(ref)
    if name is None:
        return Ignore(f"{_shown(ref)} is no branch")
    after = payload.get("after")
    if payload.get("deleted") is True or (isinstance(after, str) and after and not after.strip("0")):
        return Ignore(f"the branch {_shown(name)} was deleted")
    return _on_branch(Branch(name, _sha(payload, "after")), settings)


def _current_branch(event: str, settings: Settings) -> Decision:
    name = _branch_of(settings.runner.ref)
    if name is None:
        return Ignore(f"{event} on {_shown(settings.runner.ref)}, which is no branch")
    if not _SHA.fullmatch(settings.runner.sha):
        raise _unreadable("GITHUB_SHA is no commit")
    return _on_branch(Branch(name, settings.runner.sha), settings)


def _on_branch(subject: Branch, settings: Settings) -> Decision:
    why = _asked_to_write_nothing(settings)
    if why is None and settings.inputs.mode == "commit":
        why = "mode: commit writes to pull requests only; mode: pull-request opens one for a branch"
    if why is None and is_own_branch(settings, subject.branch):
        why = f"{subject.branch} is the branch of our own pull request"
    if why is None and settings.runner.actor == _DEPENDABOT:
        why = "the run was started by Dependabot, whose token can only read"
    if why is None and not settings.inputs.token:
        why = _EMPTY
    if why is not None:
        return Evaluate(subject, "nothing", why_not=why)
    return Evaluate(
        subject, "pull-request", target=subject.branch, own_branch=own_branch(settings, subject.branch)
    )


def _merge_group(payload: Mapping[str, Any]) -> Decision:
    if payload.get("action") == "destroyed":
        return Ignore("the merge group is gone")
    group = _object(payload, "merge_group")
    base_ref = _text(group, "base_ref")
    base_branch = _branch_of(base_ref)
    if base_branch is None:
        raise _unreadable("base_ref is no branch")
    subject = MergeGroup(_sha(group, "head_sha"), _sha(group, "base_sha"), base_branch)
    return Evaluate(subject, "nothing", why_not="a merge group is only looked at")


_EMPTY = "the input token is empty, as a secret is in a run that does not get it"


def _asked_to_write_nothing(settings: Settings) -> str | None:
    if settings.inputs.mode == "check":
        return "mode: check writes nothing"
    if settings.inputs.dry_run:
        return "dry-run writes nothing"
    return None


# -- reading a payload ---------------------------------------------------------------------------


def _unreadable(what: str) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"the event of this run cannot be read: {what}",
        code="unreadable-event",
        hint="GITHUB_EVENT_PATH must be the file that the runner wrote for GITHUB_EVENT_NAME",
    )


def _object(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    if not isinstance(found, dict):
        raise _unreadable(f"it has no {key}")
    return found


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise _unreadable(f"it has no {key}")
    return found


def _number(value: Mapping[str, Any], key: str) -> int:
    found = value.get(key)
    if not isinstance(found, int) or isinstance(found, bool) or found <= 0:
        raise _unreadable(f"it has no {key}")
    return found


def _sha(value: Mapping[str, Any], key: str) -> str:
    found = _text(value, key)
    if not _SHA.fullmatch(found):
        raise _unreadable(f"{key} is no commit")
    return found


def _branch(value: Mapping[str, Any], key: str) -> str:
    found = _text(value, key)
    # It becomes an argument of git; GitHub has no others, but a payload is only a file.
    if not is_branch_name(found):
        raise _unreadable(f"{key} is no branch")
    return found


def _branch_of(ref: str) -> str | None:
    name = ref.removeprefix(_BRANCHES)
    return name if name != ref and is_branch_name(name) else None


def _repository(head: Mapping[str, Any]) -> str | None:
    """OWNER/NAME; None for a fork that was deleted, which GitHub gives as null."""
    found = head.get("repo")
    name = found.get("full_name") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None


def _login(pull: Mapping[str, Any]) -> str | None:
    """Who opened it; GitHub gives null for an account that was deleted."""
    user = pull.get("user")
    login = user.get("login") if isinstance(user, dict) else None
    return login if isinstance(login, str) else None


def _shown(text: str) -> str:
    return text if len(text) <= 100 else text[:97] + "..."
