"""TensorFlow: static shapes, right cardinality, each row once, a new order in each epoch, also under Keras."""

from __future__ import annotations

import json
import threading
from itertools import chain
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

ROWS = 203


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    ids = np.arange(ROWS)
    table = pa.table(
        {
            "id": ids,
            "x": pa.array((ids[:, None] * 10 + np.arange(3)).tolist(), pa.list_(pa.float32())),
            "name": [f"row {i} é" for i in ids],
            "raw": [bytes([i % 256]) * (i % 3) for i in ids],
            "ragged": pa.array([[float(i)] * (i % 4) for i in ids], pa.list_(pa.float64())),
            "flag": ids % 2 == 0,
            "twice": ids * 2,
            "nested": pa.array([[str(i)] for i in ids], pa.list_(pa.string())),
            "label": pa.array((ids % 2).astype(np.float32)),
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=70, row_group_rows=16))


def ids_of(batches: Any) -> list[list[int]]:
    return [batch["id"].numpy().tolist() for batch in batches]


# What a batch is


def test_specs_are_static(dataset: dlcache.Dataset) -> None:
    spec = dataset.tf(29, columns=["id", "x", "flag", "name", "ragged"]).element_spec  # 203 = 7 * 29
    assert spec["id"] == tf.TensorSpec((29,), tf.int64)
    assert spec["x"] == tf.TensorSpec((29, 3), tf.float32)
    assert spec["flag"] == tf.TensorSpec((29,), tf.bool)
    assert spec["name"] == tf.TensorSpec((29,), tf.string)
    assert spec["ragged"] == tf.RaggedTensorSpec([29, None], tf.float64, 1, tf.int64)
    assert dataset.tf(30, columns=["x"]).element_spec["x"].shape.as_list() == [None, 3]
    assert dataset.tf(30, columns=["x"], remainder="drop").element_spec["x"].shape.as_list() == [30, 3]


@pytest.mark.parametrize("transform", [None, dict])
def test_values_of_all_kinds(dataset: dlcache.Dataset, transform: Any) -> None:
    names = ["id", "x", "flag", "name", "raw", "ragged"]
    at = 0
    for batch in dataset.tf(8, columns=names, transform=transform):
        ids = np.arange(at, min(at + 8, ROWS))
        assert batch["id"].numpy().tolist() == ids.tolist()
        np.testing.assert_array_equal(batch["x"].numpy(), (ids[:, None] * 10 + np.arange(3)).astype(np.float32))
        assert batch["flag"].numpy().tolist() == (ids % 2 == 0).tolist()
        assert batch["name"].numpy().tolist() == [f"row {i} é".encode() for i in ids]
        assert batch["raw"].numpy().tolist() == [bytes([i % 256]) * (i % 3) for i in ids]
        assert batch["ragged"].to_list() == [[float(i)] * (i % 4) for i in ids]
        at += 8


def test_outputs(dataset: dlcache.Dataset) -> None:
    features, label = next(iter(dataset.tf(4, output=("x", "id"), columns=["id", "x"])))
    assert features.shape == (4, 3)
    assert label.numpy().tolist() == [0, 1, 2, 3]
    batch = next(iter(dataset.tf(4, output="namedtuple", columns=["id", "x"])))
    assert batch._fields == ("id", "x")


def test_stacked_columns_are_one_tensor(dataset: dlcache.Dataset) -> None:
    data = dataset.tf(29, columns=["x", "id", "twice"], stack={"both": ["id", "twice"]})
    assert data.element_spec["both"] == tf.TensorSpec((29, 2), tf.int64)
    assert next(iter(data))["both"][:3].numpy().tolist() == [[0, 0], [1, 2], [2, 4]]


def test_a_mask_gives_sample_weights(dataset: dlcache.Dataset) -> None:
    data = dataset.tf(40, columns=["x", "id"], output=("x", "id"), remainder="mask")
    assert len(data.element_spec) == 3
    weights = np.concatenate([weight.numpy() for _, _, weight in data])
    ids = np.concatenate([ids.numpy() for _, ids, _ in data])
    assert (weights.sum(), len(weights)) == (ROWS, 240)
    assert sorted(ids[weights > 0]) == list(range(ROWS))


def test_declared_shapes_of_a_transform(dataset: dlcache.Dataset) -> None:
    spec = dlcache.TransformSpec(
        lambda batch: {
            "image": np.repeat(batch["x"][:, None, :, None], 2, 1),
            "sequence": np.ones((len(batch["x"]), 2 + int(batch["x"][0, 0]) % 3), np.int32),
            "text": np.full(len(batch["x"]), "ü"),
        },
        edit_fields=[("image", np.float32, (2, 3, 1), False), ("sequence", np.int32, (None,)), ("text", str, ())],
        selected_fields=["image", "sequence", "text"],
    )
    data = dataset.tf(29, columns=["x"], transform=spec)
    assert data.element_spec["image"] == tf.TensorSpec((29, 2, 3, 1), tf.float32)
    assert isinstance(data.element_spec["sequence"], tf.RaggedTensorSpec)
    batch = next(iter(data))
    assert batch["image"][4, 1, :, 0].numpy().tolist() == [40, 41, 42]
    assert batch["sequence"].shape.as_list() == [29, None]
    assert batch["text"][0].numpy().decode() == "ü"


