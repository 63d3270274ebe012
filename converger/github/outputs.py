"""The outputs of the Action, and how they are handed to the runner. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converger.outcome import Outcome

_NAME = re.compile(r"[a-z]+(-[a-z]+)*")


@dataclass(frozen=True)
class Outputs:
    """What later steps can ask for. A field's name is its output's, with underscores; empty is "there is none"."""

    status: str = ""
    verdict: str = ""
    heads: str = ""
    head_count: str = ""
    merges: str = ""
    final_head: str = ""
    commit_sha: str = ""
    branch: str = ""
    pull_request_number: str = ""
    pull_request_url: str = ""
    comment_url: str = ""
    report_path: str = ""

    def as_mapping(self) -> Mapping[str, str]:
        """By the names that action.yml gives them, in its order."""
        return {one.name.replace("_", "-"): getattr(self, one.name) for one in fields(self)}


def output_names() -> tuple[str, ...]:
    """The outputs of the Action, in the order of action.yml."""
    return tuple(one.name.replace("_", "-") for one in fields(Outputs))


def outputs_of(outcome: Outcome, **more: str) -> Outputs:
    """The outputs that an outcome gives; `more` are those that only writing on GitHub does.

    Lists are JSON in ASCII on one line, for `fromJSON` in a workflow.
    """
    from converger.report.json import outcome_json

    found = outcome_json(outcome)
    proof = found["proof"]
    read = outcome.graph is not None
    return Outputs(
        status=found["status"],
        verdict=proof["verdict"] if proof is not None else "",
        heads=_json(found["heads"]) if read else "",
        head_count=str(len(found["heads"])) if read else "",
        merges=_json(found["merges"]),
        final_head=found["final_head"] or "",
        **more,
    )


def output_file(values: Mapping[str, str], delimiter: str) -> str:
    """What to append to the file of `GITHUB_OUTPUT`.

    Values are a stranger's text in part: each is given between lines of `delimiter`, which must be random for
    each run (`secrets.token_hex(16)`), so that no value can end its own text and set another output.

    Raises ValueError for a name that is none, and for a value that holds the delimiter all the same.
    """
    parts = []
    for name, value in values.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of an output")
        if delimiter in value or not delimiter:
            raise ValueError("the delimiter occurs in a value")
        # The runner reads the file as UTF-8; bytes of a path that are none stand as lone surrogates in ours.
        clean = value.encode("utf-8", "backslashreplace").decode("utf-8")
        parts.append(f"{name}<<{delimiter}\n{clean}\n{delimiter}\n")
    return "".join(parts)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
