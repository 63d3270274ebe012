"""Which interpreter runs the project's code, and what it may see of our environment."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from converger.project import Project

_KEPT = frozenset(
    "PATH HOME USER LOGNAME SHELL LANG LANGUAGE TZ TMPDIR VIRTUAL_ENV LD_LIBRARY_PATH DYLD_LIBRARY_PATH"
    " PYTHONPATH PYTHONHOME PYTHONUTF8 SSL_CERT_FILE SSL_CERT_DIR FLASK_APP".split()
)


def worker_environment(
    own: Mapping[str, str], extra: Mapping[str, str], *, database_url_names: tuple[str, ...] = ()
) -> dict[str, str]:
    """The worker's environment: what a process needs to run at all, and what the user mapped.

    `own` is our environment, of which no token, no `INPUT_*`, `GITHUB_*`, `ACTIONS_*` or `PG*` is passed
    on because only names known to be harmless are. No bytecode is written into the user's tree.
    """
    kept = {name: value for name, value in own.items() if name in _KEPT or name.startswith("LC_")}
    kept["PYTHONDONTWRITEBYTECODE"] = "1"
    kept.update((name, value) for name, value in extra.items() if name not in database_url_names)
    return kept


def project_python(project: Project, chosen: str | None, environment: Mapping[str, str]) -> str:
    """The interpreter that runs env.py: the chosen one, VIRTUAL_ENV, a .venv beside the configuration, ours."""
    if chosen:
        return chosen
    folders = [environment.get("VIRTUAL_ENV")]
    for start in (project.ini_path, project.toml_path):
        if start is not None:
            folders.append(str(start.parent / ".venv"))
    folders.append(str(project.cwd / ".venv"))
    for folder in folders:
        if folder:
            python = Path(folder) / "bin" / "python"
            if python.exists():
                return str(python)
    return sys.executable
