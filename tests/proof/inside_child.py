"""Runs a few lines in an interpreter of their own, with `converger/proof/inside` importable as it is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import converger.proof

INSIDE = Path(converger.proof.__path__[0]) / "inside"
PYTHON = os.environ.get("CONVERGER_TEST_PYTHON", sys.executable)
"""By hand these tests can run the inside on another interpreter: the floor is 3.8."""

_IMPORT = f"""
import importlib.util as util
spec = util.spec_from_file_location(
    "inside", {str(INSIDE / "__init__.py")!r}, submodule_search_locations=[{str(INSIDE)!r}])
sys.modules["inside"] = util.module_from_spec(spec)
del util, spec
"""


def answer(
    source: str,
    folder: Path,
    *,
    environment: dict[str, str] | None = None,
    python: str = PYTHON,
    **values: object,
) -> Any:
    """What the child's lines put into `answer`. `values` are names in them; `folder` is its working folder."""
    script = (
        f"import json, sys\nsys.path.insert(0, {str(folder)!r})\n"
        + _IMPORT
        + "".join(f"{name} = json.loads({json.dumps(value)!r})\n" for name, value in values.items())
        + textwrap.dedent(source)
        + "\nprint('\\nANSWER ' + json.dumps(answer, default=repr))\n"
    )
    done = subprocess.run(
        [python, "-c", script],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            **(environment or {}),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.rpartition("\nANSWER ")[2])
