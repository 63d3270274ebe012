"""The hidden line by which we find our own comment again: one for each configuration. Pure.

It is an HTML comment, the last line of what we write. Only there it counts: text of the repository, which may hold
another configuration's marker, is never the last line.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from converger.github.settings import Inputs

_LINE = re.compile(r"<!-- alembic-converger configuration=([0-9a-f]{16}) content=([0-9a-f]{16}) -->")


@dataclass(frozen=True)
class Marker:
    """`configuration` tells the configurations of one repository apart, `content` what was said."""

    configuration: str
    content: str

    def __str__(self) -> str:
        return f"<!-- alembic-converger configuration={self.configuration} content={self.content} -->"


def configuration_key(inputs: Inputs) -> str:
    """Which configuration these inputs are about: the folder and the Alembic configuration in it."""
    return _digest("\0".join((inputs.working_directory, inputs.alembic_config or "")))


def make_marker(configuration: str, content: str) -> Marker:
    """The marker for a text of this configuration. `content` is what must differ for the text to be written again."""
    return Marker(configuration, _digest(content))


def read_marker(body: str) -> Marker | None:
    """The marker of a comment's body, None where it has none. GitHub may have changed the line ends."""
    lines = body.rstrip().splitlines()
    match = _LINE.fullmatch(lines[-1].strip()) if lines else None
    return Marker(match[1], match[2]) if match is not None else None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
