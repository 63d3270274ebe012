"""The one comment, on a GitHub that keeps them; every scenario is run twice."""

from __future__ import annotations

import pytest

from converger.github.comment import decide_comment
from converger.github.commenting import Commented, keep_comment, upsert
from converger.github.failures import NotPermitted
from converger.github.marker import make_marker, read_marker
from converger.report.result import Result
from tests.github.results import conflicting, one_head, result
from tests.github.server.store import ACTIONS_BOT, READ_ONLY, Comment, Token
from tests.github.server.world import TOKEN, World

KEY = "c" * 16


@pytest.fixture
def asked(world: World) -> World:
    world.store.add_pull("feature", "main")
    return world


def run(world: World, found: Result) -> Commented:
    return keep_comment(world.client, 1, lambda existing, me: decide_comment(found, KEY, existing, me))


def twice(world: World, found: Result) -> Commented:
    """The run, and a second one that changes nothing."""
    done = run(world, found)
    before = list(world.github.writes)
    assert run(world, found).change in ("kept", "none")
    assert world.github.writes == before
    return done


def ours(world: World) -> list[Comment]:
    return [one for one in world.store.comments if one.author == ACTIONS_BOT]


@pytest.mark.parametrize("world", ["", "/api/v3"], indirect=True)
@pytest.mark.parametrize("others", [0, 31, 250])
def test_one_comment_however_many_there_are(asked: World, others: int) -> None:
    for number in range(others // 2):
        asked.store.add_comment(1, "alice", f"before {number}")
    first = twice(asked, result())
    assert first.change == "created" and first.url is not None
    for number in range(others - others // 2):
        asked.store.add_comment(1, "alice", f"after {number}")
    assert twice(asked, conflicting()) == Commented("updated", first.url)
    assert len(ours(asked)) == 1 and len(asked.store.comments) == others + 1
    assert twice(asked, one_head()).change == "updated"
    assert len(ours(asked)) == 1


def test_without_a_fork_nothing_is_said(asked: World) -> None:
    assert twice(asked, one_head()) == Commented("none")
    assert asked.store.comments == []


def test_somebody_elses_comment_with_our_marker_is_left_alone(asked: World) -> None:
    forged = f"hello\n{make_marker(KEY, 'x')}\n"
    asked.store.add_comment(1, "mallory", forged)
    asked.store.add_comment(1, None, forged)
    asked.store.add_comment(1, ACTIONS_BOT, f"another action's\n{make_marker('d' * 16, 'x')}\n")
    assert twice(asked, result()).change == "created"
    assert [one.body for one in asked.store.comments][:2] == [forged, forged]
    assert len(ours(asked)) == 2


def test_a_marker_within_somebodys_text_is_none(asked: World) -> None:
    """Text of the repository in another comment of ours, such as another action's under the same login."""
    asked.store.add_comment(1, ACTIONS_BOT, f"{make_marker(KEY, 'x')}\nmore text\n")
    assert twice(asked, result()).change == "created"


def test_github_changes_line_ends(asked: World) -> None:
    run(asked, result())
    ours(asked)[0].body = ours(asked)[0].body.replace("\n", "\r\n").rstrip()
    assert run(asked, result()).change == "kept"


def test_somebody_deletes_it_while_it_is_read(asked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run(asked, result())
    update = asked.client.update_comment

    def deleted(id: int, body: str) -> str:
        asked.store.comments[:] = [one for one in asked.store.comments if one.id != id]
        return update(id, body)

    monkeypatch.setattr(asked.client, "update_comment", deleted)
    assert run(asked, conflicting()).change == "created"
    assert len(ours(asked)) == 1


def test_a_token_that_may_not_comment(asked: World) -> None:
    asked.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    for _ in range(2):
        with pytest.raises(NotPermitted) as error:
            run(asked, result())
        assert error.value.code == "not-permitted"
    assert asked.store.comments == []


def test_a_text_that_is_ready(asked: World) -> None:
    def put(text: str) -> str:
        body = f"{text}\n{make_marker(KEY, text)}\n"
        return keep_comment(asked.client, 1, upsert(KEY, body)).change

    assert [put("one"), put("one"), put("two"), put("two")] == ["created", "kept", "updated", "kept"]
    assert [read_marker(one.body) for one in ours(asked)] == [make_marker(KEY, "two")]


def test_the_longest_comment_that_github_takes(asked: World) -> None:
    body = "😀" * 30_000
    marker = f"\n{make_marker(KEY, 'x')}"
    body += "x" * (65_536 - 60_000 - len(marker)) + marker
    assert keep_comment(asked.client, 1, upsert(KEY, body)).change == "created"
    assert ours(asked)[0].body == body
