from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tqdm.auto
from _tables import table
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import (
    ColumnError,
    NullValueError,
    NumpyLoader,
    OptionError,
    ShardError,
    StateError,
    TransformError,
    TransformSpec,
    _by_step,
)

ROWS = 230


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    source = pa.table(
        {
            "id": np.arange(ROWS),
            "features": pa.array((np.arange(ROWS)[:, None] + np.arange(4) / 8).tolist(), pa.list_(pa.float32())),
            "name": [f"row {row}" for row in range(ROWS)],
            "user": np.arange(ROWS) // 5,
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("loader"), source, shard_rows=90, row_group_rows=25))


def ids(loader: Any) -> list[list[int]]:
    batches = []
    for batch in loader:
        assert np.array_equal(batch["features"][:, 0], batch["id"])
        batches.append(batch["id"].tolist())
    return batches


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


OPTIONS = st.fixed_dictionaries(
    {
        "batch_size": st.sampled_from([1, 7, 16, 64, 230, 500]),
        "shuffle": st.booleans(),
        "seed": st.integers(0, 5),
        "threads": st.sampled_from([0, 1, 2, None]),
        "remainder": st.sampled_from(["exact", "pad", "mask", "drop"]),
    },
    optional={"shuffle_window": st.integers(1, 300)},
)


def sensible(options: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if key != "shuffle_window" or options["shuffle"]}


@settings(max_examples=60)
@given(OPTIONS)
def test_an_epoch_has_each_row_once(dataset: dlcache.Dataset, options: dict[str, Any]) -> None:
    options = sensible(options)
    loader = dataset.numpy(**options)
    batches = ids(loader)
    rows = flat(batches)
    assert len(batches) == len(loader)
    kept = ROWS // options["batch_size"] * options["batch_size"] if options["remainder"] == "drop" else ROWS
    assert len(set(rows[:ROWS])) == len(rows[:ROWS]) == kept
    if not options["shuffle"]:
        assert rows[:ROWS] == list(range(kept))
    if options["remainder"] == "mask":
        weights = np.concatenate([batch["sample_weight"] for batch in dataset.numpy(**options)])
        assert weights.dtype == np.float32
        assert weights.tolist() == [1.0] * ROWS + [0.0] * (len(rows) - ROWS)


