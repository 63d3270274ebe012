"""The lattice and its squares, over small make-believe databases whose every order can be run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, permutations
from typing import Any

import hypothesis.strategies as st
from hypothesis import given, settings

from converger.proof.facts import Difference, Fact, Fingerprint, Mask, RowDifference
from converger.proof.findings import Done, Findings
from converger.proof.lattice import Lattice, Square, State, Step
from converger.proof.squares import Squares
from converger.proof.upgrade import Failure
from converger.proof.verdict import judge

Rows = tuple[tuple[str, str], ...]
"""A make-believe database: names and what they hold, sorted."""


@dataclass(frozen=True)
class Operation:
    """`add` fails on a name that is there, `drop` and `rename` on one that is not; `set`, `clear` and `append` never."""

    verb: str
    name: str
    value: str = ""

    def on(self, rows: Rows) -> Rows | None:
        data = dict(rows)
        if self.verb == "add":
            if self.name in data:
                return None
            data[self.name] = self.value
        elif self.verb in ("drop", "rename"):
            if self.name not in data:
                return None
            value = data.pop(self.name)
            if self.verb == "rename":
                if self.value in data:
                    return None
                data[self.value] = value
        elif self.verb == "clear":
            data.pop(self.name, None)
        elif self.verb == "append":
            data[self.name] = data.get(self.name, "") + self.value
        else:
            data[self.name] = self.value
        return tuple(sorted(data.items()))


class Model:
    """A laboratory whose databases are values; `noisy` writes something new at each run."""

    def __init__(
        self, operations: Mapping[str, Operation], start: Rows, noisy: frozenset[str] = frozenset()
    ) -> None:
        self.operations = operations
        self.start = start
        self.noisy = noisy
        self.clock = count()
        self.kept = 0
        self.waited = 0
        self.most_kept = 0
        self.runs: list[Step] = []

    def run(self, place: Rows, step: Step, mask: Mask) -> Done[Rows]:
        self.runs.append(step)
        after = self.operations[step.revision].on(place)
        if after is None:
            return Done(step, 0.0, failure=Failure("Error", "no", revision=step.revision))
        if step.revision in self.noisy:
            after = tuple(sorted({**dict(after), f"at {step.revision}": str(next(self.clock))}.items()))
        self.kept += 1
        self.most_kept = max(self.most_kept, self.kept)
        return Done(step, 0.0, place=after, fingerprint=self.read(after, mask))

    def read(self, place: Rows, mask: Mask) -> Fingerprint:
        return Fingerprint(frozenset(Fact("row", name, value) for name, value in place))

    def noise(self, first: Rows, second: Rows, found: Sequence[Difference]) -> Mask:
        return Mask(things=frozenset((one.kind, one.object) for one in found))

    def drop(self, place: Rows) -> None:
        self.kept -= 1

    def rows(
        self, first: Rows, second: Rows, found: Sequence[Difference], mask: Mask
    ) -> tuple[RowDifference, ...]:
        return ()

    def wait(self) -> None:
        self.waited += 1

    def stop(self) -> None:
        raise AssertionError("nothing was wrong")


def chains(*lengths: int) -> dict[str, tuple[str, ...]]:
    """Branches of these lengths: a0 <- a1 …, b0 <- b1 …"""
    return {
        f"{letter}{number}": (f"{letter}{number - 1}",) if number else ()
        for letter, length in zip("abcdef", lengths, strict=False)
        for number in range(length)
    }


def look(needs: Mapping[str, Sequence[str]], laboratory: Model, budget: float = 60.0) -> Findings:
    findings = Squares(Lattice(needs), laboratory, budget=budget).run()
    assert laboratory.kept == 0, "a place was forgotten"
    return findings


def every_order(needs: Mapping[str, Sequence[str]], model: Model) -> set[Rows | None]:
    """Where all orders end; None for one that fails. Brute force."""
    ends: set[Rows | None] = set()
    for order in permutations(needs):
        if any(order.index(parent) > order.index(child) for child in needs for parent in needs[child]):
            continue
        rows: Rows | None = model.start
        for revision in order:
            rows = model.operations[revision].on(rows) if rows is not None else None
        ends.add(rows)
    return ends


NAMES = st.sampled_from(["x", "y", "z"])
OPERATIONS = st.one_of(
    st.builds(Operation, st.sampled_from(["add", "set", "append"]), NAMES, st.sampled_from(["1", "2"])),
    st.builds(Operation, st.sampled_from(["drop", "clear"]), NAMES),
    st.builds(Operation, st.just("rename"), NAMES, NAMES),
)
SHAPES = st.sampled_from([(1, 1), (2, 1), (2, 2), (3, 2), (1, 1, 1), (2, 1, 1)])


@st.composite
def projects(draw: Any) -> tuple[dict[str, tuple[str, ...]], Model]:
    needs = chains(*draw(SHAPES))
    operations = {revision: draw(OPERATIONS) for revision in needs}
    return needs, Model(operations, tuple(sorted(draw(st.dictionaries(NAMES, st.just("0"))).items())))


@settings(max_examples=600, deadline=None)
@given(projects())
def test_no_clash_means_that_every_order_succeeds_and_ends_alike(
    project: tuple[dict[str, tuple[str, ...]], Model],
) -> None:
    needs, model = project
    findings = look(needs, model)
    ends = every_order(needs, model)
    clean = not findings.broken and not findings.clashes
    assert findings.whole
    if clean:
        assert len(ends) == 1
        assert None not in ends
    elif len(ends) == 1 and None not in ends:
        raise AssertionError(f"a false alarm: {findings}")
    assert len(set(model.runs)) == len(model.runs) or not clean or findings.healed, "a step was run twice"


@settings(max_examples=400, deadline=None)
@given(projects())
def test_the_verdict_is_what_all_orders_say(project: tuple[dict[str, tuple[str, ...]], Model]) -> None:
    needs, model = project
    verdict = judge(look(needs, model), ())
    ends = every_order(needs, model)
    alone = [{one: needs[one] for one in needs if one[0] == branch} for branch in {one[0] for one in needs}]
    if any(None in every_order(branch, model) for branch in alone):
        assert verdict == "broken"
    elif None in ends:
        assert verdict == ("neither-order" if ends == {None} else "one-order")
    else:
        assert verdict == ("commute" if len(ends) == 1 else "differ")


def test_a_clash_is_pinned_to_its_pair_and_state() -> None:
    operations = {
        "a0": Operation("set", "p"),
        "a1": Operation("set", "x", "from a"),
        "a2": Operation("set", "q"),
        "b0": Operation("set", "r"),
        "b1": Operation("set", "x", "from b"),
        "b2": Operation("set", "s"),
    }
    findings = look(chains(3, 3), Model(operations, ()))
    (clash,) = findings.clashes
    assert clash.square == Square(frozenset({"a0", "b0"}), ("a1", "b1"))
    assert clash.differences == (Difference("row", "x", "from b", "from a"),)
    assert clash.footprints == (
        (Difference("row", "x", None, "from a"),),
        (Difference("row", "x", None, "from b"),),
    )
    assert (findings.pairs, findings.of, findings.end is not None) == (9, 9, True)


def test_a_failure_in_one_order_only() -> None:
    operations = {
        "a0": Operation("rename", "t", "u"),
        "b0": Operation("set", "v"),
        "b1": Operation("rename", "t", "w"),
        "b2": Operation("rename", "w", "t"),
    }
    findings = look(chains(1, 3), Model(operations, (("t", "0"),)))
    (clash,) = findings.clashes
    assert clash.square == Square(frozenset({"b0"}), ("a0", "b1"))
    # a0 first: then there is no t for b1; b1 first: then there is no t for a0.
    assert [(step.revision, step.state) for step, _ in clash.failed] == [
        ("b1", frozenset({"a0", "b0"})),
        ("a0", frozenset({"b0", "b1"})),
    ]
    assert findings.end is not None, "after b2 there is a t again"


def test_a_branch_that_fails_alone_is_broken() -> None:
    operations = {"a0": Operation("drop", "nothing"), "b0": Operation("set", "x")}
    findings = look(chains(1, 1), Model(operations, ()))
    assert [(step.state, step.revision) for step, _ in findings.broken] == [(frozenset(), "a0")]
    assert not findings.clashes
    assert findings.end is None


def test_noise_is_told_from_a_clash() -> None:
    operations = {"a0": Operation("set", "x", "a"), "b0": Operation("set", "y"), "b1": Operation("set", "z")}
    noisy = Model(operations, (), noisy=frozenset({"a0", "b1"}))
    assert not look(chains(1, 2), noisy).clashes
    operations["b1"] = Operation("set", "x", "b")
    (clash,) = look(chains(1, 2), Model(operations, (), noisy=frozenset({"a0", "b1"}))).clashes
    assert [one.object for one in clash.differences] == ["x"]


def test_a_difference_that_heals_is_no_clash() -> None:
    """a0 takes x away and a1 makes sure of it, as b0 does: in between the orders differ, at the end never."""
    operations = {"a0": Operation("clear", "x"), "a1": Operation("set", "x"), "b0": Operation("set", "x")}
    findings = look(chains(2, 1), Model(operations, ()))
    assert not findings.clashes
    assert [clash.square.revisions for clash in findings.healed] == [("a0", "b0")]


def test_a_failure_on_one_side_of_a_difference_only() -> None:
    """Where b0 ran last there is an x, and b1 works; where a0 ran last there is none, and it fails."""
    operations = {"a0": Operation("clear", "x"), "b0": Operation("set", "x"), "b1": Operation("drop", "x")}
    findings = look(chains(1, 2), Model(operations, ()))
    assert [(step.revision, step.state) for step, _ in findings.strayed] == [("b1", {"a0", "b0"})]
    assert judge(findings, ()) == "one-order"


def test_a_lattice_that_is_too_large_is_looked_at_where_it_matters() -> None:
    needs = chains(14, 14)
    operations = {revision: Operation("set", revision) for revision in needs}
    operations["a9"] = operations["b11"] = Operation("append", "log", "x")
    operations["b11"] = Operation("append", "log", "y")
    model = Model(operations, ())
    findings = look(needs, model)
    assert not findings.whole
    assert 0 < findings.pairs < findings.of == 14 * 14
    (clash,) = findings.clashes
    assert clash.square.revisions == ("a9", "b11")
    assert clash.square.state == Lattice(needs).below("a9") | Lattice(needs).below("b11")
    assert model.most_kept < 60


def test_out_of_time_is_said() -> None:
    needs = chains(2, 2)
    findings = look(
        needs, Model({revision: Operation("set", revision) for revision in needs}, ()), budget=-1.0
    )
    assert (findings.whole, findings.steps, findings.pairs) == (False, (), 0)


def test_dependencies_are_kept() -> None:
    """b0 depends on a0: only b0 and a1 can come in either order."""
    needs = {"a0": (), "a1": ("a0",), "b0": ("a0",)}
    lattice = Lattice(needs)
    assert list(lattice.pairs()) == [Square(frozenset({"a0"}), ("a1", "b0"))]
    states: list[State] = [state for level in lattice.levels(100) for state in level]
    assert set(states) == {
        frozenset(),
        frozenset({"a0"}),
        frozenset({"a0", "a1"}),
        frozenset({"a0", "b0"}),
        lattice.full,
    }
