"""The statement that runs now, where it can be read when this process hangs or is killed.

In shared memory, not behind a file descriptor: the project's code may close what it does not know, and the
number would then belong to a file of its own.
"""

import mmap
import os
import struct

SIZE = 4096
_LENGTH = struct.Struct("<I")  # of what follows; 0 while no statement runs


class Running:
    """Writes to a new file of SIZE bytes: a length, then so many bytes of the statement."""

    def __init__(self, path):
        number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            os.ftruncate(number, SIZE)
            self._memory = mmap.mmap(number, SIZE)
        finally:
            os.close(number)

    def begins(self, statement):
        data = statement[:SIZE].encode("utf-8", "replace")[: SIZE - _LENGTH.size]
        self._memory[_LENGTH.size : _LENGTH.size + len(data)] = data
        self._memory[: _LENGTH.size] = _LENGTH.pack(len(data))

    def ended(self):
        self._memory[: _LENGTH.size] = _LENGTH.pack(0)
