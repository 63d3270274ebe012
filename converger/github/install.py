"""Installing what the project depends on, so that its env.py and its migrations can run.

Into an environment of its own, outside the workspace, by uv. Build back ends write beside the sources
(`*.egg-info`, `build/`): give a copy of the tree where nothing of that may be seen.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.github.dependencies import Dependencies, find_dependencies, poetry_groups, wanted_python
from converger.github.inputs import OLDEST_PYTHON
from converger.github.installer import Ended, Installer, Places, installer_environment
from converger.github.settings import BadInputs, Inputs
from converger.report.visible import one_line

LIMIT = 1_800.0
"""How many seconds all of it may take."""

NONE = "none"
_OURS = ("--python=/", "--constraints=/", "--output=/")
# Tools that read their own lock, each with the versions of all that it consists of: what is published tomorrow must
# not break them. Made by `uv pip compile --universal --python-version 3.10 --no-annotate --no-header`.
_TOOLS = Path(__file__).parent / "tools"


@dataclass(frozen=True)
class Installed:
    """`python` is the interpreter that has it all, None for `install: none`; `source` says what was installed."""

    python: str | None
    source: str
    seconds: float


@dataclass(frozen=True)
class Step:
    """A command; `optional`: what fails is said, and the next one is run."""

    command: tuple[str, ...]
    optional: bool = False

    @property
    def title(self) -> str:
        """The command as it is said: the tool and what it does, without paths of ours."""
        words = [word for word in self.command if not word.startswith(_OURS)]
        if words[0] == "sh":
            words = words[words.index("uv") :]
        elif words[0] == "bash":
            words = words[-1].strip().splitlines()[:1]
        return " ".join(os.path.basename(word) if word.startswith("/") else word for word in words)


def install_project(
    inputs: Inputs,
    *,
    repository: Path,
    folder: Path,
    into: Path,
    own: Mapping[str, str],
    say: Callable[[str], None],
    hidden: Sequence[str] = (),
    limit: float = LIMIT,
) -> Installed:
    """Install what the project in `folder` (in `repository`) depends on into the new folder `into`.

    Caches are there, too; whoever made the folder removes it.

    `inputs.install` is the command, `none`, or None: then by what the repository says. `own` is our environment;
    `say` gets lines for the log, safe for a runner, without the texts of `hidden`.

    Raises BadInputs for inputs that contradict each other, ConfigurationError `ambiguous-requirements`, and
    CouldNotEvaluate: `no-dependencies-found`, `system-packages-failed`, `python-unavailable`, `install-failed`,
    `install-timed-out`.
    """
    began = time.monotonic()
    is_none = inputs.install is not None and inputs.install.strip().lower() == NONE
    if is_none and inputs.python_version:
        raise BadInputs(
            (("python-version", f"with install: {NONE} there is no environment to make with it"),)
        )
    found = None if inputs.install else find_dependencies(repository, folder)
    if not inputs.install and found is None:
        raise _nothing_found(folder)

    places = Places(into)
    for made in (places.caches / "home", places.caches / "tmp"):
        made.mkdir(parents=True)
    environment = installer_environment(own, places, inputs.env)
    installer = Installer(environment, began + limit, say, hidden)
    _system_packages(installer, inputs.system_packages)
    if is_none:
        return Installed(None, NONE, time.monotonic() - began)
    _make_environment(installer, places, inputs, repository, folder)
    if inputs.install:
        source, root, steps = "the input install", folder, custom_steps(inputs.install)
    else:
        assert found is not None
        source = os.path.relpath(found.path, os.path.realpath(repository))
        root, steps = found.root, steps_for(found, places)
    for step in steps:
        _run(installer, step, root, source)
    installer.say(f"Installed from {source} in {time.monotonic() - began:.1f} s")
    return Installed(str(places.python), source, time.monotonic() - began)


def custom_steps(script: str) -> tuple[Step, ...]:
    """The workflow's own command, as a runner's `shell: bash`; `pip` and `python` are those of the new environment."""
    return (
        Step(("uv", "pip", "install", "--quiet", "pip")),
        Step(("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script)),
    )


def steps_for(found: Dependencies, places: Places) -> tuple[Step, ...]:
    """The commands that install it; run in `found.root`, in the environment that is there already.

    Locks of other tools are written out as requirements by these tools, without a network; uv installs them all.
    """
    python = f"--python={places.python}"
    pip = ("uv", "pip", "install", python)
    if found.kind == "uv":
        return (Step(("uv", "sync", "--frozen", python)),)
    if found.kind in ("editable", "setup"):
        return (Step((*pip, "--editable", ".")),)
    itself = (Step((*pip, "--no-deps", "--editable", "."), optional=True),) if found.package else ()
    if found.kind not in ("poetry", "pdm", "pipenv"):
        return (Step((*pip, "-r", os.path.relpath(found.path, found.root))), *itself)
    exported = places.caches / "requirements.txt"
    return (_export(found, exported), Step((*pip, "-r", str(exported))), *itself)


def _export(found: Dependencies, exported: Path) -> Step:
    # The image's own Python runs the tool: the project's may be too old for it.
    tool = (
        "uv",
        "tool",
        "run",
        "--quiet",
        f"--python={sys.executable}",
        f"--constraints={_TOOLS / found.kind}.txt",
    )
    if found.kind == "poetry":
        groups = poetry_groups(found.root)
        with_groups = (f"--with={','.join(groups)}",) if groups else ()
        plugin = ("--from=poetry", "--with=poetry-plugin-export", "poetry")
        return Step((*tool, *plugin, "export", "--no-interaction", *with_groups, f"--output={exported}"))
    if found.kind == "pdm":
        # With hashes it refuses where a package has none, such as one from a git repository.
        export = (*tool, "pdm", "export", f"--output={exported}")
        return Step(("sh", "-c", '"$@" || "$@" --no-hashes', "sh", *export))
    # It writes to standard output only.
    return Step(
        (
            "sh",
            "-c",
            'out=$1; shift; "$@" > "$out"',
            "sh",
            str(exported),
            *tool,
            "pipenv",
            "requirements",
            "--hash",
        )
    )


def _system_packages(installer: Installer, packages: tuple[str, ...]) -> None:
    if not packages:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise CouldNotEvaluate(
            "system-packages needs root and apt-get, as they are in the image of the action",
            code="system-packages-failed",
            hint="install the packages before, in another way, and leave system-packages out",
        )
    # The slim image's apt has no lists. No configuration files are asked about, nothing is recommended.
    for command in (
        ("apt-get", "update", "-qq"),
        ("apt-get", "install", "-y", "-qq", "--no-install-recommends", "-o=Dpkg::Use-Pty=0", *packages),
    ):
        ended = _ended(installer, Step(command), Path("/"), "system-packages")
        if ended.returncode:
            raise CouldNotEvaluate(
                _failed(" ".join(command), ended),
                code="system-packages-failed",
                hint="the packages are those of the image's Debian; system-packages takes their names",
            )


def _make_environment(
    installer: Installer, places: Places, inputs: Inputs, repository: Path, folder: Path
) -> None:
    request, said_by = inputs.python_version, "the input python-version"
    if request is None:
        wanted = wanted_python(repository, folder)
        if wanted is not None:
            request, said_by = wanted
    _check_age(request or "", request, said_by)
    command = ["uv", "venv", "--no-project", "--quiet"]
    if request is not None:
        command.append(f"--python={request}")
    step = Step((*command, str(places.environment)))
    ended = _ended(installer, step, folder, "python")
    if ended.returncode:
        wants = f"Python {request}, which {said_by} asks for," if request else "A Python for the project"
        raise CouldNotEvaluate(
            f"{wants} cannot be had: {_last(ended)}",
            code="python-unavailable",
            hint="name another one with the input python-version; one that the image has not is downloaded by uv",
        )
    version = _version(installer, places, folder)
    _check_age(version.removeprefix("Python "), request, said_by)
    installer.say(f"{version} for the project" + (f" ({request}: {said_by})" if request else ""))


def _check_age(version: str, request: str | None, said_by: str) -> None:
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        raise CouldNotEvaluate(
            f"{said_by} asks for Python {request}; the oldest that a proof runs on is {oldest}",
            code="python-unavailable",
            hint="name a later one with the input python-version, if the project runs on it",
        )


def _version(installer: Installer, places: Places, folder: Path) -> str:
    quiet = Installer(installer.environment, installer.deadline, lambda line: None)
    said = quiet.run((str(places.python), "-I", "--version"), folder).lines
    return said[-1] if said else "Python"


def _run(installer: Installer, step: Step, root: Path, source: str) -> None:
    ended = _ended(installer, step, root, source)
    if not ended.returncode:
        return
    if step.optional:
        installer.say(f"{step.title}: exit code {ended.returncode}; the project itself is not installed")
        return
    raise CouldNotEvaluate(
        _failed(f"the command that installs from {source}", ended),
        code="install-failed",
        hint=_hint("\n".join(ended.lines)),
    )


def _ended(installer: Installer, step: Step, root: Path, source: str) -> Ended:
    installer.say(f"$ {one_line(step.title, 200)}")
    try:
        ended = installer.run(step.command, root)
    except (OSError, ValueError) as error:
        raise CouldNotEvaluate(
            f"{step.command[0]} cannot be run: {getattr(error, 'strerror', None) or error}",
            code="install-failed",
            hint="the image of the action has uv, bash and git; name what else is needed with system-packages",
        ) from None
    if ended.returncode is None:
        raise CouldNotEvaluate(
            f"installing from {source} took too long and was ended: {_last(ended)}",
            code="install-timed-out",
            hint="see in the log what it waited for; with the input install you can give a shorter command",
        )
    return ended


def _failed(what: str, ended: Ended) -> str:
    code = ended.returncode or 0
    how = f"exit code {code}" if code > 0 else f"signal {-code}"
    return f"{what} failed with {how}: {_last(ended)}"


def _last(ended: Ended) -> str:
    return "\n".join(ended.lines[-12:]) or "it said nothing"


def _hint(output: str) -> str:
    low = output.lower()
    if any(
        sign in low for sign in ("pg_config", "gcc", "g++", "mysql_config", "mariadb_config", "pkg-config")
    ):
        return (
            "a package has no wheel for this Python and is built from its source: name the project's Python with"
            " python-version, or what the build needs with system-packages (build-essential libpq-dev)"
        )
    if any(sign in low for sign in ("401", "403", "unauthorized", "forbidden")):
        return (
            "a private index wants a name and a password: give them in env of the step, as uv, pip or Poetry read"
            " them (UV_INDEX_…, PIP_INDEX_URL, POETRY_HTTP_BASIC_…)"
        )
    if any(sign in low for sign in ("requires-python", "python version", "python requirement")):
        return "name the project's Python with the input python-version, or the whole command with install"
    return "if this is not how the project is installed, give the command with the input install"


_NOT_ENOUGH = {
    "environment.yml": "is for conda, which the image has not",
    "environment.yaml": "is for conda, which the image has not",
    "Pipfile": "is there, without its Pipfile.lock",
    "pyproject.toml": "is there, and has neither [build-system] nor [project]",
}


def _nothing_found(folder: Path) -> CouldNotEvaluate:
    there = {name for name in _NOT_ENOUGH if (folder / name).is_file()}
    also = "".join(f"; {name} {why}" for name, why in _NOT_ENOUGH.items() if name in there)
    return CouldNotEvaluate(
        "Nothing here says what the project depends on: no uv.lock, poetry.lock, pdm.lock, Pipfile.lock, pylock.toml,"
        f" requirements.txt, pyproject.toml or setup.py, in its folder or above{also}.",
        code="no-dependencies-found",
        hint="give the command with the input install, for instance `pip install alembic psycopg`; with `none` the"
        " action's own Alembic and psycopg are used",
    )
