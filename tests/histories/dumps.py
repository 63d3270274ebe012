"""Databases as an older release made them, for histories that do not start from an empty one.

Their base revision expects tables that the application makes itself. A real database was made by some
release's own set-up, which stamps it with that release's last revision; here the same is done, once, and
kept as pg_dump writes it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converger.proof.embedded import find_binaries, start_postgres

from .environments import environment, run
from .packages import cache_folder, locked


@dataclass(frozen=True)
class Dump:
    """How an older release of a package makes its database.

    `command` is its own set-up. In it, in `env` and in `files`, `{bin}` is the folder of that release's
    interpreter, `{folder}` one that holds nothing but `files`, `{url}` the database as
    user:password@host:port/name.
    """

    package: str
    version: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def dumped(dump: Dump) -> Path:
    """The dump's file in the cache folder, made where there is none yet. Raises `RuntimeError`."""
    name = f"{dump.package}-{dump.version}"
    target = cache_folder() / "dumps" / f"{name}.sql"
    with locked(target.with_suffix(".lock")):
        if not target.exists():
            python = environment(name, dump.requirements, overrides=dump.overrides)
            partial = target.with_suffix(".partial")
            _make(dump, python, partial)
            partial.rename(target)
    return target


def _make(dump: Dump, python: Path, target: Path) -> None:
    server = start_postgres(print)
    try:
        login = server.url
        url = f"{login.user}:{login.password}@{login.host}:{login.port}/{login.database}"
        with tempfile.TemporaryDirectory() as folder:

            def placed(text: str) -> str:
                places = {"{bin}": str(python.parent), "{folder}": folder, "{url}": url}
                for place, value in places.items():
                    text = text.replace(place, value)
                return text

            for file, text in dump.files.items():
                Path(folder, file).write_text(placed(text))
            env = {key: placed(value) for key, value in dump.env.items()}
            run(*map(placed, dump.command), env=env, cwd=Path(folder))
        # Without --no-owner: as somebody who has never heard of us would take it.
        run(_pg_dump(), "--file", str(target), f"postgresql://{url}")
    finally:
        server.stop()


def _pg_dump() -> str:
    """The pg_dump that belongs to the server that was started."""
    postgres = next(iter(find_binaries())).postgres
    return os.path.join(os.path.dirname(os.path.realpath(postgres)), "pg_dump")
