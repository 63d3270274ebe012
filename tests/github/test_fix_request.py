"""`mode: pull-request` against a GitHub that is backed by a real repository; every scenario is run twice."""

from __future__ import annotations

import pytest

from converger.github.failures import BranchMoved, NotPermitted
from converger.github.fixrequest import Request, Requested, close_request, open_request
from converger.github.marker import make_marker
from tests.github.server.store import ACTIONS_BOT, READ_ONLY, PullRequest, Token
from tests.github.server.world import TOKEN, VERSIONS, World, graph_of, revision_file

BRANCH = "alembic-converger/main"
BODY = f"Proof, 1.9 s\n{make_marker('c' * 16, 'same')}\n"


@pytest.fixture
def forked(world: World) -> World:
    """Two pull requests with a revision on the same parent were merged: the base has two heads."""
    world.store.merge(world.store.add_pull("feature", "main"))
    assert graph_of(world.store.path, "main").heads == ("ffff", "mmmm")
    return world


def run(
    world: World, body: str = BODY, title: str = "Merge 2 heads", labels: tuple[str, ...] = ("db",)
) -> Requested:
    """What a run on a push does: open what is needed, close what is not."""
    change = world.fix()
    if change is None:
        return close_request(world.client, BRANCH, "main")
    return open_request(world.client, Request(BRANCH, "main", change, title, body, labels))


def nothing_more(world: World, kind: str = "kept") -> None:
    before = list(world.github.writes)
    assert run(world, BODY.replace("1.9", "2.5")).change == kind
    assert world.github.writes == before


def ours(world: World) -> PullRequest:
    (pull,) = [pull for pull in world.store.pulls if pull.branch == BRANCH and pull.open]
    return pull


@pytest.mark.parametrize("world", ["", "/api/v3"], indirect=True)
def test_a_pull_request_is_opened(forked: World) -> None:
    main = forked.tip("main")
    done = run(forked)
    assert (done.change, done.notes, done.commit) == ("created", (), forked.tip(BRANCH))
    pull = ours(forked)
    assert (pull.title, pull.body, pull.base, pull.labels) == ("Merge 2 heads", BODY, "main", ["db"])
    assert pull.author == ACTIONS_BOT
    assert done.pull is not None and done.pull.url.endswith(f"/pull/{pull.number}")
    assert forked.store.parents(forked.tip(BRANCH)) == (main,)
    changed = forked.store.text("diff", "--name-status", main, BRANCH).split("\n")
    assert changed == [f"A\t{VERSIONS}/merge_ffff_mmmm.py"]
    assert forked.tip("main") == main
    nothing_more(forked)


def test_once_it_is_merged_there_is_nothing_to_do_and_its_branch_goes(forked: World) -> None:
    run(forked)
    forked.store.merge(ours(forked))
    assert graph_of(forked.store.path, "main").heads == ("merge_ffff_mmmm",)
    assert run(forked).change == "closed"
    assert forked.store.tip(BRANCH) is None
    assert [pull.merged for pull in forked.store.pulls] == [True, True]
    nothing_more(forked, "none")


def test_no_longer_needed(forked: World) -> None:
    """Somebody merged the heads by hand."""
    run(forked)
    forked.store.commit("main", revision_file("byhand", "ffff", "mmmm"))
    done = run(forked)
    assert (done.change, done.notes) == ("closed", ())
    assert not any(pull.open for pull in forked.store.pulls) and forked.store.tip(BRANCH) is None
    nothing_more(forked, "none")


def test_nothing_was_ever_needed(world: World) -> None:
    nothing_more(world, "none")


def test_a_third_head_makes_it_a_new_version_that_loses_nothing(forked: World) -> None:
    run(forked)
    first, number = forked.tip(BRANCH), ours(forked).number
    forked.store.commit("main", revision_file("tttt", "bbbb"))
    assert run(forked, BODY.replace("Proof", "New proof").replace("-->", "-->")).change == "updated"
    tip = forked.tip(BRANCH)
    assert forked.store.parents(tip) == (first, forked.tip("main"))
    changed = forked.store.text("diff", "--name-status", "main", BRANCH).split("\n")
    assert changed == [f"A\t{VERSIONS}/merge_ffff_mmmm_tttt.py"]
    assert ours(forked).number == number
    nothing_more(forked)


