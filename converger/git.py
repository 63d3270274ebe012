"""The little of git that we need: find the work tree, name a commit, run one command safely."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from converger.errors import CouldNotEvaluate

_SECONDS = 120

_KEPT = ("PATH", "HOME", "TMPDIR", "SYSTEMROOT")
"""Variables that git gets. Not GIT_DIR and the like, which a hook sets and which would point elsewhere."""


class GitError(CouldNotEvaluate):
    """Git is missing, or said no (exit 3)."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, code="git-failed", hint=hint)


def find_root(start: Path) -> Path | None:
    """The git work tree that holds `start`: the nearest folder upwards with a `.git` folder or file.

    Runs nothing. None outside git.
    """
    folder = os.path.abspath(start)
    while True:
        if os.path.exists(os.path.join(folder, ".git")):
            return Path(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent


def run_git(root: Path, arguments: Sequence[str], *, input: bytes | None = None) -> bytes:
    """Run `git` in `root` and give its standard output. GitError where it cannot be run or fails.

    Whoever owns the folder, it is read (`safe.directory`): a container runs as another user than the one
    who checked out. No pager, no prompt, no lazy fetch from a remote.
    """
    result = call_git(root, arguments, input=input)
    if result.returncode:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise GitError(f"git {arguments[0]} failed in {root}: {said or f'exit code {result.returncode}'}")
    return result.stdout


def resolve_commit(root: Path, text: str) -> str | None:
    """The full id of the commit that `text` names (branch, tag, id, `HEAD~2`, …), or None.

    A text that starts with a hyphen names none: it must not become an option.
    """
    if not text or text.startswith("-") or "\0" in text or "\n" in text:
        return None
    arguments = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}"]
    result = call_git(root, arguments)
    if result.returncode:
        return None
    return result.stdout.decode("ascii", "replace").strip() or None


def call_git(
    root: Path,
    arguments: Sequence[str],
    *,
    input: bytes | None = None,
    variables: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """The same for commands whose exit code is an answer; `variables` are set for this call in addition."""
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
    environment |= {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_PAGER": "cat",
    } | dict(variables or {})
    command = ["git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(root), *arguments]
    try:
        return subprocess.run(
            command,
            input=input if input is not None else b"",
            capture_output=True,
            env=environment,
            timeout=_SECONDS,
        )
    except FileNotFoundError as error:
        raise GitError("git is not installed or not on PATH.", "install git") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"git {arguments[0]} did not finish in {_SECONDS} seconds in {root}.") from error
    except (OSError, ValueError) as error:
        raise GitError(f"git {arguments[0]} could not be started: {error}") from error
