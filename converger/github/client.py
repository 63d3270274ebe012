"""GitHub as the few calls that we need, made by PyGithub. Importing this is cheap; PyGithub is loaded on first use.

PyGithub's own retries are off: they leave out PATCH, and repeat a POST that may have been carried out. Here a call is
repeated where that cannot do harm, or after a look whether the first attempt took effect all the same.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from converger.errors import ConfigurationError
from converger.github import answers
from converger.github.api import Commit, Pull
from converger.github.calling import Caller, Patience
from converger.github.comment import Existing
from converger.github.failures import BranchMoved, Declined, NotPermitted, protected
from converger.github.merged import Entry

if TYPE_CHECKING:
    from github import Github
    from github.Repository import Repository

_NEXT = re.compile(r'<([^<>]+)>;\s*rel="next"')
_PER_PAGE = 100
_MOST_PAGES = 500


class PyGithubClient:
    """The GitHub of one repository, by PyGithub. `api_url` may be a GitHub Enterprise Server's (`…/api/v3`)."""

    def __init__(
        self,
        token: str,
        repository: str,
        api_url: str = "https://api.github.com",
        patience: Patience | None = None,
    ) -> None:
        self._token = token
        self._name = repository
        self._api_url = api_url.rstrip("/")
        self._caller = Caller(patience if patience is not None else Patience(), token)
        self._github: Github | None = None
        self._login: str | None = None

    def __repr__(self) -> str:
        return f"PyGithubClient({self._name!r}, {self._api_url!r})"

    def close(self) -> None:
        """End the connection."""
        if self._github is not None:
            self._github.close()

    # -- who ---------------------------------------------------------------------------------------

    def login(self) -> str:
        if self._login is None:
            self._login = self._find_login()
        return self._login

    def _find_login(self) -> str:
        """A person's token may ask for `/user`. An app's, and GITHUB_TOKEN, only the GraphQL API who they are.

        There is no guess: with a wrong one our comment would not be found, and each run would write another.
        """
        what = "asking whose the token is"
        if not self._token.startswith("ghs_"):
            try:
                return self._caller.call(what, lambda: answers.text(self._api.get_user().login))
            except NotPermitted as error:
                if error.code == "token-refused":
                    raise

        def viewer() -> str:
            _, answer = self._api.requester.graphql_query("query { viewer { login } }", {})
            return answers.text(answer["data"]["viewer"]["login"])

        return self._caller.call(what, viewer)

    # -- commits -----------------------------------------------------------------------------------

    def tip(self, branch: str) -> str | None:
        # Of a branch that is not there the other endpoint says 404, as of a repository that the token may not see.
        def find() -> str | None:
            for ref in self._all(f"/git/matching-refs/heads/{quote(branch, safe='')}"):
                if ref["ref"] == f"refs/heads/{branch}":
                    return answers.sha(ref["object"]["sha"])
            return None

        return self._caller.call(f"looking where {branch} is", find)

    def commit(self, id: str) -> Commit:
        return self._caller.call(
            f"reading the commit {id[:12]}", lambda: answers.commit(self._repository.get_git_commit(id))
        )

    def add_blob(self, data: bytes) -> str:
        content = base64.b64encode(data).decode("ascii")
        return self._caller.call(
            "adding a file", lambda: answers.sha(self._repository.create_git_blob(content, "base64").sha)
        )

    def add_tree(self, base: str, entries: Sequence[Entry]) -> str:
        def add() -> str:
            from github import InputGitTreeElement
            from github.GitTree import GitTree

            elements = [InputGitTreeElement(e.path, e.mode, _type(e.mode), sha=e.id) for e in entries]
            tree = self._api.create_from_raw_data(GitTree, {"sha": base})
            return answers.sha(self._repository.create_git_tree(elements, tree).sha)

        return self._caller.call("adding a tree", add)

    def add_commit(self, message: str, tree: str, parents: Sequence[str]) -> Commit:
        # Repeated it may leave a commit that no branch has, which nobody sees.
        def add() -> Commit:
            from github.GitCommit import GitCommit
            from github.GitTree import GitTree

            made = self._api.create_from_raw_data
            return answers.commit(
                self._repository.create_git_commit(
                    message,
                    made(GitTree, {"sha": tree}),
                    [made(GitCommit, {"sha": parent}) for parent in parents],
                )
            )

        return self._caller.call("adding a commit", add)

    # -- branches ----------------------------------------------------------------------------------

    def create_branch(self, branch: str, commit: str) -> None:
        def create() -> None:
            made = self._repository.create_git_ref(f"refs/heads/{branch}", commit)
            answers.expected(made.object.sha, commit)

        self._change_branch(f"creating the branch {branch}", branch, None, commit, create)

    def move_branch(self, branch: str, old: str, new: str) -> None:
        def move() -> None:
            ref = self._ref(branch)
            ref.edit(new, force=False)
            answers.expected(ref.object.sha, new)

        self._change_branch(f"moving the branch {branch}", branch, old, new, move)

    def _change_branch(
        self, what: str, branch: str, old: str | None, new: str, change: Callable[[], None]
    ) -> None:
        """`change`, and where it failed a look at where the branch is: there is no half of this."""

        def done() -> bool | None:
            tip = self.tip(branch)
            if tip == new:
                return True
            if tip != old:
                raise BranchMoved(branch, tip)
            return None

        def once() -> bool:
            change()
            return True

        try:
            self._caller.call(what, once, done)
        except Declined as error:
            if done() is None:
                raise protected(branch, error.message) from None

    def delete_branch(self, branch: str) -> None:
        def delete() -> bool:
            # PyGithub's method takes any answer for a success.
            _, answer = self._api.requester.requestJsonAndCheck("DELETE", self._ref(branch).url)
            answers.expected(answer, None)
            return True

        def done() -> bool | None:
            return True if self.tip(branch) is None else None

        try:
            self._caller.call(f"deleting the branch {branch}", delete, done)
        except (Declined, NotPermitted):
            if done() is None:
                raise

    def _ref(self, branch: str) -> Any:
        from github.GitRef import GitRef

        url = f"{self._api_url}/repos/{self._name}/git/refs/heads/{quote(branch, safe='/')}"
        return self._api.create_from_raw_data(GitRef, {"ref": f"refs/heads/{branch}", "url": url})

    # -- comments ----------------------------------------------------------------------------------

    def comments(self, pull_request: int) -> tuple[Existing, ...]:
        def find() -> tuple[Existing, ...]:
            found = self._all(f"/issues/{pull_request}/comments", per_page=_PER_PAGE)
            # The author is null for an account that was deleted.
            return tuple(
                Existing(
                    answers.number(one["id"]),
                    (one["user"] or {"login": ""})["login"],
                    one["body"] or "",
                    answers.text(one["html_url"]),
                )
                for one in found
            )

        return self._caller.call(f"reading the comments of #{pull_request}", find)

    def create_comment(
        self, pull_request: int, body: str, written: Callable[[Iterable[Existing]], Existing | None]
    ) -> str:
        def create() -> str:
            return answers.text(self._issue(pull_request).create_comment(body).html_url)

        def done() -> str | None:
            found = written(self.comments(pull_request))
            return None if found is None else self.update_comment(found.id, body)

        return self._caller.call(f"commenting on #{pull_request}", create, done)

    def update_comment(self, id: int, body: str) -> str:
        def update() -> str:
            from github.IssueComment import IssueComment

            url = f"{self._api_url}/repos/{self._name}/issues/comments/{id}"
            comment = self._api.create_from_raw_data(IssueComment, {"id": id, "url": url})
            comment.edit(body)
            return answers.text(comment.html_url)

        return self._caller.call("changing our comment", update)

    # -- pull requests -----------------------------------------------------------------------------

    def pulls(self, branch: str, base: str) -> tuple[Pull, ...]:
        head = f"{self._name.split('/')[0]}:{branch}"

        def find() -> tuple[Pull, ...]:
            found = self._all(
                "/pulls",
                state="all",
                head=head,
                base=base,
                sort="created",
                direction="desc",
                per_page=_PER_PAGE,
            )
            # GitHub leaves `head` out of account where it cannot make sense of it.
            return tuple(
                pull for pull in map(answers.pull, found) if (pull.branch, pull.base) == (branch, base)
            )

        return self._caller.call(f"looking for pull requests from {branch}", find)

    def create_pull(self, branch: str, base: str, title: str, body: str) -> Pull:
        def open_one() -> Pull | None:
            return next((pull for pull in self.pulls(branch, base) if pull.open), None)

        def create() -> Pull:
            made = self._repository.create_pull(base=base, head=branch, title=title, body=body)
            return answers.pull(made.raw_data)

        try:
            return self._caller.call(f"opening a pull request from {branch} into {base}", create, open_one)
        except Declined:
            found = open_one()
            if found is None:
                raise
            return found

    def update_pull(
        self, number: int, *, title: str | None = None, body: str | None = None, close: bool = False
    ) -> Pull:
        wanted = {"title": title, "body": body, "state": "closed" if close else None}
        given = {name: value for name, value in wanted.items() if value is not None}

        def update() -> Pull:
            url = f"/repos/{self._name}/pulls/{number}"
            _, answer = self._api.requester.requestJsonAndCheck("PATCH", url, input=given)
            return answers.pull(answer)

        return self._caller.call(f"{'closing' if close else 'changing'} the pull request #{number}", update)

    def add_labels(self, number: int, labels: Sequence[str]) -> None:
        # PyGithub's method sends a bare list, which GitHub's description does not have (any more).
        url = f"/repos/{self._name}/issues/{number}/labels"
        names = {"labels": list(labels)}

        def add() -> None:
            _, answer = self._api.requester.requestJsonAndCheck("POST", url, input=names)
            answers.expected(isinstance(answer, list), True)

        self._caller.call(f"labelling #{number}", add)

    def added(self, path: str, tip: str) -> tuple[str, str] | None:
        def find() -> tuple[str, str] | None:
            # The newest is the first.
            found = self._all("/commits", sha=tip, path=path, per_page=_PER_PAGE)
            if not found:
                return None
            return answers.sha(found[-1]["sha"]), answers.text(found[-1]["commit"]["author"]["name"])

        return self._caller.call(f"looking which commit of {tip[:12]} added a file", find)

    def pull_of(self, commit: str) -> int | None:
        def find() -> int | None:
            found = self._all(f"/commits/{commit}/pulls", per_page=_PER_PAGE)
            # Open ones are named too, for a branch that is not the default one: ours that merges it, for instance.
            return min(
                (answers.number(pull["number"]) for pull in found if pull["merged_at"] is not None),
                default=None,
            )

        return self._caller.call(f"looking which pull request brought {commit[:12]}", find)

    # -- inside ------------------------------------------------------------------------------------

    @property
    def _api(self) -> Github:
        if self._github is None:
            try:
                from github import Auth, Github
            except ImportError as error:
                raise ConfigurationError(
                    f"PyGithub cannot be imported: {error}",
                    code="no-pygithub",
                    hint="install alembic-converger[action]",
                ) from error
            self._github = Github(
                auth=Auth.Token(self._token),
                base_url=self._api_url,
                timeout=self._caller.patience.seconds,
                retry=0,
                user_agent="alembic-converger",
                seconds_between_requests=None,
                seconds_between_writes=None,
            )
        return self._github

    @property
    def _repository(self) -> Repository:
        from github.Repository import Repository

        # Made of what we know; asking GitHub for it would be one more call.
        url = f"{self._api_url}/repos/{self._name}"
        return self._api.create_from_raw_data(Repository, {"full_name": self._name, "url": url})

    def _all(self, path: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """Everything in a list, through all its pages. PyGithub's own takes an empty answer for an empty list."""
        url: str | None = f"/repos/{self._name}{path}"
        found: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            headers, page = self._api.requester.requestJsonAndCheck("GET", url or "", parameters or None)
            answers.expected(isinstance(page, list), True)
            found += page
            following = _NEXT.search(headers.get("link", ""))
            if following is None:
                return found
            url, parameters = following[1], {}
        raise ValueError("a list without an end")

    def _issue(self, number: int) -> Any:
        from github.Issue import Issue

        url = f"{self._api_url}/repos/{self._name}/issues/{number}"
        return self._api.create_from_raw_data(Issue, {"number": number, "url": url})


def _type(mode: str) -> str:
    return {"160000": "commit", "040000": "tree"}.get(mode, "blob")
