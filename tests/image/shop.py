"""The fake GitHub where containers reach it, with a PostgreSQL project in its repository."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from tests.alembic_project import AlembicProject
from tests.github.running import Job as Shop
from tests.github.running import sql
from tests.github.server.store import Store
from tests.github.server.world import make_world

ACCOUNTS = (
    "CREATE TABLE accounts (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL)",
    "INSERT INTO accounts (name) VALUES ('first')",
)
ORDERS = (
    "CREATE TYPE order_state AS ENUM ('new', 'paid')",
    "CREATE TABLE orders (id integer PRIMARY KEY, account integer NOT NULL REFERENCES accounts, "
    "state order_state NOT NULL DEFAULT 'new')",
    "CREATE INDEX ix_orders_account ON orders (account)",
)
EMAIL = (
    "CREATE EXTENSION citext",
    "ALTER TABLE accounts ADD COLUMN email citext",
    "UPDATE accounts SET email = name || '@example.org'",
    "CREATE UNIQUE INDEX ix_accounts_email ON accounts (email)",
)
REQUIREMENTS = b"alembic>=1.13\nsqlalchemy>=2.0\npsycopg[binary]>=3.1\n"


def gateway() -> str:
    """The machine's own address on the network that containers are on: the first one of it."""
    command = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Subnet}}"]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    return str(next(ip_network(found.stdout.strip()).hosts()))


def make_template(folder: Path) -> Path:
    """A bare repository: main has the accounts, then orders; feature starts at the accounts."""
    store = Store(folder / "octo-shop.git")
    store.initialise()
    project = AlembicProject(folder / "start", url="postgresql+psycopg://shop:shop@db.example.org/shop")
    project.sql("base0001", None, *ACCOUNTS)
    files: dict[str, bytes | None] = {
        str(path.relative_to(project.root)): path.read_bytes()
        for path in sorted(project.root.rglob("*"))
        if path.is_file()
    }
    first = store.commit("main", {**files, "requirements.txt": REQUIREMENTS, "app.py": b"one\n"})
    store.commit("main", sql(folder, "bbbb0001", "base0001", *ORDERS), message="orders")
    store.git("update-ref", "refs/heads/feature", first)
    return store.path


@contextmanager
def open_shop(template: Path, folder: Path) -> Iterator[Shop]:
    """The shop while its GitHub runs; what is asked and answered must be as GitHub describes it."""
    world = make_world(template, folder, host=gateway())
    with world.github:
        yield Shop(world, folder)
        world.client.close()
    assert world.github.violations == []


def payload(shop: Shop) -> dict[str, Any]:
    """The event of the pull request, with what runners read of it."""
    found = shop.pull()
    return {**found, "repository": {"full_name": shop.store.name, "default_branch": "main"}}


def check_out(shop: Shop, commit: str, folder: Path) -> None:
    """What actions/checkout leaves: one commit, without its history, on no branch."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", f"https://github.com/{shop.store.name}"],
        ["fetch", "--quiet", "--depth=1", f"file://{shop.store.path}", commit],
        ["checkout", "--quiet", "--detach", "FETCH_HEAD"],
    ):
        subprocess.run(["git", "-C", str(folder), *command], check=True)


def merge_on(shop: Shop, base: str) -> str:
    """The commit that GitHub makes for a pull request, on a base that was main's tip at that time."""
    head = shop.world.tip("feature")
    tree = shop.store.text("merge-tree", "--write-tree", base, head).splitlines()[0]
    return shop.store.commit_tree(tree, (base, head), f"Merge {head} into {base}")
