"""Runs of the whole Action, in process, against the fake GitHub and a SQLite project in its repository."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from converger.github.client import PyGithubClient
from converger.github.run import Collaborators, run
from tests.alembic_project import AlembicProject
from tests.github.server.store import Store
from tests.github.server.world import TOKEN, World

VERSIONS = "migrations/versions"
ACCOUNTS = "CREATE TABLE accounts (id INTEGER PRIMARY KEY, name VARCHAR(50))"
EMAIL = "ALTER TABLE accounts ADD COLUMN email VARCHAR(50)"
ORDERS = "CREATE TABLE orders (id INTEGER PRIMARY KEY)"


def sql(
    folder: Path, name: str, parents: str | tuple[str, ...] | None, *statements: str
) -> dict[str, bytes | None]:
    """One revision file, by its path in the repository."""
    project = AlembicProject(folder / f"made-{name}")
    path = project.sql(name, parents, *statements)
    return {f"{VERSIONS}/{path.name}": path.read_bytes()}


def start(folder: Path, store: Store) -> None:
    """main: accounts, then orders. feature: from the accounts on, nothing yet."""
    project = AlembicProject(folder / "start", url="sqlite:///never.db")
    project.sql("base0001", None, ACCOUNTS)
    files = {
        str(path.relative_to(project.root)): path.read_bytes()
        for path in sorted(project.root.rglob("*"))
        if path.is_file()
    }
    first = store.commit("main", {**files, "app.py": b"one\n"}, message="start")
    store.commit("main", sql(folder, "bbbb0001", "base0001", ORDERS), message="orders")
    store.git("update-ref", "refs/heads/feature", first)


@dataclass
class Ran:
    """What a run left: exit code, lines of the log, the new part of the summary, outputs."""

    code: int
    log: list[str]
    summary: str
    outputs: Mapping[str, str]

    @property
    def status(self) -> str:
        return self.outputs["status"]

    def commands(self, level: str) -> list[str]:
        return [line for line in self.log if line.startswith(f"::{level}")]


@dataclass
class Job:
    """A repository with a project, and runs for it.

    `converged` counts how often a proof was asked for; each of `meanwhile` is done during one of them.
    `impatient` runs take an answer that does not come at once for one that never comes.
    """

    world: World
    folder: Path
    extra: dict[str, str] = field(default_factory=dict)
    meanwhile: list[Callable[[], object]] = field(default_factory=list)
    converged: int = 0
    runs: int = 0
    impatient: bool = False

    @property
    def store(self) -> Store:
        return self.world.store

    def sql(self, branch: str, name: str, parents: str | tuple[str, ...] | None, *statements: str) -> str:
        return self.store.commit(branch, sql(self.folder, name, parents, *statements), message=name)

    def pull(self, branch: str = "feature", fork: str = "octo/shop") -> dict[str, Any]:
        """The payload for the pull request from a branch into main, which is opened with the first one."""
        there = [pull.number for pull in self.store.pulls if (pull.branch, pull.base) == (branch, "main")]
        number = there[0] if there else self.store.add_pull(branch, "main").number
        head = {"ref": branch, "sha": self.world.tip(branch), "repo": {"full_name": fork}}
        pull = {
            "number": number,
            "state": "open",
            "user": {"login": "bob"},
            "head": head,
            "base": {"ref": "main"},
        }
        return {"action": "synchronize", "number": number, "pull_request": pull}

    def push(self) -> dict[str, Any]:
        return {"ref": "refs/heads/main", "after": self.world.tip("main"), "deleted": False}

    def run(self, event: str, payload: Mapping[str, Any], /, **inputs: str) -> Ran:
        environment, summary, output = self.environment(event, payload, **inputs)
        lines: list[str] = []

        def converge(options: Any, progress: Any) -> Any:
            from converger.converge import converge as use_case

            self.converged += 1
            # The worker's own environment is cleaned; ours has the inputs in it all the same.
            assert "INPUT_TOKEN" in options.environment
            if self.meanwhile:
                self.meanwhile.pop()()
            return use_case(options, progress)

        connect = lambda settings, say: self.connect() if settings.inputs.token else None  # noqa: E731
        with_whom = Collaborators(write=lines.append, connect=connect, converge=converge)
        code = run(environment, with_whom)
        printed = "\n".join(line for line in lines if not line.startswith("::add-mask::"))
        assert TOKEN not in printed + summary.read_text() + output.read_text()
        return Ran(code, lines, summary.read_text(), parse_outputs(output.read_text()))

    def connect(self) -> PyGithubClient:
        """A client of its own for each run, as it is outside: it knows nothing of what another one was told."""
        client = self.world.connect()
        if self.impatient:
            # PyGithub itself takes whole seconds only.
            client._api.requester._Requester__timeout = 0.25  # type: ignore[attr-defined]
        return client

    def environment(
        self, event: str, payload: Mapping[str, Any], **inputs: str
    ) -> tuple[dict[str, str], Path, Path]:
        self.runs += 1
        place = self.folder / f"run{self.runs}"
        place.mkdir()
        (place / "event.json").write_text(json.dumps(payload))
        summary, output = place / "summary", place / "output"
        for file in (summary, output):
            file.touch()
        workspace = self.folder / "workspace"
        workspace.mkdir(exist_ok=True)
        given = {"token": TOKEN, "install": "none", **inputs}
        variables = {f"INPUT_{name.replace('_', '-').upper()}": value for name, value in given.items()}
        return (
            {
                "PATH": os.environ["PATH"],
                "HOME": str(place),
                "GITHUB_EVENT_NAME": event,
                "GITHUB_EVENT_PATH": str(place / "event.json"),
                "GITHUB_REPOSITORY": self.store.name,
                "GITHUB_WORKSPACE": str(workspace),
                "GITHUB_SHA": self.world.tip("main"),
                "GITHUB_REF": "refs/heads/main",
                "GITHUB_ACTOR": "bob",
                "GITHUB_RUN_ID": "123",
                "GITHUB_API_URL": self.world.github.api_url,
                "GITHUB_SERVER_URL": self.world.github.server_url,
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(summary),
                **variables,
                **self.extra,
            },
            summary,
            output,
        )

    def again(self, event: str, payload: Mapping[str, Any], /, **inputs: str) -> Ran:
        """The same run, which must write nothing."""
        before = list(self.world.github.writes)
        ran = self.run(event, payload, **inputs)
        assert self.world.github.writes == before
        return ran


def parse_outputs(text: str) -> dict[str, str]:
    found, lines = {}, iter(text.splitlines())
    for line in lines:
        name, _, delimiter = line.partition("<<")
        value = []
        for part in lines:
            if part == delimiter:
                break
            value.append(part)
        found[name] = "\n".join(value)
    return found
