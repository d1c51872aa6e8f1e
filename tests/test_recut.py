"""Transforms that drop and add rows."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError, StateError, TransformError, TransformSpec

ROWS = 100


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    source = pa.table({"id": np.arange(ROWS), "name": [f"row {row}" for row in range(ROWS)]})
    return dlcache.load(write(tmp_path_factory.mktemp("recut"), source, shard_rows=40))


def times(row: int) -> int:
    """How often a row comes out of the transforms here: 0, 1, 2 or 12 times."""
    return (0, 1, 0, 2, 0, 0, 12)[row % 7]


def on_rows(row: dict[str, Any]) -> Any:
    copies = [{"id": row["id"], "copy": copy, "name": row["name"]} for copy in range(times(int(row["id"])))]
    return copies or None


def on_batches(batch: dict[str, Any]) -> dict[str, Any]:
    often = np.array([times(row) for row in batch["id"].tolist()], np.int64)
    copy = np.concatenate([[], *(np.arange(count) for count in often)]).astype(np.int64)
    return {"id": batch["id"].repeat(often), "copy": copy, "name": batch["name"].repeat(often)}


FUNCTIONS = {
    "rows": TransformSpec.rows(on_rows, changes_rows=True),
    "batches": TransformSpec(on_batches, changes_rows=True),
    "threads": TransformSpec(on_batches, changes_rows=True, num_threads=3),
}
OPTIONS = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([1, 7, 16, 100, 300]),
        "shuffle": st.booleans(),
        "threads": st.sampled_from([0, 2]),
        "remainder": st.sampled_from(["exact", "drop"]),
        "epochs": st.sampled_from([1, 2, None]),
    }
)


def rows_of(batch: Any) -> list[tuple[int, int]]:
    assert batch["name"].tolist() == [f"row {row}" for row in batch["id"]]
    return list(zip(batch["id"].tolist(), batch["copy"].tolist(), strict=True))


def epoch_of(dataset: dlcache.Dataset, epoch: int, options: dict[str, Any]) -> list[list[tuple[int, int]]]:
    """What an epoch must deliver: the rows of the source's epoch, each as often as it comes, cut."""
    plain = dataset.numpy(options["batch_size"], shuffle=options["shuffle"])
    order = [row for step in range(len(plain)) for row in plain.batch_at(step, epoch)["id"].tolist()]
    rows = [(row, copy) for row in order for copy in range(times(row))]
    size = options["batch_size"]
    batches = [rows[at : at + size] for at in range(0, len(rows), size)]
    return batches if options["remainder"] == "exact" or len(batches[-1]) == size else batches[:-1]


@settings(max_examples=40)
@given(st.sampled_from(sorted(FUNCTIONS)), OPTIONS)
def test_batches_are_full_and_epochs_not_mixed(dataset: dlcache.Dataset, how: str, options: dict[str, Any]) -> None:
    expected = [batch for epoch in range(options["epochs"] or 3) for batch in epoch_of(dataset, epoch, options)]
    if options["epochs"] is None and not expected:
        return
    loader = dataset.numpy(**options, transform=FUNCTIONS[how])
    found = [rows_of(batch) for batch, _ in zip(loader, range(len(expected)), strict=False)]
    assert found == expected
    if options["epochs"] is not None:
        assert [rows_of(batch) for batch in dataset.numpy(**options, transform=FUNCTIONS[how])] == expected


