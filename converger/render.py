"""Rendering a `script.py.mako` into text, in a child process: the template is a stranger's code."""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converger.child import minimal_environment, run_child
from converger.errors import CouldNotEvaluate
from converger.folders import run_folder
from converger.plan import PlannedMerge

if TYPE_CHECKING:
    from converger.project import Project

TIMEOUT = 60.0
_MAX_RESULT = 16 * 1024 * 1024
_LIBRARIES = ("mako", "markupsafe", "alembic", "sqlalchemy", "typing_extensions")


@dataclass(frozen=True)
class Rendered:
    """What a template gave for one merge: the text; or why not, and the template's line if known."""

    text: str | None
    error: str = ""
    line: int | None = None


def render_template(
    project: Project, template: Path, merges: Sequence[PlannedMerge], *, timeout: float = TIMEOUT
) -> tuple[Rendered, ...]:
    """Render one template for every merge, with the variables that `alembic merge` gives it.

    One child process renders them all, started in the project's folder with a minimal environment. Every
    failure is in the result, that of the child itself too: then it is the same for all merges.
    """

    def failed(why: str, line: int | None = None) -> tuple[Rendered, ...]:
        return (Rendered(None, why, line),) * len(merges)

    if not template.is_file():
        return failed("there is no such file")
    with run_folder() as home, tempfile.TemporaryFile() as result:
        job = {
            "template": str(template),
            "ini": str(project.ini_path) if project.ini_path else None,
            "toml": str(project.toml_path) if project.toml_path else None,
            "section": project.section,
            "script_location": str(project.script_location),
            "path": _library_folders(),
            "result": result.fileno(),
            "merges": [
                {
                    "revision": merge.revision,
                    "parents": merge.parents,
                    "create_date": merge.create_date.isoformat(),
                    "message": merge.message,
                }
                for merge in merges
            ],
        }
        finished = run_child(
            [sys.executable, "-s", "-S", str(Path(__file__).with_name("render_child.py"))],
            cwd=project.cwd,
            env=minimal_environment(home, PYTHONSAFEPATH="1"),
            timeout=timeout,
            stdin=json.dumps(job).encode(),
            pass_fds=[result.fileno()],
        )
        if finished.returncode is None:
            return failed(f"it did not finish within {timeout:g} seconds")
        result.seek(0)
        answer = result.read(_MAX_RESULT + 1)
    return _results(answer, len(merges)) or failed(f"rendering it ended with exit code {finished.returncode}")


def _results(answer: bytes, count: int) -> tuple[Rendered, ...]:
    """Read the child's answer; () if it is not one, for the template may have written there too."""
    try:
        decoded: Any = json.loads(answer) if len(answer) <= _MAX_RESULT else None
    except (ValueError, RecursionError):
        return ()
    if isinstance(decoded, dict):
        decoded = [decoded] * count
    if not isinstance(decoded, list) or len(decoded) != count:
        return ()
    return tuple(
        Rendered(item["text"])
        if isinstance(item, dict) and isinstance(item.get("text"), str)
        else Rendered(None, _one_line(item), _line(item))
        for item in decoded
    )


def _one_line(item: Any) -> str:
    """The error as plain text that is safe to print: one line, without control characters."""
    error = item.get("error") if isinstance(item, dict) else None
    text = " ".join(error.split()) if isinstance(error, str) else "an unknown error"
    text = "".join(character if character.isprintable() else "?" for character in text)
    return text if len(text) <= 200 else text[:197] + "..."


def _line(item: Any) -> int | None:
    line = item.get("line") if isinstance(item, dict) else None
    return line if isinstance(line, int) else None


def _library_folders() -> list[str]:
    folders = []
    for library in _LIBRARIES:
        spec = importlib.util.find_spec(library)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            # A module is beside the folder's other modules, a package is one level deeper.
            folders.append(str(origin.parent.parent if spec.submodule_search_locations else origin.parent))
    return sorted(set(folders))


def generic_template() -> Path:
    """Return the path of the template that `alembic init` starts a project with.

    Raises CouldNotEvaluate (`alembic-missing`) where Alembic is not installed beside us.
    """
    spec = importlib.util.find_spec("alembic")
    if spec is None or spec.origin is None:
        raise CouldNotEvaluate("Alembic is not installed", code="alembic-missing")
    return Path(spec.origin).with_name("templates") / "generic" / "script.py.mako"
