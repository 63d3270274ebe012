"""Work side by side on the scratch databases: how many at once, and how it ends when something goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

LANES = 2
"""Upgrades that run side by side, each on its own database: one for each core of a CI machine."""


@contextmanager
def lanes(stop: Callable[[], None]) -> Iterator[ThreadPoolExecutor]:
    """Threads for the time of the block; none of them is left after it.

    On any exception, also Ctrl-C, what has not begun is dropped and `stop` is called before the wait: it ends the
    workers, because a migration that runs must not be waited for.
    """
    pool = ThreadPoolExecutor(max_workers=LANES)
    try:
        yield pool
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
