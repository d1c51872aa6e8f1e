"""One column's way from its chunks to a batch: straight from the map where chunks are raw, decoded where not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._decode import Decoder, Mask
from ._errors import ShardError
from ._manifest import STORED_WIDTH, Column, Manifest
from ._maps import Mapped
from ._memory import HUGE_PAGE, BufferPool, copy_spans, items_at, touch_pages, void
from ._places import Places, RowGroups
from ._values import Ragged, Scattered, ScatteredRagged, Strings, Value, concatenate, offsets_of, take_rows

Int64s = npt.NDArray[np.int64]

_LEAST_PART = 512
_MOST_APART = 1 << 30
"""Of the addresses of two shards: it takes address space, and no memory."""
_WIDE = 1 << 15
_LONG = 1 << 10


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A column of some rows. valid: False where a row is null; None if none can be. valid_elements: likewise for the
    elements of a Ragged."""

    value: Value
    valid: Mask | None = None
    valid_elements: Mask | None = None


class ColumnReader(Protocol):
    """How the rows of one column are read. viewable: `view` has them all as they lie in `file`. left: `gather` leaves
    most of their bytes where they lie, and takes no memory for them."""

    @property
    def viewable(self) -> bool: ...

    @property
    def left(self) -> bool: ...

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered: ...

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None: ...


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
        return _RawStrings(column, table, manifest)
    if column.stored_dtype == "bit":
        return _Decoded(column, number, decoder) if column.storage == "ragged" else _RawBits(column, table)
    if column.storage == "ragged":
        return _RawRagged(column, table, manifest)
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
        self._table = table
        self._stored = np.dtype(column.stored_dtype).newbyteorder("<")
        self._dtype, self._tail = column.dtype, column.shape or ()
        self._width = column.elements * self._stored.itemsize
        self._known: _Items | None = None

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        rows, width = len(places), self._width
        items = self._items(mapped, places.groups)
        if items.stride == 1 and width >= _WIDE:
            return self._gather_wide(places, mapped, pool)
        index = places.derived((self, mapped.generation), items.parts, lambda whole: self._index(whole, items))
        if items.stride == 1:
            return self._gathered(items.array[index].view(self._stored), rows)
        taken = pool.take(rows * width)
        items.array.take(index, out=taken.view(items.array.dtype), mode="clip")
        return self._gathered(taken.view(self._stored), rows)

    def _index(self, places: Places, items: _Items) -> Int64s:
        """The numbers of the items that these rows are made of."""
        apart = self._width // items.stride
        index = items.first.take(places.group)
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
            taken = taken.astype(self._dtype)
        return Gathered(taken.reshape(rows, *self._tail))

    @property
    def left(self) -> bool:
        return False

    @property
    def viewable(self) -> bool:
        return self._dtype == self._stored

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None:
        at = int(self._table.offset[self._table.first[shard] + group])
        part = file[at + start * self._width : at + stop * self._width].view(self._stored)
        if self._dtype != self._stored:
            part = part.astype(self._dtype)
        return part.reshape(stop - start, *self._tail)

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

    @property
    def left(self) -> bool:
        return False

    @property
    def viewable(self) -> bool:
        return False

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None:
        at = int(self._table.offset[self._table.first[shard] + group])
        low, high = start * self._elements, stop * self._elements
        bits = np.unpackbits(file[at + (low >> 3) : at + ((high + 7) >> 3)], bitorder="little")
        return bits[low & 7 : (low & 7) + high - low].view(np.bool_).reshape(stop - start, *self._tail)


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
        self._rows = manifest.rows
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

    def _view_spans(
        self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]
    ) -> tuple[npt.NDArray[np.uint8], Int64s]:
        """The chunk's bytes, and the row index of rows `start .. stop`, checked."""
        entry = int(self._table.first[shard]) + group
        at, size, index = (int(part[entry]) for part in (self._table.offset, self._table.size, self._table.index))
        bounds = file[index + 4 * start : index + 4 * (stop + 1)].view(void(4)).view("<i4").astype(np.int64)
        if int(bounds[0]) < 0 or int(bounds[-1]) * self._entry_bytes > size or (bounds[1:] < bounds[:-1]).any():
            raise self._damaged(shard)
        return file[at : at + size], bounds

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


