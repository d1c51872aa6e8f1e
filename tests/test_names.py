"""Columns are told apart by their paths; names differ wherever paths do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import _s3
import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache._names import column_names

PARTS = st.text("ab.`", min_size=1, max_size=4)
PATHS = st.lists(st.lists(PARTS, min_size=1, max_size=3).map(tuple), unique=True, max_size=8)


@given(PATHS)
def test_names_differ_and_are_the_joined_paths_where_these_differ(paths: list[tuple[str, ...]]) -> None:
    names = column_names(paths)
    assert len(set(names)) == len(paths)
    joined = [".".join(path) for path in paths]
    if not any("`" in name for name in joined):
        assert [name for name in names if "`" not in name] == [
            name
            for name, path in zip(joined, paths, strict=True)
            if joined.count(name) == 1 or not any("." in part for part in path)
        ]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([("a.b",)], ["a.b"]),
        ([("a.b",), ("a", "c")], ["a.b", "a.c"]),
        ([("a.b",), ("a", "b")], ["`a.b`", "a.b"]),
        ([("a", "b.c"), ("a", "b", "c")], ["a.`b.c`", "a.b.c"]),
        ([("a.b", "c"), ("a", "b.c")], ["`a.b`.c", "a.`b.c`"]),
        ([("x`y.z",), ("x`y", "z")], ["`x``y.z`", "`x``y`.z"]),
        ([("`a.b`",), ("a.b",), ("a", "b")], ["```a.b```", "`a.b`", "a.b"]),
    ],
)
def test_names(paths: list[tuple[str, ...]], names: list[str]) -> None:
    assert column_names(paths) == names


ROWS = 40
COLUMNS: dict[str, Any] = {
    "a.x": list(range(ROWS)),
    "a": [[str(row)] * (row % 3) for row in range(ROWS)],
    "b.c": list(range(100, 100 + ROWS)),
    "b": pa.array(
        [{"c": -row, "d.e": row / 2, "d": {"e": row * 3}} for row in range(ROWS)],
        pa.struct([("c", pa.int64()), ("d.e", pa.float64()), ("d", pa.struct([("e", pa.int64())]))]),
    ),
    "wide": [[float(row)] * 500 for row in range(ROWS)],
}
EXPECTED = {
    "a.x": COLUMNS["a.x"],
    "`b.c`": COLUMNS["b.c"],
    "b.c": [-row for row in range(ROWS)],
    "b.`d.e`": [row / 2 for row in range(ROWS)],
    "b.d.e": [row * 3 for row in range(ROWS)],
}


def check(dataset: dlcache.Dataset) -> None:
    assert dataset.columns == ("a.x", "a", "`b.c`", "b.c", "b.`d.e`", "b.d.e", "wide")
    for name, values in EXPECTED.items():
        assert dataset.gather(np.arange(ROWS), [name])[name].tolist() == values
        assert np.concatenate([batch[name] for batch in dataset.numpy(7, columns=[name])]).tolist() == values
        assert dataset.stats(name)["nulls"] == 0
        assert len(dataset.filter((name, "==", values[7]))) == 1
    assert [list(row) for row in dataset.gather([4, 5], ["a"])["a"]] == [["4"], ["5", "5"]]
    assert dataset.verify(pages=True)


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_columns_of_one_joined_path(tmp_path: Path, compression: str) -> None:
    table = pa.table(COLUMNS)
    check(dlcache.load(write(tmp_path, table, shard_rows=25, row_group_rows=9, compression=compression)))
    check(dlcache.load(tmp_path, verify="full"))


@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_parts_of_remote_shards(tmp_path: Path, compression: str) -> None:
    """Of a column that must be decoded its own bytes are fetched, and those of no other one are looked at."""
    rows = COLUMNS | {"wide": np.random.default_rng(1).random((ROWS, 500)).tolist()}
    root = write(tmp_path / "local", pa.table(rows), shard_rows=25, row_group_rows=9, compression=compression)
    with _s3.serving() as server:
        uri = server.upload(root, "names")
        check(dlcache.load(uri, storage_options=server.options, cache_dir=tmp_path / "mirror"))


def test_two_columns_of_one_path_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, pa.table({"x": [1], "y": [2]})) / "_dlcache" / f"{1:020d}.json"
    path.write_text(path.read_text().replace('"name": "y", "path": ["y"]', '"name": "x", "path": ["x"]'))
    with pytest.raises(dlcache.ManifestError, match="one path"):
        dlcache.load(tmp_path)
