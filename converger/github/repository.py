"""A repository of our own for one run, beside the workspace: what GitHub has now is fetched into it.

The workspace is never written to: a fetch of one commit into a full clone would make it shallow, and a later step of
the workflow may need its history. Its objects are used (git's alternates), so that little is to be fetched.

How the token gets to git: as `http.<server>.extraHeader` in `GIT_CONFIG_*` variables of the one child that fetches. An
argument could be read by every user of the machine, a file would have to be removed, and a credential helper would be
one more program; git runs no code of the project here (no hooks, no filters, a repository without configuration). The
header is for this server only, and curl drops it when a server redirects to another one.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import sleep

from converger.child import run_child
from converger.errors import CouldNotEvaluate
from converger.git import GitError, call_git, run_git
from converger.report.visible import one_line

_FETCH_SECONDS = 300.0
_WAITS = (1.0, 4.0)
# What another attempt does not change: git's own words, and those of curl for all statuses of 4xx but 408 and 429.
_FINAL = re.compile(
    r"could not read Username|returned error: 4(?!08|29)\d\d|HTTP 4(?!08|29)\d\d|repository '.*' not found"
    r"|couldn't find remote ref|not our ref|unadvertised object|certificate"
)
_KEPT = (
    # A self-hosted runner may need these to reach its server.
    *(
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "NO_PROXY",
        "no_proxy",
        "ALL_PROXY",
        "all_proxy",
    ),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "CURL_CA_BUNDLE"),
)
_SETTINGS = {
    "credential.helper": "",
    "core.hooksPath": os.devnull,
    "core.askPass": "",
    "core.alternateRefsCommand": "true",
    "fetch.recurseSubmodules": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "http.lowSpeedLimit": "100",
    "http.lowSpeedTime": "30",
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "always",
}


@dataclass(frozen=True)
class Remote:
    """Where to fetch from: the server's URL, OWNER/NAME, and the token, which no text of ours shows."""

    server_url: str
    repository: str
    token: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """The repository's address for git."""
        return f"{self.server_url.rstrip('/')}/{self.repository}.git"

    def variables(self) -> dict[str, str]:
        """The variables that give git our settings and the token."""
        settings = list(_SETTINGS.items())
        if self.token:
            header = f"http.{self.server_url.rstrip('/')}/.extraHeader"
            # An empty one takes back those of the machine's settings: GitHub refuses two Authorization headers.
            settings += [(header, ""), (header, f"Authorization: basic {self._basic}")]
        found = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings):
            found |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return found

    def without_secrets(self, text: str) -> str:
        """A text without the token, in either form."""
        for secret in (self.token, self._basic) if self.token else ():
            if secret:
                text = text.replace(secret, "***")
        return text

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"x-access-token:{self.token}".encode()).decode("ascii")


class FetchFailed(CouldNotEvaluate):
    """What GitHub has now could not be fetched (exit 3)."""

    def __init__(self, what: str, said: str) -> None:
        hint = "the token needs `contents: read`; a commit that was pushed over may be gone: run it for the new one"
        if "certificate" in said:
            hint = "where your company signs certificates itself, name the file with its own in SSL_CERT_FILE"
        super().__init__(f"{what} could not be fetched: {said}", code="fetch-failed", hint=hint)


