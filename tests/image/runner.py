"""A step of a job as GitHub's runner starts it: the mounts, the files, and every variable by its name alone."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.github.running import parse_outputs
from tests.github.server.world import TOKEN
from tests.image.container import UID, WORKSPACE, image

ROOT = Path(__file__).parents[2]
RUNTIME_TOKEN = "runtime-" + "9fE3" * 8
"""Stands for the tokens that a runner gives to every step of its own accord."""

_MOUNTS = {
    "_temp": "/github/runner_temp",
    "_temp/_github_home": "/github/home",
    "_temp/_github_workflow": "/github/workflow",
    "_temp/_runner_file_commands": "/github/file_commands",
    "shop/shop": WORKSPACE,
}
_FILES = {
    "GITHUB_OUTPUT": "set_output",
    "GITHUB_STEP_SUMMARY": "step_summary",
    "GITHUB_ENV": "set_env",
    "GITHUB_PATH": "add_path",
    "GITHUB_STATE": "save_state",
}


@dataclass(frozen=True)
class Ran:
    """What a step left: its exit code, what it printed, the summary, the outputs, and how long its container ran."""

    code: int
    log: str
    summary: str
    outputs: Mapping[str, str]
    seconds: float


class Runner:
    """One job of a repository; its folders belong to the runner's user, as all that is in them."""

    def __init__(self, folder: Path) -> None:
        self.work = folder / "work"
        for name in _MOUNTS:
            (self.work / name).mkdir(parents=True, exist_ok=True)
        # pytest's own folders are closed to others.
        for above in [folder, *folder.parents][:4]:
            above.chmod(0o755)

    @property
    def workspace(self) -> Path:
        return self.work / "shop" / "shop"

    @property
    def home(self) -> Path:
        return self.work / "_temp" / "_github_home"

    def step(
        self, event: str, payload: Mapping[str, Any], github: Mapping[str, str], /, **inputs: str
    ) -> Ran:
        """Run the action for an event. `github` are variables of the runner, `inputs` those of the workflow."""
        suffix = secrets.token_hex(8)
        files = {name: self._commands / f"{kind}_{suffix}" for name, kind in _FILES.items()}
        for file in files.values():
            file.touch()
        (self.work / "_temp" / "_github_workflow" / "event.json").write_text(json.dumps(payload))
        self._give_away()
        variables = {
            **_inputs(inputs),
            "HOME": "/github/home",
            "GITHUB_JOB": "heads",
            "GITHUB_REPOSITORY": "octo/shop",
            "GITHUB_REPOSITORY_OWNER": "octo",
            "GITHUB_RUN_ID": "123",
            "GITHUB_RUN_NUMBER": "4",
            "GITHUB_RUN_ATTEMPT": "1",
            "GITHUB_ACTOR": "bob",
            "GITHUB_TRIGGERING_ACTOR": "bob",
            "GITHUB_WORKFLOW": "Migrations",
            "GITHUB_EVENT_NAME": event,
            "GITHUB_EVENT_PATH": "/github/workflow/event.json",
            "GITHUB_WORKSPACE": WORKSPACE,
            "GITHUB_ACTION": "__octo_alembic-converger",
            "GITHUB_ACTION_REPOSITORY": "",
            "GITHUB_ACTION_REF": "",
            **{name: f"/github/file_commands/{file.name}" for name, file in files.items()},
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_NAME": "runner 1",
            "RUNNER_ENVIRONMENT": "self-hosted",
            "RUNNER_TOOL_CACHE": "/opt/hostedtoolcache",
            "RUNNER_TEMP": "/github/runner_temp",
            "RUNNER_WORKSPACE": "/home/runner/work/shop",
            "ACTIONS_RUNTIME_URL": "https://pipelines.actions.example.org/",
            "ACTIONS_RUNTIME_TOKEN": RUNTIME_TOKEN,
            "ACTIONS_CACHE_URL": "https://artifactcache.actions.example.org/",
            **github,
        }
        began = time.monotonic()
        done = subprocess.run(
            self._command(variables),
            env={"PATH": os.environ["PATH"], **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=200,
            check=False,
        )
        seconds = time.monotonic() - began
        summary, output = (files[name].read_text() for name in ("GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT"))
        return Ran(done.returncode, done.stdout, summary, parse_outputs(output), seconds)

    @property
    def _commands(self) -> Path:
        return self.work / "_temp" / "_runner_file_commands"

    def _command(self, variables: Mapping[str, str]) -> list[str]:
        name = f"octoalembicconverger_{secrets.token_hex(3)}"
        command = ["docker", "run", "--name", name, "--label", "5588e4", "--workdir", WORKSPACE, "--rm"]
        for variable in variables:
            command += ["-e", variable]
        command += ["-e", "GITHUB_ACTIONS=true", "-e", "CI=true"]
        command += ["-v", "/var/run/docker.sock:/var/run/docker.sock"]
        for here, there in _MOUNTS.items():
            command += ["-v", f"{self.work / here}:{there}"]
        return [*command, image()]

    def _give_away(self) -> None:
        for path in [self.work, *self.work.rglob("*")]:
            os.chown(path, UID, UID, follow_symlinks=False)


def _inputs(given: Mapping[str, str]) -> dict[str, str]:
    """Every input of action.yml: what the workflow set, else its default; hyphens stay in the names."""
    known = yaml.safe_load((ROOT / "action.yml").read_text())["inputs"]
    values = {name: str(about.get("default", "")) for name, about in known.items()}
    values |= {"token": TOKEN, **{name.replace("_", "-"): value for name, value in given.items()}}
    return {f"INPUT_{name.upper()}": value for name, value in values.items()}
