"""Random branches on real databases: the verdict of the squares is what running every order says.

`pytest -m heavy tests/proof/test_generated.py` looks at thousands more, new ones each time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random

import hypothesis.strategies as st
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings

from converger.converge import converge
from converger.outcome import Options, Silent
from converger.proof.findings import Findings
from converger.proof.lattice import Lattice
from converger.proof.squares import Squares
from converger.proof.verdict import judge
from tests.alembic_project import AlembicProject
from tests.proof.generated.generator import LARGE, NOISE, SMALL, Branches, Shapes, draw
from tests.proof.generated.laboratory import MemoryServer, ReplayServer, SqlLaboratory
from tests.proof.generated.oracle import Database, Oracle, PostgresDatabase, SqliteDatabase

VERDICTS = ("commute", "differ", "one-order", "neither-order", "broken")


@pytest.fixture
def sqlite() -> Iterator[tuple[Database, MemoryServer]]:
    with closing(SqliteDatabase()) as database:
        yield database, MemoryServer()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[tuple[Database, ReplayServer]]:
    """One database for the oracle, and one that stands for all scratch databases."""
    names = [f"generated_{place}" for place in ("oracle", "scratch")]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0".encode())
        one, other = (psycopg.conninfo.make_conninfo(postgres_url, dbname=name) for name in names)
        with closing(PostgresDatabase(one)) as oracle, closing(PostgresDatabase(other)) as scratch:
            yield oracle, ReplayServer(scratch)
        for name in names:
            connection.execute(f"DROP DATABASE {name}".encode())


def verdicts(
    database: Database,
    server: MemoryServer | ReplayServer,
    shapes: Shapes,
    examples: int,
    *,
    new: bool = False,
) -> Counter[str]:
    """Look at so many projects, and hold each against the oracle. How often there was which verdict."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples,
        derandomize=not new,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def agrees(random: Random) -> None:
        branches = draw(random, server.dialect, shapes).settled(database)
        seen[compare(Oracle(branches, database), look(branches, SqlLaboratory(branches, server)))] += 1

    agrees()
    return seen


def look(branches: Branches, laboratory: SqlLaboratory) -> Findings:
    """What the squares show; nothing is left behind."""
    try:
        return Squares(Lattice(branches.needs), laboratory, budget=600.0).run()
    finally:
        laboratory.close()


def compare(oracle: Oracle, findings: Findings) -> str:
    """Hold the squares against all orders. The verdict."""
    verdict = judge(findings, ())
    assert findings.whole
    assert verdict == oracle.verdict(), f"{findings.clashes}\n{oracle.branches}"
    assert verdict == "commute" or findings.clashes or findings.broken, "a verdict without a reason"
    for clash in (*findings.clashes, *findings.healed):
        assert oracle.clash(clash.square.state, clash.square.revisions), f"{clash}\n{oracle.branches}"
        for step, failure in clash.failed:
            assert oracle.fails(step.state, step.revision), f"{failure}\n{oracle.branches}"
    for step, failure in findings.broken:
        assert oracle.fails(step.state, step.revision), f"{failure}\n{oracle.branches}"
    return verdict


def on_sqlite(needs: dict[str, tuple[str, ...]], **sql: str | tuple[str, ...]) -> Findings:
    """What the squares show of these branches, which the oracle confirms."""
    base = draw(Random(0), "sqlite", SMALL).branches
    statements = {name: (one,) if isinstance(one, str) else one for name, one in sql.items()}
    branches = replace(base, needs=needs, sql=statements)
    with closing(SqliteDatabase()) as database:
        findings = look(branches, SqlLaboratory(branches, MemoryServer()))
        compare(Oracle(branches, database), findings)
    return findings


def test_a_renamed_difference_is_not_blamed_on_who_renamed() -> None:
    """Which parent the child has depends on the order; in which table it stands does not."""
    findings = on_sqlite(
        {"a0": (), "b0": (), "b1": ("b0",)},
        a0="INSERT INTO parents (x) VALUES (1)",
        b0="INSERT INTO children (parent) SELECT max(id) FROM parents",
        b1="ALTER TABLE children RENAME TO extra",
    )
    assert [clash.square.revisions for clash in findings.clashes] == [("a0", "b0")]


def test_a_failure_is_pinned_to_the_order_that_was_run() -> None:
    """SQLite checks all triggers at each rename: the one that c0 made after a0 is about a table that is gone."""
    findings = on_sqlite(
        {"a0": (), "b0": (), "c0": ()},
        a0="ALTER TABLE children RENAME TO more",
        b0="ALTER TABLE parents RENAME COLUMN x TO z",
        c0="CREATE TRIGGER watch AFTER INSERT ON parents BEGIN INSERT INTO children (x) VALUES (9); END",
    )
    pairs = {clash.square.revisions for clash in findings.clashes}
    assert pairs == {("a0", "c0"), ("b0", "c0")}


