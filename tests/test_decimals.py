"""Decimals as numbers: what loaders deliver, beside `decimal.Decimal` arithmetic."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, OptionError, Ragged, ShardError
from dlcache._decimals import delivering, numbers

DTYPES = {"float32": "float32", "float64": "float64", "source": "float64"}


@st.composite
def kinds(draw: st.DrawFn) -> tuple[int, int]:
    precision = draw(st.integers(1, 38))
    return precision, draw(st.integers(0, precision))


def decimals(precision: int, scale: int) -> st.SearchStrategy[Decimal]:
    most = 10**precision - 1
    edges = [most, -most, 1 << 53, (1 << 53) + 1, (1 << 63) - 1, 1 << 63, -(1 << 63) - 1, 0]
    unscaled = st.one_of(st.integers(-most, most), st.sampled_from([edge for edge in edges if abs(edge) <= most]))
    return unscaled.map(lambda value: Decimal(f"{value}E{-scale}"))


def nearest(value: Decimal, dtype: str) -> float:
    """The nearest float64 by Python's own conversion of text, then rounded to the dtype."""
    return float(np.dtype(dtype).type(float(str(value))))


def unscaled(value: Decimal, scale: int) -> int:
    return int(f"{value:f}".replace(".", "")) if scale else int(value)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), kind=kinds(), dtype=st.sampled_from(sorted(DTYPES)), nulls=st.booleans(), raw=st.booleans())
def test_every_form_has_the_numbers_of_the_decimals(
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    kind: tuple[int, int],
    dtype: str,
    nulls: bool,
    raw: bool,
) -> None:
    precision, scale = kind
    value = decimals(precision, scale)
    maybe = st.one_of(st.none(), value) if nulls else value
    rows = data.draw(st.integers(1, 12))
    columns: dict[str, Any] = {
        "scalar": (data.draw(st.lists(maybe, min_size=rows, max_size=rows)), pa.decimal128(precision, scale)),
        "tensor": (
            data.draw(st.lists(st.lists(value, min_size=2, max_size=2), min_size=rows, max_size=rows)),
            pa.list_(pa.decimal128(precision, scale)),
        ),
        "ragged": (
            data.draw(st.lists(st.lists(maybe, max_size=3), min_size=rows, max_size=rows)),
            pa.list_(pa.decimal128(precision, scale)),
        ),
        "map": (
            data.draw(
                st.lists(st.lists(st.tuples(st.text(max_size=2), maybe), max_size=2), min_size=rows, max_size=rows)
            ),
            pa.map_(pa.string(), pa.decimal128(precision, scale)),
        ),
        "structs": (
            [[{"x": item, "n": 1}] for item in data.draw(st.lists(maybe, min_size=rows, max_size=rows))],
            pa.list_(pa.struct([("x", pa.decimal128(precision, scale)), ("n", pa.int32())])),
        ),
    }
    source = pa.table({name: pa.array(values, type_) for name, (values, type_) in columns.items()})
    compression = "none" if raw else "snappy"
    options = {"dtype": dtype}
    dataset = dlcache.load(write(tmp_path_factory.mktemp("d"), source, compression=compression, options=options))
    wanted = {name: values for name, (values, _) in columns.items()}
    floating = DTYPES[dtype]
    fill = {name: 0.0 for name in ("scalar", "ragged") if source[name].null_count or name == "ragged"}
    batch = next(iter(dataset.numpy(rows, nulls=fill)))
    for name in ("scalar", "tensor", "ragged"):
        delivered = batch[name]
        inside = delivered.values if isinstance(delivered, Ragged) else delivered
        assert inside.dtype == floating == dataset.schema[name].dtype, name
        rows_of = [delivered[row].tolist() for row in range(rows)]
        assert rows_of == [
            _each(row, lambda item: 0.0 if item is None else nearest(item, floating)) for row in wanted[name]
        ]
    assert batch["map"].tolist() == [
        [(key, None if item is None else nearest(item, "float64")) for key, item in row] for row in wanted["map"]
    ]
    assert [row[0]["x"] for row in batch["structs"]] == [
        None if row[0]["x"] is None else nearest(row[0]["x"], "float64") for row in wanted["structs"]
    ]
    exact = dataset.gather(range(rows), ["scalar", "map"], nulls="mask", decimals="unscaled")
    assert exact["scalar"].dtype == (object if precision > 18 else np.int64 if precision > 9 else np.int32)
    there = [(row, item) for row, item in enumerate(wanted["scalar"]) if item is not None]
    assert [int(exact["scalar"][row]) for row, _ in there] == [unscaled(item, scale) for _, item in there]
    assert exact["map"].tolist() == [
        [(key, None if item is None else unscaled(item, scale)) for key, item in row] for row in wanted["map"]
    ]
    objects = next(iter(dataset.numpy(rows, nulls="mask", decimals="object", verify="full", columns=list(columns))))
    for name, values in wanted.items():
        assert objects[name].dtype == object
        assert objects[name].tolist() == values, name


def _each(row: Any, function: Any) -> Any:
    return [function(item) for item in row] if isinstance(row, list) else function(row)


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    """What `SELECT if(x, 1.0, 0.0) AS label` writes: a literal of Spark SQL is a decimal."""
    rows = [Decimal("1.0") if row % 4 else Decimal("0.0") for row in range(100)]
    price = [Decimal(row).scaleb(-2) for row in range(100)]
    source = pa.table(
        {
            "label": pa.array(rows, pa.decimal128(2, 1)),
            "price": pa.array(price, pa.decimal128(30, 2)),
            "x": pa.array(np.arange(100, dtype=np.float32)),
            "s": pa.array([{"y": item} for item in rows], pa.struct([("y", pa.decimal128(2, 1))])),
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("labels"), source, shard_rows=40, options={"dtype": "float32"}))


