"""Shards are ordinary Parquet: other readers see plain columns, and vectors as arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from pyspark.ml.linalg import Vectors

import dlcache

ROWS = [
    (0, Vectors.dense(1.0, 2.0, 3.0), [1, 2], "zero", b"\x00\xff", True),
    (1, Vectors.sparse(3, {1: 5.0}), [], "", b"", False),
    (2, Vectors.dense(-1.0, 0.0, 0.5), [3], None, None, None),
]


@pytest.fixture
def shards(spark: Any, tmp_path: Path) -> list[str]:
    schema = "id long, features vector, tokens array<int>, name string, content binary, flag boolean"
    frame = spark.createDataFrame(ROWS, list(name.split()[0] for name in schema.split(", ")))
    dataset = dlcache.cache(frame.coalesce(1), tmp_path / "dataset", progress=False)
    return sorted(str(path) for path in Path(dataset.path, "data").glob("*.parquet"))


def test_pyarrow_reads_plain_arrays(shards: list[str]) -> None:
    (shard,) = shards
    table = pq.read_table(shard, page_checksum_verification=True)
    assert table["features"].to_pylist() == [[1, 2, 3], [0, 5, 0], [-1, 0, 0.5]]
    assert table["tokens"].to_pylist() == [[1, 2], [], [3]]
    assert table["name"].to_pylist() == ["zero", "", None]
    assert table["content"].to_pylist() == [b"\x00\xff", b"", None]
    assert table["flag"].to_pylist() == [True, False, None]


def test_duckdb_reads_plain_arrays_and_skips_by_statistics(shards: list[str]) -> None:
    (shard,) = shards
    rows = duckdb.sql(f"SELECT id, features, tokens, name FROM '{shard}' ORDER BY id").fetchall()
    assert rows == [
        (0, [1.0, 2.0, 3.0], [1, 2], "zero"),
        (1, [0.0, 5.0, 0.0], [], ""),
        (2, [-1.0, 0.0, 0.5], [3], None),
    ]
    assert duckdb.sql(f"SELECT count(*) FROM '{shard}' WHERE id > 1 AND name IS NULL").fetchall() == [(1,)]


def test_spark_gives_vectors_back(spark: Any, shards: list[str]) -> None:
    frame = spark.read.format("dlcache").load(str(Path(shards[0]).parent.parent))
    rows = {row.id: row for row in frame.collect()}
    for id_, features, *_ in ROWS:
        np.testing.assert_array_equal(rows[id_].features.toArray(), features.toArray())
