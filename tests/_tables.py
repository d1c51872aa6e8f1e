"""Random tables for the tests of the readers, and their rows as Python values."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa

from dlcache import Ragged, Strings

KINDS = [
    *("bool", "int8", "int16", "int32", "int64", "float32", "float64", "date", "timestamp"),
    *("decimal9", "decimal18", "decimal30", "string", "binary", "tensor", "matrix", "bytes_tensor", "bools"),
    *("ragged", "ragged16", "struct", "map", "null_int", "null_string", "null_list", "null_elements"),
]


def column(kind: str, rows: int, seed: int) -> pa.Array:
    """A column of one kind with random values."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    numbers = rng.integers(-100, 100, rows)
    if kind == "bool":
        return pa.array(numbers > 0)
    if kind in ("int8", "int16", "int32", "int64", "float32", "float64"):
        return pa.array(numbers.astype(kind))
    if kind == "date":
        return pa.array(numbers.astype(np.int32), pa.date32())
    if kind == "timestamp":
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        return pa.array([start + datetime.timedelta(microseconds=int(n)) for n in numbers], pa.timestamp("us", "UTC"))
    if kind.startswith("decimal"):
        return pa.array([decimal.Decimal(int(n)).scaleb(-2) for n in numbers], pa.decimal128(int(kind[7:]), 2))
    if kind == "string":
        return pa.array(["ß" * max(0, int(n)) for n in numbers])
    if kind == "binary":
        return pa.array([rng.bytes(int(n) ** 2) for n in numbers], pa.binary())
    if kind in ("tensor", "matrix", "bytes_tensor", "bools"):
        shape, dtype = {
            "tensor": ((6,), "float32"),
            "matrix": ((2, 3), "float64"),
            "bytes_tensor": ((3,), "int8"),
            "bools": ((3,), "bool"),
        }[kind]
        kept: Any = pa.from_numpy_dtype(np.dtype(dtype))
        for _ in shape:
            kept = pa.list_(kept)
        return pa.array((rng.random((rows, *shape)) * 100 - 40).astype(dtype).tolist(), kept)
    if kind in ("ragged", "ragged16"):
        kept = pa.int16() if kind == "ragged16" else pa.float32()
        return pa.array([rng.integers(-99, 99, abs(int(n))).tolist() for n in numbers], pa.list_(kept))
    if kind == "struct":
        fields = pa.struct([("x", pa.int32()), ("y", pa.list_(pa.float64()))])
        return pa.array([{"x": int(n), "y": [n / 2, n / 4]} for n in numbers], fields)
    if kind == "map":
        return pa.array([[("a", int(n))] for n in numbers], pa.map_(pa.string(), pa.int64()))
    gone = rng.random(rows) < 0.3
    if kind == "null_int":
        return pa.array(numbers, mask=gone)
    if kind == "null_string":
        return pa.array([None if g else str(n) for n, g in zip(numbers, gone, strict=True)], pa.string())
    rows_ = [[None if g and kind == "null_elements" else int(n)] * 2 for n, g in zip(numbers, gone, strict=True)]
    if kind == "null_list":
        return pa.array([None if g else row for row, g in zip(rows_, gone, strict=True)], pa.list_(pa.int64()))
    return pa.array(rows_, pa.list_(pa.int64()))


def table(kinds: list[str], rows: int, seed: int = 0) -> pa.Table:
    """A table with a column of each kind, named after it."""
    return pa.table({kind: column(kind, rows, seed) for kind in kinds})


FILLS = {"null_int": -7, "null_string": "none", "null_list": -3, "null_elements": -9}


def expected(source: pa.Table, name: str) -> list[Any]:
    """The values of a delivered column as Python objects, with nulls filled by `FILLS`."""
    kind, _, rest = name.partition(".")
    values = source[kind].to_pylist()
    fill = FILLS.get(kind)
    if rest:
        return [value[rest] for value in values]
    if kind == "timestamp":
        epoch = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
        return [(value - epoch) // datetime.timedelta(microseconds=1) for value in values]
    if kind == "date":
        return [(value - datetime.date(1970, 1, 1)).days for value in values]
    if kind.startswith("decimal"):
        return [float(value) for value in values]
    if kind in ("null_int", "null_string"):
        return [fill if value is None else value for value in values]
    if kind == "null_list":
        return [[fill] if value is None else value for value in values]
    if kind == "null_elements":
        return [[fill if element is None else element for element in value] for value in values]
    unchanged: list[Any] = values
    return unchanged


def delivered(value: Any) -> list[Any]:
    """A column of a batch as Python objects."""
    if isinstance(value, Strings):
        value = value.to_numpy()
    if isinstance(value, Ragged):
        return [value[row].tolist() for row in range(len(value))]
    listed: list[Any] = value.tolist()
    return listed
