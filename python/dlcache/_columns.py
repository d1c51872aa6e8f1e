"""One column's way from its chunks to a batch: straight from the map where chunks are raw, decoded where not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._decimals import numbers
from ._decode import Decoder
from ._gathered import Gathered, concatenate_gathered, take_gathered
from ._indexed import RawRagged, RawStrings
from ._manifest import STORED_WIDTH, Column, Manifest
from ._maps import Mapped
from ._memory import HUGE_PAGE, BufferPool, copy_spans, items_at, void
from ._places import Places, RowGroups, Stretch
from ._values import Ragged, Value, take_rows

Int64s = npt.NDArray[np.int64]

_LEAST_PART = 512
_MOST_APART = 1 << 30
"""Of the addresses of two shards: it takes address space, and no memory."""
_WIDE = 1 << 15


class ColumnReader(Protocol):
    """How the rows of one column are read. viewable: `view` has them all as they lie in `file`."""

    @property
    def viewable(self) -> bool: ...

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered: ...

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None: ...


def row_alignment(manifest: Manifest) -> int:
    """The address, as a multiple of which each shard should be mapped, so that the raw chunks of all columns are a
    multiple of their rows' widths apart. The widest rows matter most, where it would be too large for all. It is a
    multiple of the huge page too: Linux has parts of files in huge pages, and uses them where addresses fit."""
    multiple = HUGE_PAGE
    widths = set()
    for column, table in zip(manifest.columns, manifest.chunks, strict=True):
        if column.storage in ("scalar", "tensor") and column.stored_dtype not in (None, "bit") and table.all_raw:
            width = column.elements * STORED_WIDTH[column.stored_dtype]
            if len(table.offset) and not (table.offset % width).any():
                widths.add(width)
    for width in sorted(widths, reverse=True):
        if math.lcm(multiple, width) <= _MOST_APART:
            multiple = math.lcm(multiple, width)
    return multiple


def column_reader(manifest: Manifest, number: int, decoder: Decoder) -> ColumnReader:
    """The fastest reader that is right for all chunks of a column."""
    column, table = manifest.columns[number], manifest.chunks[number]
    if not table.all_raw or not len(table.offset):
        return _Decoded(column, number, decoder)
    if column.storage in ("string", "binary"):
        return RawStrings(column, table, manifest)
    if column.stored_dtype is None:
        return _Decoded(column, number, decoder)
    if column.stored_dtype == "bit":
        return _Decoded(column, number, decoder) if column.storage == "ragged" else _RawBits(column, table)
    if column.storage == "ragged":
        return RawRagged(column, table, manifest)
    return _RawFixed(column, table)


@dataclass(frozen=True, slots=True, eq=False)
class _Items:
    """The memory of all mapped shards as one array, with an item each `stride` bytes.

    generation: of the addresses. parts: the items that a row is made of. first: for each row group the number of the
    item that row 0 of the dataset would begin with, if it lay in that group.
    """

    generation: int
    array: npt.NDArray[Any]
    stride: int
    parts: int
    first: Int64s


class _RawFixed:
    """Rows of one width: one `take` over the memory of all shards.

    Rows are taken into a reused buffer as they are, where all chunks in memory are a multiple of their width apart (see
    `row_alignment`), or in parts of at least 512 bytes, where chunks are a multiple of those apart. Otherwise one byte
    is the unit of address, and rows are taken into new memory.
    """

    def __init__(self, column: Column, table: ChunkTable) -> None:
        assert column.dtype is not None and column.stored_dtype is not None
        self._column, self._table = column, table
        self._stored = np.dtype(column.stored_dtype).newbyteorder("<")
        self._dtype, self._tail = column.dtype, column.shape or ()
        self._width = column.elements * self._stored.itemsize
        self._known: _Items | None = None

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        rows, width = len(places), self._width
        items = self._items(mapped, places.groups)
        if items.stride == 1 and width >= _WIDE:
            return self._gather_wide(places, mapped, pool)
        index = places.derived((self, mapped.generation), items.parts, lambda whole: self._index(whole, items, pool))
        if items.stride == 1:
            return self._gathered(items.array[index].view(self._stored), rows)
        taken = pool.take(rows * width)
        items.array.take(index, out=taken.view(items.array.dtype), mode="clip")
        return self._gathered(taken.view(self._stored), rows)

    def _index(self, places: Places, items: _Items, pool: BufferPool) -> Int64s:
        """The numbers of the items that these rows are made of."""
        apart = self._width // items.stride
        index = pool.array((len(places),), items.first.dtype)
        items.first.take(places.group, out=index, mode="clip")
        index += places.ids if apart == 1 else places.ids * apart
        return index if items.parts == 1 else _runs(index, items.parts)

    def _gather_wide(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        """Rows so wide that they are copied in blocks."""
        rows, width = len(places), self._width
        start = self._table.offset.take(places.group)
        start += mapped.addresses.take(places.shard) + places.row * width
        out = pool.take(rows * width)
        copy_spans(start, np.full(rows, width, np.int64), out, np.arange(rows, dtype=np.int64) * width)
        return self._gathered(out.view(self._stored), rows)

    def _gathered(self, taken: npt.NDArray[Any], rows: int) -> Gathered:
        if self._dtype != self._stored:
            taken = numbers(taken, self._column)
        return Gathered(taken.reshape(rows, *self._tail))

    @property
    def viewable(self) -> bool:
        return self._dtype == self._stored

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None:
        first, width = int(self._table.offset[at.group]), self._width
        part = file[first + at.start * width : first + at.stop * width].view(self._stored)
        if self._dtype != self._stored:
            part = numbers(part, self._column)
        return part.reshape(at.stop - at.start, *self._tail)

    def _items(self, mapped: Mapped, groups: RowGroups) -> _Items:
        known = self._known
        if known is not None and known.generation == mapped.generation:
            return known
        address = mapped.addresses[groups.shard] + self._table.offset
        there = mapped.addresses[groups.shard] != 0
        origin = int(address[there].min())
        end = int((address + self._table.size)[there].max())
        apart = math.gcd(int(np.gcd.reduce(address[there] - origin)), self._width)
        stride = apart if apart == self._width or apart >= _LEAST_PART else 1
        item = void(stride if stride > 1 else self._width)
        array = items_at(origin, max(1, (end - origin - item.itemsize) // stride + 1), item, stride)
        first = np.where(there, (address - origin) // stride, 0) - groups.first[:-1] * (self._width // stride)
        parts = self._width // stride if stride > 1 else 1
        self._known = items = _Items(mapped.generation, array, stride, parts, first)
        return items


def _runs(starts: Int64s, length: int) -> Int64s:
    """`start, start + 1, ... start + length - 1` for each start, one after another."""
    out = np.empty((len(starts), length), np.int64)
    for number in range(length):
        np.add(starts, number, out=out[:, number])
    return out.reshape(-1)


class _RawBits:
    """Booleans, packed from the lowest bit."""

    viewable = False

    def __init__(self, column: Column, table: ChunkTable) -> None:
        self._table, self._elements, self._tail = table, column.elements, column.shape or ()

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        start = self._table.offset.take(places.group) + mapped.addresses.take(places.shard)
        bit = (places.row * self._elements)[:, None] + np.arange(self._elements)
        address = start[:, None] + (bit >> 3)
        origin = int(address.min())
        items = items_at(origin, int(address.max()) - origin + 1, np.dtype(np.uint8), 1)
        taken = items.take((address - origin).reshape(-1))
        taken >>= (bit & 7).astype(np.uint8).reshape(-1)
        taken &= 1
        return Gathered(taken.view(np.bool_).reshape(len(places), *self._tail))

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None:
        first = int(self._table.offset[at.group])
        low, high = at.start * self._elements, at.stop * self._elements
        bits = np.unpackbits(file[first + (low >> 3) : first + ((high + 7) >> 3)], bitorder="little")
        return bits[low & 7 : (low & 7) + high - low].view(np.bool_).reshape(at.stop - at.start, *self._tail)


class _Decoded:
    """Row groups decoded by pyarrow, each once as long as it stays in the decoder's memory."""

    viewable = False

    def __init__(self, column: Column, number: int, decoder: Decoder) -> None:
        self._column, self._number, self._decoder = column, number, decoder

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        by_chunk = np.argsort(places.group, kind="stable")
        firsts = np.unique(places.group[by_chunk], return_index=True)[1]
        parts = [self._take(places.at(rows)) for rows in np.split(by_chunk, firsts[1:])]
        if len(parts) == 1:
            return parts[0]
        back = np.empty_like(by_chunk)
        back[by_chunk] = np.arange(len(by_chunk))
        return take_gathered(concatenate_gathered(parts), back)

    def view(self, at: Stretch, file: npt.NDArray[np.uint8]) -> Value | None:
        return None

    def _take(self, places: Places) -> Gathered:
        """Rows that lie in one chunk."""
        rows = places.row
        chunk = self._decoder.chunk(self._number, int(places.shard[0]), int(places.group[0]))
        elements = None
        if chunk.valid_elements is not None and isinstance(chunk.value, Ragged):
            elements = Ragged(chunk.valid_elements, chunk.value.offsets).take(rows).values
        valid = None if chunk.valid is None else chunk.valid[rows]
        return Gathered(take_rows(chunk.value, rows), valid, elements)
