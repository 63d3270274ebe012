"""The calls to GitHub, each by itself: what is asked, what an answer means, and that the token stays ours."""

from __future__ import annotations

import logging
import subprocess
import sys
import traceback
from contextlib import closing

import pytest

from converger.errors import ConvergerError
from converger.github.api import GitHub
from converger.github.calling import Patience
from converger.github.client import PyGithubClient
from converger.github.failures import BranchMoved, NotPermitted, failure_of
from converger.github.merged import Entry
from tests.github.server.schema import description
from tests.github.server.store import ACTIONS_BOT, READ_ONLY, Token
from tests.github.server.trim import OPERATIONS
from tests.github.server.world import TOKEN, World

ENTERPRISE = pytest.mark.parametrize("world", ["", "/api/v3"], indirect=True)
AWKWARD = "topic/a#1%2F&=+é"


def client_for(world: World, token: str) -> PyGithubClient:
    return PyGithubClient(
        token, world.store.name, world.github.api_url, Patience(seconds=1, sleep=world.slept.append)
    )


@ENTERPRISE
def test_a_commit_is_made_of_blobs_and_trees(world: World) -> None:
    client: GitHub = world.client
    main = world.tip("main")
    blob = client.add_blob(b"\0binary\xff\n")
    assert world.store.git("cat-file", "blob", blob) == b"\0binary\xff\n"
    entries = [
        Entry("a/b/x.bin", "100644", blob),
        Entry("run.sh", "100755", blob),
        Entry("link", "120000", blob),
        Entry("sub", "160000", "1" * 40),
        Entry("app.py", "100644", None),
    ]
    tree = client.add_tree(world.store.text("rev-parse", f"{main}^{{tree}}"), entries)
    lines = world.store.text("ls-tree", "-r", tree).splitlines()
    assert {line.split("\t")[1]: line.split(" ")[0] for line in lines} == {
        **{name: "100644" for name in world.store.files(main) if name != "app.py"},
        "a/b/x.bin": "100644",
        "run.sh": "100755",
        "link": "120000",
        "sub": "160000",
    }
    commit = client.add_commit("subject\n\nbody é\n", tree, (main, world.tip("feature")))
    assert (commit.tree, commit.parents, commit.verified) == (tree, (main, world.tip("feature")), True)
    assert client.commit(commit.id) == commit
    assert commit.message.strip() == "subject\n\nbody é"


@ENTERPRISE
@pytest.mark.parametrize("branch", ["plain", "alembic-converger/main", AWKWARD])
def test_a_branch_is_created_moved_and_deleted(world: World, branch: str) -> None:
    client = world.client
    main = world.tip("main")
    assert client.tip(branch) is None
    client.create_branch(branch, main)
    assert client.tip(branch) == world.tip(branch) == main
    client.create_branch(branch, main)  # it is as it shall be
    commit = client.add_commit("x", world.store.text("rev-parse", f"{main}^{{tree}}"), (main,))
    client.move_branch(branch, main, commit.id)
    assert world.tip(branch) == commit.id
    with pytest.raises(BranchMoved) as moved:
        client.create_branch(branch, main)
    assert moved.value.tip == commit.id
    client.delete_branch(branch)
    assert world.store.tip(branch) is None
    client.delete_branch(branch)


def test_a_branch_is_not_taken_for_another_that_begins_alike(world: World) -> None:
    world.client.create_branch("main-2", world.tip("feature"))
    assert world.client.tip("mai") is None
    assert world.client.tip("main") == world.tip("main")


def test_a_branch_is_never_forced(world: World) -> None:
    before = world.tip("main")
    with pytest.raises(ConvergerError) as error:
        world.client.move_branch("main", before, world.tip("feature"))
    assert error.value.code == "branch-protected"
    assert "not a fast forward" in error.value.message
    assert world.tip("main") == before


def test_a_branch_that_moved_or_is_gone_is_told_from_one_that_is_protected(world: World) -> None:
    client = world.client
    old = world.tip("feature")
    ours = client.add_commit("ours", world.store.text("rev-parse", f"{old}^{{tree}}"), (old,)).id
    theirs = world.store.commit("feature", {"x": b"x"})
    with pytest.raises(BranchMoved) as moved:
        client.move_branch("feature", old, ours)
    assert moved.value.tip == world.tip("feature") == theirs
    world.store.protected.add("feature")
    ours = client.add_commit("ours", world.store.text("rev-parse", f"{theirs}^{{tree}}"), (theirs,)).id
    with pytest.raises(NotPermitted) as error:
        client.move_branch("feature", theirs, ours)
    assert error.value.code == "branch-protected"
    assert "Changes must be made through a pull request" in error.value.message
    world.store.delete_branch("feature")
    with pytest.raises(BranchMoved) as moved:
        client.move_branch("feature", theirs, ours)
    assert moved.value.tip is None


