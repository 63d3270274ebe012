"""The real proof on every project below tests/conflicts says what is true of it: no false alarm, no miss.

That an expected.json says what is true is found out by `tests.conflicts.oracle`, which uses nothing of the proof.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from converger.proof.kinds import KINDS, known_kinds
from converger.proof.model import Conflict, Proof
from tests.conflicts.oracle import DIALECTS, folders

FOLDERS = folders()
LEAST = {"postgresql": 45, "sqlite": 12, "mariadb": 12}


def expectation(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return found


def name_of(folder: Path) -> str:
    return f"{folder.parent.name}/{folder.name}"


@pytest.fixture
def server_url(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """The address of the one server of a dialect that all projects share; None for SQLite, which has none."""
    names = {"postgresql": "postgres_url", "mariadb": "mariadb_url"}
    return lambda dialect: request.getfixturevalue(names[dialect]) if dialect in names else None


def _proven() -> list[Any]:
    """All projects; `heavy` are those whose dialect, verdict and kind another project has as well."""
    found = []
    for folder in FOLDERS:
        marks = [pytest.mark.heavy] if expectation(folder).get("heavy") else []
        found.append(pytest.param(folder, marks=marks, id=name_of(folder)))
    return found


@pytest.mark.parametrize("folder", _proven())
def test_the_proof_says_what_is_true(folder: Path, server_url: Callable[[str], str | None]) -> None:
    expected = expectation(folder)
    files = sorted(folder.rglob("*"))
    outcome = converge(
        Options(cwd=folder, database_url=server_url(folder.parent.name), dry_run=True), Silent()
    )
    assert sorted(folder.rglob("*")) == files, "something was left behind"
    proof = outcome.proof
    assert proof is not None, outcome.reason
    assert proof.verdict == expected["verdict"], outcome.reason or proof.conflicts
    assert proof.coverage.whole
    if expected.get("harmless"):
        assert (outcome.status, proof.conflicts) == ("would-merge", ())
        return
    assert outcome.status == "refused"
    _hold(proof, expected, outcome)


def _hold(proof: Proof, expected: dict[str, Any], outcome: Outcome) -> None:
    pair = tuple(sorted(expected["pair"]))
    assert {tuple(sorted(conflict.revisions)) for conflict in proof.conflicts} == {pair}
    found = proof.conflicts[0]
    allowed = expected.get("kinds") or [expected["kind"]]
    assert found.kind in allowed, found
    if "objects" in expected:
        assert list(found.objects) == expected["objects"]
    assert found.objects or found.kind == "unclassified"
    if "state" in expected and outcome.graph is not None:
        # Where one fails it is the state that breaks: the other of the two has run.
        applied = [*expected["state"], *(found.revisions[:1] if found.error else ())]
        base = [revision for line in outcome.lines for revision in line.base_state]
        assert found.state == outcome.graph.maximal([*base, *applied])
    _holds_an_explanation(found, proof.verdict)


def _holds_an_explanation(conflict: Conflict, verdict: str) -> None:
    """Both places, what went wrong, and advice that names both revisions without a hole in it."""
    assert conflict.location is not None
    assert conflict.other_location is not None
    assert conflict.location.path != conflict.other_location.path
    if verdict == "differ":
        assert conflict.differences
        assert conflict.error is None
    else:
        assert conflict.error
    assert not re.search(r"[{}]", conflict.advice.replace("{}", ""))
    kind = next(kind for kind in KINDS if kind.name == conflict.kind)
    assert verdict in kind.verdicts, f"{kind.name} does not say that it leads to {verdict}"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_are_enough_of_them(dialect: str) -> None:
    """Of those that always run, a third are harmless pairs; and of all."""
    ours = [expectation(folder) for folder in FOLDERS if folder.parent.name == dialect]
    always = [expected for expected in ours if not expected.get("heavy")]
    assert len(always) >= LEAST[dialect]
    for some in (ours, always):
        assert 3 * sum(bool(expected.get("harmless")) for expected in some) >= len(some)


def _sort(expected: dict[str, Any]) -> tuple[Any, ...]:
    return expected["dialect"], expected["verdict"], expected.get("kind") or tuple(expected["kinds"])


def test_what_is_heavy_has_its_like_that_is_not() -> None:
    conflicts = [expected for folder in FOLDERS if not (expected := expectation(folder)).get("harmless")]
    always = {_sort(expected) for expected in conflicts if not expected.get("heavy")}
    assert {_sort(expected) for expected in conflicts} == always
    assert not [folder for folder in FOLDERS if {"heavy", "harmless"} <= expectation(folder).keys()]


@pytest.mark.parametrize("folder", FOLDERS, ids=name_of)
def test_a_project_says_what_it_is(folder: Path) -> None:
    """The first line of README.md is the graph; expected.json names a kind that there is, in this dialect."""
    expected = expectation(folder)
    assert expected["dialect"] == folder.parent.name
    first, empty, *rest = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    assert re.fullmatch(r"`[^`]+`", first), first
    revisions = {
        found
        for path in (folder / "versions").glob("*.py")
        for found in re.findall(r'^revision = "(\w+)"$', path.read_text(encoding="utf-8"), re.M)
    }
    assert set(re.findall(r"\w+", first.replace("depends on", ""))) == revisions
    assert not empty
    assert rest
    assert bool(expected.get("harmless")) == folder.name.startswith("harmless-")
    kinds = expected.get("kinds") or ([expected["kind"]] if "kind" in expected else [])
    assert bool(kinds) != bool(expected.get("harmless"))
    assert set(kinds) <= set(known_kinds())


def test_names_are_given_once() -> None:
    assert not [name for name, count in Counter(known_kinds()).items() if count > 1]
