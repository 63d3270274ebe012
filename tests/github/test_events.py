"""Every event, mode and standing: what is looked at, and what may be written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from converger.errors import CouldNotEvaluate
from converger.github.events import (
    Branch,
    Decision,
    Evaluate,
    Ignore,
    MergeGroup,
    PullRequest,
    Refuse,
    decide,
    is_own_branch,
    own_branch,
    read_event,
)
from converger.github.settings import read_settings
from tests.github.environment import SHA, environment, settings


def pull(action: str = "synchronize", *, fork: str | None = "octo/shop", **more: Any) -> dict[str, Any]:
    found = {
        "number": 7,
        "state": "open",
        "user": {"login": "bob"},
        "head": {"ref": "feature", "sha": SHA["head"], "repo": {"full_name": fork} if fork else None},
        "base": {"ref": "main", "sha": SHA["base"], "repo": {"full_name": "octo/shop"}},
    }
    return {"action": action, "number": 7, "pull_request": {**found, **more}}


def push(ref: str = "refs/heads/main", **more: Any) -> dict[str, Any]:
    return {"ref": ref, "before": SHA["base"], "after": SHA["pushed"], "deleted": False, **more}


GROUP = {
    "action": "checks_requested",
    "merge_group": {
        "head_sha": SHA["group"],
        "head_ref": "refs/heads/gh-readonly-queue/main/pr-7-x",
        "base_sha": SHA["base"],
        "base_ref": "refs/heads/main",
    },
}
SUBJECT = PullRequest(7, SHA["head"], "feature", "octo/shop", "main", "bob")


def by(actor: str, event: str, payload: dict[str, Any], **inputs: str) -> Decision:
    return decide(payload, read_settings({**environment(event, **inputs), "GITHUB_ACTOR": actor}))


def looks(decision: Decision) -> Evaluate:
    assert isinstance(decision, Evaluate)
    # Whoever may not write is told why, and who may knows where.
    assert (decision.write == "nothing") == (decision.why_not is not None) == (decision.target is None)
    assert (decision.write == "pull-request") == (decision.own_branch is not None)
    return decision


@pytest.mark.parametrize(
    "action", ["opened", "synchronize", "reopened", "edited", "ready_for_review", "labeled"]
)
def test_a_pull_request_of_the_same_repository(action: str) -> None:
    found = looks(decide(pull(action), settings()))
    assert found == Evaluate(SUBJECT, "commit", target="feature", comment_on=7)


def test_a_pull_request_where_commits_are_not_wanted() -> None:
    found = looks(decide(pull(), settings(mode="pull-request")))
    assert (found.write, found.target, found.own_branch) == (
        "pull-request",
        "feature",
        "alembic-converger/feature",
    )
    own = {"head": {**pull()["pull_request"]["head"], "ref": "alembic-converger/main"}}
    found = looks(decide(pull(**own), settings(mode="pull-request")))
    assert found.write == "nothing", "no pull request into the branch of our own pull request"


@pytest.mark.parametrize("mode", ["commit", "pull-request", "check"])
def test_a_fork(mode: str) -> None:
    for name in ("mallory/shop", None):
        found = looks(decide(pull(fork=name), settings(mode=mode)))
        assert found.write == "nothing" and found.from_fork and found.comment_on == 7
        assert isinstance(found.subject, PullRequest) and found.subject.head_repository == name


def test_the_same_repository_by_another_spelling_is_no_fork() -> None:
    assert looks(decide(pull(fork="Octo/Shop"), settings())).write == "commit"


def test_dependabot() -> None:
    """Who caused the run decides about its token, not who opened the pull request."""
    found = looks(by("dependabot[bot]", "pull_request", pull()))
    assert found.write == "nothing" and "Dependabot" in (found.why_not or "") and found.comment_on == 7
    assert looks(by("alice", "pull_request", pull(user={"login": "dependabot[bot]"}))).write == "commit"
    assert looks(by("dependabot[bot]", "push", push(), mode="pull-request")).write == "nothing"


@pytest.mark.parametrize(
    "inputs", [{"mode": "check"}, {"dry_run": "true"}, {"mode": "pull-request", "dry_run": "true"}]
)
def test_asked_to_write_nothing(inputs: dict[str, str]) -> None:
    for decision in (decide(pull(), settings(**inputs)), decide(push(), settings("push", **inputs))):
        assert looks(decision).write == "nothing"


def test_without_a_token() -> None:
    found = looks(decide(pull(), settings(token="")))
    assert (found.write, found.comment_on) == ("nothing", None)
    assert looks(decide(push(), settings("push", token="", mode="pull-request"))).write == "nothing"


def test_comments_can_be_turned_off() -> None:
    found = looks(decide(pull(), settings(comment="false")))
    assert (found.write, found.comment_on) == ("commit", None)


@pytest.mark.parametrize(
    "payload", [pull("closed"), pull("closed", merged=True), pull("labeled", state="closed")]
)
def test_a_closed_pull_request(payload: dict[str, Any]) -> None:
    assert decide(payload, settings()) == Ignore("pull request #7 is closed")


def test_an_account_that_was_deleted() -> None:
    subject = looks(decide(pull(user=None), settings())).subject
    assert isinstance(subject, PullRequest) and subject.author is None


def test_a_push() -> None:
    found = looks(decide(push(), settings("push", mode="pull-request")))
    assert found == Evaluate(
        Branch("main", SHA["pushed"]), "pull-request", target="main", own_branch="alembic-converger/main"
    )
    found = looks(decide(push(), settings("push")))
    assert found.write == "nothing" and "mode: pull-request" in (found.why_not or ""), (
        "never a commit on a branch"
    )
    found = looks(decide(push("refs/heads/alembic-converger/main"), settings("push", mode="pull-request")))
    assert found.write == "nothing"


@pytest.mark.parametrize(
    "payload",
    [push(deleted=True), push(after="0" * 40), push("refs/tags/v1"), push("refs/heads/-x")],
)
def test_a_push_with_nothing_to_look_at(payload: dict[str, Any]) -> None:
    assert isinstance(decide(payload, settings("push")), Ignore)


@pytest.mark.parametrize("event", ["schedule", "workflow_dispatch"])
def test_the_branch_of_the_run(event: str) -> None:
    found = looks(decide({}, settings(event, mode="pull-request")))
    assert found.subject == Branch("main", SHA["pushed"]) and found.own_branch == "alembic-converger/main"
    tag = {**environment(event), "GITHUB_REF": "refs/tags/v1"}
    assert isinstance(decide({}, read_settings(tag)), Ignore)


@pytest.mark.parametrize("mode", ["commit", "pull-request", "check"])
def test_a_merge_group(mode: str) -> None:
    found = looks(decide(GROUP, settings("merge_group", mode=mode)))
    assert found.subject == MergeGroup(SHA["group"], SHA["base"], "main")
    assert found.write == "nothing" and found.comment_on is None
    assert isinstance(decide({**GROUP, "action": "destroyed"}, settings("merge_group")), Ignore)


@pytest.mark.parametrize("mode", ["commit", "pull-request", "check"])
def test_pull_request_target_is_refused(mode: str) -> None:
    """It would run the migrations of whoever opened the pull request with secrets and a token that can write."""
    found = decide(pull(fork="mallory/shop"), settings("pull_request_target", mode=mode))
    assert isinstance(found, Refuse) and "secrets" in found.message and "pull_request" in found.hint
    assert isinstance(decide({}, settings("pull_request_target", skip_validation="true")), Refuse)


@pytest.mark.parametrize(
    "event", ["workflow_run", "issue_comment", "release", "repository_dispatch", "PULL_REQUEST", "x"]
)
def test_any_other_event(event: str) -> None:
    found = decide(pull(), settings(event))
    assert isinstance(found, Ignore) and found.notice


def test_our_own_branches() -> None:
    chosen = settings(branch="fix.{base}/x")
    assert own_branch(chosen, "release/1.0") == "fix.release/1.0/x"
    assert is_own_branch(chosen, "fix.release/1.0/x")
    assert not is_own_branch(chosen, "fixXmain/x") and not is_own_branch(chosen, "fix./x")
    assert is_own_branch(settings(branch="fixed"), "fixed") and not is_own_branch(
        settings(branch="fixed"), "fixe"
    )


def without(payload: dict[str, Any], *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(payload))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return dict(copy)


def with_value(payload: dict[str, Any], value: Any, *path: str) -> dict[str, Any]:
    copy = json.loads(json.dumps(payload))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dict(copy)


@pytest.mark.parametrize(
    ("event", "payload"),
    [
        ("pull_request", {}),
        ("pull_request", without(pull(), "pull_request", "number")),
        ("pull_request", with_value(pull(), True, "pull_request", "number")),
        ("pull_request", without(pull(), "pull_request", "head")),
        ("pull_request", without(pull(), "pull_request", "head", "sha")),
        ("pull_request", with_value(pull(), "HEAD", "pull_request", "head", "sha")),
        ("pull_request", with_value(pull(), "--upload-pack=x", "pull_request", "base", "ref")),
        ("pull_request", with_value(pull(), "a..b", "pull_request", "head", "ref")),
        ("push", {}),
        ("push", without(push(), "after")),
        ("push", push(after="x")),
        ("merge_group", {}),
        ("merge_group", with_value(GROUP, "x", "merge_group", "head_sha")),
        ("merge_group", with_value(GROUP, "refs/heads/-x", "merge_group", "base_ref")),
    ],
)
def test_a_payload_that_cannot_be_read_is_not_fine(event: str, payload: dict[str, Any]) -> None:
    with pytest.raises(CouldNotEvaluate) as caught:
        decide(payload, settings(event))
    assert caught.value.code == "unreadable-event"


@pytest.mark.parametrize("data", [b"", b"x", b"[]", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_event(data: bytes) -> None:
    with pytest.raises(CouldNotEvaluate) as caught:
        read_event(data)
    assert caught.value.code == "unreadable-event"
    assert read_event(b'{"a": 1}') == {"a": 1}
