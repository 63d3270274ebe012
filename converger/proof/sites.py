"""A site: the scratch databases of one state. One for most projects, one for each database of a multidb one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from converger.proof.facts import Difference, Fingerprint, Mask, RowDifference
from converger.proof.fingerprints import explain_rows, noise, read_fingerprint
from converger.proof.fingerprints.data import NO_MASK
from converger.proof.scratch import Scratch, Server
from converger.proof.upgrade import VersionTable
from converger.proof.urls import parse_url
from converger.proof.versiontable import version_rows

DRIVERS = {
    "postgresql": ("psycopg2", "psycopg", "psycopg_async", "asyncpg", "pg8000"),
    "mysql": ("pymysql", "mysqldb", "mysqlconnector", "aiomysql", "asyncmy"),
    "sqlite": (),
}
"""SQLAlchemy's drivers of each dialect whose URLs differ in what they call things."""

_MOST_PLACES = 20
"""Databases of a project that are found while env.py runs."""

Door = Callable[[str, str | None], str]
"""The URL by which the worker reaches a database, from its URL and the driver: through our forwarder or as it is."""


@dataclass(frozen=True)
class Order:
    """What an upgrade or a command runs on. `argv` is the project's own command, None for Alembic's."""

    fields: Mapping[str, Any] = field(repr=False)
    secret_urls: tuple[str, ...] = field(repr=False)
    argv: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Site:
    """Scratch databases that are used together; the first is the primary one."""

    databases: tuple[Scratch, ...]


class Sites:
    """Makes, copies, drops and reads sites on one server. May be used from several threads."""

    def __init__(
        self,
        server: Server,
        *,
        sections: Sequence[str],
        url_names: Sequence[str],
        door: Door,
        driver: str | None,
    ) -> None:
        """`sections` are the ini sections of a multidb project's databases, () for a project with one.

        `url_names` are variables that shall hold the primary database's URL, `driver` the project's.
        """
        self._server = server
        self._sections = tuple(sections)
        self._places: tuple[str, ...] = ()
        self._url_names = tuple(url_names)
        self._door = door
        self._driver = driver

    def add(self, place: str) -> bool:
        """Have one database more in the sites that are made from now on; False where it cannot help.

        `place` is one of the project's own databases, as a worker's failure calls it (`Failure.needs`).
        """
        if place in self._places or len(self._places) == _MOST_PLACES:
            return False
        self._places += (place,)
        return True

    def create(self) -> Site:
        """A new site of empty databases. Raises CouldNotEvaluate."""
        return Site(tuple(self._server.create() for _ in self._names))

    def clone(self, source: Site) -> Site:
        """A copy of all its databases. Raises CouldNotEvaluate."""
        return Site(tuple(self._server.clone(database) for database in source.databases))

    def drop(self, site: Site) -> None:
        """Drop all its databases; never fails."""
        for database in site.databases:
            self._server.drop(database)

    def check_alive(self, site: Site) -> None:
        """Raise CouldNotEvaluate if the server is lost."""
        self._server.query(site.databases[0], "SELECT 1")

    def order(self, site: Site, argv: Sequence[str] | None = None) -> Order:
        """What the worker needs to run something on the site."""
        urls = [self._server.url(database, self._driver) for database in site.databases]
        fields = {
            "dialect": self._server.dialect,
            "mark_query": self._server.mark_query,
            "databases": [
                self._described(database, place)
                for database, place in zip(site.databases, self._all_places, strict=True)
            ],
            "urls": urls,
            "sections": list(self._sections),
            "environ": dict.fromkeys(self._url_names, urls[0]),
        }
        return Order(fields, tuple(urls), tuple(argv) if argv else None)

    def version_rows(self, site: Site, table: VersionTable) -> tuple[str, ...] | None:
        """What a version table holds, sorted; None if there is no such table. Raises CouldNotEvaluate."""
        return version_rows(self._server, site.databases[table.database], table.name, table.schema)

    def read(self, site: Site, tables: frozenset[VersionTable], mask: Mask = NO_MASK) -> Fingerprint:
        """The facts of all its databases, without the version tables. Raises CouldNotEvaluate."""
        found = [
            self._with_prefix(
                number,
                read_fingerprint(
                    self._server,
                    database,
                    exclude=frozenset((t.schema, t.name) for t in tables if t.database == number),
                    mask=self._own(number, mask),
                ),
            )
            for number, database in enumerate(site.databases)
        ]
        return Fingerprint(
            frozenset(fact for one in found for fact in one.facts),
            frozenset(fact for one in found for fact in one.asides),
            frozenset(fact for one in found for fact in one.shared),
        )

    def noise(self, first: Site, second: Site, found: Sequence[Difference]) -> Mask:
        """What differs between two sites that ran the same order. Raises CouldNotEvaluate."""
        mask = NO_MASK
        for number, (one, other) in enumerate(zip(first.databases, second.databases, strict=True)):
            prefix = self._prefix(number)
            mine = [
                replace(difference, object=difference.object[len(prefix) :])
                for difference in found
                if difference.object.startswith(prefix)
            ]
            noisy = noise(self._server, one, other, mine)
            mask |= Mask(
                frozenset((kind, prefix + name) for kind, name in noisy.things),
                frozenset((prefix + table, column) for table, column in noisy.columns),
            )
        return mask

    def rows(
        self, first: Site, second: Site, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        """Some of the rows that differ between two sites: `first` is what the differences call so.

        Raises CouldNotEvaluate.
        """
        rows = []
        for number, (one, other) in enumerate(zip(first.databases, second.databases, strict=True)):
            prefix = self._prefix(number)
            for difference in found:
                if difference.kind == "rows" and difference.object.startswith(prefix):
                    table = difference.object[len(prefix) :]
                    some = explain_rows(self._server, one, other, table, mask=self._own(number, mask))
                    rows += [replace(some, table=prefix + table)] if some is not None else []
        return tuple(rows)

    def _prefix(self, number: int) -> str:
        return f"{self._names[number]}: " if self._names[number] else ""

    def _own(self, number: int, mask: Mask) -> Mask:
        """The part of a mask that is about one database, in that database's own names."""
        prefix = self._prefix(number)
        return Mask(
            frozenset((kind, name[len(prefix) :]) for kind, name in mask.things if name.startswith(prefix)),
            frozenset(
                (table[len(prefix) :], column) for table, column in mask.columns if table.startswith(prefix)
            ),
        )

    def _with_prefix(self, number: int, found: Fingerprint) -> Fingerprint:
        prefix = self._prefix(number)
        if not prefix:
            return found
        facts, asides = (
            frozenset(replace(fact, object=prefix + fact.object) for fact in each)
            for each in (found.facts, found.asides)
        )
        return Fingerprint(facts, asides, found.shared)

    @property
    def _names(self) -> tuple[str, ...]:
        """What a person calls each database; nothing for that of a project which has just one."""
        # Of a place its last part: where somebody's server is, is not for a report.
        return (*(self._sections or ("",)), *(place.rpartition("/")[2] for place in self._places))

    @property
    def _all_places(self) -> tuple[str | None, ...]:
        return (*(None for _ in self._sections or ("",)), *self._places)

    def _described(self, database: Scratch, place: str | None) -> dict[str, Any]:
        server = self._server
        names: tuple[str | None, ...] = (None, *DRIVERS[server.dialect])
        urls = {name or "": self._door(server.url(database, name), name) for name in names}
        mark = server.mark(database)
        name = mark if server.dialect == "sqlite" else parse_url(urls[""]).database
        return {"name": name, "urls": urls, "mark": mark, "place": place}
