"""Pull requests as people open them, run through the whole Action: what it would write on GitHub, word by word.

Every scenario is a real run: the flow of `converger.github.run`, the fake GitHub of the tests with a real repository
behind it, real migrations, and proofs on a real PostgreSQL server (the embedded one).
Only the fake server's address is replaced afterwards, by that of github.com.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.alembic_project import AlembicProject
from tests.github.running import Job, Ran
from tests.github.server.store import READ_ONLY, Store, Token
from tests.github.server.world import TOKEN, make_world

VERSIONS = "migrations/versions"
URL = "postgresql+psycopg://shop@db.example/shop"

_FILE = '''\
"""{message}

Revision ID: {id}
Revises: {parents}
Create Date: 2026-03-{day:02d} 10:{minute:02d}:00.000000

"""
import sqlalchemy as sa
from alembic import op

revision = "{id}"
down_revision = {down}
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


class Repository(Store):
    """The fake GitHub's repository, in which commits have authors."""

    author = "GitHub"

    def commit_tree(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        options = [option for parent in parents for option in ("-p", parent)]
        name = {"GIT_AUTHOR_NAME": self.author}
        done = self.git("commit-tree", *options, tree, input=message.encode(), **name)
        return done.decode().strip()


@dataclass
class Shop:
    """A repository with a web shop's migrations, and the people who work on it."""

    job: Job
    _made: int = 0

    @property
    def store(self) -> Repository:
        assert isinstance(self.job.store, Repository)
        return self.job.store

    def revision(
        self,
        id: str,
        message: str,
        parents: str | tuple[str, ...] | None,
        upgrade: str,
        downgrade: str = "pass",
    ) -> dict[str, bytes | None]:
        """One revision file by its path, as `alembic revision` would have begun it."""
        self._made += 1
        several = parents if isinstance(parents, tuple) else (parents,)
        text = _FILE.format(
            message=message,
            id=id,
            parents=", ".join(parent or "" for parent in several),
            down="None" if parents is None else f'"{parents}"' if isinstance(parents, str) else repr(parents),
            day=self._made // 60 + 1,
            minute=self._made % 60,
            upgrade=_indented(upgrade),
            downgrade=_indented(downgrade),
        )
        slug = "".join(c if c.isalnum() else "_" for c in message.lower())[:40]
        return {f"{VERSIONS}/{id}_{slug}.py": text.encode()}

    def add(self, branch: str, author: str, *revision: Any, **more: bytes) -> None:
        """A commit with one revision on a branch."""
        self.store.author = author
        self.store.commit(branch, self.revision(*revision), message=str(revision[1]))

    def branch(self, name: str, start: str = "main") -> None:
        self.store.git("update-ref", f"refs/heads/{name}", start)

    def through_pull_request(self, author: str, branch: str, *revisions: tuple[Any, ...]) -> None:
        """Somebody else's revisions, merged into main by a pull request of theirs."""
        self.branch(branch)
        for revision in revisions:
            self.add(branch, author, *revision)
        self.store.author = author
        self.store.merge(self.store.add_pull(branch, "main", author=author))

    def checkout(self) -> None:
        """The workflow's checkout, with all of the history (`fetch-depth: 0`)."""
        workspace = self.job.folder / "workspace"
        command = ["git", "clone", "--quiet", str(self.store.path), str(workspace)]
        subprocess.run(command, check=True, capture_output=True)

    def pull_request(self, fork: str | None = None) -> dict[str, Any]:
        """The payload for the pull request from `feature`."""
        open_ones = [pull for pull in self.store.pulls if pull.branch == "feature"]
        pull = open_ones[0] if open_ones else self.store.add_pull("feature", "main", author="alice")
        payload = self.job.pull(fork=fork or self.store.name)
        payload["number"] = payload["pull_request"]["number"] = pull.number
        payload["pull_request"]["user"]["login"] = "alice"
        return payload

    def on_pull_request(self, *, fork: str | None = None, **inputs: str) -> Ran:
        return self.job.run("pull_request", self.pull_request(fork), **inputs)


def _indented(body: str) -> str:
    return "\n".join(f"    {line}" if line else "" for line in body.strip().split("\n"))


CUSTOMERS = """\
op.create_table(
    "customers",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(50), nullable=False),
)
op.create_table(
    "orders",
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("customer_id", sa.Integer, sa.ForeignKey("customers.id"), nullable=False),
)"""
NO_CUSTOMERS = 'op.drop_table("orders")\nop.drop_table("customers")'


def add(table: str, column: str, kind: str = "sa.String(50)") -> tuple[str, str]:
    return (
        f'op.add_column("{table}", sa.Column("{column}", {kind}))',
        f'op.drop_column("{table}", "{column}")',
    )


BASE = "4be1a6c7d903"
STATUS = ("8d3f0b52a6e1", "add a status to orders", BASE, *add("orders", "status"))
SHIPPED = (
    "c25e9f7310b8",
    "remember when an order was shipped",
    STATUS[0],
    *add("orders", "shipped_at", "sa.DateTime"),
)
PHONE = ("1fa7d94e2c60", "add phone numbers of customers", BASE, *add("customers", "phone"))


@contextmanager
def shop(folder: Path) -> Iterator[Shop]:
    """main with a few revisions, feature from there on."""
    template = Repository(folder / "octo-shop-template.git")
    template.initialise()
    project = AlembicProject(folder / "start", url=URL)
    files: dict[str, bytes | None] = {
        str(path.relative_to(project.root)): path.read_bytes()
        for path in sorted(project.root.rglob("*"))
        if path.is_file()
    }
    template.commit("main", {**files, "shop/cart.py": b"one\n"}, message="start")
    world = make_world(template.path, folder)
    world.store.__class__ = Repository
    try:
        with world.github:
            made = Shop(Job(world, folder))
            made.add(
                "main", "dora", "9c04d17be35f", "make customers and orders", None, CUSTOMERS, NO_CUSTOMERS
            )
            made.add("main", "dora", BASE, "add email addresses", "9c04d17be35f", *add("customers", "email"))
            made.branch("feature")
            yield made
    finally:
        world.client.close()


@dataclass(frozen=True)
class Scene:
    """One picture's worth: `play` gives the Markdown that was written."""

    name: str
    play: Callable[[Shop], str]


def comment(shop: Shop) -> str:
    """The one comment that there is."""
    (found,) = shop.store.comments
    return found.body


# -- what can happen -------------------------------------------------------------------------------


def merged(shop: Shop) -> str:
    """Two heads that fit, merged by a commit on the pull request."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.checkout()
    assert shop.on_pull_request().code == 0
    return comment(shop)


RENAME = (
    "e07b46d19fa2",
    "call customers clients",
    BASE,
    'op.rename_table("customers", "clients")',
    'op.rename_table("clients", "customers")',
)


def refused(shop: Shop) -> str:
    """main renames the table to which the pull request adds a column."""
    shop.through_pull_request("bob", "clients", RENAME)
    shop.add("feature", "alice", *PHONE)
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def neither(shop: Shop) -> str:
    """Both add the same column."""
    mine = ("77b20c9e4fd3", "add phone", BASE, *add("customers", "phone", "sa.Text"))
    shop.through_pull_request("bob", "phones", PHONE, (*SHIPPED[:2], PHONE[0], *SHIPPED[3:]))
    shop.add("feature", "alice", *mine)
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def differ(shop: Shop) -> str:
    """Both make the same column longer, to different lengths: nothing fails, and databases differ."""

    def longer(length: int) -> tuple[str, str]:
        return (
            f'op.alter_column("customers", "name", type_=sa.String({length}))',
            'op.alter_column("customers", "name", type_=sa.String(50))',
        )

    shop.through_pull_request("bob", "names", ("e07b46d19fa2", "longer names", BASE, *longer(100)))
    shop.add("feature", "alice", "1fa7d94e2c60", "names of up to 200 characters", BASE, *longer(200))
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def three(shop: Shop) -> str:
    """The pull request itself has two heads, main one more."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.add(
        "feature", "alice", "5d8c3e60b1f4", "add a note to orders", BASE, *add("orders", "note", "sa.Text")
    )
    shop.checkout()
    assert shop.on_pull_request().code == 0
    return comment(shop)


