"""A repository with a fork of its history, GitHub around it, and our client: what the tests begin with."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from converger.github.calling import Patience
from converger.github.client import PyGithubClient
from converger.github.fixrequest import merges_digest, message_with_trailer
from converger.github.merged import Change, Merged, change_of, merge_pull_request
from converger.github.repository import Remote, ScratchRepository
from converger.history import GitTree, Graph, read_history
from converger.project import load_project
from converger.report.result import Looked
from tests.github.server.http import FakeGitHub
from tests.github.server.store import Store, Token

TOKEN = "ghs_" + "0aB1" * 9
VERSIONS = "migrations/versions"


def revision(id: str, *parents: str) -> bytes:
    down = repr(parents[0]) if len(parents) == 1 else repr(parents) if parents else "None"
    text = f'"""{id}"""\nrevision = "{id}"\ndown_revision = {down}\n\n\ndef upgrade():\n    pass\n\n\ndef downgrade():\n    pass\n'
    return text.encode()


def revision_file(id: str, *parents: str) -> dict[str, bytes | None]:
    return {f"{VERSIONS}/{id}_.py": revision(id, *parents)}


def make_template(path: Path) -> None:
    """main and feature forked from one commit, each with a revision on the same parent; a pull request's worth."""
    store = Store(path)
    store.initialise()
    start = {
        "alembic.ini": b"[alembic]\nscript_location = migrations\n",
        "migrations/env.py": b"",
        "app.py": b"".join(b"line %d\n" % number for number in range(30)),
        "both.txt": b"".join(b"line %d\n" % number for number in range(30)),
        "gone.txt": b"to be removed\n",
        **revision_file("aaaa"),
        **revision_file("bbbb", "aaaa"),
    }
    fork = store.commit("main", start, message="start")
    both = start["both.txt"] or b""
    store.commit("main", {"both.txt": b"main\n" + both, "gone.txt": None}, message="work on main")
    store.commit("main", {**revision_file("mmmm", "bbbb"), "new/on/main.txt": b"x\n"}, message="mmmm")
    store.git("update-ref", "refs/heads/feature", fork)
    store.commit("feature", {"both.txt": both + b"feature\n"}, message="work on the feature")
    store.commit("feature", revision_file("ffff", "bbbb"), message="ffff")


@dataclass
class World:
    """`github` is what runs, `store` what it remembers, `client` ours. `slept` are the waits there would have been."""

    folder: Path
    store: Store
    github: FakeGitHub
    client: PyGithubClient
    slept: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    workspace: Path | None = None
    _count: int = 0

    def connect(self) -> PyGithubClient:
        """A client of its own."""
        patience = Patience(seconds=1, sleep=self.slept.append, say=self.said.append)
        return PyGithubClient(TOKEN, self.store.name, self.github.api_url, patience)

    def remote(self, token: str | None = TOKEN) -> Remote:
        return Remote(self.github.server_url, self.store.name, token)

    def scratch(self, token: str | None = TOKEN, workspace: Path | None = None) -> ScratchRepository:
        self._count += 1
        folder = self.folder / f"scratch{self._count}"
        return ScratchRepository(folder, self.remote(token), workspace or self.workspace, seconds=20)

    def tip(self, branch: str) -> str:
        found = self.store.tip(branch)
        assert found is not None, branch
        return found

    def merged(self, branch: str = "feature", base: str = "main") -> Merged:
        return merge_pull_request(self.scratch(), base, Looked(self.tip(branch), branch))

    def propose(self, head: str, branch: str = "feature", base: str = "main") -> Change | None:
        """What a run does with a head: merge in memory, read the history, and merge its heads."""
        found = merge_pull_request(self.scratch(), base, Looked(head, branch))
        files = merge_files(found)
        return change_of(found, files, "Merge 2 Alembic heads") if files else None

    def fix(self, base: str = "main") -> Change | None:
        """The same for the tip of a branch."""
        from converger.github.merged import look_at_branch

        found = look_at_branch(self.scratch(), base)
        files = merge_files(found)
        message = message_with_trailer("Merge heads", merges_digest(files))
        return change_of(found, files, message) if files else None


def merge_files(merged: Merged) -> Mapping[str, bytes]:
    heads = graph_of(merged.path, merged.tree).heads
    if len(heads) < 2:
        return {}
    id = "merge_" + "_".join(heads)
    return {f"{VERSIONS}/{id}.py": revision(id, *heads)}


def graph_of(path: Path, tree: str) -> Graph:
    files = GitTree(path, tree)
    project = load_project(files, config=None, cwd=path)
    return Graph(read_history(files, project))


def make_world(template: Path, folder: Path, *, prefix: str = "", host: str = "127.0.0.1") -> World:
    path = folder / "octo-shop.git"
    # Its objects are used where they are; a copy of each would be most of the files that a test makes.
    shutil.copytree(template, path, ignore=shutil.ignore_patterns("objects"))
    (path / "objects" / "info").mkdir(parents=True)
    (path / "objects" / "info" / "alternates").write_text(f"{template.absolute() / 'objects'}\n")
    store = Store(path)
    store.tokens[TOKEN] = Token()
    github = FakeGitHub(store, prefix=prefix, host=host)
    slept: list[float] = []
    said: list[str] = []
    patience = Patience(seconds=1, sleep=slept.append, say=said.append)
    client = PyGithubClient(TOKEN, store.name, github.api_url, patience)
    return World(folder, store, github, client, slept, said)
