"""What a long run is doing, on standard error: a moving line on a terminal, else plain lines, sparingly."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from converger.report.visible import one_line

if TYPE_CHECKING:
    from rich.status import Status

_SLOW = 2.0
"""Seconds after which a person wants to know what is going on."""
_REPEAT = 10.0
"""Seconds between two plain lines about the steps of one long stage."""


class PlainProgress:
    """Plain lines for whatever takes longer than two seconds; silent for everything else.

    With `verbose` every stage is said at once. Use it as a context manager: it owns a timer. Steps may be
    said from several threads.
    """

    def __init__(
        self, stream: TextIO, *, verbose: bool = False, slow: float = _SLOW, repeat: float = _REPEAT
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._slow = slow
        self._repeat = repeat
        self._lock = threading.Lock()
        self._timer: threading.Timer | None = None
        self._last_line = time.monotonic()

    def say(self, text: str) -> None:
        """Begin a stage."""
        self._begin(one_line(text))

    def step(self, text: str, done: int, total: int) -> None:
        """Begin the step after the first `done` of `total`."""
        self._begin(f"{one_line(text)} ({done}/{total})")

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._cancel()

    def _begin(self, line: str) -> None:
        with self._lock:
            self._cancel()
            if self._verbose or time.monotonic() - self._last_line > self._repeat:
                self._write(line)
                return
            timer = threading.Timer(self._slow, lambda: self._late(timer, line))
            timer.daemon = True
            self._timer = timer
            timer.start()

    def _late(self, timer: threading.Timer, line: str) -> None:
        with self._lock:
            if self._timer is timer:
                self._timer = None
                self._write(line)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _write(self, line: str) -> None:
        self._last_line = time.monotonic()
        try:
            self._stream.write(f"{line} ...\n")
            self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads: the run goes on, its result is what counts.
            self._verbose = False


class TerminalProgress:
    """One moving line, gone when the run ends. rich is imported here and nowhere else."""

    def __init__(self, stream: TextIO, *, colour: bool) -> None:
        from rich.console import Console

        self._console = Console(file=stream, highlight=False, markup=False, no_color=not colour)
        self._status: Status | None = None
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Begin a stage."""
        self._show(one_line(text, 100))

    def step(self, text: str, done: int, total: int) -> None:
        """Begin the step after the first `done` of `total`."""
        self._show(f"{done}/{total} {one_line(text, 90)}")

    def __enter__(self) -> TerminalProgress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def _show(self, line: str) -> None:
        from rich.text import Text

        text = Text(line)
        with self._lock:
            if self._status is None:
                self._status = self._console.status(text)
                self._status.start()
            else:
                self._status.update(text)


AnyProgress = PlainProgress | TerminalProgress


def progress_for(stream: TextIO, *, verbose: bool, colour: bool) -> AnyProgress:
    """The progress that fits `stream`: moving on a terminal unless `verbose` asks for a log."""
    if stream.isatty() and not verbose:
        return TerminalProgress(stream, colour=colour)
    return PlainProgress(stream, verbose=verbose)
