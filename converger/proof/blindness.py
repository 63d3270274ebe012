"""Failures that say nothing about the branches: each becomes a reason for "could not look"."""

from __future__ import annotations

import os
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.proof.process import Failure

_SERVERS_TROUBLE = ("08", "53", "57P", "58")
"""SQLSTATE classes: connection, insufficient resources, shutdown, system error (PostgreSQL, appendix A)."""


class Blindness:
    """Tells failures that say nothing about the branches ("could not look") from those that do."""

    def __init__(self, root: Path, python: str) -> None:
        """`root` is the repository, `python` the interpreter that ran the project's code."""
        self._root = root
        self._python = python

    def reason(self, failure: Failure) -> CouldNotEvaluate | None:
        """The error for a failure that says nothing about the branches; None for one that does."""
        place = self.where(failure)
        if failure.foreign:
            return CouldNotEvaluate(
                failure.foreign + "; it was stopped before the first statement",
                code="foreign-connection",
                hint="env.py has to take its database from sqlalchemy.url or config.attributes['connection'];"
                " a variable that holds the URL is named with --database-url-env",
            )
        if failure.missing_module:
            return CouldNotEvaluate(
                f"{place}{failure.message} (interpreter: {self._python})",
                code="missing-dependency",
                hint=f"install {failure.module or 'it'} there, or name the interpreter of the project's"
                " environment with --python",
            )
        if failure.timed_out:
            return CouldNotEvaluate(
                f"{failure.message} while {_doing(failure)}",
                code="worker-timeout",
                hint="raise the bound with --timeout SECONDS, or look whether the migration waits for a lock"
                " or for input",
            )
        if failure.type == "WorkerEnded":
            return CouldNotEvaluate(
                f"{failure.message} while {_doing(failure)}" + _last_words(failure),
                code="worker-ended",
                hint="signal 9 mostly means that the machine ran out of memory"
                if failure.killed == 9
                else None,
            )
        if failure.sqlstate and failure.sqlstate.startswith(_SERVERS_TROUBLE):
            return CouldNotEvaluate(
                f"{place}{failure.message.strip()}",
                code="server-refused",
                hint="this is the server's trouble (room, memory, connections, a shutdown), not the migration's:"
                " mend that and run again",
            )
        if failure.revision is None and not failure.configured:
            return self.environment_failed(failure)
        return None

    def environment_failed(self, failure: Failure) -> CouldNotEvaluate:
        """The error for what went wrong before the first migration."""
        return CouldNotEvaluate(
            f"{self.where(failure)}{failure.type}: {failure.message}",
            code="env-failed",
            hint="this happened before the first migration, in env.py or while the revision files were"
            " loaded; --env NAME=VALUE sets a variable that it needs",
        )

    def where(self, failure: Failure) -> str:
        """`path:line: ` of the innermost frame in the project's own code, or nothing."""
        for path, line, _name in failure.frames:
            relative = os.path.relpath(os.path.realpath(path), self._root)
            if not relative.startswith("..") and "site-packages" not in relative:
                return f"{relative}:{line}: "
        return ""


def _doing(failure: Failure) -> str:
    return f"revision {failure.revision} ran" if failure.revision else "env.py ran"


def _last_words(failure: Failure) -> str:
    lines = failure.output.strip().splitlines()
    return "; its last words: " + " / ".join(lines[-3:]) if lines else ""
