"""The whole flow with a fault at each of its requests, of git and of the API: once, and for good.

Whatever fails: nothing twice, nothing by halves, no success that is none, one message; and the next run without a
fault ends where a run without any would have. A part of all combinations is run here, in which each operation meets
each class of faults; `pytest -m heavy` runs all of them. What git finds is remembered, but where the fault is one of
finding it.
"""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from converger.github.evaluate import Evaluation, Evaluator
from converger.github.marker import read_marker
from converger.github.merged import Merged
from converger.github.repository import ScratchRepository
from converger.github.settings import Settings
from tests.github.running import EMAIL, VERSIONS, Job, Ran, start
from tests.github.server.http import FAULTS, GIT_FAULTS, FaultAt
from tests.github.server.store import Comment, PullRequest, Store, Token
from tests.github.server.world import TOKEN, graph_of, make_world

APP = "converger-app[bot]"
NOTHING = "nothing-after"
PULL_REQUEST = {"mode": "pull-request", "labels": "db, ci"}


@dataclass(frozen=True)
class Scenario:
    """What is there, the run, and what a run without faults does: its exit code, and whether it makes a branch move.

    `tidies`: what it writes is wanted, but nothing is broken without it, so that a warning is enough.
    """

    prepare: Callable[[Job], None]
    event: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    code: int = 0
    writes: bool = False
    tidies: bool = False
    login: str = APP

    def run(self, job: Job) -> Ran:
        payload = job.push() if self.event == "push" else job.pull()
        return job.run(self.event, payload, skip_validation="true", **self.inputs)


