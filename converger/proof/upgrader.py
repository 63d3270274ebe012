"""Upgrades sites and holds them against the graph: success is what the version tables say, not exit code 0."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TypeVar

from converger.errors import CouldNotEvaluate
from converger.history import Graph
from converger.plan import LinePlan
from converger.proof.bench import Bench
from converger.proof.blindness import Blindness
from converger.proof.process import Worker
from converger.proof.sites import Site
from converger.proof.upgrade import Failure, Upgrade, VersionTable

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Leg:
    """One `alembic upgrade` of a journey and what its database then said.

    `state` is the state before (as its heads); `failure` also covers an upgrade that Alembic calls
    a success but whose version table says otherwise.
    """

    target: str
    state: tuple[str, ...]
    order: tuple[str, ...]
    seconds: float
    failure: Failure | None


@dataclass(frozen=True)
class Place:
    """Where a site is on its way: what is applied, and the version tables that have said so."""

    site: Site
    state: frozenset[str]
    tables: tuple[VersionTable, ...] = ()


class Upgrader:
    """Upgrades the sites of one line of history. May be used from several threads."""

    def __init__(self, *, bench: Bench, graph: Graph, line: LinePlan) -> None:
        """`bench` is prepared; `graph` includes the planned merges."""
        self._bench = bench
        self._sites = bench.sites
        self._graph = graph
        self._preloaded = bench.worker if bench.preloaded else None
        self._faithful = None if bench.preloaded else bench.worker
        self._lock = threading.Lock()
        self._stopped = False
        self._version_tables: dict[VersionTable, None] = {}
        at_base = graph.ancestors(line.base_state, dependencies=True)
        self._to_prove = graph.ancestors([line.final_head], dependencies=True) - at_base

    @property
    def version_tables(self) -> frozenset[VersionTable]:
        """All that any upgrade so far kept."""
        with self._lock:
            return frozenset(self._version_tables)

    def stop(self) -> None:
        """Nothing more is to be run: also Ctrl-C must not wait for a migration that runs."""
        self._stopped = True
        self._bench.stop_workers()

    def believed(
        self, work: Callable[[Worker], _Result], failures: Callable[[_Result], list[Failure]]
    ) -> _Result:
        """Do it with the preloaded worker; believe a failure only from one that loads as Alembic does."""
        if self._preloaded is not None:
            result = work(self._preloaded)
            # It is sure to fail again where the project has more databases than the site.
            if not (failed := failures(result)) or any(failure.needs for failure in failed):
                return result
        with self._lock:
            if self._stopped:
                raise CancelledError
            if self._faithful is None:
                self._faithful = self._bench.faithful_worker()
            if self._stopped:
                raise CancelledError
        return work(self._faithful)

    def upgrade(
        self,
        worker: Worker,
        place: Place,
        target: str,
        *,
        alone: bool = False,
        known: bool = True,
        reversed_: bool = False,
    ) -> tuple[Leg, Place]:
        """Upgrade to `target` and hold the databases against what the graph expects of them.

        Unless it is `alone`, other upgrades share the server, and so what belongs to the server. `known` is
        whether the place's state is what is applied now. `reversed_`: the planned merges list their parents the
        other way round. Raises CouldNotEvaluate where the server is lost, and where it refused a migration
        something that only another account may do.
        """
        upgrade = worker.upgrade(
            self._sites.order(place.site, self._bench.command),
            target=target,
            reversed_=reversed_,
            shared=not (alone and self._bench.own_server),
        )
        if upgrade.failure:
            self._sites.check_alive(place.site)  # a lost server is no conflict: this raises then
        with self._lock:
            self._version_tables.update(dict.fromkeys(upgrade.version_tables))
        # A table that an earlier upgrade of this site kept, and this one does not, stays behind.
        tables = tuple(dict.fromkeys((*place.tables, *upgrade.version_tables))) or (VersionTable(),)
        expected = place.state | self._graph.ancestors([target], dependencies=True)
        if not known:
            expected |= self._of_other_lines(place.site, tables)
        failure = upgrade.failure
        if failure is None:
            failure = self._check(upgrade, place, known, tables, expected)
            failure = (failure and upgrade.hidden) or failure
        if failure is not None:
            self._check_rights(failure)
        leg = Leg(
            target=target,
            state=self._graph.maximal(place.state, dependencies=True),
            order=_order(upgrade),
            seconds=upgrade.seconds,
            failure=failure,
        )
        return leg, Place(place.site, expected, tables if upgrade.version_tables else place.tables)

    def downgrade(
        self, worker: Worker, place: Place, target: str, *, left: frozenset[str]
    ) -> tuple[Leg, Place]:
        """Downgrade to `target`, as `alembic downgrade` understands it; then exactly `left` has to be applied.

        The leg's order is that in which the revisions were taken back. Raises as `upgrade` does.
        """
        downgrade = worker.upgrade(self._sites.order(place.site), target=target, down=True)
        if downgrade.failure:
            self._sites.check_alive(place.site)
        failure = downgrade.failure
        for table in place.tables or (VersionTable(),):
            rows = self._sites.version_rows(place.site, table)
            if failure is None and (rows is None or not self._says(rows, left)):
                last = downgrade.steps[-1].revision if downgrade.steps else None
                failure = _disagreement(last, rows, self._graph.maximal(left))
        if failure is not None:
            self._check_rights(failure)
        leg = Leg(
            target=target,
            state=self._graph.maximal(place.state, dependencies=True),
            order=_order(downgrade),
            seconds=downgrade.seconds,
            failure=failure,
        )
        return leg, Place(place.site, left, place.tables)

    def _check_rights(self, failure: Failure) -> None:
        """Raise CouldNotEvaluate where the server only refused what migrations may not do on this server."""
        reason = self._bench.server.beyond_rights(failure.message)
        if reason is not None:
            place = Blindness(self._bench.project.root, self._bench.python).where(failure)
            raise CouldNotEvaluate(f"{place}{reason}", code=reason.code, hint=reason.hint)

    def _of_other_lines(self, site: Site, tables: tuple[VersionTable, ...]) -> frozenset[str]:
        """What a dump or a set-up has applied beside the line that is proven: other trees, say.

        Nothing, where something of the line itself, or that nobody knows, is applied too early.
        """
        rows = [row for table in tables for row in self._sites.version_rows(site, table) or ()]
        if any(row not in self._graph.revisions for row in rows):
            return frozenset()
        applied = self._graph.ancestors(rows, dependencies=True)
        return frozenset() if applied & self._to_prove else applied

    def _check(
        self,
        upgrade: Upgrade,
        place: Place,
        known: bool,
        tables: tuple[VersionTable, ...],
        expected: frozenset[str],
    ) -> Failure | None:
        """Exit code 0 is not success: after every step the version table must say what was applied."""
        applied: dict[int, frozenset[str]] = {}
        for number, table in enumerate(upgrade.version_tables):
            # One that comes later, such as that of a tenant made by a migration, starts from nothing.
            comes_later = bool(place.tables) and table not in place.tables
            applied[number] = frozenset() if comes_later else place.state
        for step in upgrade.steps if known else ():
            now = applied[step.pass_] | {step.revision}
            applied[step.pass_] = now
            if step.rows is not None and not self._says(step.rows, now):
                return _disagreement(step.revision, step.rows, self._graph.maximal(now))
        for table in tables:
            rows = self._sites.version_rows(place.site, table)
            if rows is None or not self._says(rows, expected):
                last = upgrade.steps[-1].revision if upgrade.steps else None
                if not known and rows is not None and self._beyond(rows, expected):
                    return _begins_too_late(rows, self._graph.maximal(expected))
                left_out = upgrade.version_tables and table not in upgrade.version_tables
                return _disagreement(
                    last, rows, self._graph.maximal(expected), left_out=table.name if left_out else None
                )
        return None

    def _beyond(self, rows: tuple[str, ...], expected: frozenset[str]) -> bool:
        """Whether these rows mean all that was expected, and more or what nobody knows."""
        known = [row for row in rows if row in self._graph.revisions]
        return len(known) < len(rows) or self._graph.ancestors(known, dependencies=True) > expected

    def _says(self, rows: tuple[str, ...], applied: frozenset[str]) -> bool:
        """Whether these rows mean exactly these revisions, however Alembic abbreviates a dependency."""
        known = self._graph.revisions
        if any(row not in known for row in rows):
            return False
        return self._graph.ancestors(rows, dependencies=True) == applied


def _order(upgrade: Upgrade) -> tuple[str, ...]:
    """The revisions in the order of one pass: where there are several, of the one that went last."""
    last = max((step.pass_ for step in upgrade.steps), default=0)
    return tuple(step.revision for step in upgrade.steps if step.pass_ == last)


def _begins_too_late(rows: tuple[str, ...], expected: tuple[str, ...]) -> Failure:
    return Failure(
        "BeginsTooLate",
        f"the database begins at {', '.join(rows)}, which is not below the common ancestor"
        f" {', '.join(expected) or '(none)'}",
    )


def _disagreement(
    revision: str | None,
    rows: tuple[str, ...] | None,
    expected: tuple[str, ...],
    *,
    left_out: str | None = None,
) -> Failure:
    """`left_out` is the name of the table where the upgrade did not touch it and others before did."""
    found = "is missing" if rows is None else f"says {', '.join(rows) or 'nothing'}"
    if left_out is not None:
        cause = f"env.py upgraded {left_out} before, and left it out this time"
    elif rows is None and revision is not None:
        cause = "the migrations ran, but env.py committed nothing, or it only printed their SQL"
    elif revision is None:
        cause = "env.py ran no migration on the database that it was given"
    else:
        cause = "a migration commits or rolls back behind Alembic's back"
    return Failure(
        "VersionTableDisagrees",
        f"Alembic reported success, but the version table {found} where {', '.join(expected) or 'nothing'}"
        f" was expected: {cause}",
        revision=revision,
        began=revision is not None,
    )
