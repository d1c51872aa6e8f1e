"""The converter without Spark, over datasets that are there already."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import inspect
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, InUseError, NotADatasetError, NullValueError, OptionError, TransformError, converter
from dlcache._converter_reader import LoaderChoices, ReaderArguments, order, rank_in
from dlcache.converter import SparkDatasetConverter, TransformSpec, edit_field, make_spark_converter

ROWS = 230


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = pa.table(
        {
            "id": np.arange(ROWS),
            "features": pa.array((np.arange(ROWS)[:, None] + np.arange(4) / 8).tolist(), pa.list_(pa.float32())),
            "label": (np.arange(ROWS) % 3).astype(np.int32),
        }
    )
    return write(tmp_path_factory.mktemp("converter") / "data", table, shard_rows=90, row_group_rows=25)


@pytest.fixture
def made(source: Path) -> SparkDatasetConverter:
    return make_spark_converter(str(source))


@pytest.fixture
def odd(tmp_path: Path) -> SparkDatasetConverter:
    """Columns that Petastorm gets wrong: nulls, dates, times, strings, rows of different lengths."""
    table = pa.table(
        {
            "id": np.arange(6),
            "count": pa.array([None, 1, 2, 3, None, 5], pa.int32()),
            "weight": pa.array([0.5, None, 2, 3, 4, 5], pa.float32()),
            "name": ["a", "b\0", "c", "d", "e", "f"],
            "gone": pa.array(["x", None, "x", "x", "x", "x"]),
            "day": pa.array([datetime.date(1970, 1, 2)] * 6),
            "at": pa.array([datetime.datetime(1970, 1, 1, 0, 0, 1)] * 6, pa.timestamp("us", "UTC")),
            "ragged": pa.array([[1.0] * row for row in range(6)], pa.list_(pa.float32())),
        }
    )
    return make_spark_converter(write(tmp_path / "odd", table))


def read(made: SparkDatasetConverter, **arguments: Any) -> list[list[int]]:
    with made.make_torch_dataloader(**({"num_epochs": 1} | arguments)) as loader:
        return [batch["id"].tolist() for batch in loader]


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


# Petastorm 0.13.1, recorded with inspect.signature

PETASTORM: dict[str, dict[str, Any]] = {
    "make_spark_converter": {
        "df": inspect.Parameter.empty,
        "parquet_row_group_size_bytes": 33554432,
        "compression_codec": None,
        "dtype": "float32",
    },
    "SparkDatasetConverter": {
        "cache_dir_url": inspect.Parameter.empty,
        "file_urls": inspect.Parameter.empty,
        "dataset_size": inspect.Parameter.empty,
    },
    "SparkDatasetConverter.make_tf_dataset": {
        "self": inspect.Parameter.empty,
        "batch_size": None,
        "prefetch": None,
        "num_epochs": None,
        "workers_count": None,
        "shuffling_queue_capacity": None,
        "petastorm_reader_kwargs": inspect.Parameter.empty,
    },
    "SparkDatasetConverter.make_torch_dataloader": {
        "self": inspect.Parameter.empty,
        "batch_size": 32,
        "num_epochs": None,
        "workers_count": None,
        "shuffling_queue_capacity": 0,
        "data_loader_fn": None,
        "petastorm_reader_kwargs": inspect.Parameter.empty,
    },
    "SparkDatasetConverter.delete": {"self": inspect.Parameter.empty},
    "TransformSpec": {"func": None, "edit_fields": None, "removed_fields": None, "selected_fields": None},
    "edit_field": {
        "name": inspect.Parameter.empty,
        "numpy_dtype": inspect.Parameter.empty,
        "shape": inspect.Parameter.empty,
        "nullable": False,
    },
}
READER: dict[str, Any] = {
    "schema_fields": None,
    "reader_pool_type": "thread",
    "results_queue_size": 50,
    "seed": None,
    "shuffle_rows": False,
    "shuffle_row_groups": True,
    "shuffle_row_drop_partitions": 1,
    "predicate": None,
    "rowgroup_selector": None,
    "cur_shard": None,
    "shard_count": None,
    "shard_seed": None,
    "cache_type": "null",
    "cache_location": None,
    "cache_size_limit": None,
    "cache_row_size_estimate": None,
    "cache_extra_settings": None,
    "hdfs_driver": "libhdfs3",
    "transform_spec": None,
    "filters": None,
    "storage_options": None,
    "zmq_copy_buffers": True,
    "filesystem": None,
    "convert_early_to_numpy": False,
}


@pytest.mark.parametrize("name", PETASTORM)
def test_signatures_are_petastorms(name: str) -> None:
    found: Any = converter
    for part in name.split("."):
        found = getattr(found, part)
    parameters = inspect.signature(found).parameters
    assert {key: parameter.default for key, parameter in parameters.items()} == PETASTORM[name]
    assert list(parameters) == list(PETASTORM[name])


def test_the_readers_arguments_are_petastorms() -> None:
    assert {field.name: field.default for field in dataclasses.fields(ReaderArguments)} == READER
    assert SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF == "petastorm.spark.converter.parentCacheDirUrl"


# Rows


SHUFFLES = st.fixed_dictionaries(
    {},
    optional={
        "shuffle_rows": st.booleans(),
        "shuffle_row_groups": st.booleans(),
        "shuffling_queue_capacity": st.sampled_from([0, 10, 1000]),
        "seed": st.integers(0, 3),
        "workers_count": st.sampled_from([1, 4]),
        "reader_pool_type": st.sampled_from(["thread", "process", "dummy"]),
    },
)


@settings(max_examples=15)
@given(arguments=SHUFFLES, batch_size=st.sampled_from([1, 7, 64, 300]), epochs=st.sampled_from([1, 2]))
def test_an_epoch_has_each_row_once(source: Path, arguments: dict[str, Any], batch_size: int, epochs: int) -> None:
    batches = read(make_spark_converter(source), batch_size=batch_size, num_epochs=epochs, **arguments)
    rows = flat(batches)
    parts = [rows[start : start + ROWS] for start in range(0, len(rows), ROWS)]
    assert len(parts) == epochs
    assert all(sorted(part) == list(range(ROWS)) for part in parts)
    shuffled = (
        arguments.get("shuffle_row_groups", True)
        or arguments.get("shuffle_rows", False)
        or arguments.get("shuffling_queue_capacity", 0) > 0
    )
    assert all((part != list(range(ROWS))) == shuffled for part in parts)


@settings(max_examples=15)
@given(shards=st.integers(1, 6), batch_size=st.sampled_from([1, 16, 100]), seed=st.sampled_from([None, 0, 5]))
def test_shards_take_equal_steps_and_have_all_rows(
    source: Path, shards: int, batch_size: int, seed: int | None
) -> None:
    parts = [
        read(make_spark_converter(source), batch_size=batch_size, cur_shard=shard, shard_count=shards, seed=seed)
        for shard in range(shards)
    ]
    assert len({len(part) for part in parts}) == 1
    rows = [row for part in parts for row in flat(part)]
    assert set(rows) == set(range(ROWS))
    assert len(rows) - ROWS < shards * batch_size
    if shards > 1:
        assert {len(batch) for part in parts for batch in part} == {batch_size}


def test_endless_batches_are_full_and_epochs_never_mix(made: SparkDatasetConverter) -> None:
    steps = -(-ROWS // 32)
    with made.make_torch_dataloader() as loader:
        iteration = iter(loader)
        with pytest.raises(TypeError, match="epochs=None"):
            len(loader)
        for _ in range(3):
            epoch = [next(iteration)["id"].tolist() for _ in range(steps)]
            assert {len(batch) for batch in epoch} == {32}
            assert len(set(flat(epoch)[:ROWS])) == ROWS
            assert set(flat(epoch)) == set(range(ROWS))


def test_each_pass_is_another_epoch_and_a_break_is_nothing_special(made: SparkDatasetConverter) -> None:
    with made.make_torch_dataloader(num_epochs=1) as loader:
        assert len(loader) == 8
        assert len(next(iter(loader))["id"]) == 32
        passes = [flat([batch["id"].tolist() for batch in loader]) for _ in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(ROWS))
    assert passes[0] != passes[1]


def test_without_a_seed_each_loader_has_its_own_order_and_each_run_the_same(source: Path) -> None:
    first, second = make_spark_converter(source), make_spark_converter(source)
    orders = [flat(read(first)), flat(read(first))]
    assert orders[0] != orders[1]
    assert [flat(read(second)), flat(read(second))] == orders
    assert flat(read(first, seed=0)) == flat(read(first, seed=0)) == orders[0]


def test_ranks_agree_on_the_order_however_often_they_opened_a_loader(source: Path) -> None:
    ranks = [make_spark_converter(source) for _ in range(2)]
    read(ranks[1])
    rows = [flat(read(rank, cur_shard=shard, shard_count=2, batch_size=5)) for shard, rank in enumerate(ranks)]
    assert sorted(rows[0] + rows[1]) == list(range(ROWS))


def test_leaving_the_context_ends_the_threads(made: SparkDatasetConverter) -> None:
    before = threading.active_count()
    with made.make_torch_dataloader(batch_size=2) as loader:
        iteration = iter(loader)
        next(iteration)
    assert threading.active_count() == before
    with pytest.raises(OptionError, match="`with` block ended"):
        next(iteration)
    with pytest.raises(OptionError, match="`with` block ended"):
        next(iter(loader))


def test_compressed_or_remote_data_are_shuffled_in_windows(source: Path, tmp_path: Path) -> None:
    compressed = write(
        tmp_path / "snappy",
        pa.table({"id": np.arange(100)}),
        row_group_rows=5,
        compression="snappy",
        options={"compression": "snappy"},
    )
    assert order(ReaderArguments(), 0, dlcache.load(source)) == (True, None)
    assert order(ReaderArguments(), 0, dlcache.load(compressed)) == (True, 20)
    assert order(ReaderArguments(shuffle_row_groups=False), 50, dlcache.load(compressed)) == (True, 50)
    assert order(ReaderArguments(shuffle_row_groups=False), 0, dlcache.load(compressed)) == (False, None)
    assert sorted(flat(read(make_spark_converter(compressed)))) == list(range(100))


# Arguments


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"predicate": object()}, r"predicate.*df\.where"),
        ({"rowgroup_selector": object()}, r"rowgroup_selector.*df\.where"),
        ({"filters": [("id", ">", 3)]}, r"filters.*df\.where"),
        ({"filesystem": object()}, "filesystem.*storage_options"),
        ({"cur_shard": 0}, "shard_count"),
        ({"cur_shard": 9, "shard_count": 2}, "cur_shard must be in 0"),
        ({"cur_shard": 0.5, "shard_count": 2}, "cur_shard must be an integer"),
        ({"reader_pool_type": "fork"}, "reader_pool_type"),
        ({"cache_type": "ram"}, "cache_type"),
        ({"schema_fields": "id"}, "schema_fields must be a list"),
        ({"shuffle_row_group": False}, "did you mean 'shuffle_row_groups'"),
        ({"num_epochs": 1.5}, "num_epochs"),
        ({"batch_size": 0}, "batch_size"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(
    made: SparkDatasetConverter, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says):
        made.make_torch_dataloader(**arguments)
    with pytest.raises(OptionError, match=says):
        made.make_tf_dataset(**arguments)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"num_epochs": 0}, "epochs"),
        ({"workers_count": 0}, "workers_count"),
        ({"shuffling_queue_capacity": -1}, "shuffling_queue_capacity"),
        ({"shuffle_rows": 1}, "shuffle_rows"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_numbers_are_refused_on_entering(
    made: SparkDatasetConverter, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(OptionError, match=says), made.make_torch_dataloader(**arguments):
        pass


def test_what_means_nothing_here_is_accepted(made: SparkDatasetConverter) -> None:
    harmless = {
        "results_queue_size": 10,
        "shuffle_row_drop_partitions": 2,
        "shard_seed": 1,
        "cache_type": "local-disk",
        "cache_location": "somewhere",
        "cache_size_limit": 1,
        "cache_row_size_estimate": 1,
        "cache_extra_settings": {},
        "hdfs_driver": "libhdfs",
        "zmq_copy_buffers": False,
        "convert_early_to_numpy": True,
    }
    assert sorted(flat(read(made, **harmless))) == list(range(ROWS))
    assert sorted(flat(read(made, batch_size=None, cur_shard=np.int64(0), shard_count=np.int64(1)))) == list(
        range(ROWS)
    )


def test_schema_fields_are_patterns_of_whole_names(made: SparkDatasetConverter) -> None:
    with made.make_torch_dataloader(schema_fields=["la.*", "id"], num_epochs=1) as loader:
        assert list(next(iter(loader))) == ["id", "label"]
    with pytest.raises(ColumnError, match="lab"), made.make_torch_dataloader(schema_fields=["lab"]):
        pass


def test_the_environments_rank_is_compared_and_never_taken(
    made: SparkDatasetConverter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert sorted(flat(read(made))) == list(range(ROWS))
    assert "RANK/WORLD_SIZE says rank 1 of 2" in caplog.text
    monkeypatch.setenv("HOROVOD_RANK", "0")
    monkeypatch.setenv("HOROVOD_SIZE", "2")
    caplog.clear()
    read(made, cur_shard=0, shard_count=2)
    assert not caplog.records
    read(made, cur_shard=1, shard_count=2)
    assert "HOROVOD_RANK/HOROVOD_SIZE says rank 0 of 2" in caplog.text


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({}, None),
        ({"HOROVOD_RANK": "1"}, None),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "3"}, (1, 3)),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, (0, 2)),
        ({"RANK": "x", "WORLD_SIZE": "2"}, None),
    ],
)
def test_ranks_in_the_environment(environment: dict[str, str], found: tuple[int, int] | None) -> None:
    seen = rank_in(environment)
    assert (None if seen is None else seen[:2]) == found


def test_write_options_are_those_of_cache() -> None:
    assert converter.write_options(32 << 20, None, "float32") == {"dtype": "float32"}
    assert converter.write_options(1 << 20, "LZ4", None) == {
        "dtype": None,
        "rowGroupBytes": 1 << 20,
        "compression": "lz4_raw",
    }
    for arguments in ((0, None, None), (1, "bzip2", None), (1, "deflate", None), (1, None, "float16"), (1, 3, None)):
        with pytest.raises(OptionError):
            converter.write_options(*arguments)
    with pytest.raises(OptionError, match="DataFrame"):
        make_spark_converter(3)


# Values


def test_nulls_are_nan_or_an_error_and_never_garbage(odd: SparkDatasetConverter) -> None:
    with odd.make_torch_dataloader(schema_fields=["id", "weight"], num_epochs=1) as loader:
        batch = next(iter(loader))
    assert batch["weight"].dtype == torch.float32
    assert batch["id"][torch.isnan(batch["weight"])].tolist() == [1]
    for name in ("count", "gone"):
        with pytest.raises(NullValueError, match=name), odd.make_torch_dataloader(schema_fields=["id", name]):
            pass


def test_a_transform_sees_nulls_as_pandas_does_and_fills_them(odd: SparkDatasetConverter) -> None:
    seen: list[Any] = []

    def fill(frame: Any) -> Any:
        seen.append(frame.copy())
        frame["count"] = frame["count"].fillna(-1)
        frame["gone"] = frame["gone"].fillna("nobody")
        frame["weight"] = frame["weight"].fillna(0)
        return frame

    with odd.make_torch_dataloader(num_epochs=1, transform_spec=TransformSpec(fill), seed=1) as loader:
        batch = next(iter(loader))
    frame = seen[-1].set_index("id")
    assert frame["count"].dtype == np.float64
    assert np.isnan(frame["count"][0])
    assert frame["gone"][1] is None
    assert frame["day"][0] == datetime.date(1970, 1, 2)
    assert frame["at"].dtype == "datetime64[ns]"
    assert frame["ragged"][3].tolist() == [1, 1, 1]
    by_id = {name: value for name, value in batch.items() if name != "ragged"}
    rows = {row: at for at, row in enumerate(by_id["id"].tolist())}
    assert batch["count"].dtype == torch.int32
    assert [batch["count"][rows[row]].item() for row in range(6)] == [-1, 1, 2, 3, -1, 5]
    assert batch["gone"][rows[1]] == "nobody"
    assert batch["name"][rows[1]] == "b\0"
    assert set(batch["day"].tolist()) == {86_400_000_000_000}
    assert set(batch["at"].tolist()) == {1_000_000_000}
    assert [len(row) for row in batch["ragged"].unbind()] == batch["id"].tolist()


def test_nulls_that_the_transform_leaves_are_named(odd: SparkDatasetConverter) -> None:
    for name in ("count", "gone"):
        spec = TransformSpec(lambda frame: frame)
        with (
            odd.make_torch_dataloader(schema_fields=["id", name], transform_spec=spec, num_epochs=1) as loader,
            pytest.raises(TransformError, match=f"{name}.*nulls"),
        ):
            list(loader)


def test_dates_and_times_are_nanoseconds_as_petastorms_are(odd: SparkDatasetConverter) -> None:
    with odd.make_torch_dataloader(schema_fields=["day", "at"], num_epochs=1) as loader:
        batch = next(iter(loader))
    assert batch["day"].tolist() == [86_400_000_000_000] * 6
    assert batch["at"].tolist() == [1_000_000_000] * 6


@pytest.mark.parametrize(
    ("kind", "number", "says"),
    [
        (pa.timestamp("us", "UTC"), 253_402_300_799_999_999, "timestamp 9999-12-31T23:59:59.999999"),
        (pa.timestamp("us"), -9_223_372_036_854_776, "timestamp 1677-09-21T00:12:43.145224"),
        (pa.date32(), 106_752, "date 2262-04-12"),
    ],
)
def test_times_that_nanoseconds_cannot_hold_are_named(tmp_path: Path, kind: Any, number: int, says: str) -> None:
    numbers = pa.array([0, number], pa.int32() if kind == pa.date32() else pa.int64())
    far = make_spark_converter(write(tmp_path, pa.table({"id": [0, 1], "at": numbers.view(kind)})))
    with far.make_torch_dataloader(num_epochs=1) as loader, pytest.raises(TransformError, match=f"'at' has the {says}"):
        list(loader)
    spec = TransformSpec(lambda frame: frame, removed_fields=["at"])
    with far.make_torch_dataloader(num_epochs=1, transform_spec=spec) as loader:
        if kind == pa.date32():  # pandas gets `datetime.date`, which holds it
            assert len(list(loader)) == 1
        else:
            with pytest.raises(TransformError, match=f"'at' has the {says}"):
                list(loader)
    if kind == pa.date32():
        spec = TransformSpec(lambda frame: frame)
        with (
            far.make_torch_dataloader(num_epochs=1, transform_spec=spec) as loader,
            pytest.raises(TransformError, match="'at' has the time 2262-04-12"),
        ):
            list(loader)
    assert far.dataset.gather([1], ["at"])["at"].tolist() == [number]


def test_the_last_times_that_nanoseconds_hold_are_delivered(tmp_path: Path) -> None:
    times = pa.array([-9_223_372_036_854_775, 9_223_372_036_854_775]).view(pa.timestamp("us", "UTC"))
    days = pa.array([-106_751, 106_751], pa.int32()).view(pa.date32())
    made = make_spark_converter(write(tmp_path, pa.table({"id": [0, 1], "at": times, "day": days})))
    wanted = [-9_223_372_036_854_775_000, 9_223_372_036_854_775_000]
    for spec in (None, TransformSpec(lambda frame: frame)):
        with made.make_torch_dataloader(num_epochs=1, transform_spec=spec, shuffle_row_groups=False) as loader:
            batch = next(iter(loader))
        assert batch["at"].tolist() == wanted
        assert batch["day"].tolist() == [-106_751 * 86_400_000_000_000, 106_751 * 86_400_000_000_000]


def test_booleans_are_uint8_in_pytorch_as_petastorms_are(tmp_path: Path) -> None:
    flags = pa.array([[True], [False, True]], pa.list_(pa.bool_()))
    made = make_spark_converter(write(tmp_path, pa.table({"flag": [True, False], "flags": flags})))
    with made.make_torch_dataloader(num_epochs=1, shuffle_row_groups=False) as loader:
        batch = next(iter(loader))
    assert batch["flag"].dtype == batch["flags"].dtype == torch.uint8
    assert (1 - batch["flag"]).tolist() == [0, 1]
    spec = TransformSpec(
        lambda frame: frame.assign(n=np.uint16(65535), m=np.uint32(1 << 31)),
        [("n", np.uint16, ()), ("m", np.uint32, ())],
        selected_fields=["n", "m"],
    )
    with made.make_torch_dataloader(num_epochs=1, transform_spec=spec) as loader:
        batch = next(iter(loader))
    assert (batch["n"].dtype, batch["n"][0].item()) == (torch.int32, 65535)
    assert (batch["m"].dtype, batch["m"][0].item()) == (torch.int64, 1 << 31)


def test_decimals_are_numbers_and_objects_in_pandas(tmp_path: Path) -> None:
    rows = [Decimal("1.0"), Decimal("0.1"), None]
    table = pa.table(
        {
            "label": pa.array(rows[:2] * 2, pa.decimal128(2, 1)),
            "wide": pa.array([*rows, rows[0]], pa.decimal128(30, 1)),
            "list": pa.array([[Decimal("0.1")] * 2] * 4, pa.list_(pa.decimal128(30, 1))),
        }
    )
    made = make_spark_converter(write(tmp_path, table, options={"dtype": "float32"}))
    with made.make_torch_dataloader(num_epochs=1, shuffle_row_groups=False) as loader:
        batch = next(iter(loader))
    assert {value.dtype for value in batch.values()} == {torch.float32}
    assert batch["label"].tolist()[:2] == [1.0, float(np.float32(0.1))]
    assert batch["wide"].isnan().tolist() == [False, False, True, False]
    seen: list[Any] = []

    def fill(frame: Any) -> Any:
        seen.append(frame.copy())
        frame["wide"] = frame["wide"].map(lambda value: Decimal("7.5") if value is None else value)
        return frame

    spec = TransformSpec(fill, [("list", np.float64, (2,))])
    with made.make_torch_dataloader(num_epochs=1, shuffle_row_groups=False, transform_spec=spec) as loader:
        batch = next(iter(loader))
    assert seen[-1]["label"].tolist() == rows[:2] * 2
    assert seen[-1]["wide"].tolist() == [*rows, rows[0]]
    assert batch["label"].dtype == torch.float32
    assert batch["wide"].tolist() == [1.0, float(np.float32(0.1)), 7.5, 1.0]
    assert batch["list"].dtype == torch.float64
    assert batch["list"].tolist() == [[0.1, 0.1]] * 4


def image(frame: Any) -> Any:
    frame["image"] = [np.full((2, 3), float(row)) for row in frame["id"]]
    return frame.drop(columns=["features"])


IMAGE = TransformSpec(image, [("image", np.float32, (2, 3), False)], ["features"])


def test_edited_fields_are_converted_and_come_last(made: SparkDatasetConverter) -> None:
    with made.make_torch_dataloader(transform_spec=IMAGE, num_epochs=1, batch_size=50) as loader:
        for batch in loader:
            assert list(batch) == ["id", "label", "image"]
            assert batch["image"].dtype == torch.float32
            assert batch["image"].shape[1:] == (2, 3)
            assert torch.equal(batch["image"][:, 1, 2].long(), batch["id"])


@pytest.mark.parametrize(
    ("func", "edit_fields", "says"),
    [
        (image, [("image", np.float32, (3, 2), False)], r"shape \(2, 3\)"),
        (lambda frame: frame.assign(label=frame["label"] + 0.5), None, r"\.5, which is no int32"),
        (lambda frame: frame.assign(label=[Decimal("0.5")] * len(frame)), None, r"0\.5, which is no int32"),
        (lambda frame: frame.assign(label=1e300), [("label", np.float32, ())], r"1e\+300, which is no float32"),
        (lambda frame: frame.assign(extra=1), None, "extra.*edit_fields"),
        (lambda frame: frame.drop(columns="label"), None, "no field 'label'"),
        (lambda frame: frame["label"], None, "DataFrame"),
        (lambda frame: 1 / 0, None, "ZeroDivisionError"),
    ],
)
def test_what_a_transform_returns_is_checked(
    made: SparkDatasetConverter, func: Callable[[Any], Any], edit_fields: Any, says: str
) -> None:
    removed = ["features"] if func is image else None
    with (
        made.make_torch_dataloader(transform_spec=TransformSpec(func, edit_fields, removed)) as loader,
        pytest.raises(TransformError, match=says),
    ):
        next(iter(loader))


def some(frame: Any) -> Any:
    """Each row as often as its label says: not at all, once, twice."""
    return frame.loc[frame.index.repeat(frame["label"])]


SOME = sorted(np.repeat(np.arange(ROWS), np.arange(ROWS) % 3).tolist())


@pytest.mark.parametrize("batch_size", [7, 32, 300])
@pytest.mark.parametrize("shuffled", [True, False])
def test_a_transform_may_drop_and_add_rows(made: SparkDatasetConverter, batch_size: int, shuffled: bool) -> None:
    options: dict[str, Any] = {"transform_spec": TransformSpec(some), "shuffle_row_groups": shuffled}
    batches = read(made, batch_size=batch_size, **options)
    assert sorted(flat(batches)) == SOME
    assert {len(batch) for batch in batches[:-1]} <= {batch_size}
    assert len(batches) == -(-len(SOME) // batch_size)
    few = TransformSpec(lambda frame: frame[frame["id"] < 5])
    assert [len(batch) for batch in read(made, batch_size=50, transform_spec=few)] == [5]


@pytest.mark.parametrize("shards", [1, 2])
def test_endless_batches_are_full_also_where_a_transform_changes_the_rows(
    made: SparkDatasetConverter, shards: int
) -> None:
    for func, expected in ((some, set(SOME)), (lambda frame: frame[frame["id"] % 9 == 0], set(range(0, ROWS, 9)))):
        seen: set[int] = set()
        for shard in range(shards):
            place: dict[str, Any] = {} if shards == 1 else {"cur_shard": shard, "shard_count": shards}
            with made.make_torch_dataloader(transform_spec=TransformSpec(func), **place) as loader:
                iteration = iter(loader)
                for _ in range(20):
                    rows = next(iteration)["id"].tolist()
                    assert len(rows) == 32
                    seen.update(rows)
        assert seen == expected


def test_a_transform_that_drops_rows_is_refused_where_ranks_would_take_unequal_steps(
    made: SparkDatasetConverter,
) -> None:
    with pytest.raises(TransformError, match="as many rows"):
        read(made, transform_spec=TransformSpec(some), cur_shard=0, shard_count=2)
    kept = TransformSpec(lambda frame: frame.assign(id=-frame["id"]))
    parts = [read(made, transform_spec=kept, cur_shard=shard, shard_count=2) for shard in range(2)]
    assert len(parts[0]) == len(parts[1])
    assert {-row for part in parts for row in flat(part)} == set(range(ROWS))


def test_without_pandas_the_transform_says_so_when_it_is_made(
    made: SparkDatasetConverter, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Foreign:
        func = staticmethod(some)
        edit_fields: Any = None
        removed_fields: Any = None
        selected_fields: Any = None

    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match=r"pip install 'dlcache\[converter\]'"):
        TransformSpec(some)
    with pytest.raises(OptionError, match="pip install pandas"):
        dlcache.TransformSpec(some, input="pandas")
    with pytest.raises(OptionError, match=r"pip install 'dlcache\[converter\]'"):
        read(made, transform_spec=Foreign())
    assert len(flat(read(made, transform_spec=TransformSpec(selected_fields=["id"])))) == ROWS


def test_fields_are_selected_and_removed(made: SparkDatasetConverter, caplog: pytest.LogCaptureFixture) -> None:
    def names(spec: Any) -> list[str]:
        with made.make_torch_dataloader(transform_spec=spec, num_epochs=1) as loader:
            return list(next(iter(loader)))

    class Foreign:
        """Petastorm's own object has these four."""

        func: Any = None
        edit_fields: Any = []  # noqa: RUF012
        removed_fields: Any = ["label"]  # noqa: RUF012
        selected_fields: Any = None

    assert names(TransformSpec(selected_fields=["label", "id"])) == ["label", "id"]
    assert names(TransformSpec(removed_fields=["label"])) == ["id", "features"]
    assert names(Foreign()) == ["id", "features"]
    assert names(TransformSpec(image, IMAGE.edit_fields, selected_fields=["image", "label"])) == ["image", "label"]
    assert names(TransformSpec(edit_fields=[edit_field("label", np.float32, (), True)])) == ["id", "features", "label"]
    assert names(TransformSpec(removed_fields=["nothing"])) == ["id", "features", "label"]
    assert "nothing" in caplog.text
    with pytest.raises(ColumnError, match="lable"):
        names(TransformSpec(selected_fields=["lable"]))
    with pytest.raises(OptionError, match="not both"):
        TransformSpec(None, None, ["id"], ["label"])


