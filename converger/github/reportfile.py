"""The report as a JSON file in the workspace, for later steps. The workspace's contents are a stranger's."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from converger.outcome import Outcome

FOLDER = ".alembic-converger"


def write_report(workspace: Path, configuration: str, outcome: Outcome) -> str:
    """Write the report; gives its path in the workspace, empty where it could not be written.

    It is in a folder that git ignores, and belongs to whom the workspace belongs. No link is followed.
    """
    from converger.report.json import outcome_json, to_bytes

    name = f"report-{configuration}.json"
    try:
        owner = os.stat(workspace)
        with contextlib.suppress(FileExistsError):
            os.mkdir(workspace / FOLDER, 0o755)
        folder = os.open(workspace / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _give(folder, owner)
            _replace(folder, ".gitignore", b"*\n", owner)
            _replace(folder, name, to_bytes(outcome_json(outcome)), owner)
        finally:
            os.close(folder)
    except OSError:
        return ""
    return f"{FOLDER}/{name}"


def _replace(folder: int, name: str, data: bytes, owner: os.stat_result) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644, dir_fd=folder)
    with os.fdopen(file, "wb") as stream:
        _give(file, owner)
        stream.write(data)


def _give(file: int, owner: os.stat_result) -> None:
    with contextlib.suppress(PermissionError):
        os.fchown(file, owner.st_uid, owner.st_gid)
