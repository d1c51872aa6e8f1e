"""What a transform returns is delivered as it was declared, or is an error."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError, Ragged, TransformError, TransformSpec
from dlcache._declared import declared, stacked

ROWS = 40


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    lengths = [3] * 20 + [row % 4 for row in range(20)]
    source = pa.table(
        {
            "id": np.arange(ROWS),
            "x": pa.array([[float(row), 1.0] for row in range(ROWS)], pa.list_(pa.float32())),
            "tags": pa.array([list(range(length)) for length in lengths], pa.list_(pa.int64())),
            "name": [f"row {row}" for row in range(ROWS)],
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("values"), source, shard_rows=25))


def rows_of(value: Any) -> list[list[Any]]:
    return [value[row].tolist() for row in range(len(value))]


def made(dataset: dlcache.Dataset, spec: TransformSpec, **options: Any) -> list[Any]:
    return list(dataset.numpy(10, transform=spec, threads=0, **options))


# Values and dtypes


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("int8", 300),
        ("int8", -129),
        ("int32", 0.75),
        ("uint8", -1),
        ("int64", 2**63),
        ("uint64", -1),
        ("int64", float("nan")),
        ("int16", float("inf")),
        ("int8", np.float64(0.5)),
        ("float32", 1e300),
        ("float16", 70000),
        ("float64", 10**400),
        ("bool", 2),
        ("bool", 0.5),
        ("bool", float("nan")),
        ("float32", None),
        ("float32", "1"),
        ("float32", b"1"),
        ("int8", 1j),
    ],
)
@pytest.mark.parametrize("first", [1, None])
def test_a_row_with_a_value_that_its_dtype_cannot_hold_is_an_error(
    dataset: dlcache.Dataset, dtype: str, value: Any, first: int | None
) -> None:
    def function(row: dict[str, Any]) -> dict[str, Any]:
        return {"n": 1 if first and row["id"] == 0 else value}

    spec = TransformSpec.rows(function, [("n", dtype, ())], selected_fields=["n"])
    with pytest.raises(TransformError, match=r"'n'.*rows 0 \.\. 9"):
        made(dataset, spec)


@given(st.sampled_from(["int8", "uint8", "int32", "int64", "float16", "float32", "float64", "bool"]), st.data())
def test_rows_keep_their_values_or_are_refused(dtype: str, data: st.DataObject) -> None:
    numbers = st.integers(-(2**70), 2**70) | st.integers(-2, 300) | st.booleans() | st.floats()
    rows = data.draw(st.lists(numbers, min_size=1, max_size=5))
    try:
        found = stacked("n", rows, declared(("n", dtype, ())))
    except TransformError:
        found = None
    kept = None
    if found is not None:
        assert isinstance(found, np.ndarray) and found.dtype == dtype
        kept = found.tolist()
    with np.errstate(over="ignore"):
        exact = [_nearest(row, np.dtype(dtype)) for row in rows]
    assert (kept is None) == any(row is None for row in exact)
    if kept is not None:
        np.testing.assert_array_equal(kept, np.array(exact, dtype))


def _nearest(row: Any, dtype: np.dtype[Any]) -> Any:
    """A number as a dtype holds it; None if it does not."""
    if dtype.kind == "f":
        rounded = dtype.type(float(row))
        return rounded if np.isfinite(rounded) or not np.isfinite(float(row)) else None
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return int(row) if low <= row <= high and int(row) == row else None


def _mixed(other: Any, row: dict[str, Any]) -> dict[str, Any]:
    return {"s": "a" if row["id"] % 2 else other}


def test_rows_of_strings_are_all_strings(dataset: dlcache.Dataset) -> None:
    others: list[Any] = [3, b"bytes", None]
    for other in others:
        spec = TransformSpec.rows(partial(_mixed, other))
        with pytest.raises(TransformError, match=r"field 's'|nulls"):
            made(dataset, spec)


@pytest.mark.parametrize("declares", [True, False])
@pytest.mark.parametrize("wrong", [None, float("nan"), b"b", 3])
def test_batches_of_strings_have_nothing_else(dataset: dlcache.Dataset, declares: bool, wrong: Any) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        texts = np.array([str(row) for row in batch["id"]], object)
        texts[batch["id"] == 25] = wrong
        return {"s": texts}

    spec = TransformSpec(function, [("s", str, ())] if declares else None, selected_fields=["s"])
    with pytest.raises(TransformError, match=rf"'s' at step 2 .*{type(wrong).__name__}.*text"):
        made(dataset, spec)


# Ragged and dense


def as_dict(batch: dict[str, Any]) -> dict[str, Any]:
    rows = [np.arange(int(tag)) for tag in batch["tags"].lengths]
    if len(set(map(len, rows))) == 1:
        return {"y": np.stack(rows)}
    return {"y": Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))}


def as_rows(row: dict[str, Any]) -> dict[str, Any]:
    return {"y": row["tags"].tolist()}


def as_frame(frame: Any) -> Any:
    return frame[["tags"]].rename(columns={"tags": "y"})


def as_table(table: pa.Table) -> pa.Table:
    return table.select(["tags"]).rename_columns(["y"])


def as_tensors(batch: dict[str, Any]) -> dict[str, Any]:
    import torch

    rows = batch["tags"].unbind()
    return {"y": torch.stack(rows)} if len({len(row) for row in rows}) == 1 else {"y": batch["tags"]}


FORMS: dict[str, tuple[Callable[[Any], Any], dict[str, Any]]] = {
    "dict": (as_dict, {}),
    "rows": (as_rows, {"per_row": True}),
    "pandas": (as_frame, {"input": "pandas"}),
    "arrow": (as_table, {"input": "arrow"}),
    "torch": (as_tensors, {"input": "torch"}),
}


@pytest.mark.parametrize("changes_rows", [False, True])
@pytest.mark.parametrize("form", sorted(FORMS))
def test_a_declared_none_is_ragged_in_every_batch(dataset: dlcache.Dataset, form: str, changes_rows: bool) -> None:
    pytest.importorskip({"pandas": "pandas", "torch": "torch"}.get(form, "numpy"))
    function, options = FORMS[form]
    spec = TransformSpec(
        function, [("y", np.int64, (None,))], selected_fields=["y"], changes_rows=changes_rows, **options
    )
    batches = list(dataset.numpy(16, transform=spec))
    assert all(type(batch["y"]) is Ragged for batch in batches)
    found = [row for batch in batches for row in rows_of(batch["y"])]
    assert found == rows_of(dataset.gather(slice(None), ["tags"])["tags"])


def test_a_declared_none_is_ragged_in_tensorflow(dataset: dlcache.Dataset) -> None:
    pytest.importorskip("tensorflow")
    for changes_rows in (False, True):
        spec = TransformSpec(as_dict, [("y", np.int64, (None,))], selected_fields=["y"], changes_rows=changes_rows)
        batches = list(dataset.tf(10, transform=spec))
        found = [row for batch in batches for row in batch["y"].to_list()]
        assert found == rows_of(dataset.gather(slice(None), ["tags"])["tags"])


def test_rows_padded_to_the_longest_of_each_batch(dataset: dlcache.Dataset) -> None:
    def pads(batch: dict[str, Any]) -> dict[str, Any]:
        longest = int(batch["id"][0]) % 3 + 1
        return {"tokens": np.full((len(batch["id"]), longest), 7, np.int32)}

    field = dlcache.Field("tokens", "array", np.dtype(np.int32), (None, None))
    spec = TransformSpec(pads, edit_fields=[field], selected_fields=["tokens"])
    shapes = [batch["tokens"].shape for batch in dataset.numpy(2, transform=spec)]
    assert len({width for _, width in shapes}) > 1
    torch = pytest.importorskip("torch")
    for batch, shape in zip(dataset.torch(2, transform=spec), shapes, strict=True):
        assert type(batch["tokens"]) is torch.Tensor and batch["tokens"].shape == shape


def test_a_declared_size_is_dense_in_every_batch(dataset: dlcache.Dataset) -> None:
    def lists(table: pa.Table) -> pa.Table:
        return table.select(["x"]).set_column(0, "x", table["x"].cast(pa.list_(pa.float32())))

    spec = TransformSpec(lists, [("x", np.float32, (2,))], selected_fields=["x"], input="arrow")
    assert [batch["x"].shape for batch in made(dataset, spec)] == [(10, 2)] * 4
    wrong = TransformSpec(lists, [("x", np.float32, (3,))], selected_fields=["x"], input="arrow")
    with pytest.raises(TransformError, match=r"ragged, and its shape is declared as \(3,\)"):
        made(dataset, wrong)


@pytest.mark.parametrize("threads", [0, 3])
def test_what_is_inferred_stays(dataset: dlcache.Dataset, threads: int) -> None:
    """The first rows decide, whichever batch comes first."""
    spec = TransformSpec(as_dict, num_threads=max(1, threads))
    with pytest.raises(TransformError, match=r"'y' at step \d .*is ragged.*\(None,\)"):
        list(dataset.numpy(10, transform=spec, threads=threads))
    first = dataset.filter(("id", ">=", 20))
    batches = list(first.numpy(1, transform=spec, threads=threads))
    assert all(type(batch["y"]) is Ragged for batch in batches)


def test_a_field_that_comes_later_is_an_error(dataset: dlcache.Dataset) -> None:
    spec = TransformSpec(lambda batch: {"id": batch["id"]} if batch["id"][0] < 20 else {**batch})
    with pytest.raises(TransformError, match=r"'name' at step 2 .*did not return before"):
        made(dataset, spec)


def test_shapes_that_cannot_be_put_together(dataset: dlcache.Dataset) -> None:
    spec = TransformSpec(
        lambda batch: {"y": np.zeros((len(batch["id"]), 1 + int(batch["id"][0]) % 3, 2))},
        [("y", np.float64, (None, 2))],
        selected_fields=["y"],
    )
    assert [batch["y"].shape[1] for batch in made(dataset, spec)] == [1, 2, 3, 1]
    with pytest.raises(TransformError, match=r"'y' have different shapes, and changes_rows=True"):
        list(dataset.numpy(10, transform=dataclasses.replace(spec, changes_rows=True, func=_first_ones(spec.func))))


def _first_ones(function: Any) -> Any:
    return lambda batch: {"y": function(batch)["y"][:7]}


@pytest.mark.parametrize(
    "bad",
    [
        Ragged(np.arange(4), np.array([0, 4, 2])),
        Ragged(np.arange(4), np.array([0, 2, 9])),
        Ragged(np.arange(4), np.array([-1, 2, 4])),
        Ragged(np.arange(4), np.array([0.0, 2, 4])),
        Ragged(np.zeros((4, 2)), np.array([0, 2, 4])),
        Ragged(np.arange(4), np.array([], np.int64)),
    ],
)
def test_a_ragged_that_is_none_is_an_error(dataset: dlcache.Dataset, bad: Ragged) -> None:
    two = dataset.filter(("id", "<", 2))
    with pytest.raises(TransformError, match=r"'y'|rows of field"):
        made(two, TransformSpec(lambda batch: {"y": bad}, [("y", bad.values.dtype, (None,))], selected_fields=["y"]))


def test_a_ragged_may_leave_values_out(dataset: dlcache.Dataset) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        return {"y": Ragged(np.arange(100), np.arange(5, 5 + len(batch["id"]) + 1))}

    batches = made(dataset, TransformSpec(function, changes_rows=True))
    assert [row for batch in batches for row in rows_of(batch["y"])] == [[row] for row in range(5, 15)] * 4


# Nulls, and what is left


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1.0, None]),
        pa.array([[1.0, None], [2.0, 3.0]]),
        pa.array([[1.0], None]),
        pa.array([[1.0, None], [2.0, 3.0]], pa.list_(pa.float64(), 2)),
        pa.array([[1.0, 2.0], None], pa.list_(pa.float64(), 2)),
        pa.array([[[1.0, None]], [[2.0, 3.0]]], pa.list_(pa.list_(pa.float64(), 2), 1)),
        pa.array([[[1.0]], [[2.0, None]]]),
        pa.array(["a", None]).dictionary_encode(),
        pa.chunked_array([pa.array([[1.0]]), pa.array([[None]], pa.list_(pa.float64()))]),
        pa.nulls(2),
    ],
)
def test_nulls_of_arrow_are_never_nan(dataset: dlcache.Dataset, array: Any) -> None:
    two = dataset.filter(("id", "<", 2))
    for spec in (
        TransformSpec(lambda table: pa.table({"y": array}), input="arrow"),
        TransformSpec(lambda batch: {"y": array}),
    ):
        with pytest.raises(TransformError, match=r"'y' has nulls|lists in lists"):
            made(two, spec)


def test_masked_and_uneven_arrays_are_errors(dataset: dlcache.Dataset) -> None:
    two = dataset.filter(("id", "<", 2))
    masked = np.ma.MaskedArray([1, 2], [False, True])
    with pytest.raises(TransformError, match="masked values"):
        made(two, TransformSpec(lambda batch: {"y": masked}))
    with pytest.raises(TransformError, match=r"'y' is no array.*Ragged"):
        made(two, TransformSpec(lambda batch: {"y": [[1], [1, 2]]}))


def test_a_transform_gets_the_public_classes(dataset: dlcache.Dataset) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        assert type(batch["tags"]) is Ragged
        return {"tags": dataclasses.replace(batch["tags"], values=batch["tags"].values * 2)}

    found = [row for batch in made(dataset, TransformSpec(function)) for row in rows_of(batch["tags"])]
    assert found == [[2 * tag for tag in row] for row in rows_of(dataset.gather(slice(None), ["tags"])["tags"])]


def test_some_field_must_be_left(dataset: dlcache.Dataset) -> None:
    everything = list(dataset.columns)
    with pytest.raises(OptionError, match="leaves no field"):
        dataset.numpy(10, transform=TransformSpec(removed_fields=everything))
    with pytest.raises(OptionError, match="selected_fields names no field"):
        TransformSpec(selected_fields=[])
    for per_row in (False, True):
        with pytest.raises(TransformError, match=r"leaves no field.*removed_fields"):
            made(dataset, TransformSpec(lambda batch: dict(batch), removed_fields=everything, per_row=per_row))


def test_no_rows_by_position(dataset: dlcache.Dataset) -> None:
    spec = TransformSpec.rows(
        lambda row: {"y": row["tags"], "name": row["name"], "x": row["x"]}, [("y", np.int64, (None,))]
    )
    taken = dataset.numpy(10, transform=spec).take([])
    assert (len(taken["y"]), taken["name"].shape, taken["x"].shape) == (0, (0,), (0, 2))


def test_columns_of_a_mixture_are_checked_as_those_of_a_dataset(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    for readable in (dataset, dlcache.mix([dataset, dataset])):
        with pytest.raises(OptionError, match="at least one column"):
            readable.numpy(10, columns=[])