@settings(max_examples=30)
@given(st.sampled_from([1, 2, 3, 4, 6, 8]), st.booleans(), st.sampled_from(["pad", "mask", "drop"]))
def test_the_global_order_is_that_of_one_rank(
    dataset: dlcache.Dataset, world: int, shuffle: bool, remainder: Any
) -> None:
    def batches(rank: int, world_size: int) -> list[list[int]]:
        options: Any = {"shuffle": shuffle, "remainder": remainder, "epochs": 2}
        return ids(dataset.numpy(24 // world_size, rank=rank, world_size=world_size, **options))

    ranks = [batches(rank, world) for rank in range(world)]
    assert [flat(list(parts)) for parts in zip(*ranks, strict=True)] == batches(0, 1)


def test_epochs_have_orders_of_their_own(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(32, shuffle=True)
    first, second = flat(ids(loader)), flat(ids(loader))
    assert first != second
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert flat(ids(dataset.numpy(32, shuffle=True, epochs=2))) == first + second
    endless = iter(dataset.numpy(32, shuffle=True, epochs=None))
    taken = [row for _ in range(16) for row in next(endless)["id"].tolist()]
    assert taken == first + second
    with pytest.raises(TypeError, match="epochs=None"):
        len(dataset.numpy(epochs=None))


def test_breaking_off_and_going_on(dataset: dlcache.Dataset) -> None:
    before = threading.active_count()
    loader = dataset.numpy(16, shuffle=True, threads=2)
    for number, _ in enumerate(loader):
        if number == 3:
            break
    assert threading.active_count() == before
    whole = dataset.numpy(16, shuffle=True)
    assert ids(loader) == [ids(whole), ids(whole)][1]
    assert threading.active_count() == before


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("at_once", [1, 4 << 20])
@pytest.mark.parametrize("transform", [None, TransformSpec(dict, num_threads=1), TransformSpec(dict, num_threads=3)])
def test_batches_are_the_same_whoever_makes_them(
    dataset: dlcache.Dataset, shuffle: bool, at_once: int, transform: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_by_step, "SUPER_BATCH_BYTES", at_once)
    options: dict[str, Any] = {"shuffle": shuffle, "seed": 3, "epochs": 2, "transform": transform}
    alone = ids(dataset.numpy(3, threads=0, **options))
    for threads in (1, 2):
        assert ids(dataset.numpy(3, threads=threads, **options)) == alone


def test_the_error_is_that_of_the_first_batch_that_has_one(dataset: dlcache.Dataset) -> None:
    def fails(batch: dict[str, Any]) -> dict[str, Any]:
        if len(dataset) // 2 < batch["id"][-1]:
            raise ValueError(int(batch["id"][-1]))
        return batch

    for _ in range(20):
        with pytest.raises(TransformError, match=f": {(len(dataset) // 2 // 5 + 1) * 5 - 1}$"):
            list(dataset.numpy(5, columns=["id"], transform=TransformSpec(fails, num_threads=4)))


def test_two_iterations_at_once(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(16, shuffle=True)
    pairs = [(one["id"].tolist(), other["id"].tolist()) for one, other in zip(loader, loader, strict=True)]
    alone = dataset.numpy(16, shuffle=True)
    assert [pair[0] for pair in pairs] == ids(alone)
    assert [pair[1] for pair in pairs] == ids(alone)


def test_batches_that_are_kept_stay_as_they_are(dataset: dlcache.Dataset) -> None:
    for options in ({"shuffle": True}, {"shuffle": False}):
        kept = list(dataset.numpy(16, epochs=4, **options))  # type: ignore[arg-type]
        for batch in kept:
            assert np.array_equal(batch["features"][:, 0], batch["id"])


@pytest.mark.parametrize("shuffle", [False, True])
def test_writing_into_a_batch_changes_nothing_else(dataset: dlcache.Dataset, shuffle: bool) -> None:
    loader = dataset.numpy(16, shuffle=shuffle, epochs=3)
    for batch in loader:
        assert np.array_equal(batch["features"][:, 0], batch["id"])
        batch["features"] *= 0
        batch["id"][:] = -1
    assert dataset.gather([5])["id"].tolist() == [5]


def test_what_was_written_into_views_is_gone_in_the_next_epoch(tmp_path: Path) -> None:
    values = np.arange(60_000, dtype=np.int64)
    source = pa.table({"id": values, "half": values / 2})
    loader = dlcache.load(write(tmp_path, source, shard_rows=40_000, row_group_rows=7_000)).numpy(1000)
    generator = np.random.default_rng(0)
    for _ in range(4):
        found = []
        for batch in loader:
            found.append(batch["id"].copy())
            assert np.array_equal(batch["half"], batch["id"] / 2)
            if generator.integers(2):
                batch["id"][generator.integers(1000) :] = -1
                batch["half"][: generator.integers(1000)] = -1
            del batch
        assert np.array_equal(np.concatenate(found), values)


@settings(max_examples=25)
@given(OPTIONS, st.sampled_from([1, 2, None]), st.data())
def test_to_resume_at_any_step_is_not_to_have_stopped(
    dataset: dlcache.Dataset, options: dict[str, Any], epochs: int | None, data: st.DataObject
) -> None:
    options = {**sensible(options), "epochs": epochs, "batch_size": 32}
    uninterrupted = dataset.numpy(**options)
    whole = [batch["id"].tolist() for batch, _ in zip(uninterrupted, range(14), strict=False)]
    stop = data.draw(st.integers(0, len(whole) - 1))
    loader = dataset.numpy(**options)
    iterator = iter(loader)
    for _ in range(stop):
        next(iterator)
    state = json.loads(json.dumps(loader.state_dict()))
    resumed = dataset.numpy(**options)
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    rest = [batch["id"].tolist() for batch, _ in zip(resumed, range(len(whole) - stop), strict=False)]
    assert rest == whole[stop:]


def test_state_is_of_what_was_delivered_and_goes_to_another_world(dataset: dlcache.Dataset) -> None:
    one = dataset.numpy(24, shuffle=True, rank=0, world_size=1, remainder="pad", epochs=2)
    iterator = iter(one)
    seen = [next(iterator)["id"].tolist() for _ in range(4)]
    state = one.state_dict()
    assert (state["epoch"], state["step"]) == (0, 4)
    assert len(json.dumps(state)) < 400
    rest = [batch["id"].tolist() for batch in iterator]
    parts = []
    for rank in range(3):
        loader = dataset.numpy(8, shuffle=True, rank=rank, world_size=3, epochs=2)
        loader.load_state_dict(state)
        parts.append(ids(loader))
    assert [flat(list(step)) for step in zip(*parts, strict=True)] == rest
    smaller = dataset.numpy(12, shuffle=True, remainder="pad", epochs=2)
    smaller.load_state_dict(state)
    assert flat(seen)[:ROWS] + flat(ids(smaller))[: ROWS - 96] == flat(seen) + flat(rest)[: ROWS - 96]


def test_after_its_end_a_loader_goes_on_with_the_next_epoch(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(64, shuffle=True)
    first = ids(loader)
    state = loader.state_dict()
    assert (state["epoch"], state["step"], state["first_epoch"]) == (1, 0, 1)
    other = dataset.numpy(64, shuffle=True)
    other.load_state_dict(state)
    assert ids(other) == ids(loader) != first


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"shuffle": False}, {"shuffle_window": 50}, {"batch_size": 25}],
    ids=lambda o: next(iter(o)),
)
def test_a_state_of_something_else_is_refused(dataset: dlcache.Dataset, options: dict[str, Any]) -> None:
    loader = dataset.numpy(16, shuffle=True)
    next(iter(loader))
    other = dataset.numpy(**{"batch_size": 16, "shuffle": True, **options})
    with pytest.raises(StateError, match=next(iter(options))):
        other.load_state_dict(loader.state_dict())
    part = dataset.split({"a": 0.5})["a"].numpy(16, shuffle=True)
    with pytest.raises(StateError, match="rows"):
        part.load_state_dict(loader.state_dict())
    halves = dataset.split({"a": 0.5, "b": 0.5})
    with pytest.raises(StateError, match="subset"):
        halves["a"].numpy(16).load_state_dict(halves["b"].numpy(16).state_dict())
    halves["a"].numpy(16).load_state_dict(dataset.split({"a": 0.5, "b": 0.5})["a"].numpy(16).state_dict())


@pytest.mark.parametrize("epochs", [1, 2])
def test_a_state_within_a_loop_resumes_that_loop_also_at_its_end(dataset: dlcache.Dataset, epochs: int) -> None:
    def made() -> Any:
        return dataset.numpy(64, shuffle=True, epochs=epochs)

    loader = made()
    iterator = iter(loader)
    steps = len(loader)
    for taken in range(steps + 1):
        if taken:
            next(iterator)
        state = json.loads(json.dumps(loader.state_dict()))
        resumed = [made(), pickle.loads(pickle.dumps(loader)), made()]
        resumed[0].load_state_dict(state)
        resumed[2].load_state_dict(json.loads(json.dumps(resumed[0].state_dict())))
        for other in resumed:
            assert len(ids(other)) == steps - taken
            assert other.state_dict()["epoch"] == epochs
    assert next(iterator, None) is None
    after = made()
    after.load_state_dict(loader.state_dict())
    assert ids(after) == ids(loader)
    longer = dataset.numpy(64, shuffle=True, epochs=epochs + 1)
    longer.load_state_dict(state)
    assert len(ids(longer)) == steps // epochs


@pytest.mark.parametrize("state", [None, 3, {}, {"step": 1}, {"step": True}])
def test_what_is_no_state_is_refused(dataset: dlcache.Dataset, state: Any) -> None:
    with pytest.raises(StateError, match="state"):
        dataset.numpy(4).load_state_dict(state)


def test_an_epoch_within_several_is_shown(dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str | None] = []

    class Bar(tqdm.auto.tqdm):  # type: ignore[misc]
        def set_description(self, desc: str | None = None, refresh: bool | None = True) -> None:
            shown.append(desc)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    loader = dataset.numpy(64, epochs=3, progress=True)
    for _ in range(2):
        list(loader)
    assert shown == ["epoch 1", "epoch 2", "epoch 4", "epoch 5"]


def test_an_unknown_option_says_which_was_meant(dataset: dlcache.Dataset) -> None:
    with pytest.raises(OptionError, match="did you mean 'batch_size'"):
        dataset.numpy(batchsize=3)
    with pytest.raises(OptionError, match=r"it is an option of Dataset\.torch"):
        dataset.numpy(pad_to=3)


def test_any_batch_by_its_step(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(16, shuffle=True, epochs=2)
    batches = ids(loader)
    state = loader.state_dict()
    steps = loader.steps.count
    picked = [loader.batch_at(step, epoch)["id"].tolist() for epoch in range(2) for step in range(steps)]
    assert picked == batches
    together = loader.read(3, 5, epoch=1)["id"]
    assert isinstance(together, np.ndarray)
    assert together.tolist() == flat(batches[steps + 3 : steps + 8])
    assert loader.state_dict() == state
    for step, count in ((steps, 1), (-1, 1), (0, steps + 1), (0, 0)):
        with pytest.raises(OptionError, match="do not exist"):
            loader.read(step, count)


def test_outputs(dataset: dlcache.Dataset) -> None:
    options: Any = {"columns": ["features", "id"]}
    row = next(iter(dataset.numpy(4, output="namedtuple", **options)))
    assert row._fields == ("features", "id")
    features, label = next(iter(dataset.numpy(4, output=("features", "id"), **options)))
    assert features.shape == (4, 4)
    assert label.tolist() == row.id.tolist() == [0, 1, 2, 3]
    *_, weight = next(iter(dataset.numpy(4, output=("features", "id"), remainder="mask", **options)))
    assert weight.tolist() == [1, 1, 1, 1]
    with pytest.raises(ColumnError, match="did you mean 'features'"):
        dataset.numpy(output=("feature",))
    with pytest.raises(OptionError, match="namedtuple"):
        dataset.numpy(output="list")


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 2.5}, "batch_size"),
        ({"shuffle": 1}, "shuffle"),
        ({"seed": -1}, "seed"),
        ({"epochs": 0}, "epochs"),
        ({"columns": []}, "columns"),
        ({"columns": "id"}, "columns"),
        ({"columns": ["id", "id"]}, "columns"),
        ({"columns": ["idd"]}, "idd"),
        ({"nulls": "drop"}, "nulls"),
        ({"nulls": {"none": 1}}, "none"),
        ({"nulls": {"id": "x"}}, "id"),
        ({"nulls": {"id": 1.5}}, "id"),
        ({"nulls": {"name": 1}}, "name"),
        ({"shuffle_window": 10}, "shuffle_window"),
        ({"shuffle_window": 0, "shuffle": True}, "shuffle_window"),
        ({"threads": -1}, "threads"),
        ({"prefetch": 0}, "prefetch"),
        ({"remainder": "keep"}, "remainder"),
        ({"transform": 3}, "transform"),
        ({"rank": 1, "world_size": 1}, "rank"),
    ],
)
def test_bad_options_are_refused_at_once(dataset: dlcache.Dataset, options: dict[str, Any], names: str) -> None:
    with pytest.raises((OptionError, ColumnError), match=names):
        dataset.numpy(**options)


