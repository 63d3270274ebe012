"""What the squares need of the outside, and what they find: the data between laboratory, squares and verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from converger.proof.facts import Difference, Fingerprint, Mask, RowDifference
from converger.proof.lattice import Square, State, Step
from converger.proof.upgrade import Failure

Place = TypeVar("Place")


@dataclass(frozen=True)
class Done(Generic[Place]):
    """One step that was run: where it ended, or why it failed."""

    step: Step
    seconds: float
    failure: Failure | None = None
    place: Place | None = field(default=None, compare=False)
    fingerprint: Fingerprint | None = field(default=None, repr=False)


class Laboratory(Protocol[Place]):
    """What the squares need of the outside. A place is a database in a state; `start` is the common ancestor's.

    Methods are called from several threads, and raise CouldNotEvaluate when they cannot look.
    """

    start: Place

    def run(self, place: Place, step: Step, mask: Mask) -> Done[Place]:
        """Apply the step to a copy of the place."""

    def read(self, place: Place, mask: Mask) -> Fingerprint:
        """The facts of a place."""

    def noise(self, first: Place, second: Place, found: Sequence[Difference]) -> Mask:
        """What differs between two places that were reached by the same order."""

    def rows(
        self, first: Place, second: Place, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        """Some of the rows that differ between two places, for a person to read."""

    def drop(self, place: Place) -> None:
        """Give a place up; never fails."""

    def wait(self) -> None:
        """Let the clocks by which rows are written show another time."""

    def stop(self) -> None:
        """End the steps that run: nothing more is to be known."""


@dataclass(frozen=True)
class Clash:
    """Two revisions that interfere in the state of `square`.

    `failed` are steps of the square that failed; else `differences` is what the order of the square's revisions
    gives first, and the opposite order second. `footprints` is what each of them alone changes in that state, () as
    far as it is not known.
    """

    square: Square
    failed: tuple[tuple[Step, Failure], ...] = ()
    differences: tuple[Difference, ...] = ()
    footprints: tuple[tuple[Difference, ...], tuple[Difference, ...]] = ((), ())
    rows: tuple[RowDifference, ...] = ()
    """Some of the rows that differ, for a person to read."""


@dataclass(frozen=True)
class Ran:
    """One step of the evidence."""

    step: Step
    seconds: float
    failure: Failure | None


@dataclass(frozen=True)
class Findings:
    """What the squares showed.

    `broken` are steps that fail on their own branch alone. `pairs` of `of` pairs of revisions were compared;
    `whole` is whether that was done in every state that there is. `end` is what the last state looks like, None
    where no order that was tried gets there; `mask` what is noise.
    """

    steps: tuple[Ran, ...]
    pairs: int
    of: int
    whole: bool
    end: Fingerprint | None
    mask: Mask
    broken: tuple[tuple[Step, Failure], ...] = ()
    clashes: tuple[Clash, ...] = ()
    healed: tuple[Clash, ...] = ()
    """Pairs whose orders differ, until later revisions level that: all databases end alike."""
    strayed: tuple[tuple[Step, Failure], ...] = ()
    """Steps that fail in some databases of their state and work in others: what followed from a difference."""
    arrives: bool = False
    """Whether some order gets to the last state."""
    asides: tuple[Difference, ...] = ()
    shared: tuple[Difference, ...] = ()
    """What the steps changed for the whole server."""
    seconds: float = 0.0


class Above(Generic[Place]):
    """A laboratory in which a state of another one is the start."""

    def __init__(self, laboratory: Laboratory[Place], start: Place, state: State) -> None:
        self.start = start
        self._laboratory = laboratory
        self._state = state

    def run(self, place: Place, step: Step, mask: Mask) -> Done[Place]:
        done = self._laboratory.run(place, Step(step.state | self._state, step.revision), mask)
        return replace(done, step=step)

    def read(self, place: Place, mask: Mask) -> Fingerprint:
        return self._laboratory.read(place, mask)

    def noise(self, first: Place, second: Place, found: Sequence[Difference]) -> Mask:
        return self._laboratory.noise(first, second, found)

    def rows(
        self, first: Place, second: Place, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        return ()  # whatever this finds was explained where it began

    def drop(self, place: Place) -> None:
        self._laboratory.drop(place)

    def wait(self) -> None:
        self._laboratory.wait()

    def stop(self) -> None:
        self._laboratory.stop()
