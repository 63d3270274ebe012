"""What of a run must not be told: passwords in what we print, and our own environment to what we start."""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping

from converger.proof.urls import DatabaseUrl, parse_url, scrub

_TELLING_NAME = re.compile(
    r"PASSW|PASSPHRASE|PWD$|SECRET|TOKEN|CREDENTIAL|(API|ACCESS|PRIVATE)_?KEY", re.IGNORECASE
)
_SHORTEST = 5
"""Characters of a secret that is known by its variable's name only: `x`, `test` and `1` stand everywhere."""

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


class Secrets:
    """Passwords that are known, to be taken out of texts."""

    def __init__(self, urls: Iterable[str | None], variables: Mapping[str, str]) -> None:
        """`urls` are database URLs (what is none has no secret), `variables` those that the project's code gets."""
        candidates = [*urls, *variables.values()]
        self._urls = tuple(url for url in map(_url, candidates) if url is not None)
        self._words = tuple(
            value
            for name, value in variables.items()
            if _TELLING_NAME.search(name) and len(value) >= _SHORTEST and _url(value) is None
        )

    def hide(self, text: str) -> str:
        """The text with `***` for each of them, in every spelling that it can have."""
        for url in self._urls:
            text = scrub(text, url)
        for word in self._words:
            text = text.replace(word, "***")
        return text


def _url(text: str | None) -> DatabaseUrl | None:
    try:
        return parse_url(text or "")
    except ValueError:
        return None


@contextlib.contextmanager
def unreadable() -> Iterator[None]:
    """Within it no other process of our user can read our memory and environment, where the tokens are.

    Linux only: `/proc/<pid>/environ` and `mem` are then closed to all but those who may trace or measure any
    process (CAP_SYS_PTRACE, CAP_PERFMON), as root may outside of a container.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    before = _prctl(_PR_GET_DUMPABLE, 0)
    _prctl(_PR_SET_DUMPABLE, 0)
    try:
        yield
    finally:
        if before == 1:
            _prctl(_PR_SET_DUMPABLE, 1)


def _prctl(option: int, value: int) -> int:
    try:
        import ctypes

        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0))
    except (ImportError, OSError, AttributeError):
        return -1
