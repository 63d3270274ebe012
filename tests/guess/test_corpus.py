"""The guesses about the projects below tests/conflicts, whose truth an oracle found by running every order."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from converger.guess.model import Guess
from tests.guess.reading import guesses_about

CONFLICTS = Path(__file__).parents[1] / "conflicts"
PROJECTS = sorted(path.parent for path in CONFLICTS.glob("*/*/expected.json"))

NOT_SEEN = frozenset(
    # What only a database knows: defaults that it inherits, limits, triggers, cascades, what `*` stands for.
    """mariadb/auto-increment-and-insert mariadb/default-charset-and-column mariadb/rows-too-large-together
    mariadb/select-star-view mariadb/trigger-order mariadb/update-cascade-and-child
    mariadb/drop-index-that-a-foreign-key-needs mariadb/generated-keys-that-rows-refer-to
    postgresql/both-own-a-sequence postgresql/default-privileges-and-new-table
    postgresql/deferred-trigger-outside-one-transaction postgresql/do-block-over-all-tables
    postgresql/drop-column-and-its-sequence postgresql/drop-column-and-its-sequence-owner
    postgresql/enum-label-used-in-one-transaction postgresql/generated-keys-that-rows-refer-to
    postgresql/grant-on-all-tables postgresql/insert-select-and-insert postgresql/overlapping-partitions
    postgresql/pending-triggers-in-one-transaction postgresql/rename-enum-label-and-insert
    postgresql/search-path-in-one-transaction postgresql/select-star-view postgresql/table-like-another
    postgresql/trigger-and-insert postgresql/type-changed-and-default sqlite/batch-loses-a-check
    sqlite/batch-loses-a-trigger"""
    # Which rows refer to which.
    """ postgresql/delete-parent-and-insert-child""".split()
)

SUSPECTED = frozenset(
    # The new rows satisfy the new rule. That they may not is worth a guess, and no more than "possible".
    """mariadb/harmless-unique-and-distinct-rows postgresql/harmless-foreign-key-and-child-with-parent
    postgresql/harmless-unique-and-distinct-rows""".split()
)


def name(project: Path) -> str:
    return f"{project.parent.name}/{project.name}"


def expected(project: Path) -> dict[str, object]:
    loaded: dict[str, object] = json.loads((project / "expected.json").read_text())
    return loaded


HARMLESS = [project for project in PROJECTS if expected(project).get("harmless")]
CLASHING = [project for project in PROJECTS if not expected(project).get("harmless")]


def test_the_corpus_is_there() -> None:
    assert len(HARMLESS) >= 50
    assert len(CLASHING) >= 110


@pytest.mark.parametrize("project", HARMLESS, ids=name)
def test_no_false_alarm(project: Path) -> None:
    guesses = guesses_about(project).guesses
    assert {guess.confidence for guess in guesses} <= {"possible"}
    assert bool(guesses) == (name(project) in SUSPECTED)


@pytest.mark.parametrize("project", CLASHING, ids=name)
def test_clash(project: Path) -> None:
    truth = expected(project)
    kinds = truth.get("kinds", [truth.get("kind")])
    found = guesses_about(project).guesses
    right = [
        g for g in found if g.kind in kinds and sorted(p.revision for p in g.places) == sorted(truth["pair"])
    ]
    assert bool(right) == (name(project) not in NOT_SEEN), found
    assert bool(found) == bool(right), f"only wrong ones: {found}"
    for one in right:
        for place in one.places:
            assert mentions(project, one, place.path, place.line)


def mentions(project: Path, guess: Guess, path: str, line: int) -> bool:
    """Whether the statement at a line has the name, or the table, of what the guess is about."""
    text = (project / path).read_text()
    (function,) = [n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef) and n.name == "upgrade"]
    assert function.lineno < line <= (function.end_lineno or 0)
    statement = next(n for n in ast.walk(function) if isinstance(n, ast.stmt) and n.lineno <= line <= (n.end_lineno or 0) and n is not function)  # fmt: skip
    words = set(re.findall(r"\w+", ast.get_source_segment(text, statement) or ""))
    return bool(words & set(re.findall(r"\w+", guess.object)))
