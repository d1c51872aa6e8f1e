"""Chunks that are not raw: decoded by pyarrow, one row group of one column at a time, and kept within a bound of
bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from ._decimals import numbers, numbers_of
from ._errors import DlcacheError, ShardError
from ._manifest import Column, Manifest
from ._maps import ShardMaps
from ._names import Path
from ._objects import objects_of
from ._values import Int64s, Ragged, Strings, Value

Mask = npt.NDArray[np.bool_]

_FOOTERS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """One column of one row group, decoded.

    value: as it is delivered; 0, empty or None where it is null. valid: False for rows that are null, None if there
    are none. valid_elements: likewise for the elements of a Ragged.
    """

    value: Value
    valid: Mask | None
    valid_elements: Mask | None
    bytes: int


class Decoder:
    """Decoded chunks by (column, row group). Threads may share it: two that want one chunk decode it once."""

    def __init__(self, manifest: Manifest, maps: ShardMaps, budget: int) -> None:
        self._manifest, self._maps, self._budget = manifest, maps, budget
        self._lock = threading.Lock()
        self._busy: dict[tuple[int, int], threading.Lock] = {}
        self._chunks: OrderedDict[tuple[int, int], Chunk] = OrderedDict()
        self._bytes = 0
        self._footers: OrderedDict[int, _Footer] = OrderedDict()

    def chunk(self, column: int, shard: int, number: int) -> Chunk:
        """One chunk of a column; `number` counts the row groups of all shards."""
        key = (column, number)
        with self._lock:
            found = self._chunks.get(key)
            if found is not None:
                self._chunks.move_to_end(key)
                return found
            busy = self._busy.setdefault(key, threading.Lock())
        with busy:
            with self._lock:
                found = self._chunks.get(key)
            if found is None:
                found = self._decode(column, shard, number - int(self._manifest.shards.group_starts[shard]))
                self._keep(key, found)
        return found

    def _keep(self, key: tuple[int, int], chunk: Chunk) -> None:
        with self._lock:
            self._busy.pop(key, None)
            self._chunks[key] = chunk
            self._bytes += chunk.bytes
            while self._bytes > self._budget and len(self._chunks) > 1:
                self._bytes -= self._chunks.popitem(last=False)[1].bytes

    def _decode(self, number: int, shard: int, group: int) -> Chunk:
        shards, column = self._manifest.shards, self._manifest.columns[number]
        where = shards.paths[shard]
        start = group * int(shards.row_group_rows[shard])
        rows = min(int(shards.row_group_rows[shard]), int(shards.rows[shard]) - start)
        try:
            file, leaves = self._open(shard)
            if file.metadata.num_rows != int(shards.rows[shard]):
                raise ShardError(
                    f"{where} has {file.metadata.num_rows} rows, and its manifest says {int(shards.rows[shard])}; "
                    "write the dataset again"
                )
            # By number: a name with dots is to PyArrow every column whose path joins to it, or begins with it.
            table = file.reader.read_row_group(group, column_indices=leaves[column.path], use_threads=False)
            if table.num_columns != 1 or table.num_rows != rows:
                raise ShardError(
                    f"row group {group} of {where} does not have {rows} rows of column {column.name!r}, as its "
                    "manifest says; write the dataset again"
                )
            return to_chunk(leaf(table.column(0), column.path[1:]), column)
        except DlcacheError:
            raise
        except (pa.ArrowException, OSError, LookupError, ValueError, ArithmeticError, TypeError) as error:
            raise ShardError(
                f"cannot read column {column.name!r} in row group {group} of {where}: {error}; "
                "the file is damaged, write the dataset again"
            ) from error

    def _open(self, shard: int) -> tuple[pq.ParquetFile, dict[Path, list[int]]]:
        """A shard, and the numbers of the Parquet columns of each column."""
        source = pa.BufferReader(pa.py_buffer(self._maps.file(shard)))
        with self._lock:
            footer = self._footers.get(shard)
        file = pq.ParquetFile(source, metadata=None if footer is None else footer.metadata)
        if footer is None:
            footer = _Footer(file.metadata, parquet_columns(file.schema_arrow))
            with self._lock:
                self._footers[shard] = footer
                while len(self._footers) > _FOOTERS:
                    self._footers.popitem(last=False)
        return file, footer.leaves


@dataclass(frozen=True, slots=True)
class _Footer:
    metadata: pq.FileMetaData
    leaves: dict[Path, list[int]]


def parquet_columns(schema: pa.Schema) -> dict[Path, list[int]]:
    """The numbers of the Parquet columns of each field that is reached through structs only, by its path."""
    numbers: dict[Path, list[int]] = {}
    count = 0

    def walk(kind: pa.DataType, path: Path) -> None:
        nonlocal count
        first = count
        if pa.types.is_struct(kind):
            for number in range(kind.num_fields):
                walk(kind.field(number).type, (*path, kind.field(number).name))
        else:
            count += _leaves(kind)
        numbers[path] = list(range(first, count))

    for field in schema:
        walk(field.type, (field.name,))
    return numbers


def _leaves(kind: pa.DataType) -> int:
    if pa.types.is_struct(kind):
        return sum(_leaves(kind.field(number).type) for number in range(kind.num_fields))
    if pa.types.is_map(kind):
        return _leaves(kind.key_type) + _leaves(kind.item_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _leaves(kind.value_type)
    return 1


def leaf(column: pa.ChunkedArray, fields: Sequence[str]) -> pa.Array:
    """The values at the end of a path of struct fields; null where a struct on the way is null."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    for name in fields:
        array = array.flatten()[array.type.get_field_index(name)]
    return array


