"""The readers of a version's shards: one in a process for each way to check, fetch and deliver them."""

from __future__ import annotations

import os
from collections.abc import Collection

from ._checks import Verify
from ._decimals import delivering
from ._fetch import Parts, RemoteShards, parts_to_fetch
from ._manifest import Decimals, Manifest
from ._shards import ShardReader
from ._store import Store

_Way = tuple[Verify, Parts | None, Decimals]


class ShardReaders:
    """Makes readers when they are first asked for, and keeps them. A fork makes its own."""

    def __init__(self, store: Store, manifest: Manifest) -> None:
        self._store, self._manifest = store, manifest
        self._made: tuple[int, dict[_Way, ShardReader]] | None = None

    def of(
        self, columns: Collection[int], level: Verify, decimals: Decimals = "float", *, pages: bool = False
    ) -> ShardReader:
        """The reader for these columns (their numbers), which checks so much of each shard and delivers decimals so.
        pages: PyArrow reads the files."""
        readers, remote = self._of_this_process, self._store.remote
        part = None if remote is None or level == "full" else parts_to_fetch(self._manifest, columns, pages=pages)
        reader = readers.get((level, part, decimals))
        if reader is None:
            fetched = None if remote is None else RemoteShards.of(remote, self._manifest, self._store.mirror, part)
            manifest = delivering(self._manifest, decimals)
            made = ShardReader(manifest, self._store, fetched=fetched, verify=level)
            reader = readers.setdefault((level, part, decimals), made)
        return reader

    @property
    def _of_this_process(self) -> dict[_Way, ShardReader]:
        if self._made is None or self._made[0] != os.getpid():
            self._made = (os.getpid(), {})
        return self._made[1]
