"""GitHub's answers as data, checked: what is missing in one is a ValueError, not a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from converger.github.api import Commit, Pull

_SHA = re.compile(r"[0-9a-f]{40}")


def commit(found: Any) -> Commit:
    """A commit, of PyGithub's object for it."""
    verification = found.raw_data.get("verification")
    verified = isinstance(verification, dict) and verification.get("verified") is True
    parents = tuple(sha(parent["sha"]) for parent in found.raw_data["parents"])
    return Commit(sha(found.sha), sha(found.raw_data["tree"]["sha"]), parents, found.message or "", verified)


def pull(found: Mapping[str, Any]) -> Pull:
    """A pull request, of GitHub's JSON for it."""
    return Pull(
        number=number(found["number"]),
        url=text(found["html_url"]),
        title=text(found["title"]),
        body=found["body"] or "",
        open=text(found["state"]) == "open",
        merged=found["merged_at"] is not None,
        branch=text(found["head"]["ref"]),
        head=sha(found["head"]["sha"]),
        base=text(found["base"]["ref"]),
        labels=frozenset(text(label["name"]) for label in found["labels"]),
    )


def number(value: object) -> int:
    """A whole number."""
    if not isinstance(value, int):
        raise ValueError("no number")
    return value


def text(value: object) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("no text")
    return value


def sha(value: object) -> str:
    """The id of a git object."""
    if not isinstance(value, str) or not _SHA.fullmatch(value):
        raise ValueError("no object id")
    return value


def expected(value: object, wanted: object) -> None:
    """Raise where an answer is about something else."""
    if value != wanted:
        raise ValueError("something else than what was asked for")