@settings(max_examples=40)
@given(st.sampled_from(sorted(FUNCTIONS)), OPTIONS, st.data())
def test_to_resume_at_any_batch_is_not_to_have_stopped(
    dataset: dlcache.Dataset, how: str, options: dict[str, Any], data: st.DataObject
) -> None:
    options = {**options, "batch_size": data.draw(st.sampled_from([3, 16])), "transform": FUNCTIONS[how]}
    uninterrupted = dataset.numpy(**options)
    whole = [rows_of(batch) for batch, _ in zip(uninterrupted, range(40), strict=False)]
    stop = data.draw(st.integers(0, len(whole) - 1))
    loader = dataset.numpy(**options)
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = dataset.numpy(**options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = [rows_of(batch) for batch, _ in zip(resumed, range(len(whole) - stop), strict=False)]
    assert rest == whole[stop:]
    copy = pickle.loads(pickle.dumps(loader))
    assert rows_of(next(iter(copy))) == whole[stop]


def test_after_its_end_a_loader_goes_on_with_the_next_epoch(dataset: dlcache.Dataset) -> None:
    options: dict[str, Any] = {"batch_size": 16, "shuffle": True, "remainder": "drop"}
    loader = dataset.numpy(**options, transform=FUNCTIONS["rows"])
    for epoch in range(3):
        assert [rows_of(batch) for batch in loader] == epoch_of(dataset, epoch, options)
        state = loader.state_dict()
        assert (state["epoch"], state["step"], state["row"]) == (epoch + 1, 0, 0)


def test_a_state_within_a_step_is_for_the_same_batches(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(8, transform=FUNCTIONS["rows"])
    next(iter(loader))
    state = loader.state_dict()
    assert state["row"] > 0
    for other in (dataset.numpy(4, transform=FUNCTIONS["rows"]), dataset.numpy(8)):
        with pytest.raises(StateError, match="same transform"):
            other.load_state_dict(state)
    fewer = dataset.numpy(8, transform=TransformSpec(lambda b: {"id": b["id"][:1]}, changes_rows=True))
    fewer.load_state_dict({**state, "row": 5})
    with pytest.raises(StateError, match="same rows"):
        next(iter(fewer))


def test_length_and_shapes(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(8, transform=FUNCTIONS["rows"])
    with pytest.raises(TypeError, match="changes the number of rows"):
        len(loader)
    assert loader.element_spec["id"].shape == (None,)
    dropped = dataset.numpy(8, transform=FUNCTIONS["rows"], remainder="drop")
    assert dropped.element_spec["id"].shape == (8,)
    metrics = [rows_of(batch) for batch in loader]
    assert loader.metrics()["batches"] == len(metrics)
    assert loader.metrics()["rows"] == sum(map(len, metrics))


def test_a_transform_that_drops_everything(dataset: dlcache.Dataset) -> None:
    nothing = TransformSpec.rows(lambda row: None, [("x", np.float32, (2,))], changes_rows=True)
    assert list(dataset.numpy(8, transform=nothing)) == []
    with pytest.raises(TransformError, match="epochs=None"):
        list(dataset.numpy(8, transform=nothing, epochs=None))
    with pytest.raises(TransformError, match="declare edit_fields"):
        list(dataset.numpy(8, transform=TransformSpec.rows(lambda row: None, changes_rows=True)))
    late = TransformSpec.rows(lambda row: row if row["id"] > 90 else None, changes_rows=True)
    assert [batch["id"].tolist() for batch in dataset.numpy(8, transform=late)] == [[*range(91, 99)], [99]]


def test_several_ranks_never_end_their_epochs(dataset: dlcache.Dataset) -> None:
    ranks = []
    for rank in range(2):
        loader = dataset.numpy(4, rank=rank, world_size=2, epochs=None, shuffle=True, transform=FUNCTIONS["rows"])
        batches = [rows_of(batch) for batch, _ in zip(loader, range(9), strict=False)]
        assert all(len(batch) == 4 for batch in batches)
        ranks.append({row for batch in batches[:5] for row, _ in batch})
    assert not ranks[0] & ranks[1]


@pytest.mark.parametrize(
    "options",
    [
        {"remainder": "mask"},
        {"rank": 0, "world_size": 2},
        {"rank": 0, "world_size": 2, "remainder": "exact", "epochs": None},
    ],
)
def test_what_needs_the_number_of_rows_is_refused(dataset: dlcache.Dataset, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"remainder|unequal steps"):
        dataset.numpy(8, transform=FUNCTIONS["rows"], **options)


def test_fields_must_have_as_many_rows(dataset: dlcache.Dataset) -> None:
    uneven = TransformSpec(lambda batch: {"a": batch["id"], "b": batch["id"][1:]}, changes_rows=True)
    with pytest.raises(TransformError, match="all fields must have as many"):
        uneven.check(dataset)


def test_torch(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    data = pytest.importorskip("torch.utils.data")
    options: dict[str, Any] = {"batch_size": 16, "shuffle": True, "remainder": "exact"}
    loader = dataset.torch(16, shuffle=True, transform=FUNCTIONS["rows"])
    found = [list(zip(batch["id"].tolist(), batch["copy"].tolist(), strict=True)) for batch in loader]
    assert found == epoch_of(dataset, 0, options)
    assert len(list(data.DataLoader(loader, batch_size=None))) == len(epoch_of(dataset, 1, options))
    with pytest.raises(OptionError, match="num_workers=0"):
        list(data.DataLoader(loader, batch_size=None, num_workers=1))
    with pytest.raises(OptionError, match="by position"):
        loader.take([1])


def test_tensorflow(dataset: dlcache.Dataset) -> None:
    tf = pytest.importorskip("tensorflow")
    options: dict[str, Any] = {"batch_size": 16, "shuffle": True, "remainder": "exact"}
    batches = dataset.tf(16, shuffle=True, transform=FUNCTIONS["rows"], output=("id", "copy", "name"))
    assert batches.cardinality() == tf.data.UNKNOWN_CARDINALITY
    for epoch in range(2):
        found = [
            rows_of({"id": row, "copy": copy, "name": np.char.decode(name.astype(bytes))})
            for row, copy, name in batches.as_numpy_iterator()
        ]
        assert found == epoch_of(dataset, epoch, options)
    dropped = dataset.tf(16, transform=FUNCTIONS["rows"], remainder="drop")
    assert dropped.element_spec["id"].shape == (16,)
    with pytest.raises(OptionError, match="start_step"):
        dataset.tf(16, transform=FUNCTIONS["rows"], start_step=3)
