"""The whole flow for each event and mode: what is written by the first run, and that the next one writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from converger.github.marker import read_marker
from tests.github.running import EMAIL, VERSIONS, Job
from tests.github.server.store import ACTIONS_BOT, READ_ONLY, Token
from tests.github.server.world import TOKEN, graph_of

OWN, OWN_PULL = "alembic-converger/main", "alembic-converger/feature"
BLOB, TREE, COMMIT = "POST /git/blobs", "POST /git/trees", "POST /git/commits"
OBJECTS = (BLOB, TREE, COMMIT)
MOVE, CREATE = "PATCH /git/refs/{ref}", "POST /git/refs"
OPEN, LABEL = "POST /pulls", "POST /issues/{issue_number}/labels"
SAY, SAY_ANEW = "POST /issues/{issue_number}/comments", "PATCH /issues/comments/{comment_id}"
REQUEST = {"mode": "pull-request"}
READS = Token(permissions={"contents": "read", "pull_requests": "write", "issues": "write"})


ENTERPRISE = pytest.mark.parametrize("job", ["", "/api/v3"], indirect=True)


def heads(job: Job, treeish: str) -> tuple[str, ...]:
    return graph_of(job.store.path, treeish).heads


# -- what there is ---------------------------------------------------------------------------------


def nothing(job: Job) -> None:
    pass


def forked(job: Job) -> None:
    """By the pull request."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)


def forked_main(job: Job) -> None:
    job.sql("main", "aaaa0001", "base0001", EMAIL)


def both_on_the_branch(job: Job) -> None:
    """The pull request has both heads itself, and all of main."""
    job.store.git("update-ref", "refs/heads/feature", job.world.tip("main"))
    job.sql("feature", "aaaa0001", "base0001", EMAIL)


def an_ancestor_of_main(job: Job) -> None:
    """Somebody merged the branch by hand, or reset it: there is nothing in the pull request."""


def the_same_files(job: Job) -> None:
    """Commits, and no difference."""
    job.store.git("update-ref", "refs/heads/feature", job.world.tip("main"))
    job.store.commit("feature", {"app.py": b"two\n"})
    job.store.commit("feature", {"app.py": b"one\n"})


def conflict_elsewhere(job: Job) -> None:
    job.store.commit("feature", {"app.py": b"mine\n"})
    job.store.commit("main", {"app.py": b"yours\n"})


def conflict_and_fork(job: Job) -> None:
    forked(job)
    conflict_elsewhere(job)


def conflict_in_a_revision(job: Job) -> None:
    for branch, text in (("feature", b"x = 1\n"), ("main", b"x = 2\n")):
        path = f"{VERSIONS}/base0001_rev.py"
        job.store.commit(branch, {path: text + job.store.files(branch)[path]})


def unreadable(job: Job) -> None:
    job.store.commit("feature", {f"{VERSIONS}/x.py": b"revision = compute()\n"})


def unreadable_main(job: Job) -> None:
    job.store.commit("main", {f"{VERSIONS}/x.py": b"revision = compute()\n"})


def protected(job: Job) -> None:
    forked(job)
    job.store.protected.add("feature")


def our_branch(job: Job) -> None:
    forked_main(job)
    job.store.git("update-ref", f"refs/heads/{OWN}", job.world.tip("main"))


