"""Recognises an encounter in which both orders succeed and end differently. Pure.

Each difference is held against what either revision alone does to that thing: who makes it, who changes it, and
whose version is there at the end tell how the two met.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from converger.proof.facts import Difference
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
    last_name,
    table_of,
    without_name,
)

_PRIORITY = (
    "session-setting-leaks",
    "generated-constraint-name",
    "enum-label-order",
    "trigger-order",
    "lost-by-table-rebuild",
    "select-star-view",
    "copied-definition",
    "inherited-default",
    "applied-to-what-exists",
    "function-replaced",
    "view-replaced",
    "first-writer-wins",
    "drop-if-exists",
    "grant-and-revoke",
    "last-writer-wins",
    "trigger-on-changed-rows",
    "default-used-by-insert",
    "same-rows-updated",
    "computed-from-changed-rows",
)
"""What is named first where the differences are of several kinds: the cause before its consequences."""


def recognise_difference(encounter: Encounter) -> Recognised:
    """The kind of a difference between the two orders, or UNCLASSIFIED."""
    differing = [one for one in encounter.differences if not one.kind.endswith(" order")]
    found: dict[str, list[str]] = defaultdict(list)
    for name, group in (
        ("session-setting-leaks", _moved(encounter, differing)),
        ("generated-constraint-name", _numbered(differing)),
    ):
        found[name] += [one.object for one in group]
        differing = [one for one in differing if one not in group]
    sides = footprints(encounter)
    for one in differing:
        kind = _kind_of(one, sides)
        if kind is not None:
            found[kind].append(one.object)
    for name in _PRIORITY:
        if found[name]:
            return Recognised(name, tuple(sorted(set(found[name]))))
    return UNCLASSIFIED


def _moved(encounter: Encounter, differing: Sequence[Difference]) -> list[Difference]:
    """What is in one schema in one order and in another schema in the other: only a session's setting does that."""
    if encounter.dialect != "postgresql":
        return []
    here = {(one.kind, _without_schema(one.object)): one for one in differing if one.second is None}
    there = {(one.kind, _without_schema(one.object)): one for one in differing if one.first is None}
    return [one for thing in here.keys() & there.keys() for one in (here[thing], there[thing])]


def _without_schema(name: str) -> str:
    return name.partition(".")[2]


def _numbered(differing: Sequence[Difference]) -> list[Difference]:
    """Constraints and indexes of one table that say the same in both orders, under other names."""
    groups: dict[tuple[str, str], list[Difference]] = defaultdict(list)
    for one in differing:
        if one.kind in CONSTRAINTS or one.kind == "index":
            groups[one.kind, table_of(one)].append(one)
    found = []
    for group in groups.values():
        first = Counter(without_name(one, one.first) for one in group if one.first is not None)
        second = Counter(without_name(one, one.second) for one in group if one.second is not None)
        if first == second:
            found += group
    return found


def _kind_of(one: Difference, sides: tuple[Footprint, Footprint]) -> str | None:
    if one.kind == "rows":
        return _kind_of_rows(one, sides)
    a, b = (side.of(one.kind, one.object) for side in sides)
    if a is not None and b is not None:
        return _both_touch(one, a, b)
    if a is not None:
        return _one_touches(one, a, sides[0], sides[1], after=one.first, before=one.second)
    if b is not None:
        return _one_touches(one, b, sides[1], sides[0], after=one.second, before=one.first)
    return _neither_touches(one, sides)


def _both_touch(one: Difference, a: Difference, b: Difference) -> str | None:
    """`one.first` is what is there when b ran last, `one.second` when a did."""
    if one.kind == "enum" and one.first and one.second and _labels(one.first) == _labels(one.second):
        return "enum-label-order"
    if one.kind.endswith("privileges"):
        return "grant-and-revoke"
    if a.second is None or b.second is None:
        return "drop-if-exists"
    if one.first == a.second and one.second == b.second:
        return "first-writer-wins"
    if b.second == one.first or a.second == one.second:
        if one.kind in ROUTINES:
            return "function-replaced"
        return "view-replaced" if one.kind in VIEWS else "last-writer-wins"
    return None


def _labels(text: str) -> list[str]:
    return sorted(label.strip() for label in text.strip("() ").split(","))


