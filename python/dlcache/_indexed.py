"""Columns whose rows have different lengths, straight from the map: the row index says where each one lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._decimals import numbers
from ._errors import ShardError
from ._gathered import Gathered
from ._manifest import STORED_WIDTH, Column, Manifest
from ._maps import Mapped
from ._memory import BufferPool, copy_spans, items_at, void
from ._places import Places, RowGroups, Stretch
from ._values import Ragged, Strings, Value, offsets_of

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _Index:
    """The row indexes of all mapped shards as one array of items of 8 bytes, one at each byte: where a row starts and
    where the next one does.

    starts: for each row group the item that row 0 of the dataset would have, if it lay in that group, a row being 4
    items. values: the address of each row group's values.
    """

    generation: int
    items: npt.NDArray[Any]
    starts: Int64s
    values: Int64s


class _Indexed:
    """What ragged and string columns share: the row index, and spans of bytes of different lengths."""

    def __init__(self, column: Column, table: ChunkTable, manifest: Manifest) -> None:
        self._column, self._table, self._paths = column, table, manifest.shards.paths
        self._entries = table.size // self._entry_bytes
        self._memory: _Index | None = None

    def _spans(self, places: Places, mapped: Mapped) -> tuple[Int64s, Int64s]:
        """The address of each row and its entries, by the row index, checked."""
        index = self._index(mapped, places.groups)
        at = index.starts.take(places.group)
        at += places.ids * 4
        bounds = index.items[at].view("<i4").reshape(-1, 2).astype(np.int64)
        start, stop = bounds[:, 0], bounds[:, 1]
        lengths = stop - start
        self._check(start, stop, lengths, self._entries.take(places.group), places)
        address = start * self._entry_bytes
        address += index.values.take(places.group)
        return address, lengths

    def _index(self, mapped: Mapped, groups: RowGroups) -> _Index:
        known = self._memory
        if known is None or known.generation != mapped.generation:
            base = mapped.addresses[groups.shard]
            there = base != 0
            address = base + self._table.index
            origin, last = int(address[there].min()), address + 4 * np.diff(groups.first)
            items = items_at(origin, int(last[there].max()) - origin, void(8), 1)
            starts = np.where(there, address - origin, 0) - 4 * groups.first[:-1]
            known = self._memory = _Index(mapped.generation, items, starts, base + self._table.offset)
        return known

    def _view_spans(self, at: Stretch, file: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], Int64s]:
        """The chunk's bytes, and the row index of rows `start .. stop`, checked."""
        table = self._table
        first, size, index = (int(part[at.group]) for part in (table.offset, table.size, table.index))
        bounds = file[index + 4 * at.start : index + 4 * (at.stop + 1)].view(void(4)).view("<i4").astype(np.int64)
        if int(bounds[0]) < 0 or int(bounds[-1]) * self._entry_bytes > size or (bounds[1:] < bounds[:-1]).any():
            raise self._damaged(at.shard)
        return file[first : first + size], bounds

    def _check(self, start: Int64s, stop: Int64s, lengths: Int64s, entries: Int64s, places: Places) -> None:
        """Raises ShardError if a row does not lie in its chunk, which has so many `entries`."""
        signs = entries - stop
        signs |= lengths
        signs |= start
        if int(signs.min()) < 0:
            raise self._damaged(int(places.at(np.flatnonzero(signs < 0)[:1]).shard[0]))

    def _damaged(self, shard: int) -> ShardError:
        return ShardError(
            f"the row index of column {self._column.name!r} in {self._paths[shard]} leads out of its chunk; the file "
            "is damaged, write the dataset again"
        )

    @property
    def _entry_bytes(self) -> int:
        return 1


class RawRagged(_Indexed):
    """Rows of different lengths: the row index says where each starts."""

    def __init__(self, column: Column, table: ChunkTable, manifest: Manifest) -> None:
        assert column.dtype is not None and column.stored_dtype is not None
        self._dtype = column.dtype
        self._stored = np.dtype(column.stored_dtype).newbyteorder("<")
        self._width = STORED_WIDTH[column.stored_dtype]
        super().__init__(column, table, manifest)

    @property
    def _entry_bytes(self) -> int:
        return self._width

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        address, lengths = self._spans(places, mapped)
        offsets, width = offsets_of(lengths), self._width
        out = pool.take(int(offsets[-1]) * width)
        copy_spans(address, lengths * width, out, offsets[:-1] * width)
        values = out.view(self._stored)
        return Gathered(Ragged(values if self._dtype == self._stored else numbers(values, self._column), offsets))

    @property
    def viewable(self) -> bool:
        return self._dtype == self._stored

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None:
        chunk, bounds = self._view_spans(at, file)
        values = chunk[bounds[0] * self._width : bounds[-1] * self._width].view(self._stored)
        if self._dtype != self._stored:
            values = numbers(values, self._column)
        return Ragged(values, bounds - bounds[0])


class RawStrings(_Indexed):
    """Records of a 4-byte length and the bytes: two equal entries of the row index mean null."""

    viewable = False

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        return self._records(*self._spans(places, mapped), pool)

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None:
        return None

    def _records(self, address: Int64s, sizes: Int64s, pool: BufferPool) -> Gathered:
        lengths, valid = sizes - 4, None
        if int(lengths.min()) < 0:
            valid = sizes > 0
            if (lengths[valid] < 0).any():
                raise ShardError(
                    f"column {self._column.name!r} has a record of less than 4 bytes; the file is damaged, write the "
                    "dataset again"
                )
            lengths[~valid] = 0
        text, known = self._column.storage == "string", valid if self._column.nulls else None
        offsets = offsets_of(lengths)
        out = pool.take(int(offsets[-1]))
        copy_spans(address + 4, lengths, out, offsets[:-1])
        return Gathered(Strings(out, offsets, text), known)
