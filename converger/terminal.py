"""Where output goes and how a run is stopped: streams, colour, signals. Knows nothing of migrations."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import FrameType
from typing import TextIO

from converger.report.look import Look, glyphs_for
from converger.report.visible import runner_safe


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Colour only on a terminal that can show it, and never against NO_COLOR (https://no-color.org)."""
    if environment.get("NO_COLOR") or environment.get("TERM") == "dumb":
        return False
    try:
        return stream.isatty()
    except (OSError, ValueError):
        return False


def look_for(stream: TextIO, environment: Mapping[str, str]) -> Look:
    """The look that fits a stream: its encoding and whether it is a terminal."""
    return Look(glyphs_for(getattr(stream, "encoding", None)), wants_colour(stream, environment))


def emit(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Write lines to a stream (standard output by default) whatever its encoding; see `emit_bytes`.

    Text from a repository may be anywhere in them: none becomes a command to a GitHub runner.
    """
    target = stream if stream is not None else sys.stdout
    encoding = getattr(target, "encoding", None) or "utf-8"
    text = "".join(f"{runner_safe(line)}\n" for line in lines)
    emit_bytes(text.encode(encoding, "backslashreplace"), target)


def emit_bytes(data: bytes, stream: TextIO | None = None) -> None:
    """Write bytes. When nobody reads any more (`| head`), go on in silence: the answer is the exit code."""
    target = stream if stream is not None else sys.stdout
    try:
        target.flush()
        target.buffer.write(data)
        target.buffer.flush()
    except BrokenPipeError:
        # The interpreter flushes once more at exit and would complain about the same pipe.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, target.fileno())
            os.close(null)


@contextlib.contextmanager
def clean_stop() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into SystemExit, so that every clean-up runs before the process ends.

    A second SIGTERM or SIGHUP, also one after Ctrl-C (GitHub cancels a job with SIGINT and then SIGTERM),
    does not disturb a clean-up that is under way.
    """
    stopping = False

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal stopping
        if stopping:
            return
        stopping = True
        if number == signal.SIGINT:
            # A second Ctrl-C is a person who does not want to wait.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt
        raise SystemExit(128 + number)

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # What was ignored before (nohup, a shell's background job) stays ignored.
        if signal.getsignal(number) is signal.SIG_IGN:
            continue
        with contextlib.suppress(ValueError):  # not the main thread
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
