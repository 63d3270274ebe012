"""Why a journey failed, in words that a developer can act on."""

from __future__ import annotations

import os
from collections.abc import Sequence

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.project import Project
from converger.proof.blindness import Blindness
from converger.proof.facts import Difference
from converger.proof.lattice import State, Step
from converger.proof.model import Conflict, Location
from converger.proof.paths import Journey
from converger.proof.squares import Clash, Findings
from converger.proof.upgrade import Failure
from converger.proof.upgrader import Leg
from converger.proof.verdict import ends_elsewhere

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

    def conflicts(self, findings: Findings, journeys: Sequence[Journey]) -> tuple[Conflict, ...]:
        """What is wrong, each pair of revisions once: the smallest pair in the smallest state, where that is known."""
        broken = [self._of_broken(step, failure) for step, failure in findings.broken]
        broken += [
            self._of_journey(journey, journey.failed)
            for journey in journeys
            if journey.failed_on_its_own and journey.failed
        ]
        if broken:  # that is the news; what merging then does is not judged
            return _once(broken)
        found = [self._of_clash(clash) for clash in findings.clashes]
        known = {failure.revision for clash in findings.clashes for _, failure in clash.failed}
        for journey in journeys:
            leg = journey.failed
            if leg is not None and leg.failure is not None and leg.failure.revision not in known:
                found.append(self._of_journey(journey, leg))
        if found:
            return _once(found)
        ends = ends_elsewhere(findings, journeys)
        return tuple(
            self._of_ends(journey, difference)
            for journey, difference in zip(journeys, ends, strict=True)
            if difference
        )[:1]

    def _of_broken(self, step: Step, failure: Failure) -> Conflict:
        return Conflict(
            kind="unclassified",
            revisions=(step.revision, step.revision),
            state=self._state(step.state),
            objects=(),
            error=failure.message.strip() or failure.type,
            statement=failure.statement,
            location=self._location(failure) or self._definition(step.revision),
            advice=_mend_first(step.revision),
        )

    def _of_clash(self, clash: Clash) -> Conflict:
        a, b = clash.square.revisions
        state = self._state(clash.square.state)
        where = " + ".join(state) or "an empty database"
        if clash.failed:
            step, failure = clash.failed[0]
            other = a if step.revision == b else b
            if len(clash.failed) > 1:
                when = "whichever of them runs first, the other fails"
            else:
                when = f"{other} and then {step.revision} fails, the other order works"
            return Conflict(
                kind="unclassified",
                revisions=(other, step.revision),
                state=self._state(step.state),
                objects=(),
                error=failure.message.strip() or failure.type,
                statement=failure.statement,
                location=self._location(failure) or self._definition(step.revision),
                other_location=self._definition(other),
                advice=f"On a database at {where}, {when}. Change the newer of the two so that it holds"
                " whether or not the other has run (for instance by an IF EXISTS, or by moving the change into a"
                " revision behind the merge), then run this again.",
            )
        return Conflict(
            kind="unclassified",
            revisions=(a, b),
            state=state,
            objects=describe(clash.differences, (f"{b} ran last", f"{a} ran last")),
            error=None,
            statement=None,
            location=self._definition(a),
            other_location=self._definition(b),
            advice=f"Both orders succeed on a database at {where}, but they end differently. Decide which end is"
            " meant, and bring every database there in a revision behind the merge, or let one of the two do nothing"
            " where the other has run.",
        )

    def _of_journey(self, journey: Journey, leg: Leg) -> Conflict:
        failure = leg.failure
        assert failure is not None
        revision = failure.revision or (leg.order[-1] if leg.order else leg.target)
        applied = self._graph.ancestors(leg.state, dependencies=True) | set(leg.order)
        state = self._graph.maximal(applied - {revision}, dependencies=True)
        own = journey.failed_on_its_own
        other = revision if own else self._other(revision, applied)
        where = " + ".join(state) or "an empty database"
        advice = (
            "One by one these revisions work. `alembic upgrade` runs all that is missing at once, though, and then"
            f" {revision} fails on a database that comes from {where}: some statements cannot follow each other in one"
            " transaction. Let env.py use transaction_per_migration, or commit in between with"
            " op.get_context().autocommit_block()."
        )
        return Conflict(
            kind="unclassified",
            revisions=(other, revision),
            state=state,
            objects=(),
            error=failure.message.strip() or failure.type,
            statement=failure.statement,
            location=self._location(failure) or self._definition(revision),
            other_location=None if own else self._definition(other),
            advice=_mend_first(revision) if own else advice,
        )

    def _of_ends(self, journey: Journey, found: tuple[Difference, ...]) -> Conflict:
        heads = self._line.heads
        return Conflict(
            kind="unclassified",
            revisions=(heads[0], heads[-1]),
            state=(self._line.final_head,),
            objects=describe(
                found, ("revision by revision", f"at once from {' + '.join(journey.start) or 'empty'}")
            ),
            error=None,
            statement=None,
            location=self._definition(heads[0]),
            other_location=self._definition(heads[-1]),
            advice="A database that is upgraded revision by revision ends with another schema than one that is upgraded"
            " at once. Decide which one is meant, and bring both there in a revision behind the merge.",
        )

    def _state(self, state: State) -> tuple[str, ...]:
        """A state as its heads."""
        applied = self._graph.ancestors(self._line.base_state, dependencies=True) | state
        return self._graph.maximal(applied, dependencies=True)

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


def describe(found: Sequence[Difference], names: tuple[str, str]) -> tuple[str, ...]:
    """Differences, one line each; `names` say what the first and the second is."""
    lines = []
    for one in found:
        thing = f"{one.kind} {one.object}"
        if one.first is not None and one.second is not None:
            lines.append(f"{thing}: {one.first} where {names[0]}, {one.second} where {names[1]}")
        else:
            text, where = (one.first, names[0]) if one.first is not None else (one.second, names[1])
            lines.append(f"{thing}{'' if text == 'exists' else f' ({text})'}: only where {where}")
    return tuple(lines)


def _once(conflicts: Sequence[Conflict]) -> tuple[Conflict, ...]:
    found: dict[object, Conflict] = {}
    for conflict in conflicts:
        found.setdefault((frozenset(conflict.revisions), conflict.error, conflict.objects), conflict)
    return tuple(found.values())


def _mend_first(revision: str) -> str:
    return (
        f"{revision} fails on the common ancestor, without the other branch: merging is not the cause."
        " Mend it on its own branch first."
    )
