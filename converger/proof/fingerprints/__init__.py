"""The fingerprint of a scratch database: everything that distinguishes it from another, as facts.

Kinds of facts (`Fact.kind`), with the form of `Fact.object`. Names are joined by dots and not quoted; texts
are as the server prints them, with qualified names.

| kind | object |
| --- | --- |
| `schema`, `extension`, `language`, `publication`, `subscription`, `event trigger` | its name |
| `foreign data wrapper`, `foreign server`, `access method` | its name |
| `table` (partitions, too), `view`, `materialized view`, `foreign table`, `sequence` | `schema.name` |
| `column` (of any of these) | `schema.table.column` |
| `primary key`, `unique constraint`, `foreign key`, `check constraint`, `exclusion constraint` | `schema.table.name` |
| `not null constraint` (PostgreSQL 18: only where it is not valid or not inherited) | `schema.table.column` |
| `index` | `schema.index`; the text has the table |
| `index column` (its statistics target) | `schema.index.column` |
| `trigger`, `rule`, `policy` | `schema.table.name` |
| `function`, `procedure`, `aggregate` | `schema.name(argument types)` |
| `enum`, `domain`, `composite type`, `range type`, `type` | `schema.name` |
| `domain constraint` | `schema.domain.name` |
| `statistics object`, `collation`, `conversion`, `text search …` | `schema.name` |
| `operator`, `operator class`, `operator family`, `cast`, `transform`, `user mapping` | as PostgreSQL says it |
| `database setting` | the setting's name, ` for role` where it is one role's |
| `KIND owner` (only where it is not the database's), `KIND privileges`, `KIND comment` | that of the KIND |
| `column privileges`, `column comment` | `schema.table.column` |
| `default privileges` | `tables of role in schema` |
| `rows` | the table; no fact where there are none |
| `sequence position` (it will give values that a unique column already has) | `schema.sequence` |

In `asides`: `column order` (the table), `generated keys` (the table), `sequence value` (the
sequence), `not null constraint` (`schema.table.column`: its name, PostgreSQL 18). In `shared`: `role`,
`membership`, `tablespace`, `role comment`, `parameter privileges`.

SQLite has no schemas in its names, and besides: `virtual table`; `sequence value` of a table; constraints
without a name, whose object is the table (`primary key`) or the table and what they say.

MySQL and MariaDB have no schemas in their names either: the database is all there is. An index is `table.index`, a
primary key the table, a check at a column `table.column`. Besides: `event`; in `asides`, `event times` and the
`sequence value` of a table's AUTO_INCREMENT. In `shared`: `account` and `account privileges`, as far as they are shown.
"""

from __future__ import annotations

from converger.proof.facts import Fingerprint, Mask
from converger.proof.fingerprints.data import NO_MASK, explain_rows, noise, not_compared
from converger.proof.scratch import Scratch, Server

__all__ = ["explain_rows", "noise", "not_compared", "read_fingerprint"]


def read_fingerprint(
    server: Server,
    scratch: Scratch,
    *,
    exclude: frozenset[tuple[str | None, str]],
    mask: Mask = NO_MASK,
    data: bool = True,
) -> Fingerprint:
    """Everything that distinguishes a scratch database from another on the same server.

    `exclude` are tables that are left out, with all that hangs on them, as (schema, name): schema None is
    the one in which the name is found without a schema, as for `version_rows`. What is in `mask` is left
    out. Without `data` rows are not looked at. Raises CouldNotEvaluate.
    """
    if server.dialect == "sqlite":
        from converger.proof.fingerprints import sqlite as dialect
    elif server.dialect == "postgresql":
        from converger.proof.fingerprints import postgresql as dialect  # type: ignore[no-redef]
    else:
        from converger.proof.fingerprints import mysql as dialect  # type: ignore[no-redef]
    found = dialect.read(server, scratch, exclude, mask, data)
    if not mask.things:
        return found
    return Fingerprint(
        *(
            frozenset(fact for fact in facts if (fact.kind, fact.object) not in mask.things)
            for facts in (found.facts, found.asides, found.shared)
        )
    )
