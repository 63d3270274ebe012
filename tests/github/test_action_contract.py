"""action.yml, the settings, the outputs and docs/action.md say the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import yaml

from converger.cli import main
from converger.github.events import Ignore, Refuse, decide
from converger.github.outputs import output_names
from converger.github.settings import Inputs, input_names, read_settings
from tests.github.environment import RUNNER, settings

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
DOCUMENT = (ROOT / "docs" / "action.md").read_text(encoding="utf-8")

# The contract itself: workflows depend on these names.
INPUTS = """mode from-revision alembic-config working-directory database-url install python-version system-packages strategy
    dry-run skip-validation seed-sql comment branch commit-message pull-request-title labels token base-sql prepare env
    database-url-env flask-app command timeout proof-budget require-downgrade""".split()
OUTPUTS = """status verdict heads head-count merges final-head commit-sha branch pull-request-number pull-request-url
    comment-url report-path""".split()


def rows(title: str) -> dict[str, list[str]]:
    """The table below a heading: the name in its first column -> the other cells."""
    match = re.search(rf"^##+ {re.escape(title)}\n(.*?)(?=^##|\Z)", DOCUMENT, re.MULTILINE | re.DOTALL)
    assert match, title
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in match[1].splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in cells}


def test_a_container_action() -> None:
    assert ACTION["runs"]["using"] == "docker" and ACTION["runs"]["image"]
    assert set(ACTION["runs"]) == {"using", "image"}, (
        "env here would be shadowed by a job's; args would need a shell"
    )
    assert ACTION["name"] and ACTION["description"] and ACTION["branding"]


def test_the_inputs() -> None:
    assert list(ACTION["inputs"]) == list(input_names()) == list(rows("Inputs")) == INPUTS
    for name, about in ACTION["inputs"].items():
        assert set(about) <= {"description", "default"}, name
        assert len(about["description"]) > 20, name


def test_the_defaults() -> None:
    given = {name: about["default"] for name, about in ACTION["inputs"].items() if "default" in about}
    assert given.pop("token") == "${{ github.token }}"
    assert all(type(value) is str for value in given.values()), "YAML must not make a number of it"
    as_the_runner_does = {f"INPUT_{name.upper()}": value for name, value in given.items()}
    assert read_settings({**RUNNER, **as_the_runner_does}).inputs == Inputs()
    documented = rows("Inputs")
    for name, value in given.items():
        assert documented[name][0] == f"`{value}`", name
    for name in set(INPUTS) - set(given) - {"token"}:
        assert not documented[name][0].startswith("`"), name


def test_the_outputs() -> None:
    assert list(ACTION["outputs"]) == list(output_names()) == list(rows("Outputs")) == OUTPUTS
    for name, about in ACTION["outputs"].items():
        assert set(about) == {"description"} and about["description"], name


def test_options_of_converge_have_the_same_names() -> None:
    options = {
        p.opts[0].removeprefix("--") for p in main.commands["converge"].params if isinstance(p, click.Option)
    }
    of_the_action = """mode working-directory install python-version system-packages comment branch commit-message
        pull-request-title labels token""".split()
    assert set(INPUTS) - set(of_the_action) <= options | {"alembic-config"}


def test_every_event_is_documented_as_it_is_decided() -> None:
    named = [event for cell in rows("Events") for event in re.findall(r"[a-z_]+", cell)]
    assert {
        "pull_request",
        "push",
        "schedule",
        "workflow_dispatch",
        "merge_group",
        "pull_request_target",
    } == set(named)
    assert isinstance(decide({}, settings("pull_request_target")), Refuse)
    for event in ("issues", "release", "workflow_run"):
        assert isinstance(decide({}, settings(event)), Ignore)
