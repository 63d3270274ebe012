"""`act` runs the workflow of examples/pull-request.yml: a runner of GitHub's with a service, on this machine.

It differs from the real one where it must: the service's image stands for PostgreSQL's own, the job runs in a container
(without one act leaves the service on a network of its own), and GitHub is the fake one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.github.running import Job as Shop
from tests.github.server.world import TOKEN
from tests.image.shop import check_out

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "pull-request.yml"
POSTGRES = "alembic-converger-postgres:test"
ACTION = "OWNER/alembic-converger@v1"
_REPLACED = (
    ("    runs-on: ubuntu-latest\n", "    runs-on: ubuntu-latest\n    container: debian:trixie-slim\n"),
    ("        image: postgres:17\n", f"        image: {POSTGRES}\n"),
)


@dataclass(frozen=True)
class Ran:
    """What act left: its exit code, what it printed, the outputs of the action, and the service's log."""

    code: int
    log: str
    outputs: Mapping[str, str]
    service: str

    @property
    def created(self) -> set[str]:
        """The databases that were made on the service."""
        return set(re.findall(r"statement: CREATE DATABASE \"?(\w+)", self.service))

    @property
    def dropped(self) -> set[str]:
        return set(re.findall(r"statement: DROP DATABASE (?:IF EXISTS )?\"?(\w+)", self.service))


class Act:
    """Runs the example in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = EXAMPLE.read_text()
        for old, new in _REPLACED:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        assert f"uses: {ACTION}\n" in text
        (folder / "workflow.yml").write_text(text)
        _copy_of_ours(folder / "action")

    def run(self, event: str, payload: Mapping[str, Any], shop: Shop) -> Ran:
        (self.folder / "event.json").write_text(json.dumps(payload))
        github = shop.world.github
        # It asks the current folder's repository for some of what a runner knows.
        check_out(shop, shop.world.tip("feature"), self.folder / "clone")
        before = _containers()
        command = [
            "act",
            event,
            "--directory",
            self.folder / "clone",
            "--workflows",
            self.folder / "workflow.yml",
        ]
        command += [
            "--eventpath",
            self.folder / "event.json",
            "--platform",
            "ubuntu-latest=debian:trixie-slim",
        ]
        command += ["--pull=false", "--no-cache-server", "--rm", "--actor", "bob"]
        command += ["--local-repository", f"{ACTION}={self.folder / 'action'}"]
        command += ["--secret", "GITHUB_TOKEN"]
        for name, value in (
            ("GITHUB_REPOSITORY", shop.store.name),
            ("GITHUB_API_URL", github.api_url),
            ("GITHUB_SERVER_URL", github.server_url),
        ):
            command += ["--env", f"{name}={value}"]
        own = {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "cache"), "GITHUB_TOKEN": TOKEN}
        log = self.folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command,
                env={"PATH": os.environ["PATH"], **own},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
            try:
                service = _log_of_service(self.folder / "service", before, lambda: process.poll() is not None)
                code = process.wait(timeout=200)
            finally:
                process.kill()
                process.wait()
        text = log.read_text()
        found = re.findall(r"::set-output:: ([a-z-]+)=(.*)", text)
        return Ran(code, text, dict(found), service)


def _containers() -> set[str]:
    """Those that run from the service's image."""
    command = ["docker", "ps", "--quiet", "--filter", f"ancestor={POSTGRES}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def _log_of_service(path: Path, before: set[str], ended: Callable[[], bool]) -> str:
    """All that the service printed: its container is gone when the job is over."""
    while not (found := _containers() - before):
        if ended():
            return ""
        time.sleep(0.1)
    (container,) = found
    with path.open("w") as file:
        subprocess.run(
            ["docker", "logs", "--follow", container], stdout=file, stderr=subprocess.STDOUT, timeout=200
        )
    return path.read_text()


def _copy_of_ours(folder: Path) -> None:
    """The repository as GitHub would give it to a runner."""
    folder.mkdir()
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes((ROOT / name).read_bytes())
            (folder / name).chmod((ROOT / name).stat().st_mode)
