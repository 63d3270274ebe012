"""Interpreters of other versions, with Alembic and SQLAlchemy of other versions, each made once in the cache folder."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.histories.environments import _uv as uv
from tests.histories.environments import run
from tests.histories.packages import cache_folder, locked

_OLD_FLASK = ("flask==2.0.3", "werkzeug==2.0.3", "flask-sqlalchemy==2.5.1", "flask-migrate==3.1.0")
_FLASK_2 = ("flask==2.3.3", "werkzeug<3", "flask-sqlalchemy==3.0.5", "flask-migrate==4.0.5")
_FLASK = ("flask", "flask-sqlalchemy", "flask-migrate")


@dataclass(frozen=True)
class Versions:
    """What to install: requirements for Alembic and SQLAlchemy, and the Flask of their time."""

    alembic: str
    sqlalchemy: str
    flask: tuple[str, ...] = _FLASK

    def __str__(self) -> str:
        return f"alembic{self.alembic}-sqlalchemy{self.sqlalchemy}".replace("==", "")

    @property
    def is_async(self) -> bool:
        return not self.sqlalchemy.startswith("==1.3")


OLDEST = Versions("==1.7.0", "==1.3.24", _OLD_FLASK)
OLD = Versions("==1.7.7", "==1.4.54", _OLD_FLASK)
MIDDLE = Versions("==1.11.3", "==2.0.20", _FLASK_2)
YOUNG = Versions("==1.13.3", "==2.0.36", _FLASK_2)
NEWEST = Versions("", "")


def pythons() -> dict[str, str]:
    """The interpreters of this machine that are tried, by version: the floor, ours, and the newest."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for version in ("3.8", "3.13"):
        candidates = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        path = str(candidates[-1]) if candidates else shutil.which(f"python{version}")
        if path:
            found.setdefault(version, path)
    return found


def interpreter(version: str, versions: Versions) -> str:
    """The interpreter of the environment with these versions; made where there is none yet."""
    target = cache_folder() / "environments" / f"floor-py{version}-{versions}"
    python = target / "bin" / "python"
    done = target / "installed"
    with locked(target.with_name(target.name + ".lock")):
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            run(uv(), "venv", "--quiet", "--python", pythons()[version], str(target))
            packages = [f"alembic{versions.alembic}", f"sqlalchemy{versions.sqlalchemy}", *versions.flask]
            # pkg_resources, importlib.metadata and importlib.resources: what old Alembics take from elsewhere.
            packages += ["psycopg2-binary", "asyncpg", "greenlet", "setuptools<81"]
            packages += ["importlib-metadata", "importlib-resources", "python-dotenv"]
            run(uv(), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python), *packages)
            done.touch()
    return str(python)


def run_in(folder: Path, *command: str, **environment: str) -> None:
    """Run one of the environment's programs. Raises with what it said."""
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", **environment},
    )
    assert done.returncode == 0, done.stdout + done.stderr
