"""Scalar columns as one array, straight from the map.

A table lies in a shard column by column. So a row of a hundred columns is a hundred places, and to copy one value at a
time would cost more than the values. For rows in any order, those of a super-batch are sorted by place, each column is
swept once from its start to its end, and small tiles are turned over into rows while they are in the processor's cache.
Rows in stored order are turned over at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._manifest import Column
from ._maps import Mapped
from ._memory import ALIGNMENT, BufferPool, items_at, void
from ._places import Places

Int64s = npt.NDArray[np.int64]

_TILE_ROWS = 256
_SHORT = 64


class RawStack:
    """Columns of one stored dtype whose chunks are all raw and lie in the same row groups."""

    def __init__(self, columns: Sequence[Column], tables: Sequence[ChunkTable]) -> None:
        first = columns[0]
        assert first.dtype is not None and first.stored_dtype is not None
        self._dtype = first.dtype
        self._stored = np.dtype(first.stored_dtype).newbyteorder("<")
        self._offset = np.stack([table.offset for table in tables])
        self._end = np.max([table.offset + table.size for table in tables], axis=0)

    @staticmethod
    def fits(columns: Sequence[Column], tables: Sequence[ChunkTable]) -> bool:
        """True if these columns can be read so."""
        stored = columns[0].stored_dtype
        return (
            stored is not None
            and stored != "bit"
            and all(column.stored_dtype == stored and not column.divides for column in columns)
            and all(table.all_raw and len(table.offset) for table in tables)
            and not any((table.offset % np.dtype(stored).itemsize).any() for table in tables)
        )

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> npt.NDArray[Any] | None:
        """The rows at these places, [rows, columns]; None if they lie in so many row groups that this is no gain."""
        rows, columns, width = len(places), len(self._offset), self._stored.itemsize
        order, row, cuts = _by_place(places)
        if rows < _SHORT * (len(cuts) - 1):
            return None
        chunks = places.group[order[cuts[:-1]]]
        shards = places.groups.shard[chunks]
        addresses = mapped.addresses[shards] + self._offset[:, chunks]
        origin = int(addresses.min())
        end = int((mapped.addresses[shards] + self._end[chunks]).max())
        items = items_at(origin, (end - origin) // width, void(width), width)
        starts = ((addresses - origin) // width).tolist()
        spans = list(zip(cuts[:-1].tolist(), cuts[1:].tolist(), strict=True))
        swept = _apart(pool, columns, rows, width)
        for column, column_starts in zip(swept, starts, strict=True):
            for start, (low, high) in zip(column_starts, spans, strict=True):
                items[start:].take(row[low:high], out=column[low:high], mode="clip")
        out = pool.array((rows, columns), self._stored)
        _turn_over(swept, order, out)
        return out if self._dtype == self._stored else out.astype(self._dtype)

    def turn(self, group: int, start: int, file: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        """Put the rows of a row group (counted over all shards) from `start` on into `out`, [rows, columns] of the
        dtype that is delivered. file: the shard's bytes."""
        offsets, rows, width = self._offset[:, group], len(out), self._stored.itemsize
        cuts = [0, *(np.flatnonzero(np.diff(offsets, 2)) + 2).tolist(), len(offsets)]
        for low, high in pairwise(cuts):  # columns that are equally far apart are one array
            apart = int(offsets[min(low + 1, high - 1)] - offsets[low])
            place = int(offsets[low]) + start * width
            columns = np.ndarray((high - low, rows), self._stored, file, place, (apart, width))
            out[:, low:high] = columns.T

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is delivered."""
        return self._dtype


def _by_place(places: Places) -> tuple[Int64s, Int64s, Int64s]:
    """The order of the places in the files, the rows in that order, and where in it each row group starts and ends."""
    order = np.argsort(places.ids)
    sorted_places = places.at(order)
    group = sorted_places.group
    cuts = np.flatnonzero(np.diff(group, prepend=group[0] - 1, append=group[-1] + 1))
    return order, sorted_places.row, cuts


def _apart(pool: BufferPool, columns: int, rows: int, width: int) -> npt.NDArray[Any]:
    """Memory for `columns` columns of `rows` items. Their distance is an odd number of cache lines: the same row of
    many columns would else fall on the same few places of the cache."""
    lines = -(-rows * width // ALIGNMENT) | 1
    memory = pool.take(columns * lines * ALIGNMENT).view(void(width)).reshape(columns, -1)
    return memory[:, :rows]


def _turn_over(swept: npt.NDArray[Any], order: Int64s, out: npt.NDArray[Any]) -> None:
    """Put column c of the i-th swept row into row order[i], column c of `out`."""
    columns, rows = swept.shape
    whole = void(columns * swept.itemsize)
    slots = out.reshape(-1).view(whole)
    values = swept.view(out.dtype)
    for start in range(0, rows, _TILE_ROWS):
        tile = np.ascontiguousarray(values[:, start : start + _TILE_ROWS].T)
        slots[order[start : start + _TILE_ROWS]] = tile.reshape(-1).view(whole)
