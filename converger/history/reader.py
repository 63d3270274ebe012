"""A tree and a project to a History. One bad file never hides the others; nothing is executed."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, NamedTuple

from converger.history.checks import check
from converger.history.fastpath import read_header
from converger.history.files import Candidate, Search
from converger.history.identifiers import ABSENT, Computed, Identifiers, read_identifiers
from converger.history.model import History, Problem, Revision
from converger.history.source import Broken, Source, parse, syntax_error
from converger.history.trees import Tree

if TYPE_CHECKING:
    from converger.project import Project

CHECKED_BODIES = 500
"""How many revisions, counted from the heads down, have all of their file checked for syntax errors. Below
that, a body that Python cannot parse goes unnoticed if the header is of the common kind: it takes a
tenth of a millisecond each, and every real history that we know is shorter."""

_LEGACY_NAME = re.compile(r"([a-f0-9]+)\.py$")
_ILLEGAL = frozenset("@-+:")
_CREATE_DATE = re.compile(r"^[ \t]*Create Date:[ \t]*(\S[^\n]*?)[ \t]*$", re.MULTILINE)

_HELP = {
    "revision": "write the id as a plain string",
    "down_revision": "write the parents as plain strings",
}


class _Read(NamedTuple):
    """All that was read, before the files are looked at together."""

    revisions: list[Revision]
    problems: list[Problem]
    unchecked: dict[str, bytes]
    """Bytes, by path, of the files whose body nobody has parsed yet."""
    unusable: set[str]
    """Ids of files that exist but make no Revision: naming one as parent is no second finding."""


def read_history(tree: Tree, project: Project) -> History:
    """Read all revisions of a project from a tree.

    Never raises for what a file contains: every finding is a Problem, sorted by path, line and code.
    """
    search = Search(tree, project)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file's invalid escapes are not ours to report
        read = _read_all(tree, search.candidates)
        read.problems.extend(project.problems)
        read.problems.extend(search.problems)
        history = check(read.revisions, read.unusable)
        read.problems.extend(history.problems)
        read.problems.extend(_check_bodies(history.revisions, read.unchecked))
    return History(history.revisions, tuple(sorted(read.problems, key=_place)))


def _place(problem: Problem) -> tuple[str, int, str, str]:
    return (problem.path or "", problem.line or 0, problem.code, problem.message)


def _read_all(tree: Tree, candidates: list[Candidate]) -> _Read:
    read = _Read([], [], {}, set())
    contents = tree.read_all([candidate.path for candidate in candidates])
    for candidate, data in zip(candidates, contents, strict=True):
        if isinstance(data, OSError):
            reason = data.strerror or str(data)
            read.problems.append(
                Problem("unreadable-file", "error", f"It cannot be read: {reason}", candidate.shown)
            )
            continue
        header = read_header(data)
        if header is None:
            _File(candidate, read).read(parse(data))
        elif not header.revision or not _ILLEGAL.isdisjoint(header.revision):
            _File(candidate, read).invalid("revision", header.revision, None)
        else:
            message, create_date = _described(header.doc)
            read.revisions.append(
                Revision(
                    header.revision,
                    header.down_revisions,
                    header.depends_on if header.depends_on != ("",) else (),
                    header.branch_labels,
                    candidate.shown,
                    message,
                    create_date,
                    line=header.line,
                )
            )
            read.unchecked[candidate.shown] = data
    return read


def _described(doc: str | None) -> tuple[str, str | None]:
    """The message as `alembic history` shows it, and the text behind "Create Date:"."""
    if not doc:
        return "", None
    create_date = _CREATE_DATE.search(doc) if "Create Date:" in doc else None
    return doc.strip().split("\n\n", 1)[0].strip(), create_date[1] if create_date else None


class _File:
    """One file of the uncommon kind."""

    def __init__(self, candidate: Candidate, read: _Read) -> None:
        self._candidate = candidate
        self._read = read

    def read(self, source: Source) -> None:
        if source.broken is not None:
            self._broken(source.broken, "warning" if source.tree is not None else "error")
        if source.tree is None:
            return
        try:
            found = read_identifiers(source.tree)
        except RecursionError:
            self._problem("unreadable-file", "error", "It is nested too deeply to be read.", None)
            return
        self._revision(found)

    def _revision(self, found: Identifiers) -> None:
        id = self._id(found)
        parents = self._parents(found, id)
        computed: set[str] = set()
        labels = self._names(found, "branch_labels", computed)
        needs = self._names(found, "depends_on", computed)
        if id is None:
            return
        if parents is None:
            self._read.unusable.add(id)
            return
        message, create_date = _described(found.doc)
        self._read.revisions.append(
            Revision(
                id,
                parents,
                needs,
                labels,
                self._candidate.shown,
                message,
                create_date,
                frozenset(computed),
                found.lines.get("down_revision"),
            )
        )

    def _id(self, found: Identifiers) -> str | None:
        value = found.revision
        if isinstance(value, Computed):
            self._computed("revision", value)
            return None
        if value is ABSENT:
            return self._id_from_name(found)
        if not isinstance(value, str) or not value or not _ILLEGAL.isdisjoint(value):
            self.invalid("revision", value, found.lines.get("revision"))
            return None
        return value

    def _id_from_name(self, found: Identifiers) -> str | None:
        """Alembic before 0.2 took the id from the file name, and Alembic still does."""
        match = _LEGACY_NAME.match(self._candidate.name)
        if match:
            return match[1]
        if found.down_revision is ABSENT:
            text = (
                "It defines neither `revision` nor `down_revision`. "
                "Alembic refuses to load such a file; keep helpers elsewhere."
            )
            self._problem("not-a-revision", "warning", text, None)
        else:
            text = "It defines `down_revision` but no `revision`."
            self._problem("missing-revision", "error", text, found.lines.get("down_revision"))
        return None

    def _parents(self, found: Identifiers, id: str | None) -> tuple[str, ...] | None:
        value = found.down_revision
        line = found.lines.get("down_revision")
        if isinstance(value, Computed):
            self._computed("down_revision", value)
            return None
        if value is ABSENT:
            if id is not None:
                text = "It defines no `down_revision`; Alembic cannot load it. A base has `down_revision = None`."
                self._problem("missing-down-revision", "error", text, found.lines.get("revision"))
            return None
        parents = _as_strings(value)
        if parents is None:
            self.invalid("down_revision", value, line)
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
            self.invalid(field, value, found.lines.get(field))
            computed.add(field)
            return ()
        return () if field == "depends_on" and names == ("",) else names

    def _computed(self, field: str, value: Computed) -> None:
        if field == "branch_labels":
            text = f"`{field}` cannot be read without running the file: {value.why}. The branch counts as labelled."
            self._problem("computed-identifier", "warning", text, value.line)
        elif field == "depends_on":
            text = f"`{field}` cannot be read without running the file: {value.why}. Effective heads are uncertain."
            self._problem("computed-identifier", "warning", text, value.line)
        else:
            text = f"`{field}` cannot be read without running the file: {value.why}; {_HELP[field]}."
            self._problem("computed-identifier", "error", text, value.line)

    def invalid(self, field: str, value: object, line: int | None) -> None:
        """A value that Alembic does not take. (Labels leave the graph usable.)"""
        text = f"`{field}` is {_short(value)}, which Alembic does not accept."
        if field == "revision" and isinstance(value, str) and value:
            text += " A revision id contains none of @, -, + and a colon."
        severity = "warning" if field == "branch_labels" else "error"
        self._problem("invalid-identifier", severity, text, line)

    def _broken(self, broken: Broken, severity: str) -> None:
        text = f"Python cannot parse it: {broken.message}."
        if severity == "warning":
            text += " The identifiers above it were read."
        self._problem("syntax-error", severity, text, broken.line)

    def _problem(self, code: str, severity: str, message: str, line: int | None) -> None:
        assert severity in ("error", "warning")
        kind = "error" if severity == "error" else "warning"
        self._read.problems.append(Problem(code, kind, message, self._candidate.shown, line))  # type: ignore[arg-type]


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


def _check_bodies(revisions: dict[str, Revision], unchecked: dict[str, bytes]) -> list[Problem]:
    """Syntax errors below the headers of the newest revisions, heads first, then their parents, and so on."""
    below = {parent for revision in revisions.values() for parent in revision.down_revisions}
    level = sorted(id for id in revisions if id not in below)
    seen = set(level)
    problems: list[Problem] = []
    checked = 0
    while level and checked < CHECKED_BODIES:
        for id in level[: CHECKED_BODIES - checked]:
            checked += 1
            path = revisions[id].path
            broken = syntax_error(unchecked[path]) if path in unchecked else None
            if broken is not None:
                text = f"Python cannot parse it: {broken.message}. The identifiers above it were read."
                problems.append(Problem("syntax-error", "warning", text, path, broken.line))
        parents = {parent for id in level for parent in revisions[id].down_revisions if parent in revisions}
        level = sorted(parents - seen)
        seen.update(level)
    return problems
