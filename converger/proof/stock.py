"""Clones made ahead of their use and dropped behind it, so that no upgrade waits for either."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from converger.proof.scratch import Scratch, Server


class Stock:
    """Hands out clones of one scratch database. May be used from several threads; `close` it."""

    def __init__(self, server: Server, source: Scratch, *, expected: int, ahead: int) -> None:
        """`expected` is how many will be taken, `ahead` how many are made before anybody asks."""
        self._server = server
        self._source = source
        self._to_make = expected
        self._lock = threading.Lock()
        self._keeper = ThreadPoolExecutor(
            max_workers=1
        )  # one: a server makes one copy of a database at a time
        self._ready: deque[Future[Scratch]] = deque()
        for _ in range(ahead):
            self._order()

    def take(self) -> Scratch:
        """A clone, for the caller alone. Raises what making it raised."""
        with self._lock:
            if not self._ready:  # more than expected: somebody tries again
                self._to_make += 1
                self._order()
            clone = self._ready.popleft()
            self._order()
        return clone.result()

    def give_back(self, scratch: Scratch) -> None:
        """Have it dropped, some time."""
        self._keeper.submit(self._server.drop, scratch)

    def close(self) -> None:
        """Finish what is under way. Clones that nobody took go with the server's other leftovers."""
        self._keeper.shutdown(wait=True, cancel_futures=True)

    def _order(self) -> None:
        if self._to_make:
            self._to_make -= 1
            self._ready.append(self._keeper.submit(self._server.clone, self._source))
