"""What a column of a batch can be: a NumPy array, a `Ragged`, or `Strings`; and the `Field` that describes it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from ._errors import ColumnError, OptionError
from ._memory import address_of, copy_spans
from ._positions import Positions, row_positions

Int64s = npt.NDArray[np.int64]
Kind = Literal["array", "ragged", "text", "bytes", "object"]


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
        values, rows = np.ascontiguousarray(self.values), len(self)
        filled = np.full((rows, length), value, values.dtype)
        width = values.itemsize
        copy_spans(
            self.offsets[:-1] * width + address_of(values),
            np.minimum(lengths, length) * width,
            filled.reshape(-1).view(np.uint8),
            np.arange(rows, dtype=np.int64) * (length * width),
        )
        return filled

    def take(self, rows: Positions) -> Ragged:
        """These rows, in this order, as a new Ragged. Raises PositionError."""
        return Ragged(*_take(self.values, self.offsets, row_positions(rows, len(self))))


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
