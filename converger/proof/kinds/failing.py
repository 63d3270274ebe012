"""Recognises an encounter in which one revision failed after the other. Pure.

A kind is named only where the database's complaint and what the other revision changed say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping

from converger.proof.facts import Difference
from converger.proof.kinds.complaint import Complaint, complaint_of
from converger.proof.kinds.encounter import (
    CONSTRAINTS,
    ROUTINES,
    TABLES,
    UNCLASSIFIED,
    VIEWS,
    Encounter,
    Footprint,
    Recognised,
    footprints,
    is_named,
    names_in,
    table_of,
)

_TAKEN = (
    (TABLES | VIEWS | {"sequence"}, "duplicate-table"),
    (CONSTRAINTS, "duplicate-constraint-name"),  # MySQL makes an index of the same name for a foreign key
    ({"index"}, "duplicate-index-name"),
    ({"column"}, "duplicate-column"),
)
_KEYS = ("primary key", "unique constraint", "exclusion constraint")


def recognise_failure(encounter: Encounter) -> Recognised:
    """The kind of a failure, or UNCLASSIFIED."""
    complaint = complaint_of(encounter)
    if complaint is None:
        return UNCLASSIFIED
    other, own = footprints(encounter)
    return _RULES[complaint](encounter, other, own)


def _exists(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    labels = [enum for enum in other.changed("enum") if own.of("enum", enum.object)]
    if labels and re.search(r"enum label|label", encounter.error or ""):
        return _found("duplicate-enum-label", labels)
    taken = [
        change
        for change in other.added()
        if is_named(change.object, words) and not change.kind.endswith((" comment", " privileges", " owner"))
    ]
    # A message may name a table besides the column: what both would make, each alone, is what it is about.
    both = [change for change in taken if own.of(change.kind, change.object)]
    for candidates in (both, taken):
        for kinds, name in _TAKEN:
            found = [change for change in candidates if change.kind in kinds]
            if found:
                return _found(name, found)
        if candidates:
            return _found("duplicate-object", candidates)
    return UNCLASSIFIED


def _missing(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    gone = [change for change in other.removed() if is_named(change.object, words)]
    if encounter.sqlstate == "42P10":  # ON CONFLICT names columns, and the message nothing
        statement = names_in(encounter.statement or "")
        gone = [change for change in other.removed(*_KEYS, "index") if is_named(table_of(change), statement)]
        return _found("dropped-object-used", gone)
    for kinds, name in ((TABLES, "table"), ({"column"}, "column"), (None, "object")):
        found = [change for change in gone if kinds is None or change.kind in kinds]
        found = [change for change in found if change.kind != "rows"]
        if kinds is TABLES and _column_is_missing(encounter):
            continue
        if found:
            return _gone(found, name, other, own)
    return _wrong_arguments(encounter, other, own)


def _column_is_missing(encounter: Encounter) -> bool:
    return encounter.sqlstate == "42703" or bool(
        re.search(r"no such column|has no column|unknown column|key column", encounter.error or "", re.I)
    )


def _gone(found: list[Difference], name: str, other: Footprint, own: Footprint) -> Recognised:
    renamed = [change for change in found if other.renamed(change)]
    too = [change for change in found if (mine := own.of(change.kind, change.object)) and mine.second is None]
    if too and not any(own.renamed(change) for change in too) and not renamed:
        return _found("dropped-twice", too)
    if too and renamed and any(own.renamed(change) for change in too):
        return _found("renamed-twice", too)
    if renamed and name != "object":
        return _found(f"renamed-{name}-used", renamed)
    return _found(f"dropped-{name}-used", found)


def _wrong_arguments(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    """No function or operator for these types: because one of them has changed."""
    changed = _retyped(other, own) if encounter.sqlstate == "42883" else []
    return _found("type-changed-under-use", changed)


def _needed(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    made = [
        change for change in other.made() if not change.kind.endswith((" comment", " privileges", " owner"))
    ]
    views = [change for change in made if change.kind in VIEWS or change.kind == "rule"]
    named = [change for change in views if is_named(change.object, words)]
    if named or (views and re.search(r"\b(view|rule)\b", encounter.error or "")):
        return _found("view-dependency", named or views)
    users = [
        change
        for change in made
        if change.kind
        in (CONSTRAINTS | ROUTINES | {"index", "trigger", "policy", "column", "domain", "table"})
    ]
    named = [change for change in users if is_named(change.object, words) and change.kind != "table"]
    if named:
        return _found("dropped-object-needed", named)
    holding = [change for change in users if change.kind in (CONSTRAINTS | {"index", "trigger", "policy"})]
    return _found("dropped-object-needed", holding if encounter.sqlstate != "0A000" else [])


def _second_key(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    added = other.added("primary key")
    tables = {table_of(change) for change in own.added("primary key")}
    return _found("second-primary-key", [change for change in added if table_of(change) in tables])


def _partition(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    partitions = [change for change in other.made("table") if "partition of " in (change.second or "")]
    rows = [change for change in other.made("rows") if encounter.sqlstate == "23514"]
    named = [change for change in partitions if is_named(change.object, words)]
    return _found("partition-overlap", named or rows)


def _view_columns(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    return _found("view-replaced", [c for c in other.made(*sorted(VIEWS)) if own.of(c.kind, c.object)])


def _return_type(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    return _found("function-replaced", [c for c in other.made(*sorted(ROUTINES)) if own.of(c.kind, c.object)])


def _not_null(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    strict = [
        change
        for side in (other, own)
        for change in side.made("column")
        if "not null" in (change.second or "").lower()
        and "not null" not in (change.first or "").lower()
        and is_named(change.object, words)
    ]
    if (
        not strict and encounter.dialect != "postgresql"
    ):  # MySQL: "Data truncated for column", SQLite: the new table
        strict = [c for s in (other, own) for c in s.made("column") if "not null" in (c.second or "").lower()]
        strict = [change for change in strict if is_named(change.object, words)]
    return _found("not-null-against-data", strict)


def _unique(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    keys = [
        change
        for side in (other, own)
        for change in side.made(*_KEYS, "index")
        if change.kind != "index" or re.search(r"\bunique\b", change.second or "", re.I)
    ]
    rows = other.rows() | own.rows()
    on_rows = [change for change in keys if table_of(change) in rows]
    if on_rows:
        return _found("unique-against-data", on_rows)
    return (
        Recognised("same-row-inserted", tuple(sorted(other.rows() & own.rows())))
        if (other.rows() & own.rows())
        else UNCLASSIFIED
    )


def _check(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    words = names_in(encounter.error or "")
    kinds = ("check constraint", "domain constraint")
    checks = [change for side in (other, own) for change in side.made(*kinds)]
    named = [change for change in checks if is_named(change.object, words)]
    rows = other.rows() | own.rows()
    if not named:  # the table's name is all that SQLite says of one without a name
        named = [change for change in checks if table_of(change) in rows]
    return _found("check-against-data", named)


def _foreign_key(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    keys = [change for side in (other, own) for change in side.made("foreign key")]
    if keys:
        return _found("foreign-key-against-data", keys)
    rows = sorted(other.rows() | own.rows())
    return Recognised("foreign-key-against-data", tuple(rows)) if other.rows() else UNCLASSIFIED


def _value(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    enums = other.changed("enum") + other.removed("enum")
    if "enum" in (encounter.error or "") and enums:
        return _found("enum-label-gone", enums)
    retyped = _retyped(other, own)
    touched = {change.object for change in other if change.kind == "column"} & {
        change.object for change in own if change.kind == "column"
    }
    both = [change for change in retyped if change.object in touched]
    if both:
        return _found("type-changed-under-use", both)
    rows = other.rows() | own.rows()
    return _found("type-against-data", [c for c in retyped if table_of(c) in rows])


def _type(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    return _found("type-changed-under-use", _retyped(other, own))


def _retyped(other: Footprint, own: Footprint) -> list[Difference]:
    return [
        change
        for side in (other, own)
        for change in side.changed("column", "domain")
        if _type_of(change.first) != _type_of(change.second)
    ]


def _type_of(text: str | None) -> str:
    return re.split(r" (?:not null|default|generated|collate|null|primary key)\b", (text or "").lower())[0]


def _new_label(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    return _found("enum-label-in-transaction", other.changed("enum"))


def _pending(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    if "pending" not in (encounter.error or "") and not other.rows():
        return UNCLASSIFIED
    words = names_in(encounter.error or "")
    rows = [change for change in other if change.kind == "rows"]
    named = [change for change in rows if is_named(change.object, words)]
    mine = [change for change in own if is_named(table_of(change), words)]
    found = named or rows or mine
    return Recognised("pending-trigger-events", _names(table_of(change) for change in found))


def _limit(encounter: Encounter, other: Footprint, own: Footprint) -> Recognised:
    kinds = ("column", "index", *sorted(CONSTRAINTS))
    tables = {table_of(change) for change in other.made(*kinds)} & {table_of(c) for c in own.made(*kinds)}
    return Recognised("limit-exceeded", _names(tables)) if tables else UNCLASSIFIED


def _found(kind: str, changes: Iterable[Difference]) -> Recognised:
    names = _names(change.object for change in changes)
    return Recognised(kind, names) if names else UNCLASSIFIED


def _names(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))


_RULES: Mapping[Complaint, Callable[[Encounter, Footprint, Footprint], Recognised]] = {
    "exists": _exists,
    "missing": _missing,
    "needed": _needed,
    "second-key": _second_key,
    "partition": _partition,
    "view-columns": _view_columns,
    "return-type": _return_type,
    "not-null": _not_null,
    "unique": _unique,
    "check": _check,
    "foreign-key": _foreign_key,
    "value": _value,
    "type": _type,
    "new-label": _new_label,
    "pending-events": _pending,
    "limit": _limit,
}
