"""The facts of a PostgreSQL database, 12 to 18, from its system catalogs.

Left out, besides what PostgreSQL itself has made: what belongs to an extension (the extension is the fact),
temporary tables, the contents of large objects, and what CREATE DATABASE does not copy to a clone, so that
it cannot be compared: the database's own owner, privileges, comment and connection limit.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from converger.proof.facts import Fact, Fingerprint, Mask
from converger.proof.fingerprints import pgaccess, pgdata, pgobjects, pgrelations
from converger.proof.fingerprints.data import read_rows
from converger.proof.fingerprints.pgsession import major_of, preparation
from converger.proof.scratch import Row, Scratch, Server

_SETTINGS = re.compile(r"(?:^ SET .*\n)+", re.MULTILINE)


def read(
    server: Server, scratch: Scratch, exclude: frozenset[tuple[str | None, str]], mask: Mask, data: bool
) -> Fingerprint:
    """See `read_fingerprint`. One session for the catalogs, and one more where there are rows."""
    major = major_of(server)
    facts = [
        pgrelations.RELATIONS,
        pgrelations.CONSTRAINTS,
        pgrelations.INDEXES,
        pgrelations.SEQUENCES,
        pgrelations.TRIGGERS,
        pgrelations.statistics_objects(major),
        pgobjects.SCHEMAS,
        pgobjects.types(major),
        pgobjects.replication(major),
        pgobjects.rare(major),
        pgobjects.DATABASE_SETTINGS,
        pgaccess.OWNERS_AND_PRIVILEGES,
        pgaccess.DEFAULT_PRIVILEGES,
        pgaccess.COMMENTS,
    ]
    asides = []
    if major >= 18:
        facts.append(pgrelations.NOT_NULL_STATES)
        asides.append(pgrelations.NOT_NULL_NAMES)
    if data:
        asides.append(pgrelations.SEQUENCE_VALUES)
    rows = [pgdata.TABLES, pgdata.SEQUENCES] if data else []
    before = preparation(exclude)
    statements = [
        *before,
        pgobjects.ROUTINES,
        pgrelations.columns(major),
        pgaccess.shared(major),
        *facts,
        *asides,
        *rows,
    ]
    answers = server.query_all(scratch, statements)[len(before) :]
    routines, columns, shared = answers[:3]
    found = [_routine(*row) for row in routines]
    found += [Fact(kind, thing, text) for kind, thing, text, _, _ in columns]
    found += [Fact(*row) for answer in answers[3 : 3 + len(facts)] for row in answer]
    apart = _column_orders(columns)
    apart += [
        Fact(*row) for answer in answers[3 + len(facts) : 3 + len(facts) + len(asides)] for row in answer
    ]
    facts_, asides_ = _placeless(found, scratch), _placeless(apart, scratch)
    if data:
        reader = pgdata.PostgresRows(server, sequences=answers[-1])
        content = read_rows(reader, scratch, pgdata.tables(answers[-2]), mask)
        facts_ |= content.facts | reader.positions
        asides_ |= content.asides
    return Fingerprint(facts_, asides_, _placeless((Fact(*row) for row in shared), scratch))


def _placeless(facts: Iterable[Fact], scratch: Scratch) -> frozenset[Fact]:
    """A migration that asked for the name of its database has written the same everywhere."""
    return frozenset(
        fact
        if scratch.name not in fact.text
        else Fact(fact.kind, fact.object, fact.text.replace(scratch.name, "<database>"))
        for fact in facts
    )


def _column_orders(columns: Iterable[Row]) -> list[Fact]:
    orders: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for _, thing, _, name, number in columns:
        if number is not None:
            orders[thing[: -len(name) - 1]].append((number, name))
    return [
        Fact("column order", table, ", ".join(name for _, name in sorted(order)))
        for table, order in orders.items()
    ]


def _routine(kind: str, name: str, text: str, settings: int) -> Fact:
    if settings > 1:
        # The first such lines are those of PostgreSQL; what the body has comes later.
        text = _SETTINGS.sub(lambda found: "".join(sorted(found[0].splitlines(keepends=True))), text, count=1)
    return Fact(kind, name, text.strip())