@ENTERPRISE
@pytest.mark.parametrize("count", [0, 1, 31, 250])
def test_all_comments_are_read(world: World, count: int) -> None:
    world.store.add_pull("feature", "main")
    world.store.add_comment(2, "alice", "of another")
    for number in range(count):
        world.store.add_comment(1, None if number == 3 else "alice", f"comment {number}")
    found = world.client.comments(1)
    assert [one.body for one in found] == [f"comment {number}" for number in range(count)]
    assert {one.author for one in found} <= {"alice", ""}
    pages = [call for call in world.github.calls if call.operation.startswith("GET /issues")]
    assert len(pages) == max(1, -(-count // 100))


@ENTERPRISE
def test_a_comment_is_written_and_changed(world: World) -> None:
    world.store.add_pull("feature", "main")
    url = world.client.create_comment(1, "one\n", lambda existing: None)
    assert url.endswith(f"#issuecomment-{world.store.comments[0].id}")
    assert world.client.update_comment(world.store.comments[0].id, "two\n") == url
    assert [(one.author, one.body) for one in world.store.comments] == [(ACTIONS_BOT, "two\n")]


@ENTERPRISE
def test_a_pull_request_is_opened_changed_and_closed(world: World) -> None:
    client = world.client
    pull = client.create_pull("feature", "main", "Title", "Body")
    assert (pull.number, pull.open, pull.merged, pull.head) == (1, True, False, world.tip("feature"))
    assert client.pulls("feature", "main") == (pull,)
    assert client.pulls("feature", "other") == client.pulls("main", "feature") == ()
    assert client.create_pull("feature", "main", "Again", "Body").number == 1
    client.add_labels(1, ("migrations", "db"))
    changed = client.update_pull(1, title="New", body="")
    assert (changed.title, changed.body, changed.labels) == ("New", "", {"migrations", "db"})
    assert not client.update_pull(1, close=True).open
    second = client.create_pull("feature", "main", "Second", "Body")
    assert [one.number for one in client.pulls("feature", "main")] == [second.number, 1]


@ENTERPRISE
def test_the_commit_that_added_a_file(world: World) -> None:
    first = world.store.commit("feature", {"odd [1].py": b"one\n"})
    world.store.commit("feature", {"odd [1].py": b"two\n"})
    assert world.client.added("odd [1].py", world.tip("feature")) == (first, "GitHub")
    assert world.client.added("odd [1].py", world.tip("main")) is None


def test_the_pull_request_that_brought_a_commit(world: World) -> None:
    pull = world.store.add_pull("feature", "main")
    assert world.client.pull_of(world.tip("feature")) is None, "it has not, yet"
    world.store.merge(pull)
    assert world.client.pull_of(world.tip("feature")) == 1
    assert world.client.pull_of(world.store.text("rev-list", "--max-parents=0", "main")) is None


@ENTERPRISE
@pytest.mark.parametrize("login", [ACTIONS_BOT, "my-app[bot]", "alice"])
def test_who_the_token_writes_as(world: World, login: str) -> None:
    for token in ("ghs_" + "x" * 30, "ghp_" + "y" * 30):
        world.store.tokens[token] = Token(login)
        client = client_for(world, token)
        with closing(client):
            assert client.login() == client.login() == login
    asked = [call.operation for call in world.github.calls]
    assert asked == ["POST /graphql", "GET /user", *(["POST /graphql"] if login != "alice" else [])]


@pytest.mark.parametrize("fault", ["403", "404", "500", "garbage"])
def test_a_server_that_does_not_say_whose_the_token_is(world: World, fault: str) -> None:
    """A guess would be wrong for an app's token, whose comment then is not found and written once more."""
    world.github.fault("POST /graphql", fault, 9)
    with pytest.raises(ConvergerError, match="whose the token is"):
        world.client.login()


# -- what goes wrong -------------------------------------------------------------------------------


def attempt(world: World) -> ConvergerError:
    with pytest.raises(ConvergerError) as error:
        world.client.comments(1)
    return error.value


@pytest.mark.parametrize(
    ("kind", "code", "exit_code"),
    [
        ("401", "token-refused", 2),
        ("403", "not-permitted", 2),
        ("404", "github-not-found", 2),
        ("409", "github-declined", 3),
        ("422", "github-declined", 3),
        ("429", "github-rate-limit", 3),
        ("429-long", "github-rate-limit", 3),
        ("403-rate", "github-rate-limit", 3),
        ("500", "github-unreachable", 3),
        ("502-after", "github-unreachable", 3),
        ("reset", "github-unreachable", 3),
        ("timeout", "github-unreachable", 3),
        ("garbage", "github-unreachable", 3),
        ("cut-off-after", "github-unreachable", 3),
        ("empty", "github-unreachable", 3),
        ("nothing-after", "github-unreachable", 3),
    ],
)
def test_each_failure_has_its_code_and_no_secret(
    world: World, kind: str, code: str, exit_code: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    world.store.add_pull("feature", "main")
    world.github.fault("GET /issues/{issue_number}/comments", kind, times=9)
    error = attempt(world)
    assert (error.code, error.exit_code) == (code, exit_code)
    assert error.message.startswith("reading the comments of #1: ")
    once = kind in ("401", "403", "404", "409", "422", "429-long")
    assert len(world.github.calls) <= 1 if once else len(world.github.calls) == 3
    assert len(world.slept) == (0 if once else 2)
    assert max(world.slept, default=0) < 60
    # Nothing that a traceback, a log or a collector of errors shows has the token.
    assert error.__cause__ is None and error.__context__ is None
    shown = [repr(error), str(error), error.hint or "", *traceback.format_exception(error), *world.said]
    assert not any(TOKEN in text for text in [*shown, caplog.text])


@pytest.mark.parametrize("kind", ["429", "403-rate", "500", "reset", "timeout", "garbage"])
def test_what_passes_is_waited_for_and_said(world: World, kind: str) -> None:
    world.store.add_pull("feature", "main")
    world.store.add_comment(1, "alice", "here")
    world.github.fault("GET /issues/{issue_number}/comments", kind, times=2)
    assert [one.body for one in world.client.comments(1)] == ["here"]
    assert [wait >= 1 for wait in world.slept] == [True, True]
    assert len(world.said) == 2 and all("trying again in" in text for text in world.said)


def test_a_page_in_the_middle_that_fails_loses_no_comment(world: World) -> None:
    world.store.add_pull("feature", "main")
    for number in range(250):
        world.store.add_comment(1, "alice", str(number))
    original = world.github.fault_for
    seen = []

    def second(operation: str) -> str | None:
        seen.append(operation)
        return "502-after" if len(seen) == 2 else original(operation)

    world.github.fault_for = second  # type: ignore[method-assign]
    assert [one.body for one in world.client.comments(1)] == [str(number) for number in range(250)]


def test_a_read_only_token_reads(world: World) -> None:
    world.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    world.store.add_pull("feature", "main")
    client = world.client
    assert client.comments(1) == () and client.tip("main") and len(client.pulls("feature", "main")) == 1
    for write in (
        lambda: client.create_comment(1, "x", lambda existing: None),
        lambda: client.add_blob(b""),
        lambda: client.create_branch("x", world.tip("main")),
        lambda: client.create_pull("feature", "main", "x", "x"),
    ):
        with pytest.raises(NotPermitted) as error:
            write()
        assert error.value.code == "not-permitted"
        assert "permissions" in (error.value.hint or "")
    assert world.github.writes == [] and world.slept == []


def test_the_setting_for_pull_requests_is_named(world: World) -> None:
    world.store.tokens[TOKEN] = Token(may_open_pulls=False)
    with pytest.raises(NotPermitted) as error:
        world.client.create_pull("feature", "main", "x", "x")
    assert error.value.code == "pull-requests-not-permitted"
    assert "Allow GitHub Actions to create and approve pull requests" in (error.value.hint or "")


def test_the_permission_for_workflow_files_is_named() -> None:
    message = (
        "refusing to allow a GitHub App to create or update workflow `x.yml` without `workflows` permission"
    )
    assert failure_of("moving", 403, {"message": message}, {}, 0).error.code == "workflows-not-permitted"


def test_nobody_is_at_the_address(world: World) -> None:
    client = PyGithubClient(
        TOKEN, "octo/shop", "http://127.0.0.1:9", Patience(seconds=1, sleep=world.slept.append)
    )
    with pytest.raises(ConvergerError) as error:
        client.tip("main")
    assert error.value.code == "github-unreachable"


def test_the_token_is_in_no_repr_and_no_environment(world: World) -> None:
    import os

    world.client.tip("main")
    assert TOKEN not in repr(world.client) + repr(world.client._caller)
    assert all(TOKEN not in value for value in os.environ.values())
    # It went where it belongs, and was not asked for in any other way.
    assert world.github.authorizations == {f"token {TOKEN}"}


def test_no_user_file_gives_a_password(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    netrc = tmp_path_factory.mktemp("home") / "netrc"
    netrc.write_text("machine 127.0.0.1 login mallory password other\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert world.client.tip("main") == world.tip("main")
    assert world.github.authorizations == {f"token {TOKEN}"}


def test_pygithub_is_loaded_when_it_is_needed() -> None:
    """A run that finds one head asks for nothing else, and shall be quick."""
    code = (
        "import sys, converger.github.client, converger.github.commit, converger.github.fixrequest\n"
        "import converger.github.commenting, converger.github.merged\n"
        "print(sorted({'github', 'requests', 'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- the description -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["description", "description-ghes"])
def test_the_description_is_githubs_and_is_used(name: str) -> None:
    found = description(name)
    wanted = {(method.upper(), path) for path, methods in OPERATIONS.items() for method in methods}
    assert set(found.operations) == wanted
    operation = found.operation("POST", "/repos/octo/shop/git/refs")
    assert operation is not None
    assert found.request_problems(operation, {}, {"ref": "refs/heads/x", "sha": "1"}) == []
    # A check that finds nothing would be no check.
    assert found.request_problems(operation, {"force": "1"}, None)
    assert found.request_problems(operation, {}, {"ref": "refs/heads/x"})
    assert found.request_problems(operation, {}, {"ref": "refs/heads/x", "sha": 1})
    assert found.request_problems(operation, {}, {"ref": "refs/heads/x", "sha": "1", "forc": True})
    assert found.response_problems(operation, 201, {"ref": "x"})
