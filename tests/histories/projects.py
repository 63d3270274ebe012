"""Real projects cut open again: what a developer had on disk just before a merge revision was written.

Each is the package's own script folder (env.py and script.py.mako unedited where it ships an env.py) with
only the proper ancestors of one merge, and an interpreter with the package's dependencies where env.py or
the revisions import them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

from .packages import RealHistory, RealMerge, cache_folder, expected_histories, locked, unpacked
from .reading import proper_ancestors, read_folders, revision_path

INSTALL_SECONDS = 900

INI = """\
[alembic]
script_location = %(here)s/{folder}
path_separator = os
sqlalchemy.url = postgresql+psycopg://nobody@nowhere.invalid/replaced_by_the_proof
"""

# For a package whose env.py needs its application: the body of Alembic's generic template.
GENERIC_ENV = """\
from alembic import context
from sqlalchemy import engine_from_config, pool

connectable = engine_from_config(
    context.config.get_section(context.config.config_ini_section, {}),
    prefix="sqlalchemy.",
    poolclass=pool.NullPool,
)
with connectable.connect() as connection:
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
"""


@dataclass(frozen=True)
class Recipe:
    """How one package's history is run. No `requirements`: our own interpreter is enough.

    `own_env` False replaces env.py, `name_server` says that the configured URL is of another dialect, so
    that a PostgreSQL server has to be named.
    """

    package: str
    merge: str
    requirements: tuple[str, ...] = ()
    own_env: bool = True
    name_server: bool = False

    def __str__(self) -> str:
        return f"{self.package}-{self.merge}"

    @property
    def history(self) -> RealHistory:
        """The package's facts: the one history that holds the merge."""
        (found,) = (h for h in expected_histories() if any(m.revision == self.merge for m in h.merges))
        return found

    @property
    def real_merge(self) -> RealMerge:
        """What the maintainers merged."""
        (found,) = (m for m in self.history.merges if m.revision == self.merge)
        return found


@dataclass(frozen=True)
class CutOpen:
    """A project folder with several heads, and the interpreter that runs it."""

    folder: Path
    versions: Path
    python: Path


def cut_open(recipe: Recipe, folder: Path) -> CutOpen:
    """Build the project of `recipe` in the new folder `folder`, as it was just before its merge."""
    root = unpacked(recipe.history)
    (versions_folder,) = recipe.history.versions_folders
    source = root / versions_folder
    script = folder / source.parent.name
    versions = script / source.name
    shutil.copytree(source.parent, script, ignore=shutil.ignore_patterns(source.name))
    versions.mkdir()
    with tempfile.TemporaryDirectory() as scratch:
        graph = read_folders(Path(scratch), (source,))
        for revision in proper_ancestors(graph, recipe.merge):
            shutil.copy(revision_path(graph, Path(scratch), revision), versions)
    shipped = source.parent.parent / "alembic.ini"
    if shipped.exists():
        shutil.copy(shipped, folder)
    else:
        (folder / "alembic.ini").write_text(INI.format(folder=script.name))
    if not recipe.own_env:
        (script / "env.py").write_text(GENERIC_ENV)
    return CutOpen(folder, versions, _interpreter(recipe))


def _interpreter(recipe: Recipe) -> Path:
    """The interpreter of an environment with the package's dependencies, made once in the cache folder."""
    if not recipe.requirements:
        return Path(sys.executable)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    target = cache_folder() / "environments" / f"{recipe.package}-{recipe.history.version}-py{version}"
    python = target / "bin" / "python"
    done = target / "installed"
    with locked(target.with_name(target.name + ".lock")):
        if not done.exists():
            shutil.rmtree(target, ignore_errors=True)
            _install(target, python, recipe.requirements)
            done.touch()
    return python


def _install(target: Path, python: Path, requirements: tuple[str, ...]) -> None:
    # pip takes more than ten minutes to resolve what langflow asks for, uv some seconds.
    uv = _uv()
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(target))
    _run(uv, "pip", "install", "--quiet", "--python", str(python), *requirements)


def _uv() -> str:
    """uv from PATH, else from an environment of its own in the cache folder."""
    found = shutil.which("uv")
    if found:
        return found
    folder = cache_folder() / "environments" / "uv"
    with locked(folder.with_name("uv.lock")):
        if not (folder / "bin" / "uv").exists():
            venv.create(folder, with_pip=True, clear=True)
            _run(str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "uv")
    return str(folder / "bin" / "uv")


def _run(*command: str) -> None:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=INSTALL_SECONDS,
        stdin=subprocess.DEVNULL,
        env={k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "UV_PYTHON")},
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr.strip()}")
