"""Copies made ahead of their use and dropped behind it, so that no upgrade waits for either."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor

from converger.proof.sites import Site, Sites


class Stock:
    """Hands out copies of one site. May be used from several threads; `close` it."""

    def __init__(self, sites: Sites, source: Site, *, expected: int, ahead: int) -> None:
        """`expected` is how many will be taken, `ahead` how many are made before anybody asks."""
        self._sites = sites
        self._source = source
        self._to_make = expected
        self._lock = threading.Lock()
        # One thread: a server makes one copy of a database at a time.
        self._keeper = ThreadPoolExecutor(max_workers=1)
        self._ready: deque[Future[Site]] = deque()
        for _ in range(ahead):
            self._order()

    def take(self) -> Site:
        """A copy, for the caller alone. Raises what making it raised."""
        with self._lock:
            if not self._ready:  # more than expected: somebody tries again
                self._to_make += 1
                self._order()
            copy = self._ready.popleft()
            self._order()
        return copy.result()

    def give_back(self, site: Site) -> None:
        """Have it dropped, some time."""
        self._keeper.submit(self._sites.drop, site)

    def close(self) -> None:
        """Finish what is under way. Copies that nobody took go with the server's other leftovers."""
        self._keeper.shutdown(wait=True, cancel_futures=True)

    def _order(self) -> None:
        if self._to_make:
            self._to_make -= 1
            self._ready.append(self._keeper.submit(self._sites.clone, self._source))
