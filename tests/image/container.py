"""The image, run as a GitHub runner runs it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

UID = 1001
"""Whom the files on GitHub's runners belong to."""

WORKSPACE = "/github/workspace"


def image() -> str:
    """The image to test; tests/image/run builds it and says which."""
    return os.environ["IMAGE"]


def inspect(image: str) -> Any:
    done = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=True)
    return json.loads(done.stdout)[0]


class Job:
    """The folders of one job; they belong to another user than the container's."""

    def __init__(self, folder: Path) -> None:
        self.workspace = folder / "workspace"
        self.home = folder / "home"
        for made in (self.workspace, self.home):
            made.mkdir()
        # pytest's own folders are closed to others.
        for above in [folder, *folder.parents][:4]:
            above.chmod(0o755)

    def give_away(self) -> None:
        for path in [self.workspace, *self.workspace.rglob("*")]:
            os.chown(path, UID, UID, follow_symlinks=False)

    def command(
        self,
        *arguments: str,
        entrypoint: str | None = None,
        network: str = "none",
        env: Mapping[str, str] = {},
    ) -> list[str]:
        variables = {"HOME": "/github/home", "CI": "true", **env}
        command = ["docker", "run", "--rm", "--workdir", WORKSPACE, "--network", network]
        for name, value in variables.items():
            command += ["-e", f"{name}={value}"]
        command += ["-v", f"{self.workspace}:{WORKSPACE}", "-v", f"{self.home}:/github/home"]
        command += ["--entrypoint", entrypoint] if entrypoint is not None else []
        return [*command, image(), *arguments]

    def run(self, *arguments: str, timeout: float = 200, **how: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, **how), capture_output=True, text=True, timeout=timeout, check=False
        )

    def files_at_home(self) -> list[str]:
        return sorted(str(path.relative_to(self.home)) for path in self.home.rglob("*"))
