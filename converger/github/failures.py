"""What can go wrong between us and GitHub, and what it means: who must act, and whether trying again may help. Pure.

GitHub's statuses: https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from converger.errors import ConfigurationError, ConvergerError, CouldNotEvaluate
from converger.report.visible import one_line

_LONGEST = 300


class NotPermitted(ConfigurationError):
    """The token must not do this, or there is nothing that it may see (exit 2)."""


class BranchProtected(NotPermitted):
    """A rule of the repository keeps commits from a branch."""


class Declined(CouldNotEvaluate):
    """GitHub understood a request and would not do it (409, 422)."""


class BranchMoved(CouldNotEvaluate):
    """A branch is not where it was. `tip` is where it is, None: gone."""

    def __init__(self, branch: str, tip: str | None) -> None:
        where = f"is at {tip[:12]} now" if tip else "is gone"
        super().__init__(
            f"the branch {branch} {where}; nothing was written to it",
            code="branch-moved",
            hint="whoever moved it started a run of their own; run this one again otherwise",
        )
        self.branch = branch
        self.tip = tip


class Unreachable(CouldNotEvaluate):
    """GitHub gave no answer, or none that makes sense."""


@dataclass(frozen=True)
class Failure:
    """One attempt that failed: what to raise, and whether to try again.

    `unknown` is whether the request may have been carried out all the same; `wait` the seconds that GitHub asks for.
    """

    error: ConvergerError
    again: bool = False
    unknown: bool = False
    wait: float | None = None


def failure_of(what: str, status: int, data: object, headers: Mapping[str, object], now: float) -> Failure:
    """What an answer with an error status means. `what` is what was asked for, `now` the time in seconds."""
    message = _message(data)
    lowered = {str(key).lower(): str(value) for key, value in headers.items()}
    said = f": {message}" if message else ""
    if status == 429 or (status == 403 and _is_rate_limit(message, lowered)):
        wait = _seconds_to_wait(lowered, now)
        error: ConvergerError = Unreachable(
            f"{what}: GitHub's rate limit is reached{said}",
            code="github-rate-limit",
            hint=f"GitHub asks to wait for {wait:.0f} seconds; run it again then",
        )
        return Failure(error, again=True, wait=wait)
    if status == 401:
        return Failure(
            NotPermitted(
                f"{what}: GitHub does not accept the token{said}",
                code="token-refused",
                hint="it is wrong, has expired, or is for another server; the input `token` has it",
            )
        )
    if status == 403:
        return Failure(_forbidden(what, message))
    if status in (404, 410):
        return Failure(
            NotPermitted(
                f"{what}: GitHub says that there is no such thing{said}",
                code="github-not-found",
                hint="it is gone, or the token may not see it: GitHub says the same for both",
            )
        )
    if status in (409, 422):
        error = Declined(f"{what}: GitHub would not{said}", code="github-declined", hint=None)
        return Failure(error)
    if status >= 500 or status == 408:
        error = _no_answer(f"{what}: GitHub failed with {status}{said}")
        return Failure(error, again=True, unknown=True)
    return Failure(_no_answer(f"{what}: GitHub answered {status}{said}"), unknown=True)


def failure_without_answer(what: str, why: str) -> Failure:
    """The connection failed, time was up, or what came makes no sense: nobody knows what was done."""
    return Failure(_no_answer(f"{what}: {one_line(why, _LONGEST)}"), again=True, unknown=True)


def protected(branch: str, said: str) -> BranchProtected:
    """A rule of the repository keeps commits from this branch."""
    return BranchProtected(
        f"GitHub does not let this token change the branch {branch}: {said}",
        code="branch-protected",
        hint="a rule protects it: let the token's app bypass the rule, or use `mode: pull-request` or `mode: check`",
    )


def _forbidden(what: str, message: str) -> NotPermitted:
    if "not permitted to create or approve pull requests" in message.lower():
        return NotPermitted(
            f"{what}: {message}",
            code="pull-requests-not-permitted",
            hint="allow it under Settings > Actions > General > Workflow permissions > 'Allow GitHub Actions to create "
            "and approve pull requests', in the organisation too; or use the token of a GitHub App",
        )
    if "workflows" in message.lower() and "permission" in message.lower():
        return NotPermitted(
            f"{what}: {message}",
            code="workflows-not-permitted",
            hint="the base changed files in .github/workflows, which the workflow's own token may not write: merge the "
            "base into the branch by hand, or use a GitHub App's token that has `workflows: write`",
        )
    return NotPermitted(
        f"{what}: GitHub does not permit it" + (f": {message}" if message else ""),
        code="not-permitted",
        hint="the workflow's `permissions:` need `contents: write` and `pull-requests: write`; a run for a fork or by "
        "Dependabot has a token that can only read",
    )


def _no_answer(message: str) -> Unreachable:
    return Unreachable(
        message, code="github-unreachable", hint="https://www.githubstatus.com says how GitHub is"
    )


def _message(data: object) -> str:
    """GitHub's own words, and those about each field."""
    if not isinstance(data, dict):
        return ""
    parts = [str(data.get("message") or "")]
    errors = data.get("errors")
    for one in errors if isinstance(errors, list) else ():
        if isinstance(one, str):
            parts.append(one)
        elif isinstance(one, dict):
            fields = (one.get("message"), one.get("field"), one.get("code"))
            parts.append(" ".join(str(field) for field in fields if field))
    return one_line("; ".join(part for part in parts if part), _LONGEST)


def _is_rate_limit(message: str, headers: Mapping[str, str]) -> bool:
    words = message.lower()
    return (
        "retry-after" in headers
        or headers.get("x-ratelimit-remaining") == "0"
        or "rate limit" in words
        or "abuse detection" in words
    )


def _seconds_to_wait(headers: Mapping[str, str], now: float) -> float:
    after = headers.get("retry-after", "")
    if after.isascii() and after.isdecimal():
        return float(after)
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdecimal():
        return max(1.0, float(reset) - now + 1)
    # GitHub: "wait for at least one minute before retrying".
    return 60.0
