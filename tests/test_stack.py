"""Scalar columns as one array: raw chunks turned over in stored order, and the option `stack`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, OptionError
from dlcache._chunks import ChunkTable
from dlcache._manifest import Column
from dlcache._maps import Mapped
from dlcache._memory import address_of
from dlcache._places import RowGroups
from dlcache._raw_stack import RawStack

ROWS = 700


def scalar(name: str, dtype: str, stored: str) -> Column:
    return Column(name, (name,), "scalar", np.dtype(dtype), stored, None, None, None, None, None, None, 0, 0, None)


class Memory:
    """Columns in the row groups of two files, as shards have them: chunks at multiples of 64, in any distance."""

    def __init__(self, columns: int, groups: list[list[int]], dtype: str, stored: str, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.columns = [scalar(f"c{number}", dtype, stored) for number in range(columns)]
        self.values: list[Any] = []  # by row group over all files: [columns, rows]
        offsets: list[list[int]] = [[] for _ in range(columns)]
        files = []
        for of_file in groups:
            file, at = np.zeros(1 << 20, np.uint8), 64
            for rows in of_file:
                values = rng.integers(-100, 100, (columns, rows)).astype(stored)
                self.values.append(values.astype(dtype))
                for number in range(columns):
                    offsets[number].append(at)
                    file[at : at + values[number].nbytes] = values[number].view(np.uint8)
                    at += (-(-values[number].nbytes // 64) + int(rng.integers(0, 4))) * 64
            files.append(file)
        rows_of = [rows for of_file in groups for rows in of_file]
        first = np.cumsum([0, *(len(of_file) for of_file in groups)])[:-1]
        sizes = np.array(rows_of) * np.dtype(stored).itemsize
        self.tables = [ChunkTable(first, np.array(offset), sizes, np.full(len(offset), -1)) for offset in offsets]
        shard = np.repeat(np.arange(len(groups)), [len(of_file) for of_file in groups])
        self.groups = RowGroups(np.cumsum([0, *rows_of]), shard)
        self.mapped = Mapped(np.array([address_of(file) for file in files]), 1, tuple(files))


@given(columns=st.integers(1, 12), seed=st.integers(0, 99), start=st.integers(0, 299), rows=st.integers(1, 300))
def test_rows_in_order_are_turned_over(columns: int, seed: int, start: int, rows: int) -> None:
    memory = Memory(columns, [[300, 300], [300]], "int8", "int32", seed)
    chosen = np.random.default_rng(seed).permutation(columns)
    entries, tables = [memory.columns[c] for c in chosen], [memory.tables[c] for c in chosen]
    rows = min(rows, 300 - start)
    for group, values in enumerate(memory.values):
        out = np.full((rows, columns), 77, np.int8)
        file = memory.mapped.files[int(memory.groups.shard[group])]
        RawStack(entries, tables).turn(group, start, file, out)
        assert np.array_equal(out, values[chosen, start : start + rows].T)


def test_a_stack_takes_no_name_that_the_batch_has(tmp_path: Path) -> None:
    rows = pa.table({"a": pa.array([1.0, None]), "b": [1.0, 2.0], "c": [3.0, 4.0]})
    loaded = dlcache.load(write(tmp_path, rows))
    with pytest.raises(OptionError, match="'a_mask', the mask of a column"):
        loaded.numpy(nulls="mask", stack={"a_mask": ["b", "c"]})
    assert "a_mask" in loaded.numpy(nulls={"a": 0.0}, stack={"a_mask": ["b", "c"]}).batch_at(0)
    with pytest.raises(OptionError, match="there is a column 'a' beside"):
        loaded.numpy(nulls={"a": 0.0}, stack={"a": ["b", "c"]})
    with pytest.raises(ColumnError, match="sample_weight"):
        loaded.numpy(nulls={"a": 0.0}, stack={"sample_weight": ["b", "c"]}, remainder="mask")
    with pytest.raises(OptionError, match="1 is not the name of a stack"):
        loaded.numpy(nulls={"a": 0.0}, stack={1: ["b", "c"]})  # type: ignore[dict-item]


def test_masks_of_fields_of_structs_take_no_name_of_others(tmp_path: Path) -> None:
    kind = pa.struct([("x", pa.float64()), ("x_mask", pa.bool_())])
    rows = pa.table({"s": pa.array([{"x": 1.0, "x_mask": True}, {"x": None, "x_mask": True}, None], kind)})
    loaded = dlcache.load(write(tmp_path, rows))
    with pytest.raises(OptionError, match=r"s\.x_mask, and there is a column"):
        loaded.numpy(nulls="mask")
    masked = loaded.numpy(3, nulls="mask", columns=["s.x"]).batch_at(0)
    assert masked["s.x_mask"].tolist() == [True, False, False]


def test_what_cannot_be_turned_over_is_said() -> None:
    memory = Memory(3, [[300]], "float32", "float32", 1)
    unaligned = ChunkTable(np.array([0]), np.array([66]), np.array([1200]), np.array([-1]))
    coded = ChunkTable(np.array([0]), np.array([-1]), np.array([0]), np.array([-1]))
    for other in (unaligned, coded):
        assert not RawStack.fits(memory.columns, [*memory.tables[:2], other])
    assert not RawStack.fits([*memory.columns[:2], scalar("b", "bool", "bit")], memory.tables)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    numbers = np.arange(ROWS)
    source = pa.table(
        {
            "id": numbers,
            "a": (numbers / 2).astype(np.float32),
            "b": (numbers / 4).astype(np.float32),
            "c": (-numbers).astype(np.float32),
            "i": numbers * 2,
            "n": pa.array([None if number % 3 else float(number) for number in numbers], pa.float32()),
            "text": [str(number) for number in numbers],
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("stack"), source, shard_rows=300, row_group_rows=110))


@given(
    shuffle=st.booleans(),
    batch_size=st.sampled_from([7, 64, 300]),
    threads=st.sampled_from([0, 2]),
    remainder=st.sampled_from(["exact", "mask"]),
)
def test_a_stack_is_its_columns_side_by_side(
    dataset: dlcache.Dataset, shuffle: bool, batch_size: int, threads: int, remainder: Any
) -> None:
    loader = dataset.numpy(
        batch_size,
        shuffle=shuffle,
        threads=threads,
        remainder=remainder,
        columns=["a", "id", "b", "i", "n", "c"],
        stack={"x": ["c", "a", "n", "b"], "whole": ["i", "id"]},
        nulls={"n": -1},
    )
    seen: list[int] = []
    for batch in loader:
        assert list(batch) == ["x", "whole", *(["sample_weight"] if remainder == "mask" else [])]
        id = batch["whole"][:, 1]
        wanted = np.stack([-id, id / 2, np.where(id % 3, -1, id), id / 4], axis=1)
        assert batch["x"].dtype == np.float32 and np.array_equal(batch["x"], wanted)
        assert np.array_equal(batch["whole"][:, 0], id * 2)
        rows = batch.get("sample_weight", np.ones(len(id))) > 0
        seen += id[rows].tolist()
    assert sorted(seen) == list(range(ROWS))
    assert loader.element_spec["x"].shape[1:] == (4,)


def test_other_columns_and_masks_stay(dataset: dlcache.Dataset) -> None:
    batch = dataset.numpy(5, stack={"x": ["a", "b"]}, nulls="mask").batch_at(0)
    assert list(batch) == ["id", "c", "i", "n", "n_mask", "text", "x"]
    assert dataset.numpy(5, columns=["a"], stack={"a": ["a"]}).batch_at(0)["a"].shape == (5, 1)


def test_a_wrong_stack_is_an_error_at_once(dataset: dlcache.Dataset) -> None:
    def refused(stack: Any, message: str, error: type[Exception] = OptionError, **options: Any) -> None:
        with pytest.raises(error, match=message):
            dataset.numpy(5, stack=stack, **options)

    refused({"x": ["a", "nothing"]}, "nothing", ColumnError, nulls={"n": 0})
    refused({"x": ["a"]}, "'a'", ColumnError, columns=["b"])
    refused({"x": ["a", "i"]}, "'i' is int64, and 'a' is float32", nulls={"n": 0})
    refused({"x": ["a", "text"]}, "'text' is no column of numbers", nulls={"n": 0})
    refused({"x": ["a"], "y": ["b", "a"]}, "'a' is named twice", nulls={"n": 0})
    refused({"x": "a"}, "must be a list", nulls={"n": 0})
    refused({"x": []}, "must be a list", nulls={"n": 0})
    refused(["a"], "must be a dict", nulls={"n": 0})
    refused({"id": ["a"]}, "there is a column 'id'", nulls={"n": 0})
    refused({"x": ["a", "n"]}, "'n' has nulls", nulls="mask")


def test_adapters_stack_too(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    batch = next(iter(dataset.torch(8, columns=["a", "b"], stack={"x": ["a", "b"]}, shuffle=True)))
    assert batch["x"].shape == (8, 2) and batch["x"].dtype == torch.float32
