"""The bytes of one revision file to one row of data, or to findings that say why not."""

from __future__ import annotations

import re
from typing import Literal

from converger.history.fastpath import Headers
from converger.history.identifiers import ABSENT, Computed, Identifiers, read_identifiers
from converger.history.source import Broken, parse

Row = tuple[
    str, tuple[str, ...], tuple[str, ...], tuple[str, ...], str, str, str | None, frozenset[str], int | None
]
"""The fields of a `Revision`, in its order. Plain, because it may come from another process."""

Finding = tuple[str, Literal["error", "warning"], str, str | None, int | None]
"""The fields of a `Problem`, in its order."""

Part = tuple[list[Row], list[Finding], list[str], list[str]]
"""What a number of files gave: rows; findings; ids of files that exist but make no row (naming one as
parent is no second finding); paths of the files of which all was parsed."""

_LEGACY_NAME = re.compile(r"([a-f0-9]+)\.py$")
_ILLEGAL = frozenset("@-+:")
_KEYWORDS = frozenset({"head", "heads", "base"})
"""What Alembic's commands take for something else than a revision id."""

_CREATE_DATE = re.compile(r"^[ \t]*Create Date:[ \t]*(\S[^\n]*?)[ \t]*$", re.MULTILINE)
_DATE_ELSEWHERE = re.compile(rb"^[ \t#]*Create Date:[ \t]*([!-~](?:[ -~]*[!-~])?)[ \t]*\r?$", re.MULTILINE)
_NOTHING: frozenset[str] = frozenset()

_ADVICE = {
    "revision": "; write the id as a plain string.",
    "down_revision": "; write the parents as plain strings.",
    "branch_labels": ". The branch counts as labelled.",
    "depends_on": ". Which heads count as effective is uncertain.",
}


def read_file(path: str, name: str, data: bytes, headers: Headers, part: Part) -> None:
    """Add to `part` what one file gives. `path` is how it is shown, `name` its own name."""
    header = headers.read(data)
    if header is None or not header[0] or not _ILLEGAL.isdisjoint(header[0]) or header[0] in _KEYWORDS:
        _File(path, name, part).read(data)
        return
    id, parents, labels, needs, doc, line = header
    message, create_date = described(doc)
    if create_date is None:
        create_date = _date_elsewhere(data)
    if needs == ("",):
        needs = ()
    part[0].append((id, parents, needs, labels, path, message, create_date, _NOTHING, line))


def described(doc: str | None) -> tuple[str, str | None]:
    """The message as `alembic history` shows it, and the text behind "Create Date:"."""
    if not doc:
        return "", None
    message = doc.strip()
    end = message.find("\n\n")
    if end >= 0:
        message = message[:end].rstrip()
    create_date = _CREATE_DATE.search(doc) if "Create Date:" in doc else None
    return message, create_date[1] if create_date else None


def _date_elsewhere(data: bytes) -> str | None:
    """A "Create Date:" line outside the docstring: below a licence and imports the string is none (Neutron)."""
    match = _DATE_ELSEWHERE.search(data) if b"Create Date:" in data else None
    return match[1].decode("ascii") if match else None


