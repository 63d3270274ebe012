"""Evaluate what an event is about, and write what may be written: a commit, a pull request, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from converger.errors import EXIT_OK, EXIT_REFUSED, EXIT_UNEVALUATED, ConvergerError
from converger.github.api import GitHub, Pull
from converger.github.comment import LIMIT, bounded
from converger.github.commit import commit_to_branch
from converger.github.evaluate import Evaluation, Evaluator
from converger.github.events import Branch, Evaluate, MergeGroup, PullRequest, Subject
from converger.github.failures import NotPermitted
from converger.github.fixrequest import (
    Request,
    close_request,
    merges_digest,
    message_with_trailer,
    open_request,
)
from converger.github.marker import make_marker
from converger.github.merged import (
    Change,
    Merged,
    change_of,
    look_at_branch,
    look_at_commit,
    merge_pull_request,
)
from converger.github.repository import ScratchRepository
from converger.github.settings import Settings
from converger.github.wording import fill, title, words_for
from converger.report.result import Looked, Result, Written


@dataclass(frozen=True)
class Done:
    """What was found, and what was written of it.

    `failure` is why something that should have been written was not; `notes` are things that hinder nothing.
    """

    evaluation: Evaluation
    written: Written | None = None
    not_written: str | None = None
    pull: Pull | None = None
    failure: ConvergerError | None = None
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 · 1: several heads that nothing was written for, or refused · 2 and 3: as the reason says.

        A base that has several heads already is not this pull request's doing, where they fit together.
        """
        found = self.evaluation
        if found.outcome.status != "would-merge":
            return found.exit_code
        if self.written is not None or found.situation == "base-forked":
            return EXIT_OK
        if self.failure is not None and not isinstance(self.failure, NotPermitted):
            return self.failure.exit_code or EXIT_UNEVALUATED
        return EXIT_REFUSED


@dataclass(frozen=True)
class Writer:
    """Carries a decision out. `result` makes a Result of what was done so far, for the body of a pull request."""

    settings: Settings
    decision: Evaluate
    evaluator: Evaluator
    github: GitHub | None
    configuration: str
    result: Callable[[Done], Result]

    def run(self) -> Done:
        """Evaluate, and write. Raises what fetching raises; a write that fails is part of what was done."""
        decision, github = self.decision, self.github
        if decision.write == "commit" and github is not None and decision.target is not None:
            return self._commit(github, decision.target)
        subject = decision.subject
        with self.evaluator.look(lambda repository: bring(repository, subject, subject.head)) as found:
            if decision.write == "nothing" or github is None:
                return Done(found, not_written=decision.why_not)
            return self._request(github, found)

    # -- mode: commit ------------------------------------------------------------------------------

    def _commit(self, github: GitHub, target: str) -> Done:
        subject = self.decision.subject
        seen: list[Evaluation] = []

        def propose(head: str) -> Change | None:
            with self.evaluator.look(lambda repository: bring(repository, subject, head)) as found:
                seen.append(found)
                if hindrance(found) is not None or found.outcome.status != "would-merge":
                    return None
                return change_of(found.merged, found.files, self._message(found))

        # An event can be old: a run that is started again, or one that waited behind another.
        head = subject.head
        with suppress(ConvergerError):
            head = github.tip(target) or head
        try:
            committed = commit_to_branch(github, target, head, propose)
        except ConvergerError as error:
            if not seen:
                raise
            return Done(seen[-1], not_written=error.message, failure=error)
        found = seen[-1]
        if committed.commit is None:
            return Done(found, not_written=hindrance(found))
        merged = replace(found, outcome=replace(found.outcome, status="merged"))
        base = found.merged.base
        brings = base.branch if base is not None and len(committed.commit.parents) > 1 else None
        return Done(merged, Written("commit", committed.branch, committed.commit.id, brings=brings))

    # -- mode: pull-request ------------------------------------------------------------------------

    def _request(self, github: GitHub, found: Evaluation) -> Done:
        target, branch = self.decision.target or "", self.decision.own_branch or ""
        if found.outcome.status == "converged":
            try:
                closed = close_request(github, branch, target, self.configuration)
            except ConvergerError as error:
                why = f"whether our pull request is still open is not known: {error.message}"
                return Done(found, notes=(why,))
            return Done(found, pull=closed.pull, notes=closed.notes)
        if found.outcome.status != "would-merge" or hindrance(found) is not None:
            return Done(found, not_written=hindrance(found))
        try:
            digest = merges_digest(found.files)
            message = message_with_trailer(self._message(found), digest, self.configuration)
            change = change_of(found.merged, found.files, message)
            heading = title(self.settings.inputs.pull_request_title, self._words(found))
            body = self._body(found, branch, digest)
            labels = self.settings.inputs.labels
            asked = open_request(github, Request(branch, target, change, heading, body, labels))
        except ConvergerError as error:
            return Done(found, not_written=error.message, failure=error)
        if asked.change in ("foreign", "declined") or asked.pull is None:
            return Done(found, not_written=asked.why, pull=asked.pull, notes=asked.notes)
        written = Written("pull-request", branch, asked.commit or "", asked.pull.number)
        return Done(found, written, pull=asked.pull, notes=asked.notes)

    def _body(self, found: Evaluation, branch: str, digest: str) -> str:
        """The text of the pull request; that the base moved on elsewhere is no news."""
        verdict = found.outcome.proof.verdict if found.outcome.proof is not None else ""
        marker = make_marker(self.configuration, f"{digest} {verdict}")
        text = bounded(
            self.result(Done(found, Written("pull-request", branch, ""))), LIMIT - len(f"\n{marker}\n")
        )
        return f"{text}\n{marker}\n"

    # -- texts -------------------------------------------------------------------------------------

    def _message(self, found: Evaluation) -> str:
        return fill(self.settings.inputs.commit_message, self._words(found))

    def _words(self, found: Evaluation) -> dict[str, str]:
        base = found.merged.base if found.merged.base is not None else found.merged.head
        return dict(words_for(base.branch, heads_apart(found), found.outcome.final_head))


def heads_apart(found: Evaluation) -> Sequence[str]:
    """The heads that are to be merged."""
    return [head for line in found.outcome.lines if line.merges for head in line.heads]


def hindrance(found: Evaluation) -> str | None:
    """Why merges that fit must not be written for this subject all the same."""
    if found.merged.conflicts:
        return "git cannot merge the base into the branch; that has to be done by hand first"
    if found.situation == "base-forked" and found.merged.base is not None:
        branch = found.merged.base.branch
        return f"{branch} has these heads without this pull request, and is the place to merge them"
    return None


def bring(repository: ScratchRepository, subject: Subject, head: str) -> Merged:
    """Fetch what an event is about, with `head` as a pull request's newest commit."""
    if isinstance(subject, PullRequest):
        return merge_pull_request(repository, subject.base_branch, Looked(head, subject.head_branch))
    if isinstance(subject, Branch):
        return look_at_branch(repository, subject.branch)
    assert isinstance(subject, MergeGroup)
    return look_at_commit(repository, subject.head, subject.base_branch)
