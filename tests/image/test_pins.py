"""What the image installs is what the project asks for, and each file of it has its hash. Needs no Docker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]


def pins(name: str) -> dict[str, tuple[str, int]]:
    """Package -> version, and how many hashes it has."""
    text = (ROOT / "image" / name).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found = {}
    for line in lines:
        match = re.match(r"([a-z0-9.-]+)==(\S+)", line)
        assert match, line
        found[match[1]] = (match[2], line.count("--hash=sha256:"))
    return found


def asked_for() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text()
    lists = [
        re.search(r"^dependencies = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL),
        re.search(r"^mysql = \[(.*?)\]$", text, re.MULTILINE),
        re.search(r"^action = \[(.*?)\]$", text, re.MULTILINE),
    ]
    return [one for match in lists if match for one in re.findall(r'"([^"]+)"', match[1])]


@pytest.mark.parametrize("requirement", asked_for())
def test_the_tool_has_what_it_asks_for(requirement: str) -> None:
    wanted = Requirement(requirement)
    if wanted.marker is not None and not wanted.marker.evaluate({"python_version": "3.13"}):
        return
    version, _ = pins("requirements.txt")[wanted.name.lower()]
    assert Version(version) in wanted.specifier


def test_three_lists_are_asked_for() -> None:
    assert {"alembic", "pymysql", "PyGithub"} <= {Requirement(one).name for one in asked_for()}


@pytest.mark.parametrize("name", ["requirements.txt", "build.txt", "uv.txt"])
def test_every_file_has_its_hash(name: str) -> None:
    found = pins(name)
    assert found and all(hashes for _, hashes in found.values())
    assert "://" not in (ROOT / "image" / name).read_text()


@pytest.mark.parametrize("name", ["poetry", "pdm", "pipenv"])
def test_the_tools_that_read_their_locks_are_pinned_whole(name: str) -> None:
    lines = (ROOT / "converger" / "github" / "tools" / f"{name}.txt").read_text().splitlines()
    assert name in {line.partition("==")[0] for line in lines}
    assert all(re.match(r"[a-z0-9.-]+==\S+( ; .*)?$", line) for line in lines)
