"""The whole flow, from the runner's environment to the exit code; each scenario twice, the second a no-op."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject
from tests.github.running import EMAIL, VERSIONS, Job, sql
from tests.github.server.store import READ_ONLY, Token
from tests.github.server.world import TOKEN, graph_of

ROOT = Path(__file__).parent.parent.parent


def heads(job: Job, treeish: str) -> tuple[str, ...]:
    return graph_of(job.store.path, treeish).heads


def test_an_unrelated_pull_request_needs_no_database(job: Job) -> None:
    job.store.commit("feature", {"app.py": b"two\n"})
    for ran in (job.again("pull_request", job.pull()), job.again("pull_request", job.pull())):
        assert (ran.code, ran.status, ran.outputs["heads"]) == (0, "converged", '["bbbb0001"]')
        assert job.converged == 0 and job.store.comments == []
        assert "One head" in ran.summary and job.world.tip("main")[:7] in ran.summary
    report = json.loads((job.folder / "workspace" / ran.outputs["report-path"]).read_text())
    assert report["status"] == "converged"


def test_two_heads_become_one_by_a_commit_on_the_pull_request(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    head, old = job.world.tip("feature"), job.pull()
    ran = job.run("pull_request", old)
    assert (ran.code, ran.status, ran.outputs["verdict"]) == (0, "merged", "commute"), ran.log
    tip = job.world.tip("feature")
    assert ran.outputs["commit-sha"] == tip and ran.outputs["branch"] == "feature"
    assert job.store.parents(tip) == (head, job.world.tip("main"))
    (merge,) = json.loads(ran.outputs["merges"])
    assert heads(job, "feature") == (merge["revision"],) == (ran.outputs["final-head"],)
    changed = job.store.text("diff", "--name-status", "main", "feature").split("\n")
    assert sorted(changed) == sorted([f"A\t{VERSIONS}/aaaa0001_rev.py", f"A\t{merge['path']}"])
    assert "Merge 2 Alembic heads of main" in job.store.text("log", "-1", "--format=%s", "feature")
    (comment,) = job.store.comments
    assert "on `feature` brings in `main` and the merge revision." in comment.body
    assert "Merged 2 heads" in comment.body and ran.outputs["comment-url"] and not ran.commands("error")
    # Our own commit starts a run; and so may somebody the first one again, with its old event.
    for payload in (job.pull(), old):
        ran = job.run("pull_request", payload)
        assert (ran.code, ran.status, job.world.tip("feature"), job.converged) == (0, "converged", tip, 1)
        assert "(resolved)" in comment.body and len(job.store.comments) == 1
    job.again("pull_request", old)


def test_a_conflict_is_red_and_explained(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", "CREATE TABLE orders (number INTEGER)")
    tip = job.world.tip("feature")
    ran = job.run("pull_request", job.pull())
    assert (ran.code, ran.status, ran.outputs["verdict"]) == (1, "refused", "neither-order")
    (comment,) = job.store.comments
    assert "do not fit together" in comment.body and "already exists" in comment.body
    assert "CREATE TABLE orders (number INTEGER)" in comment.body, "the line itself"
    assert any(f"file={VERSIONS}/aaaa0001_rev.py" in line for line in ran.commands("error"))
    assert job.world.tip("feature") == tip and job.world.github.writes[-1].endswith("/comments")
    again = job.again("pull_request", job.pull())
    assert again.code == 1 and again.outputs["comment-url"] == ran.outputs["comment-url"] != ""


def test_a_fork_gets_the_file_in_the_summary(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    job.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    for _ in range(2):
        ran = job.again("pull_request", job.pull(fork="mallory/shop"))
        assert (ran.code, ran.status) == (1, "would-merge")
        assert "comes from a fork" in ran.summary and "down_revision" in ran.summary
        assert "alembic-converger converge" in ran.summary
    assert job.store.comments == []


def test_a_token_that_can_only_read(job: Job) -> None:
    """Nothing said so before: the refusal is a finding, no crash."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    job.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    for _ in range(2):
        ran = job.again("pull_request", job.pull())
        assert (ran.code, ran.status, ran.outputs["commit-sha"]) == (1, "would-merge", "")
        assert any("contents: write" in line for line in ran.commands("error")), ran.log
        assert "Nothing was written" in ran.summary