# -- the table -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """`says` is in the summary of the run; `extra` are variables of the runner, `token` what our token may do.

    `writes` is what the first run writes, in order, and `later` what the second one does: after a commit the comment
    becomes a short one, and where only GitHub knows that a branch is protected, nobody sees the objects made for it.
    """

    prepare: Callable[[Job], None]
    event: str
    code: int
    status: str
    writes: tuple[str, ...] = ()
    says: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)
    token: Token = field(default_factory=Token)
    payload: Callable[[Job], Mapping[str, Any]] | None = None
    later: tuple[str, ...] = ()


def fork(job: Job) -> Mapping[str, Any]:
    return job.pull(fork="mallory/shop")


def deleted_fork(job: Job) -> Mapping[str, Any]:
    payload = job.pull()
    payload["pull_request"]["head"]["repo"] = None
    return payload


def closed(job: Job) -> Mapping[str, Any]:
    return {**job.pull(), "action": "closed"}


def own_push(job: Job) -> Mapping[str, Any]:
    return {"ref": f"refs/heads/{OWN}", "after": job.world.tip(OWN)}


def tag(job: Job) -> Mapping[str, Any]:
    return {"ref": "refs/tags/v1", "after": job.world.tip("main")}


def deleted(job: Job) -> Mapping[str, Any]:
    return {"ref": "refs/heads/old", "after": "0" * 40, "deleted": True}


def group(job: Job) -> Mapping[str, Any]:
    tip = job.world.tip("main")
    return {
        "action": "checks_requested",
        "merge_group": {"head_sha": tip, "base_sha": tip, "base_ref": "refs/heads/main"},
    }


ON = "pull_request"
BOT = {"GITHUB_ACTOR": "dependabot[bot]"}
OPENED = (*OBJECTS, CREATE, OPEN)
CASES = {
    # pull_request: the three modes, by what there is
    "one head": Case(nothing, ON, 0, "converged", says="One head"),
    "one head, pull-request": Case(nothing, ON, 0, "converged", inputs=REQUEST),
    "one head, check": Case(nothing, ON, 0, "converged", inputs={"mode": "check"}),
    "forked": Case(forked, ON, 0, "merged", (*OBJECTS, MOVE, SAY), "Merged 2 heads", later=(SAY_ANEW,)),
    "forked, pull-request": Case(
        forked, ON, 0, "would-merge", (*OBJECTS, CREATE, OPEN, SAY), "pull request", REQUEST
    ),
    "forked, check": Case(
        forked, ON, 1, "would-merge", (SAY,), "mode: check writes nothing", {"mode": "check"}
    ),
    "forked, dry run": Case(
        forked, ON, 1, "would-merge", (SAY,), "dry-run writes nothing", {"dry-run": "true"}
    ),
    "forked, no comment": Case(forked, ON, 1, "would-merge", (), "", {"mode": "check", "comment": "false"}),
    "both heads are its own": Case(
        both_on_the_branch, ON, 0, "merged", (*OBJECTS, MOVE, SAY), later=(SAY_ANEW,)
    ),
    "base forked": Case(forked_main, ON, 0, "would-merge", (SAY,), "has 2 heads already"),
    "base forked, pull-request": Case(
        forked_main, ON, 0, "would-merge", (SAY,), "has 2 heads already", REQUEST
    ),
    "empty": Case(an_ancestor_of_main, ON, 0, "converged", says="One head"),
    "empty, pull-request": Case(the_same_files, ON, 0, "converged", inputs=REQUEST),
    "no difference": Case(the_same_files, ON, 0, "converged", says="One head"),
    "conflict elsewhere": Case(conflict_elsewhere, ON, 0, "converged", (), "One head"),
    "conflict and fork": Case(conflict_and_fork, ON, 1, "would-merge", (SAY,), "Git cannot merge 1 file"),
    "conflict in a revision": Case(
        conflict_in_a_revision, ON, 3, "unevaluated", (SAY,), "Could not evaluate"
    ),
    "unreadable": Case(unreadable, ON, 3, "unevaluated", (SAY,), "Could not evaluate"),
    "unreadable base": Case(unreadable_main, ON, 3, "unevaluated", (SAY,), "Could not evaluate"),
    "closed": Case(forked, ON, 0, "", says="is closed", payload=closed),
    # who may not write
    "fork": Case(forked, ON, 1, "would-merge", (SAY,), "comes from a fork", payload=fork),
    "fork, token reads": Case(
        forked,
        ON,
        1,
        "would-merge",
        (),
        "comes from a fork",
        payload=fork,
        token=Token(permissions=READ_ONLY),
    ),
    "deleted fork": Case(forked, ON, 1, "would-merge", (SAY,), "comes from a fork", payload=deleted_fork),
    "dependabot": Case(
        forked,
        ON,
        1,
        "would-merge",
        (),
        "started by Dependabot",
        extra=BOT,
        token=Token(permissions=READ_ONLY),
    ),
    "dependabot may write": Case(forked, ON, 1, "would-merge", (SAY,), "started by Dependabot", extra=BOT),
    "dependabot, pull-request": Case(
        forked_main, "push", 1, "would-merge", (), "started by Dependabot", REQUEST, BOT
    ),
    "may commit only": Case(
        *(forked, ON, 0, "merged", (*OBJECTS, MOVE), "The comment could not be written"),
        token=Token(permissions={"contents": "write"}),
    ),
    "may comment only": Case(forked, ON, 1, "would-merge", (SAY,), "Nothing was written", token=READS),
    "may comment only, pull-request": Case(
        forked, ON, 1, "would-merge", (SAY,), "Nothing was written", REQUEST, token=READS
    ),
    "no token": Case(forked, ON, 1, "would-merge", (), "token is empty", {"token": ""}),
    "protected branch": Case(
        protected, ON, 1, "would-merge", (*OBJECTS, SAY), "a rule protects it", later=OBJECTS
    ),
    "may not open": Case(
        *(forked_main, "push", 1, "would-merge", (*OBJECTS, CREATE), "not permitted to create or approve"),
        inputs=REQUEST,
        token=Token(may_open_pulls=False),
    ),
    # branches
    "push": Case(forked_main, "push", 1, "would-merge", (), "mode: commit writes to pull requests only"),
    "push, check": Case(forked_main, "push", 1, "would-merge", (), "mode: check", {"mode": "check"}),
    "push, pull-request": Case(
        forked_main, "push", 0, "would-merge", (*OPENED, LABEL), "", {**REQUEST, "labels": "db"}
    ),
    "push, branch taken": Case(our_branch, "push", 1, "would-merge", (), "is not ours", REQUEST),
    "push, one head": Case(nothing, "push", 0, "converged", (), "One head", REQUEST),
    "push of our branch": Case(
        our_branch, "push", 1, "would-merge", (), "our own", REQUEST, payload=own_push
    ),
    "push of a tag": Case(nothing, "push", 0, "", (), "no branch", REQUEST, payload=tag),
    "push that deletes": Case(nothing, "push", 0, "", (), "was deleted", REQUEST, payload=deleted),
    "schedule": Case(forked_main, "schedule", 1, "would-merge"),
    "schedule, check": Case(forked_main, "schedule", 1, "would-merge", (), "", {"mode": "check"}),
    "schedule, pull-request": Case(forked_main, "schedule", 0, "would-merge", OPENED, "", REQUEST),
    "dispatch": Case(forked_main, "workflow_dispatch", 1, "would-merge"),
    "dispatch, check": Case(forked_main, "workflow_dispatch", 1, "would-merge", (), "", {"mode": "check"}),
    "dispatch, pull-request": Case(forked_main, "workflow_dispatch", 0, "would-merge", OPENED, "", REQUEST),
    "dispatch on a tag": Case(
        forked_main, "workflow_dispatch", 0, "", (), "no branch", REQUEST, {"GITHUB_REF": "refs/tags/v1"}
    ),
    "group": Case(nothing, "merge_group", 0, "converged", payload=group),
    "group, forked": Case(forked_main, "merge_group", 1, "would-merge", payload=group),
    "group, forked, pull-request": Case(
        forked_main, "merge_group", 1, "would-merge", inputs=REQUEST, payload=group
    ),
    "group, unreadable": Case(unreadable_main, "merge_group", 3, "unevaluated", payload=group),
    "another": Case(forked, "issues", 0, "", (), "Nothing to do", payload=lambda job: {"action": "opened"}),
    "target": Case(forked, "pull_request_target", 2, "unevaluated", (), "Refused", payload=Job.pull),
    "run": Case(forked, "workflow_run", 0, "", (), "must not run a fork", payload=lambda job: {}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_event_and_mode_twice(job: Job, name: str) -> None:
    case = CASES[name]
    case.prepare(job)
    job.extra |= case.extra
    job.store.tokens[TOKEN] = case.token
    job.store.public = case.inputs.get("token") == ""
    before = job.store.branches()
    payload = case.payload or {"pull_request": Job.pull, "push": Job.push}.get(case.event, lambda job: {})
    given = {"skip_validation": "true", **case.inputs}
    ran = job.run(case.event, payload(job), **given)
    assert (ran.code, ran.status) == (case.code, case.status), ran.log
    assert job.world.github.writes == list(case.writes), ran.log
    assert case.says in ran.summary + "\n".join(ran.log), ran.summary
    assert bool(ran.commands("error")) == (ran.code != 0), ran.log
    assert bool(ran.outputs["comment-url"]) == (SAY in case.writes)
    changed = {branch for branch, id in job.store.branches().items() if before.get(branch) != id}
    assert len(changed) == len({MOVE, CREATE} & set(case.writes)) and changed <= {"feature", OWN, OWN_PULL}
    assert all(len(heads(job, branch)) == 1 for branch in changed)
    assert [pull.open for pull in job.store.pulls if pull.branch in (OWN, OWN_PULL)] == [True] * (
        OPEN in case.writes
    )
    assert len(job.store.comments) == (SAY in case.writes)
    again = job.run(case.event, payload(job), **given)
    assert job.world.github.writes == [*case.writes, *case.later], again.log
    if MOVE not in case.writes:
        assert (again.code, again.status, again.outputs) == (ran.code, ran.status, ran.outputs), again.log
        return
    # Its own commit is what the second run looks at, and the third one has nothing left to say.
    assert (again.code, again.status) == (0, "converged")
    job.again(case.event, payload(job), **given)


# -- what others do --------------------------------------------------------------------------------


def test_a_commit_has_the_base_as_a_parent_only_where_it_brings_it(job: Job) -> None:
    both_on_the_branch(job)
    head = job.world.tip("feature")
    assert job.run("pull_request", job.pull(), skip_validation="true").status == "merged"
    assert job.store.parents(job.world.tip("feature")) == (head,)
    assert "on `feature` adds the merge revision." in job.store.comments[0].body
    assert len(heads(job, "feature")) == 1


@pytest.mark.parametrize("others", [31, 250])
def test_one_comment_among_many(job: Job, others: int) -> None:
    """Ours is found on whatever page it is; one by somebody else that has our marker is left alone."""
    forked(job)
    payload, given = job.pull(), {"mode": "check", "skip_validation": "true"}
    for number in range(others // 2):
        job.store.add_comment(1, "alice", f"before {number}")
    job.run("pull_request", payload, **given)
    ours = job.store.comments[-1]
    marker = read_marker(ours.body)
    assert marker is not None and ours.author == ACTIONS_BOT
    for author in ("mallory", None):
        job.store.add_comment(1, author, f"forged\n{marker}\n")
    job.store.comments.insert(0, job.store.comments.pop())
    for number in range(others - others // 2):
        job.store.add_comment(1, "alice", f"after {number}")
    before = [(one.author, one.body) for one in job.store.comments if one is not ours]
    ran = job.again("pull_request", payload, **given)
    assert ran.outputs["comment-url"].endswith(str(ours.id))
    job.sql("feature", "dddd0001", "aaaa0001")
    job.run("pull_request", job.pull(), **given)
    assert "dddd0001" in ours.body
    job.store.git("update-ref", "refs/heads/feature", job.world.tip("main"))
    job.run("pull_request", job.pull(), **given)
    assert "(resolved)" in ours.body and len(ours.body.splitlines()) < 12
    job.again("pull_request", job.pull(), **given)
    assert [(one.author, one.body) for one in job.store.comments if one is not ours] == before


def test_two_configurations_have_a_comment_each(job: Job) -> None:
    forked(job)
    for _ in range(2):
        for inputs in ({}, {"alembic_config": "alembic.ini"}):
            job.run("pull_request", job.pull(), mode="check", skip_validation="true", **inputs)
    assert len({str(read_marker(one.body)) for one in job.store.comments}) == len(job.store.comments) == 2
    assert job.world.github.writes == [SAY, SAY]


@ENTERPRISE
def test_a_branch_that_moves_just_before_the_last_step(job: Job) -> None:
    forked(job)
    theirs: list[str] = []
    job.world.github.before[MOVE] = lambda: theirs.append(
        job.store.commit("feature", {"app.py": b"theirs\n"})
    )
    ran = job.run("pull_request", job.pull(), skip_validation="true")
    assert (ran.code, ran.status, job.converged) == (0, "merged", 2)
    assert job.store.parents(job.world.tip("feature")) == (theirs[0], job.world.tip("main"))
    assert job.store.files("feature")["app.py"] == b"theirs\n"
    assert theirs[0] in job.store.comments[0].body or theirs[0][:7] in job.store.comments[0].body
    job.run("pull_request", job.pull(), skip_validation="true")
    job.again("pull_request", job.pull(), skip_validation="true")


def test_a_branch_that_is_moved_out_of_the_way_again_and_again(job: Job) -> None:
    forked(job)
    pushes: list[str] = []

    def push() -> None:
        pushes.append(job.store.commit("feature", {"app.py": b"%d\n" % len(pushes)}))
        job.world.github.before[MOVE] = push

    job.world.github.before[MOVE] = push
    ran = job.run("pull_request", job.pull(), skip_validation="true")
    assert (ran.code, ran.status, len(pushes), job.world.tip("feature")) == (3, "would-merge", 3, pushes[-1])
    (message,) = [line for line in ran.commands("error") if "file=" not in line]
    assert "branch-moved" in message and "nothing was written to it" in message
    assert ran.outputs["commit-sha"] == "" and "Nothing was written" in ran.summary


def test_a_branch_that_is_deleted_while_its_proof_runs(job: Job) -> None:
    forked(job)
    payload = job.pull()
    job.meanwhile.append(lambda: job.store.delete_branch("feature"))
    ran = job.run("pull_request", payload, skip_validation="true")
    assert (ran.code, ran.status) == (3, "would-merge"), ran.log
    assert "the branch feature is gone" in "".join(ran.commands("error")) and job.store.tip("feature") is None


def test_another_run_opens_the_same_pull_request(job: Job) -> None:
    """Two runs at once, for two pushes: what the other one made since we looked is taken for ours."""
    forked_main(job)
    given = {**REQUEST, "skip_validation": "true"}

    def other() -> None:
        job.store.add_pull(OWN, "main", title="t", body="by the other run", author=ACTIONS_BOT)

    job.world.github.before[OPEN] = other
    ran = job.run("push", job.push(), **given)
    assert (ran.code, ran.outputs["pull-request-number"], len(job.store.pulls)) == (0, "1", 1)
    ran = job.run("push", job.push(), **given)
    assert (ran.code, len(job.store.pulls)) == (0, 1) and "WITHOUT ANY PROOF" in job.store.pulls[0].body
    job.again("push", job.push(), **given)


@ENTERPRISE
def test_the_life_of_our_pull_request(job: Job) -> None:
    """Opened with labels, brought up to date for a third head, its branch deleted by a person, closed, and so on."""
    forked_main(job)
    given = {**REQUEST, "skip_validation": "true", "labels": "db,ci"}
    run, again = lambda: job.run("push", job.push(), **given), lambda: job.again("push", job.push(), **given)
    assert run().outputs["pull-request-number"] == "1" and job.store.pulls[0].labels == ["db", "ci"]
    again()
    # A third head: one more commit, and a new text.
    first = job.world.tip(OWN)
    job.sql("main", "cccc0001", "base0001")
    assert run().outputs["pull-request-number"] == "1" and "cccc0001" in job.store.pulls[0].body
    assert job.store.parents(job.world.tip(OWN)) == (first, job.world.tip("main"))
    assert job.store.pulls[0].title == "Merge 3 Alembic heads of main"
    again()
    # A commit that changes nothing of that: no news.
    job.store.commit("main", {"app.py": b"two\n"})
    again()
    # Somebody deletes the branch, which closes the pull request: another one.
    job.store.delete_branch(OWN)
    ran = run()
    assert ran.outputs["pull-request-number"] == "2" and len(heads(job, OWN)) == 1
    again()
    # Somebody closes it: they know better, and the run is red.
    job.store.close(job.store.pulls[1])
    ran = again()
    assert ran.code == 1 and "was closed" in "".join(ran.commands("error"))
    # Until they delete the branch, or other heads make it another question.
    job.store.delete_branch(OWN)
    assert run().outputs["pull-request-number"] == "3"
    job.store.close(job.store.pulls[2])
    job.sql("main", "dddd0001", "base0001")
    assert run().outputs["pull-request-number"] == "4"
    again()
    # It is merged, and its branch stays: it goes.
    job.store.merge(job.store.pulls[3])
    assert len(heads(job, "main")) == 1
    ran = run()
    assert (ran.code, ran.status, job.store.tip(OWN)) == (0, "converged", None)
    again()
    assert [pull.open for pull in job.store.pulls] == [False] * 4
