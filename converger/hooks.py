"""Post-write hooks: the project's formatters, run on a copy of a merge in a mirror of the project.

The copy, and the folder that a hook starts in, are outside the work tree: a hook cannot change a file of the
project by a relative name, and its caches do not stay behind.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from converger.child import minimal_environment, run_child
from converger.emptiness import why_not_empty
from converger.folders import run_folder
from converger.mergefile import MergeFile, Note, RenderedMerges, wrong_identifiers

if TYPE_CHECKING:
    from converger.project import Project

TIMEOUT = 60.0
_TOKEN = "REVISION_SCRIPT_FILENAME"  # noqa: S105 - Alembic's placeholder for the path
_SETTINGS = (
    "pyproject.toml",
    "ruff.toml",
    ".ruff.toml",
    "setup.cfg",
    "tox.ini",
    ".flake8",
    ".isort.cfg",
    ".editorconfig",
    ".style.yapf",
)
_NEED_THE_REPOSITORY = frozenset({"pre-commit", "prek", "pre_commit"})
_MAX_COPIED = 1024 * 1024


@dataclass(frozen=True)
class _Staging:
    """The mirror: `root` stands for the project's root; `home` is the hooks' home folder."""

    project: Project
    root: Path
    home: Path

    @classmethod
    def in_folder(cls, project: Project, folder: Path) -> _Staging:
        home = folder / "home"
        home.mkdir()
        # Some levels deep, so that a setting such as `src = ["../.."]` stays inside of what is ours.
        return cls(project, folder / "a" / "b" / "c" / "project", home)

    def of(self, path: Path) -> Path:
        """Return the place that stands for a path of the project; for one outside it, the root."""
        inside = Path(os.path.normpath(path))
        return self.root / inside.relative_to(self.project.root) if self.holds(inside) else self.root

    def holds(self, path: Path) -> bool:
        return path.is_relative_to(self.project.root)

    def copy(self, path: Path) -> None:
        """Copy a file of the project to its place; not if it is big, or a link out of the project."""
        real = Path(os.path.realpath(path))
        inside = self.holds(path) and real.is_relative_to(os.path.realpath(self.project.root))
        if not inside or not real.is_file():
            return
        place = self.of(path)
        if real.stat().st_size <= _MAX_COPIED and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(real, place)


class _NotRun(Exception):
    """Why a hook cannot be run."""


def run_hooks(
    project: Project, rendered: RenderedMerges, python: Path | str, *, timeout: float = TIMEOUT
) -> RenderedMerges:
    """Return the merges as the project's post-write hooks leave them, with what is to be said about the hooks.

    `python` is the project's interpreter: tools are looked for beside it, then on PATH. As with Alembic, a
    hook's exit code changes nothing. Notes: `hook-not-run` (no such tool, or nothing that we can run on a
    copy), `hook-failed` (a non-zero exit code, or out of time), `hook-discarded` (afterwards the file had
    other identifiers or was not empty, so that hook's change was dropped).
    """
    notes = list(rendered.notes)
    formatted = []
    for file in rendered.files:
        for hook in project.hooks:
            # A folder for each, so that no hook finds what another one left, such as a link to write through.
            with run_folder() as folder:
                content, note = _run(_Staging.in_folder(project, folder), hook, file, python, timeout)
            file = replace(file, content=content)
            if note is not None:
                notes.append(note)
        formatted.append(file)
    return RenderedMerges(tuple(formatted), tuple(dict.fromkeys(notes)))


def _stage(staging: _Staging, file: MergeFile) -> Path:
    project = staging.project
    if staging.holds(file.path):
        staged = staging.of(file.path)
        folders = [parent for parent in file.path.parents if staging.holds(parent)]
    else:
        staged, folders = staging.root / file.path.parent.name / file.path.name, [project.root]
    staged.parent.mkdir(parents=True, exist_ok=True)
    for folder in folders:
        for name in _SETTINGS:
            staging.copy(folder / name)
    staged.write_bytes(file.content)
    return staged


def _run(
    staging: _Staging,
    hook: Mapping[str, str],
    file: MergeFile,
    python: Path | str,
    timeout: float,
) -> tuple[bytes, Note | None]:
    name = hook.get("_hook_name", "?")
    staged = _stage(staging, file)
    env = minimal_environment(staging.home, RUFF_NO_CACHE="true")
    env["PATH"] = os.pathsep.join([str(Path(python).parent), env["PATH"]])
    project = staging.project
    cwd = project.cwd / hook["cwd"] if hook.get("cwd") else project.cwd
    staged_cwd = staging.of(cwd)
    staged_cwd.mkdir(parents=True, exist_ok=True)
    try:
        command = [
            *_command(hook, python, env, cwd, staged_cwd, timeout),
            *_arguments(staging, hook.get("options", ""), cwd, staged),
        ]
        finished = run_child(command, cwd=staged_cwd, env=env, timeout=timeout)
    except (_NotRun, OSError, ValueError) as why:
        return file.content, Note("hook-not-run", f"post-write hook {name!r} was not run: {why}")

    content = _read(staged)
    if content is None:
        return file.content, Note(
            "hook-discarded", f"post-write hook {name!r} removed the file; it was put back"
        )
    broken = wrong_identifiers(file.merge, content) or next(
        (reason.message for reason in why_not_empty(content)), None
    )
    if broken:
        return file.content, Note(
            "hook-discarded", f"what post-write hook {name!r} did was dropped: afterwards {broken}"
        )
    if finished.returncode is None:
        return file.content, Note(
            "hook-failed", f"post-write hook {name!r} took more than {timeout:g} seconds"
        )
    if finished.returncode:
        return content, Note(
            "hook-failed",
            f"post-write hook {name!r} ended with exit code {finished.returncode}{_said(finished.stderr)}",
        )
    return content, None


def _read(staged: Path) -> bytes | None:
    """Read what a hook left; None if it is no ordinary file of ordinary size any more."""
    try:
        found = staged.lstat()
        return staged.read_bytes() if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_COPIED else None
    except OSError:
        return None


def _command(
    hook: Mapping[str, str],
    python: Path | str,
    env: Mapping[str, str],
    cwd: Path,
    staged_cwd: Path,
    timeout: float,
) -> list[str]:
    kind = hook.get("type")
    required = {"console_scripts": "entrypoint", "exec": "executable", "module": "module"}.get(kind or "")
    if required is None:
        raise _NotRun(f"its type is {kind!r}, which is no tool" if kind else "it has no type")
    tool = hook.get(required)
    if not tool:
        raise _NotRun(f"it has no {required}")
    if Path(tool).name in _NEED_THE_REPOSITORY:
        raise _NotRun(f"{tool} works on a file in the repository only, and this one is not written yet")
    if required == "module":
        find = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"
        found = run_child([str(python), "-c", find, tool], cwd=staged_cwd, env=env, timeout=timeout)
        if found.returncode != 0:
            raise _NotRun(f"there is no module {tool}")
        return [str(python), "-m", tool]
    if required == "executable" and os.sep in tool:
        executable = str(cwd / tool)
        return [executable] if os.access(executable, os.X_OK) else _missing(tool)
    if os.sep in tool:
        return _missing(tool)
    executable_on_path = shutil.which(tool, path=env["PATH"])
    return [executable_on_path] if executable_on_path else _missing(tool)


def _missing(tool: str) -> list[str]:
    raise _NotRun(f"{tool} is not installed")


def _arguments(staging: _Staging, options: str, cwd: Path, staged: Path) -> list[str]:
    """Split the options as Alembic does; files of the project that they name are copied too."""
    if _TOKEN not in options:
        options = f"{_TOKEN} {options}"
    arguments = shlex.split(options)
    for argument in arguments:
        for part in (argument, argument.partition("=")[2]):
            if part and _TOKEN not in part and "\0" not in part:
                staging.copy(Path(os.path.normpath(cwd / part)))
    return [argument.replace(_TOKEN, str(staged)) for argument in arguments]


def _said(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    text = (
        "".join(character if character.isprintable() else " " for character in lines[-1][:200])
        if lines
        else ""
    )
    return f": {text}" if text else ""
