"""What is true of a project below tests/conflicts, found out without our own proof.

Every order of the branches' revisions is run from an empty database with plain Alembic, one revision at a
time, and every merge of the heads in one go; the databases are compared by the server's own dump and by their
rows. Nothing here uses `converger`'s states, squares or fingerprints.

    python -m tests.conflicts.oracle [DIALECT[/NAME] ...]

prints what it found and where an expected.json says something else.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from tests.conflicts.servers import OracleServer, open_oracle_server

HERE = Path(__file__).parent
DIALECTS = ("postgresql", "sqlite", "mariadb")


@dataclass(frozen=True)
class Clash:
    """Two revisions of which, in `state`, one fails after the other, or whose orders end differently."""

    state: tuple[str, ...]
    pair: tuple[str, str]
    how: str


@dataclass
class Truth:
    """What all runs together say. `runs` is the outcome of each way: the dump, or None and the error."""

    verdict: str = ""
    clashes: list[Clash] = field(default_factory=list)
    errors: dict[tuple[str, ...], str] = field(default_factory=dict)
    alone: dict[tuple[str, ...], str] = field(default_factory=dict)
    one_go_only: bool = False

    @property
    def pairs(self) -> set[tuple[str, str]]:
        """The pairs that clash in the smallest state in which any does."""
        if not self.clashes:
            return set()
        least = min(len(clash.state) for clash in self.clashes)
        return {clash.pair for clash in self.clashes if len(clash.state) == least}


def folders(*wanted: str) -> list[Path]:
    """The projects, sorted; `wanted` are dialects or DIALECT/NAME."""
    found = [path.parent for path in HERE.glob("*/*/expected.json")]
    names = {f"{folder.parent.name}/{folder.name}": folder for folder in found}
    return [
        names[name] for name in sorted(names) if not wanted or name in wanted or name.split("/")[0] in wanted
    ]


class Project:
    """One project, read with Alembic itself."""

    def __init__(self, folder: Path, server: OracleServer) -> None:
        self._folder = folder
        self._server = server
        self._noise = tuple(json.loads((folder / "expected.json").read_text()).get("noise", ()))
        script = ScriptDirectory.from_config(self._config("", None))
        self.needs = {
            revision.revision: set(revision._all_down_revisions) for revision in script.walk_revisions()
        }
        self.heads = sorted(script.get_heads())
        above = [self.above(head) for head in self.heads]
        shared = set.intersection(*above)
        self.base = tuple(self.order(shared))
        self.region = set(self.needs) - shared

    def above(self, revision: str) -> set[str]:
        """The revision and all that it needs."""
        found, waiting = set(), [revision]
        while waiting:
            one = waiting.pop()
            if one not in found:
                found.add(one)
                waiting += self.needs[one]
        return found

    def order(self, revisions: set[str]) -> list[str]:
        """One order in which they can be applied."""
        return next(self.orders((), revisions))

    def orders(self, applied: tuple[str, ...], revisions: set[str]) -> Iterator[list[str]]:
        """All orders in which the revisions can be applied after `applied`."""
        if not revisions:
            yield []
        for one in sorted(revisions):
            if not (self.needs[one] & revisions):
                for rest in self.orders((*applied, one), revisions - {one}):
                    yield [one, *rest]

    def merges(self) -> list[tuple[str, tuple[str, ...]]]:
        """A merge revision for each order of the heads: Alembic runs the one listed last first."""
        return [(f"merge{number}", parents) for number, parents in enumerate(permutations(self.heads))]

    def run(self, targets: list[str], merges: Path | None = None) -> Run:
        """`alembic upgrade` to each target in turn, on a database of its own."""
        with self._server.database() as database:
            config = self._config(database.url, merges)
            done: list[str] = []
            dumps: list[str] = []
            for target in targets:
                try:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        command.upgrade(config, target)
                except Exception as error:
                    return Run(done, dumps, target, f"{type(error).__name__}: {error}")
                done.append(target)
                wanted = len(done) == len(targets) or (len(self.region) > 2 and merges is None)
                dumps.append(database.dump(self._noise) if wanted and target not in self.base else "")
            return Run(done, dumps, None, None)

    def _config(self, url: str, merges: Path | None) -> Config:
        config = Config(str(self._folder / "alembic.ini"), stdout=io.StringIO())
        config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
        if merges is not None:
            places = f"{self._folder / 'versions'}{os.pathsep}{merges}"
            config.set_main_option("version_locations", places)
        return config


@dataclass(frozen=True)
class Run:
    """What one way gave: the targets reached, a dump after each, and where and why it ended early."""

    done: list[str]
    dumps: list[str]
    failed: str | None
    error: str | None

    @property
    def end(self) -> str | None:
        return None if self.failed else self.dumps[-1]


def examine(folder: Path, server: OracleServer) -> Truth:
    """Run everything there is to run."""
    project = Project(folder, server)
    truth = Truth()
    base = list(project.base)
    steps = {tuple(order): project.run([*base, *order]) for order in project.orders((), project.region)}
    truth.alone = _alone(project, steps, len(base))
    if truth.alone:
        truth.verdict = "broken"
        return truth
    truth.clashes = _clashes(steps, len(base))
    runs = dict(steps)
    with tempfile.TemporaryDirectory() as place:
        for revision, parents in project.merges():
            text = f"revision = {revision!r}\ndown_revision = {parents!r}\n\n\ndef upgrade():\n    pass\n"
            (Path(place) / f"{revision}.py").write_text(text)
            ways = [(*base[-1:], revision)]
            if len(project.region) > 2:
                ways += [(head, revision) for head in project.heads]
            for way in ways:
                runs[parents, way] = project.run(list(way), Path(place))
            (Path(place) / f"{revision}.py").unlink()
    truth.errors = {way: run.error for way, run in runs.items() if run.error}
    truth.verdict = _verdict(list(runs.values()))
    truth.one_go_only = truth.verdict != "commute" and _verdict(list(steps.values())) == "commute"
    return truth


def _alone(project: Project, steps: dict[tuple[str, ...], Run], skip: int) -> dict[tuple[str, ...], str]:
    """The branches that fail without the others: step by step, or in one go where that is another thing."""
    found = {}
    for head in project.heads:
        own = project.above(head) & project.region
        first = next(order for order in steps if set(order[: len(own)]) == own)
        runs = [steps[first]] if len(steps[first].done) - skip < len(own) else []
        if len(own) > 1:
            runs.append(project.run([*project.base[-1:], head]))
        found |= {(head, str(run.failed)): run.error for run in runs if run.error}
    return found


def _verdict(runs: list[Run]) -> str:
    failed = [run for run in runs if run.failed]
    if failed:
        return "neither-order" if len(failed) == len(runs) else "one-order"
    return "commute" if len({run.end for run in runs}) == 1 else "differ"


def _clashes(steps: dict[tuple[str, ...], Run], skip: int) -> list[Clash]:
    """The small differences between orders: two revisions, next to each other, the other way around."""
    reached: dict[tuple[str, ...], str | None] = {}  # None: failed
    for order, run in steps.items():
        count = len(run.done) - skip
        for length in range(1, count + 1):
            reached[order[:length]] = run.dumps[skip + length - 1]
        if run.failed:
            reached[order[: count + 1]] = None
    found = set()
    for way in reached:
        before, pair = way[:-2], way[-2:]
        other = (*before, *reversed(pair))
        if len(way) < 2 or other not in reached or reached[way[:-1]] is None or reached[other[:-1]] is None:
            continue
        if reached[way] != reached[other] or reached[way] is None:
            how = "fails" if reached[way] is None or reached[other] is None else "differs"
            a, b = sorted(pair)
            found.add((tuple(sorted(before)), (a, b), how))
    return [Clash(*one) for one in sorted(found)]


def disagreements(expected: dict[str, object], truth: Truth) -> list[str]:
    """Where an expected.json says something else than what was found."""
    found = []
    if expected["verdict"] != truth.verdict:
        found.append(f"verdict: expected {expected['verdict']}, true is {truth.verdict}")
    if bool(expected.get("harmless")) != (truth.verdict == "commute"):
        found.append("harmless is said of what is not, or the other way around")
    pair = tuple(sorted(expected.get("pair", ())))  # type: ignore[arg-type, var-annotated]
    if truth.clashes and truth.verdict != "commute":
        if {pair} != truth.pairs:
            found.append(f"pair: expected {pair}, true is {sorted(truth.pairs)}")
        if "state" in expected:
            states = {clash.state for clash in truth.clashes if clash.pair == pair}
            least = min(states, key=lambda state: (len(state), state), default=())
            if tuple(expected["state"]) != least:  # type: ignore[arg-type]
                found.append(f"state: expected {expected['state']}, true is {list(least)}")
    if bool(expected.get("one_transaction")) != truth.one_go_only:
        found.append(f"one_transaction: true is {truth.one_go_only}")
    return found


def main(arguments: list[str]) -> int:
    """Examine the projects that are named, or all."""
    bad = 0
    with contextlib.ExitStack() as stack:
        servers: dict[str, OracleServer] = {}
        for folder in folders(*arguments):
            dialect = folder.parent.name
            if dialect not in servers:
                servers[dialect] = stack.enter_context(open_oracle_server(dialect))
            began = time.monotonic()
            truth = examine(folder, servers[dialect])
            wrong = disagreements(json.loads((folder / "expected.json").read_text()), truth)
            bad += bool(wrong)
            mark = "WRONG" if wrong else "ok"
            print(f"{mark:5} {dialect}/{folder.name}: {truth.verdict} {time.monotonic() - began:.1f} s")
            for line in wrong:
                print(f"      {line}")
            if wrong or "-v" in sys.argv:
                for way, error in {**truth.alone, **truth.errors}.items():
                    print(f"      {way}: {' '.join(error.split())[:200]}")
                for clash in truth.clashes:
                    print(f"      {clash}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main([argument for argument in sys.argv[1:] if argument != "-v"]))
