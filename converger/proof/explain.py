"""Why a journey failed, in words that a developer can act on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.project import Project
from converger.proof.blindness import Blindness
from converger.proof.fingerprint import describe_difference
from converger.proof.model import Conflict, Location
from converger.proof.paths import Journey
from converger.proof.upgrade import Failure
from converger.proof.upgrader import Leg

_DATABASE_ERRORS = frozenset(
    "DatabaseError DataError IntegrityError InterfaceError InternalError NotSupportedError OperationalError"
    " ProgrammingError NoSuchTableError".split()
)
"""What drivers raise (PEP 249), and SQLAlchemy for a table that it was to reflect."""


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

    def below_the_ancestor(self, leg: Leg, start: str) -> CouldNotEvaluate:
        """The error for a history that cannot be brought from `start` to the common ancestor."""
        failure = leg.failure
        assert failure is not None
        revision = failure.revision or leg.target
        text = (
            f"{start} cannot be upgraded to the common ancestor {leg.target}:"
            f" revision {revision} fails: {self._blindness.where(failure)}{failure.message.strip()}"
        )
        options = "--base-sql FILE loads a dump to start from, --prepare COMMAND runs the project's own set-up first"
        if _said_by_database(failure):
            if failure.statement:
                text += f"\nstatement: {failure.statement.strip()}"
            hint = f"this history cannot start from {start}; nothing was said about the branches. {options}"
        else:
            hint = (
                f"this is the revision's own code, not the database; nothing was said about the branches."
                f" --command runs the project's own upgrade command where env.py is not enough, --env NAME=VALUE"
                f" sets a variable. If the history cannot start from {start}: {options}"
            )
        return CouldNotEvaluate(text, code="cannot-start-from-empty", hint=hint)

    def conflicts(self, journeys: Sequence[Journey]) -> tuple[Conflict, ...]:
        """One conflict for each failing revision, and one for schemas that differ at the end."""
        found: dict[tuple[str, str | None], Conflict] = {}
        # Where a branch fails on its own that is the news; what merging then does is not judged.
        for journey in [journey for journey in journeys if journey.failed_on_its_own] or journeys:
            leg = journey.failed
            if leg is not None:
                conflict = self._of_failure(journey, leg)
                found.setdefault((conflict.revisions[1], conflict.error), conflict)
        return tuple(found.values()) or self._of_differences(journeys)

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

    def _of_differences(self, journeys: Sequence[Journey]) -> tuple[Conflict, ...]:
        """One conflict for the first journey that ends differently from the first of all; () where none does."""
        first = journeys[0]
        heads = self._line.heads
        for journey in journeys[1:]:
            objects = describe_difference(first.schema, journey.schema)
            if objects:
                return (
                    Conflict(
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
                    ),
                )
        return ()

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


def _said_by_database(failure: Failure) -> bool:
    return failure.sqlstate is not None or failure.type in _DATABASE_ERRORS
