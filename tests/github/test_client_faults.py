"""Every call to GitHub fails in every way, once and for good: nothing twice, nothing by halves, no false success.

Whatever an attempt left, the next run without a fault ends as if there had been none, and the one after it writes
nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from converger.errors import EXIT_UNEVALUATED, EXIT_USAGE, ConvergerError
from converger.github.commenting import keep_comment, upsert
from converger.github.commit import commit_to_branch
from converger.github.fixrequest import Request, close_request, message_with_trailer, open_request
from converger.github.marker import make_marker
from converger.github.merged import Change, Entry, change_of
from tests.github.server.http import FAULTS
from tests.github.server.store import ACTIONS_BOT, Store
from tests.github.server.world import TOKEN, VERSIONS, World, make_world, revision

BRANCH = "alembic-converger/main"
MERGE = f"{VERSIONS}/merged.py"
REFS, REF = "GET /git/matching-refs/{ref}", "PATCH /git/refs/{ref}"
OBJECTS = ("POST /git/blobs", "POST /git/trees", "POST /git/commits")
COMMENTS = "/issues/{issue_number}/comments"

# What is over at the second attempt.
PASSING = {kind for kind in FAULTS if kind.split("-")[0] not in ("401", "403", "404", "409", "422")} - {
    "429-long"
}
PASSING |= {"403-rate"}
CODES = {
    *("token-refused", "not-permitted", "github-not-found", "github-declined", "branch-protected"),
    *("github-rate-limit", "github-unreachable"),
}


@dataclass(frozen=True)
class Scenario:
    """What is run, with how many operations, and what must be true before and after, and at any time."""

    prepare: Callable[[World], None]
    run: Callable[[World], object]
    done: Callable[[World], bool]
    never_wrong: Callable[[World], bool]


@pytest.fixture(scope="session")
def proposed(repository_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Change:
    """The change for the pull request, found by git once: what is tested here comes after it."""
    world = make_world(repository_template, tmp_path_factory.mktemp("proposed"))
    with world.github:
        return change_of(world.merged(), {MERGE: revision("merged", "ffff", "mmmm")}, "Merge 2 Alembic heads")


# What git made of the template once, for all cases.
CHANGES: dict[str, Change] = {}
TREES: dict[str, tuple[str, str]] = {}


@pytest.fixture(autouse=True)
def _known(proposed: Change, scratch_template: Path) -> None:
    CHANGES["commit"] = proposed
    TREES.update({text: trees(scratch_template, text) for text in ("one", "two")})


@pytest.fixture(scope="session")
def scratch_template(repository_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(repository_template, tmp_path_factory.mktemp("trees") / "octo-shop.git"))


# -- commit ----------------------------------------------------------------------------------------


def run_commit(world: World) -> object:
    change = CHANGES["commit"]
    head = world.tip("feature")

    def propose(at: str) -> Change | None:
        assert at in (change.parents[0], head)
        return change if at == change.parents[0] else None

    return commit_to_branch(world.client, "feature", head, propose)


def committed(world: World) -> bool:
    tip, change = world.tip("feature"), CHANGES["commit"]
    return (world.store.parents(tip), tree_at(world, tip)) == (change.parents, change.tree)


COMMIT = Scenario(
    lambda world: None,
    run_commit,
    committed,
    lambda world: world.tip("feature") == CHANGES["commit"].parents[0] or committed(world),
)


# -- pull request ----------------------------------------------------------------------------------


@cache
def request_for(main: str, base: str, tree: str, text: str) -> Request:
    data = text.encode()
    id = hashlib.sha1(b"blob %d\0%s" % (len(data), data)).hexdigest()
    digest = make_marker("x", text).content
    change = Change(
        (main,),
        base,
        (Entry("merged.py", "100644", id),),
        tree,
        message_with_trailer("m", digest),
        {id: data},
    )
    return Request(BRANCH, "main", change, text, f"{text}\n{make_marker('c' * 16, text)}\n", ("db",))


@cache
def trees(path: Path, text: str) -> tuple[str, str]:
    """The tree of main in the template, and that tree with one file more."""
    store = Store(path)
    id = store.git("hash-object", "-w", "--stdin", input=text.encode()).decode().strip()
    base = store.text("rev-parse", "main^{tree}")
    return base, store.tree(base, [{"path": "merged.py", "mode": "100644", "sha": id}])


def request(world: World, text: str = "one") -> Request:
    return request_for(world.tip("main"), *TREES[text], text)


def tree_at(world: World, commit: str) -> str:
    found = world.store.object(commit)
    assert found is not None
    return found[1].split(b"\n")[0].split(b" ")[1].decode()


def open_pulls(world: World) -> list[tuple[str, str, list[str]]]:
    return [(pull.title, pull.body, pull.labels) for pull in world.store.pulls if pull.open]


def is_open(text: str) -> Callable[[World], bool]:
    def check(world: World) -> bool:
        wanted = request(world, text)
        tip = world.store.tip(BRANCH)
        return (
            tip is not None
            and tree_at(world, tip) == wanted.change.tree
            and open_pulls(world) == [(text, wanted.body, ["db"])]
        )

    return check


def at_most_one(world: World) -> bool:
    return (
        len(open_pulls(world)) <= 1
        and len(world.store.pulls) <= 1
        and world.store.parents(world.tip("main")) != ()
    )


def first_version(world: World) -> None:
    open_request(world.client, request(world))


OPEN = Scenario(
    lambda world: None, lambda world: open_request(world.client, request(world)), is_open("one"), at_most_one
)
RENEW = Scenario(
    first_version,
    lambda world: open_request(world.client, request(world, "two")),
    is_open("two"),
    lambda world: at_most_one(world) and world.store.tip(BRANCH) is not None,
)
CLOSE = Scenario(
    first_version,
    lambda world: close_request(world.client, BRANCH, "main"),
    lambda world: world.store.tip(BRANCH) is None and open_pulls(world) == [],
    at_most_one,
)


# -- comment ---------------------------------------------------------------------------------------


def say(text: str) -> Callable[[World], object]:
    body = f"{text}\n{make_marker('c' * 16, text)}\n"
    return lambda world: keep_comment(world.client, 1, upsert("c" * 16, body))


def said(text: str) -> Callable[[World], bool]:
    def check(world: World) -> bool:
        found = [one.body for one in world.store.comments if one.author == ACTIONS_BOT]
        return len(found) == 1 and found[0].startswith(f"{text}\n")

    return check


def conversation(world: World) -> None:
    world.store.add_pull("feature", "main")
    for number in range(3):
        world.store.add_comment(1, "alice", str(number))


def commented(world: World) -> None:
    conversation(world)
    say("one")(world)


def one_comment(world: World) -> bool:
    return len(world.store.comments) in (3, 4)


SAY = Scenario(conversation, say("one"), said("one"), one_comment)
SAY_AGAIN = Scenario(commented, say("two"), said("two"), one_comment)

CASES: list[tuple[str, Scenario, tuple[str, ...]]] = [
    ("commit", COMMIT, (REFS, *OBJECTS, REF)),
    ("open", OPEN, (REFS, "GET /pulls", *OBJECTS, "POST /git/refs", "POST /pulls")),
    ("renew", RENEW, ("GET /git/commits/{commit_sha}", REF, "PATCH /pulls/{pull_number}")),
    ("close", CLOSE, ("PATCH /pulls/{pull_number}",)),
    ("say", SAY, (f"GET {COMMENTS}", f"POST {COMMENTS}")),
    ("again", SAY_AGAIN, ("PATCH /issues/comments/{comment_id}",)),
]


def check(world: World, scenario: Scenario, operation: str, kind: str, times: int) -> ConvergerError | None:
    scenario.prepare(world)
    world.github.faults.clear()
    world.github.fault(operation, kind, times)
    error: ConvergerError | None = None
    try:
        scenario.run(world)
    except ConvergerError as raised:
        error = raised
        assert raised.code in CODES, raised.code
        assert raised.exit_code in (EXIT_USAGE, EXIT_UNEVALUATED)
        assert raised.message and TOKEN not in f"{raised!r}{raised}{raised.hint}"
        assert raised.__cause__ is None
    else:
        assert scenario.done(world), "said to be done, and is not"
    assert world.github.faults[0].times < times, "the operation was not called"
    assert scenario.never_wrong(world)
    world.github.faults.clear()
    scenario.run(world)
    assert scenario.done(world) and scenario.never_wrong(world)
    before = list(world.github.writes)
    scenario.run(world)
    assert world.github.writes == before
    assert sum(world.slept) <= 60
    return error


# A second of waiting each: once for each kind of call is enough.
QUICK = [kind for kind in FAULTS if not kind.startswith("timeout")]


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("name", [name for name, _, _ in CASES])
def test_a_call_that_fails_once(repository_template: Path, tmp_path: Path, name: str, kind: str) -> None:
    scenario, operations = next(
        (scenario, operations) for found, scenario, operations in CASES if found == name
    )
    for number, operation in enumerate(operations):
        with_world(
            repository_template,
            tmp_path / str(number),
            lambda world, operation=operation: expect(
                check(world, scenario, operation, kind, 1), operation, kind
            ),
        )


def expect(error: ConvergerError | None, operation: str, kind: str) -> None:
    # A comment that is gone is written anew.
    gone = operation.startswith("PATCH /issues/comments") and kind == "404"
    assert (error is None) == (gone or kind in PASSING), (operation, error)


def with_world(template: Path, folder: Path, test: Callable[[World], None]) -> None:
    world = make_world(template, folder)
    with world.github:
        test(world)
        world.client.close()
    assert world.github.violations == []


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("commit", REF),
        ("open", "POST /pulls"),
        ("say", f"POST {COMMENTS}"),
    ],
)
def test_an_answer_that_never_comes(
    repository_template: Path, tmp_path: Path, name: str, operation: str
) -> None:
    scenario = next(scenario for found, scenario, _ in CASES if found == name)
    for number, kind in enumerate(("timeout", "timeout-after")):
        with_world(
            repository_template,
            tmp_path / str(number),
            lambda world, kind=kind: expect(check(world, scenario, operation, kind, 1), operation, kind),
        )


@pytest.mark.parametrize("kind", ["500", "502-after", "reset", "garbage-after"])
@pytest.mark.parametrize("name", [name for name, _, _ in CASES])
def test_a_call_that_always_fails(repository_template: Path, tmp_path: Path, name: str, kind: str) -> None:
    """What was carried out although no answer ever came is found, unless even looking fails."""
    scenario, operations = next(
        (scenario, operations) for found, scenario, operations in CASES if found == name
    )
    found_by_looking = {REF, "POST /git/refs", "POST /pulls", f"POST {COMMENTS}"}

    def once(world: World, operation: str) -> None:
        error = check(world, scenario, operation, kind, 99)
        taken = kind.endswith("-after") and operation in found_by_looking
        assert (error is None) == taken, (operation, error)
        assert error is None or error.code == "github-unreachable"

    for number, operation in enumerate(operations):
        with_world(
            repository_template,
            tmp_path / str(number),
            lambda world, operation=operation: once(world, operation),
        )


@pytest.mark.parametrize("kind", ["500", "403", "422"])
def test_labels_and_branches_hinder_nothing(repository_template: Path, tmp_path: Path, kind: str) -> None:
    for operation, scenario in (
        ("POST /issues/{issue_number}/labels", OPEN),
        ("DELETE /git/refs/{ref}", CLOSE),
    ):

        def once(world: World, operation: str = operation, scenario: Scenario = scenario) -> None:
            scenario.prepare(world)
            world.github.fault(operation, kind, 99)
            done = scenario.run(world)
            assert done.notes, operation  # type: ignore[attr-defined]
            world.github.faults.clear()
            scenario.run(world)
            assert scenario.done(world)

        with_world(repository_template, tmp_path / operation[:4], once)
