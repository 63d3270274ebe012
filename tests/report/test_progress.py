"""Progress: silent while things are quick, plain lines when they are not, harmless always."""

from __future__ import annotations

import io
import threading
import time

from converger.report.progress import PlainProgress, TerminalProgress, progress_for


def wait_until(done: object, stream: io.StringIO) -> None:
    end = time.monotonic() + 10
    while str(done) not in stream.getvalue():
        assert time.monotonic() < end, stream.getvalue()
        time.sleep(0.01)


def test_quick_things_are_not_mentioned() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, slow=30) as progress:
        progress.say("starting PostgreSQL")
        for number in range(5):
            progress.step("from base", number, 5)
    assert stream.getvalue() == ""


def test_slow_things_get_one_plain_line() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, slow=0.05) as progress:
        progress.say("starting \x1b[31mPostgreSQL\nnow")
        wait_until("PostgreSQL", stream)
        time.sleep(0.2)
        progress.step("from base", 1, 5)
        wait_until("from base", stream)
    assert stream.getvalue() == "starting \\x1b[31mPostgreSQL now ...\nfrom base (1/5) ...\n"


def test_nothing_is_said_after_the_end() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, slow=0.1) as progress:
        progress.say("too late")
    time.sleep(0.3)
    assert stream.getvalue() == ""


def test_many_quick_steps_are_mentioned_now_and_then() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, slow=30, repeat=0.1) as progress:
        for number in range(30):
            progress.step("from base", number, 30)
            time.sleep(0.02)
    assert 2 <= stream.getvalue().count("\n") <= 7


def test_verbose_says_everything_at_once() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, verbose=True) as progress:
        progress.say("one")
        progress.step("two", 0, 2)
    assert stream.getvalue() == "one ...\ntwo (0/2) ...\n"


def test_a_closed_stream_does_not_end_the_run() -> None:
    stream = io.StringIO()
    stream.close()
    with PlainProgress(stream, verbose=True) as progress:
        progress.say("one")


def test_steps_may_come_from_several_threads() -> None:
    stream = io.StringIO()
    with PlainProgress(stream, verbose=True) as progress:
        threads = [
            threading.Thread(target=lambda: [progress.step("x", n, 50) for n in range(50)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 200
    assert all(line.startswith("x (") and line.endswith("/50) ...") for line in lines)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_one_moving_line_that_is_gone_at_the_end() -> None:
    stream = Terminal()
    progress = progress_for(stream, verbose=False, colour=True)
    assert isinstance(progress, TerminalProgress)
    with progress:
        progress.say("starting [bold]\x1b]0;owned\x07")
        time.sleep(0.3)
        progress.step("from base", 1, 5)
        time.sleep(0.3)
    text = stream.getvalue()
    # Brackets are no markup, and the repository's escape sequence is shown instead of sent.
    assert "starting [bold]\\x1b]0;owned\\x07" in text
    assert "\x1b]0;" not in text
    assert "1/5 from base" in text
    assert text.rstrip().endswith("\x1b[2K"), "the line is erased"


def test_plain_lines_where_a_moving_one_would_be_in_the_way() -> None:
    assert isinstance(progress_for(io.StringIO(), verbose=False, colour=False), PlainProgress)
    assert isinstance(progress_for(Terminal(), verbose=True, colour=True), PlainProgress)
