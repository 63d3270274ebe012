"""Real histories: downloads the packages that ship them, unpacks what Alembic reads, nothing more.

Nothing of a package is kept in the repository. The cache folder is CONVERGER_HISTORY_CACHE, else
`alembic-converger/histories` in the user's cache folder; deleting it is always safe.
"""

from __future__ import annotations

import fcntl
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

DOWNLOAD_SECONDS = 240


@dataclass(frozen=True)
class RealMerge:
    """A merge revision that the package's maintainers wrote.

    `redundant` are parents that another parent already descends from: before the merge they were no heads.
    `no_common_ancestor` says that it joined two histories with a base each.
    """

    revision: str
    parents: tuple[str, ...]
    redundant: tuple[str, ...] = ()
    no_common_ancestor: bool = False

    @property
    def heads_before(self) -> tuple[str, ...]:
        """The heads of the state that this merge was written for, sorted."""
        return tuple(sorted(set(self.parents) - set(self.redundant)))


@dataclass(frozen=True)
class RealHistory:
    """What tests/histories/expected.json says of one history; folders are relative to the archive's root."""

    package: str
    version: str
    archive: str
    versions_folders: tuple[str, ...]
    recursive: bool
    revisions: int
    heads: tuple[str, ...]
    effective_heads: tuple[str, ...]
    bases: tuple[str, ...]
    branch_labels: Mapping[str, tuple[str, ...]]
    merges: tuple[RealMerge, ...]

    @property
    def name(self) -> str:
        """A short unique name, for test ids: a package may ship several histories."""
        return f"{self.package}:{self.versions_folders[0]}"

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


def _history(facts: Mapping[str, Any]) -> RealHistory:
    lists = {key: tuple(facts[key]) for key in ("versions_folders", "heads", "effective_heads", "bases")}
    return RealHistory(
        package=facts["package"],
        version=facts["version"],
        archive=facts["archive"],
        recursive=facts.get("recursive", False),
        revisions=facts["revisions"],
        branch_labels={key: tuple(value) for key, value in facts["branch_labels"].items()},
        merges=tuple(
            RealMerge(
                m["revision"],
                tuple(m["parents"]),
                tuple(m.get("redundant", ())),
                m.get("no_common_ancestor", False),
            )
            for m in facts["merges"]
        ),
        **lists,
    )


def expected_histories() -> tuple[RealHistory, ...]:
    """All histories of the table, in its order."""
    text = Path(__file__).with_name("expected.json").read_text(encoding="utf-8")
    return tuple(_history(facts) for facts in json.loads(text))


def cache_folder() -> Path:
    """Where downloads are kept between runs; never inside the repository."""
    configured = os.environ.get("CONVERGER_HISTORY_CACHE")
    if configured:
        return Path(configured)
    base = os.environ.get("XDG_CACHE_HOME")
    home = Path(base) if base else Path.home() / ".cache"
    return home / "alembic-converger" / "histories"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`: pytest-xdist workers share one cache folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def unpacked(history: RealHistory) -> Path:
    """The folder that holds the package's archive, as far as this history needs it; downloads it once.

    Unpacked are all files below the parent of each versions folder (env.py, script.py.mako and the
    revisions), and an alembic.ini beside that parent. Raises `RuntimeError` when the package cannot be
    had: a test that asked for a real history must not pass without one.
    """
    cache = cache_folder()
    # The folder's name carries which parts were unpacked: one package may hold several histories.
    part = "+".join(folder.replace("/", "_") for folder in history.versions_folders)
    target = cache / f"{history.package}-{history.version}" / part
    if target.is_dir():
        return target
    with locked(cache / f"{history.package}-{history.version}.lock"):
        if target.is_dir():
            return target
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            archive = _download(history, Path(scratch))
            out = Path(scratch) / "out"
            _extract(archive, out, {str(PurePosixPath(f).parent) for f in history.versions_folders})
            target.parent.mkdir(parents=True, exist_ok=True)
            out.rename(target)
    return target


def _download(history: RealHistory, folder: Path) -> Path:
    choice = ["--only-binary", ":all:"] if history.archive == "wheel" else ["--no-binary", history.package]
    command = [*_pip(), "download", "--quiet", "--no-deps", "--ignore-requires-python", *choice]
    done = subprocess.run(
        [*command, "--dest", str(folder), history.requirement],
        capture_output=True,
        text=True,
        timeout=DOWNLOAD_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise RuntimeError(f"pip download {history.requirement} failed:\n{done.stderr.strip()}")
    (archive,) = (path for path in folder.iterdir() if path.is_file())
    return archive


def _pip() -> list[str]:
    """A pip that runs: this interpreter's, else one on PATH (an environment made by uv has none)."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    if found:
        return [found]
    raise RuntimeError("the tests marked network need pip: install it into this environment")


def _extract(archive: Path, out: Path, folders: set[str]) -> None:
    """Unpack the regular files below `folders`; of an sdist the first path component is dropped."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if not info.is_dir() and _wanted(info.filename, folders):
                    _place(out, info.filename, wheel.read(info))
        return
    with tarfile.open(archive) as sdist:
        for member in sdist:
            name = member.name.partition("/")[2]
            if member.isfile() and _wanted(name, folders):
                content = sdist.extractfile(member)
                assert content is not None
                _place(out, name, content.read())


def _wanted(name: str, folders: set[str]) -> bool:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return False
    return any(
        PurePosixPath(folder) in path.parents or path == PurePosixPath(folder).parent / "alembic.ini"
        for folder in folders
    )


def _place(out: Path, name: str, content: bytes) -> None:
    path = out / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
