"""Rows from shards: any rows by their ids, or a range of rows as it lies in the file.

A row id is turned into (shard, row group, row) by arithmetic. A column whose chunks are all raw is gathered straight
from the mapped files, by one NumPy call over all of them; other columns come from decoded row groups.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._checks import Verify
from ._columns import ColumnReader, column_reader, row_alignment
from ._decode import Decoder
from ._fetch import RemoteShards
from ._gathered import Gathered, concatenate_gathered, empty, take_gathered
from ._manifest import Manifest
from ._maps import ShardMaps
from ._memory import BufferPool, read_pages
from ._memory_limit import memory_limit
from ._places import Places, RowGroups, Stretch
from ._raw_stack import RawStack
from ._row_copy import RowCopy
from ._store import Store
from ._values import Ragged, Value

Int64s = npt.NDArray[np.int64]

DECODED_BYTES = 256 << 20
_INT64 = np.dtype(np.int64)
SPARE_BYTES = 64 << 20
"""Of free buffers that are kept for the next batches, also of another iteration."""


class ShardReader:
    """The rows of one dataset version. Threads may share it. `decoded_bytes` bounds the decoded row groups it keeps.

    fetched: the shards where they are not local. verify: what of a shard is checked when it is first mapped.
    """

    def __init__(
        self,
        manifest: Manifest,
        store: Store,
        decoded_bytes: int = DECODED_BYTES,
        fetched: RemoteShards | None = None,
        verify: Verify = "open",
    ) -> None:
        self.manifest = manifest
        # Read in huge pages, a row brings megabytes: right where all of them find room in memory, and wrong elsewhere.
        huge = 2 * int(manifest.shards.bytes.sum()) <= (memory_limit() or 0)
        multiple = row_alignment(manifest)
        self.maps = ShardMaps(store, manifest, fetched=fetched, verify=verify, multiple=multiple, huge=huge)
        self.pool = BufferPool(SPARE_BYTES)
        self._decoder = Decoder(manifest, self.maps, decoded_bytes)
        self._readers: dict[int, ColumnReader] = {}
        shards = manifest.shards
        self.groups = RowGroups(shards.block_starts(0, len(shards)), shards.of_groups)
        self._stacks: dict[tuple[int, ...], RawStack | None] = {}
        self._row_copies: dict[Hashable, RowCopy] = {}
        self._copied_bytes = store.mirror.bytes

    def column(self, number: int) -> ColumnReader:
        reader = self._readers.get(number)
        if reader is None:
            reader = self._readers.setdefault(number, column_reader(self.manifest, number, self._decoder))
        return reader

    def locate(self, rows: Int64s, pool: BufferPool | None = None) -> Places:
        """Where these rows are (int64 ids, in any order, also repeated). Raises OptionError for ids that are none."""
        return self.groups.locate(rows, None if pool is None else pool.array((len(rows),), _INT64))

    def gather(self, places: Places, columns: Sequence[int], pool: BufferPool) -> dict[int, Gathered]:
        """The rows at these places, of these columns (their numbers)."""
        if not len(places):
            return {number: Gathered(empty(self.manifest.columns[number])) for number in columns}
        mapped = self.maps.all()
        if mapped is None:
            needed = np.flatnonzero(np.bincount(places.shard))
            if len(needed) > self.maps.limit:
                return self._gather_in_parts(places, needed, columns, pool)
            mapped = self.maps.require(needed)
        return {number: self.column(number).gather(places, mapped, pool) for number in columns}

    def stack_range(self, start: int, stop: int, columns: tuple[int, ...], pool: BufferPool) -> npt.NDArray[Any] | None:
        """Rows `start .. stop-1` of columns with one dtype, as [rows, columns]; None if they must be read singly."""
        stack = self._raw_stack(columns)
        if stack is None or start >= stop:
            return None
        out = pool.array((stop - start, len(columns)), stack.dtype)
        done = 0
        for at in self.groups.stretches(start, stop):
            rows = at.stop - at.start
            stack.turn(at.group, at.start, self.maps.file(at.shard), out[done : done + rows])
            done += rows
        return out

    def row_copy(self, key: Hashable, columns: int, dtype: np.dtype[Any]) -> RowCopy:
        """The copy by rows of so many columns of one dtype; `key` says which they are, and what becomes of nulls."""
        copy = self._row_copies.get(key)
        if copy is None:
            most = self._copied_bytes if self.maps.keeps else 0
            made = RowCopy(self.manifest.rows, columns, dtype, most)
            copy = self._row_copies.setdefault(key, made)
        return copy

    def _raw_stack(self, columns: tuple[int, ...]) -> RawStack | None:
        if columns not in self._stacks:
            entries = [self.manifest.columns[number] for number in columns]
            tables = [self.manifest.chunks[number] for number in columns]
            self._stacks[columns] = RawStack(entries, tables) if RawStack.fits(entries, tables) else None
        return self._stacks[columns]

    def _gather_in_parts(
        self, places: Places, needed: Int64s, columns: Sequence[int], pool: BufferPool
    ) -> dict[int, Gathered]:
        """More shards than may be mapped at once: some at a time, and then the rows put in order."""
        by_shard = np.argsort(places.shard, kind="stable")
        cuts = np.searchsorted(places.shard[by_shard], needed[self.maps.limit :: self.maps.limit])
        parts = [self.gather(places.at(part), columns, pool) for part in np.split(by_shard, cuts)]
        back = np.empty_like(by_shard)
        back[by_shard] = np.arange(len(by_shard))
        return {
            number: take_gathered(concatenate_gathered([part[number] for part in parts]), back) for number in columns
        }

    def spliced(self, start: int, stop: int, number: int, pool: BufferPool) -> Value | None:
        """Rows `start .. stop-1` of one column, copied in one piece from each row group; None if they must be
        gathered."""
        column = self.column(number)
        if start >= stop or not column.viewable or self.manifest.columns[number].storage == "ragged":
            return None
        parts: list[npt.NDArray[Any]] = []
        for at in self.groups.stretches(start, stop):
            part = column.view(at, self.maps.file(at.shard))
            assert isinstance(part, np.ndarray)
            parts.append(part)
        out = pool.array((sum(map(len, parts)), *parts[0].shape[1:]), parts[0].dtype)
        return np.concatenate(parts, out=out)

    def view(self, stretch: Stretch, private: npt.NDArray[np.uint8], number: int) -> Value | None:
        """A part of one column without a copy, from `private`, a private mapping of its shard, or converted; None if it
        must be gathered."""
        column = self.column(number)
        value = column.view(stretch, private if column.viewable else self.maps.file(stretch.shard))
        if value is not None and column.viewable:
            read_pages(value.values if isinstance(value, Ragged) else np.asarray(value))
        return value
