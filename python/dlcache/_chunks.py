"""Where the raw chunks of each column lie in their shards, as arrays, checked against the size of each shard. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._json import Fields

if TYPE_CHECKING:
    from ._manifest import Column, Shards

Int64s = npt.NDArray[np.int64]

STORED_BITS = {"bit": 1, "int32": 32, "int64": 64, "float32": 32, "float64": 64}


@dataclass(frozen=True, slots=True)
class ChunkTable:
    """The chunks of one column. Entry `first[shard] + row group` describes one; only shards that have a raw chunk have
    entries, and `first` is -1 for the others.

    offset: start of the values in the file, -1 if this chunk is not raw. size: their bytes. index: start of the row
    index in the file, -1 if there is none. rows: rows of the row group.
    """

    first: Int64s
    offset: Int64s
    size: Int64s
    index: Int64s

    @property
    def all_raw(self) -> bool:
        """True if every chunk of every shard is raw."""
        return bool((self.first >= 0).all() and (self.offset >= 0).all())

    def find(self, shard: Int64s, group: Int64s) -> Int64s:
        """The entry of each chunk, -1 where there is none or the chunk is not raw."""
        first = self.first[shard]
        entry = np.where(first >= 0, first + group, -1)
        if len(self.offset):
            entry[(entry >= 0) & (self.offset[entry] < 0)] = -1
        return entry


def parse_chunks(
    lists: Sequence[Sequence[Any]], columns: Sequence[Column], shards: Shards, where: str
) -> tuple[ChunkTable, ...]:
    """The chunk tables of all columns; `lists` has, for each shard, the `chunks` of docs/format.md, 2.2."""
    return tuple(
        _table(
            [shard[number] for shard in lists], column, shards, Fields({}, where, f"chunks of column {column.name!r}")
        )
        for number, column in enumerate(columns)
    )


def _table(lists: Sequence[Any], column: Column, shards: Shards, fields: Fields) -> ChunkTable:
    there = np.fromiter((entry is not None for entry in lists), bool, len(lists))
    present = [entry for entry in lists if entry is not None]
    if not all(isinstance(entry, list) for entry in present):
        raise fields.error("an entry is neither null nor a list")
    groups = np.diff(shards.group_starts)
    lengths = np.fromiter(map(len, present), np.int64, len(present))
    if (lengths != 3 * groups[there]).any():
        raise fields.error("an entry is not three integers for each row group")
    flat = fields.integers(list(chain.from_iterable(present)), "an entry", -1)
    offset, size, index = (np.ascontiguousarray(flat[part::3]) for part in range(3))
    first = np.full(len(lists), -1, np.int64)
    first[there] = np.cumsum(groups[there]) - groups[there]
    table = ChunkTable(first, offset, size, index)
    if len(offset):
        _check(table, np.flatnonzero(there), column, shards, fields)
    return table


def _check(table: ChunkTable, there: Int64s, column: Column, shards: Shards, fields: Fields) -> None:
    """Every raw chunk lies in its file and has the size that its rows need."""
    groups = np.diff(shards.group_starts)[there]
    shard = np.repeat(there, groups)
    number = np.arange(len(shard)) - np.repeat(table.first[there], groups)
    rows = np.minimum(shards.row_group_rows[shard], shards.rows[shard] - number * shards.row_group_rows[shard])
    raw = table.offset >= 0
    if (table.size[~raw] != 0).any() or (table.index[~raw] != -1).any():
        raise fields.error("a chunk that is not raw has values")
    rows, length = rows[raw], shards.bytes[shard[raw]]
    offset, size, index = table.offset[raw], table.size[raw], table.index[raw]
    if (size < 0).any() or (offset > length).any() or (size > length - offset).any():
        raise fields.error("a chunk does not lie in its shard")
    outside = (index > length) | (4 * (rows + 1) > length - index)
    if (outside & (index >= 0)).any():
        raise fields.error("a row index does not lie in its shard")
    if column.storage in ("scalar", "tensor"):
        if column.stored_dtype is None:
            raise fields.error("a chunk of a column without a dtype is raw")
        bits = column.elements * STORED_BITS[column.stored_dtype]
        if (rows > (1 << 62) // bits).any() or (size != -(-rows * bits // 8)).any():
            raise fields.error("the size of a chunk is not what its rows need")
        if column.nulls and (raw.all() and (np.array(table.first) >= 0).all()):
            raise fields.error("all chunks are raw, and the column has nulls")
    elif column.storage == "nested":
        raise fields.error("a chunk of a nested column is raw")
    elif (index < 0).any():
        raise fields.error("a chunk has no row index")
