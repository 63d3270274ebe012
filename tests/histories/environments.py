"""Environments with a real project's dependencies, each made once in the cache folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path

from .packages import cache_folder, locked

INSTALL_SECONDS = 900


def environment(
    name: str,
    requirements: Iterable[str],
    *,
    overrides: Iterable[str] = (),
    alone: Iterable[str] = (),
) -> Path:
    """The interpreter of the environment `name`, made with `requirements` where there is none yet.

    `overrides` are requirements that go before what other packages ask for; `alone` are installed without
    what they ask for. Raises `RuntimeError`.
    """
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = cache_folder() / "environments" / f"{name}-py{version}"
    python = target / "bin" / "python"
    done = target / "installed"
    with locked(target.with_name(target.name + ".lock")):
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            _install(target, python, tuple(requirements), tuple(overrides), tuple(alone))
            done.touch()
    return python


def site_packages(python: Path) -> Path:
    """Where an environment keeps what is installed."""
    (found,) = python.parent.parent.glob("lib/python3.*/site-packages")
    return found


def run(
    *command: str,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float = INSTALL_SECONDS,
) -> str:
    """Run a command, `env` added to ours; its standard output.

    Raises `RuntimeError` with what it said when it fails.
    """
    kept = {k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "UV_PYTHON")}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        cwd=cwd,
        env={**kept, **(env or {})},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}{done.stderr.strip()}")
    return done.stdout


def _install(
    target: Path,
    python: Path,
    requirements: tuple[str, ...],
    overrides: tuple[str, ...],
    alone: tuple[str, ...],
) -> None:
    # pip takes more than ten minutes to resolve what langflow asks for, uv some seconds.
    uv = _uv()
    run(uv, "venv", "--quiet", "--python", sys.executable, str(target))
    override = target / "overrides.txt"
    override.write_text("".join(f"{line}\n" for line in overrides))
    # The worker writes no bytecode, as it must not into a user's tree; a used environment has it.
    options = ("--quiet", "--compile-bytecode", "--override", str(override))
    install = (uv, "pip", "install", *options, "--python", str(python))
    if alone:
        run(*install, "--no-deps", *alone)
    run(*install, *requirements)


def _uv() -> str:
    """uv from PATH, else from an environment of its own in the cache folder."""
    found = shutil.which("uv")
    if found:
        return found
    folder = cache_folder() / "environments" / "uv"
    with locked(folder.with_name("uv.lock")):
        if not (folder / "bin" / "uv").exists():
            venv.create(folder, with_pip=True, clear=True)
            run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv")
    return str(folder / "bin" / "uv")