def to_chunk(array: pa.Array, column: Column) -> Chunk:
    """An Arrow array as `column` is delivered."""
    valid = None if array.null_count == 0 else _valid(array)
    elements: Mask | None = None
    value: Value
    if column.storage in ("string", "binary"):
        value = _strings(array, text=column.storage == "string")
        size = value.data.nbytes + value.offsets.nbytes
    elif column.storage == "ragged":
        value, elements = _ragged(array, column)
        size = value.values.nbytes + value.offsets.nbytes
    elif column.storage == "tensor":
        value = _tensor(array, column)
        size = value.nbytes
    elif column.dtype is not None:
        value = _numbers(array, column)
        size = value.nbytes
    else:
        value = objects_of(array, column)
        size = array.nbytes * 4
    return Chunk(value, valid, elements, size)


def _valid(array: pa.Array) -> Mask:
    mask: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return mask


def _numbers(array: pa.Array, column: Column) -> npt.NDArray[Any]:
    """The numbers of a flat array as the column's dtype, 0 where null. docs/format.md says what they mean."""
    if pa.types.is_decimal(array.type):
        return numbers_of(array, column)
    if pa.types.is_temporal(array.type) and not pa.types.is_date32(array.type):
        if pa.types.is_timestamp(array.type):
            array = array.cast(pa.timestamp("us", array.type.tz))
        elif pa.types.is_time(array.type):
            array = array.cast(pa.time64("us"))
        array = array.view(pa.int64())
    elif pa.types.is_date32(array.type):
        array = array.view(pa.int32())
    if array.null_count:
        array = array.fill_null(False if pa.types.is_boolean(array.type) else 0)
    return numbers(array.to_numpy(zero_copy_only=False), column)


def _lists(array: pa.Array) -> tuple[pa.Array, Int64s]:
    """The elements of a list array's rows without gaps, and the offsets of the rows; null rows are empty."""
    lengths = array.value_lengths().fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return array.flatten(), offsets


def _ragged(array: pa.Array, column: Column) -> tuple[Ragged, Mask | None]:
    flat, offsets = _lists(array)
    elements = _valid(flat) if flat.null_count else None
    return Ragged(_numbers(flat, column), offsets), elements


def _tensor(array: pa.Array, column: Column) -> npt.NDArray[Any]:
    assert column.shape is not None
    rows = len(array)
    for _ in column.shape:
        array, _offsets = _lists(array)
    if len(array) != rows * column.elements or array.null_count:
        raise ShardError(
            f"column {column.name!r} has not {column.elements} elements in each row, as its manifest says; "
            "write the dataset again"
        )
    return _numbers(array, column).reshape(rows, *column.shape)


def _strings(array: pa.Array, *, text: bool) -> Strings:
    large = array.cast(pa.large_string() if text else pa.large_binary())
    _, offsets, data = large.buffers()
    bounds = np.frombuffer(offsets, np.int64)[large.offset : large.offset + len(large) + 1]
    values = np.frombuffer(data, np.uint8) if data is not None and data.size else np.empty(0, np.uint8)
    return Strings(values[bounds[0] : bounds[-1]], bounds - bounds[0], text)
