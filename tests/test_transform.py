from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from _tables import table
from _writer import write

import dlcache
from dlcache import ColumnError, OptionError, Ragged, TransformError, TransformSpec


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    kinds = ["int64", "tensor", "string", "ragged"]
    return dlcache.load(write(tmp_path_factory.mktemp("transform"), table(kinds, 60), row_group_rows=20))


def doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {"x": batch["tensor"] * 2, "n": batch["int64"]}


DECLARED = [("x", np.float32, (6,)), ("n", np.int64, ())]


def test_a_function_makes_the_batch(dataset: dlcache.Dataset) -> None:
    plain = list(dataset.numpy(16))
    spec = TransformSpec(doubled, edit_fields=DECLARED, selected_fields=["x", "n"])
    for transform in (doubled, spec):
        for threads in (0, 2):
            loader = dataset.numpy(16, transform=transform, threads=threads)
            assert list(loader.element_spec) == ["x", "n"]
            assert loader.element_spec["x"].shape == (None, 6)
            for batch, before in zip(loader, plain, strict=True):
                assert np.array_equal(batch["x"], before["tensor"] * 2)
    loader = dataset.numpy(16, transform=spec)
    assert np.array_equal(loader.batch_at(2)["x"], plain[2]["tensor"] * 2)


def test_fields_are_chosen_without_a_function(dataset: dlcache.Dataset) -> None:
    removed = dataset.numpy(16, transform=TransformSpec(removed_fields=["string", "ragged"]))
    assert list(next(iter(removed))) == list(removed.element_spec) == ["int64", "tensor"]
    selected = dataset.numpy(16, transform=TransformSpec(selected_fields=["tensor"]))
    assert list(next(iter(selected))) == ["tensor"]
    with pytest.raises(ColumnError, match="tensr"):
        dataset.numpy(16, transform=TransformSpec(selected_fields=["tensr"]))


def test_pandas_and_arrow(dataset: dlcache.Dataset) -> None:
    pytest.importorskip("pandas")

    def frame(given: Any) -> Any:
        given["int64"] = given["int64"] + 1
        given["string"] = given["string"].str.len()
        return given

    def arrow(given: pa.Table) -> pa.Table:
        lengths = pc.cast(pc.utf8_length(given["string"]), pa.int64())
        at = given.schema.get_field_index("string")
        added = given.set_column(at, "string", lengths)
        return added.set_column(added.schema.get_field_index("int64"), "int64", pc.add(given["int64"], 1))

    before = next(iter(dataset.numpy(16)))
    for name, function in (("pandas", frame), ("arrow", arrow)):
        batch = next(iter(dataset.numpy(16, transform=TransformSpec(function, input=name))))  # type: ignore[arg-type]
        assert np.array_equal(batch["int64"], before["int64"] + 1)
        assert batch["string"].tolist() == [len(text) for text in before["string"]]
        assert np.array_equal(batch["tensor"], before["tensor"])
        assert isinstance(batch["ragged"], Ragged)
        assert np.array_equal(batch["ragged"].values, before["ragged"].values)
        assert np.array_equal(batch["ragged"].offsets, before["ragged"].offsets)


def fails(batch: dict[str, Any]) -> dict[str, Any]:
    if 33 in batch["row"]:
        raise ValueError("cannot decode")
    return batch


def test_an_error_says_where_and_why(tmp_path: Path) -> None:
    loaded = dlcache.load(write(tmp_path, pa.table({"row": np.arange(60)})))
    before = threading.active_count()
    for threads in (0, 2):
        loader = loaded.numpy(8, transform=TransformSpec(fails, edit_fields=[]), threads=threads)
        seen = []
        with pytest.raises(
            TransformError, match=r"step 4 of epoch 0, rows 32 \.\. 39: ValueError: cannot decode"
        ) as caught:
            seen += [batch["row"][0] for batch in loader]
        assert isinstance(caught.value.__cause__, ValueError)
        assert threading.active_count() == before


@pytest.mark.parametrize(
    ("returned", "names"),
    [
        ({"x": np.zeros((16, 6), np.float64), "n": np.zeros(16, np.int64)}, "'x' .*dtype float64.*float32"),
        ({"x": np.zeros((16, 5), np.float32), "n": np.zeros(16, np.int64)}, r"'x' .*\(5,\).*\(6,\)"),
        ({"x": np.zeros((15, 6), np.float32), "n": np.zeros(16, np.int64)}, "15 rows of field 'x'.*16"),
        ({"x": np.zeros((16, 6), np.float32)}, "'n'"),
        ({"x": np.zeros((16, 6), np.float32), "n": np.zeros(16, np.int64), "y": np.zeros(16)}, "'y'.*declare"),
        ([1, 2], "list"),
    ],
)
def test_what_was_declared_is_checked(dataset: dlcache.Dataset, returned: Any, names: str) -> None:
    spec = TransformSpec(lambda _: returned, edit_fields=DECLARED, removed_fields=dataset.columns)
    with pytest.raises(TransformError, match=names):
        dataset.numpy(16, transform=spec).batch_at(0)


def test_what_was_seen_first_is_held_to(dataset: dlcache.Dataset) -> None:
    calls = []

    def changing(batch: dict[str, Any]) -> dict[str, Any]:
        calls.append(1)
        return {"x": batch["int64"].astype(np.float32 if len(calls) < 3 else np.float64)}

    with pytest.raises(TransformError, match=r"float64.*float32"):
        list(dataset.numpy(16, transform=changing, threads=0))


def test_check_tries_a_few_rows(dataset: dlcache.Dataset) -> None:
    fields = TransformSpec(doubled).check(dataset)
    assert fields["x"].shape == (4, 6)
    with pytest.raises(TransformError, match="KeyError"):
        TransformSpec(lambda batch: {"x": batch["none"]}).check(dataset)


@pytest.mark.parametrize(
    "spec",
    [
        {"func": 3},
        {"input": "numpy"},
        {"input": "pandas", "func": len, "per_row": True},
        {"per_row": True},
        {"num_processes": -1, "func": len},
        {"num_processes": 2, "num_threads": 2, "func": len},
        {"edit_fields": [("x", "float33", ())]},
        {"edit_fields": [("x",)]},
        {"edit_fields": [("x", np.int64, (), True)]},
        {"removed_fields": ["a"], "selected_fields": ["b"]},
        {"num_threads": 0},
    ],
)
def test_specs_that_make_no_sense(spec: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        TransformSpec(**spec)


@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({}, "returned no fields at step 0 .*rows 0 .. 15"),
        ({"id": 5}, "one value for field 'id' at step 0 .*rows 0 .. 15"),
    ],
)
def test_what_is_no_batch_is_named(dataset: dlcache.Dataset, returned: Any, message: str, threads: int) -> None:
    with pytest.raises(TransformError, match=message):
        list(dataset.numpy(16, columns=["int64"], transform=lambda batch: returned, threads=threads))
