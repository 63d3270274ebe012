"""What a runner gives a container action, for tests."""

from __future__ import annotations

from converger.github.settings import Settings, read_settings

SHA = {name: letter * 40 for name, letter in (("head", "a"), ("base", "b"), ("pushed", "c"), ("group", "d"))}

RUNNER = {
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_EVENT_PATH": "/github/workflow/event.json",
    "GITHUB_REPOSITORY": "octo/shop",
    "GITHUB_WORKSPACE": "/github/workspace",
    "GITHUB_SHA": "c" * 40,
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_ACTOR": "alice",
    "GITHUB_RUN_ID": "123",
    "GITHUB_RUN_ATTEMPT": "2",
}
TOKEN = "ghs_" + "s3cr3t" * 6


def environment(event: str = "pull_request", **inputs: str) -> dict[str, str]:
    """The variables of a run; `inputs` by their names with underscores."""
    values = {"token": TOKEN, **inputs}
    found = {**RUNNER, "GITHUB_EVENT_NAME": event, "PATH": "/usr/bin", "ACTIONS_RUNTIME_TOKEN": "x"}
    found |= {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in values.items()}
    return found


def settings(event: str = "pull_request", **inputs: str) -> Settings:
    return read_settings(environment(event, **inputs))
