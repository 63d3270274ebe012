"""What verdicts mean, in words: the same in the terminal, in a comment and in a summary."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converger.report.visible import one_line

if TYPE_CHECKING:
    from converger.proof.model import Proof

DIALECTS = {"postgresql": "PostgreSQL", "sqlite": "SQLite", "mysql": "MySQL", "mariadb": "MariaDB"}

MEANING = {
    "commute": "every order in which databases will run the branches succeeds and ends alike",
    "one-order": "the branches work in one order only; databases that run the other one break",
    "neither-order": "the branches break each other in every order",
    "differ": "every order succeeds, but databases end differently",
    "broken": "a branch fails on its own; merging is not the cause",
    "skipped": "nothing was proven (--skip-validation)",
    "unevaluated": "we could not look",
}

IN_SHORT = {
    "commute": "every order works, and all databases end alike",
    "one-order": "they work in one order only",
    "neither-order": "they break each other in every order",
    "differ": "nothing fails, but databases end up different",
    "broken": "a migration fails on its own, without the other branch",
}
"""For a line that has to be understood at a glance."""


def server_name(proof: Proof) -> str:
    """The kind of database and its version, as people write it."""
    name = DIALECTS.get(proof.dialect, one_line(proof.dialect, 40))
    version = one_line(proof.server_version, 40)
    return f"{name} {version}" if version else name


def cut_short(proof: Proof) -> str:
    """What to add to a verdict whose proof did not compare all; nothing where it did."""
    return "" if proof.coverage.whole else f", CUT SHORT: {proof.coverage.compared}"
