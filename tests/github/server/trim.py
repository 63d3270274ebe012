"""Makes `description.json` and `description-ghes.json` from GitHub's published OpenAPI description.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz
    python -m tests.github.server.trim package/generated/api.github.com.json tests/github/server/description.json
    python -m tests.github.server.trim package/generated/ghes-3.19.json tests/github/server/description-ghes.json

Only the operations that we use are kept, with the components that they need; texts and examples go. OpenAPI 3.0's
`nullable` becomes what JSON Schema says for it. Nothing else is changed: what a field must be is GitHub's word.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

_REPO = "/repos/{owner}/{repo}"
OPERATIONS = {
    "/user": ["get"],
    f"{_REPO}/git/matching-refs/{{ref}}": ["get"],
    f"{_REPO}/git/blobs": ["post"],
    f"{_REPO}/git/trees": ["post"],
    f"{_REPO}/git/commits": ["post"],
    f"{_REPO}/git/commits/{{commit_sha}}": ["get"],
    f"{_REPO}/git/refs": ["post"],
    f"{_REPO}/git/refs/{{ref}}": ["patch", "delete"],
    f"{_REPO}/issues/{{issue_number}}/comments": ["get", "post"],
    f"{_REPO}/issues/comments/{{comment_id}}": ["patch"],
    f"{_REPO}/issues/{{issue_number}}/labels": ["post"],
    f"{_REPO}/pulls": ["get", "post"],
    f"{_REPO}/pulls/{{pull_number}}": ["patch"],
    f"{_REPO}/commits": ["get"],
    f"{_REPO}/commits/{{commit_sha}}/pulls": ["get"],
}
_TEXTS = frozenset(
    {"description", "summary", "example", "examples", "externalDocs", "tags", "title", "deprecated"}
)


def trimmed(full: dict[str, Any]) -> dict[str, Any]:
    """The description with our operations only."""
    components: dict[str, dict[str, Any]] = {}
    paths = {
        path: {
            method: _clean(
                {
                    key: full["paths"][path][method].get(key)
                    for key in ("operationId", "parameters", "requestBody", "responses")
                    if key in full["paths"][path][method]
                }
            )
            for method in methods
        }
        for path, methods in OPERATIONS.items()
    }
    todo = _references(paths)
    while todo:
        reference = todo.pop()
        _, _, kind, name = reference.split("/")
        if name in components.setdefault(kind, {}):
            continue
        components[kind][name] = _clean(full["components"][kind][name])
        todo |= _references(components[kind][name])
    return {
        "openapi": full["openapi"],
        "info": {
            "title": full["info"]["title"],
            "version": full["info"]["version"],
            "license": full["info"]["license"],
            "x-source": f"npm package @octokit/openapi {full['info']['version']} (MIT), trimmed by trim.py",
        },
        "paths": paths,
        "components": {kind: dict(sorted(found.items())) for kind, found in sorted(components.items())},
    }


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(_references, value.values()))
    if isinstance(value, list):
        return set().union(*map(_references, value))
    return set()


def _clean(value: Any, names: bool = False) -> Any:
    """Without texts. `names`: the keys are names that somebody gave (properties), so none of them is a text."""
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {
        key: _clean(item, key in ("properties", "responses") and not names)
        for key, item in value.items()
        if names or not (key in _TEXTS or key.startswith("x-"))
    }
    if names or not found.pop("nullable", False):
        return found
    if isinstance(found.get("type"), str) and "enum" not in found:
        return {**found, "type": [found["type"], "null"]}
    return {"anyOf": [found, {"type": "null"}]}


if __name__ == "__main__":
    source, target = sys.argv[1:]
    found = trimmed(json.loads(Path(source).read_text("utf-8")))
    Path(target).write_text(json.dumps(found, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