def test_a_failure_that_follows_from_a_difference_is_not_blamed_on_another_pair() -> None:
    """b0 takes the key 8 only after a0. Then b1 fails, which has nothing to do with a0 itself."""
    findings = on_sqlite(
        {"a0": (), "b0": (), "b1": ("b0",)},
        a0="INSERT INTO pairs (k, x) VALUES (7, 1)",
        b0="INSERT INTO pairs (k, x) SELECT max(k) + 1, 1 FROM pairs",
        b1="INSERT INTO pairs (k, x) VALUES (8, 1)",
    )
    assert [clash.square.revisions for clash in findings.clashes] == [("a0", "b0")]
    assert [step.revision for step, _ in findings.strayed] == ["b1"]
    assert judge(findings, ()) == "one-order"


def test_noise_in_a_column_does_not_hide_the_others() -> None:
    """a2 writes a column of noise; b0 counts what a1 adds, and writes it next to that."""
    findings = on_sqlite(
        {"a0": (), "a1": ("a0",), "a2": ("a0",), "b0": ()},
        a0="DROP VIEW seen",
        a1="INSERT INTO pairs (k, x) SELECT k + 10, x FROM pairs",
        a2=f"UPDATE parents SET {NOISE} = hex(randomblob(8))",
        b0="UPDATE parents SET y = (SELECT count(*) FROM pairs)",
    )
    assert [clash.square.revisions for clash in findings.clashes] == [("a1", "b0")]


def test_ways_around_a_pair_that_cannot_meet_say_nothing_of_who_runs_last() -> None:
    """a0 and b0 cannot be next to each other, and differ; a1 and b1 only clear up."""
    findings = on_sqlite(
        {"a0": (), "a1": ("a0",), "b0": (), "b1": ("b0",)},
        a0=("CREATE TABLE extra (x)", "UPDATE parents SET x = 8"),
        a1="DROP TABLE extra",
        b0=("CREATE TABLE extra (x)", "UPDATE parents SET x = 9"),
        b1="DROP TABLE extra",
    )
    assert [clash.square.revisions for clash in findings.clashes] == [("a0", "b0")]


def test_sqlite(sqlite: tuple[Database, MemoryServer]) -> None:
    seen = verdicts(*sqlite, LARGE, 300)
    assert all(seen[verdict] >= 5 for verdict in VERDICTS), seen
    assert seen["commute"] < 220, "most are harmless: that shows little"


def test_postgresql(postgres: tuple[Database, ReplayServer]) -> None:
    seen = verdicts(*postgres, SMALL, 30)
    assert all(seen[verdict] for verdict in VERDICTS[:-1]), seen
    assert seen["commute"] < 24, "most are harmless: that shows little"


@pytest.mark.parametrize(
    ("seed", "verdict"),
    [(3, "commute"), (1, "differ"), (16, "one-order"), (54, "neither-order"), (23, "broken")],
)
def test_through_alembic_on_sqlite(tmp_path: Path, seed: int, verdict: str) -> None:
    with closing(SqliteDatabase()) as database:
        oracle = Oracle(draw(Random(seed), "sqlite", SMALL).settled(database), database)
        assert oracle.verdict() == verdict, "the seed is another project now: choose one of that verdict"
        through_alembic(oracle, AlembicProject(tmp_path / "p", url="sqlite:///never.db"), None)


@pytest.mark.parametrize(("seed", "verdict"), [(1, "commute"), (10, "differ"), (28, "one-order")])
def test_through_alembic_on_postgresql(
    tmp_path: Path, postgres: tuple[Database, ReplayServer], postgres_url: str, seed: int, verdict: str
) -> None:
    database, _ = postgres
    oracle = Oracle(draw(Random(seed), "postgresql", SMALL).settled(database), database)
    assert oracle.verdict() == verdict, "the seed is another project now: choose one of that verdict"
    through_alembic(oracle, AlembicProject(tmp_path / "p"), postgres_url)


def through_alembic(oracle: Oracle, project: AlembicProject, url: str | None) -> None:
    """Write the branches as revision files: `converge` says of them what the oracle says."""
    branches = oracle.branches
    long = {revision: f"{revision}{revision}0000" for revision in branches.needs}
    project.sql("base0001", None, *branches.base)
    for revision in branches.order():
        (parent,) = branches.needs[revision] or (None,)
        project.sql(long[revision], long[parent] if parent else "base0001", *branches.sql[revision])
    outcome = converge(Options(cwd=project.root, database_url=url, dry_run=True), Silent())
    assert outcome.proof is not None, outcome.reason
    assert outcome.proof.verdict == oracle.verdict(), branches
    short = {name: revision for revision, name in long.items()}
    for conflict in outcome.proof.conflicts:
        a, b = (short[name] for name in conflict.revisions)
        states = {
            frozenset(order[:count])
            for order in oracle.orders(frozenset(short.values()))
            for count in range(len(order))
        }
        if a == b:
            assert oracle.fails(branches.below(a), a)
        else:
            assert any(oracle.clash(state, (a, b)) for state in states if not state & {a, b}), conflict


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_thousands_on_sqlite(sqlite: tuple[Database, MemoryServer]) -> None:
    print(verdicts(*sqlite, LARGE, 3000, new=True))


@pytest.mark.heavy
@pytest.mark.timeout(3600)
def test_a_thousand_on_postgresql(postgres: tuple[Database, ReplayServer]) -> None:
    print(verdicts(*postgres, LARGE, 1000, new=True))
