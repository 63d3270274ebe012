"""The workflows to paste, our own, and the image's file: valid, safe, and true to action.yml."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from converger.github.settings import input_names, read_settings
from tests.github.environment import RUNNER

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.yml"))
OWN = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
OURS = "OWNER/alembic-converger@v1"


def tool(name: str, *arguments: str | Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).parent / name, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def jobs(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values()


def test_there_are_some() -> None:
    assert len(EXAMPLES) >= 5 and {path.name for path in OWN} == {"ci.yml", "release.yml"}


def test_they_have_the_published_form() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *EXAMPLES, *OWN)
    tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")
    tool("check-jsonschema", "--builtin-schema", "vendor.dependabot", ".github/dependabot.yml")
    tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_they_are_safe() -> None:
    tool(
        "zizmor",
        "--offline",
        "--no-progress",
        "--config",
        ".github/zizmor.yml",
        *EXAMPLES,
        *OWN,
        "action.yml",
    )


def test_the_dockerfile() -> None:
    tool("hadolint", "Dockerfile")


@pytest.mark.parametrize("path", [*EXAMPLES, *OWN], ids=lambda path: path.name)
def test_actions_are_pinned_and_nothing_is_put_into_a_script(path: Path) -> None:
    for job in jobs(path):
        for step in job["steps"]:
            if "uses" in step and step["uses"] != OURS:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"]), step["uses"]
            assert "${{" not in step.get("run", "")
    for line in path.read_text().splitlines():
        if re.search(r"@[0-9a-f]{40}", line):
            assert re.search(r" # v\d+\.\d+\.\d+$", line), line


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_can_do_what_it_says(path: Path) -> None:
    # "on" is the boolean True in YAML 1.1.
    document: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    events = document[True]
    assert set(events) <= {"pull_request", "merge_group", "push", "schedule", "workflow_dispatch"}
    assert "paths" not in str(events), "a filtered check never reports"
    assert ("pull_request" in events) == ("merge_group" in events), (
        "a required check reports in a merge queue, too"
    )
    at_once = document["concurrency"].get("cancel-in-progress", False)
    for job in jobs(path):
        steps = [step for step in job["steps"] if step.get("uses") == OURS]
        assert len(steps) == 1 and job["timeout-minutes"]
        given = {name: str(value) for name, value in steps[0].get("with", {}).items()}
        assert set(given) <= set(input_names())
        plain = {name: re.sub(r"\$\{\{.*?\}\}", "x", value) for name, value in given.items()}
        inputs = read_settings({**RUNNER, **{f"INPUT_{k.upper()}": v for k, v in plain.items()}}).inputs
        if "app-token" in str(path):
            assert job["permissions"] == {"contents": "read"}
        else:
            assert job["permissions"]["pull-requests"] == "write"
            assert job["permissions"]["contents"] == ("read" if inputs.mode == "check" else "write")
        assert ("database-url" in given) == ("services" in job)
        assert inputs.mode == "check" or not at_once, "our commit's run would end ours before its comment"
        for name in job.get("services", {}):
            assert f"@{name}:" in given["database-url"]


def test_a_release_changes_the_line_that_action_yml_has() -> None:
    """The tag's action.yml names the image; `sed` would change nothing without a word if the line were another."""
    release = (ROOT / ".github" / "workflows" / "release.yml").read_text()
    match = re.search(r'sed -i "s\|(\^.*?\$)\|(.*?)\|" action\.yml', release)
    assert match is not None
    text = (ROOT / "action.yml").read_text()
    assert len(re.findall(match[1], text, re.MULTILINE)) == 1
    changed = yaml.safe_load(re.sub(match[1], match[2], text, flags=re.MULTILINE))
    assert changed["runs"]["image"].startswith("docker://")
    assert changed["inputs"] == yaml.safe_load(text)["inputs"]