def test_nulls(tmp_path: Path) -> None:
    source = table(["null_int", "null_string", "null_elements", "int64"], 100)
    loaded = dlcache.load(write(tmp_path, source, shard_rows=40, row_group_rows=15))
    gone = source["null_int"].null_count
    with pytest.raises(NullValueError, match=f"'null_int' has {gone} null rows"):
        loaded.numpy()
    with pytest.raises(NullValueError, match="null elements"):
        loaded.numpy(columns=["null_elements"], nulls="mask")
    batch = next(iter(loaded.numpy(100, columns=["null_int", "null_string", "int64"], nulls="mask", shuffle=True)))
    assert set(batch) == {"null_int", "null_int_mask", "null_string", "null_string_mask", "int64"}
    assert (~batch["null_int_mask"]).sum() == gone
    assert (batch["null_int"][~batch["null_int_mask"]] == 0).all()
    assert set(batch["null_string"][~batch["null_string_mask"]]) == {""}
    assert set(loaded.numpy(columns=["null_int"], nulls="mask").element_spec) == {"null_int", "null_int_mask"}
    filled = next(iter(loaded.numpy(100, columns=["null_int"], nulls={"null_int": -5})))["null_int"]
    assert filled.tolist() == [-5 if value is None else value for value in source["null_int"].to_pylist()]


