"""TensorFlow in stored order: batches are views of the files, every epoch anew, whatever becomes of them."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

tf = pytest.importorskip("tensorflow")

from _writer import write  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

import dlcache  # noqa: E402
from dlcache._rows import Rows  # noqa: E402

ROWS = 603


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ids = np.arange(ROWS)
    table = pa.table(
        {
            "id": ids,
            "x": pa.array((ids[:, None] + np.arange(16) / 16).tolist(), pa.list_(pa.float32())),
            "odd": pa.array((ids[:, None] + np.arange(3)).tolist(), pa.list_(pa.float64())),
            "ragged": pa.array([[float(i)] * (i % 4) for i in ids], pa.list_(pa.float64())),
            "small": pa.array(ids % 256, pa.int32()),
        }
    )
    return write(tmp_path_factory.mktemp("d"), table, shard_rows=250, row_group_rows=120, aligned=True)


@pytest.fixture
def dataset(path: Path) -> dlcache.Dataset:
    return dlcache.load(path)


def file_of(tensor: Any) -> str:
    """The file that this tensor's memory is of, as Linux says; empty if it is of none."""
    address = np.frombuffer(memoryview(tensor), np.uint8).__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, _, _, _, *path = line.split(maxsplit=5)
        start, end = (int(word, 16) for word in span.split("-"))
        if start <= address < end:
            return path[0] if path else ""
    raise AssertionError(f"nothing is mapped at {address:x}")


def values(batches: Any) -> list[dict[str, Any]]:
    return [
        {name: value.to_list() if name == "ragged" else value.numpy().tolist() for name, value in batch.items()}
        for batch in batches
    ]


def test_batches_within_a_row_group_are_its_memory(dataset: dlcache.Dataset) -> None:
    files = [file_of(batch["x"]) for batch in dataset.tf(8)]
    assert len(files) == 76
    assert sum(file.endswith(".parquet") for file in files) >= 76 - 7  # one for each row group may lie in two
    assert not any(file_of(batch["x"]).endswith(".parquet") for batch in dataset.tf(8, shuffle=True))


@settings(max_examples=25, deadline=None)
@given(
    batch_size=st.integers(1, 9),
    epochs=st.integers(1, 2),
    remainder=st.sampled_from(["exact", "drop", "pad", "mask"]),
    columns=st.lists(st.sampled_from(["id", "x", "odd", "ragged", "small"]), min_size=1, unique=True),
    first=st.integers(0, 100),
    last=st.integers(ROWS - 100, ROWS),
    start=st.integers(0, 3 * ROWS),
)
def test_the_same_batches_as_the_numpy_loader_gives(
    path: Path, batch_size: int, epochs: int, remainder: Any, columns: list[str], first: int, last: int, start: int
) -> None:
    dataset = dlcache.load(path).part(Rows(first, last))
    options: dict[str, Any] = {"columns": columns, "epochs": epochs, "remainder": remainder}
    loader = dataset.numpy(batch_size, **options)
    expected = [{name: [row.tolist() for row in value] for name, value in batch.items()} for batch in loader]
    batches = dataset.tf(batch_size, **options)
    for _ in range(2):
        assert values(batches) == expected
    start %= len(expected)
    steps = len(expected) // epochs
    resumed = values(dataset.tf(batch_size, start_step=start, **options))
    assert resumed == (expected * 2)[start : start // steps * steps + len(expected)]


def test_what_tensorflow_does_in_place_is_seen_by_nobody_else(dataset: dlcache.Dataset) -> None:
    """A function that is mapped over a dataset owns its arguments: TensorFlow writes its result into them."""
    data = dataset.tf(8, columns=["x"])
    before = values(data)
    negated = data.map(lambda batch: tf.negative(batch["x"]))
    for _ in range(2):
        for one, batch in zip(before, negated, strict=True):
            np.testing.assert_array_equal(batch.numpy(), -np.array(one["x"], np.float32))
    assert values(data) == before
    assert values(dataset.tf(8, columns=["x"])) == before


def test_what_a_python_function_writes_into_its_batch_is_seen_by_nobody_else(dataset: dlcache.Dataset) -> None:
    def one_more(array: Any) -> Any:
        array += 1
        return array

    data, other = dataset.tf(8, columns=["x"]), dataset.tf(8, columns=["x"])
    before = values(data)
    more = data.map(lambda batch: tf.numpy_function(one_more, [batch["x"]], tf.float32))
    for _ in range(3):
        for one, batch, same in zip(before, more, other, strict=True):
            np.testing.assert_array_equal(batch.numpy(), np.array(one["x"], np.float32) + 1)
            np.testing.assert_array_equal(same["x"].numpy(), one["x"])


def test_descriptors_are_given_back(path: Path) -> None:
    """TensorFlow never lets go of a function that was mapped over a dataset, and so of what that reads."""

    def descriptors_after_an_epoch() -> int:
        assert len(list(dlcache.load(path).tf(8, columns=["x"]))) == 76
        gc.collect()
        return len(os.listdir("/proc/self/fd"))

    first = descriptors_after_an_epoch()
    assert [descriptors_after_an_epoch() for _ in range(3)] == [first] * 3


def test_batches_outlive_their_dataset(path: Path) -> None:
    batches = list(dlcache.load(path).tf(8, columns=["x"]))
    expected = np.arange(ROWS)[:, None] + np.arange(16, dtype=np.float32) / 16
    np.testing.assert_array_equal(np.concatenate([batch["x"].numpy() for batch in batches]), expected)


def test_a_missing_shard_is_named(path: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(path, tmp_path / "d")
    dataset = dlcache.load(copy)
    gone = sorted((copy / "data").iterdir())[1]
    gone.unlink()
    with pytest.raises(tf.errors.UnknownError, match=f"ShardError: .*{gone.name}"):
        list(dataset.tf(8, columns=["x"]))
