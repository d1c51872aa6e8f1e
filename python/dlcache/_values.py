"""What a column of a batch can be: a NumPy array, a `Ragged`, or `Strings`; and the `Field` that describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ._errors import ColumnError, OptionError
from ._memory import MASK_BYTES, BufferPool, address_of, copy_blocks_with_tails, copy_spans, items_at
from ._positions import Positions, row_positions

Int64s = npt.NDArray[np.int64]
Kind = Literal["array", "ragged", "text", "bytes", "object"]

_MOST_PADDING = 3
"""Rows are padded by reading on behind their ends if the result has at most so many times their bytes."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a batch.

    kind: `array` (one NumPy array), `ragged` (`Ragged`: rows of different lengths), `text` and `bytes` (`Strings`),
    `object` (a NumPy array of Python objects). dtype: of the values; `object` for `text`, `bytes` and `object`.
    shape: with the batch first. None is a size that can differ: the batch where its last one may be short, and the
    second of `ragged`. logical, precision, scale: what the numbers mean, see docs/format.md, 2.1.
    """

    name: str
    kind: Kind
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...]
    logical: str | None = None
    precision: int | None = None
    scale: int | None = None

    def with_rows(self, rows: int | None) -> Field:
        """The same field for batches of `rows` rows."""
        return Field(
            self.name, self.kind, self.dtype, (rows, *self.shape[1:]), self.logical, self.precision, self.scale
        )


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """Rows of different lengths: row i is `values[offsets[i]:offsets[i+1]]`.

    values: the elements of all rows, one after another. offsets: int64, rows + 1, ascending.
    """

    values: npt.NDArray[Any]
    offsets: Int64s

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64s:
        """Elements of each row, int64."""
        return np.diff(self.offsets)

    def __getitem__(self, index: int | slice) -> Any:
        """A row as an array, or some rows (a slice of step 1) as a Ragged over the same memory."""
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise OptionError(f"a Ragged is sliced with step 1, not {step}")
            return Ragged(*_part(self.values, self.offsets, start, stop))
        row = range(len(self))[index]
        return self.values[self.offsets[row] : self.offsets[row + 1]]

    def to_padded(self, length: int | None = None, value: Any = 0) -> npt.NDArray[Any]:
        """One array [rows, length] of the values' dtype: rows that are shorter are filled with `value`, rows that are
        longer are cut. `length` is that of the longest row if not given."""
        lengths = self.lengths
        if length is None:
            length = int(lengths.max(initial=0))
        values = np.ascontiguousarray(self.values)
        return _padded(self.offsets[:-1] * values.itemsize + address_of(values), lengths, length, value, values.dtype)

    def take(self, rows: Positions) -> Ragged:
        """These rows, in this order, as a new Ragged. Raises PositionError."""
        return Ragged(*_take(self.values, self.offsets, row_positions(rows, len(self))))


class ScatteredRagged(Ragged):
    """A Ragged whose rows still lie where they are stored: padding copies them once, from there.

    starts: the address of each row. lengths: their elements. kind: the dtype. owner: what keeps that memory. behind:
    how many bytes at least may be read behind the end of any row. pool: for what is made of the rows. `values` is made
    when it is asked for, `offsets` too.
    """

    __slots__ = ("_behind", "_kind", "_lengths", "_offsets", "_owner", "_pool", "_starts", "_values")

    _starts: Int64s
    _lengths: Int64s
    _kind: np.dtype[Any]
    _owner: Any
    _behind: int
    _pool: BufferPool | None
    _values: npt.NDArray[Any] | None
    _offsets: Int64s | None

    def __init__(
        self,
        starts: Int64s,
        lengths: Int64s,
        kind: np.dtype[Any],
        owner: Any,
        behind: int = 0,
        pool: BufferPool | None = None,
    ) -> None:
        known = {"_starts": starts, "_lengths": lengths, "_kind": kind, "_owner": owner}
        for name, value in {**known, "_behind": behind, "_pool": pool, "_values": None, "_offsets": None}.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return len(self._starts)

    @property
    def lengths(self) -> Int64s:
        return self._lengths

    @property
    def offsets(self) -> Int64s:
        offsets = self._offsets
        if offsets is None:
            offsets = offsets_of(self._lengths)
            object.__setattr__(self, "_offsets", offsets)
        return offsets

    @property
    def values(self) -> npt.NDArray[Any]:
        values = self._values
        if values is None:
            values = self.copied(BufferPool(0)).values
            object.__setattr__(self, "_values", values)
        return values

    def copied(self, pool: BufferPool) -> Ragged:
        """The rows in a buffer of the pool."""
        width = self._kind.itemsize
        out = pool.take(int(self.offsets[-1]) * width)
        copy_spans(self._starts, self._lengths * width, out, self.offsets[:-1] * width)
        return Ragged(out.view(self._kind), self.offsets)

    def __getitem__(self, index: int | slice) -> Any:
        if not isinstance(index, slice) or index.step not in (None, 1) or self._values is not None:
            return super().__getitem__(index)
        starts, lengths = self._starts[index], self._lengths[index]
        return ScatteredRagged(starts, lengths, self._kind, self._owner, self._behind, self._pool)

    def to_padded(self, length: int | None = None, value: Any = 0) -> npt.NDArray[Any]:
        if self._values is not None:  # somebody may have changed them
            return super().to_padded(length, value)
        width = int(self._lengths.max(initial=0)) if length is None else length
        return _padded(self._starts, self._lengths, width, value, self._kind, self._behind, self._pool)

    def __reduce__(self) -> tuple[Any, ...]:
        return Ragged, (self.values, self.offsets)


def _padded(
    starts: Int64s,
    lengths: Int64s,
    length: int,
    value: Any,
    dtype: np.dtype[Any],
    behind: int = 0,
    pool: BufferPool | None = None,
) -> npt.NDArray[Any]:
    """Rows at these addresses as one array [rows, length]. behind: how many bytes may be read behind each row."""
    rows, width = len(starts), length * dtype.itemsize
    sizes = np.minimum(lengths * dtype.itemsize, width)
    if not value and pool is not None and rows and 0 < width <= MASK_BYTES:
        read_behind = width - int(sizes.min())
        if read_behind <= behind and width * rows <= _MOST_PADDING * int(sizes.sum()):
            out = pool.take(rows * width)
            copy_blocks_with_tails(starts, sizes, width, out)
            return out.view(dtype).reshape(rows, length)
    filled = np.full((rows, length), value, dtype) if value else np.zeros((rows, length), dtype)
    copy_spans(starts, sizes, filled.reshape(-1).view(np.uint8), np.arange(rows, dtype=np.int64) * width)
    return filled


def copied(value: Value, pool: BufferPool) -> Value:
    """A value that lies in memory of its own, in a buffer of the pool, if it did not."""
    return value.copied(pool) if isinstance(value, ScatteredRagged) else value


@dataclass(frozen=True, slots=True, eq=False)
class Strings:
    """Strings or binary values: value i is the bytes `data[offsets[i]:offsets[i+1]]`.

    data: uint8. offsets: int64, rows + 1, ascending. text: True if the bytes are UTF-8.
    """

    data: npt.NDArray[np.uint8]
    offsets: Int64s
    text: bool

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: slice) -> Strings:
        """Some values (a slice of step 1) over the same memory."""
        start, stop, step = index.indices(len(self))
        if step != 1:
            raise OptionError(f"Strings are sliced with step 1, not {step}")
        return Strings(*_part(self.data, self.offsets, start, stop), self.text)

    def take(self, rows: Positions) -> Strings:
        """These values, in this order, as new Strings. Raises PositionError."""
        return Strings(*_take(self.data, self.offsets, row_positions(rows, len(self))), self.text)

    def to_arrow(self) -> Any:
        """A pyarrow array of type `large_string` or `large_binary` over the same memory."""
        import pyarrow as pa

        buffers = [
            None,
            pa.py_buffer(np.ascontiguousarray(self.offsets)),
            pa.py_buffer(np.ascontiguousarray(self.data)),
        ]
        return pa.Array.from_buffers(pa.large_string() if self.text else pa.large_binary(), len(self), buffers)

    def to_bytes(self) -> list[bytes]:
        """The values as `bytes` objects, text in UTF-8."""
        found: list[bytes] = Strings(self.data, self.offsets, text=False).to_numpy().tolist()
        return found

    def to_numpy(self) -> npt.NDArray[np.object_]:
        """A NumPy array [rows] of `str` or `bytes` objects. Raises UnicodeDecodeError for text that is not UTF-8."""
        import pyarrow as pa

        array: npt.NDArray[np.object_]
        try:
            array = self.to_arrow().to_numpy(zero_copy_only=False)
        except pa.ArrowException:
            bounds = zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)
            decoded = [self.data[start:stop].tobytes().decode() for start, stop in bounds]
            array = np.fromiter(decoded, np.dtype(object), len(decoded))
        return array


class Scattered(Strings):
    """Strings that still lie where they are stored: a long value is copied once, into the object that is asked for.

    starts: the address of each value. lengths: their bytes. owner: what keeps that memory. `data` is made when it is
    asked for, `offsets` too.
    """

    __slots__ = ("_data", "_offsets", "_owner", "lengths", "starts")

    starts: Int64s
    lengths: Int64s
    _owner: Any
    _data: npt.NDArray[np.uint8] | None
    _offsets: Int64s | None

    def __init__(self, starts: Int64s, lengths: Int64s, text: bool, owner: Any) -> None:
        for name, value in (("starts", starts), ("lengths", lengths), ("text", text), ("_owner", owner)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "_data", None)
        object.__setattr__(self, "_offsets", None)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def offsets(self) -> Int64s:
        offsets = self._offsets
        if offsets is None:
            offsets = offsets_of(self.lengths)
            object.__setattr__(self, "_offsets", offsets)
        return offsets

    @property
    def data(self) -> npt.NDArray[np.uint8]:
        data = self._data
        if data is None:
            data = np.empty(int(self.offsets[-1]), np.uint8)
            copy_spans(self.starts, self.lengths, data, self.offsets[:-1])
            object.__setattr__(self, "_data", data)
        return data

    def __getitem__(self, index: slice) -> Strings:
        if index.step not in (None, 1):
            raise OptionError(f"Strings are sliced with step 1, not {index.step}")
        return Scattered(self.starts[index], self.lengths[index], self.text, self._owner)

    def take(self, rows: Positions) -> Strings:
        return Scattered(self.starts[rows], self.lengths[rows], self.text, self._owner)

    def to_bytes(self) -> list[bytes]:
        if not len(self):
            return []
        origin = int(self.starts.min())
        starts = self.starts - origin
        ends = starts + self.lengths
        bytes_there: Any = items_at(origin, int(ends.max()), np.dtype(np.uint8), 1)
        memory = memoryview(bytes_there)
        return [bytes(memory[start:end]) for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]

    def __reduce__(self) -> tuple[Any, ...]:
        return Strings, (self.data, self.offsets, self.text)

    def to_numpy(self) -> npt.NDArray[np.object_]:
        values: Any = self.to_bytes()
        if self.text:
            values = [value.decode() for value in values]
        return np.fromiter(values, np.dtype(object), len(values))


Value: TypeAlias = npt.NDArray[Any] | Ragged | Strings
_T = TypeVar("_T")
Batch: TypeAlias = Mapping[str, Value]
Batches: TypeAlias = Mapping[str, Sequence[Value]]
"""Several batches with the same fields, at least one: the values of each field, batch by batch."""


def one_by_one(batches: Mapping[str, Sequence[_T]]) -> list[dict[str, _T]]:
    """Each batch by itself: of `Batches`, or of what a framework made of them."""
    return [dict(zip(batches, values, strict=True)) for values in zip(*batches.values(), strict=True)]


def alone(batch: Mapping[str, _T]) -> dict[str, list[_T]]:
    """One batch as several."""
    return {name: [value] for name, value in batch.items()}


def as_array(name: str, value: Value) -> npt.NDArray[Any] | Ragged:
    """The value of a field, `Strings` as an array of Python objects. Raises ColumnError for text that is not UTF-8."""
    try:
        return value.to_numpy() if isinstance(value, Strings) else value
    except UnicodeDecodeError as error:
        raise ColumnError(
            f"string column {name!r} has a value that is not UTF-8: {error}. Cast the column to binary before it "
            "is written, or leave it out"
        ) from error


def as_arrays(batch: Batch) -> dict[str, npt.NDArray[Any] | Ragged]:
    """A batch with its values as arrays, see `as_array`."""
    return {name: as_array(name, value) for name, value in batch.items()}


def _part(values: npt.NDArray[Any], offsets: Int64s, start: int, stop: int) -> tuple[npt.NDArray[Any], Int64s]:
    stop = max(start, stop)
    part = offsets[start : stop + 1]
    first, last = int(part[0]), int(part[-1])
    return values[first:last], part - first if first else part


def _take(values: npt.NDArray[Any], offsets: Int64s, rows: Int64s) -> tuple[npt.NDArray[Any], Int64s]:
    lengths = np.diff(offsets)[rows]
    out_offsets = offsets_of(lengths)
    values = np.ascontiguousarray(values)
    width = values.dtype.itemsize
    out = np.empty(int(out_offsets[-1]), values.dtype)
    copy_spans(
        offsets[rows] * width + address_of(values), lengths * width, out.view(np.uint8), out_offsets[:-1] * width
    )
    return out, out_offsets


def offsets_of(lengths: Int64s) -> Int64s:
    """Where values of these lengths start when they lie one after another, and where the last one ends."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def concatenate(parts: list[Value]) -> Value:
    """Values of one kind, one after another."""
    first = parts[0]
    if len(parts) == 1:
        return first
    if isinstance(first, np.ndarray):
        return np.concatenate(parts)  # type: ignore[arg-type]
    lengths = np.concatenate([np.diff(part.offsets) for part in parts if not isinstance(part, np.ndarray)])
    if isinstance(first, Ragged):
        return Ragged(np.concatenate([part.values for part in parts if isinstance(part, Ragged)]), offsets_of(lengths))
    data = np.concatenate([part.data for part in parts if isinstance(part, Strings)])
    return Strings(data, offsets_of(lengths), first.text)


def take_rows(value: Value, rows: Int64s) -> Value:
    """These rows of a value, in this order, copied."""
    return value.take(rows, axis=0) if isinstance(value, np.ndarray) else value.take(rows)
