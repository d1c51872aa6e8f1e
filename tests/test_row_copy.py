"""The copy by rows of stacked columns: when it is made, that it is right, and that nothing of it stays."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import ShardError, _row_copy
from dlcache._memory import BufferPool
from dlcache._row_copy import RowCopy

ROWS = 1000
NAMES = ["a", "b", "n"]
POOL = BufferPool(1 << 20)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where temporary files are; nothing may be left there."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def dataset_at(path: Path, compression: str = "none", **options: Any) -> dlcache.Dataset:
    numbers = np.arange(ROWS)
    source = pa.table(
        {
            "id": numbers,
            "a": numbers / 2,
            "b": -numbers.astype(np.float64),
            "n": pa.array([None if number % 3 else float(number) for number in numbers], pa.float64()),
        }
    )
    write(path, source, shard_rows=400, row_group_rows=150, compression=compression)
    return dlcache.load(path, **options)


def wanted(ids: np.ndarray[Any, Any], fill: float = -1.0) -> np.ndarray[Any, Any]:
    return np.stack([ids / 2, -ids.astype(np.float64), np.where(ids % 3, fill, ids)], axis=1)


def epoch(dataset: dlcache.Dataset, fill: float = -1.0, **options: Any) -> int:
    """Reads and checks an epoch; the rows that came."""
    loader = dataset.numpy(100, shuffle=True, stack={"x": NAMES}, nulls={"n": fill}, **options)
    seen: list[int] = []
    for batch in loader:
        assert np.array_equal(batch["x"], wanted(batch["id"], fill))
        seen += batch["id"].tolist()
    assert len(set(seen)) == len(seen)
    return len(seen)


def copies(dataset: dlcache.Dataset) -> list[bool]:
    """For each copy whether it is whole."""
    return [copy.whole for copy in dataset.reader._row_copies.values()]


@pytest.mark.parametrize("compression", ["none", "zstd"])
@pytest.mark.parametrize("threads", [0, 2])
def test_who_reads_half_of_the_rows_and_goes_on_gets_a_copy(tmp_path: Path, compression: str, threads: int) -> None:
    dataset = dataset_at(tmp_path / "d", compression)
    assert epoch(dataset, threads=threads) == ROWS
    assert epoch(dataset, threads=threads) == ROWS
    assert copies(dataset) == [True]
    shutil.rmtree(tmp_path / "d" / "data")  # the copy is all that is read of these columns
    loader = dataset.numpy(ROWS, shuffle=True, columns=NAMES, stack={"x": NAMES}, nulls={"n": -1}, seed=5)
    rows = loader.batch_at(0)["x"]
    assert np.array_equal(rows[np.argsort(rows[:, 0])], wanted(np.arange(ROWS)))


def test_who_reads_little_gets_none(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    few = dataset.filter(("id", "<", 90))
    for _ in range(5):
        assert epoch(few, threads=0) == 90
    assert copies(few) == [False]


def test_each_fill_value_has_its_own(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    for fill in (-1.0, 7.5, -1.0, 7.5, -1.0, 7.5):
        assert epoch(dataset, fill, threads=0) == ROWS
    assert copies(dataset) == [True, True]


def test_in_stored_order_none_is_made(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    for _ in range(4):
        for batch in dataset.numpy(100, stack={"x": NAMES}, nulls={"n": -1}):
            assert np.array_equal(batch["x"], wanted(batch["id"]))
    assert copies(dataset) in ([], [False])


def test_without_leave_or_room_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = dataset_at(tmp_path / "refusing", cache_bytes=0)
    full = dataset_at(tmp_path / "full")
    for _ in range(3):
        assert epoch(refusing, threads=0) == ROWS
        with monkeypatch.context() as patch:
            patch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=8 * 24 * ROWS - 8))
            assert epoch(full, threads=0) == ROWS
    assert copies(refusing) == copies(full) == [False]


def test_a_disk_that_becomes_full_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit on the size of files ends a write as a full disk does: after some of its bytes."""
    resource = pytest.importorskip("resource")
    dataset = dataset_at(tmp_path / "d")
    monkeypatch.setattr(_row_copy, "PIECE_BYTES", 2400)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (9000, before[1]))
        for _ in range(3):
            assert epoch(dataset, threads=0) == ROWS
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert copies(dataset) == [False]
    assert epoch(dataset, threads=0) == ROWS
    assert copies(dataset) == [False]


def test_an_interrupted_copy_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    table = np.arange(3000.0).reshape(1000, 3)
    copy, write_to, calls = RowCopy(1000, 3, table.dtype, None), os.write, count(1)

    def interrupted(descriptor: int, data: Any) -> int:
        if next(calls) % 3 == 0:
            write_to(descriptor, data[: len(data) // 2])
            raise KeyboardInterrupt
        return write_to(descriptor, data)

    monkeypatch.setattr(_row_copy, "PIECE_BYTES", 2400)
    interrupts = 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", interrupted)
        while not copy.whole:
            try:
                copy.gathered(500, lambda start, stop: table[start:stop])
            except KeyboardInterrupt:
                interrupts += 1
    found = copy.gather(np.arange(1000), POOL)
    assert interrupts and found is not None and np.array_equal(found, table)


def test_a_shard_that_nobody_has_asked_for_may_be_missing() -> None:
    copy = RowCopy(100, 2, np.dtype(np.float32), None)

    def missing(start: int, stop: int) -> Any:
        raise ShardError("gone")

    copy.gathered(60, missing)
    copy.gathered(60, lambda start, stop: np.zeros((stop - start, 2), np.float32))
    assert not copy.whole


@given(rows=st.integers(1, 400), columns=st.integers(1, 5), each=st.integers(1, 90), piece=st.integers(1, 3000))
def test_it_begins_after_half_of_the_rows_and_has_all_of_them(rows: int, columns: int, each: int, piece: int) -> None:
    table = np.random.default_rng(rows).integers(0, 1000, (rows, columns)).astype(np.int32)
    asked: list[int] = []

    def read(start: int, stop: int) -> np.ndarray[Any, Any]:
        assert 2 * gathered >= rows
        asked.extend(range(start, stop))
        return np.ascontiguousarray(table[start:stop])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_row_copy, "PIECE_BYTES", piece)
        copy, gathered = RowCopy(rows, columns, table.dtype, None), 0
        while not copy.whole:
            assert copy.gather(np.arange(rows), POOL) is None
            gathered += each
            copy.gathered(each, read)
    assert asked == list(range(rows))
    ids = np.random.default_rng(1).integers(0, rows, 50)
    found = copy.gather(ids, POOL)
    assert found is not None and found.dtype == table.dtype and np.array_equal(found, table[ids])
