"""The shards that come next are fetched while those before are read."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from ._fetch import Wanted
from ._maps import ShardMaps

Coming = tuple[ShardMaps, int]
"""A shard, by its number among those of a dataset."""


class Ahead:
    """Asks for shards before they are needed. What fails is left to the reader, who will ask for it anyway."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: dict[Coming, Wanted | None] = {}

    def ask(self, shards: Sequence[Coming]) -> None:
        """These shards will be wanted soon, the first ones first."""
        with self._lock:
            before, self._asked = self._asked, {}
            for maps, number in shards:
                shard = maps, number
                self._asked[shard] = before.pop(shard) if shard in before else maps.prefetch(number)
            for shard, wanted in before.items():
                if wanted is not None and wanted.done:
                    wanted.close()
                elif wanted is not None:  # it is on its way, and may be needed right now
                    self._asked[shard] = wanted

    def close(self) -> None:
        """Abandon the fetches that have not ended."""
        with self._lock:
            for wanted in self._asked.values():
                if wanted is not None:
                    wanted.close()
            self._asked.clear()