class _File:
    """One file of the uncommon kind."""

    def __init__(self, path: str, name: str, part: Part) -> None:
        self._path = path
        self._name = name
        self._rows, self._findings, self._unusable, self._parsed = part

    def read(self, data: bytes) -> None:
        self._parsed.append(self._path)
        source = parse(data)
        if source.broken is not None:
            self._broken(source.broken, header_read=source.tree is not None)
        if source.tree is None:
            return
        try:
            found = read_identifiers(source.tree)
        except RecursionError:
            self._found("unreadable-file", "error", "It is nested too deeply to be read.", None)
            return
        self._revision(found, data)

    def _revision(self, found: Identifiers, data: bytes) -> None:
        id = self._id(found)
        parents = self._parents(found, id)
        computed: set[str] = set()
        labels = self._names(found, "branch_labels", computed)
        needs = self._names(found, "depends_on", computed)
        if id is None:
            return
        if parents is None:
            self._unusable.append(id)
            return
        message, create_date = described(found.doc)
        create_date = create_date or _date_elsewhere(data)
        line = found.lines.get("down_revision")
        row = (id, parents, needs, labels, self._path, message, create_date, frozenset(computed), line)
        self._rows.append(row)

    def _id(self, found: Identifiers) -> str | None:
        value = found.revision
        if isinstance(value, Computed):
            self._computed("revision", value)
            return None
        if value is ABSENT:
            return self._id_from_name(found)
        if not isinstance(value, str) or not value or not _ILLEGAL.isdisjoint(value) or value in _KEYWORDS:
            self._invalid("revision", value, found.lines.get("revision"))
            return None
        return value

    def _id_from_name(self, found: Identifiers) -> str | None:
        """Alembic before 0.2 took the id from the file name, and Alembic still does."""
        match = _LEGACY_NAME.match(self._name)
        if match:
            return match[1]
        if found.down_revision is ABSENT:
            text = "It has neither `revision` nor `down_revision`. Alembic refuses such a file; keep helpers elsewhere."
            self._found("not-a-revision", "warning", text, None)
        else:
            text = "It has a `down_revision` but no `revision`."
            self._found("missing-revision", "error", text, found.lines.get("down_revision"))
        return None

    def _parents(self, found: Identifiers, id: str | None) -> tuple[str, ...] | None:
        value = found.down_revision
        if isinstance(value, Computed):
            self._computed("down_revision", value)
            return None
        if value is ABSENT:
            if id is not None:
                text = "It has no `down_revision`, without which Alembic cannot load it. A base has `None`."
                self._found("missing-down-revision", "error", text, found.lines.get("revision"))
            return None
        parents = _as_strings(value)
        if parents is None:
            self._invalid("down_revision", value, found.lines.get("down_revision"))
        return parents

    def _names(self, found: Identifiers, field: str, computed: set[str]) -> tuple[str, ...]:
        value = getattr(found, field)
        if value is ABSENT:
            return ()
        if isinstance(value, Computed):
            self._computed(field, value)
            computed.add(field)
            return ()
        names = _as_strings(value)
        if names is None:
            self._invalid(field, value, found.lines.get(field))
            computed.add(field)
            return ()
        return () if field == "depends_on" and names == ("",) else names

    def _computed(self, field: str, value: Computed) -> None:
        severity: Literal["error", "warning"] = (
            "error" if field in ("revision", "down_revision") else "warning"
        )
        text = f"`{field}` cannot be known without running the file: {value.why}{_ADVICE[field]}"
        self._found("computed-identifier", severity, text, value.line)

    def _invalid(self, field: str, value: object, line: int | None) -> None:
        """A value that Alembic does not take. (Labels leave the graph usable.)"""
        text = f"`{field}` is {_short(value)}, which Alembic does not accept."
        if field == "revision" and isinstance(value, str) and value:
            text += (
                " A revision id has none of the characters @ - + and colon, and is no word like head or base."
            )
        self._found("invalid-identifier", "warning" if field == "branch_labels" else "error", text, line)

    def _broken(self, broken: Broken, *, header_read: bool) -> None:
        text = f"Python cannot parse it: {broken.message}."
        if header_read:
            text += " The identifiers above it were read."
        self._found("syntax-error", "warning" if header_read else "error", text, broken.line)

    def _found(
        self, code: str, severity: Literal["error", "warning"], message: str, line: int | None
    ) -> None:
        self._findings.append((code, severity, message, self._path, line))


def _as_strings(value: object) -> tuple[str, ...] | None:
    """What Alembic makes of a literal (`to_tuple`, `tuple_rev_as_scalar`); None if it cannot be ids."""
    if value is None or value == (None,):
        return ()
    if isinstance(value, str):
        return (value,)
    if isinstance(value, tuple) and all(isinstance(part, str) for part in value):
        return value
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