def test_a_column_without_tensors_is_named_at_once(dataset: dlcache.Dataset) -> None:
    with pytest.raises(dlcache.ColumnError, match=r"'nested' has Python objects.*columns="):
        dataset.tf(4)


def test_an_error_of_the_transform_arrives_with_its_text(dataset: dlcache.Dataset) -> None:
    def fail(batch: dict[str, Any]) -> dict[str, Any]:
        raise ValueError("no good")

    spec = dlcache.TransformSpec(fail, edit_fields=[])
    with pytest.raises(tf.errors.UnknownError, match=r"TransformError: the transform failed at step 0 .*no good"):
        list(dataset.tf(29, columns=["id"], transform=spec))


def test_a_transform_runs_once_at_a_time_unless_it_allows_more(dataset: dlcache.Dataset) -> None:
    inside = threading.Lock()

    def exclusive(batch: dict[str, Any]) -> dict[str, Any]:
        assert inside.acquire(blocking=False)
        try:
            return {"id": np.sort(batch["id"])}
        finally:
            inside.release()

    assert len(list(dataset.tf(2, columns=["id"], transform=exclusive, threads=4))) == 102


# Which rows


@settings(max_examples=25, deadline=None)
@given(
    batch_size=st.integers(1, 60),
    world_size=st.integers(1, 4),
    epochs=st.integers(1, 2),
    shuffle=st.booleans(),
    remainder=st.sampled_from([None, "drop", "pad"]),
    data=st.data(),
)
def test_the_same_batches_as_the_numpy_loader_gives(
    dataset: dlcache.Dataset,
    batch_size: int,
    world_size: int,
    epochs: int,
    shuffle: bool,
    remainder: Any,
    data: Any,
) -> None:
    options: dict[str, Any] = {
        "columns": ["id"],
        "rank": data.draw(st.integers(0, world_size - 1)),
        "world_size": world_size,
        "epochs": epochs,
        "shuffle": shuffle,
        "remainder": remainder,
    }
    loader, batches = dataset.numpy(batch_size, **options), dataset.tf(batch_size, **options)
    assert int(batches.cardinality()) == len(loader)
    for _ in range(2):
        assert ids_of(batches) == [batch["id"].tolist() for batch in loader]