def fork_of_heads(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    job.pull()
    for number in range(2):
        job.store.add_comment(1, "alice", f"comment {number}")


def forked_main(job: Job) -> None:
    job.sql("main", "aaaa0001", "base0001", EMAIL)


def proposed(job: Job) -> None:
    forked_main(job)
    assert job.run("push", job.push(), skip_validation="true", **PULL_REQUEST).code == 0


def outdated(job: Job) -> None:
    proposed(job)
    job.sql("main", "cccc0001", "base0001")


def declined_before(job: Job) -> None:
    """A person closed our pull request; since then there are other heads."""
    proposed(job)
    job.store.close(job.store.pulls[0])
    job.sql("main", "cccc0001", "base0001")


def needed_no_more(job: Job) -> None:
    proposed(job)
    job.sql("main", "byhand01", ("aaaa0001", "bbbb0001"))


def told(job: Job) -> None:
    """Our comment is there, in mode: check, and the fork is another one by now."""
    fork_of_heads(job)
    assert job.run("pull_request", job.pull(), skip_validation="true", mode="check").code == 1
    job.sql("feature", "dddd0001", "aaaa0001")


def gone(job: Job) -> None:
    told(job)
    job.store.git("update-ref", "refs/heads/feature", job.world.tip("main"))
    job.store.commit("feature", {"app.py": b"two\n"})


def with_a_full_checkout(job: Job) -> None:
    job.store.merge(other_pull(job))
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    job.store.add_pull("feature", "main")
    clone = ["git", "clone", "-q", str(job.store.path), str(job.folder / "workspace")]
    subprocess.run(clone, check=True, capture_output=True)


def other_pull(job: Job) -> PullRequest:
    job.store.git("update-ref", "refs/heads/other", job.world.tip("main"))
    job.sql("other", "cccc0001", "bbbb0001")
    return job.store.add_pull("other", "main")


SCENARIOS = {
    "commit": Scenario(fork_of_heads, "pull_request", writes=True),
    "open": Scenario(forked_main, "push", PULL_REQUEST, writes=True),
    "renew": Scenario(outdated, "push", PULL_REQUEST, writes=True),
    "open again": Scenario(declined_before, "push", PULL_REQUEST, writes=True),
    "close": Scenario(needed_no_more, "push", PULL_REQUEST, tidies=True),
    "say": Scenario(
        with_a_full_checkout, "pull_request", {"mode": "check"}, code=1, login="github-actions[bot]"
    ),
    "say anew": Scenario(told, "pull_request", {"mode": "check"}, code=1),
    "resolved": Scenario(gone, "pull_request", {"mode": "check"}),
}


# -- a world, ready to be copied -------------------------------------------------------------------


@dataclass(frozen=True)
class State:
    """What there is at GitHub, without what differs from run to run.

    A branch by its tree, its parents and its heads; a comment by its author and its lines.
    """

    branches: Mapping[str, tuple[object, ...]]
    comments: tuple[tuple[str | None, tuple[str, ...]], ...]
    pulls: tuple[tuple[str, str, bool, str, str, tuple[str, ...]], ...]

    @property
    def others(self) -> list[object]:
        return [one for one in self.comments if one[0] == "alice"]


# A tree is what it is in every repository.
HEADS: dict[str, tuple[str, ...]] = {}


def state_of(store: Store) -> State:
    there, branches = store.branches(), {}
    for name, id in there.items():
        tree = store.tree_of(id)
        if tree not in HEADS:
            HEADS[tree] = graph_of(store.path, tree).heads
        branches[name] = (tree, store.parents(id), HEADS[tree])
    comments = tuple((one.author, lines_of(one.body, there)) for one in store.comments)
    pulls = tuple(
        (one.branch, one.base, one.open, one.title, str(read_marker(one.body)), tuple(one.labels))
        for one in store.pulls
    )
    return State(branches, comments, pulls)


def lines_of(body: str, branches: Mapping[str, str]) -> tuple[str, ...]:
    """A text without what differs from run to run: the server's port, commits, and with them the marker."""
    text = re.sub(r"(http://127\.0\.0\.1):\d+", r"\1", body)
    for name, id in branches.items():
        text = text.replace(id, name).replace(id[:8], name)
    return tuple(line for line in text.splitlines() if not line.startswith("<!--"))


@dataclass
class Prepared:
    """A scenario, ready to be run; and what there is before, after a run without faults, and after a second one."""

    name: str
    scenario: Scenario
    folder: Path
    comments: list[Comment]
    pulls: list[PullRequest]
    ids: int
    before: State
    after: State
    settled: State
    requests: list[str]

    @contextmanager
    def job(self, folder: Path) -> Iterator[Job]:
        """A copy of all that."""
        world = make_world(self.folder / "octo-shop.git", folder)
        workspace = self.folder / "workspace"
        if workspace.is_dir():
            shutil.copytree(workspace, folder / "workspace")
        store = world.store
        store.tokens[TOKEN] = Token(self.scenario.login)
        store.comments, store.pulls = copy.deepcopy((self.comments, self.pulls))
        store.ids_from(self.ids)
        with world.github:
            yield Job(world, folder)
            world.client.close()
        assert world.github.violations == []


def prepare(name: str, folder: Path, memory: Memory) -> Prepared:
    scenario = SCENARIOS[name]
    memory.scenario, memory.on = name, True
    store = Store(folder / "start" / "octo-shop.git")
    store.initialise()
    start(folder / "start", store)
    world = make_world(store.path, folder)
    store = world.store
    store.tokens[TOKEN] = Token(scenario.login)
    with world.github:
        scenario.prepare(Job(world, folder))
        before = state_of(store)
    made = Prepared(
        name, scenario, folder, store.comments, store.pulls, store.next_id(), before, before, before, []
    )
    with made.job(folder / "clean") as job:
        ran = scenario.run(job)
        assert ran.code == scenario.code and not ran.commands("warning"), ran.log
        made.requests = list(job.world.github.requests)
        assert is_finding(made.requests[0]) or is_finding(made.requests[1])
        made.after = state_of(job.store)
        scenario.run(job)
        made.settled = state_of(job.store)
        writes = list(job.world.github.writes)
        scenario.run(job)
        assert job.world.github.writes == writes
        changed = {name for name, found in made.after.branches.items() if before.branches.get(name) != found}
        assert bool(changed) == scenario.writes
        for name in changed:
            check_complete(job.store, name)
    return made


def check_complete(store: Store, branch: str) -> None:
    """The branch has all that it is made of, unchanged, and more revisions, by which there is one head."""
    tip = store.tip(branch)
    assert tip is not None and store.is_ancestor("main", tip)
    sides = store.parents(tip) if branch == "feature" else ("main",)
    wanted = {path: data for side in sides for path, data in store.files(side).items()}
    found = store.files(tip)
    assert found.items() >= wanted.items() and len(found) > len(wanted)
    assert all(path.startswith(VERSIONS) for path in set(found) - set(wanted))
    assert len(graph_of(store.path, tip).heads) == 1


@dataclass
class Memory:
    """What was found for the branches of a scenario, for runs that look at the same ones.

    All scenarios are about main and feature as they are: nothing else decides what is found. With `on` nothing is asked
    of git or GitHub a second time. The folders of what was found end with `keep`.
    """

    keep: ExitStack
    on: bool = True
    scenario: str = ""
    known: dict[str, Evaluation] = field(default_factory=dict)

    def evaluator(self, settings: Settings, *more: Any) -> Evaluator:
        """In the place of `Evaluator`."""
        return Remembering(settings, *more, memory=self) if self.on else Evaluator(settings, *more)


@dataclass(frozen=True)
class Remembering(Evaluator):
    memory: Memory = field(kw_only=True)

    @contextmanager
    def look(self, bring: Callable[[ScratchRepository], Merged]) -> Iterator[Evaluation]:
        memory = self.memory
        store = Store(Path(self.settings.runner.workspace).parent / "octo-shop.git")
        key = f"{memory.scenario} {store.tip('main')} {store.tip('feature')}"
        if key not in memory.known:
            memory.known[key] = memory.keep.enter_context(super().look(bring))
        yield memory.known[key]


# -- what must be true -----------------------------------------------------------------------------


def check_fault(made: Prepared, folder: Path, at: FaultAt, memory: Memory, *, settle: bool) -> None:
    """A run with a fault, and one without; to `settle` also a third one, and a fourth, which writes nothing."""
    finding = is_finding(made.requests[at.number])
    memory.scenario, memory.on = made.name, not finding
    if memory.on:
        # Those requests are not made now.
        at = replace(at, number=sum(not is_finding(one) for one in made.requests[: at.number]))
    with made.job(folder) as job:
        job.impatient = at.kind.startswith("timeout")
        github = job.world.github
        github.fault_at = at
        ran = made.scenario.run(job)
        assert len(github.requests) > at.number, "the request was not made"
        check_honest(made, job, ran, finding=finding)
        middle = state_of(job.store)
        check_not_wrong(made, middle)
        if is_passing(at, finding):
            assert (ran.code, middle) == (made.scenario.code, made.after), "over at the second attempt"
        github.fault_at, job.impatient = None, False
        memory.on = True
        again = made.scenario.run(job)
        assert again.code == made.scenario.code, again.log
        last = state_of(job.store)
        check_right(made, middle, last)
        if settle:
            made.scenario.run(job)
            before = list(github.writes)
            made.scenario.run(job)
            assert github.writes == before
            check_right(made, middle, state_of(job.store))


def check_honest(made: Prepared, job: Job, ran: Ran, *, finding: bool) -> None:
    """What the run says is so."""
    scenario = made.scenario
    state = state_of(job.store)
    text = "\n".join(ran.log)
    assert ran.code in (0, 1, 2, 3) and "Traceback" not in text and "internal error" not in text, text
    assert ran.summary, "nothing in the summary"
    messages = [line for line in ran.commands("error") if "file=" not in line]
    asides = ran.commands("warning") + ran.commands("notice")
    assert len(messages) == (0 if ran.code == 0 else 1), messages
    assert len(asides) <= 2, asides
    if ran.code == 0:
        assert scenario.code == 0
        assert state.branches == made.after.branches or (scenario.tidies and asides), "done, and is not"
        # Who brought a head may not be said; all the rest must be.
        complete = state == made.after or finding
        assert complete or asides, "not all was done, and nothing says so"
    status = ran.outputs.get("status")
    assert status in ("merged", "would-merge", "converged", "unevaluated"), status
    assert (status == "unevaluated") <= (ran.code in (2, 3))
    assert status != "converged" or ran.code == 0
    if status == "merged":
        assert scenario.writes and state.branches == made.after.branches
    if ran.outputs["commit-sha"]:
        assert job.store.tip(ran.outputs["branch"]) == ran.outputs["commit-sha"]
        assert state.branches == made.after.branches
    assert sum(job.world.slept) <= 400, "waits without an end"


def check_not_wrong(made: Prepared, found: State) -> None:
    """Each part is as it was or as it shall be; nothing is there twice."""
    before, after = made.before, made.after
    for name in {*found.branches, *before.branches, *after.branches}:
        allowed = [state.branches.get(name) for state in (before, after)]
        assert found.branches.get(name) in allowed, f"{name} is something else"
    assert found.others == before.others and len(found.comments) - len(found.others) <= 1, found.comments
    assert len(before.pulls) <= len(found.pulls) <= len(after.pulls)
    for number, pull in enumerate(found.pulls):
        then = [state.pulls[number] for state in (before, after) if number < len(state.pulls)]
        for part in range(5):
            assert pull[part] in [one[part] for one in then], (pull, then)
        assert set(pull[5]) <= {label for one in then for label in one[5]}


def check_right(made: Prepared, middle: State, last: State) -> None:
    """All is as after a run without faults, or after two."""
    assert last.branches == made.after.branches
    assert last.pulls == made.after.pulls
    allowed = [made.after.comments, made.settled.comments]
    if made.scenario.writes and middle.branches == made.after.branches:
        # The commit was written and the comment was not: there is nothing to be told any more.
        allowed.append(made.before.comments)
    assert last.comments in allowed


# -- which of them ---------------------------------------------------------------------------------


def is_finding(operation: str) -> bool:
    """Whether a request is made to find out what there is to be merged."""
    return operation.startswith(("GIT", "GET /commits"))


def kinds_for(operation: str) -> tuple[str, ...]:
    if operation.startswith("GIT"):
        return GIT_FAULTS
    # What only reads is the same before and after; no answer at all there is only after.
    reads = operation.startswith("GET")
    return tuple(kind for kind in FAULTS if not (reads and kind.endswith("-after")) or kind == NOTHING)


def all_of(requests: list[str]) -> list[FaultAt]:
    return [
        FaultAt(number, kind, for_good)
        for number, operation in enumerate(requests)
        for kind in kinds_for(operation)
        for for_good in (False, True)
    ]


def is_passing(at: FaultAt, finding: bool) -> bool:
    """Whether it is over when the request is made once more."""
    over = (
        "429",
        "403-rate",
        "500",
        "502",
        "502-after",
        "reset",
        "timeout",
        "cut-off",
        "empty",
        "nothing",
        "garbage",
    )
    kind = at.kind if at.kind in over else at.kind.removesuffix("-after")
    # Of git, garbage may say that there is no such branch.
    return not at.for_good and kind in over and not (finding and kind == "garbage")


# The kinds of a class differ little.
CLASSES: tuple[tuple[str, ...], ...] = (
    *(("401",), ("403",), ("404",), ("409",), ("422",), ("429", "429-long", "403-rate"), ("500", "502")),
    *(("502-after",), ("reset", "reset-after"), ("timeout", "timeout-after")),
    *(("garbage", "garbage-after", "cut-off", "cut-off-after"), ("empty", "nothing-after")),
)


def some_of(prepared: Mapping[str, Prepared]) -> dict[str, list[FaultAt]]:
    """A part of them all: each operation with each class of faults, in turn once and for good.

    Of finding what there is, only some: for git test_run_fetching.py has them, and the rest may fail as it likes. Nor is
    each read waited for in vain, which takes the longest. An empty answer that is taken for an empty list is no error
    anywhere but where something is there: each read gets one.
    """
    places: dict[str, list[tuple[str, int]]] = {}
    for name, made in prepared.items():
        for number, operation in enumerate(made.requests):
            places.setdefault(operation, []).append((name, number))
    chosen: dict[str, list[FaultAt]] = {name: [] for name in prepared}
    for turn, (operation, where) in enumerate(places.items()):
        kinds = kinds_for(operation)
        for number, members in enumerate(CLASSES[:: 6 if is_finding(operation) else 1]):
            name, request = where[(turn + number) % len(where)]
            possible = [
                kind
                for kind in members
                if kind in kinds and not (operation.startswith("GET") and kind in ("409", "timeout", NOTHING))
            ]
            if possible:
                kind = possible[turn % len(possible)]
                for_good = (turn + number) % 2 == 1 and not kind.startswith("timeout")
                chosen[name].append(FaultAt(request, kind, for_good))
        if operation.startswith("GET") and not is_finding(operation):
            for name, request in where:
                chosen[name].append(FaultAt(request, NOTHING))
    return chosen


def run_them(
    made: Prepared, folder: Path, faults: list[FaultAt], memory: Memory, *, settle: bool = False
) -> list[str]:
    """Each in a copy of its own; gives what is wrong."""
    wrong = []
    for number, at in enumerate(faults):
        place = folder / str(number)
        try:
            check_fault(made, place, at, memory, settle=settle)
        except AssertionError as error:
            name = f"{made.requests[at.number]} ({at.number}), {at.kind}{', for good' if at.for_good else ''}"
            wrong.append(f"{made.name}: {name}: {error}")
        shutil.rmtree(place)
    return wrong


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    with ExitStack() as keep:
        memory = Memory(keep)
        monkeypatch.setattr("converger.github.run.Evaluator", memory.evaluator)
        yield memory


def test_each_request_fails_and_each_fault_happens(tmp_path: Path, memory: Memory) -> None:
    prepared = {name: prepare(name, tmp_path / name, memory) for name in SCENARIOS}
    wrong = [
        one
        for name, faults in some_of(prepared).items()
        for one in run_them(prepared[name], tmp_path / name, faults, memory)
    ]
    assert not wrong, f"{len(wrong)} are wrong:\n" + "\n".join(wrong)


@pytest.mark.heavy
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", SCENARIOS)
def test_every_fault_at_every_request(name: str, tmp_path: Path, memory: Memory) -> None:
    """All of them; and what is there after a third run is left as it is by a fourth."""
    made = prepare(name, tmp_path / "prepared", memory)
    wrong = run_them(made, tmp_path, all_of(made.requests), memory, settle=True)
    assert not wrong, f"{len(wrong)} are wrong:\n" + "\n".join(wrong)