def test_a_push_opens_a_pull_request_that_is_closed_when_it_is_not_needed(job: Job) -> None:
    job.sql("main", "aaaa0001", "base0001", EMAIL)
    ran = job.run("push", job.push(), mode="pull-request")
    assert (ran.code, ran.status) == (0, "would-merge"), ran.log
    (pull,) = job.store.pulls
    assert (pull.branch, pull.base, pull.open) == ("alembic-converger/main", "main", True)
    assert ran.outputs["pull-request-number"] == "1" and ran.outputs["pull-request-url"].endswith("/pull/1")
    assert "Merges 2 heads" in pull.body and len(heads(job, pull.branch)) == 1
    assert "Merge this pull request." in pull.body and "Merge that pull request." in ran.summary
    ran = job.again("push", job.push(), mode="pull-request")
    assert (ran.code, ran.outputs["pull-request-number"]) == (0, "1")
    job.sql("main", "byhand01", ("aaaa0001", "bbbb0001"))
    ran = job.run("push", job.push(), mode="pull-request")
    assert (ran.code, ran.status, pull.open) == (0, "converged", False)
    assert job.again("push", job.push(), mode="pull-request").code == 0


def test_two_projects_do_not_take_each_others_pull_request_away(job: Job) -> None:
    """A second project in the repository, whose workflow does not name a branch of its own."""
    there = {
        path: data for path, data in job.store.files("main").items() if path.startswith(("alembic", "migr"))
    }
    job.store.commit("main", {f"billing/{path}": data for path, data in there.items()})
    job.sql("main", "aaaa0001", "base0001", EMAIL)
    given = {"mode": "pull-request", "skip_validation": "true"}
    assert job.run("push", job.push(), **given).outputs["pull-request-number"] == "1"
    (pull,) = job.store.pulls
    assert job.again("push", job.push(), working_directory="billing", **given).code == 0
    forked = sql(job.folder, "cccc0001", "base0001", EMAIL)
    job.store.commit("main", {f"billing/{path}": data for path, data in forked.items()})
    ran = job.again("push", job.push(), working_directory="billing", **given)
    assert ran.code == 1 and "input `branch`" in ran.summary and pull.open, ran.summary
    own = {"branch": "alembic-converger/{base}-billing", "working_directory": "billing"}
    assert job.run("push", job.push(), **given, **own).outputs["pull-request-number"] == "2"


def test_a_base_that_is_forked_already_is_not_the_pull_requests_doing(job: Job) -> None:
    job.sql("main", "aaaa0001", "base0001", EMAIL)
    job.store.commit("feature", {"app.py": b"two\n"})
    tip = job.world.tip("feature")
    ran = job.run("pull_request", job.pull(), skip_validation="true")
    assert (ran.code, ran.status, job.world.tip("feature")) == (0, "would-merge", tip)
    assert "has 2 heads already" in job.store.comments[0].body
    assert ran.commands("warning") and not ran.commands("error")
    job.again("pull_request", job.pull(), skip_validation="true")


