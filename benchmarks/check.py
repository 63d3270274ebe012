"""`alembic-converger check` against `alembic heads`, as whole processes, alternating in one run.

    python benchmarks/check.py [--runs N] [--sizes 100,1000,10000] [--no-network]

The histories are generated in a temporary folder; one is real (skyvern, downloaded from PyPI once).
The libraries' bytecode is warm for everything. `alembic heads` imports every
revision file, so it is measured twice: without bytecode caches beside the revisions (a fresh checkout, as in
CI) and with them (a developer's second run). `check` neither reads nor writes such caches.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path

from common import (
    BIN,
    clear_bytecode,
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
)

CHECK = [str(BIN / "alembic-converger"), "check"]
HEADS = [str(BIN / "alembic"), "heads"]


@dataclass
class Measured:
    """The runs of one command on one history."""

    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)


def check_same_answer(project: Path) -> None:
    """Stop the benchmark where the two commands do not see the same heads."""
    env = environment(write_bytecode=True)
    # An exit code of 1 only says that there are several heads.
    ours = json.loads(expect(run([*CHECK, "--format", "json"], project, env), 0, 1).output)["heads"]
    theirs = {line.split()[0] for line in expect(run(HEADS, project, env), 0).output.splitlines() if line}
    if set(ours) != theirs:
        raise SystemExit(f"{project}: check sees {ours}, alembic sees {sorted(theirs)}")


def measure(project: Path, runs: int) -> dict[str, Measured]:
    """Run the commands in turn, `runs` times; the first, unmeasured round warms the disk's cache."""
    warm, cold = environment(write_bytecode=True), environment(write_bytecode=False)
    kinds = {name: Measured() for name in ("check", "cold", "warm")}
    check_same_answer(project)
    for _ in range(runs):
        clear_bytecode(project)
        for name, command, env in (("check", CHECK, cold), ("cold", HEADS, cold)):
            one = expect(run(command, project, env), 0, 1)
            kinds[name].seconds.append(one.seconds)
            kinds[name].peaks.append(one.peak)
        expect(run(HEADS, project, warm), 0)  # writes the caches
        one = expect(run(HEADS, project, warm), 0)
        kinds["warm"].seconds.append(one.seconds)
        kinds["warm"].peaks.append(one.peak)
    return kinds


def row(name: str, revisions: int, kinds: dict[str, Measured]) -> list[str]:
    def ratios(kind: str) -> str:
        pairs = zip(kinds[kind].seconds, kinds["check"].seconds, strict=True)
        return spread([theirs / ours for theirs, ours in pairs], "x", 1)

    return [
        name,
        str(revisions),
        f"{statistics.median(kinds['check'].seconds):.3f} s",
        f"{statistics.median(kinds['cold'].seconds):.2f} s",
        f"{statistics.median(kinds['warm'].seconds):.2f} s",
        ratios("cold"),
        ratios("warm"),
        f"{max(kinds['check'].peaks):.0f} MB",
        f"{max(kinds['cold'].peaks):.0f} MB",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=5, help="measured rounds for each history (default 5)")
    parser.add_argument("--sizes", default="100,1000,10000", help="revisions of the generated histories")
    parser.add_argument("--no-network", action="store_true", help="leave the real history out")
    options = parser.parse_args()

    warm_libraries(Path(sys.executable))
    rows = []
    with workspace() as folder:
        for size in (int(text) for text in options.sizes.split(",") if text):
            project = folder / f"generated-{size}"
            write_history(write_project(project), size)
            rows.append(row("generated", size, measure(project, options.runs)))
        if not options.no_network:
            source, _ = skyvern()
            project = folder / "skyvern"
            versions = write_project(project)
            shutil.copytree(source, versions, dirs_exist_ok=True)
            rows.append(
                row("skyvern 1.0.56", len(list(versions.glob("*.py"))), measure(project, options.runs))
            )

    print(machine())
    found = "set" if "PYTHONDONTWRITEBYTECODE" in os.environ else "not set"
    print(
        f"{options.runs} rounds; PYTHONDONTWRITEBYTECODE was {found} and is overridden; "
        "library bytecode warm; ratios are alembic/check of the same round: median (min-max)\n"
    )
    header = [
        "history", "revisions", "check", "heads, cold", "heads, warm",
        "ratio, cold", "ratio, warm", "check peak", "heads peak",
    ]  # fmt: skip
    print(table(header, rows))


if __name__ == "__main__":
    main()
