"""What GitHub does for each operation. A handler gets the store, who asks, and the request; it gives status and body."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.github.server.store import Comment, PullRequest, Store, Token


@dataclass
class Request:
    values: dict[str, str]
    query: dict[str, str]
    body: Any
    url: str


@dataclass
class Answer:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Problem(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str, **more: Any) -> None:
        super().__init__(message)
        self.answer = Answer(
            status, {"message": message, "documentation_url": "https://docs.github.com/rest", **more}
        )


FORBIDDEN = "Resource not accessible by integration"
Handler = Callable[[Store, Token, Request], Answer]


def need(token: Token, how: str, *permissions: str) -> None:
    if not any(token.may(permission, how) for permission in permissions):
        raise Problem(403, FORBIDDEN)


def user(store: Store, token: Token, request: Request) -> Answer:
    if token.installation:
        raise Problem(403, FORBIDDEN)
    return Answer(200, {"login": token.login, "id": 1})


def matching_refs(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "contents")
    found = {f"refs/heads/{branch}": id for branch, id in store.branches().items()}
    prefix = f"refs/{request.values['ref']}"
    return paged([_ref(ref, id, request) for ref, id in found.items() if ref.startswith(prefix)], request)


def add_blob(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    assert request.body["encoding"] == "base64"
    data = base64.b64decode(request.body["content"], validate=True)
    id = store.add_object("blob", data)
    return Answer(201, {"sha": id, "url": request.url})


def add_tree(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    base = request.body.get("base_tree")
    if base is not None and store.kind(base) != "tree":
        raise Problem(422, "base_tree is not a valid tree oid")
    for entry in request.body["tree"]:
        id = entry.get("sha")
        if id is not None and entry["type"] != "commit" and store.kind(id) != entry["type"]:
            raise Problem(422, f"tree.sha {id} is not a valid {entry['type']}")
    id = store.tree(base, request.body["tree"])
    return Answer(201, {"sha": id, "url": request.url, "tree": [], "truncated": False})


def add_commit(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    parents = tuple(request.body.get("parents", []))
    if store.kind(request.body["tree"]) != "tree":
        raise Problem(422, "Tree SHA does not exist")
    if any(store.kind(parent) != "commit" for parent in parents):
        raise Problem(422, "Parent SHA does not exist or is not a commit object")
    id = store.commit_tree(request.body["tree"], parents, request.body["message"])
    return Answer(201, _commit(store, id, request))


def get_commit(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "contents")
    id = request.values["commit_sha"]
    if store.kind(id) != "commit":
        raise Problem(404, "Not Found")
    return Answer(200, _commit(store, id, request))


def add_ref(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    ref, id = request.body["ref"], request.body["sha"]
    branch = ref.removeprefix("refs/heads/")
    assert ref != branch
    if store.tip(branch) is not None:
        raise Problem(422, "Reference already exists")
    _allowed(store, branch, id)
    store.git("update-ref", ref, id)
    return Answer(201, _ref(ref, id, request))


def move_ref(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    branch, id = request.values["ref"].removeprefix("heads/"), request.body["sha"]
    tip = store.tip(branch)
    if tip is None:
        raise Problem(422, "Reference does not exist")
    _allowed(store, branch, id)
    if not request.body.get("force", False) and not store.is_ancestor(tip, id):
        raise Problem(422, "Update is not a fast forward")
    store.git("update-ref", f"refs/heads/{branch}", id)
    return Answer(200, _ref(f"refs/heads/{branch}", id, request))


def delete_ref(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "contents")
    branch = request.values["ref"].removeprefix("heads/")
    if store.tip(branch) is None:
        raise Problem(422, "Reference does not exist")
    if branch in store.protected:
        raise Problem(422, "Cannot delete this protected branch")
    store.delete_branch(branch)
    return Answer(204)


def list_comments(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "issues", "pull_requests")
    number = int(request.values["issue_number"])
    _pull_there(store, number)
    return paged([_comment(store, one) for one in store.comments if one.issue == number], request)


def add_comment(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "issues", "pull_requests")
    number = int(request.values["issue_number"])
    _pull_there(store, number)
    _not_too_long(request.body["body"])
    return Answer(201, _comment(store, store.add_comment(number, token.login, request.body["body"])))


def edit_comment(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "issues", "pull_requests")
    for comment in store.comments:
        if comment.id == int(request.values["comment_id"]):
            if comment.author != token.login and token.installation:
                raise Problem(403, FORBIDDEN)
            _not_too_long(request.body["body"])
            comment.body = request.body["body"]
            return Answer(200, _comment(store, comment))
    raise Problem(404, "Not Found")


def list_pulls(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "pull_requests")
    query = request.query
    state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
    owner = store.name.split("/")[0]
    found = [
        pull
        for pull in store.pulls
        if (state == "all" or pull.open == (state == "open"))
        and (head is None or ":" not in head or head == f"{owner}:{pull.branch}")
        and (base is None or base == pull.base)
    ]
    found.sort(key=lambda pull: pull.number, reverse=query.get("direction", "desc") == "desc")
    return paged([_pull(store, pull) for pull in found], request)


def add_pull(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "pull_requests")
    if not token.may_open_pulls:
        raise Problem(403, "GitHub Actions is not permitted to create or approve pull requests.")
    head, base = request.body["head"], request.body["base"]
    tip, base_tip = store.tip(head), store.tip(base)

    def invalid(**error: str) -> Problem:
        return Problem(422, "Validation Failed", errors=[{"resource": "PullRequest", **error}])

    if tip is None or base_tip is None:
        raise invalid(field="head" if tip is None else "base", code="invalid")
    if any(pull.open and (pull.branch, pull.base) == (head, base) for pull in store.pulls):
        owner = store.name.split("/")[0]
        raise invalid(code="custom", message=f"A pull request already exists for {owner}:{head}.")
    if store.is_ancestor(tip, base_tip):
        raise invalid(code="custom", message=f"No commits between {base} and {head}")
    _not_too_long(request.body.get("body", ""))
    pull = store.add_pull(
        head, base, title=request.body["title"], body=request.body.get("body", ""), author=token.login
    )
    return Answer(201, _pull(store, pull))


def edit_pull(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "pull_requests")
    pull = _pull_there(store, int(request.values["pull_number"]))
    store.head_of(pull)
    pull.title = request.body.get("title", pull.title)
    pull.body = request.body.get("body", pull.body)
    if "state" in request.body:
        pull.open = request.body["state"] == "open"
    return Answer(200, _pull(store, pull))


def add_labels(store: Store, token: Token, request: Request) -> Answer:
    need(token, "write", "issues", "pull_requests")
    pull = _pull_there(store, int(request.values["issue_number"]))
    names = request.body["labels"] if isinstance(request.body, dict) else request.body
    pull.labels += [name for name in names if name.lower() not in {one.lower() for one in pull.labels}]
    return Answer(200, [_label(name) for name in pull.labels])


def list_commits(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "contents")
    start, path = request.query["sha"], request.query["path"]
    if store.kind(start) != "commit":
        raise Problem(404, "Not Found")
    lines = store.text("--literal-pathspecs", "log", "--format=%H%x00%an", start, "--", path).splitlines()
    found = [
        {
            "sha": id,
            "url": request.url,
            "commit": {"url": request.url, "author": {"name": name}, "comment_count": 0},
            "author": None,
        }
        for id, _, name in (line.partition("\0") for line in lines)
    ]
    return paged(found, request)


def pulls_of_commit(store: Store, token: Token, request: Request) -> Answer:
    need(token, "read", "contents")
    id = request.values["commit_sha"]
    if store.kind(id) != "commit":
        raise Problem(422, f"No commit found for SHA: {id}")

    def brought(pull: PullRequest) -> bool:
        head = store.head_of(pull)
        first = store.text("rev-list", "--first-parent", "--max-parents=0", pull.base).split()[0]
        return store.is_ancestor(id, head) and not store.is_ancestor(id, first)

    return paged([_pull(store, pull) for pull in store.pulls if brought(pull)], request)


_R = "/repos/{owner}/{repo}"
HANDLERS: dict[tuple[str, str], Handler] = {
    ("GET", "/user"): user,
    ("GET", f"{_R}/git/matching-refs/{{ref}}"): matching_refs,
    ("POST", f"{_R}/git/blobs"): add_blob,
    ("POST", f"{_R}/git/trees"): add_tree,
    ("POST", f"{_R}/git/commits"): add_commit,
    ("GET", f"{_R}/git/commits/{{commit_sha}}"): get_commit,
    ("POST", f"{_R}/git/refs"): add_ref,
    ("PATCH", f"{_R}/git/refs/{{ref}}"): move_ref,
    ("DELETE", f"{_R}/git/refs/{{ref}}"): delete_ref,
    ("GET", f"{_R}/issues/{{issue_number}}/comments"): list_comments,
    ("POST", f"{_R}/issues/{{issue_number}}/comments"): add_comment,
    ("PATCH", f"{_R}/issues/comments/{{comment_id}}"): edit_comment,
    ("POST", f"{_R}/issues/{{issue_number}}/labels"): add_labels,
    ("GET", f"{_R}/pulls"): list_pulls,
    ("POST", f"{_R}/pulls"): add_pull,
    ("PATCH", f"{_R}/pulls/{{pull_number}}"): edit_pull,
    ("GET", f"{_R}/commits"): list_commits,
    ("GET", f"{_R}/commits/{{commit_sha}}/pulls"): pulls_of_commit,
}


def paged(everything: list[Any], request: Request) -> Answer:
    """One page, and where the next one is. GitHub gives 30 unless asked, and 100 at most."""
    size = min(int(request.query.get("per_page", "30")), 100)
    page = int(request.query.get("page", "1"))
    headers = {}
    if page * size < len(everything):
        query = "&".join(f"{k}={v}" for k, v in request.query.items() if k != "page")
        last = -(-len(everything) // size)
        address = f"{request.url}?{query}&page="
        headers["Link"] = f'<{address}{page + 1}>; rel="next", <{address}{last}>; rel="last"'
    return Answer(200, everything[(page - 1) * size : page * size], headers)


# -- what objects look like ------------------------------------------------------------------------


def _ref(ref: str, id: str, request: Request) -> dict[str, Any]:
    return {
        "ref": ref,
        "node_id": "x",
        "url": request.url,
        "object": {"type": "commit", "sha": id, "url": request.url},
    }


def _commit(store: Store, id: str, request: Request) -> dict[str, Any]:
    found = store.object(id)
    assert found is not None
    about, _, message = found[1].decode().partition("\n\n")
    lines = [line.split(" ", 1) for line in about.splitlines()]
    return {
        "sha": id,
        "url": request.url,
        "message": message,
        "tree": {"sha": next(value for key, value in lines if key == "tree"), "url": request.url},
        "parents": [
            {"sha": value, "url": request.url, "html_url": request.url}
            for key, value in lines
            if key == "parent"
        ],
        "verification": {
            "verified": True,
            "reason": "valid",
            "signature": "s",
            "payload": "p",
            "verified_at": None,
        },
    }


def _user(login: str | None) -> dict[str, Any] | None:
    if login is None:
        return None
    return {"login": login, "id": 1, "type": "Bot" if login.endswith("[bot]") else "User"}


def _comment(store: Store, comment: Comment) -> dict[str, Any]:
    url = f"https://github.example/{store.name}/pull/{comment.issue}#issuecomment-{comment.id}"
    return {"id": comment.id, "body": comment.body, "user": _user(comment.author), "html_url": url}


def _label(name: str) -> dict[str, Any]:
    return {"id": 1, "name": name, "color": "ededed", "default": False, "description": "x"}


def _pull(store: Store, pull: PullRequest) -> dict[str, Any]:
    owner, name = store.name.split("/")
    head = store.head_of(pull)

    def side(branch: str, id: str) -> dict[str, Any]:
        repo = {"name": name, "full_name": store.name, "owner": _user(owner)}
        return {"ref": branch, "sha": id, "label": f"{owner}:{branch}", "repo": repo, "user": _user(owner)}

    return {
        "number": pull.number,
        "html_url": f"https://github.example/{store.name}/pull/{pull.number}",
        "title": pull.title,
        "body": pull.body or None,
        "state": "open" if pull.open else "closed",
        "merged_at": "2026-01-02T00:00:00Z" if pull.merged else None,
        "user": _user(pull.author),
        "head": side(pull.branch, head),
        "base": side(pull.base, store.tip(pull.base) or head),
        "labels": [_label(name) for name in pull.labels],
    }


def _pull_there(store: Store, number: int) -> PullRequest:
    for pull in store.pulls:
        if pull.number == number:
            return pull
    raise Problem(404, "Not Found")


def _allowed(store: Store, branch: str, id: str) -> None:
    if store.kind(id) != "commit":
        raise Problem(422, "Object does not exist")
    if branch in store.protected:
        raise Problem(
            422, "Repository rule violations found\n\nChanges must be made through a pull request.\n\n"
        )
    if not _is_branch_name(store, branch):
        raise Problem(422, f"refs/heads/{branch} is not a valid ref name.")


_NAMES: dict[str, bool] = {}


def _is_branch_name(store: Store, branch: str) -> bool:
    """What git says; asked once."""
    if branch not in _NAMES:
        try:
            store.git("check-ref-format", f"refs/heads/{branch}")
            _NAMES[branch] = True
        except subprocess.CalledProcessError:
            _NAMES[branch] = False
    return _NAMES[branch]


def _not_too_long(body: str) -> None:
    if len(body) + sum(ord(character) > 0xFFFF for character in body) > 65_536:
        raise Problem(
            422,
            "Validation Failed",
            errors=[{"resource": "x", "code": "custom", "field": "body", "message": "body is too long"}],
        )
