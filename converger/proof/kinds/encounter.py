"""Two revisions that met in one state and did not get along: everything that a kind is recognised by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from converger.proof.facts import Difference

CONSTRAINTS = frozenset(
    ("primary key", "unique constraint", "foreign key", "check constraint", "exclusion constraint")
)
TABLES = frozenset(("table", "foreign table", "virtual table", "versioned table"))
VIEWS = frozenset(("view", "materialized view"))
ROUTINES = frozenset(("function", "procedure", "aggregate"))

_IN_A_TABLE = CONSTRAINTS | {
    "column",
    "column comment",
    "column privileges",
    "not null constraint",
    "policy",
    "rule",
    "trigger",
    *(f"{kind} comment" for kind in (*CONSTRAINTS, "policy", "rule", "trigger")),
}
_NAME = re.compile(r"[^\W\d]\w*(?:\$\w*)*")
_ON = re.compile(r'\bon\s+(?:only\s+)?((?:"[^"]+"|`[^`]+`|[\w$]+)(?:\.(?:"[^"]+"|`[^`]+`|[\w$]+))*)', re.I)


@dataclass(frozen=True)
class Encounter:
    """Two revisions in one state, of which the second failed after the first, or whose two orders end differently.

    `error` is what the database said when `revisions[1]` ran after `revisions[0]`, with `sqlstate` (its
    five-character code), `exception` (the driver's class) and `statement` as far as they are known; None where
    both orders succeed. `differences` then has the order of `revisions` first and the opposite one second.
    `footprints` is what each of `revisions` alone changes in that state: before, after.
    """

    dialect: str
    revisions: tuple[str, str]
    footprints: tuple[tuple[Difference, ...], tuple[Difference, ...]] = ((), ())
    differences: tuple[Difference, ...] = ()
    error: str | None = None
    sqlstate: str | None = None
    exception: str | None = None
    statement: str | None = None


@dataclass(frozen=True)
class Recognised:
    """The name of a kind, and the objects that it is about, by qualified name."""

    kind: str
    objects: tuple[str, ...] = ()


UNCLASSIFIED = Recognised("unclassified")


class Footprint:
    """What one revision alone changes, to be asked."""

    def __init__(self, changes: Iterable[Difference]) -> None:
        self._changes = tuple(changes)
        self._by_thing = {(change.kind, change.object): change for change in self._changes}

    def __iter__(self) -> Iterator[Difference]:
        return iter(self._changes)

    def of(self, kind: str, thing: str) -> Difference | None:
        """The change of one thing."""
        return self._by_thing.get((kind, thing))

    def added(self, *kinds: str) -> list[Difference]:
        """What is there afterwards only; of these kinds, or of any."""
        return [change for change in self._of(kinds) if change.first is None]

    def removed(self, *kinds: str) -> list[Difference]:
        """What was there before only."""
        return [change for change in self._of(kinds) if change.second is None]

    def changed(self, *kinds: str) -> list[Difference]:
        """What was there before, and is another afterwards."""
        return [
            change for change in self._of(kinds) if change.first is not None and change.second is not None
        ]

    def made(self, *kinds: str) -> list[Difference]:
        """What is new or another afterwards."""
        return [change for change in self._of(kinds) if change.second is not None]

    def rows(self) -> frozenset[str]:
        """The tables whose rows it changes."""
        return frozenset(change.object for change in self._of(("rows",)))

    def on(self, table: str, *kinds: str) -> list[Difference]:
        """What belongs to a table, and the table itself."""
        return [change for change in self._of(kinds) if table_of(change) == table]

    def renamed(self, gone: Difference) -> Difference | None:
        """What a thing that is gone is called now, where it was renamed or moved and not dropped."""
        for new in self.added(gone.kind):
            if gone.kind in TABLES:
                if new.second == gone.first and self._columns(gone, 0) == self._columns(new, 1):
                    return new
            elif _nameless(new.second, new.object) == _nameless(gone.first, gone.object) and (
                gone.kind not in _IN_A_TABLE or table_of(new) == table_of(gone)
            ):
                return new
        return None

    def _columns(self, table: Difference, after: int) -> set[tuple[str, str | None]]:
        return {
            (last_name(change.object), change.second if after else change.first)
            for change in (self.added("column") if after else self.removed("column"))
            if table_of(change) == table.object
        }

    def _of(self, kinds: tuple[str, ...]) -> list[Difference]:
        return [change for change in self._changes if not kinds or change.kind in kinds]


def footprints(encounter: Encounter) -> tuple[Footprint, Footprint]:
    """What each of the two revisions alone changes."""
    first, second = encounter.footprints
    return Footprint(first), Footprint(second)


def last_name(thing: str) -> str:
    """The name without what it is in: `email` of `public.accounts.email`; of a function without its arguments."""
    return thing.partition("(")[0].rpartition(".")[2]


def names_in(text: str) -> frozenset[str]:
    """The words of a message that may be names, in whatever quotes, in lower case."""
    return frozenset(name.lower() for name in _NAME.findall(text))


def is_named(thing: str, words: frozenset[str]) -> bool:
    """Whether a text with these words has the last name of the thing; names of several words need each."""
    parts = _NAME.findall(last_name(thing))
    return bool(parts) and all(part.lower() in words for part in parts)


def table_of(change: Difference) -> str:
    """The table (or view) that a thing belongs to, by qualified name; the thing itself where it is in none."""
    if change.kind in _IN_A_TABLE:
        parent, dot, _ = change.object.partition(" ")[0].rpartition(".")
        # SQLite: the object of a constraint without a name is the table, or the table and what it says.
        if change.kind in CONSTRAINTS and (" " in change.object or not dot):
            return change.object.partition(" ")[0]
        if dot:
            return parent
    if change.kind in ("index", "trigger"):
        text = change.second or change.first or ""
        found = _ON.search(text)
        if found:
            return re.sub('["`]', "", found.group(1))
    return change.object


def without_name(change: Difference, text: str | None) -> str | None:
    """A text without the thing's own name in it: what is left says the same whatever the thing is called."""
    return _nameless(text, change.object)


def _nameless(text: str | None, thing: str) -> str | None:
    if text is None:
        return None
    return re.sub(rf'(?<![\w$])["`]?{re.escape(last_name(thing))}["`]?(?![\w$])', "?", text)
