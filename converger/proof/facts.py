"""What distinguishes one database from another, as facts that can be compared. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Fact:
    """One comparable fact: the thing of this kind and name has this text.

    `kind` is a word or two as a developer says it (`table`, `column`, `index`, `enum`, `function`, `rows`);
    `object` its qualified name (`public.accounts.email`); `text` the rest, normalised (`character
    varying(50) not null`), "exists" where there is no more to say.
    """

    kind: str
    object: str
    text: str


@dataclass(frozen=True)
class Fingerprint:
    """All facts of a database.

    A difference in `facts` is a difference between databases; one in `asides` (the physical order of columns,
    generated keys that nothing refers to) is worth a note only. `shared` is what belongs to the whole server
    (roles, tablespaces).
    """

    facts: frozenset[Fact]
    asides: frozenset[Fact] = frozenset()
    shared: frozenset[Fact] = frozenset()


@dataclass(frozen=True)
class Mask:
    """What differs between two runs of the same order (clock, random ids): not compared.

    Whole things, as (kind, object); columns whose content is noise, as (table, column).
    """

    things: frozenset[tuple[str, str]] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: Mask) -> Mask:
        return Mask(self.things | other.things, self.columns | other.columns)


NO_MASK = Mask()


@dataclass(frozen=True)
class Difference:
    """One thing that differs: its text in the first and in the second database, None where it is missing."""

    kind: str
    object: str
    first: str | None
    second: str | None


@dataclass(frozen=True)
class RowDifference:
    """Rows of one table that are in one of two databases only: some as text, and how many there are.

    `columns` are those whose values, taken as a whole, differ: none where the same values stand in other rows.
    """

    table: str
    columns: tuple[str, ...]
    first: tuple[str, ...]
    second: tuple[str, ...]
    first_count: int
    second_count: int


def differences(
    first: Iterable[Fact], second: Iterable[Fact], mask: Mask = NO_MASK
) -> tuple[Difference, ...]:
    """What is in one of two sets of facts and not in the other, sorted, one for each thing."""
    a, b = frozenset(first), frozenset(second)
    left = {(fact.kind, fact.object): fact.text for fact in a - b}
    right = {(fact.kind, fact.object): fact.text for fact in b - a}
    return tuple(
        Difference(*thing, left.get(thing), right.get(thing))
        for thing in sorted(left.keys() | right.keys())
        if thing not in mask.things
    )