# data_loader_fn


def test_loaders_with_petastorms_signatures(made: SparkDatasetConverter) -> None:
    from dlcache.converter import BatchedDataLoader, DataLoader

    def halves(rows: list[dict[str, Any]]) -> torch.Tensor:
        return torch.tensor([row["id"] / 2 for row in rows])

    with made.make_torch_dataloader(num_epochs=1, data_loader_fn=functools.partial(DataLoader, collate_fn=halves)) as a:
        assert sorted((torch.cat(list(a)) * 2).long().tolist()) == list(range(ROWS))
    doubled = functools.partial(BatchedDataLoader, transform_fn=lambda array: torch.from_numpy(array * 2))
    with made.make_torch_dataloader(num_epochs=1, data_loader_fn=doubled) as b:
        assert sorted(torch.cat([batch["id"] for batch in b]).tolist()) == list(range(0, 2 * ROWS, 2))
    with made.make_torch_dataloader(batch_size=50, num_epochs=1, data_loader_fn=BatchedDataLoader) as c:
        assert [len(batch["label"]) for batch in c] == [50, 50, 50, 50, 30]


def test_a_loader_of_ones_own_reads_namedtuples_of_arrays(made: SparkDatasetConverter) -> None:
    taken: dict[str, Any] = {}

    def own(reader: Any, batch_size: int, shuffling_queue_capacity: int) -> Any:
        taken.update(reader=reader, batch_size=batch_size, capacity=shuffling_queue_capacity)
        return (group.id for group in reader)

    with made.make_torch_dataloader(9, 1, None, 7, own, cur_shard=0, shard_count=1) as loader:
        rows = np.concatenate(list(loader))
        reader = taken.pop("reader")
        assert (reader.batched_output, reader.last_row_consumed, reader.num_epochs) == (True, True, 1)
        reader.reset()
        assert sorted(np.concatenate([group.id for group in reader])) == list(range(ROWS))
    assert taken == {"batch_size": 9, "capacity": 7}
    assert sorted(rows) == list(range(ROWS))


