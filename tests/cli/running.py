"""Starting the command line as a person does: as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def environment(**changes: str) -> dict[str, str]:
    """Ours, without what would change the output."""
    kept = {
        k: v
        for k, v in os.environ.items()
        if k not in ("NO_COLOR", "TERM", "VIRTUAL_ENV", "PYTHONIOENCODING")
    }
    path = os.pathsep.join(p for p in (str(REPOSITORY), os.environ.get("PYTHONPATH", "")) if p)
    return {**kept, "PYTHONPATH": path, "PYTHONUTF8": "1", **changes}


def command(*arguments: str) -> list[str]:
    """The command line as `alembic-converger` has it, also where the project is not installed."""
    return [sys.executable, str(Path(__file__).with_name("launch.py")), *arguments]


def run(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run it to its end; output is UTF-8 text."""
    return subprocess.run(
        command(*arguments),
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=timeout,
        check=False,
    )
