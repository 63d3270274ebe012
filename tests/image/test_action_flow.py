"""The whole Action in its image, as GitHub's runner starts it, against the fake GitHub; PostgreSQL is the image's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.alembic_project import AlembicProject
from tests.github.running import VERSIONS
from tests.github.running import Job as Shop
from tests.github.server.world import TOKEN, graph_of
from tests.image.container import UID
from tests.image.runner import RUNTIME_TOKEN, Ran, Runner
from tests.image.shop import EMAIL, check_out, merge_on, payload

pytestmark = pytest.mark.docker

# A stranger's code that looks for tokens, in all that it can read of all processes, and says what it found.
NOSY = """\
import glob, os, re
seen = [str(dict(os.environ))]
for name in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        seen.append(open(name, errors="replace").read())
    except OSError:
        pass
found = sorted(set(re.findall("INPUT_TOKEN|ghs_....|runtime-....", " ".join(seen))))
raise RuntimeError(f"looked at {len(seen)}, found {found}")
"""


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path)


def run(shop: Shop, runner: Runner, **inputs: str) -> Ran:
    """The pull request, whose test merge was made on a base that has moved on since."""
    base = shop.store.text("rev-parse", "main~1")
    commit = merge_on(shop, base)
    check_out(shop, commit, runner.workspace)
    before = set(files(runner.workspace))
    github = {
        "GITHUB_SHA": commit,
        "GITHUB_REF": "refs/pull/1/merge",
        "GITHUB_REF_NAME": "1/merge",
        "GITHUB_REF_TYPE": "branch",
        "GITHUB_HEAD_REF": "feature",
        "GITHUB_BASE_REF": "main",
        "GITHUB_API_URL": shop.world.github.api_url,
        "GITHUB_SERVER_URL": shop.world.github.server_url,
        "GITHUB_GRAPHQL_URL": f"{shop.world.github.api_url}/graphql",
    }
    ran = runner.step("pull_request", payload(shop), github, install="none", **inputs)
    shown = "\n".join(line for line in ran.log.splitlines() if not line.startswith("::add-mask::"))
    for secret in (TOKEN, RUNTIME_TOKEN):
        assert secret not in shown + ran.summary + str(ran.outputs)
    made = {path: owner for path, owner in files(runner.workspace).items() if path not in before}
    assert set(made.values()) <= {(UID, UID)} and {path.split("/")[0] for path in made} <= {
        ".alembic-converger"
    }
    assert list(runner.home.iterdir()) == []
    return ran


def files(folder: Path) -> dict[str, tuple[int, int]]:
    """All that is in a folder, and whom it belongs to."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_uid, path.lstat().st_gid)
        for path in folder.rglob("*")
    }


def test_two_heads_become_one_by_a_commit_on_the_pull_request(shop: Shop, runner: Runner) -> None:
    shop.sql("feature", "aaaa0001", "base0001", *EMAIL)
    head = shop.world.tip("feature")
    ran = run(shop, runner)
    assert (ran.code, ran.outputs["status"], ran.outputs["verdict"]) == (0, "merged", "commute"), ran.log
    tip = shop.world.tip("feature")
    assert shop.store.parents(tip) == (head, shop.world.tip("main")) and ran.outputs["commit-sha"] == tip
    (merge,) = json.loads(ran.outputs["merges"])
    assert graph_of(shop.store.path, "feature").heads == (merge["revision"],)
    changed = shop.store.text("diff", "--name-status", head, "feature", "--", VERSIONS).split("\n")
    assert sorted(changed) == sorted([f"A\t{VERSIONS}/bbbb0001_rev.py", f"A\t{merge['path']}"])
    report = json.loads((runner.workspace / ran.outputs["report-path"]).read_text())
    assert report["proof"]["dialect"] == "postgresql" and report["status"] == "merged"
    (comment,) = shop.store.comments
    assert "Merged 2 heads" in ran.summary and "Merged 2 heads" in comment.body
    # Our own commit starts a run, too.
    writes = list(shop.world.github.writes)
    for _ in range(2):
        ran = run(shop, runner)
        assert (ran.code, ran.outputs["status"], shop.world.tip("feature")) == (0, "converged", tip), ran.log
    # The comment is turned into a short one, once.
    assert len(shop.world.github.writes) == len(writes) + 1 and "(resolved)" in comment.body


def test_a_failure_is_red_and_explained_and_no_token_was_to_be_had(shop: Shop, runner: Runner) -> None:
    path = AlembicProject(shop.folder / "nosy").revision("aaaa0001", "base0001", NOSY)
    shop.store.commit("feature", {f"{VERSIONS}/{path.name}": path.read_bytes()}, message="nosy")
    tip = shop.world.tip("feature")
    ran = run(shop, runner)
    assert (ran.code, ran.outputs["status"], ran.outputs["verdict"]) == (1, "refused", "broken"), ran.log
    said = re.search(r"looked at (\d+), found \[(.*?)\]", ran.log)
    assert said is not None and int(said[1]) > 3 and said[2] == "", ran.log
    (comment,) = shop.store.comments
    assert f"file={VERSIONS}/{path.name}" in ran.log and path.name in comment.body
    assert shop.world.tip("feature") == tip


def test_one_head_in_two_seconds(shop: Shop, runner: Runner) -> None:
    """An unrelated pull request: from the container's start to the verdict, with all that is asked of GitHub."""
    shop.store.commit("feature", {"app.py": b"two\n"})
    seconds: list[float] = []
    # What else the machine does must not decide.
    while not seconds or (min(seconds) >= 2 and len(seconds) < 5):
        ran = run(shop, runner)
        seconds.append(ran.seconds)
        assert (ran.code, ran.outputs["status"], ran.outputs["heads"]) == (0, "converged", '["bbbb0001"]')
    print("seconds from `docker run` to its end:", *(f"{one:.2f}" for one in seconds))
    assert min(seconds) < 2
    assert shop.world.github.writes == [] and shop.store.comments == []


def test_a_bad_input_is_named(shop: Shop, runner: Runner) -> None:
    """An input with a hyphen in its name arrives, and nothing is asked of GitHub before all are understood."""
    shop.store.commit("feature", {"app.py": b"two\n"})
    ran = run(shop, runner, from_revision="-x", proof_budget="soon")
    assert ran.code == 2 and "title=Input from-revision" in ran.log and "title=Input proof-budget" in ran.log
    assert shop.world.github.calls == [] and "proof-budget" in ran.summary


def test_localhost_is_the_container_itself(shop: Shop, runner: Runner) -> None:
    shop.sql("feature", "aaaa0001", "base0001", *EMAIL)
    tip = shop.world.tip("feature")
    ran = run(shop, runner, database_url="postgresql://postgres:postgres@localhost:5432/postgres")
    assert (ran.code, ran.outputs["status"]) == (3, "unevaluated")
    (comment,) = shop.store.comments
    for said in (ran.log, ran.summary, comment.body):
        assert "localhost" in said and "reached by its label" in said
    assert shop.world.tip("feature") == tip