def test_endless_epochs_are_never_mixed(dataset: dlcache.Dataset) -> None:
    data = dataset.tf(40, columns=["id"], shuffle=True, epochs=None)
    assert int(data.cardinality()) == tf.data.INFINITE_CARDINALITY
    batches = ids_of(data.take(18))
    epochs = [list(chain(*batches[at : at + 6])) for at in (0, 6, 12)]
    assert all(sorted(epoch) == list(range(ROWS)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]


@pytest.mark.parametrize("start_step", [0, 1, 5, 6, 9])
def test_start_step_goes_on_in_the_middle(dataset: dlcache.Dataset, start_step: int) -> None:
    options: dict[str, Any] = {"columns": ["id"], "shuffle": True}
    whole = ids_of(dataset.tf(40, epochs=3, **options))
    resumed = dataset.tf(40, start_step=start_step, **options)
    end = (start_step // 6 + 1) * 6
    assert ids_of(resumed) == whole[start_step:end]
    assert ids_of(resumed) == whole[end : end + 6]
    assert int(resumed.cardinality()) == (6 if start_step % 6 == 0 else tf.data.UNKNOWN_CARDINALITY)
    with pytest.raises(dlcache.OptionError, match="start_step"):
        dataset.tf(40, start_step=-1)


@pytest.mark.parametrize("taken", [0, 1, 7, 11])
def test_a_checkpoint_of_an_iterator_goes_on_exactly(dataset: dlcache.Dataset, tmp_path: Path, taken: int) -> None:
    def batches() -> Any:
        return dataset.tf(40, columns=["id"], shuffle=True, epochs=2)

    whole = ids_of(batches())
    iterator = iter(batches())
    assert ids_of(next(iterator) for _ in range(taken)) == whole[:taken]
    path = tf.train.Checkpoint(iterator=iterator).save(tmp_path / "at")
    resumed = iter(batches())
    tf.train.Checkpoint(iterator=resumed).restore(path)
    assert ids_of(resumed) == whole[taken:]


def test_a_dataset_without_rows(tmp_path: Path) -> None:
    empty = dlcache.load(write(tmp_path, pa.table({"id": pa.array([], pa.int64())})))
    for epochs in (1, None):
        data = empty.tf(4, epochs=epochs)
        assert int(data.cardinality()) == 0
        assert list(data) == []


def test_a_strategy_leaves_the_batches_of_a_rank_as_they_are(dataset: dlcache.Dataset) -> None:
    """It has `rebatch` cut a batch into as many as all workers have replicas, and counts on the cardinality."""
    batches = dataset.tf(10, columns=["id", "ragged"], rank=1, world_size=2)
    made = batches.map(lambda batch: batch).prefetch(1).repeat(2).take(20).skip(2).with_options(tf.data.Options())
    for each in (batches, made):
        assert each.rebatch(tf.constant([5, 5], tf.int64)) is each
        assert each.options().experimental_distribute.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
    assert (int(batches.cardinality()), int(made.cardinality())) == (11, 18)
    halves = batches.rebatch(tf.constant([3, 3, 2, 2], tf.int64))  # two replicas of each worker
    assert list(chain(*ids_of(halves))) == list(chain(*ids_of(batches)))
    assert {len(half) for half in ids_of(halves)} == {5}
    assert {len(part) for part in ids_of(batches.rebatch(11))} == {11}  # a caller's own wish
    alone = dataset.tf(10, columns=["id"], rank=0, world_size=1)
    assert {len(part) for part in ids_of(alone.rebatch([5, 5]))} == {5, 3}


def test_sharding_is_off(dataset: dlcache.Dataset) -> None:
    policy = dataset.tf(4, columns=["id"]).options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.OFF


def test_keras_fits_evaluates_and_sees_a_new_order_in_each_epoch(dataset: dlcache.Dataset) -> None:
    keras = tf.keras
    seen: list[list[float]] = []

    def note(batch: dict[str, Any]) -> dict[str, Any]:
        seen.append(batch["x"][:, 0].tolist())
        return batch

    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Rescaling(1e-3), keras.layers.Dense(1)])
    model.compile("sgd", "mse", weighted_metrics=["mse"])
    spec = dlcache.TransformSpec(note, edit_fields=[])
    options: dict[str, Any] = {"columns": ["x", "label"], "output": ("x", "label")}
    train = dataset.tf(29, shuffle=True, transform=spec, **options)
    exact = dataset.tf(50, remainder="mask", **options)
    history = model.fit(train, validation_data=exact, epochs=3, shuffle=False, verbose=0).history
    assert len(history["loss"]) == len(history["val_loss"]) == 3
    epochs = [list(chain(*seen[at : at + 7])) for at in range(0, len(seen) // 7 * 7, 7)]
    assert len(epochs) >= 3
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)
    assert all(sorted(epoch) == [10.0 * i for i in range(ROWS)] for epoch in epochs)
    rows = dataset.gather(range(ROWS), ["x", "label"])
    expected = model.evaluate(rows["x"], rows["label"], batch_size=ROWS, verbose=0)[1]
    assert model.evaluate(exact, verbose=0)[1] == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_a_masked_evaluation_reports_exactly(dataset: dlcache.Dataset) -> None:
    """Keras weights the loss of a batch by its rows, padding included; a weighted metric counts weights only. Without
    a mask, the last batch is short, and both are exact."""
    keras = pytest.importorskip("keras")
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Rescaling(1e-3), keras.layers.Dense(1)])
    exact = keras.metrics.MeanMetricWrapper(keras.losses.mean_absolute_error, name="exact")
    model.compile(loss=keras.losses.MeanAbsoluteError(reduction="mean_with_sample_weight"), weighted_metrics=[exact])
    options: dict[str, Any] = {"columns": ["x", "label"], "output": ("x", "label")}
    rows = dataset.gather(range(ROWS), ["x", "label"])
    errors = model(rows["x"]).numpy()[:, 0].astype(float) - rows["label"]
    expected = float(np.abs(errors).mean())
    masked = model.evaluate(dataset.tf(50, remainder="mask", **options), verbose=0, return_dict=True)
    assert masked["exact"] == pytest.approx(expected, rel=1e-5)
    short = model.evaluate(dataset.tf(50, **options), verbose=0, return_dict=True)
    assert short["exact"] == pytest.approx(expected, rel=1e-5)
    assert short["loss"] == pytest.approx(expected, rel=1e-5)


# Ranks


def test_the_rank_of_tf_config(dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(config))
    found = ids_of(dataset.tf(10, columns=["id"]))
    assert found[0] == list(range(10, 20))
    assert found == ids_of(dataset.tf(10, columns=["id"], rank=1, world_size=2))
    with pytest.raises(dlcache.OptionError, match="world_size=3 was given, and TF_CONFIG says rank 1 of 2"):
        dataset.tf(10, rank=1, world_size=3)
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(dlcache.OptionError, match="TF_CONFIG cannot be read"):
        dataset.tf(10, columns=["id"])


def test_another_rank_than_when_it_was_made_is_refused(
    dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = dataset.tf(4, columns=["label"])
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(tf.errors.OpError, match="rank 0 of 1 so far"):
        next(iter(batches))


def test_an_unknown_option_is_refused(dataset: dlcache.Dataset) -> None:
    with pytest.raises(dlcache.OptionError, match="no option 'shufle'"):
        dataset.tf(10, shufle=True)
