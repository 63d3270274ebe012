"""One call to GitHub: attempts, waits, and what became of an attempt whose answer was lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from converger.errors import ConvergerError
from converger.github.failures import Failure, failure_of, failure_without_answer

T = TypeVar("T")


@dataclass(frozen=True)
class Patience:
    """How long one call may take: a limit for each silence of the server, attempts, and waits between them.

    `longest` is the longest wait that a rate limit may ask for. `say` is told what is being waited for.
    """

    seconds: int = 20
    waits: tuple[float, ...] = (1.0, 4.0)
    longest: float = 90.0
    sleep: Callable[[float], None] = time.sleep
    say: Callable[[str], None] = field(default=lambda text: None)


@dataclass(frozen=True)
class Caller:
    """Makes calls with a patience. No error that it raises shows the token, or holds an exception that does."""

    patience: Patience
    token: str = field(repr=False)

    def call(self, what: str, attempt: Callable[[], T], done: Callable[[], T | None] | None = None) -> T:
        """`attempt`, repeated where that may help. `done` gives the result of an attempt whose answer was lost."""
        patience = self.patience
        for wait in (*patience.waits, None):
            failure: Failure
            try:
                return attempt()
            except ConvergerError:
                raise
            except Exception as error:
                failure = self._failure(what, error)
            # From here on no exception is on its way: theirs hold the request, and with it the token.
            pause = max(wait or 0.0, failure.wait or 0.0)
            last = wait is None or not failure.again or pause > patience.longest
            if not last:
                patience.say(f"{failure.error.message}; trying again in {pause:.0f} s")
                patience.sleep(pause)
            if failure.unknown and done is not None:
                found = done()
                if found is not None:
                    return found
            if last:
                raise failure.error
        raise AssertionError("the last attempt gives or raises")

    def _failure(self, what: str, error: Exception) -> Failure:
        from github import GithubException
        from requests import RequestException

        if isinstance(error, GithubException) and isinstance(error.status, int) and error.status >= 400:
            data = self._clean(error.data)
            return failure_of(what, error.status, data, error.headers or {}, time.time())
        if isinstance(error, RequestException):
            return failure_without_answer(what, f"no answer from GitHub ({type(error).__name__})")
        return failure_without_answer(what, f"GitHub's answer makes no sense ({type(error).__name__})")

    def _clean(self, value: Any) -> Any:
        """An answer without the token, should a server (or a proxy) repeat it."""
        if isinstance(value, str):
            return value.replace(self.token, "***")
        if isinstance(value, list):
            return [self._clean(one) for one in value]
        if isinstance(value, dict):
            return {key: self._clean(one) for key, one in value.items()}
        return value
