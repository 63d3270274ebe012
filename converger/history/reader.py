"""A tree and a project to a History. One bad file never hides the others; nothing is executed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from converger.history.checks import check
from converger.history.fastpath import Headers
from converger.history.files import Candidate, Search
from converger.history.halves import in_halves
from converger.history.model import History, Problem, Revision
from converger.history.onefile import Finding, Part, read_file
from converger.history.source import syntax_error
from converger.history.trees import Tree, WorkingTree

if TYPE_CHECKING:
    from converger.project import Project

CHECKED_BODIES = 500
"""How many revisions, counted from the heads down, have all of their file checked for syntax errors. Below
that, a body that Python cannot parse goes unnoticed if the header is of the common kind: it takes a
tenth of a millisecond each, and every real history that we know is shorter."""

_FORK_FILES = 1500
_FORK_BODIES = 100


def read_history(tree: Tree, project: Project) -> History:
    """Read all revisions of a project from a tree.

    Never raises for what a file contains: every finding is a Problem, sorted by path, line and code, the
    project's own included. A GitTree raises GitError if git cannot answer.
    """
    search = Search(tree, project)
    problems = [*project.problems, *search.problems]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a file's invalid escapes are not ours to report
        reading = _Reading(tree, search.candidates)
        problems += (Problem(*finding) for finding in reading.findings)
        checked = check(reading.revisions, reading.unusable)
        problems += checked.problems
        problems += _below(tree, search, checked.revisions)
        problems += reading.check_bodies(checked.revisions)
    return History(checked.revisions, tuple(sorted(problems, key=_place)))


def _below(tree: Tree, search: Search, revisions: Mapping[str, Revision]) -> list[Problem]:
    """What folders say that are not read; most projects have none."""
    if not search.unread:
        return []
    from converger.history.below import below_a_history, below_an_empty_history

    if search.candidates:
        return below_a_history(tree, search.unread, search.read, revisions)
    return below_an_empty_history(tree, search.unread)


def _place(problem: Problem) -> tuple[str, int, str, str]:
    return (problem.path or "", problem.line or 0, problem.code, problem.message)


class _Reading:
    """All files read: revisions in path order, findings, and which bodies are still unparsed."""

    def __init__(self, tree: Tree, candidates: list[Candidate]) -> None:
        self._tree = tree
        self._contents: dict[str, bytes] = {}
        """By path; only of a tree whose files cost a process to read again."""
        self._paths = {candidate[0]: candidate[1] for candidate in candidates}
        self.revisions: list[Revision] = []
        self.findings: list[Finding] = []
        self.unusable: set[str] = set()
        self._parsed: set[str] = set()
        for rows, findings, unusable, parsed in self._parts(candidates):
            self.revisions += [Revision(*row) for row in rows]
            self.findings += findings
            self.unusable.update(unusable)
            self._parsed.update(parsed)

    def _parts(self, candidates: list[Candidate]) -> list[Part]:
        if isinstance(self._tree, WorkingTree):
            return in_halves(self._read, candidates, at_least=_FORK_FILES)
        return [self._read(candidates, self._contents)]

    def _read(self, candidates: Sequence[Candidate], keep: dict[str, bytes] | None = None) -> Part:
        part: Part = ([], [], [], [])
        headers = Headers()
        for candidate, data in zip(candidates, self._tree.read_all([c[1] for c in candidates]), strict=True):
            if isinstance(data, OSError):
                text = f"It cannot be read: {data.strerror or data}"
                part[1].append(("unreadable-file", "error", text, candidate[0], None))
                continue
            if keep is not None:
                keep[candidate[1]] = data
            read_file(candidate[0], candidate[2], data, headers, part)
        return part

    def check_bodies(self, revisions: Mapping[str, Revision]) -> list[Problem]:
        """Syntax errors below the headers of the newest revisions."""
        newest = (revisions[id].path for id in _newest(revisions, CHECKED_BODIES))
        paths = [path for path in newest if path not in self._parsed]
        found: list[list[tuple[str, str, int | None]]] = in_halves(self._broken, paths, at_least=_FORK_BODIES)
        text = "Python cannot parse it: {}. The identifiers above it were read."
        return [
            Problem("syntax-error", "warning", text.format(message), path, line)
            for half in found
            for path, message, line in half
        ]

    def _broken(self, paths: Sequence[str]) -> list[tuple[str, str, int | None]]:
        found = []
        for path in paths:
            data = self._contents.get(self._paths[path])
            try:
                broken = syntax_error(self._tree.read(self._paths[path]) if data is None else data)
            except OSError:
                continue  # it was there a moment ago, and its header was read
            if broken is not None:
                found.append((path, broken.message, broken.line))
        return found


def _newest(revisions: Mapping[str, Revision], count: int) -> list[str]:
    """Heads first, then their parents, and so on."""
    below = {parent for revision in revisions.values() for parent in revision.down_revisions}
    level = sorted(id for id in revisions if id not in below)
    seen = set(level)
    newest: list[str] = []
    while level and len(newest) < count:
        newest += level
        parents = {parent for id in level for parent in revisions[id].down_revisions if parent in revisions}
        level = sorted(parents - seen)
        seen.update(level)
    return newest[:count]