class ScratchRepository:
    """A bare repository in `folder`, which must be empty and is removed by whoever made it.

    `workspace` is a checkout whose objects may be used; it may be shallow, detached, or somebody else's. `say` is told
    what is being waited for.
    Methods raise FetchFailed, or GitError where git itself is the problem.
    """

    def __init__(
        self,
        folder: Path,
        remote: Remote,
        workspace: Path | None = None,
        *,
        seconds: float = _FETCH_SECONDS,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.remote = remote
        self.path = folder / "snapshots.git"
        self._history = folder / "history.git"
        self._home = folder / "home"
        self._seconds = seconds
        self._say = say
        self._home.mkdir(parents=True, exist_ok=True)
        self._make(self.path)
        self.complete = workspace is not None and self._borrow(workspace)
        if self.complete:
            self._history = self.path
        else:
            self._make(self._history)

    def branch_and(self, branch: str, commits: Sequence[str] = ()) -> str:
        """Fetch the history of a branch's tip and of commits; gives the tip's id."""
        ours = f"refs/heads/{branch}"
        what = f"the branch {branch}" + "".join(f" and {commit[:12]}" for commit in commits)
        # Only the commits: what they hold is fetched for the few that are looked at.
        filters = () if self.complete else ("--filter=tree:0",)
        self._fetch(self._history, what, (*filters, self.remote.url, f"+{ours}:{ours}", *commits))
        return run_git(self._history, ["rev-parse", "--verify", ours]).decode("ascii").strip()

    def contents(self, commits: Sequence[str]) -> None:
        """Fetch the files of commits, without their history where that is not there anyway."""
        missing = [commit for commit in dict.fromkeys(commits) if not self._has(commit)]
        if missing:
            depth = () if self.complete else ("--depth=1",)
            what = " and ".join(commit[:12] for commit in missing)
            wanted = [f"+{commit}:refs/converger/fetched/{commit}" for commit in missing]
            self._fetch(self.path, what, (*depth, self.remote.url, *wanted))

    def name(self, branch: str, commit: str) -> None:
        """Make `branch` and `origin/branch` name a commit here, for who asks for a revision by a git name."""
        for ref in (f"refs/heads/{branch}", f"refs/remotes/origin/{branch}"):
            run_git(self.path, ["update-ref", ref, commit])

    def merge_bases(self, one: str, other: str) -> tuple[str, ...]:
        """The best common ancestors of two commits whose history was fetched, sorted."""
        result = call_git(self._history, ["merge-base", "--all", one, other])
        if result.returncode > 1:
            raise GitError(f"git merge-base failed: {result.stderr.decode('utf-8', 'replace').strip()}")
        return tuple(sorted(result.stdout.decode("ascii").split()))

    def tree_of(self, commit: str) -> str:
        """The tree of a commit whose files were fetched."""
        return run_git(self.path, ["rev-parse", "--verify", f"{commit}^{{tree}}"]).decode("ascii").strip()

    # -- inside ------------------------------------------------------------------------------------

    def _make(self, path: Path) -> None:
        # No template: it could hold hooks.
        run_git(self._home, ["init", "--quiet", "--bare", "--template=", str(path)])

    def _borrow(self, workspace: Path) -> bool:
        """Use a checkout's objects. Gives whether its history is complete, so that ours is too."""
        partial = call_git(
            workspace, ["config", "--get-regexp", r"^(remote\..*\.promisor|extensions\.partialclone)$"]
        )
        if partial.returncode == 0:
            return False  # objects are missing there, and nothing says which
        found = call_git(
            workspace, ["rev-parse", "--git-path", "objects", "--git-path", "shallow", "HEAD^{commit}"]
        )
        lines = os.fsdecode(found.stdout).splitlines()
        if found.returncode or len(lines) != 3:
            return False
        objects, shallow = (os.path.join(workspace, line) for line in lines[:2])
        if "\n" in objects or not os.path.isdir(objects):
            return False
        (self.path / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (self.path / "objects" / "info" / "alternates").write_bytes(
            os.fsencode(os.path.abspath(objects)) + b"\n"
        )
        complete = True
        if os.path.exists(shallow):
            complete = False
            (self.path / "shallow").write_bytes(Path(shallow).read_bytes())
        # What the server is told that we have.
        run_git(self.path, ["update-ref", "refs/converger/workspace", lines[2]])
        return complete

    def _has(self, commit: str) -> bool:
        return call_git(self.path, ["cat-file", "-e", f"{commit}^{{tree}}"]).returncode == 0

    def _fetch(self, path: Path, what: str, arguments: Sequence[str]) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        environment |= {
            "PATH": os.environ.get("PATH", os.defpath),
            # The user's own settings of git may be needed for a server of one's own (http.sslCAInfo).
            "HOME": os.environ.get("HOME", str(self._home)),
            "TMPDIR": str(self._home),
            "LC_ALL": "C",
            "GIT_TERMINAL_PROMPT": "0",
            **self.remote.variables(),
        }
        command = ["git", "-c", "safe.directory=*", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]
        for wait in (*_WAITS, None):
            try:
                done = run_child(
                    [*command, *arguments],
                    cwd=path,
                    env=environment,
                    timeout=self._seconds,
                    stderr_limit=4096,
                )
            except FileNotFoundError as error:
                raise GitError("git is not installed or not on PATH.", "install git") from error
            if done.returncode == 0:
                return
            if done.returncode is None:
                raise FetchFailed(what, f"git did not finish in {self._seconds:g} seconds")
            said = self.remote.without_secrets(done.stderr.decode("utf-8", "replace")).strip()
            if wait is None or _FINAL.search(said):
                if "could not read Username" in said:
                    said = (
                        "GitHub does not accept the token"
                        if self.remote.token
                        else "it takes a token to read it"
                    )
                raise FetchFailed(what, one_line(said, 500) or f"git ended with {done.returncode}")
            self._say(f"{what} could not be fetched: {one_line(said, 300)}; trying again in {wait:.0f} s")
            sleep(wait)
