"""What the reading of SQL text shares between dialects: a buffer over a file, comments, strings. See `sqltext`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

BLOCK = 1 << 20

_SPACE = re.compile(rb"\s*")
_NESTED = re.compile(rb"/\*|\*/")
# Up to the closing quote, where a backslash escapes. Written so that it cannot backtrack far.
_ESCAPED = {
    quote: re.compile(rb"[^%b\\]*(?:\\.[^%b\\]*)*%b" % (quote, quote, quote), re.S) for quote in (b"'", b'"')
}


class Readable(Protocol):
    """A file that is open for reading, as far as we need it."""

    def read(self, size: int, /) -> bytes:
        """Up to `size` bytes; none at the end."""


@dataclass(frozen=True)
class Statement:
    """One statement without its terminator, or one command to the client program (`\\connect`, `.read`).

    `line` is 1-based and is that of its first byte. `data` are the lines of a COPY in blocks, to be read
    before the next statement is asked for; they begin in `data_line`.
    """

    sql: bytes
    line: int
    command: bool = False
    data: Iterator[bytes] | None = None
    data_line: int = 0

    @property
    def text(self) -> str:
        """The statement to be shown; what is not UTF-8 is replaced."""
        return self.sql.decode("utf-8", "replace")


class SplitError(Exception):
    """The text cannot be taken apart: `reason`, and the 1-based `line` in which that begins."""

    def __init__(self, reason: str, line: int) -> None:
        super().__init__(f"line {line}: {reason}")
        self.reason = reason
        self.line = line


class Splitter:
    """Reads blocks. `_start` is where the statement begins in the buffer, `_pos` how far it is understood."""

    nested_comments = False
    first_comment: re.Pattern[bytes] | None = None
    last_comment = b""
    """How the first and the last comment of a dump begin, if the dump program writes such."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._buffer = b""
        self._start = self._pos = 0
        self._line = 1
        self._ended = False
        self._terminator = b";"
        self._unfinished: str | None = None

    def statements(self) -> Iterator[Statement]:
        if self._peek(3) == b"\xef\xbb\xbf":
            self._start = self._pos = 3
        while self._skip_blank():
            line = self._line
            command = self._command()
            if command is not None:
                if command:
                    yield Statement(command, line, command=True)
                continue
            self._scan()
            end = self._pos
            sql = self._buffer[self._start : end].rstrip()
            self._pos = min(end + len(self._terminator), len(self._buffer))
            self._advance()
            if b"\0" in sql:
                raise SplitError("there is a NUL byte: this is no SQL text", line)
            yield from self._finish(sql, line)
        if self._unfinished:
            raise SplitError(self._unfinished, self._line)

    # -- for the dialects

    def _scan(self) -> None:
        """Move `_pos` to the terminator of the statement that begins at `_start`, or to the end."""
        raise NotImplementedError

    def _command(self) -> bytes | None:
        """Take a command to the client program off the text; None if here is none, b"" to pass over it."""
        return None

    def _is_line_comment(self, head: bytes) -> bool:
        return head.startswith(b"--")

    def _is_comment(self, head: bytes) -> bool:
        return head.startswith(b"/*")

    def _finish(self, sql: bytes, line: int) -> Iterator[Statement]:
        yield Statement(sql, line)

    # -- the buffer

    def _more(self) -> bool:
        """Read on, and forget what is before `_start`. False at the end of the text."""
        if self._ended:
            return False
        kept = self._buffer[self._start :]
        # As much again as there is: a statement that is long is not looked at from its beginning too often.
        block = self._stream.read(max(BLOCK, len(kept)))
        self._ended = not block
        self._buffer = kept + block
        self._pos -= self._start
        self._start = 0
        return bool(block)

    def _peek(self, count: int) -> bytes:
        while len(self._buffer) - self._pos < count and self._more():
            pass
        return self._buffer[self._pos : self._pos + count]

    def _advance(self) -> None:
        self._line += self._buffer.count(b"\n", self._start, self._pos)
        self._start = self._pos

    def _line_at(self, offset: int) -> int:
        """The line of what is `offset` bytes behind the beginning of the statement."""
        return self._line + self._buffer.count(b"\n", self._start, self._start + offset)

    # -- parts of the text

    def _skip_blank(self) -> bool:
        """Go to the first byte of the next statement. False if there is none."""
        while True:
            found = _SPACE.match(self._buffer, self._pos)
            assert found is not None
            self._pos = found.end()
            self._advance()
            if self._pos == len(self._buffer):
                if not self._more():
                    return False
                continue
            head = self._peek(4)
            if self._is_line_comment(head):
                self._notice(self._peek(60))
                self._skip_line()
            elif self._is_comment(head):
                self._skip_comment()
            elif self._peek(len(self._terminator)) == self._terminator:
                self._pos += len(self._terminator)
            else:
                return True

    def _notice(self, comment: bytes) -> None:
        """See whether it is the first or the last line that a dump program writes."""
        if self.first_comment is None:
            return
        if comment.startswith(self.last_comment):
            self._unfinished = None
        elif self.first_comment.match(comment):
            last = self.last_comment.decode()
            self._unfinished = f"the dump is cut off: its last line, “{last}”, is missing"

    def _skip_line(self) -> None:
        """Go to the end of the line, not beyond it."""
        while (end := self._buffer.find(b"\n", self._pos)) < 0:
            self._pos = len(self._buffer)
            if not self._more():
                return
        self._pos = end

    def _take_line(self) -> bytes:
        """Take the rest of the line off the text."""
        self._skip_line()
        line = self._buffer[self._start : self._pos]
        self._advance()
        return line.strip()

    def _skip_comment(self) -> None:
        """Go behind the comment that begins at `_pos`."""
        opened = self._pos - self._start
        self._pos += 2
        depth = 1
        while depth:
            found = _NESTED.search(self._buffer, self._pos)
            if found is None:
                # A slash or a star at the very end may be half of what is looked for.
                self._pos = max(self._pos, len(self._buffer) - 1)
                if not self._more():
                    raise SplitError("a comment begins here and does not end", self._line_at(opened))
            else:
                self._pos = found.end()
                if found.group() == b"*/":
                    depth -= 1
                elif self.nested_comments:
                    depth += 1
                else:
                    self._pos -= 1  # "/*/": the star may belong to the end

    def _skip_quoted(self, quote: bytes, *, escapes: bool = False, what: str = "a string") -> None:
        """Go behind the closing `quote`; `_pos` is behind the opening one. Doubled ones end and begin again."""
        opened = self._pos - self._start
        while True:
            if escapes:
                found = _ESCAPED[quote].match(self._buffer, self._pos)
                if found:
                    self._pos = found.end()
                    return
            elif (end := self._buffer.find(quote, self._pos)) >= 0:
                self._pos = end + len(quote)
                return
            if not self._more():
                raise SplitError(f"{what} begins here and does not end", self._line_at(opened))

    def _next(self, events: re.Pattern[bytes]) -> bytes:
        """Go to the next of `events` and return it; b"" at the end of the text."""
        while True:
            found = events.search(self._buffer, self._pos)
            if found is not None and (self._ended or found.end() < len(self._buffer)):
                self._pos = found.start()
                return found.group()
            if not self._more() and found is None:  # a word at the very end may have gone on
                self._pos = len(self._buffer)
                return b""

    def _skip_if_comment(self) -> None:
        """Go behind the comment that begins at `_pos`, or over the one byte if it is none."""
        head = self._peek(4)
        if self._is_line_comment(head):
            self._skip_line()
        elif head.startswith(b"/*"):
            self._skip_comment()
        else:
            self._pos += 1
