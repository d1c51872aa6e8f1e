"""The shards that come next are fetched while those before are read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from ._errors import DlcacheError
from ._maps import ShardMaps

THREADS = 2

Coming = tuple[ShardMaps, int]
"""A shard, by its number among those of a dataset."""

logger = logging.getLogger("dlcache")


class Ahead:
    """Fetches what it is told, by threads of its own. What fails is left to the reader, who will want it anyway."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(THREADS, "dlcache-ahead")
        self._lock = threading.Lock()
        self._asked: frozenset[Coming] = frozenset()

    def ask(self, shards: Sequence[Coming]) -> None:
        """These shards will be wanted soon, the first ones first."""
        with self._lock:
            new = [shard for shard in shards if shard not in self._asked]
            self._asked = frozenset(shards)
        for shard in new:
            self._pool.submit(self._attempt, *shard)

    def close(self) -> None:
        """Begin no more, and wait for those under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _attempt(self, maps: ShardMaps, shard: int) -> None:
        try:
            maps.prefetch(shard)
        except DlcacheError as error:
            logger.debug("a shard was not fetched ahead: %s", error)