def test_a_base_that_moves_on_elsewhere_is_no_news(forked: World) -> None:
    run(forked)
    forked.store.commit("main", {"app.py": b"x"})
    nothing_more(forked)


def test_a_new_text_is_written_once(forked: World) -> None:
    run(forked)
    ours(forked).title = "A person's title"
    nothing_more(forked)
    news = f"More was found\n{make_marker('c' * 16, 'more')}\n"
    assert run(forked, news).change == "updated"
    assert ours(forked).body == news
    before = list(forked.github.writes)
    assert run(forked, news).change == "kept" and forked.github.writes == before


def test_a_text_without_a_marker_is_compared_as_github_keeps_it(forked: World) -> None:
    run(forked, "line\nline\n")
    ours(forked).body = "line\r\nline"
    before = list(forked.github.writes)
    assert run(forked, "line\nline\n").change == "kept" and forked.github.writes == before


def test_update_branch_was_pressed(forked: World) -> None:
    """GitHub merged the base into our branch for somebody: still our branch."""
    run(forked)
    forked.store.commit("main", {"app.py": b"x"})
    old, main = forked.tip(BRANCH), forked.tip("main")
    tree = forked.store.text("merge-tree", "--write-tree", old, main).splitlines()[0]
    button = forked.store.commit_tree(tree, (old, main), f"Merge branch 'main' into {BRANCH}")
    forked.store.git("update-ref", f"refs/heads/{BRANCH}", button)
    nothing_more(forked)
    forked.store.commit("main", revision_file("tttt", "bbbb"))
    assert run(forked).change == "updated"
    assert forked.store.parents(forked.tip(BRANCH))[0] == button
    nothing_more(forked)


def test_somebody_elses_commit_on_our_branch_is_theirs(forked: World) -> None:
    run(forked)
    theirs = forked.store.commit(BRANCH, {"notes.txt": b"a person's"}, message="my own work")
    for _ in range(2):
        done = run(forked)
        assert (done.change, done.commit) == ("foreign", theirs)
        assert BRANCH in (done.why or "")
    # Nor when it is no longer needed: the pull request is closed, the branch stays.
    forked.store.commit("main", revision_file("byhand", "ffff", "mmmm"))
    assert run(forked).change == "closed"
    assert forked.tip(BRANCH) == theirs
    nothing_more(forked, "none")


def test_a_person_closed_it(forked: World) -> None:
    run(forked)
    forked.store.close(ours(forked))
    for _ in range(2):
        done = run(forked)
        assert done.change == "declined" and "was closed" in (done.why or "")
    assert not any(pull.open for pull in forked.store.pulls)
    # Other merges are another question.
    forked.store.commit("main", revision_file("tttt", "bbbb"))
    assert run(forked).change == "created"
    nothing_more(forked)


def test_it_is_opened_for_a_branch_that_an_interrupted_run_left(forked: World) -> None:
    forked.github.fault("POST /pulls", "401")
    with pytest.raises(NotPermitted):
        run(forked)
    tip = forked.tip(BRANCH)
    assert run(forked).change == "created"
    assert forked.tip(BRANCH) == tip
    nothing_more(forked)


def test_it_is_opened_for_what_an_interrupted_run_put_on_top_of_a_closed_one(forked: World) -> None:
    run(forked)
    forked.store.close(ours(forked))
    forked.store.commit("main", revision_file("tttt", "bbbb"))
    forked.github.fault("POST /pulls", "403")
    with pytest.raises(NotPermitted):
        run(forked)
    tip = forked.tip(BRANCH)
    assert run(forked).change == "created", "nobody declined these merges"
    assert forked.tip(BRANCH) == tip
    nothing_more(forked)
    forked.store.close(ours(forked))
    nothing_more(forked, "declined")


