"""Runs the steps of the lattice, each once, and compares the two ways around each square.

docs/proof.md says why that is enough, and what is assumed. Nothing here knows of databases: a laboratory does.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic

from converger.outcome import Progress
from converger.proof.facts import NO_MASK, Difference, Fingerprint, Mask, RowDifference, differences
from converger.proof.findings import Above, Clash, Done, Findings, Laboratory, Place, Ran
from converger.proof.lanes import lanes
from converger.proof.lattice import Lattice, Square, State, Step
from converger.proof.upgrade import Failure

MOST_STEPS = 200
"""A lattice of more steps than this is not run whole."""

_KEPT = 32
"""Places that are kept when the lattice is too large to be run level by level."""

_VARIANTS = 8
"""Differences that are followed to the last state, to see whether they stay."""


class Squares(Generic[Place]):
    """One run over the lattice of a line of history."""

    def __init__(
        self,
        lattice: Lattice,
        laboratory: Laboratory[Place],
        *,
        budget: float,
        mask: Mask = NO_MASK,
        progress: Progress | None = None,
    ) -> None:
        """`budget` is the seconds after which no further step is begun; `mask` what is known to be noise."""
        self._progress = progress
        self._total = 0
        self._lattice = lattice
        self._laboratory = laboratory
        self._deadline = time.monotonic() + budget
        self._mask = mask
        self.kept: dict[State, Place] = {}
        """Places that the caller wanted to be kept, and has to drop; as far as they were reached."""
        self.prints: dict[State, Fingerprint] = {}
        """Of every state that was reached, read when it was reached first."""
        self._wanted: frozenset[State] = frozenset()
        self._via: dict[State, str] = {}
        self._places: OrderedDict[State, Place] = OrderedDict()
        self._done: dict[Step, Failure | None] = {}
        self._steps: list[Ran] = []
        self._end: Fingerprint | None = None
        self._stay: set[tuple[str, str]] = set()
        self._variants: list[tuple[frozenset[tuple[str, str]], Place]] = []
        self._clashes: dict[Square, Clash] = {}
        self._broken: list[tuple[Step, Failure]] = []
        self._unsure: dict[Step, Failure] = {}  # of a branch's own: it may work in a variant
        self._astray: dict[Step, Failure] = {}
        self._elsewhere: dict[Step, Failure] = {}  # in variants
        self._worked: set[Step] = set()  # in variants
        self._arrives = False
        self._reported: set[tuple[str, str]] = set()
        self._parted: set[State] = set()
        self._timed: set[str] = set()
        self._asides: dict[Difference, None] = {}
        self._compared: set[Square] = set()

    def run(self, *, keep: Iterable[State] = ()) -> Findings:
        """Run what the budget allows. Raises CouldNotEvaluate as the laboratory does.

        The places in the states of `keep` are left to the caller, in `kept`; that of the start always is.
        """
        began = time.monotonic()
        empty: State = frozenset()
        self._wanted = frozenset(keep) - {empty}
        self.prints[empty] = self._laboratory.read(self._laboratory.start, self._mask)
        self._places[empty] = self._laboratory.start
        try:
            with lanes(self._laboratory.stop) as pool:
                pairs = tuple(self._lattice.pairs())
                steps = self._lattice.steps(MOST_STEPS)
                small = steps is not None
                self._total = len(steps) if steps is not None else MOST_STEPS
                whole = self._run_all(pool) if small else self._run_chosen(pool, pairs)
                strayed = self._all_strayed()
                healed = self._healed([step for step, _ in strayed])
            for state in self._wanted & self._places.keys():
                self.kept[state] = self._places.pop(state)
        finally:
            for state, place in self._places.items():
                if state:
                    self._laboratory.drop(place)
            for _, variant in self._variants:
                self._laboratory.drop(variant)
        return Findings(
            steps=tuple(self._steps),
            pairs=sum(square in self._compared for square in pairs),
            of=len(pairs),
            whole=whole,
            end=self._end,
            mask=self._mask,
            broken=(*self._broken, *(one for one in self._unsure.items() if one[0] not in self._worked)),
            clashes=tuple(clash for clash in self._clashes.values() if clash not in healed),
            healed=healed,
            strayed=strayed,
            arrives=self._end is not None or self._arrives,
            asides=tuple(self._asides),
            shared=differences(self.prints[empty].shared, self._end.shared) if self._end else (),
            seconds=time.monotonic() - began,
        )

    # -- the whole lattice, level by level

    def _run_all(self, pool: ThreadPoolExecutor) -> bool:
        for states in self._lattice.levels(MOST_STEPS):
            work = [
                Step(state, revision)
                for state in states
                if state in self._places
                for revision in self._lattice.next(state)
            ]
            for done in pool.map(self._try, work):
                if done is None:
                    return False  # out of time; what runs already is waited for
                self._take(done)
            for state in states:
                if state == self._lattice.full and state in self._places:
                    self._end = self._laboratory.read(self._places[state], self._mask)
                else:
                    self._forget(state)
        self._compared.update(square for square in self._lattice.pairs())
        return True

    def _try(self, step: Step) -> Done[Place] | None:
        if time.monotonic() > self._deadline:
            return None
        return self._laboratory.run(self._places[step.state], step, self._mask)

    # -- the squares that matter most, in the smallest state of each

    def _run_chosen(self, pool: ThreadPoolExecutor, pairs: Sequence[Square]) -> bool:
        full = self._lattice.full
        for head in [r for r in full if not any(r in self._lattice.below(other) for other in full)]:
            self._reach(self._lattice.below(head) | {head})
        touching = [square for square in pairs if self._touch(*square.revisions)]
        rest = [square for square in pairs if square not in set(touching)]
        for square in (*touching, *rest):
            if time.monotonic() > self._deadline or len(self._done) > MOST_STEPS:
                break
            self._go_around(square, pool)
        return False

    def _touch(self, a: str, b: str) -> bool:
        """Whether two revisions changed the same object, each on its own branch; unknown counts as yes."""
        mine, other = self._own_footprint(a), self._own_footprint(b)
        if mine is None or other is None:
            return True
        return bool({_thing(d.object) for d in mine} & {_thing(d.object) for d in other})

    def _own_footprint(self, revision: str) -> tuple[Difference, ...] | None:
        below = self._lattice.below(revision)
        before, after = self.prints.get(below), self.prints.get(below | {revision})
        return differences(before.facts, after.facts) if before and after else None

    def _go_around(self, square: Square, pool: ThreadPoolExecutor) -> None:
        if self._reach(square.state) is None:
            return
        a, ab, b, ba = square.steps
        for steps in ((a, b), (ab, ba)):
            work = [step for step in steps if step not in self._done and self._reach(step.state) is not None]
            for done in pool.map(self._try, work):
                if done is None:
                    return
                self._take(done)
        self._compared.add(square)
        self._forget(square.result)

    def _reach(self, state: State) -> Place | None:
        """A place in that state, made from the nearest one that is kept; None if a step on the way fails."""
        if state in self._places:
            self._places.move_to_end(state)
            return self._places[state]
        before = [(state - {last}, last) for last in self._lattice.removable(state)]
        known = [pair for pair in before if pair[0] in self._places]
        for smaller, revision in known or before:
            place = self._reach(smaller)
            if place is None:
                continue
            done = self._laboratory.run(place, Step(smaller, revision), self._mask)
            self._take(done)
            if state in self._places:
                return self._places[state]
        return None

    # -- one step

    def _take(self, done: Done[Place]) -> None:
        """Book a step: it failed, leads somewhere new, or must agree with the step that came there before."""
        step, state = done.step, done.step.result
        first = step not in self._done
        self._done[step] = done.failure
        if first:
            self._steps.append(Ran(step, done.seconds, done.failure))
            if self._progress is not None:
                self._progress.step("trying the orders", min(len(self._steps), self._total), self._total)
        if done.failure is not None:
            if first:
                self._book_failure(step, done.failure)
        elif done.place is not None and done.fingerprint is not None:
            if state not in self.prints:
                self._via[state] = step.revision
                self.prints[state] = done.fingerprint
            elif step.revision != self._via[state]:
                if not self._compare(done) and state in self._places:
                    self._laboratory.drop(done.place)
                    return
                if state in self._places:
                    return  # the place goes on as a variant
            self._keep(state, done.place)

    def _keep(self, state: State, place: Place) -> None:
        if state in self._places:
            self._laboratory.drop(place)
            return
        self._places[state] = place
        while len(self._places) > _KEPT and self._lattice.steps(MOST_STEPS) is None:
            oldest = next((other for other in self._places if other and other not in self._wanted), None)
            if oldest is None:
                break
            self._forget(oldest)

    def _forget(self, state: State) -> None:
        if state and state in self._places and state not in self._wanted:
            self._laboratory.drop(self._places.pop(state))

    def _book_failure(self, step: Step, failure: Failure) -> None:
        if step.state == self._lattice.below(step.revision):
            if step.state in self._parted:
                self._unsure[step] = failure
            else:
                self._broken.append((step, failure))
            return
        # First the one that was indeed the last: what is in the others' place may have come by another order.
        last = self._via.get(step.state)
        parted = any(state <= step.state for state in self._parted)
        for other in sorted(self._lattice.removable(step.state), key=lambda other: other != last):
            smaller = Step(step.state - {other}, step.revision)
            # It works without the other one, and fails with it. Where it failed before, that was said.
            if (
                step.revision not in self._lattice.next(smaller.state)
                or self._done.get(smaller, failure) is not None
            ):
                continue
            square = Square(smaller.state, _sorted(other, step.revision))
            if other != last and parted and self._agrees(square):
                self._astray[step] = failure  # it followed from what parted before
                continue
            self._astray.pop(step, None)
            known = self._clashes.get(square)
            failed = (*(known.failed if known else ()), (step, failure))
            self._clashes[square] = Clash(square, failed=failed, footprints=self._footprints(square))
            return

    def _compare(self, done: Done[Place]) -> bool:
        """Hold the end of a step against the end of the step that came there first.

        Whether the step's place is needed further on, as a variant of the state.
        """
        state = done.step.result
        here, there = self.prints[state], done.fingerprint
        place, kept = done.place, self._places.get(state)
        assert there is not None and place is not None
        apart = differences(here.facts, there.facts, self._mask)
        if apart and kept is not None:
            # What was read before may have been read when less was known to be noise.
            here = self._laboratory.read(kept, self._mask)
            there = self._laboratory.read(place, self._mask)
            apart = differences(here.facts, there.facts, self._mask)
        if apart and kept is not None:
            rows_apart = {one.object for one in apart if one.kind == "rows"}
            if rows_apart - self._timed:
                # What a clock wrote is another in a second run, unless that is too soon.
                self._timed |= rows_apart
                self._laboratory.wait()
            again = self._again(state)
            if again is not None:
                found = differences(here.facts, self._laboratory.read(again, self._mask).facts)
                self._mask |= self._laboratory.noise(kept, again, found)
                self._laboratory.drop(again)
            here = self._laboratory.read(kept, self._mask)
            there = self._laboratory.read(place, self._mask)
        first, second = self._via[state], done.step.revision
        square = Square(state - {first, second}, _sorted(first, second))
        # The order of the square's revisions ends with its second one.
        if first == square.revisions[0]:
            here, there = there, here
        self._asides.update(dict.fromkeys(differences(here.asides, there.asides, self._mask)))
        found = differences(here.facts, there.facts, self._mask)
        if not found:
            return False
        things = _things(found)
        # Both places may have parted before, and what did then is under another name since.
        parted = bool(self._parted & {square.state | {revision} for revision in square.revisions})
        self._parted.add(state)
        new = things - self._reported and self._passable(square)
        if new and not (parted and self._agrees(square)):
            rows: tuple[RowDifference, ...] = ()
            if kept is not None:
                ends = (place, kept) if first == square.revisions[0] else (kept, place)
                rows = self._laboratory.rows(*ends, found, self._mask)
            self._clashes[square] = Clash(square, (), found, self._footprints(square), rows)
        self._reported |= things  # what is left of it later has been said
        if state == self._lattice.full or kept is None or len(self._variants) == _VARIANTS:
            self._stay |= things
            return False
        end = self._continued(place, state)
        if end is None:
            self._stay |= things
        else:
            self._variants.append((things, end))
        return True

    def _continued(self, place: Place, state: State) -> Place | None:
        """The place, which is given up, taken on to the last state; None where not every order gets there alike."""
        above = Above(self._laboratory, place, state)
        lattice = self._lattice.above(state)
        squares = Squares(lattice, above, budget=self._deadline - time.monotonic(), mask=self._mask)
        try:
            findings = squares.run(keep=[lattice.full])
        finally:
            self._laboratory.drop(place)
        end = squares.kept.get(lattice.full)
        self._arrives |= findings.arrives
        ran = [(one.step, one.failure) for one in findings.steps]
        for step, failure in (*ran, *findings.strayed):
            step = Step(step.state | state, step.revision)
            if failure is None:
                self._worked.add(step)
            else:
                self._elsewhere.setdefault(step, failure)
        if findings.whole and not findings.broken and not findings.clashes:
            self._mask |= findings.mask
            return end
        if end is not None:
            self._laboratory.drop(end)
        return None

    def _all_strayed(self) -> tuple[tuple[Step, Failure], ...]:
        return (
            *self._astray.items(),
            *((step, failure) for step, failure in self._unsure.items() if step in self._worked),
            *((step, failure) for step, failure in self._elsewhere.items() if self._done.get(step) is None),
        )

    def _healed(self, strayed: Sequence[Step]) -> tuple[Clash, ...]:
        """Clashes whose differences are gone in the last state, whichever way it is reached; all ways get there."""
        end = self._places.get(self._lattice.full)
        if end is None:
            return ()
        here = self._laboratory.read(end, self._mask).facts
        for things, variant in self._variants:
            if differences(here, self._laboratory.read(variant, self._mask).facts, self._mask):
                self._stay |= things
        return tuple(
            clash
            for clash in self._clashes.values()
            if clash.differences
            and not _things(clash.differences) & self._stay
            and not any(clash.square.result <= step.state for step in strayed)
        )

    def _again(self, state: State) -> Place | None:
        """Another place in that state, reached from the start by the same order; the caller drops it."""
        order: list[str] = []
        rest = state
        while rest:
            order.append(self._via[rest])
            rest = rest - {self._via[rest]}
        return self._along(self._laboratory.start, rest, order[::-1])

    def _along(self, start: Place, state: State, order: Sequence[str]) -> Place | None:
        """A place that is reached from one in `state`, which stays as it is; `start` itself if there is no order."""
        place = start
        for number, revision in enumerate(order):
            done = self._laboratory.run(place, Step(state, revision), self._mask)
            if number:
                self._laboratory.drop(place)
            if done.place is None:
                return None
            place, state = done.place, done.step.result
        return place

    def _passable(self, square: Square) -> bool:
        """Whether databases go through the square; where a step fails, the two places came around it."""
        if any(self._done.get(step) is not None for step in square.steps):
            return False
        return square.state in self.prints or not any(clash.failed for clash in self._clashes.values())

    def _agrees(self, square: Square) -> bool:
        """Run both orders from one and the same place: whether they succeed and end alike."""
        below = self._again(square.state)
        if below is None:
            return False
        a, b = (
            self._along(below, square.state, order) for order in (square.revisions, square.revisions[::-1])
        )
        alike = False
        if a is not None and b is not None:
            here, there = (self._laboratory.read(end, self._mask).facts for end in (a, b))
            alike = not differences(here, there, self._mask)
        for end in (a, b, below if square.state else None):
            if end is not None:
                self._laboratory.drop(end)
        return alike

    def _footprints(self, square: Square) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
        before = self.prints.get(square.state)
        found = []
        for revision in square.revisions:
            after = self.prints.get(square.state | {revision})
            found.append(differences(before.facts, after.facts) if before and after else ())
        return found[0], found[1]


def _things(found: Sequence[Difference]) -> frozenset[tuple[str, str]]:
    return frozenset((one.kind, one.object) for one in found)


def _sorted(a: str, b: str) -> tuple[str, str]:
    return (a, b) if a < b else (b, a)


def _thing(name: str) -> str:
    """The table, say, that a fact's qualified name is about: its first two parts."""
    return ".".join(name.split(".")[:2])
