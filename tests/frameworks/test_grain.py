"""Grain's DataLoader and MapDataset over the rows of a dataset, in threads and in worker processes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

grain = pytest.importorskip("grain")

from _writer import write  # noqa: E402
from absl import flags  # noqa: E402

import dlcache  # noqa: E402
from dlcache.grain import GrainSource  # noqa: E402

ROWS = 53


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    ids = np.arange(ROWS)
    table = pa.table(
        {
            "id": ids,
            "x": pa.array((ids[:, None] * 10 + np.arange(3)).tolist(), pa.list_(pa.float32())),
            "name": [f"row {i}" for i in ids],
            "ragged": pa.array([[float(i)] * (i % 4) for i in ids], pa.list_(pa.float64())),
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=20, row_group_rows=7))


def ids_of(batches: Any) -> list[int]:
    return [int(i) for batch in batches for i in np.atleast_1d(batch["id"])]


def test_a_row(dataset: dlcache.Dataset) -> None:
    source = GrainSource(dataset)
    assert isinstance(source, grain.sources.RandomAccessDataSource)
    assert len(source) == ROWS
    row = source[7]
    assert (row["id"], row["name"], row["ragged"].tolist()) == (7, "row 7", [7.0] * 3)
    assert (row["x"].dtype, row["x"].tolist()) == (np.float32, [70, 71, 72])
    assert source[np.int64(-1)]["id"] == ROWS - 1
    with pytest.raises(IndexError, match=f"0 .. {ROWS - 1}; got {ROWS}"):
        source[ROWS]
    assert pickle.loads(pickle.dumps(source))[7]["name"] == "row 7"
    x, number = GrainSource(dataset, columns=["x", "id"], output=("x", "id"))[3]
    assert (x.tolist(), number) == ([30, 31, 32], 3)


def test_a_transform_on_rows(dataset: dlcache.Dataset) -> None:
    spec = dlcache.TransformSpec(
        lambda b: {"y": b["x"].sum(1)}, edit_fields=[("y", np.float32, ())], selected_fields=["y"]
    )
    assert GrainSource(dataset, columns=["x"], transform=spec)[2]["y"] == 63


def test_bad_options_are_refused_at_once(dataset: dlcache.Dataset) -> None:
    with pytest.raises(dlcache.ColumnError, match="'idd'"):
        GrainSource(dataset, columns=["idd"])


def test_a_map_dataset(dataset: dlcache.Dataset) -> None:
    source = grain.MapDataset.source(GrainSource(dataset, columns=["id", "x"]))
    batches = list(source.shuffle(seed=3).batch(10).to_iter_dataset())
    rows = ids_of(batches)
    assert sorted(rows) == list(range(ROWS))
    assert rows != sorted(rows)
    for batch in batches:
        assert np.array_equal(batch["x"][:, 0], batch["id"] * 10)


def data_loader(dataset: dlcache.Dataset, workers: int, epochs: int) -> Any:
    return grain.DataLoader(
        data_source=GrainSource(dataset, columns=["id", "name"]),
        sampler=grain.samplers.IndexSampler(ROWS, shuffle=True, seed=5, num_epochs=epochs),
        operations=[grain.transforms.Batch(8)],
        worker_count=workers,
    )


def test_the_data_loader_and_its_state(dataset: dlcache.Dataset) -> None:
    whole = list(data_loader(dataset, 0, 2))
    rows = ids_of(whole)
    assert sorted(rows) == sorted([*range(ROWS)] * 2)
    for batch in whole:
        assert batch["name"].tolist() == [f"row {i}" for i in batch["id"]]
    iterator = iter(data_loader(dataset, 0, 2))
    before = [next(iterator) for _ in range(3)]
    resumed = iter(data_loader(dataset, 0, 2))
    resumed.set_state(iterator.get_state())
    assert ids_of(before) + ids_of(resumed) == rows


def test_a_worker_process(dataset: dlcache.Dataset) -> None:
    flags.FLAGS.mark_as_parsed()  # worker processes ask for flags, which absl's own main would parse
    assert ids_of(data_loader(dataset, 1, 1)) == ids_of(data_loader(dataset, 0, 1))
