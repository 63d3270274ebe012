"""SQL text taken apart into statements, as psql, the mysql client and the sqlite3 shell do it.

Only what decides where a statement ends is understood: strings, quoted names, comments, dollar quotes,
`BEGIN ATOMIC`, triggers, `DELIMITER`, and the data below a `COPY … FROM stdin`. Bytes stay bytes: a dump
says itself in which encoding it is. Never more is held than the statement that is read, in blocks of a
megabyte.
"""

from __future__ import annotations

import io
import re
import sqlite3
from collections.abc import Iterator

from converger.proof.sqlsplitter import Readable, SplitError, Splitter, Statement

__all__ = ["SplitError", "Statement", "read_statements"]

_WORD_BYTE = re.compile(rb"[A-Za-z0-9_$\x80-\xff]")


def read_statements(data: bytes | Readable, dialect: str) -> Iterator[Statement]:
    """The statements of a text or of a file that is open for reading, one after the other.

    `dialect` is SQLAlchemy's name: postgresql, mysql, mariadb or sqlite. Empty statements are left out.
    Raises SplitError for text that ends within a string, a comment or COPY data.
    """
    stream: Readable = io.BytesIO(data) if isinstance(data, (bytes, bytearray)) else data
    splitter = {"postgresql": _Postgres, "sqlite": _Sqlite, "mysql": _MySQL, "mariadb": _MySQL}[dialect]
    return splitter(stream).statements()


class _Postgres(Splitter):
    """psql's rules (its psqlscan.l)."""

    nested_comments = True
    first_comment = re.compile(rb"-- PostgreSQL database dump\s")
    last_comment = b"-- PostgreSQL database dump complete"

    _IN_DATA = re.compile(rb"""['"$\\;/\-]""")
    _IN_DEFINITION = re.compile(
        rb"""['"$\\;/\-()]|(?<![\w$\x80-\xff])(?:begin|case|end)(?![\w$\x80-\xff])""", re.IGNORECASE
    )
    _CREATE = re.compile(rb"create\b", re.IGNORECASE)
    _ROUTINE = re.compile(rb"create\s+(?:or\s+replace\s+)?(?:function|procedure)\b", re.IGNORECASE)
    _DOLLAR = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$")
    _END_OF_DATA = re.compile(rb"\\\.(?:\n|\r\n|\r?\Z)")
    _FROM_STDIN = re.compile(rb"copy\b.*\bfrom\s+stdin\b", re.IGNORECASE | re.DOTALL)
    _STANDARD_STRINGS = re.compile(
        rb"set\s+(?:session\s+|local\s+)?standard_conforming_strings\s*(?:=|to)\s*'?(\w+)", re.IGNORECASE
    )

    def __init__(self, stream: Readable) -> None:
        super().__init__(stream)
        self._plain_strings_escape = False

    def _command(self) -> bytes | None:
        return self._take_line() if self._peek(1) == b"\\" else None

    def _scan(self) -> None:
        head = self._peek(40)
        events = self._IN_DEFINITION if self._CREATE.match(head) else self._IN_DATA
        routine = bool(self._ROUTINE.match(head))
        depth = blocks = 0
        while event := self._next(events):
            if event == b";":
                if not depth and not blocks:
                    return
                self._pos += 1
            elif event == b"'":
                escapes = self._plain_strings_escape or self._has_prefix_e()
                self._pos += 1
                self._skip_quoted(b"'", escapes=escapes)
            elif event == b'"':
                self._pos += 1
                self._skip_quoted(b'"', what="a quoted name")
            elif event == b"$":
                self._skip_dollar()
            elif event in b"-/":
                self._skip_if_comment()
            elif event == b"\\":
                line = self._line_at(self._pos - self._start)
                raise SplitError("a psql command within a statement; only SQL can be loaded", line)
            elif event == b"(":
                depth += 1
                self._pos += 1
            elif event == b")":
                depth = max(depth - 1, 0)
                self._pos += 1
            else:
                self._pos += len(event)
                if routine and not depth:
                    word = event.lower()
                    if word == b"begin" or (word == b"case" and blocks):
                        blocks += 1
                    elif word == b"end" and blocks:
                        blocks -= 1

    def _has_prefix_e(self) -> bool:
        at = self._pos - 1
        if at < self._start or self._buffer[at : at + 1] not in (b"e", b"E"):
            return False
        return at == self._start or not _WORD_BYTE.match(self._buffer, at - 1)

    def _skip_dollar(self) -> None:
        if self._pos > self._start and _WORD_BYTE.match(self._buffer, self._pos - 1):
            self._pos += 1  # within a name
            return
        self._peek(130)  # a name has 63 bytes at most
        found = self._DOLLAR.match(self._buffer, self._pos)
        if found is None:
            self._pos += 1
            return
        self._pos = found.end()
        self._skip_quoted(found.group(), what="a dollar-quoted string")

    def _finish(self, sql: bytes, line: int) -> Iterator[Statement]:
        setting = self._STANDARD_STRINGS.match(sql)
        if setting:
            self._plain_strings_escape = setting.group(1).lower() in (b"off", b"false", b"no", b"0")
        if not self._FROM_STDIN.match(sql):
            yield Statement(sql, line)
            return
        rest = self._take_line()
        if rest and not rest.startswith(b"--"):
            raise SplitError("behind a COPY … FROM stdin nothing may stand in the same line", self._line)
        self._pos = min(self._pos + 1, len(self._buffer))
        self._advance()
        data = self._copy_data(self._line)
        yield Statement(sql, line, data=data, data_line=self._line)
        for _ in data:  # what the caller did not read
            pass

    def _copy_data(self, line: int) -> Iterator[bytes]:
        while True:
            # Here `_start` is at the beginning of a line.
            if self._END_OF_DATA.match(self._peek(4)):
                self._skip_line()
                self._advance()
                return
            end = self._buffer.find(b"\n\\.", self._start)
            if end < 0:
                end = self._buffer.rfind(b"\n", self._start)
            if end < 0:
                if not self._more():
                    raise SplitError("the data of a COPY begin here and do not end with \\.", line)
                continue
            self._pos = end + 1
            block = self._buffer[self._start : self._pos]
            self._advance()
            yield block


