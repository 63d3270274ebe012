"""How a project says what it depends on: its lock, its requirements, its pyproject.toml. Files are only read.

A folder's lock counts before its requirements, and these before pyproject.toml; a nearer folder before one above it.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from converger.errors import ConfigurationError

Kind = Literal[
    "uv", "poetry", "pdm", "pipenv", "pylock", "requirements", "editable", "project-table", "setup"
]

_LOCKS: tuple[tuple[str, Kind], ...] = (
    ("uv.lock", "uv"),
    ("poetry.lock", "poetry"),
    ("pdm.lock", "pdm"),
    ("Pipfile.lock", "pipenv"),
    ("pylock.toml", "pylock"),
)
# What runs in production comes first: migrations run there. A folder `requirements` has the same names.
_REQUIREMENTS = "prod production main base app common default".split()
_LONGEST = 4 * 1024 * 1024


@dataclass(frozen=True)
class Dependencies:
    """What says what to install: `path`, to be read as `kind`; `root` is the project's folder, where commands run.

    `package`: the project itself can be installed, too, by its own build back end.
    """

    kind: Kind
    path: Path
    root: Path
    package: bool = False


def find_dependencies(repository: Path, folder: Path) -> Dependencies | None:
    """What says what the project in `folder` depends on, looked for from there up to `repository`; None if nothing.

    A pyproject.toml without a lock beside it belongs to the workspace of a uv.lock above it, where there is one.

    Raises ConfigurationError `ambiguous-requirements` for several files of requirements none of which is the usual one.
    """
    nearest: Dependencies | None = None
    for here in _upwards(repository, folder):
        if nearest is None:
            found = _lock(here) or _requirements(here)
            if found is not None:
                return found
            nearest = _project(here)
        elif (here / "uv.lock").is_file() and "workspace" in _table(_toml(here), "tool", "uv"):
            return Dependencies("uv", here / "uv.lock", nearest.root, nearest.package)
    return nearest


def wanted_python(repository: Path, folder: Path) -> tuple[str, str] | None:
    """The Python that the project asks for, as uv takes it (`3.12`, `>=3.10,<3.13`), and the file that says so.

    Asked are `.python-version`, pyproject.toml (`requires-python`, Poetry's `python`) and Pipfile.lock, in the
    nearest folder that has any of them. What cannot be read as a version is passed over.
    """
    for here in _upwards(repository, folder):
        for name, read in (
            (".python-version", _python_version_file),
            ("pyproject.toml", _python_of_pyproject),
            ("Pipfile.lock", _python_of_pipfile),
        ):
            found = read(here)
            if found:
                return found, name
    return None


def _upwards(repository: Path, folder: Path) -> list[Path]:
    """`folder` and those above it, up to `repository`. The folder alone where it is not inside."""
    top, here = Path(os.path.realpath(repository)), Path(os.path.realpath(folder))
    if not here.is_relative_to(top):
        return [here]
    return [here, *(parent for parent in here.parents if parent.is_relative_to(top))]


def _lock(here: Path) -> Dependencies | None:
    for name, kind in _LOCKS:
        if (here / name).is_file():
            return Dependencies(kind, here / name, here, _is_package(here))
    return None


def _requirements(here: Path) -> Dependencies | None:
    found = _requirements_file(here)
    return Dependencies("requirements", found, here, _is_package(here)) if found else None


def _requirements_file(here: Path) -> Path | None:
    names = ["requirements.txt", "requirements/requirements.txt"]
    for word in _REQUIREMENTS:
        names += [f"requirements/{word}.txt", f"requirements-{word}.txt", f"requirements_{word}.txt"]
        names.append(f"requirements.{word}.txt")
    for name in names:
        if (here / name).is_file():
            return here / name
    others = sorted(
        path
        for pattern in ("requirements*.txt", "requirements/*.txt")
        for path in here.glob(pattern)
        if path.is_file()
    )
    if len(others) > 1:
        named = ", ".join(os.path.relpath(path, here) for path in others[:5])
        raise ConfigurationError(
            f"{named}{' …' if len(others) > 5 else ''}: which of them the migrations need is not to be seen",
            code="ambiguous-requirements",
            hint=f"say it with the input install, for instance `uv pip install -r {os.path.relpath(others[0], here)}`",
        )
    return others[0] if others else None


def _project(here: Path) -> Dependencies | None:
    pyproject = _toml(here)
    if _is_package(here):
        name = "pyproject.toml" if pyproject else "setup.py" if (here / "setup.py").is_file() else "setup.cfg"
        return Dependencies("editable" if pyproject else "setup", here / name, here, package=True)
    if "project" in pyproject:
        return Dependencies("project-table", here / "pyproject.toml", here)
    return None


def _is_package(here: Path) -> bool:
    """Whether the folder says how the project is built. Without `[build-system]` it is none (as uv has it)."""
    pyproject = _toml(here)
    if _table(pyproject, "tool", "poetry").get("package-mode") is False:
        return False
    if _table(pyproject, "tool", "uv").get("package") is False:
        return False
    if _table(pyproject, "tool", "pdm").get("distribution") is False:
        return False
    if "build-system" in pyproject or (here / "setup.py").is_file():
        return True
    return bool(re.search(r"^\[(metadata|options)\]", _read(here / "setup.cfg"), re.MULTILINE))


def _python_version_file(here: Path) -> str | None:
    # pyenv's file: a version a line, or the name of an environment that only its owner has.
    for line in _read(here / ".python-version").splitlines():
        match = re.fullmatch(r"(?:cpython-?|python-?)?(3\.\d+(?:\.\d+)?)", line.strip())
        if match:
            return match[1]
    return None


def _python_of_pyproject(here: Path) -> str | None:
    pyproject = _toml(here)
    said = _table(pyproject, "project").get("requires-python")
    if isinstance(said, str) and _is_specifier(said):
        return _without_spaces(said)
    said = _table(pyproject, "tool", "poetry", "dependencies").get("python")
    return poetry_python(said) if isinstance(said, str) else None


def _python_of_pipfile(here: Path) -> str | None:
    try:
        lock = json.loads(_read(here / "Pipfile.lock") or "{}")
    except (ValueError, RecursionError):
        return None
    requires = _table(lock, "_meta", "requires") if isinstance(lock, dict) else {}
    for name in ("python_full_version", "python_version"):
        said = requires.get(name)
        if isinstance(said, str) and re.fullmatch(r"3\.\d+(\.\d+)?", said.strip()):
            return said.strip()
    return None


def poetry_python(text: str) -> str | None:
    """Poetry's constraint as a specifier: `^3.9` is `>=3.9,<4`, `~3.9` is `>=3.9,<3.10`. None if it is another."""
    parts = []
    for part in text.split(","):
        match = re.fullmatch(r"([\^~])\s*3(?:\.(\d+))?((?:\.\d+)?)", part.strip())
        if match is None:
            plain = part.strip()
            parts.append(f"=={plain}.*" if re.fullmatch(r"3\.\d+", plain) else plain)
            continue
        sign, minor, patch = match.groups()
        if sign == "^" or minor is None:
            parts += [f">=3.{minor or 0}{patch}", "<4"]
        else:
            parts += [f">=3.{minor}{patch}", f"<3.{int(minor) + 1}"]
    found = ",".join(part for part in parts if part)
    return _without_spaces(found) if _is_specifier(found) else None


def poetry_groups(root: Path) -> tuple[str, ...]:
    """The groups that `poetry install` takes by itself: all that are not optional."""
    pyproject = _toml(root)
    groups = {**_table(pyproject, "dependency-groups"), **_table(pyproject, "tool", "poetry", "group")}
    settings = _table(pyproject, "tool", "poetry", "group")
    found = [name for name in groups if not _table(settings, name).get("optional")]
    if "dev-dependencies" in _table(pyproject, "tool", "poetry") and "dev" not in found:
        found.append("dev")
    return tuple(sorted(found))


def _is_specifier(text: str) -> bool:
    one = r"\s*(>=|<=|==|!=|~=|>|<)\s*\d+(\.\d+)*(\.\*|[ab]\d+|rc\d+)?\s*"
    return re.fullmatch(rf"{one}(,{one})*,?\s*", text) is not None


def _without_spaces(text: str) -> str:
    return re.sub(r"\s", "", text).rstrip(",")


def _toml(here: Path) -> Mapping[str, Any]:
    """pyproject.toml; empty where there is none or it is not to be read: whoever installs says what is wrong."""
    text = _read(here / "pyproject.toml")
    if not text:
        return {}
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}


def _table(document: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    for name in names:
        found = document.get(name)
        if not isinstance(found, dict):
            return {}
        document = found
    return document


def _read(path: Path) -> str:
    try:
        # A link may lead to a pipe, which nobody writes to.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return ""
            return file.read(_LONGEST).decode("utf-8-sig", "replace")
    except OSError:
        return ""
