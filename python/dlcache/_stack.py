"""Scalar columns as one array: `stack={"x": ["f0", "f1"]}` delivers `x` as [rows, 2].

A table lies in a shard column by column. So a row of a hundred columns is a hundred places, and to copy one value at a
time would cost more than the values. Here the rows of a super-batch are sorted by place, each column is swept once
from its start to its end, and small tiles are turned over into rows while they are in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._errors import OptionError, unknown_column
from ._fields import field_of
from ._manifest import Column
from ._maps import Mapped
from ._memory import ALIGNMENT, BufferPool, items_at, void
from ._places import Places
from ._values import Field

Int64s = npt.NDArray[np.int64]

_TILE_ROWS = 256
_SHORT = 64


@dataclass(frozen=True, slots=True)
class Stack:
    """Columns that are delivered as one field: `name` is [rows, columns], in the order of `columns`."""

    name: str
    columns: tuple[str, ...]
    field: Field


def stacks_of(
    stack: Mapping[str, Sequence[str]] | None, columns: Mapping[str, Column], masked: bool
) -> tuple[Stack, ...]:
    """The option `stack`, checked against the columns that are read. masked: nulls="mask". Raises OptionError."""
    if stack is None:
        return ()
    if not isinstance(stack, Mapping):
        raise OptionError(f"stack must be a dict from a name to a list of columns, not {stack!r}")
    taken: set[str] = set()
    stacks = []
    for name, members in stack.items():
        if isinstance(members, str) or not members:
            raise OptionError(f"stack: {name!r} must be a list of at least one column, not {members!r}")
        for member in members:
            if member not in columns:
                raise unknown_column(member, columns, f"stack {name!r}: the columns read")
            if member in taken:
                raise OptionError(f"stack: column {member!r} is named twice")
            taken.add(member)
        stacks.append(Stack(name, tuple(members), _field(name, [columns[member] for member in members], masked)))
    for name in stack:
        if name in columns.keys() - taken:
            raise OptionError(f"stack: there is a column {name!r} beside the stack of that name; choose another name")
    return tuple(stacks)


def _field(name: str, columns: Sequence[Column], masked: bool) -> Field:
    first = columns[0]
    for column in columns:
        field = field_of(column)
        if field.kind != "array" or len(field.shape) != 1:
            raise OptionError(f"stack {name!r}: column {column.name!r} is no column of numbers, one for each row")
        if column.dtype != first.dtype:
            raise OptionError(
                f"stack {name!r}: column {column.name!r} is {column.dtype}, and {first.name!r} is {first.dtype}; "
                "make a stack for each dtype, or cast in Spark"
            )
        if masked and column.nulls:
            raise OptionError(
                f"stack {name!r}: column {column.name!r} has nulls, and nulls='mask' has no place for its mask; give a "
                "fill value, or leave the column out of the stack"
            )
    assert first.dtype is not None
    return Field(name, "array", first.dtype, (None, len(columns)))


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
            and all(column.stored_dtype == stored for column in columns)
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