class _Sqlite(Splitter):
    """The sqlite3 shell's rules."""

    _EVENTS = re.compile(rb"""['"`\[;/\-]""")
    _CREATE = re.compile(rb"(?:explain\s+)?create\b", re.IGNORECASE)

    def _command(self) -> bytes | None:
        head = self._peek(1)
        if head == b"#":  # a comment for the shell, not for SQLite
            self._take_line()
            return b""
        return self._take_line() if head == b"." else None

    def _scan(self) -> None:
        create = bool(self._CREATE.match(self._peek(40)))
        while event := self._next(self._EVENTS):
            if event == b";":
                if not create or self._is_complete():
                    return
                self._pos += 1
            elif event in b"-/":
                self._skip_if_comment()
            else:
                self._pos += 1
                what = "a string" if event == b"'" else "a quoted name"
                self._skip_quoted(b"]" if event == b"[" else event, what=what)

    def _is_complete(self) -> bool:
        """A trigger holds statements of its own: SQLite itself says whether this semicolon ends it."""
        # Bytes beyond ASCII are parts of names, whichever they are.
        return sqlite3.complete_statement(self._buffer[self._start : self._pos + 1].decode("latin-1"))


class _MySQL(Splitter):
    """The rules of the mysql and mariadb clients."""

    first_comment = re.compile(rb"-- (?:MySQL|MariaDB) dump ")
    last_comment = b"-- Dump completed"

    _DELIMITER = re.compile(rb"delimiter\b", re.IGNORECASE)
    _SANDBOX = re.compile(rb"/\*M?!999999\s*\\-[^*\n]*\*/")
    # What the client itself obeys at the beginning of a line. None of it begins a statement of the server.
    _CLIENT = re.compile(
        rb"\\|(?:use|source|system|connect|tee|notee|pager|nopager|charset|warnings|nowarning|prompt|rehash"
        rb"|status|edit|go|ego|print|quit|exit|clear|resetconnection)(?![\w$.(])",
        re.IGNORECASE,
    )
    _SQL_MODE = re.compile(rb"(?:/\*M?!\d*\s*)?set\b[^;]*\bsql_mode\b", re.IGNORECASE)

    def __init__(self, stream: Readable) -> None:
        super().__init__(stream)
        self._escapes = True
        self._set_terminator(b";")

    def _set_terminator(self, terminator: bytes) -> None:
        self._terminator = terminator
        self._events = re.compile(re.escape(terminator) + rb"""|['"`#\-/]""")

    def _is_line_comment(self, head: bytes) -> bool:
        # Unlike elsewhere `--` needs a space behind it: 5--3 is 8.
        return head.startswith(b"#") or (head.startswith(b"--") and (len(head) == 2 or head[2] <= 32))

    def _is_comment(self, head: bytes) -> bool:
        return head.startswith(b"/*") and not head.startswith((b"/*!", b"/*M!"))

    def _command(self) -> bytes | None:
        head = self._peek(80)
        sandbox = self._SANDBOX.match(head)
        if sandbox:
            self._pos += sandbox.end()
            self._advance()
            return b""
        if self._DELIMITER.match(head):
            line = self._line
            words = self._take_line().split()
            if len(words) < 2:
                raise SplitError("DELIMITER names none", line)
            self._set_terminator(words[1].strip(b"'\""))
            return b""
        if not self._CLIENT.match(head):
            return None
        self._skip_line()
        end = self._buffer.find(self._terminator, self._start, self._pos)
        self._pos = end if end >= 0 else self._pos
        command = self._buffer[self._start : self._pos]
        self._advance()
        return command.strip()

    def _scan(self) -> None:
        while event := self._next(self._events):
            if event == self._terminator:
                return
            if event in (b"'", b'"'):
                self._pos += 1
                self._skip_quoted(event, escapes=self._escapes)
            elif event == b"`":
                self._pos += 1
                self._skip_quoted(b"`", what="a quoted name")
            elif self._peek(4).startswith((b"/*!", b"/*M!")):
                self._pos += 3  # the server runs what is inside: read it as if it were not in a comment
            else:
                self._skip_if_comment()

    def _finish(self, sql: bytes, line: int) -> Iterator[Statement]:
        if self._SQL_MODE.match(sql):
            self._escapes = b"NO_BACKSLASH_ESCAPES" not in sql.upper()
        yield Statement(sql, line)
