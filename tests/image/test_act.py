"""The published example, run by act: our action.yml and Dockerfile, a PostgreSQL service, the fake GitHub."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.github.running import VERSIONS
from tests.github.running import Job as Shop
from tests.github.server.world import TOKEN, graph_of
from tests.image.act import POSTGRES, Act
from tests.image.shop import EMAIL, payload

pytestmark = pytest.mark.docker


@pytest.fixture
def act(tmp_path: Path) -> Iterator[Act]:
    (tmp_path / "act").mkdir()
    yield Act(tmp_path / "act")
    for kind in (["ps", "--all"], ["network", "ls"]):
        left = subprocess.run(
            ["docker", *kind, "--quiet", "--filter", "name=act-"], capture_output=True, text=True, check=True
        )
        assert left.stdout == ""


def test_a_pull_request_with_two_heads_gets_the_merge_as_a_commit(shop: Shop, act: Act) -> None:
    shop.sql("feature", "aaaa0001", "base0001", *EMAIL)
    head, base = shop.world.tip("feature"), shop.world.tip("main")
    ran = act.run("pull_request", payload(shop), shop)
    assert (ran.code, ran.outputs.get("status")) == (0, "merged"), ran.log
    assert TOKEN not in ran.log
    # On the service, of which nothing is left but its own databases.
    assert "proven on PostgreSQL" in ran.log and "ALTER TABLE accounts ADD COLUMN email citext" in ran.service
    assert "CREATE INDEX ix_orders_account" in ran.service
    assert ran.created and ran.created == ran.dropped, ran.service
    tip = shop.world.tip("feature")
    assert shop.store.parents(tip) == (head, base) and ran.outputs["commit-sha"] == tip
    (merge,) = json.loads(ran.outputs["merges"])
    assert graph_of(shop.store.path, "feature").heads == (merge["revision"],)
    (comment,) = shop.store.comments
    assert "Merged 2 heads" in comment.body
    assert upgraded(shop, "feature", act.folder / "checkout") == [merge["revision"]]
    # Our own commit starts a run, which finds nothing to do and says so in the comment.
    written = len(shop.world.github.writes)
    ran = act.run("pull_request", payload(shop), shop)
    assert (ran.code, ran.outputs["status"], ran.outputs["commit-sha"]) == (0, "converged", "")
    assert shop.world.tip("feature") == tip and ran.created == set()
    assert len(shop.world.github.writes) == written + 1 and "(resolved)" in comment.body


def test_a_pull_request_that_conflicts_is_red(shop: Shop, act: Act) -> None:
    shop.sql("feature", "aaaa0001", "base0001", "CREATE TABLE orders (number integer)")
    tip = shop.world.tip("feature")
    ran = act.run("pull_request", payload(shop), shop)
    assert ran.code != 0 and (ran.outputs["status"], ran.outputs["verdict"]) == ("refused", "neither-order")
    (comment,) = shop.store.comments
    for name in ("aaaa0001_rev.py", "bbbb0001_rev.py"):
        assert f"::error file={VERSIONS}/{name}" in ran.log and name in comment.body
    assert "already exists" in ran.log and "already exists" in comment.body
    assert ran.created and ran.created == ran.dropped, ran.service
    assert shop.world.tip("feature") == tip
    assert [one for one in shop.world.github.writes if "comments" not in one] == []


def upgraded(shop: Shop, branch: str, folder: Path) -> list[str]:
    """What `alembic upgrade head` of a fresh checkout leaves in the version table of an empty database."""
    subprocess.run(["git", "clone", "--quiet", "--branch", branch, shop.store.path, folder], check=True)
    ini = folder / "alembic.ini"
    with postgresql() as address:
        ini.write_text(
            ini.read_text().replace("shop:shop@db.example.org/shop", f"postgres:secret@{address}/postgres")
        )
        for command, expected in ((["heads"], 1), (["upgrade", "head"], 0), (["current"], 1)):
            done = subprocess.run(
                [sys.executable, "-m", "alembic", *command], cwd=folder, capture_output=True, text=True
            )
            assert done.returncode == 0, done.stderr
            assert len(done.stdout.splitlines()) == expected, done.stdout
    return [line.split(" ")[0] for line in done.stdout.splitlines()]


@contextmanager
def postgresql() -> Iterator[str]:
    """The address of a server of the service's kind."""
    command = ["docker", "run", "--rm", "--detach", "--env", "POSTGRES_PASSWORD=secret", POSTGRES]
    container = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    try:
        for _ in range(100):
            if (
                subprocess.run(["docker", "exec", container, "pg_isready"], capture_output=True).returncode
                == 0
            ):
                break
            time.sleep(0.2)
        form = "{{.NetworkSettings.IPAddress}}"
        found = subprocess.run(
            ["docker", "inspect", "--format", form, container], capture_output=True, text=True, check=True
        )
        yield found.stdout.strip()
    finally:
        subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=False)