class _RawRagged(_Indexed):
    """Rows of different lengths: the row index says where each starts."""

    def __init__(self, column: Column, table: ChunkTable, manifest: Manifest) -> None:
        assert column.dtype is not None and column.stored_dtype is not None
        self._dtype = column.dtype
        self._stored = np.dtype(column.stored_dtype).newbyteorder("<")
        self._width = STORED_WIDTH[column.stored_dtype]
        super().__init__(column, table, manifest)
        groups = np.diff(np.append(table.first, len(table.offset)))
        self._behind = int((np.repeat(manifest.shards.bytes, groups) - table.offset - table.size).min())

    @property
    def _entry_bytes(self) -> int:
        return self._width

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        address, lengths = self._spans(places, mapped)
        found = ScatteredRagged(address, lengths, self._stored, mapped.files, self._behind, pool)
        if self._dtype == self._stored:
            return Gathered(found)
        return Gathered(Ragged(found.copied(pool).values.astype(self._dtype), found.offsets))

    @property
    def left(self) -> bool:
        return False

    @property
    def viewable(self) -> bool:
        return self._dtype == self._stored

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None:
        chunk, bounds = self._view_spans(shard, group, start, stop, file)
        values = chunk[bounds[0] * self._width : bounds[-1] * self._width].view(self._stored)
        if self._dtype != self._stored:
            values = values.astype(self._dtype)
        return Ragged(values, bounds - bounds[0])


class _RawStrings(_Indexed):
    """Records of a 4-byte length and the bytes: two equal entries of the row index mean null."""

    def gather(self, places: Places, mapped: Mapped, pool: BufferPool) -> Gathered:
        return self._records(*self._spans(places, mapped), mapped, pool)

    @property
    def left(self) -> bool:
        return int(self._table.size.sum()) >= (_LONG + 4) * self._rows

    @property
    def viewable(self) -> bool:
        return False

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None:
        return None

    def _records(self, address: Int64s, sizes: Int64s, mapped: Mapped, pool: BufferPool) -> Gathered:
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
        total = int(lengths.sum())
        if total >= _LONG * len(lengths):
            touch_pages(address, sizes)
            return Gathered(Scattered(address + 4, lengths, text, mapped.files), known)
        offsets = offsets_of(lengths)
        out = pool.take(total)
        copy_spans(address + 4, lengths, out, offsets[:-1])
        return Gathered(Strings(out, offsets, text), known)


class _Decoded:
    """Row groups decoded by pyarrow, each once as long as it stays in the decoder's memory."""

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

    @property
    def left(self) -> bool:
        return False

    @property
    def viewable(self) -> bool:
        return False

    def view(self, shard: int, group: int, start: int, stop: int, file: npt.NDArray[np.uint8]) -> Value | None:
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


def concatenate_gathered(parts: list[Gathered]) -> Gathered:
    """Gathered rows of one column, one part after another."""
    valid = elements = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([_mask(part.valid, len(part.value)) for part in parts])
    if any(part.valid_elements is not None for part in parts):
        elements = np.concatenate(
            [_mask(part.valid_elements, len(part.value.values)) for part in parts if isinstance(part.value, Ragged)]
        )
    return Gathered(concatenate([part.value for part in parts]), valid, elements)


def take_gathered(gathered: Gathered, rows: Int64s) -> Gathered:
    """These rows of gathered rows, in this order."""
    elements = None
    if gathered.valid_elements is not None and isinstance(gathered.value, Ragged):
        elements = Ragged(gathered.valid_elements, gathered.value.offsets).take(rows).values
    valid = None if gathered.valid is None else gathered.valid[rows]
    return Gathered(take_rows(gathered.value, rows), valid, elements)


def _mask(mask: Mask | None, length: int) -> Mask:
    return np.ones(length, bool) if mask is None else mask


def empty(column: Column) -> Value:
    """No rows of a column."""
    if column.storage in ("string", "binary"):
        return Strings(np.empty(0, np.uint8), np.zeros(1, np.int64), column.storage == "string")
    if column.storage == "ragged":
        return Ragged(np.empty(0, column.dtype), np.zeros(1, np.int64))
    return np.empty((0, *(column.shape or ())), column.dtype or object)
