"""GitHub's published OpenAPI description: what a request may be, and what an answer must be."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator

_FOLDER = Path(__file__).parent
_SAMPLES = {
    "uri": "https://example.com/",
    "date-time": "2026-01-01T00:00:00Z",
    "email": "someone@example.com",
}


@dataclass(frozen=True)
class Operation:
    """One method of one path of the description, and the values in the path of a request."""

    method: str
    template: str
    values: dict[str, str]

    @property
    def name(self) -> str:
        return f"{self.method} {self.template.removeprefix('/repos/{owner}/{repo}')}"


class Description:
    """A description, ours being trimmed to the operations that are used (trim.py)."""

    def __init__(self, name: str) -> None:
        self._all = json.loads((_FOLDER / f"{name}.json").read_text("utf-8"))
        self._validators: dict[str, Draft202012Validator] = {}

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        found = []
        for template in self._all["paths"]:
            # A ref may have slashes; GitHub takes them as they are, and as %2F.
            pattern = re.sub(
                r"\\\{(\w+)\\\}",
                lambda m: f"(?P<{m[1]}>{'.+' if m[1] == 'ref' else '[^/]+'})",
                re.escape(template),
            )
            found.append((re.compile(pattern), template))
        return found

    @property
    def operations(self) -> list[tuple[str, str]]:
        return [(method.upper(), path) for path, methods in self._all["paths"].items() for method in methods]

    def operation(self, method: str, path: str) -> Operation | None:
        for pattern, template in self._paths:
            match = pattern.fullmatch(path)
            if match is not None and method.lower() in self._all["paths"][template]:
                values = {name: unquote(value) for name, value in match.groupdict().items()}
                return Operation(method, template, values)
        return None

    def request_problems(self, operation: Operation, query: dict[str, str], body: Any) -> list[str]:
        """What is wrong with a request: an unknown parameter or field, a wrong type, something missing."""
        about = self._about(operation)
        problems = []
        known: dict[tuple[str, str], Any] = {}
        for parameter in map(self._resolved, about.get("parameters", [])):
            known[parameter["in"], parameter["name"]] = parameter["schema"]
        given = {("path", name): value for name, value in operation.values.items()}
        given |= {("query", name): value for name, value in query.items()}
        for key, text in given.items():
            if key not in known:
                problems.append(f"{operation.name}: there is no parameter {key}")
                continue
            value = int(text) if known[key].get("type") == "integer" and text.isdecimal() else text
            problems += self._problems(f"{operation.name} {key}", known[key], value)
        content = about.get("requestBody", {}).get("content", {}).get("application/json")
        if body is None:
            return problems
        if content is None:
            return [*problems, f"{operation.name}: takes no body"]
        schema = content["schema"]
        if isinstance(body, dict) and "properties" in schema:
            problems += [f"{operation.name}: no field {x}" for x in body if x not in schema["properties"]]
        return problems + self._problems(f"{operation.name} body", schema, body)

    def completed(self, operation: Operation, status: int, body: Any) -> Any:
        """An answer with what the description wants in it beside what a test is about."""
        schema = self._response(operation, status)
        return body if schema is None else self._complete(schema, body)

    def response_problems(self, operation: Operation, status: int, body: Any) -> list[str]:
        schema = self._response(operation, status)
        if schema is None:
            return []
        return self._problems(f"{operation.name} {status}", schema, body)

    # -- inside ------------------------------------------------------------------------------------

    def _about(self, operation: Operation) -> dict[str, Any]:
        return self._all["paths"][operation.template][operation.method.lower()]  # type: ignore[no-any-return]

    def _response(self, operation: Operation, status: int) -> Any:
        response = self._about(operation)["responses"].get(str(status))
        if response is None:
            return None
        return self._resolved(response).get("content", {}).get("application/json", {}).get("schema")

    def _resolved(self, value: Any) -> Any:
        while "$ref" in value:
            _, _, kind, name = value["$ref"].split("/")
            value = self._all["components"][kind][name]
        return value

    def _problems(self, where: str, schema: Any, value: Any) -> list[str]:
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            self._validators[key] = Draft202012Validator({**schema, "components": self._all["components"]})
        return [
            f"{where} {error.json_path}: {error.message[:200]}"
            for error in self._validators[key].iter_errors(value)
        ]

    def _complete(self, schema: Any, value: Any) -> Any:
        schema = self._chosen(schema, value)
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            missing = [name for name in schema.get("required", []) if name not in value]
            found = {name: self._complete(properties.get(name, {}), one) for name, one in value.items()}
            return found | {name: self._sample(properties[name]) for name in missing}
        if isinstance(value, list):
            return [self._complete(schema.get("items", {}), one) for one in value]
        return value

    def _chosen(self, schema: Any, value: Any) -> Any:
        schema = self._resolved(schema)
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                choices = [self._resolved(one) for one in schema[key]]
                wanted = (
                    {"properties"}
                    if isinstance(value, dict)
                    else {"items"}
                    if isinstance(value, list)
                    else set()
                )
                return self._chosen(next((one for one in choices if wanted <= set(one)), choices[0]), value)
        return schema

    def _sample(self, schema: Any) -> Any:
        schema = self._resolved(schema)
        for key in ("anyOf", "oneOf"):
            if key in schema:
                if {"type": "null"} in schema[key]:
                    return None
                schema = self._resolved(schema[key][0])
        if "allOf" in schema:
            schema = self._resolved(schema["allOf"][0])
        kinds = schema.get("type", "object" if "properties" in schema else "null")
        if isinstance(kinds, list):
            return None if "null" in kinds else self._sample({**schema, "type": kinds[0]})
        if "enum" in schema:
            return schema["enum"][0]
        if kinds == "object":
            return {name: self._sample(schema["properties"][name]) for name in schema.get("required", [])}
        samples = {"string": "x", "integer": 1, "number": 1, "boolean": False, "array": [], "null": None}
        return _SAMPLES.get(schema.get("format", ""), samples[kinds])


@cache
def description(name: str) -> Description:
    return Description(name)