def _one_touches(
    one: Difference,
    change: Difference,
    maker: Footprint,
    other: Footprint,
    *,
    after: str | None,
    before: str | None,
) -> str | None:
    """`after` is what is there when the other ran after the maker, `before` when it ran before."""
    table = table_of(one if one.first or one.second else change)
    if before == change.second:  # what the other does to it, when it finds it
        if one.kind.endswith("privileges"):
            made = change.first is None and any(
                new.object == table for new in maker.added(*sorted(TABLES | VIEWS))
            )
            return "applied-to-what-exists" if made and after is not None else "grant-and-revoke"
        if after is None:
            rebuilt = one.kind not in TABLES and _rebuilds(other, table_of(change))
            return "lost-by-table-rebuild" if rebuilt else "drop-if-exists"
        if one.kind == "trigger":
            return "trigger-order" if other.added("trigger") else None
        return "lost-by-table-rebuild" if _rebuilds(other, table) else "applied-to-what-exists"
    if after != change.second:
        return None
    # What the maker does depends on what the other has done before.
    if before is None and _makes_too(other, table) and _makes_too(maker, table):
        return "first-writer-wins"
    return _depends(one, other)


def _neither_touches(one: Difference, sides: tuple[Footprint, Footprint]) -> str | None:
    """Something that is there only because of both: of what one makes, and the other makes something of."""
    table = table_of(one)
    for maker, other, after, before in (
        (sides[0], sides[1], one.first, one.second),
        (sides[1], sides[0], one.second, one.first),
    ):
        if not any(change.object in (table, one.object) for change in maker.added()):
            continue
        if after is None and before is not None:
            return _depends(one, other)
        if after is not None:
            return "applied-to-what-exists"
    if one.kind.endswith("privileges"):
        return "grant-and-revoke"
    return None


def _depends(one: Difference, other: Footprint) -> str | None:
    """What a new thing took from the other revision, which ran before."""
    columns = [change for change in other if change.kind == "column"]
    if one.kind in VIEWS:
        return "select-star-view" if columns else None
    if one.kind.endswith("privileges"):
        return "inherited-default" if other.made("default privileges") or other.removed() else None
    if one.kind == "column" and any(change.object == table_of(one) for change in other.changed("table")):
        return "inherited-default"
    if any(change.kind == "default privileges" for change in other):
        return "inherited-default"
    names = {last_name(change.object) for change in columns}
    if one.kind == "column" and last_name(one.object) in names:
        return "copied-definition"
    on_tables = [
        c for c in other if c.kind in CONSTRAINTS | {"index", "column comment"} or c.kind == "column"
    ]
    return "copied-definition" if on_tables and one.kind in CONSTRAINTS | {"column", "index"} else None


def _rebuilds(side: Footprint, table: str) -> bool:
    """Whether it changes something else of that table, and so may have built the table anew."""
    kinds = {"column", *CONSTRAINTS}
    return any(change.kind in kinds for change in side.on(table))


def _makes_too(side: Footprint, table: str) -> bool:
    return any(change.object == table for change in side.added(*sorted(TABLES | VIEWS)))


def _kind_of_rows(one: Difference, sides: tuple[Footprint, Footprint]) -> str | None:
    a, b = (side.of("rows", one.object) for side in sides)
    if a is not None and b is not None:
        return "same-rows-updated"
    if a is None and b is None:
        written = sides[0].rows() | sides[1].rows()
        return "computed-from-changed-rows" if written else None
    _writer, other, last = (
        (sides[0], sides[1], one.first) if a is not None else (sides[1], sides[0], one.second)
    )
    change = a or b
    assert change is not None
    if last != change.second:
        return "same-rows-updated"  # the other changes them, when it finds them
    return _why_rows(one.object, other) or ("computed-from-changed-rows" if other.rows() else None)


def _why_rows(table: str, other: Footprint) -> str | None:
    """Why rows that one revision writes come out otherwise after the other."""
    if other.on(table, "trigger", "rule") or any(change.kind in ROUTINES for change in other):
        return "trigger-on-changed-rows"
    if any(_default(change.first) != _default(change.second) for change in other.on(table, "column")):
        return "default-used-by-insert"
    return None


def _default(text: str | None) -> str:
    return (text or "").lower().partition(" default ")[2]