def test_the_spec_says_what_comes(dataset: dlcache.Dataset) -> None:
    spec = dataset.numpy(32).element_spec
    assert spec["features"].shape == (None, 4)
    assert spec["features"].dtype == np.float32
    assert spec["name"].kind == "text"
    assert dataset.numpy(32, remainder="drop").element_spec["features"].shape == (32, 4)
    assert dataset.numpy(46).element_spec["id"].shape == (46,)


def test_a_missing_shard_is_raised_once_and_leaves_nothing_running(tmp_path: Path) -> None:
    loaded = dlcache.load(write(tmp_path, table(["int64", "map"], 100), shard_rows=20, row_group_rows=10))
    os.remove(tmp_path / loaded.manifest.shards.paths[3])
    before = threading.active_count()
    for threads in (0, 2):
        for columns in (["int64"], ["map"]):
            loader = loaded.numpy(5, threads=threads, columns=columns)
            iterator = iter(loader)
            with pytest.raises(ShardError, match="is missing"):
                list(iterator)
            assert list(iterator) == []
            assert threading.active_count() == before


def test_text_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    bad = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff\xfe"]).buffers())
    loaded = dlcache.load(write(tmp_path, pa.table({"text": bad, "id": [0, 1]})))
    with pytest.raises(ColumnError, match=r"'text'.*not UTF-8"):
        list(loaded.numpy(2))
    with pytest.raises(ColumnError, match=r"'text'.*not UTF-8"):
        list(loaded.numpy(2, transform=lambda batch: batch))
    assert len(list(loaded.numpy(2, columns=["id"]))) == 1


