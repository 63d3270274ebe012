"""The settings of one run of the Action, from the runner's environment. Pure: a mapping in, a data class out.

The runner gives an input as `INPUT_` and its name in upper case, hyphens kept (`INPUT_FROM-REVISION`); one that
was not set is empty. All bad values are reported together. `repr` of a setting shows no secret.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from converger.errors import ConfigurationError
from converger.github import inputs as read
from converger.outcome import DEFAULT_PROOF_BUDGET, DEFAULT_TIMEOUT
from converger.plan import Strategy

Mode = Literal["commit", "pull-request", "check"]

DEFAULT_BRANCH = "alembic-converger/{base}"
DEFAULT_COMMIT_MESSAGE = "Merge {count} Alembic heads of {base}"
DEFAULT_TITLE = "Merge {count} Alembic heads of {base}"

_PREFIX = "INPUT_"
# Links are made of them, so they hold nothing that means something in Markdown or HTML.
_PLAIN_URL = re.compile(r"[A-Za-z0-9:/._~-]+")
# What the runner itself reads of `with:` for every container action, and passes on.
_RUNNERS_OWN = frozenset({"args", "entrypoint"})


@dataclass(frozen=True)
class Inputs:
    """What the workflow chose. A field's name is its input's, with underscores; docs/action.md says what each means.

    Paths are relative: `working_directory` to the repository, the others to it; none leads out of the repository.
    """

    mode: Mode = "commit"
    from_revision: str | None = None
    alembic_config: str | None = None
    working_directory: str = "."
    database_url: str | None = field(default=None, repr=False)
    install: str | None = None
    python_version: str | None = None
    system_packages: tuple[str, ...] = ()
    strategy: Strategy = "pairwise"
    dry_run: bool = False
    skip_validation: bool = False
    seed_sql: str | None = None
    comment: bool = True
    branch: str = DEFAULT_BRANCH
    commit_message: str = DEFAULT_COMMIT_MESSAGE
    pull_request_title: str = DEFAULT_TITLE
    labels: tuple[str, ...] = ()
    token: str | None = field(default=None, repr=False)
    base_sql: str | None = None
    prepare: str | None = None
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    database_url_env: tuple[str, ...] = ()
    flask_app: str | None = None
    command: str | None = None
    timeout: float = DEFAULT_TIMEOUT
    proof_budget: float = DEFAULT_PROOF_BUDGET
    require_downgrade: bool = False


@dataclass(frozen=True)
class Runner:
    """What the runner says about the run: the variables `GITHUB_*`, with names of our own.

    `ref` is the whole ref that the run is for (`refs/heads/main`), `actor` who caused it: their rights are the
    token's. `event_path` is a file.
    """

    event_name: str
    event_path: str
    repository: str
    workspace: str
    sha: str = ""
    ref: str = ""
    actor: str = ""
    run_id: int | None = None
    run_attempt: int = 1
    api_url: str = "https://api.github.com"
    server_url: str = "https://github.com"

    @property
    def run_url(self) -> str | None:
        """Where the log and the summary of this run are to be read."""
        if self.run_id is None:
            return None
        return f"{self.server_url}/{self.repository}/actions/runs/{self.run_id}"


@dataclass(frozen=True)
class Settings:
    """All that one run of the Action was told."""

    inputs: Inputs
    runner: Runner


class BadInputs(ConfigurationError):
    """All inputs that cannot be used (exit 2). `findings` are pairs: an input or variable, and what is wrong."""

    def __init__(self, findings: tuple[tuple[str, str], ...]) -> None:
        count = "1 input" if len(findings) == 1 else f"{len(findings)} inputs"
        super().__init__(
            f"{count} of the action cannot be used: "
            + "; ".join(f"{name}: {text}" for name, text in findings),
            code="bad-inputs",
            hint="mend them under `with:` in the workflow; docs/action.md says what each one takes",
        )
        self.findings = findings


_Reader = Callable[[str], Any]


def _one_of(*choices: str) -> _Reader:
    def reader(text: str) -> str:
        value = text.strip()
        if value not in choices:
            raise ValueError(f"{read.shown(value)} is none of {', '.join(choices)}")
        return value

    return reader


def _readers() -> dict[str, _Reader]:
    return {
        "mode": _one_of("commit", "pull-request", "check"),
        "from-revision": read.start,
        "alembic-config": read.within_repository,
        "working-directory": read.inside,
        "database-url": read.database_url,
        "install": read.script,
        "python-version": read.python_version,
        "system-packages": read.packages,
        "strategy": _one_of("pairwise", "single"),
        "dry-run": read.boolean,
        "skip-validation": read.boolean,
        "seed-sql": read.within_repository,
        "comment": read.boolean,
        "branch": read.branch,
        "commit-message": read.script,
        "pull-request-title": read.one_line,
        "labels": read.labels,
        "token": read.token,
        "base-sql": read.within_repository,
        "prepare": read.shell_words,
        "env": read.variables,
        "database-url-env": read.variable_names,
        "flask-app": read.one_line,
        "command": read.upgrade_command,
        "timeout": read.seconds,
        "proof-budget": read.seconds,
        "require-downgrade": read.boolean,
    }


def input_names() -> tuple[str, ...]:
    """The inputs of the Action, in the order of action.yml."""
    return tuple(one.name.replace("_", "-") for one in fields(Inputs))


def read_settings(environment: Mapping[str, str]) -> Settings:
    """The settings that an environment gives. Looks at nothing else: no file, no network.

    Raises BadInputs, which names every bad value; for a secret it says what is wrong without repeating it.
    """
    findings: list[tuple[str, str]] = []
    chosen = _inputs(environment, findings)
    runner = _runner(environment, findings)
    if findings or runner is None:
        raise BadInputs(tuple(findings))
    return Settings(chosen, runner)


def _inputs(environment: Mapping[str, str], findings: list[tuple[str, str]]) -> Inputs:
    values: dict[str, Any] = {}
    for name, reader in _readers().items():
        text = environment.get(_PREFIX + name.upper(), "")
        if not text.strip():
            continue
        try:
            values[name.replace("-", "_")] = reader(text)
        except ValueError as error:
            findings.append((name, str(error)))
    _unknown(environment, findings)
    chosen = Inputs(**values)
    for name in ("alembic-config", "seed-sql", "base-sql"):
        path = getattr(chosen, name.replace("-", "_"))
        if path is not None:
            whole = posixpath.normpath(posixpath.join(chosen.working_directory, path))
            if whole == ".." or whole.startswith("../"):
                findings.append((name, f"{read.shown(path)} leads out of the repository"))
    if chosen.skip_validation and chosen.require_downgrade:
        findings.append(
            ("require-downgrade", "skip-validation proves nothing, so there is nothing to require")
        )
    return chosen


def _unknown(environment: Mapping[str, str], findings: list[tuple[str, str]]) -> None:
    """A misspelled input (`dry_run`) is only a warning to the runner, and would let us write."""
    known = input_names()
    for variable in sorted(environment):
        name = variable.removeprefix(_PREFIX).lower()
        if not variable.startswith(_PREFIX) or name in known or name in _RUNNERS_OWN:
            continue
        close = difflib.get_close_matches(name.replace("_", "-"), known, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        findings.append((name, f"there is no such input{meant}"))


def _runner(environment: Mapping[str, str], findings: list[tuple[str, str]]) -> Runner | None:
    def wanted(name: str) -> str:
        value = environment.get(name, "")
        if not value:
            findings.append((name, "is not set; this runs in a job of GitHub Actions only"))
        return value

    def url(name: str, default: str) -> str:
        value = environment.get(name, "") or default
        try:
            parts = urlsplit(value)
            valid = parts.scheme in ("https", "http") and bool(parts.hostname)
        except ValueError:
            valid = False
        valid = valid and _PLAIN_URL.fullmatch(value) is not None
        if not valid:
            findings.append((name, f"{read.shown(value)} is no URL"))
        return value.rstrip("/")

    def number(name: str) -> int | None:
        value = environment.get(name, "")
        return int(value) if value.isascii() and value.isdecimal() else None

    event_name, event_path = wanted("GITHUB_EVENT_NAME"), wanted("GITHUB_EVENT_PATH")
    repository, workspace = wanted("GITHUB_REPOSITORY"), wanted("GITHUB_WORKSPACE")
    if repository and not _is_repository(repository):
        findings.append(("GITHUB_REPOSITORY", f"{read.shown(repository)} is not OWNER/NAME"))
    api = url("GITHUB_API_URL", "https://api.github.com")
    server = url("GITHUB_SERVER_URL", "https://github.com")
    if not all((event_name, event_path, repository, workspace)):
        return None
    return Runner(
        event_name=event_name,
        event_path=event_path,
        repository=repository,
        workspace=workspace,
        sha=environment.get("GITHUB_SHA", ""),
        ref=environment.get("GITHUB_REF", ""),
        actor=environment.get("GITHUB_ACTOR", ""),
        run_id=number("GITHUB_RUN_ID"),
        run_attempt=number("GITHUB_RUN_ATTEMPT") or 1,
        api_url=api,
        server_url=server,
    )


def _is_repository(text: str) -> bool:
    parts = text.split("/")
    allowed = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    return len(parts) == 2 and all(
        part and set(part) <= allowed and part not in (".", "..") for part in parts
    )
