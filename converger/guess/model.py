"""What a revision does as far as its source says, and what follows from two such readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

Confidence = Literal["likely", "possible"]
"""`likely`: it breaks or differs unless the source misleads. `possible`: it depends on rows, on a guard in the
code, or on the database."""

Verb = Literal["create", "drop", "rename", "alter", "rebuild", "use", "insert", "update", "delete"]

ObjectKind = Literal[
    "table",
    "view",
    "sequence",
    "type",
    "function",
    "schema",
    "extension",
    "column",
    "index",
    "constraint",
    "trigger",
    "policy",
    "label",
    "privilege",
    "rows",
]


class Name(NamedTuple):
    """A name in a schema. `public` is what a name without a schema mostly means, so it is left out."""

    schema: str | None
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def named(name: str, schema: str | None = None) -> Name:
    """A Name; a schema within the text (`billing.invoices`) counts where none is given."""
    if schema is None and "." in name:
        schema, _, name = name.rpartition(".")
    return Name(None if schema in ("public", "") else schema, name)


class Word(NamedTuple):
    """A name that a statement mentions; `qualifier` is the table before it, where the statement says one."""

    qualifier: str | None
    name: str


@dataclass(frozen=True)
class Action:
    """One thing that an upgrade does.

    `owner` is the object itself, or the table or type that the thing named `part` belongs to. `aspect` is which
    property is altered, and `detail` its new value or definition, as text that is equal only where the source
    is. `new` is the name after a rename. `tolerant`: by IF EXISTS or IF NOT EXISTS; `guarded`: under a condition
    that only running would decide. `columns` are the columns that an INSERT or UPDATE writes, or None where that
    is unknown; `words` the names that a statement mentions, `alone` says that it mentions one table only.
    """

    verb: Verb
    kind: ObjectKind
    owner: Name
    part: str = ""
    line: int = 0
    aspect: str = ""
    detail: str = ""
    new: str = ""
    tolerant: bool = False
    guarded: bool = False
    columns: tuple[str, ...] | None = None
    words: frozenset[Word] = frozenset()
    alone: bool = True

    @property
    def object(self) -> str:
        """The qualified name of what this is about."""
        if self.kind == "index":
            return str(Name(self.owner.schema, self.part))
        return f"{self.owner}.{self.part}" if self.part else str(self.owner)


@dataclass(frozen=True)
class Footprint:
    """All that the source of one revision says. `unknown` are the lines of what only running it would tell."""

    actions: tuple[Action, ...] = ()
    unknown: tuple[int, ...] = ()


@dataclass(frozen=True)
class Place:
    """One side of a guess: the revision, and where in it. `path` is as the graph has it, `line` 1-based."""

    revision: str
    path: str
    line: int


@dataclass(frozen=True)
class Guess:
    """A likely clash. `kind` is one of the names that the proof uses for conflicts."""

    kind: str
    confidence: Confidence
    object: str
    places: tuple[Place, Place]
    message: str


@dataclass(frozen=True)
class Guesses:
    """All guesses about a history, sorted. `revisions` were read; of `computed` some or all cannot be known."""

    guesses: tuple[Guess, ...] = ()
    revisions: tuple[str, ...] = ()
    computed: tuple[str, ...] = ()
