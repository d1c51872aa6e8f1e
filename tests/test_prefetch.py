"""`prefetch` bounds what is read ahead for every kind of column, by what its rows weigh in memory."""

from __future__ import annotations

import decimal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache

ROWS, BATCH = 400, 2
NUMBERS = np.random.default_rng(0).integers(0, 1 << 40, (ROWS, 80)).tolist()

COLUMNS = {
    "nested": (pa.list_(pa.list_(pa.int64())), [[row[:30], row[30:]] for row in NUMBERS]),
    "map": (pa.map_(pa.string(), pa.int64()), [[(str(value), value) for value in row] for row in NUMBERS]),
    "structs": (
        pa.list_(pa.struct([("a", pa.int64()), ("b", pa.string())])),
        [[{"a": value, "b": str(value)} for value in row[:40]] for row in NUMBERS],
    ),
    "decimal": (pa.decimal128(30, 2), [decimal.Decimal(row[0]) for row in NUMBERS]),
    "text": (pa.string(), ["ab" * 2000] * ROWS),
    "skewed": (pa.string(), ["x" * (10 if row % 50 else 40_000) for row in range(ROWS)]),
    "raw": (pa.binary(), [b"ab" * 2000] * ROWS),
    "ragged": (pa.list_(pa.float64()), [[1.0] * (300 + row % 3) for row in range(ROWS)]),
    "tensor": (pa.list_(pa.float64()), [[1.0] * 300] * ROWS),
    "number": (pa.int32(), list(range(ROWS))),
}


def weight(value: Any) -> int:
    """The bytes of values and of all that they are made of."""
    if isinstance(value, dlcache.Ragged):
        return weight(value.values) + weight(value.offsets)
    if isinstance(value, dlcache.Strings):
        return weight(value.data) + weight(value.offsets)
    if isinstance(value, np.ndarray):
        return int(value.nbytes) + (sum(map(weight, value.tolist())) if value.dtype.hasobject else 0)
    parts = list(value.items()) if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return sys.getsizeof(value) + sum(map(weight, parts))


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("name", COLUMNS)
def test_rows_ahead_weigh_what_prefetch_allows(name: str, compression: str, tmp_path: Path) -> None:
    kind, values = COLUMNS[name]
    options: Any = {"options": {"compression": "uncompressed" if compression == "none" else compression}}
    table = pa.table({"x": pa.array(values, kind)})
    dataset = dlcache.load(write(tmp_path / "d", table, compression=compression, row_group_rows=100, **options))
    row = weight(dataset.gather(range(ROWS), ["x"])["x"]) / ROWS
    for prefetch in (1, 1 << 20):
        loader = dataset.numpy(BATCH, prefetch=prefetch, threads=2, shuffle=True)
        ahead = loader._pipeline().depth * loader.super_batch_steps * BATCH
        assert ahead <= max(BATCH, 1.5 * prefetch / row)
        seen = sum(len(each["x"]) for each in loader)
        assert seen == ROWS
