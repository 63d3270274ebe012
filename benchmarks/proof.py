"""The proof of two heads against one plain `alembic upgrade head` from empty, on the same server.

    python benchmarks/proof.py [--runs N] [--no-network | --all]

Whole processes, alternating in one run. "upgrade" runs plain Alembic on the same revisions with the merge
revision in place, into a new empty database; "proof" is `alembic-converger converge --dry-run` with
`--database-url` naming the same server, so that starting a server is in neither figure. Histories: generated
lines of 50 and 300 revisions with two heads of one revision each, skyvern 1.0.56 with two heads of one and of
five revisions and with five heads on top, and skyvern cut open at its real merge. `--all` adds langflow-base
1.13.0 cut open at a real merge of two heads with one revision each, through its own env.py, which imports the
application.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from common import (
    BIN,
    ROOT,
    Run,
    environment,
    expect,
    machine,
    run,
    skyvern,
    spread,
    table,
    warm_libraries,
    workspace,
    write_history,
    write_project,
    write_revision,
)

PLACEHOLDER = "postgresql+psycopg://nobody@nowhere.invalid/nothing"


Build = Callable[[Path], Path]
"""Makes a project in a new folder; returns the interpreter that runs it."""


def generated(size: int) -> Build:
    def build(folder: Path) -> Path:
        versions = write_project(folder, PLACEHOLDER)
        grow(versions, write_history(versions, size), branches=2, length=1)
        return Path(sys.executable)

    return build


def skyvern_with(branches: int, length: int) -> Build:
    """The whole real history, with branches of so many revisions on top of its head."""

    def build(folder: Path) -> Path:
        source, template = skyvern()
        versions = write_project(folder, PLACEHOLDER)
        shutil.copytree(source, versions, dirs_exist_ok=True)
        shutil.copy(template, folder / "alembic")
        check = [str(BIN / "alembic-converger"), "check", "--format", "json"]
        (head,) = json.loads(expect(run(check, folder, environment(write_bytecode=False)), 0).output)["heads"]
        grow(versions, head, branches, length)
        return Path(sys.executable)

    return build


def cut_open_at(package: str, merge: str, *requirements: str, own_env: bool) -> Build:
    def build(folder: Path) -> Path:
        sys.path.insert(0, str(ROOT / "tests"))
        from histories.projects import Recipe, cut_open

        return cut_open(Recipe(package, merge, requirements, own_env=own_env), folder).python

    return build


def grow(versions: Path, parent: str, branches: int, length: int) -> None:
    for branch in range(branches):
        head = parent
        for step in range(length):
            head = write_revision(versions, 900_001 + branch * 100 + step, head)


def set_url(folder: Path, url: str) -> None:
    ini = folder / "alembic.ini"
    text = re.sub(r"(?m)^sqlalchemy\.url\s*=.*$", lambda _: f"sqlalchemy.url = {url}", ini.read_text())
    ini.write_text(text)


class Server:
    """One PostgreSQL for all that is measured; fsync is off for both sides."""

    def __init__(self) -> None:
        from converger.proof.embedded import start_postgres

        self._embedded = start_postgres(lambda _: None)
        self._url = self._embedded.url
        self._count = 0

    def url(self, database: str | None = None) -> str:
        url = self._url
        name = database or url.database
        return f"postgresql+psycopg://{url.user}:{url.password}@{url.host}:{url.port}/{name}"

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        self._count += 1
        name = f"benchmark_{self._count}"
        with psycopg.connect(self.url().replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def stop(self) -> None:
        self._embedded.stop()


def prove(folder: Path, python: Path, server: Server, *extra: str) -> Run:
    command = [str(BIN / "alembic-converger"), "converge", "--format", "json", "--python", str(python)]
    command += ["--database-url", server.url(), *extra]
    return expect(run(command, folder, environment(write_bytecode=False)), 0)


def upgrade(folder: Path, python: Path, server: Server) -> Run:
    set_url(folder, server.new_database())
    command = [str(python.with_name("alembic")), "upgrade", "head"]
    return expect(run(command, folder, environment(write_bytecode=False)), 0)


def measure(name: str, build: Build, folder: Path, server: Server, runs: int) -> list[str]:
    apart, merged = folder / "apart", folder / "merged"
    python = build(apart)
    warm_libraries(python)
    shutil.copytree(apart, merged)
    prove(merged, python, server)  # writes the merge revision
    upgrade(merged, python, server)
    proofs, upgrades = [], []
    for _ in range(runs):
        upgrades.append(upgrade(merged, python, server).seconds)
        proofs.append(prove(apart, python, server, "--dry-run").seconds)
    ratios = [ours / theirs for ours, theirs in zip(proofs, upgrades, strict=True)]
    return [
        name,
        str(len(list(apart.glob("*/versions/*.py")))),
        f"{statistics.median(upgrades):.2f} s",
        f"{statistics.median(proofs):.2f} s",
        f"+{statistics.median(p - u for p, u in zip(proofs, upgrades, strict=True)):.2f} s",
        spread(ratios, "x"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="measured rounds for each history (default 5)")
    parser.add_argument("--no-network", action="store_true", help="leave the real history out")
    parser.add_argument("--all", action="store_true", help="also langflow, which installs 1.3 GB of packages")
    options = parser.parse_args()

    cases: list[tuple[str, Build]] = [
        ("generated", generated(50)),
        ("generated", generated(300)),
    ]
    if not options.no_network:
        cases += [
            ("skyvern 1.0.56, 2 heads x 1 on top", skyvern_with(2, 1)),
            ("skyvern 1.0.56, 2 heads x 5 on top", skyvern_with(2, 5)),
            ("skyvern 1.0.56, 5 heads x 1 on top", skyvern_with(5, 1)),
            ("skyvern 1.0.56, cut open", cut_open_at("skyvern", "2c34dee3304e", own_env=False)),
        ]
    if options.all:
        langflow = ("langflow-base==1.13.0", "psycopg[binary]")
        build = cut_open_at("langflow-base", "b6e2d4f8a901", *langflow, own_env=True)
        cases.append(("langflow-base 1.13.0, cut open", build))
    server = Server()
    try:
        with workspace() as folder:
            rows = [
                measure(name, build, folder / str(number), server, options.runs)
                for number, (name, build) in enumerate(cases)
            ]
    finally:
        server.stop()
    print(machine())
    print(
        f"{options.runs} rounds; ratios are proof/upgrade of the same round: median (min-max); "
        "no bytecode caches beside the revisions on either side\n"
    )
    print(table(["history", "revisions", "upgrade head", "proof", "difference", "ratio"], rows))


if __name__ == "__main__":
    main()
