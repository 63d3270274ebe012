"""Why a journey failed, in words that a developer can act on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.project import Project
from converger.proof.blindness import Blindness
from converger.proof.facts import Difference, RowDifference
from converger.proof.findings import Clash, Findings
from converger.proof.kinds import Encounter, Kind, advice, classify, objects
from converger.proof.lattice import State, Step
from converger.proof.model import Conflict, Location
from converger.proof.paths import Journey
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

    def __init__(
        self, project: Project, graph: Graph, line: LinePlan, blindness: Blindness, dialect: str
    ) -> None:
        self._dialect = dialect
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

    def conflicts(
        self, findings: Findings, journeys: Sequence[Journey], alone: Mapping[str, tuple[Difference, ...]]
    ) -> tuple[Conflict, ...]:
        """What is wrong, each pair of revisions once: the smallest pair in the smallest state, where that is known.

        `alone` is what each revision changes on its own branch, as far as that is known.
        """
        broken = [self._of_broken(step, failure) for step, failure in findings.broken]
        broken += [
            self._of_journey(journey, journey.failed, alone)
            for journey in journeys
            if journey.failed_on_its_own and journey.failed
        ]
        if broken:  # that is the news; what merging then does is not judged
            return _once(broken)
        found = [_with_consequence(self._of_clash(clash), findings) for clash in findings.clashes]
        known = {failure.revision for clash in findings.clashes for _, failure in clash.failed}
        for journey in journeys:
            leg = journey.failed
            if leg is not None and leg.failure is not None and leg.failure.revision not in known:
                found.append(self._of_journey(journey, leg, alone))
        if found:
            return _once(found)
        ends = ends_elsewhere(findings, journeys)
        return tuple(
            self._of_ends(journey, difference, alone)
            for journey, difference in zip(journeys, ends, strict=True)
            if difference
        )[:1]

    def _of_broken(self, step: Step, failure: Failure) -> Conflict:
        return Conflict(
            kind="unclassified",
            revisions=(step.revision, step.revision),
            state=self._state(step.state),
            objects=(),
            error=failure.said,
            statement=failure.statement,
            location=self._location(failure) or self._definition(step.revision),
            advice=_mend_first(step.revision),
        )

    def _of_clash(self, clash: Clash) -> Conflict:
        if clash.failed:
            return self._of_failed(clash)
        first, second = clash.square.revisions
        encounter = Encounter(
            self._dialect, (first, second), footprints=clash.footprints, differences=clash.differences
        )
        kind = classify(encounter)
        return Conflict(
            kind=kind.name,
            revisions=(first, second),
            state=self._state(clash.square.state),
            objects=objects(encounter),
            error=None,
            statement=None,
            location=self._definition(first),
            other_location=self._definition(second),
            differences=describe(clash.differences, (f"{second} ran last", f"{first} ran last"), clash.rows),
            advice=advice(encounter, kind),
        )

    def _of_failed(self, clash: Clash) -> Conflict:
        """A square in which one order fails, or both: then the first of the failures is shown."""
        a, b = clash.square.revisions
        step, failure = clash.failed[0]
        other = a if step.revision == b else b
        footprints = clash.footprints if other == a else (clash.footprints[1], clash.footprints[0])
        encounter = self._failing((other, step.revision), footprints, failure)
        kind = classify(encounter)
        opposite = [found for at, found in clash.failed if at.revision == other]
        if opposite:
            when = f"Whichever of {other} and {step.revision} runs first, the other then fails."
        else:
            when = f"{other} and then {step.revision} fails; the other order works."
        return Conflict(
            kind=kind.name,
            revisions=(other, step.revision),
            state=self._state(step.state),
            objects=objects(encounter),
            error=encounter.error,
            statement=encounter.statement,
            location=self._location(failure) or self._definition(step.revision),
            other_location=(self._location(opposite[0]) if opposite else None) or self._definition(other),
            advice=f"{when} {advice(encounter, kind)}",
        )

    def _of_journey(
        self, journey: Journey, leg: Leg, alone: Mapping[str, tuple[Difference, ...]]
    ) -> Conflict:
        failure = leg.failure
        assert failure is not None
        revision = failure.revision or (leg.order[-1] if leg.order else leg.target)
        merges = {merge.revision for merge in self._line.merges}
        if revision in merges:  # it is empty: what ran before it left something that Alembic stumbles over
            revision = next((ran for ran in reversed(leg.order) if ran not in merges), revision)
        applied = self._graph.ancestors(leg.state, dependencies=True) | set(leg.order)
        own = journey.failed_on_its_own
        other = revision if own else self._other(revision, applied)
        footprints = alone.get(other, ()), alone.get(revision, ())
        encounter = self._failing((other, revision), footprints, failure)
        kind = None if own else classify(encounter)
        return Conflict(
            kind=kind.name if kind else "unclassified",
            revisions=(other, revision),
            state=leg.state,
            objects=objects(encounter) if kind else (),
            error=encounter.error,
            statement=failure.statement,
            location=self._location(failure) or self._definition(revision),
            other_location=None if own else self._definition(other),
            advice=self._advice_at_once(encounter, kind, leg) if kind else _mend_first(revision),
        )

    def _failing(
        self,
        pair: tuple[str, str],
        footprints: tuple[tuple[Difference, ...], tuple[Difference, ...]],
        failure: Failure,
    ) -> Encounter:
        """The second of a pair failed after the first."""
        return Encounter(
            self._dialect,
            pair,
            footprints=footprints,
            error=failure.said,
            sqlstate=failure.sqlstate,
            exception=failure.type,
            statement=failure.statement,
        )

    def _advice_at_once(self, encounter: Encounter, kind: Kind, leg: Leg) -> str:
        """What to do where all works one by one, and fails in one `alembic upgrade`."""
        text = (
            "One by one these revisions work. `alembic upgrade` runs all that is missing at once, though, and then"
            f" {leg.failure.revision if leg.failure else leg.target} fails on a database that was at"
            f" {' + '.join(leg.state) or 'no revision'}."
        )
        if kind.name != "unclassified":
            return f"{text} {advice(encounter, kind)}"
        return (
            f"{text} Some statements cannot follow each other in one transaction, or a setting of the session stays:"
            " let env.py use transaction_per_migration, or commit in between with"
            " op.get_context().autocommit_block()."
        )

    def _of_ends(
        self,
        journey: Journey,
        found: tuple[Difference, ...],
        alone: Mapping[str, tuple[Difference, ...]],
    ) -> Conflict:
        names = ("revision by revision", f"at once from {' + '.join(journey.start) or 'empty'}")
        pair = self._who_met(journey, found, alone)
        encounter = Encounter(self._dialect, pair, differences=found)
        kind = classify(encounter)
        leaks = kind.name == "session-setting-leaks"  # the other kinds are about the order of two revisions
        text = (
            "A database that is upgraded revision by revision ends with another schema than one that is upgraded"
            " at once."
        )
        general = "Decide which one is meant, and bring both there in a revision behind the merge."
        return Conflict(
            kind=kind.name if leaks else "unclassified",
            revisions=pair,
            state=(self._line.final_head,),
            objects=objects(encounter) if leaks else tuple(dict.fromkeys(one.object for one in found)),
            error=None,
            statement=None,
            differences=describe(found, names),
            location=self._definition(pair[0]),
            other_location=self._definition(pair[1]),
            advice=f"{text} {advice(encounter, kind) if leaks else general}",
        )

    def _who_met(
        self,
        journey: Journey,
        found: tuple[Difference, ...],
        alone: Mapping[str, tuple[Difference, ...]],
    ) -> tuple[str, str]:
        """The last revision that by itself changes what differs, and the newest stranger that ran before it."""
        things = {(one.kind, one.object) for one in found}
        order = [revision for leg in (*journey.approach, *journey.legs) for revision in leg.order]
        for place, revision in reversed(list(enumerate(order))):
            if things & {(one.kind, one.object) for one in alone.get(revision, ())}:
                before = self._graph.ancestors(self._line.base_state, dependencies=True) | set(order[:place])
                other = self._other(revision, before)
                if other != revision:
                    return other, revision
        return self._line.heads[0], self._line.heads[-1]

    def _state(self, state: State) -> tuple[str, ...]:
        """A state as its heads."""
        applied = self._graph.ancestors(self._line.base_state, dependencies=True) | state
        return self._graph.maximal(applied, dependencies=True)

    def _other(self, revision: str, applied: frozenset[str] | set[str]) -> str:
        """The revision of another branch that the failing one met: the newest that is no relative of it."""
        related = self._graph.ancestors([revision], dependencies=True) | self._graph.descendants([revision])
        strangers = set(applied) - related - {merge.revision for merge in self._line.merges}
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


def describe(
    found: Sequence[Difference], names: tuple[str, str], rows: Sequence[RowDifference] = ()
) -> tuple[str, ...]:
    """Differences, one line each, and examples of rows; `names` say what the first and the second is."""
    lines = []
    examples = {each.table: each for each in rows}
    for one in found:
        if one.kind == "rows" and one.object in examples:
            lines += _rows(examples[one.object], names)
            continue
        thing = f"{one.kind} {one.object}"
        if one.first is not None and one.second is not None:
            lines.append(f"{thing}: {one.first} where {names[0]}, {one.second} where {names[1]}")
        else:
            text, where = (one.first, names[0]) if one.first is not None else (one.second, names[1])
            lines.append(f"{thing}{'' if text == 'exists' else f' ({text})'}: only where {where}")
    return tuple(lines)


def _rows(rows: RowDifference, names: tuple[str, str]) -> list[str]:
    """Rows that are on one side only. A hash, which the fact has, says nothing to a person."""
    columns = f" (they differ in {', '.join(rows.columns)})" if rows.columns else ""
    counts = f"{rows.first_count} only where {names[0]}, {rows.second_count} only where {names[1]}"
    lines = [f"rows {rows.table}: {counts}{columns}"]
    for name, some in ((names[0], rows.first), (names[1], rows.second)):
        lines += [f"rows {rows.table}: {row} where {name}" for row in some]
    return lines


def _once(conflicts: Sequence[Conflict]) -> tuple[Conflict, ...]:
    found: dict[object, Conflict] = {}
    for conflict in conflicts:
        found.setdefault((frozenset(conflict.revisions), conflict.error, conflict.objects), conflict)
    return tuple(found.values())


def _with_consequence(conflict: Conflict, findings: Findings) -> Conflict:
    """A difference that makes a later revision fail on one side says so: the verdict is about that."""
    if conflict.error is not None or not findings.strayed:
        return conflict
    step, failure = findings.strayed[0]
    message = failure.said.splitlines()[0]
    return replace(
        conflict,
        advice=f"{conflict.advice} It matters later, too: {step.revision} fails in databases that came by one of these"
        f" orders, and works in those of the other ({message}).",
    )


def _mend_first(revision: str) -> str:
    return (
        f"{revision} fails on the common ancestor, without the other branch: merging is not the cause."
        " Mend it on its own branch first."
    )
