"""Names that a run made up for its folders and databases, in texts: no reader knows them.

They differ from run to run, and a comment is written anew where its text changed.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from converger.errors import ConvergerError
from converger.outcome import Outcome

_T = TypeVar("_T")
_TEMPORARY = re.compile(r"(?:/[\w.+-]+)*/(converger-[a-z]+)-[0-9a-f]{16}")
_SCRATCH = re.compile(r"\bconverger_[0-9a-f]{8}(?:[0-9a-f]{8})?(?![0-9a-z])")


class Places:
    """Folders that hold the repository: a path in one of them becomes a path in the repository."""

    def __init__(self, folders: Sequence[Path]) -> None:
        names = "|".join(re.escape(str(folder)) for folder in folders)
        self._place = re.compile(rf"(?:{names})(?:/|(?![\w.-]))")

    def text(self, text: str) -> str:
        """The text without them; of other folders and of scratch databases only what they are for is left."""
        found = self._place.sub(lambda match: "" if match.group().endswith("/") else ".", text)
        return _SCRATCH.sub("converger_scratch", _TEMPORARY.sub(r"\1", found))

    def outcome(self, outcome: Outcome) -> Outcome:
        """An outcome whose evidence says nothing of them. Its `reason` is changed as it is."""
        if outcome.reason is not None:
            self.error(outcome.reason)
        return dataclasses.replace(
            outcome,
            proof=self._inside(outcome.proof),
            problems=self._inside(outcome.problems),
            notes=self._inside(outcome.notes),
        )

    def error(self, error: ConvergerError) -> None:
        """The same for an error."""
        error.message = self.text(error.message)
        error.hint = None if error.hint is None else self.text(error.hint)
        error.args = (error.message,)

    def _inside(self, value: _T) -> _T:
        found: Any = value
        if isinstance(value, str):
            found = self.text(value)
        elif isinstance(value, tuple):
            found = tuple(self._inside(one) for one in value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {one.name: getattr(value, one.name) for one in dataclasses.fields(value) if one.init}
            changed = {name: self._inside(one) for name, one in fields.items()}
            if changed != fields:
                found = dataclasses.replace(value, **changed)
        return found  # type: ignore[no-any-return]
