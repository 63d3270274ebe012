"""Where the Alembic configuration, the script folder and the revisions are. Nothing is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Project:
    """What the configuration says, with every path absolute.

    `root` is the git work tree that holds the configuration, else the current folder: paths in all
    output are relative to it. `cwd` is the folder from which `alembic` finds this script location
    when it is run by hand (the worker starts there).
    """

    root: Path
    cwd: Path
    ini_path: Path | None
    toml_path: Path | None
    section: str
    script_location: Path
    version_locations: tuple[Path, ...]
    recursive_version_locations: bool
    sourceless: bool
    file_template: str
    truncate_slug_length: int
    output_encoding: str
    timezone: str | None
    sqlalchemy_url: str | None
    revision_environment: bool
    hooks: tuple[Mapping[str, str], ...]
    """Post-write hooks as Alembic's `Config.get_hooks_list()` gives them: `_hook_name`, `type`, `options`, …"""
