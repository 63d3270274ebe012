"""The Python library: one function, one result."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from converger.converge import converge
from converger.errors import ConvergerError, CouldNotEvaluate, Refused
from converger.outcome import DEFAULT_PROOF_BUDGET, DEFAULT_TIMEOUT, Options, Outcome, Silent
from converger.plan import Strategy


@dataclass(frozen=True)
class ConvergenceResult:
    """What converging did.

    `initial_heads` are the heads before; `merges_created` the ids of the merge revisions, in the order in
    which they build on each other (with `dry_run`: those that would be created); `final_head` the one head
    afterwards, None while deliberate lines of history remain apart; `outcome` everything else.
    """

    initial_heads: tuple[str, ...]
    merges_created: tuple[str, ...]
    final_head: str | None
    outcome: Outcome

    @property
    def already_converged(self) -> bool:
        """Whether there was nothing to merge."""
        return self.outcome.status == "converged"


class ConvergenceError(ConvergerError):
    """Merging was refused or could not be evaluated. `result` says what was found; nothing was written."""

    def __init__(self, error: ConvergerError, result: ConvergenceResult) -> None:
        super().__init__(error.message, code=error.code, hint=error.hint)
        self.exit_code = error.exit_code
        self.result = result


def converge_migrations(
    base_revision: str | None = None,
    config_path: str | Path | None = None,
    dry_run: bool = False,
    skip_validation: bool = False,
    verbose: bool = False,
    *,
    section: str = "alembic",
    strategy: Strategy = "pairwise",
    database_url: str | None = None,
    python: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    across_labels: bool = False,
    database_url_env: Sequence[str] = (),
    base_sql: str | Path | None = None,
    prepare: str | None = None,
    seed_sql: str | Path | None = None,
    flask_app: str | None = None,
    command: str | None = None,
    allow_network: bool = False,
    proof_budget: float = DEFAULT_PROOF_BUDGET,
    require_downgrade: bool = False,
) -> ConvergenceResult:
    """Find the heads, prove on scratch databases that they may be merged, and write the merge revisions.

    `base_revision` merges only heads that descend from it: a revision, a unique prefix, or a git commit,
    branch or tag. `config_path` is an ini file or pyproject.toml (default: as the command line finds it,
    from the current folder). `database_url` names a server on which scratch databases are made; no
    database that we did not create is touched. `timeout` is seconds for one revision, `proof_budget` for
    comparing orders. `verbose` prints progress to standard error. The other keywords are the options of
    `converge` of the same names (docs/command-line.md).

    Raises ConfigurationError (bad configuration), or ConvergenceError when merging was refused (its
    `exit_code` is 1) or could not be evaluated (3). In each case nothing was written.
    """
    options = Options(
        config=_path(config_path),
        section=section,
        from_revision=base_revision,
        strategy=strategy,
        dry_run=dry_run,
        skip_validation=skip_validation,
        database_url=database_url,
        python=python,
        env=dict(env or {}),
        timeout=timeout,
        across_labels=across_labels,
        database_url_env=tuple(database_url_env),
        base_sql=_path(base_sql),
        prepare=prepare,
        seed_sql=_path(seed_sql),
        flask_app=flask_app,
        command=command,
        allow_network=allow_network,
        proof_budget=proof_budget,
        require_downgrade=require_downgrade,
    )
    outcome = converge(options, _Printing() if verbose else Silent())
    result = ConvergenceResult(
        initial_heads=outcome.graph.heads if outcome.graph is not None else (),
        merges_created=tuple(file.merge.revision for file in outcome.files) if outcome.exit_code == 0 else (),
        final_head=outcome.final_head if outcome.exit_code == 0 else None,
        outcome=outcome,
    )
    if outcome.exit_code:
        raise ConvergenceError(outcome.reason or _verdict_as_error(outcome), result)
    return result


def _path(given: str | Path | None) -> Path | None:
    return Path(given) if given is not None else None


def _verdict_as_error(outcome: Outcome) -> ConvergerError:
    assert outcome.proof is not None
    verdict = outcome.proof.verdict
    if verdict == "unevaluated":
        return CouldNotEvaluate("the proof could not be run", code="unevaluated")
    first = outcome.proof.conflicts[0] if outcome.proof.conflicts else None
    text = f"the proof refuses to merge: {verdict}"
    if first is not None:
        text += f"; revisions {' and '.join(dict.fromkeys(first.revisions))}: {first.error or first.advice}"
    return Refused(text, code=verdict, hint=first.advice if first else None)


class _Printing:
    """Progress as plain lines on standard error."""

    def say(self, text: str) -> None:
        sys.stderr.write(text + "\n")

    def step(self, text: str, done: int, total: int) -> None:
        sys.stderr.write(f"[{done}/{total}] {text}\n")