def test_a_branch_left_behind_by_a_squashed_one(forked: World) -> None:
    """Merged by squashing, the branch not deleted; then the base forks again."""
    run(forked)
    pull = ours(forked)
    forked.store.head_of(pull)
    pull.open, pull.merged = False, True
    forked.store.commit("main", revision_file("merge_ffff_mmmm", "ffff", "mmmm"), message="squashed")
    forked.store.commit(
        "main", {**revision_file("n1", "merge_ffff_mmmm"), **revision_file("n2", "merge_ffff_mmmm")}
    )
    assert run(forked).change == "created"
    changed = forked.store.text("diff", "--name-status", "main", BRANCH).split("\n")
    assert changed == [f"A\t{VERSIONS}/merge_n1_n2.py"]
    nothing_more(forked)


def test_the_pull_request_into_a_pull_requests_branch_brings_its_base(world: World) -> None:
    """For a pull request on which commits are not wanted: what goes into it is both parents."""
    from converger.github.fixrequest import merges_digest, message_with_trailer
    from converger.github.merged import change_of
    from tests.github.server.world import merge_files

    branch = "alembic-converger/feature"

    def once() -> Requested:
        found = world.merged()
        files = merge_files(found)
        change = change_of(found, files, message_with_trailer("m", merges_digest(files)))
        return open_request(world.client, Request(branch, "feature", change, "t", BODY))

    assert once().change == "created"
    assert world.store.parents(world.tip(branch)) == (world.tip("feature"), world.tip("main"))
    before = list(world.github.writes)
    assert once().change == "kept" and world.github.writes == before
    world.store.merge(next(pull for pull in world.store.pulls if pull.branch == branch))
    assert graph_of(world.store.path, "feature").heads == ("merge_ffff_mmmm",)


# -- what it may not do ----------------------------------------------------------------------------


def test_actions_may_not_open_pull_requests(forked: World) -> None:
    forked.store.tokens[TOKEN] = Token(may_open_pulls=False)
    for _ in range(2):
        with pytest.raises(NotPermitted) as error:
            run(forked)
        assert error.value.code == "pull-requests-not-permitted"
    forked.store.tokens[TOKEN] = Token()
    assert run(forked).change == "created"
    nothing_more(forked)


def test_a_token_that_can_only_read(forked: World) -> None:
    forked.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    for _ in range(2):
        with pytest.raises(NotPermitted) as error:
            run(forked)
        assert error.value.code == "not-permitted"
    assert forked.github.writes == [] and forked.store.tip(BRANCH) is None


def test_labels_that_cannot_be_set_hinder_nothing(forked: World) -> None:
    forked.github.fault("POST /issues/{issue_number}/labels", "403")
    done = run(forked)
    assert done.change == "created" and "labels could not be set" in done.notes[0]
    assert run(forked).notes == ()
    assert ours(forked).labels == ["db"]
    nothing_more(forked)


def test_a_branch_that_cannot_be_deleted_hinders_nothing(forked: World) -> None:
    run(forked)
    forked.store.commit("main", revision_file("byhand", "ffff", "mmmm"))
    forked.store.protected.add(BRANCH)
    done = run(forked)
    assert done.change == "closed" and "could not be deleted" in done.notes[0]
    assert run(forked).change == "none"


def test_another_run_keeps_moving_our_branch(forked: World, monkeypatch: pytest.MonkeyPatch) -> None:
    run(forked)
    forked.store.commit("main", revision_file("tttt", "bbbb"))
    add_commit = forked.client.add_commit

    def and_the_other_pushes(message: str, tree: str, parents: tuple[str, ...]) -> object:
        made = add_commit(message, tree, parents)
        forked.store.commit(
            BRANCH, {"x": made.id.encode()}, message="m\n\nAlembic-Converger: 0123456789abcdef\n"
        )
        return made

    monkeypatch.setattr(forked.client, "add_commit", and_the_other_pushes)
    with pytest.raises(BranchMoved):
        run(forked)
    monkeypatch.undo()
    assert run(forked).change == "updated"
    nothing_more(forked)
