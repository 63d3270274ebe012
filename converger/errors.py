"""One taxonomy of errors: a stable code, what happened, what to do next, and the exit code.

Exit codes are the contract of the command line: 0 converged or merges written, 1 more than one
head or the proof refused, 2 bad configuration or usage, 3 could not evaluate.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_REFUSED = 1
EXIT_USAGE = 2
EXIT_UNEVALUATED = 3


class ConvergerError(Exception):
    """What every error of ours that is meant for a user derives from.

    `code` is kebab-case and stable, `message` says what happened, `hint` what to do next.
    Both are plain text; they may contain text from the repository, so whoever prints them escapes.
    """

    exit_code = EXIT_USAGE

    def __init__(self, message: str, *, code: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.hint = hint


class ConfigurationError(ConvergerError):
    """The options or the Alembic configuration cannot be used as they are (exit 2)."""

    exit_code = EXIT_USAGE


class Refused(ConvergerError):
    """We looked, and merging would be wrong (exit 1)."""

    exit_code = EXIT_REFUSED


class CouldNotEvaluate(ConvergerError):
    """We could not look: never to be read as "fine" (exit 3)."""

    exit_code = EXIT_UNEVALUATED
