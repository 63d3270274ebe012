"""Programs that make dumps, and databases that are worth dumping."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from converger.proof.embedded import find_binaries

from .conftest import Site


class Quiet:
    """A progress that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(self, text: str, done: int, total: int) -> None:
        self.said.append(text)


def pg_programs(name: str) -> list[str]:
    """Each pg_dump or pg_restore there is: that on PATH, and those next to the binaries of a server."""
    places = [os.path.join(os.path.dirname(binaries.postgres), name) for binaries in find_binaries()]
    on_path = shutil.which(name)
    return [*([on_path] if on_path else []), *(place for place in places if os.access(place, os.X_OK))]


def pg_dump(site: Site, database: str, *options: str, program: str | None = None) -> bytes:
    """What pg_dump prints."""
    result = subprocess.run(
        [program or pg_programs("pg_dump")[0], *options, "--dbname", site.address(database=database)],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert result.returncode == 0, result.stderr.decode()
    return result.stdout


def documented(command: str) -> list[str]:
    """How docs/starting-points.md has people make base.sql: what matches the group in `command`."""
    page = (Path(__file__).parents[2] / "docs" / "starting-points.md").read_text("utf-8")
    return re.findall(rf"^    {command} >>? base\.sql$", page, re.MULTILINE)


# Everything that a splitter could stumble over, in one database.
RICH = (Path(__file__).parent / "rich.sql").read_text("utf-8")
