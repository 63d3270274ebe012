"""Why a journey failed, in words that a developer can act on: conflicts, and reasons for "could not look"."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.project import Project
from converger.proof.fingerprint import describe_difference
from converger.proof.model import Conflict, Location
from converger.proof.paths import Journey, Leg
from converger.proof.process import Failure


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


class Explainer:
    """Turns what the worker saw into conflicts, with places in the revision files."""

    def __init__(self, project: Project, graph: Graph, line: LinePlan, blindness: Blindness) -> None:
        self._graph = graph
        self._line = line
        self._blindness = blindness
        self._by_path = {
            os.path.realpath(os.path.join(project.root, revision.path)): revision.path
            for revision in graph.revisions.values()
        }

    def below_the_ancestor(self, leg: Leg) -> CouldNotEvaluate:
        """The error for a history that cannot be brought from an empty database to the common ancestor."""
        failure = leg.failure
        assert failure is not None
        revision = failure.revision or leg.target
        text = (
            f"an empty database cannot be upgraded to the common ancestor {leg.target}:"
            f" revision {revision} fails: {self._blindness.where(failure)}{failure.message.strip()}"
        )
        if failure.statement:
            text += f"\nstatement: {failure.statement.strip()}"
        return CouldNotEvaluate(
            text,
            code="cannot-start-from-empty",
            hint="nothing was said about the branches themselves. The history has to run from an empty database:"
            f" try `alembic upgrade {leg.target}` on one",
        )

    def conflicts(self, journeys: Sequence[Journey]) -> tuple[Conflict, ...]:
        """One conflict for each failing revision, and one for schemas that differ at the end."""
        found: dict[tuple[str, str | None], Conflict] = {}
        # Where a branch fails on its own that is the news; what merging then does is not judged.
        for journey in [journey for journey in journeys if journey.failed_on_its_own] or journeys:
            leg = journey.failed
            if leg is not None:
                conflict = self._of_failure(journey, leg)
                found.setdefault((conflict.revisions[1], conflict.error), conflict)
        if not found:
            found.update(self._of_differences(journeys))
        return tuple(found.values())

    def _of_failure(self, journey: Journey, leg: Leg) -> Conflict:
        failure = leg.failure
        assert failure is not None
        revision = failure.revision or (leg.order[-1] if leg.order else leg.target)
        applied = self._graph.ancestors(leg.state, dependencies=True) | set(leg.order)
        state = self._graph.maximal(applied - {revision}, dependencies=True)
        own = journey.failed_on_its_own
        other = revision if own else self._other(revision, applied)
        where = " + ".join(state) or "an empty database"
        if own:
            advice = (
                f"{revision} fails on the common ancestor, without the other branch: merging is not the cause."
                " Mend it on its own branch first."
            )
        else:
            advice = (
                f"{revision} works on its own branch but not on a database that is at {where}. Change the newer of"
                f" {other} and {revision} so that it holds whether or not the other has run (for instance by an"
                " IF EXISTS, or by moving the change into a revision behind the merge), then run this again."
            )
        return Conflict(
            kind="unclassified",
            revisions=(other, revision),
            state=state,
            objects=(),
            error=failure.message.strip() or failure.type,
            statement=failure.statement,
            location=self._location(failure) or self._definition(revision),
            advice=advice,
        )

    def _of_differences(self, journeys: Sequence[Journey]) -> dict[tuple[str, str | None], Conflict]:
        first = journeys[0]
        found: dict[tuple[str, str | None], Conflict] = {}
        heads = self._line.heads
        for journey in journeys[1:]:
            objects = describe_difference(first.schema, journey.schema)
            if objects and not found:
                found[(heads[-1], None)] = Conflict(
                    kind="unclassified",
                    revisions=(heads[0], heads[-1]),
                    state=(self._line.final_head,),
                    objects=objects,
                    error=None,
                    statement=None,
                    location=self._definition(heads[-1]),
                    advice="every order succeeds, but a database that comes from"
                    f" {' + '.join(first.start) or 'empty'} ends with another schema than one that comes from"
                    f" {' + '.join(journey.start) or 'empty'}. Decide which one is meant, and bring both there in a"
                    " revision behind the merge.",
                )
        return found

    def _other(self, revision: str, applied: frozenset[str] | set[str]) -> str:
        """The revision of another branch that the failing one met: the newest that is no relative of it."""
        related = self._graph.ancestors([revision], dependencies=True) | self._graph.descendants([revision])
        strangers = set(applied) - related
        return (self._graph.maximal(strangers) or self._line.heads)[0]

    def _location(self, failure: Failure) -> Location | None:
        for path, line, _name in failure.frames:
            known = self._by_path.get(os.path.realpath(path))
            if known is not None:
                return Location(known, line)
        return None

    def _definition(self, revision: str) -> Location | None:
        known = self._graph.revisions.get(revision)
        return Location(known.path, known.line or 1) if known is not None else None


def _doing(failure: Failure) -> str:
    return f"revision {failure.revision} ran" if failure.revision else "env.py ran"


def _last_words(failure: Failure) -> str:
    lines = failure.output.strip().splitlines()
    return "; its last words: " + " / ".join(lines[-3:]) if lines else ""