def test_an_empty_dataset(tmp_path: Path) -> None:
    source = table(["int64", "string", "ragged", "tensor"], 5).slice(0, 0)
    loaded = dlcache.load(write(tmp_path, source))
    loader = loaded.numpy(4, shuffle=True)
    assert len(loaded) == len(loader) == 0
    assert list(loader) == []
    assert list(loaded.numpy(4, epochs=None)) == []
    assert loaded.gather([])["int64"].dtype == np.int64


def test_metrics_count_what_was_delivered(dataset: dlcache.Dataset) -> None:
    for threads in (0, 2):
        loader = dataset.numpy(16, columns=["id", "features"], threads=threads)
        list(loader)
        metrics = loader.metrics()
        assert metrics["rows"] == ROWS
        assert metrics["batches"] == len(loader)
        assert metrics["bytes"] == ROWS * 24
        assert 0 < metrics["consumer_wait_seconds"] <= metrics["seconds"]


def test_a_loader_pickles_with_its_position(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(32, shuffle=True)
    iterator = iter(loader)
    next(iterator)
    copy = pickle.loads(pickle.dumps(loader))
    assert type(copy) is NumpyLoader
    assert copy.state_dict() == loader.state_dict()
    assert ids(copy) == ids(iterator)


def read_all(loader: NumpyLoader, queue: Any) -> None:
    queue.put(flat(ids(loader)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_reads_too(dataset: dlcache.Dataset, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    loader = dataset.numpy(32, shuffle=True, threads=2)
    iterator = iter(loader)
    next(iterator)
    queue = context.Queue()
    child = context.Process(target=read_all, args=(dataset.numpy(32, shuffle=True, threads=2), queue))
    child.start()
    rows = queue.get(timeout=60)
    child.join()
    assert rows == flat(ids(dataset.numpy(32, shuffle=True)))