def fork(shop: Shop) -> str:
    """From a fork, but where commenting is allowed: the file and the commands."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "mallory", *PHONE)
    shop.checkout()
    assert shop.on_pull_request(fork="mallory/shop").code == 1
    return comment(shop)


def base_forked(shop: Shop) -> str:
    """Two pull requests were merged one after the other; this one has nothing to do with it."""
    shop.branch("phones")
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("phones", "carol", *PHONE)
    shop.store.merge(shop.store.add_pull("phones", "main", author="carol"))
    shop.store.author = "alice"
    shop.store.commit("feature", {"shop/cart.py": b"two\n"})
    shop.checkout()
    assert shop.on_pull_request().code == 0
    return comment(shop)


def git_conflict(shop: Shop) -> str:
    """Git cannot merge another file."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.store.commit("main", {"shop/cart.py": b"mine\n"})
    shop.store.commit("feature", {"shop/cart.py": b"yours\n"})
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def unreadable(shop: Shop) -> str:
    """A revision whose parent nobody has."""
    shop.add("feature", "alice", *PHONE)
    shop.add("feature", "alice", "63a9c0de5b17", "add a second phone number", "1fa7d94e2c61", "pass")
    assert shop.on_pull_request().code == 3
    return comment(shop)


def unrelated(shop: Shop) -> str:
    """A second base, by mistake, in a file with another mistake."""
    shop.add("feature", "alice", *PHONE)
    broken = b'"""add vat"""\nrevision = "aa10"\ndown_revision = None\n\n\ndef upgrade()\n    pass\n'
    shop.store.commit("feature", {f"{VERSIONS}/aa10_vat.py": broken})
    assert shop.on_pull_request().code == 1
    return comment(shop)