def test_a_label_of_ones_and_zeros_is_that_in_every_loader(labels: dlcache.Dataset) -> None:
    wanted = [float(bool(row % 4)) for row in range(8)]
    for name in ("label", "s.y"):
        batch = next(iter(labels.numpy(8)))
        assert batch[name].dtype == np.float32
        assert batch[name].tolist() == wanted
        assert labels.gather(range(8), [name])[name].tolist() == wanted
        assert labels.schema[name].dtype == np.float32
    twice = dlcache.TransformSpec(lambda batch: {"twice": batch["label"] * 2})
    assert next(iter(labels.numpy(8, transform=twice)))["twice"].dtype == np.float32
    stacked = next(iter(labels.numpy(8, columns=["label", "x", "price"], stack={"all": ["label", "x", "price"]})))
    assert stacked["all"].dtype == np.float32
    assert stacked["all"][1].tolist() == [1.0, 1.0, float(np.float32(0.01))]
    assert labels.numpy(8, shuffle=True, stack={"all": ["label", "price"]}).batch_at(0)["all"][:, 0].max() == 1
    from dlcache.grain import GrainSource

    assert GrainSource(labels)[1]["label"] == 1.0
    assert GrainSource(labels, decimals="unscaled")[1]["label"] == 10


def test_a_label_is_a_number_in_the_frameworks(labels: dlcache.Dataset) -> None:
    torch = pytest.importorskip("torch")
    from dlcache.torch import TorchDataset

    batch = next(iter(labels.torch(8)))
    assert batch["label"].dtype == torch.float32
    logits = torch.zeros(8)
    assert torch.nn.functional.binary_cross_entropy_with_logits(logits, batch["label"]) < 1
    assert next(iter(labels.torch(8, decimals="unscaled")))["label"].dtype == torch.int32
    assert TorchDataset(labels)[1]["label"].item() == 1.0
    assert TorchDataset(labels, decimals="object", columns=["price"])[3]["price"] == Decimal("0.03")
    tf = pytest.importorskip("tensorflow")
    spec = labels.tf(8).element_spec
    assert {spec[name].dtype for name in ("label", "price", "s.y")} == {tf.float32}
    assert next(iter(labels.tf(8)))["price"].numpy()[3] == np.float32(0.03)
    with pytest.raises(ColumnError, match="'label' has Python objects"):
        labels.tf(8, decimals="object")


def test_classes_and_statistics_are_of_the_numbers(labels: dlcache.Dataset, tmp_path: Path) -> None:
    assert labels.class_counts("label") == {0.0: 25, 1.0: 75}
    assert labels.class_weights("label") == {0.0: 2.0, 1.0: pytest.approx(2 / 3)}
    assert sum(map(len, labels.split({"a": 0.5, "b": 0.5}, by="label").values())) == 100
    root = write(tmp_path, pa.table({"d": pa.array([Decimal("0.1"), Decimal("2.5")], pa.decimal128(9, 1))}))
    file = next((root / "_dlcache").iterdir())
    manifest = json.loads(file.read_text())
    manifest["columns"][0]["statistics"] = {"count": 2, "min": 1, "max": 25, "mean": 13.0, "variance": 144.0}
    file.write_text(json.dumps(manifest))
    stats = dlcache.load(root).stats("d")
    assert (stats["min"], stats["max"], stats["mean"]) == (0.1, 2.5, 1.3)
    assert (stats["variance"], stats["std"]) == (1.44, 1.2)


def test_the_option_is_checked_and_the_scale_is_in_the_schema(labels: dlcache.Dataset) -> None:
    with pytest.raises(OptionError, match="'float', 'unscaled', 'object', not 'int'"):
        labels.numpy(8, decimals="int")  # type: ignore[arg-type]
    spec = labels.numpy(8, decimals="unscaled").element_spec
    assert spec["label"].dtype == np.int32
    assert spec["label"].scale == 1
    assert labels.schema["price"].scale == 2


def test_what_a_float_cannot_hold_is_an_error(tmp_path: Path) -> None:
    """Spark's decimals with a negative scale are larger than any float32."""
    source = pa.table({"d": pa.array([Decimal("1"), Decimal("99999")], pa.decimal128(5, 0))})
    root = write(tmp_path, source, compression="snappy")
    dataset = dlcache.load(root)
    column = dataset.manifest.stored[0]
    huge = replace(column, scale=-38, decimals="float", dtype=np.dtype(np.float32))
    with pytest.raises(ColumnError, match=r"'d'.*9\.9999e\+42.*decimals='object'"):
        numbers(np.array([1, 99999]), huge)
    assert numbers(np.array([99999]), replace(huge, dtype=np.dtype(np.float64))).tolist() == [99999e38]


def test_a_shard_of_another_scale_is_damaged(tmp_path: Path) -> None:
    root = write(tmp_path, pa.table({"d": pa.array([Decimal("0.1")], pa.decimal128(30, 1))}))
    file = next((root / "_dlcache").iterdir())
    file.write_text(file.read_text().replace('"scale": 1', '"scale": 2'))
    with pytest.raises(ShardError, match="scale 1, and its manifest says 2"):
        dlcache.load(root).gather([0])


def test_the_manifest_keeps_what_is_stored(labels: dlcache.Dataset) -> None:
    manifest = delivering(labels.manifest, "unscaled")
    assert manifest.columns == labels.manifest.stored
    assert delivering(manifest, "float").columns == labels.manifest.columns
