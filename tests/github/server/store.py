"""What GitHub would remember: a real bare repository, and pull requests, comments, labels, rules, tokens."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_GIT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", "GitHub"), ("EMAIL", "noreply@github.com"))
    },
}


ACTIONS_BOT = "github-actions[bot]"


@dataclass
class Token:
    """Who a token writes as, and what it may do: `contents`, `pull_requests`, `issues` -> read or write."""

    login: str = ACTIONS_BOT
    permissions: Mapping[str, str] = field(
        default_factory=lambda: {"contents": "write", "pull_requests": "write", "issues": "write"}
    )
    may_open_pulls: bool = True

    @property
    def installation(self) -> bool:
        return self.login.endswith("[bot]")

    def may(self, what: str, how: str) -> bool:
        given = self.permissions.get(what)
        return given == "write" or given == how


READ_ONLY = {"contents": "read", "pull_requests": "read", "issues": "read"}


@dataclass
class Comment:
    id: int
    issue: int
    author: str | None
    body: str


@dataclass
class PullRequest:
    number: int
    title: str
    body: str
    branch: str
    base: str
    author: str
    last_head: str
    open: bool = True
    merged: bool = False
    labels: list[str] = field(default_factory=list)


class Store:
    """The state of one repository, OWNER/NAME."""

    def __init__(self, path: Path, name: str = "octo/shop") -> None:
        self.path = path
        self.name = name
        self.public = False
        self.tokens: dict[str, Token] = {}
        self.protected: set[str] = set()
        self.comments: list[Comment] = []
        self.pulls: list[PullRequest] = []
        self._ids = 1000

    # -- git ---------------------------------------------------------------------------------------

    def git(self, *arguments: str, input: bytes | None = None, **variables: str) -> bytes:
        result = subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=input,
            capture_output=True,
            env={**_GIT, **variables},
        )
        if result.returncode:
            raise subprocess.CalledProcessError(result.returncode, arguments, result.stdout, result.stderr)
        return result.stdout

    def text(self, *arguments: str, **variables: str) -> str:
        return self.git(*arguments, **variables).decode().strip()

    def initialise(self) -> None:
        self.path.mkdir(parents=True)
        self.git("init", "--quiet", "--bare", "--initial-branch=main", "--template=")
        for key in ("allowFilter", "allowAnySHA1InWant"):  # as on github.com
            self.git("config", f"uploadpack.{key}", "true")

    def object(self, id: str) -> tuple[str, bytes] | None:
        """Kind and contents. Nothing packs objects here, so that no process is needed to read one."""
        if len(id) != 40:
            return None
        path = next((one for one in self._places(id) if one.is_file()), None)
        if path is None:
            return None
        about, _, data = zlib.decompress(path.read_bytes()).partition(b"\0")
        return about.split(b" ")[0].decode(), data

    def add_object(self, kind: str, data: bytes) -> str:
        """An object as git stores it; no process is needed for that either."""
        whole = b"%s %d\0%s" % (kind.encode(), len(data), data)
        id = hashlib.sha1(whole).hexdigest()
        if not any(place.is_file() for place in self._places(id)):
            path = self.path / "objects" / id[:2] / id[2:]
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(zlib.compress(whole))
        return id

    def _places(self, id: str) -> Iterator[Path]:
        folder = self.path / "objects"
        while True:
            yield folder / id[:2] / id[2:]
            further = folder / "info" / "alternates"
            if not further.is_file():
                return
            folder = Path(further.read_text().strip())

    def kind(self, id: str) -> str | None:
        found = self.object(id)
        return None if found is None else found[0]

    def branches(self) -> dict[str, str]:
        """All branches, sorted by name."""
        root = self.path / "refs" / "heads"
        found = {
            str(path.relative_to(root)): path.read_text().strip()
            for path in root.rglob("*")
            if path.is_file()
        }
        return dict(sorted(found.items()))

    def tip(self, branch: str) -> str | None:
        loose = self.path / "refs" / "heads" / branch
        return loose.read_text().strip() if loose.is_file() else None

    def tree(self, base: str | None, entries: list[dict[str, object]]) -> str:
        index = {"GIT_INDEX_FILE": str(self.path / "fake-index")}
        try:
            if base is not None:
                self.git("read-tree", base, **index)
            lines = []
            for entry in entries:
                mode, id = (
                    ("0", "0" * 40) if entry.get("sha", "") is None else (entry["mode"], entry.get("sha"))
                )
                lines.append(f"{mode} {id}\t{entry['path']}\0".encode())
            # What goes makes room for what comes: a file where a folder was.
            lines.sort(key=lambda line: not line.startswith(b"0 "))
            self.git("update-index", "-z", "--index-info", input=b"".join(lines), **index)
            return self.text("write-tree", **index)
        finally:
            Path(index["GIT_INDEX_FILE"]).unlink(missing_ok=True)

    def commit(
        self,
        branch: str | None,
        files: Mapping[str, bytes | None],
        *,
        parents: tuple[str, ...] | None = None,
        message: str = "change",
    ) -> str:
        """Somebody's commit on a branch: files changed, or gone where None."""
        before = parents if parents is not None else tuple(filter(None, [self.tip(branch or "")]))
        entries: list[dict[str, object]] = []
        for path, data in files.items():
            id = None if data is None else self.add_object("blob", data)
            entries.append({"path": path, "mode": "100644", "sha": id})
        tree = self.tree(before[0] if before else None, entries)
        id = self.commit_tree(tree, before, message)
        if branch is not None:
            self.git("update-ref", f"refs/heads/{branch}", id)
        return id

    def commit_tree(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        # One a second, so that the same steps make the same commits.
        who = f"GitHub <noreply@github.com> {1_767_225_600 + self.next_id()} +0000"
        lines = [
            f"tree {tree}",
            *(f"parent {parent}" for parent in parents),
            f"author {who}",
            f"committer {who}",
        ]
        return self.add_object("commit", ("\n".join(lines) + f"\n\n{message}").encode())

    def files(self, treeish: str) -> dict[str, bytes]:
        """All files of a commit."""
        names = self.git("ls-tree", "-r", "-z", "--name-only", treeish).decode().split("\0")
        return {name: self.git("cat-file", "blob", f"{treeish}:{name}") for name in names if name}

    def parents(self, commit: str) -> tuple[str, ...]:
        found = self.object(commit)
        assert found is not None
        lines = found[1].partition(b"\n\n")[0].decode().splitlines()
        return tuple(line.split(" ")[1] for line in lines if line.startswith("parent "))

    def tree_of(self, commit: str) -> str:
        found = self.object(commit)
        assert found is not None
        return found[1].split(b"\n")[0].split(b" ")[1].decode()

    def is_ancestor(self, one: str, other: str) -> bool:
        """Of two commits, or branches."""
        wanted, there, seen = self.tip(one) or one, [self.tip(other) or other], set()
        while there:
            commit = there.pop()
            if commit not in seen:
                seen.add(commit)
                there += self.parents(commit)
        return wanted in seen

    # -- the rest ----------------------------------------------------------------------------------

    def ids_from(self, last: int) -> None:
        """Go on after this id."""
        self._ids = last

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def add_comment(self, issue: int, author: str | None, body: str) -> Comment:
        comment = Comment(self.next_id(), issue, author, body)
        self.comments.append(comment)
        return comment

    def add_pull(
        self, branch: str, base: str, *, title: str = "t", body: str = "", author: str = "alice"
    ) -> PullRequest:
        head = self.tip(branch)
        assert head is not None
        pull = PullRequest(len(self.pulls) + 1, title, body, branch, base, author, head)
        self.pulls.append(pull)
        return pull

    def head_of(self, pull: PullRequest) -> str:
        if pull.open:
            pull.last_head = self.tip(pull.branch) or pull.last_head
        return pull.last_head

    def merge(self, pull: PullRequest) -> str:
        """The button: a merge commit on the base."""
        base, head = self.tip(pull.base), self.head_of(pull)
        assert base is not None
        tree = self.text("merge-tree", "--write-tree", base, head).splitlines()[0]
        id = self.commit_tree(tree, (base, head), f"Merge pull request #{pull.number}")
        self.git("update-ref", f"refs/heads/{pull.base}", id)
        pull.open, pull.merged = False, True
        return id

    def close(self, pull: PullRequest) -> None:
        """The other button. From now on the pull request stays at the commit that it has."""
        self.head_of(pull)
        pull.open = False

    def delete_branch(self, branch: str) -> None:
        for pull in self.pulls:
            if pull.branch == branch and pull.open:
                self.head_of(pull)
                pull.open = False
        self.git("update-ref", "-d", f"refs/heads/{branch}")