def unevaluated(shop: Shop) -> str:
    """The project cannot be loaded."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    files = shop.revision(*PHONE)
    path, data = next(iter(files.items()))
    assert data is not None
    shop.store.commit(
        "feature",
        {path: data.replace(b"import sqlalchemy as sa\n", b"import sqlalchemy as sa\nimport shop_models\n")},
    )
    shop.checkout()
    assert shop.on_pull_request().code == 3
    return comment(shop)


def unreachable(shop: Shop) -> str:
    """The service is called otherwise."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.checkout()
    ran = shop.on_pull_request(database_url="postgresql://postgres:postgres@localhost:59999/postgres")
    assert ran.code == 3, ran.log
    return comment(shop)


def resolved(shop: Shop) -> str:
    """Merged, and looked at once more."""
    merged(shop)
    assert shop.on_pull_request().code == 0
    return comment(shop)


def fix(shop: Shop) -> str:
    """The text of our own pull request into main."""
    shop.branch("phones")
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("phones", "carol", *PHONE)
    shop.store.merge(shop.store.add_pull("phones", "main", author="carol"))
    shop.checkout()
    assert shop.job.run("push", shop.job.push(), mode="pull-request").code == 0
    return shop.store.pulls[-1].body


def check(shop: Shop) -> str:
    """mode: check, and branches of several revisions."""
    shop.through_pull_request(
        "bob",
        "shipping",
        STATUS,
        SHIPPED,
        (
            "0b6e17fa93c8",
            "add carriers",
            SHIPPED[0],
            'op.create_table("carriers", sa.Column("id", sa.Integer, primary_key=True))',
            'op.drop_table("carriers")',
        ),
        (
            "d41f8a2075be",
            "orders have a carrier",
            "0b6e17fa93c8",
            *add("orders", "carrier_id", 'sa.Integer, sa.ForeignKey("carriers.id")'),
        ),
    )
    shop.add("feature", "alice", *PHONE)
    shop.add(
        "feature", "alice", "63a9c0de5b17", "add a second phone number", PHONE[0], *add("customers", "phone2")
    )
    shop.add(
        "feature", "alice", "f2905eb8d1c4", "add when to call", "63a9c0de5b17", *add("customers", "call_at")
    )
    shop.checkout()
    assert shop.on_pull_request(mode="check").code == 1
    return comment(shop)


def several(shop: Shop) -> str:
    """Two conflicts, in branches of several revisions."""
    drop = ("d41f8a2075be", "drop the notes", "0b6e17fa93c8", 'op.drop_column("orders", "note")', "pass")
    note = ("0b6e17fa93c8", "add notes", RENAME[0], *add("orders", "note"))
    shop.through_pull_request("bob", "clients", RENAME, note, drop)
    shop.add("feature", "alice", *PHONE)
    shop.add(
        "feature",
        "alice",
        "63a9c0de5b17",
        "add a note to orders",
        PHONE[0],
        *add("orders", "note", "sa.Text"),
    )
    shop.add(
        "feature", "alice", "f2905eb8d1c4", "add when to call", "63a9c0de5b17", *add("customers", "call_at")
    )
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def unproven(shop: Shop) -> str:
    """skip-validation."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.checkout()
    assert shop.on_pull_request(skip_validation="true").code == 0
    return comment(shop)


def broken(shop: Shop) -> str:
    """A migration that fails on its own."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add(
        "feature",
        "alice",
        "1fa7d94e2c60",
        "drop the fax numbers",
        BASE,
        'op.drop_column("customers", "fax")',
        "pass",
    )
    shop.checkout()
    assert shop.on_pull_request().code == 1
    return comment(shop)


def many(shop: Shop) -> str:
    """Forty heads on the base."""
    for number in range(40):
        id = f"{number:02d}{(number * 7919 + 13) % 16**10:010x}"
        shop.add(
            "main", "bob", id, f"add column number {number}", BASE, *add("customers", f"column_{number}")
        )
    shop.checkout()
    assert shop.job.run("push", shop.job.push(), mode="pull-request", proof_budget="15").code == 0
    return shop.store.pulls[-1].body


def read_only(shop: Shop) -> str:
    """A token that can only read: the summary has it."""
    shop.through_pull_request("bob", "shipping", STATUS, SHIPPED)
    shop.add("feature", "alice", *PHONE)
    shop.store.tokens[TOKEN] = Token(permissions=READ_ONLY)
    shop.checkout()
    return shop.on_pull_request().summary


SCENES = {
    play.__name__.replace("_", "-"): play
    for play in (
        merged, refused, neither, differ, three, fork, base_forked, git_conflict, unreadable, unrelated, unevaluated,
        unreachable, resolved, fix, check, several, unproven, broken, read_only, many,
    )
}  # fmt: skip


def play(name: str, folder: Path) -> str:
    """The Markdown of one scenario, with addresses as on github.com."""
    with shop(folder) as made:
        text = SCENES[name](made)
        return text.replace(made.job.world.github.server_url, "https://github.com")
