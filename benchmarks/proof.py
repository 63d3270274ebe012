"""The proof of two heads against one plain `alembic upgrade head` from empty, on the same server.

    python benchmarks/proof.py [--runs N] [--no-network]

Whole processes, alternating in one run. "upgrade" runs plain Alembic on the same revisions with the merge
revision in place, into a new empty database; "proof" is `alembic-converger converge --dry-run` with
`--database-url` naming the same server, so that starting a server is in neither figure. Histories: generated
lines of 50 and 300 revisions with two heads of one revision each, skyvern 1.0.56 with two heads of one
revision each on top, and skyvern cut open at its real merge.
"""

from __future__ import annotations

import argparse
import json
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


def generated(size: int) -> Callable[[Path], None]:
    def build(folder: Path) -> None:
        versions = write_project(folder, PLACEHOLDER)
        two_heads(versions, write_history(versions, size))

    return build


def skyvern_with_two_heads(folder: Path) -> None:
    source, template = skyvern()
    versions = write_project(folder, PLACEHOLDER)
    shutil.copytree(source, versions, dirs_exist_ok=True)
    shutil.copy(template, folder / "alembic")
    env = environment(write_bytecode=False)
    heads = json.loads(
        expect(run([str(BIN / "alembic-converger"), "check", "--format", "json"], folder, env), 0).output
    )["heads"]
    two_heads(versions, heads[0])


def skyvern_cut_open(folder: Path) -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    from histories.projects import Recipe, cut_open

    cut_open(Recipe("skyvern", "2c34dee3304e", own_env=False), folder)
    write_ini(folder, PLACEHOLDER)


def two_heads(versions: Path, parent: str) -> None:
    for number in (900_001, 900_002):
        write_revision(versions, number, parent)


def write_ini(folder: Path, url: str) -> None:
    from common import INI

    (folder / "alembic.ini").write_text(INI.format(url=url))


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


def prove(folder: Path, server: Server, *extra: str) -> Run:
    command = [str(BIN / "alembic-converger"), "converge", "--format", "json", "--python", sys.executable]
    command += ["--database-url", server.url(), *extra]
    return expect(run(command, folder, environment(write_bytecode=False)), 0)


def upgrade(folder: Path, server: Server) -> Run:
    write_ini(folder, server.new_database())
    command = [str(BIN / "alembic"), "upgrade", "head"]
    return expect(run(command, folder, environment(write_bytecode=False)), 0)


def measure(name: str, build: Callable[[Path], None], folder: Path, server: Server, runs: int) -> list[str]:
    apart, merged = folder / "apart", folder / "merged"
    build(apart)
    shutil.copytree(apart, merged)
    prove(merged, server)  # writes the merge revision
    upgrade(merged, server)
    proofs, upgrades = [], []
    for _ in range(runs):
        upgrades.append(upgrade(merged, server).seconds)
        proofs.append(prove(apart, server, "--dry-run").seconds)
    ratios = [ours / theirs for ours, theirs in zip(proofs, upgrades, strict=True)]
    return [
        name,
        str(len(list((apart / "alembic" / "versions").glob("*.py")))),
        f"{statistics.median(upgrades):.2f} s",
        f"{statistics.median(proofs):.2f} s",
        spread(ratios, "x"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="measured rounds for each history (default 5)")
    parser.add_argument("--no-network", action="store_true", help="leave the real history out")
    options = parser.parse_args()

    cases: list[tuple[str, Callable[[Path], None]]] = [
        ("generated", generated(50)),
        ("generated", generated(300)),
    ]
    if not options.no_network:
        cases += [
            ("skyvern 1.0.56, two heads on top", skyvern_with_two_heads),
            ("skyvern 1.0.56, cut open at its merge", skyvern_cut_open),
        ]
    warm_libraries()
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
    print(table(["history", "revisions", "upgrade head", "proof", "ratio"], rows))


if __name__ == "__main__":
    main()
