from __future__ import annotations

import inspect
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from _tables import FILLS, KINDS, delivered, expected, table
from _writer import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError, ShardError
from dlcache._maps import ShardMaps


def fills(names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in FILLS.items() if name in names}


def nulls(dataset: dlcache.Dataset) -> dict[str, Any]:
    columns = [dataset.manifest.column(name) for name in dataset.columns]
    return fills(tuple(column.name for column in columns if column.nulls or column.null_elements))


def check(dataset: dlcache.Dataset, source: pa.Table, rows: np.ndarray[Any, Any]) -> None:
    got = dataset.gather(rows, nulls=nulls(dataset))
    assert set(got) == set(dataset.columns)
    for name in dataset.columns:
        want = expected(source, name)
        assert delivered(got[name]) == [want[row] for row in rows], name


@settings(max_examples=60)
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5, unique=True),
    rows=st.integers(1, 120),
    shard_rows=st.integers(1, 130),
    group_rows=st.integers(1, 130),
    compression=st.sampled_from(["none", "none", "zstd"]),
    seed=st.integers(0, 1000),
)
def test_rows_are_those_that_were_written(
    kinds: list[str], rows: int, shard_rows: int, group_rows: int, compression: str, seed: int
) -> None:
    source = table(kinds, rows, seed)
    root = Path(tempfile.mkdtemp())
    try:
        write(
            root, source, shard_rows=max(shard_rows, rows // 12 + 1), row_group_rows=group_rows, compression=compression
        )
        dataset = dlcache.load(root)
        rng = np.random.default_rng(seed)
        check(dataset, source, np.arange(rows))
        check(dataset, source, rng.permutation(rows))
        check(dataset, source, rng.integers(0, rows, rng.integers(0, 50)))
    finally:
        shutil.rmtree(root)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compression", ["none", "snappy"])
def test_every_kind_of_column(tmp_path: Path, kind: str, compression: str) -> None:
    source = table([kind], 300, 1)
    write(tmp_path, source, shard_rows=110, row_group_rows=40, compression=compression)
    dataset = dlcache.load(tmp_path)
    check(dataset, source, np.random.default_rng(2).permutation(300))
    loader = dataset.numpy(37, nulls=nulls(dataset))
    batches = list(loader)
    for name in dataset.columns:
        assert [value for batch in batches for value in delivered(batch[name])] == expected(source, name)
        field = loader.element_spec[name]
        for batch in batches:
            value = batch[name]
            values = value if isinstance(value, np.ndarray) else value.values
            assert values.dtype == field.dtype


def test_raw_columns_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [kind for kind in KINDS if not kind.startswith("null_") and kind not in ("map", "decimal30")]
    if "store_decimal_as_integer" not in inspect.signature(pq.ParquetWriter.__init__).parameters:
        kinds = [kind for kind in kinds if not kind.startswith("decimal")]  # an older PyArrow, as a test's writer
    source = table(kinds, 200)
    write(tmp_path, source, shard_rows=80, row_group_rows=30)
    monkeypatch.setattr("dlcache._decode.Decoder.chunk", lambda *_: pytest.fail("a raw column was decoded"))
    check(dlcache.load(tmp_path), source, np.random.default_rng(0).permutation(200))


def test_a_column_that_is_raw_in_some_row_groups_only(tmp_path: Path) -> None:
    source = pa.table({"x": pa.array([None if row == 70 else row for row in range(100)], pa.int64())})
    write(tmp_path, source, row_group_rows=20)
    dataset = dlcache.load(tmp_path)
    rows = np.random.default_rng(0).permutation(100)
    assert dataset.gather(rows, nulls={"x": -1})["x"].tolist() == [-1 if row == 70 else row for row in rows]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_few_shards_mapped_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    source = table(["int64", "tensor", "string", "ragged", "bool", "null_list"], 100)
    write(tmp_path, source, shard_rows=9, row_group_rows=4)
    monkeypatch.setattr("dlcache._maps._file_limit", lambda: limit)
    dataset = dlcache.load(tmp_path)
    check(dataset, source, np.random.default_rng(3).permutation(100))
    check(dataset, source, np.array([99, 0, 50]))
    assert len(dataset.reader.maps._files) <= limit


def test_a_map_is_read_only_and_a_private_one_is_its_own(tmp_path: Path) -> None:
    write(tmp_path, table(["int64"], 10))
    dataset = dlcache.load(tmp_path)
    maps: ShardMaps = dataset.reader.maps
    before = maps.file(0).copy()
    assert not maps.file(0).flags.writeable
    private = maps.open_private(0)
    private[:] = 0
    assert np.array_equal(maps.file(0), before)
    assert (tmp_path / dataset.manifest.shards.paths[0]).read_bytes() == before.tobytes()


@pytest.mark.parametrize("rows", [[-101], [100], [0, 3, 1 << 40]])
def test_rows_that_are_not_there(tmp_path: Path, rows: list[int]) -> None:
    write(tmp_path, table(["int64"], 100))
    with pytest.raises(OptionError, match=r"0 \.\. 99"):
        dlcache.load(tmp_path).gather(rows)


def shard_of(root: Path) -> Path:
    return next(iter(sorted((root / "data").iterdir())))


@pytest.mark.parametrize("kind", ["int64", "tensor", "string", "ragged", "map"])
@pytest.mark.parametrize("damage", ["missing", "short", "long", "folder"])
def test_a_damaged_shard_is_named(tmp_path: Path, kind: str, damage: str) -> None:
    write(tmp_path, table([kind], 50))
    shard = shard_of(tmp_path)
    blob = shard.read_bytes()
    shard.unlink()
    if damage == "short":
        shard.write_bytes(blob[: len(blob) // 2])
    elif damage == "long":
        shard.write_bytes(blob + b"\0")
    elif damage == "folder":
        shard.mkdir()
    dataset = dlcache.load(tmp_path)
    with pytest.raises(ShardError, match=shard.name):
        dataset.gather([3])
    with pytest.raises(ShardError, match=shard.name):
        list(dataset.numpy(8))


@pytest.mark.parametrize("kind", ["string", "ragged"])
def test_a_row_index_that_leads_out_of_its_chunk_is_named(tmp_path: Path, kind: str) -> None:
    write(tmp_path, table([kind], 50))
    document = json.loads((tmp_path / "_dlcache" / f"{1:020d}.json").read_text())
    _, _, index = document["shards"][0]["chunks"][0]
    shard = shard_of(tmp_path)
    for entry in (-1, 1 << 30, -(1 << 31)):
        blob = bytearray(shard.read_bytes())
        blob[index + 40 : index + 44] = int(entry).to_bytes(4, "little", signed=True)
        (tmp_path / document["shards"][0]["path"]).write_bytes(blob)
        with pytest.raises(ShardError, match=r"row index|record"):
            dlcache.load(tmp_path).gather(np.arange(50))
        with pytest.raises(ShardError, match=r"row index|record"):
            list(dlcache.load(tmp_path).numpy(50))


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_flipped_bytes_in_a_shard_give_rows_or_a_named_error(tmp_path: Path, data: st.DataObject) -> None:
    kinds = ["int64", "tensor", "string", "ragged", "null_int", "map"]
    if not (tmp_path / "data").exists():
        write(tmp_path, table(kinds, 40), row_group_rows=15)
        shutil.copy(shard_of(tmp_path), tmp_path / "kept")
    blob = bytearray((tmp_path / "kept").read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    shard_of(tmp_path).write_bytes(blob)
    dataset = dlcache.load(tmp_path)
    for kind in kinds:
        try:
            dataset.gather(np.arange(40), [kind], nulls=fills((kind,)))
        except ShardError as error:
            assert kind in str(error) or shard_of(tmp_path).name in str(error)
