"""What a project's code prints: only the end is of use, and the folder may be in memory."""

import os

LONGEST = 16 * 1024 * 1024
KEPT = 64 * 1024


def keep_short(path):
    """Leave only the end of a file that has become too long; whoever writes to it appends.

    Not by a limit that the kernel enforces (RLIMIT_FSIZE): that would hold for SQLite databases too.
    """
    try:
        if os.stat(path).st_size <= LONGEST:
            return
        number = os.open(path, os.O_RDWR | os.O_APPEND)
    except OSError:  # not there yet
        return
    try:
        size = os.fstat(number).st_size
        end = os.pread(number, KEPT, max(0, size - KEPT))
        os.ftruncate(number, 0)
        os.write(number, end)
    finally:
        os.close(number)
