"""The shards that come next are fetched while those before are read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ._errors import DlcacheError

THREADS = 2

logger = logging.getLogger("dlcache")


class Ahead:
    """Fetches what it is told, by threads of its own. What fails is left to the reader, who will want it anyway."""

    def __init__(self, fetch: Callable[[int], None]) -> None:
        self._fetch = fetch
        self._pool = ThreadPoolExecutor(THREADS, "dlcache-ahead")
        self._lock = threading.Lock()
        self._asked: frozenset[int] = frozenset()

    def ask(self, shards: Sequence[int]) -> None:
        """These shards will be wanted soon, the first ones first."""
        with self._lock:
            new = [shard for shard in shards if shard not in self._asked]
            self._asked = frozenset(shards)
        for shard in new:
            self._pool.submit(self._attempt, shard)

    def close(self) -> None:
        """Begin no more, and wait for those under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _attempt(self, shard: int) -> None:
        try:
            self._fetch(shard)
        except DlcacheError as error:
            logger.debug("a shard was not fetched ahead: %s", error)
