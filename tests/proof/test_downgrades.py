"""Downgrades of merged branches: which command takes back what, and whose fault it is where that goes wrong."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from converger.converge import converge
from converger.outcome import Options, Outcome, Silent
from converger.proof.model import Downgrade
from tests.alembic_project import AlembicProject


@pytest.fixture
def project(tmp_path: Path) -> AlembicProject:
    return AlembicProject(tmp_path / "p", url=f"sqlite:///{tmp_path / 'own.db'}")


def sql(*statements: str) -> str:
    return "\n".join(f"op.execute({statement!r})" for statement in statements)


def run(project: AlembicProject, **changes: object) -> Outcome:
    return converge(Options(cwd=project.root, **changes), Silent())  # type: ignore[arg-type]


def downgrade(outcome: Outcome) -> Downgrade:
    assert outcome.proof is not None, outcome.reason
    assert outcome.proof.verdict == "commute", outcome.proof.conflicts
    return outcome.proof.downgrade


def test_harmless(project: AlembicProject) -> None:
    project.revision("base0001", None, sql("CREATE TABLE t (i INTEGER)"))
    project.revision("aaaa0001", "base0001", sql("CREATE TABLE a (i INTEGER)"), sql("DROP TABLE a"))
    project.revision("bbbb0001", "base0001", sql("CREATE TABLE b (i INTEGER)"), sql("DROP TABLE b"))
    outcome = run(project)
    found = downgrade(outcome)
    print(found, outcome.proof.seconds)
    assert found.result == "restores"