def test_a_pull_request_where_commits_are_not_wanted(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    given = {"mode": "pull-request", "skip_validation": "true", "labels": "db", "comment": "false"}
    head, payload = job.world.tip("feature"), job.pull()
    ran = job.run("pull_request", payload, **given)
    assert (ran.code, ran.status, ran.outputs["pull-request-number"]) == (0, "would-merge", "2"), ran.log
    ours = job.store.pulls[1]
    assert (ours.branch, ours.base, ours.labels) == ("alembic-converger/feature", "feature", ["db"])
    assert job.store.parents(job.world.tip(ours.branch)) == (head, job.world.tip("main"))
    assert len(heads(job, ours.branch)) == 1 and job.world.tip("feature") == head
    assert job.store.comments == []
    assert job.again("pull_request", payload, **given).code == 0


def test_a_branch_that_moves_while_its_proof_runs(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    payload = job.pull()
    job.meanwhile.append(lambda: job.store.commit("feature", {"app.py": b"more\n"}))
    ran = job.run("pull_request", payload, skip_validation="true")
    assert (ran.code, ran.status, job.converged) == (0, "merged", 2)
    before, main = job.store.parents(job.world.tip("feature"))
    assert main == job.world.tip("main") and job.store.files(before)["app.py"] == b"more\n"
    assert job.store.files("feature")["app.py"] == b"more\n"


def test_what_the_projects_code_sees_and_prints(job: Job, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    body = f"""
import os
with open({str(seen)!r}, "a") as file:
    file.write(repr(dict(os.environ)))
print("::error::forged")
"""
    path = AlembicProject(tmp_path / "made").revision("aaaa0001", "base0001", body)
    job.store.commit("feature", {f"{VERSIONS}/{path.name}": path.read_bytes()})
    job.extra["ACTIONS_RUNTIME_TOKEN"] = "runtime-s3cr3t"
    ran = job.run("schedule", {}, mode="check", env="GIVEN=yes", from_revision="base0001")
    assert (ran.code, ran.status) == (0, "converged") and not seen.exists(), "main has nothing of it"
    ran = job.run("pull_request", job.pull(), mode="check", env="GIVEN=yes", comment="false")
    assert (ran.code, ran.outputs["verdict"]) == (1, "commute"), ran.log
    text = seen.read_text()
    assert "'GIVEN': 'yes'" in text
    for secret in (TOKEN, "INPUT_", "GITHUB_", "ACTIONS_", "runtime-s3cr3t"):
        assert secret not in text
    begin = next(n for n, line in enumerate(ran.log) if line.startswith("::stop-commands::"))
    word = ran.log[begin].rpartition(":")[2]
    end = ran.log.index(f"::{word}::")
    assert not [line for line in ran.log[begin + 1 : end] if line.startswith("::")]
    assert not any("forged" in line for line in ran.commands("error"))


@pytest.mark.parametrize("options", [None, ("--depth=1",), ()], ids=["no checkout", "shallow", "full"])
def test_who_brought_the_heads(job: Job, options: tuple[str, ...] | None) -> None:
    """The other one's author and pull request, from the history or GitHub. A checkout stays as it was."""
    job.store.git("update-ref", "refs/heads/other", job.world.tip("main"))
    brought = job.sql("other", "cccc0001", "bbbb0001")
    job.store.merge(job.store.add_pull("other", "main"))
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    workspace = job.folder / "workspace"
    if options is not None:
        clone = ["git", "clone", "-q", *options, f"file://{job.store.path}", str(workspace)]
        subprocess.run(clone, check=True, capture_output=True)
    ran = job.again("pull_request", job.pull(), mode="check", skip_validation="true", comment="false")
    lines = [line for line in ran.summary.splitlines() if line.startswith("| ")]
    ours, theirs = (
        next(line for line in lines if head in line.split("|")[1]) for head in ("aaaa0001", "cccc0001")
    )
    assert "`bob`" in ours and "/pull/1)" not in ours
    assert "`GitHub`" in theirs and "/pull/1)" in theirs, (theirs, brought)
    assert (workspace / ran.outputs["report-path"]).is_file()
    if options is not None:
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=workspace, capture_output=True, text=True
        )
        assert status.stdout == ""


def test_from_a_commit_that_no_checkout_has(job: Job) -> None:
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    first = job.store.text("rev-parse", "main~1")
    given = {"mode": "check", "skip_validation": "true", "comment": "false"}
    ran = job.again("pull_request", job.pull(), from_revision=first, **given)
    assert (ran.code, ran.status) == (1, "would-merge"), ran.log
    ran = job.again("pull_request", job.pull(), from_revision="0" * 40, **given)
    assert (ran.code, ran.status) == (2, "unevaluated") and "unknown-from-revision" in ran.summary


def test_a_folder_without_a_configuration(job: Job) -> None:
    ran = job.again("push", job.push(), working_directory="api")
    assert (ran.code, ran.status) == (2, "unevaluated") and "no-configuration" in ran.summary


def test_a_merge_group_is_only_looked_at(job: Job) -> None:
    group = {
        "head_sha": job.world.tip("main"),
        "base_sha": job.world.tip("main"),
        "base_ref": "refs/heads/main",
    }
    payload = {"action": "checks_requested", "merge_group": group}
    assert job.again("merge_group", payload).code == 0
    group["head_sha"] = job.sql("main", "aaaa0001", "base0001", EMAIL)
    for _ in range(2):
        ran = job.again("merge_group", payload, skip_validation="true")
        assert (ran.code, ran.status, ran.outputs["verdict"]) == (1, "would-merge", "skipped")


def test_other_events_and_bad_inputs(job: Job) -> None:
    ran = job.again("issues", {"action": "opened"})
    assert (ran.code, ran.status) == (0, "") and ran.commands("notice") and "Nothing to do" in ran.summary
    ran = job.again("pull_request_target", job.pull())
    assert ran.code == 2 and ran.commands("error")
    url = "postgresql://me:s3cr3tpw@localhost:port/x"
    ran = job.again("pull_request", job.pull(), mode="comit", dry_rum="true", database_url=url)
    assert ran.code == 2 and len(ran.commands("error")) == 3, ran.log
    assert "did you mean dry-run" in ran.summary
    visible = [line for line in ran.log if not line.startswith("::add-mask::")]
    assert "s3cr3tpw" not in "\n".join(visible) + ran.summary
    assert ran.log[0] == f"::add-mask::{TOKEN}", "before everything else"
    assert job.world.github.calls == []


def test_errors_of_ours_are_one_line(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise RuntimeError(f"no good {TOKEN}")

    monkeypatch.setattr("converger.github.run.decide", fails)
    ran = job.run("pull_request", job.pull())
    assert ran.code == 3 and len(ran.log) == 2 and "internal error: RuntimeError: no good ***" in ran.log[1]
    job.extra["RUNNER_DEBUG"] = "1"
    assert "Traceback" in "\n".join(job.run("pull_request", job.pull()).log)


def test_nobody_at_github(job: Job) -> None:
    job.extra["GITHUB_SERVER_URL"] = "http://127.0.0.1:1"
    ran = job.run("pull_request", job.pull(), mode="check")
    assert ran.code == 3 and ran.commands("error") and "could not be fetched" in ran.summary


@pytest.mark.parametrize("fault", ["403", "500"])
def test_a_comment_that_cannot_be_written_changes_no_result(job: Job, fault: str) -> None:
    job.store.commit("feature", {f"{VERSIONS}/x.py": b"revision = compute()\n"})
    job.world.github.fault("POST /issues/{issue_number}/comments", fault, 9)
    ran = job.run("pull_request", job.pull())
    assert (ran.code, ran.status, ran.outputs["comment-url"]) == (3, "unevaluated", ""), ran.log
    (warning,) = ran.commands("warning")
    assert "The comment could not be written" in warning and "Could not evaluate" in ran.summary
    assert job.store.comments == []


@pytest.mark.parametrize("job", ["/api/v3"], indirect=True)
def test_the_entry_point_is_the_action(job: Job) -> None:
    """The process that the image starts, with PyGithub and all, where nothing is passed in."""
    job.sql("feature", "aaaa0001", "base0001", EMAIL)
    environment, summary, output = job.environment("pull_request", job.pull(), skip_validation="true")
    done = subprocess.run(
        [sys.executable, "-I", "-B", str(ROOT / "entrypoint.py")],
        env=environment,
        capture_output=True,
        text=True,
        cwd=job.folder,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Merged 2 heads" in summary.read_text() and done.stderr == ""
    assert len(heads(job, "feature")) == 1 and "commit-sha<<" in output.read_text()
    assert "WITHOUT ANY PROOF" in job.store.comments[0].body
    assert done.stdout.splitlines()[0] == f"::add-mask::{TOKEN}"
    assert TOKEN not in done.stdout.partition("\n")[2]
    assert f"merged in memory with main at {job.world.tip('main')}" in done.stdout