# TensorFlow


def test_tensorflow_gets_namedtuples_with_static_shapes(made: SparkDatasetConverter) -> None:
    tf = pytest.importorskip("tensorflow")
    with made.make_tf_dataset(num_epochs=1) as dataset:
        batches = list(dataset)
        assert dataset.cardinality() == len(batches) == 8
    assert batches[0]._fields == ("id", "features", "label")
    assert sorted(row for batch in batches for row in batch.id.numpy().tolist()) == list(range(ROWS))
    spec = TransformSpec(image, [("image", np.float32, (2, 3), False)], ["features"])
    with made.make_tf_dataset(batch_size=10, prefetch=1, transform_spec=spec) as dataset:
        pairs = dataset.map(lambda batch: (batch.image, batch.label))
        assert [tuple(part.shape) for part in pairs.element_spec] == [(10, 2, 3), (10,)]
        assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
        assert len(list(dataset.take(50))) == 50
    shards = []
    for shard in range(2):
        with made.make_tf_dataset(5, num_epochs=1, cur_shard=shard, shard_count=2) as dataset:
            shards.append([row for batch in dataset for row in batch.id.numpy().tolist()])
    assert sorted(shards[0] + shards[1]) == list(range(ROWS))


def test_no_lease_outlives_the_block(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    path = tiny(tmp_path / "data")
    made = make_spark_converter(path)
    with made.make_tf_dataset(num_epochs=1) as dataset:
        kept = list(dataset)
        assert list(path.glob("_dlcache/leases/*.json"))
    with made.make_torch_dataloader() as loader:
        next(iter(loader))
    assert len(kept) == 1
    assert not list(path.glob("_dlcache/leases/*.json"))


def test_leaving_the_context_closes_everything(tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow")
    path = write(tmp_path / "data", pa.table({"id": np.arange(1000)}), shard_rows=100)
    made = ours(path)
    kept: list[Any] = []
    with made.make_tf_dataset(batch_size=2) as dataset:
        kept.append(iter(dataset))
        next(kept[0])
    with made.make_torch_dataloader(batch_size=2) as loader:
        kept.append(iter(loader))
        next(kept[1])
    with made.make_torch_dataloader(2, None, None, 0, lambda reader, **_: reader) as reader:
        kept.append(reader)
        next(kept[2])
    made.delete()
    assert not path.exists()
    for iterator in kept:
        with pytest.raises((OptionError, tf.errors.OpError), match="`with` block ended"):
            for _ in range(5000):  # TensorFlow delivers what it has read ahead
                next(iterator)
    with pytest.raises((OptionError, tf.errors.OpError), match="`with` block ended"):
        next(iter(dataset))


def first_of(rows: list[dict[str, Any]]) -> Any:
    return rows[0]["id"]


@pytest.mark.parametrize("kind", ["own", "DataLoader", "BatchedDataLoader"])
def test_loaders_can_be_pickled_and_then_iterated(made: SparkDatasetConverter, kind: str) -> None:
    make: Any = {
        "own": None,
        "DataLoader": functools.partial(converter.DataLoader, collate_fn=first_of),
        "BatchedDataLoader": functools.partial(converter.BatchedDataLoader, transform_fn=torch.as_tensor),
    }[kind]
    spec = TransformSpec(image, IMAGE.edit_fields, ["features"])
    with made.make_torch_dataloader(10, 1, data_loader_fn=make, transform_spec=spec, seed=3) as loader:
        copy = pickle.loads(pickle.dumps(loader))
        here, there = list(loader), list(copy)
    assert len(here) == len(there) == ROWS // 10
    assert repr(here) == repr(there)
    copy.close()
    with pytest.raises(OptionError, match="`with` block ended"):
        iter(copy)


def test_names_of_petastorm_that_are_not_there_say_what_to_use() -> None:
    for name, way in (("make_reader", "make_spark_converter"), ("InMemBatchedDataLoader", "BatchedDataLoader")):
        with pytest.raises(AttributeError, match=way):
            getattr(converter, name)
    with pytest.raises(AttributeError, match="did you mean 'make_spark_converter'"):
        _ = converter.make_spark_convertor


# Its life


def ours(path: Path) -> SparkDatasetConverter:
    """A converter as one that has written its dataset."""
    return converter._converter(dlcache.load(path), ours=True)


def tiny(path: Path) -> Path:
    return write(path, pa.table({"id": np.arange(5)}))


def test_a_converter_says_where_its_data_are(made: SparkDatasetConverter, source: Path) -> None:
    assert len(made) == made.dataset_size == ROWS
    assert made.cache_dir_url == source.as_uri()
    assert [url.rsplit("/", 2)[0] for url in made.file_urls] == [source.as_uri()] * 3
    by_hand = SparkDatasetConverter(made.cache_dir_url, made.file_urls, made.dataset_size)
    assert sorted(flat(read(by_hand))) == list(range(ROWS))
    assert sorted(flat(read(make_spark_converter(dlcache.load(source))))) == list(range(ROWS))


def test_a_converter_can_be_pickled_and_stays_on_its_version(tmp_path: Path) -> None:
    path = tiny(tmp_path / "data")
    text = pickle.dumps(make_spark_converter(path))
    write(path, pa.table({"id": np.arange(5, 8)}), append=True)
    assert len(text) < 2000
    copy = pickle.loads(text)
    assert (len(copy), sorted(flat(read(copy)))) == (5, list(range(5)))


def test_delete_never_touches_the_users_own_dataset(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tiny(tmp_path / "data")
    made = make_spark_converter(str(path))
    made.delete()
    assert "was not made by the converter" in caplog.text
    assert sorted(flat(read(made))) == list(range(5))


def test_the_last_converter_of_a_dataset_deletes_it(tmp_path: Path) -> None:
    path = tiny(tmp_path / "data")
    first, second = ours(path), ours(path)
    first.delete()
    assert path.exists()
    assert sorted(flat(read(second))) == list(range(5))
    with pytest.raises(NotADatasetError, match="make_spark_converter again"):
        read(first)
    second.delete()
    assert not path.exists()
    first.delete()


def test_delete_waits_for_nobody_and_says_who_reads(tmp_path: Path) -> None:
    made = ours(tiny(tmp_path / "data"))
    with made.make_torch_dataloader() as loader:
        iteration = iter(loader)
        next(iteration)
        with pytest.raises(InUseError):
            made.delete()
        assert not made.deleted
    made.delete()
    assert made.deleted


def test_nobody_else_deletes_what_a_converter_needs(tmp_path: Path) -> None:
    path = tiny(tmp_path / "data")
    made = ours(path)
    with pytest.raises(InUseError):
        dlcache.load(path).delete()
    assert sorted(flat(read(made))) == list(range(5))


_EXIT = """
import os, sys
from dlcache._temporary import TEMPORARY
from dlcache import converter, load
for path in sys.argv[2:]:
    made = converter._converter(load(path), ours=True)
    with made.make_torch_dataloader() as loader:
        next(iter(loader))
TEMPORARY.add(made.dataset.store, made.dataset.version)
if os.fork() == 0:
    sys.exit()
os.wait()
assert os.path.exists(sys.argv[-1])
if sys.argv[1] == "error":
    raise SystemExit("the script fails")
"""


@pytest.mark.parametrize("end", ["end", "error"])
def test_what_the_process_wrote_goes_with_it_and_nothing_else(tmp_path: Path, end: str) -> None:
    found, written = tiny(tmp_path / "found"), tiny(tmp_path / "written")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    command = [sys.executable, "-c", _EXIT, end, str(found), str(written)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == (end == "error"), ended.stderr
    assert "stays" not in ended.stderr
    assert found.exists()
    assert not written.exists()


def test_choices_are_plain_values() -> None:
    choices = LoaderChoices(ReaderArguments(transform_spec=IMAGE), None, None, 0)
    assert pickle.loads(pickle.dumps(choices)).arguments.transform_spec.func is image
