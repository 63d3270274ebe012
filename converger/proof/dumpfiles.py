"""A dump as it lies on the disk: what kind of file it is, and its bytes as plain SQL."""

from __future__ import annotations

import bz2
import codecs
import contextlib
import gzip
import lzma
import os
import re
import shlex
import shutil
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from converger.errors import ConfigurationError
from converger.folders import run_folder

DAMAGED = (EOFError, zlib.error, lzma.LZMAError, UnicodeError, OSError)
"""What reading a compressed or re-encoded file raises where it is damaged."""

SQLITE_MAGIC = b"SQLite format 3\0"
_HEAD = 4096
_MADE_BY = (
    (re.compile(rb"^-- PostgreSQL database (?:cluster )?dump", re.M), "postgresql", "a PostgreSQL dump"),
    (re.compile(rb"^(?:-- (?:MySQL|MariaDB) dump |/\*M!999999)", re.M), "mysql", "a MySQL or MariaDB dump"),
    (re.compile(rb"\APRAGMA foreign_keys=OFF;"), "sqlite", "a SQLite dump"),
)
_FAMILY = {"mariadb": "mysql"}


@dataclass(frozen=True)
class DumpFile:
    """An opened dump: either `sql`, to be read from its beginning, or the path of a SQLite `database`."""

    sql: BinaryIO | None = None
    database: str | None = None


@contextlib.contextmanager
def open_dump(path: str, dialect: str) -> Iterator[DumpFile]:
    """Open a dump for a server of `dialect`: plain SQL in any Unicode encoding, or a SQLite database file.

    Either may be compressed by gzip, bzip2 or xz. Raises ConfigurationError `dump-unreadable` for all else.
    """
    if os.path.isdir(path):
        if os.path.exists(os.path.join(path, "toc.dat")):
            raise _needs_pg_restore(path, "a folder that pg_dump made (--format=directory)")
        raise _unreadable(path, "it is a folder")
    with contextlib.ExitStack() as stack:
        try:
            if os.path.exists(path) and not os.path.isfile(path):
                raise _unreadable(path, "it is no regular file, and it may have to be read twice")
            raw = stack.enter_context(open(path, "rb"))
            stream, compressed = _decompressed(raw, stack)
            head = stream.read(_HEAD)
            stream.seek(0)
        except FileNotFoundError:
            raise _unreadable(path, "there is no such file") from None
        except DAMAGED as error:
            said = getattr(error, "strerror", None)
            raise _unreadable(path, said or f"it is damaged ({error})") from None
        _refuse_formats(path, head)
        if head.startswith(SQLITE_MAGIC):
            if dialect != "sqlite":
                raise _unreadable(path, f"it is a SQLite database, and the proof runs on {dialect}")
            yield DumpFile(database=_unpacked(path, stream, stack) if compressed else path)
            return
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            # What PowerShell's > makes of every program's output.
            stream = cast(BinaryIO, codecs.EncodedFile(stream, "utf-8", "utf-16"))
        else:
            _refuse_other_dialects(path, head, dialect)
        yield DumpFile(sql=stream)


def _decompressed(raw: BinaryIO, stack: contextlib.ExitStack) -> tuple[BinaryIO, bool]:
    magic = raw.read(6)
    raw.seek(0)
    opened: gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile
    if magic.startswith(b"\x1f\x8b"):
        opened = gzip.GzipFile(fileobj=raw)
    elif magic.startswith(b"BZh"):
        opened = bz2.BZ2File(raw)
    elif magic.startswith(b"\xfd7zXZ\0"):
        opened = lzma.LZMAFile(raw)  # noqa: SIM115 - the stack closes it
    else:
        return raw, False
    return cast(BinaryIO, stack.enter_context(opened)), True


def _unpacked(path: str, stream: BinaryIO, stack: contextlib.ExitStack) -> str:
    try:
        unpacked = os.path.join(stack.enter_context(run_folder()), "base.sqlite")
        with open(unpacked, "wb") as file:
            shutil.copyfileobj(stream, file)
    except DAMAGED as error:
        raise _unreadable(path, getattr(error, "strerror", None) or f"it is damaged ({error})") from None
    return unpacked


def _refuse_formats(path: str, head: bytes) -> None:
    if head.startswith(b"PGDMP"):
        raise _needs_pg_restore(path, "in pg_dump's custom format (--format=custom)")
    if head[257:262] == b"ustar":
        if head.startswith(b"toc.dat\0"):
            raise _needs_pg_restore(path, "a tar file that pg_dump made (--format=tar)")
        raise _unreadable(path, "it is a tar file", "Unpack it, and name the SQL file in it.")
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise _unreadable(path, "it is compressed by zstd", f"Run: zstd --decompress {shlex.quote(path)}")
    if head.startswith(b"PK\x03\x04"):
        raise _unreadable(path, "it is a zip file", "Unpack it, and name the SQL file in it.")


def _refuse_other_dialects(path: str, head: bytes, dialect: str) -> None:
    for pattern, family, what in _MADE_BY:
        if pattern.search(head) and family != _FAMILY.get(dialect, dialect):
            raise _unreadable(
                path,
                f"it is {what}, and the proof runs on {dialect}",
                "Name a server of that kind in --database-url, or make the dump on the other one.",
            )


def _needs_pg_restore(path: str, what: str) -> ConfigurationError:
    return _unreadable(
        path,
        f"it is {what}, which only pg_restore can read",
        f"Run pg_restore --file=base.sql {shlex.quote(path)} and name base.sql.",
    )


def _unreadable(path: str, why: str, hint: str | None = None) -> ConfigurationError:
    return ConfigurationError(
        f"{path} cannot be loaded: {why}.",
        code="dump-unreadable",
        hint=hint or "Name a plain SQL dump; docs/starting-points.md says how to make one.",
    )
