"""What columns of all kinds and names become: sparse tensors, units, and names that people give."""

from __future__ import annotations

import datetime
import decimal
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache import ColumnError, OptionError

ROWS = 50


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    rng = np.random.default_rng(3)
    vectors = np.where(rng.random((ROWS, 8)) < 0.2, rng.random((ROWS, 8)), 0).astype(np.float32)
    source = pa.table(
        {
            "id": np.arange(ROWS),
            "vector": pa.array(vectors.tolist(), pa.list_(pa.float32())),
            "ragged": pa.array([list(range(row % 3)) for row in range(ROWS)], pa.list_(pa.int64())),
        }
    )
    return dlcache.load(write(tmp_path_factory.mktemp("delivery"), source, shard_rows=20))


def doubled(batch: dict[str, Any]) -> dict[str, Any]:
    return {"id": batch["id"], "vector": batch["vector"] * 2}


@pytest.mark.parametrize("transform", [None, doubled])
def test_sparse_tensors_in_torch(dataset: dlcache.Dataset, transform: Any) -> None:
    torch = pytest.importorskip("torch")
    loader = dataset.torch(16, sparse=["vector"], transform=transform)
    for batch, plain in zip(loader, dataset.numpy(16, transform=transform), strict=True):
        assert batch["vector"].layout == torch.sparse_coo
        assert np.array_equal(batch["vector"].to_dense().numpy(), plain["vector"])
        assert batch["vector"].coalesce().values().numel() == np.count_nonzero(plain["vector"])
        assert batch["id"].layout == torch.strided
    assert next(iter(pickle.loads(pickle.dumps(loader))))["vector"].is_sparse


@pytest.mark.parametrize("transform", [None, doubled])
def test_sparse_tensors_in_tensorflow(dataset: dlcache.Dataset, transform: Any) -> None:
    tf = pytest.importorskip("tensorflow")
    batches = dataset.tf(16, sparse=["vector"], transform=transform, columns=["id", "vector"])
    assert isinstance(batches.element_spec["vector"], tf.SparseTensorSpec)
    assert batches.element_spec["vector"].shape[1:] == (8,)
    for batch, plain in zip(batches, dataset.numpy(16, transform=transform), strict=True):
        assert np.array_equal(tf.sparse.to_dense(batch["vector"]).numpy(), plain["vector"])


@pytest.mark.parametrize(
    ("sparse", "error"),
    [("vector", OptionError), (["id"], ColumnError), (["ragged"], ColumnError), (["v"], ColumnError)],
)
def test_what_cannot_be_sparse(dataset: dlcache.Dataset, sparse: Any, error: type[Exception]) -> None:
    pytest.importorskip("torch")
    with pytest.raises(error, match="sparse"):
        dataset.torch(16, sparse=sparse)


NAMES = ["a.b", "with space", "größe", "数", "", "a`b", "select", "x-y", "1", "a,b", "id[0]", "emoji 🙂", "a/b"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    columns: dict[str, Any] = {name: np.arange(ROWS) + at for at, name in enumerate(NAMES)}
    kind = pa.struct([("u.v", pa.int64()), ("", pa.struct([("deep er", pa.string())]))])
    columns["s"] = pa.array([{"u.v": row, "": {"deep er": str(row)}} for row in range(ROWS)], kind)
    return dlcache.load(write(tmp_path_factory.mktemp("named"), pa.table(columns), shard_rows=20, compression="zstd"))


def test_columns_of_any_name(named: dlcache.Dataset) -> None:
    assert named.columns == (*NAMES, "s.u.v", "s..deep er")
    seen = 0
    for batch in named.numpy(16, shuffle=True):
        row = batch["a.b"]
        for at, name in enumerate(NAMES):
            assert np.array_equal(batch[name], row + at)
        assert np.array_equal(batch["s.u.v"], row)
        assert batch["s..deep er"].tolist() == [str(number) for number in row]
        seen += len(row)
    assert seen == ROWS
    chosen = next(iter(named.select(["größe", "", "a.b"]).numpy(4, output=("", "größe"))))
    assert [values.tolist() for values in chosen] == [[4, 5, 6, 7], [2, 3, 4, 5]]
    for at, name in enumerate(NAMES):
        assert len(named.filter((name, "<", 10 + at))) == 10
    assert len(named.filter(("s.u.v", "<", 10))) == 10
    assert len(named.filter(("s..deep er", "in", ["3", "44"]))) == 2
    stacked = next(iter(named.numpy(4, columns=NAMES, stack={"x.y z": NAMES})))
    assert list(stacked) == ["x.y z"]
    assert stacked["x.y z"].shape == (4, len(NAMES))
    first = next(iter(named.numpy(2, output="namedtuple")))
    assert first[0].tolist() == [0, 1]


def test_columns_of_any_name_in_the_frameworks(named: dlcache.Dataset) -> None:
    pytest.importorskip("torch")
    batch = next(iter(named.torch(4)))
    assert list(batch) == list(named.columns)
    assert batch["emoji 🙂"].tolist() == [11, 12, 13, 14]
    pytest.importorskip("tensorflow")
    tensors = next(iter(named.tf(4)))
    assert tensors["größe"].numpy().tolist() == [2, 3, 4, 5]
    assert tensors[""].numpy().tolist() == [4, 5, 6, 7]


def test_the_units_of_the_document(tmp_path: Path) -> None:
    """docs/reading.md has this table."""
    moment = datetime.datetime(1970, 1, 2, 0, 0, 1, 5)
    source = pa.table(
        {
            "flag": [True],
            "date": [datetime.date(1970, 1, 3)],
            "timestamp": pa.array([moment.replace(tzinfo=datetime.timezone.utc)], pa.timestamp("us", "UTC")),
            "timestamp_ntz": pa.array([moment], pa.timestamp("us")),
            "time": pa.array([datetime.time(0, 0, 2)], pa.time64("us")),
            "small": pa.array([decimal.Decimal("12.34")], pa.decimal128(9, 2)),
            "medium": pa.array([decimal.Decimal("12.34")], pa.decimal128(18, 2)),
            "large": pa.array([decimal.Decimal("12.34")], pa.decimal128(30, 2)),
            "struct": [{"x": 1, "y": {"z": "deep"}}],
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    loaded = dlcache.load(write(tmp_path, source))
    batch = next(iter(loaded.numpy(1)))
    expected = {
        "flag": (np.bool_, True),
        "date": (np.int32, 2),
        "timestamp": (np.int64, 86_401_000_005),
        "timestamp_ntz": (np.int64, 86_401_000_005),
        "time": (np.int64, 2_000_000),
        "small": (np.float64, 12.34),
        "medium": (np.float64, 12.34),
        "large": (np.float64, 12.34),
        "struct.x": (np.int64, 1),
        "struct.y.z": (np.object_, "deep"),
        "map": (np.object_, [("k", 1)]),
    }
    assert list(batch) == list(expected)
    for name, (dtype, value) in expected.items():
        assert batch[name].dtype == dtype, name
        assert batch[name][0] == value, name
    assert loaded.schema["timestamp"].logical == "timestamp"
    assert (loaded.schema["small"].precision, loaded.schema["small"].scale) == (9, 2)
    assert batch["date"].astype("datetime64[D]")[0] == np.datetime64("1970-01-03")


_FAR = {
    "date": (pa.array([2_932_897], pa.int32()).view(pa.date32()), "date 10000-01-01"),
    "before": (pa.array([-719_163], pa.int32()).view(pa.date32()), "date 0000-12-31"),
    "utc": (pa.array([253_402_300_800_000_000]).view(pa.timestamp("us", "UTC")), "timestamp 10000-01-01T00:00:00"),
    "ntz": (pa.array([-62_135_596_800_000_001]).view(pa.timestamp("us")), "timestamp 0000-12-31T23:59:59.999999"),
}


@pytest.mark.parametrize("kind", _FAR)
def test_dates_that_python_has_not_are_named_inside_maps_and_structs(tmp_path: Path, kind: str) -> None:
    """As columns they are numbers, of any year."""
    values, says = _FAR[kind]
    keys, one = pa.array(["k"]), pa.array([0, 1], pa.int32())
    structs = pa.StructArray.from_arrays([values], ["day"])
    source = pa.table(
        {
            "top": values,
            "map": pa.MapArray.from_arrays(one, keys, values),
            "keys": pa.MapArray.from_arrays(one, values, keys),
            "list": pa.ListArray.from_arrays(one, structs),
        }
    )
    loaded = dlcache.load(write(tmp_path, source))
    assert loaded.gather([0], ["top"])["top"].dtype.kind == "i"
    pytest.importorskip("torch")
    for name in ("map", "keys", "list"):
        for read in (loaded.numpy(columns=[name]), loaded.torch(columns=[name])):
            with pytest.raises(dlcache.ColumnError, match=f"'{name}' has the {says}"):
                next(iter(read))
        with pytest.raises(dlcache.ColumnError, match=says):
            loaded.gather([0], [name])


def test_an_open_dataset_stays_on_its_version(tmp_path: Path) -> None:
    write(tmp_path, pa.table({"id": np.arange(40)}), shard_rows=20)
    opened = dlcache.load(tmp_path)
    iterator = iter(opened.numpy(8, shuffle=True, epochs=None))
    seen = [next(iterator)["id"].tolist() for _ in range(2)]
    write(tmp_path, pa.table({"id": np.arange(40, 60)}), append=True)
    seen += [next(iterator)["id"].tolist() for _ in range(3)]
    iterator.close()  # type: ignore[attr-defined]
    assert sorted(row for batch in seen for row in batch) == list(range(40))
    assert len(opened) == 40
    fresh = dlcache.load(tmp_path)
    assert len(fresh) == 60
    last_night = fresh.since(opened.version)
    assert last_night.gather(range(20))["id"].tolist() == list(range(40, 60))
    assert [len(part) for part in last_night.split({"train": 0.75, "val": 0.25}).values()] == [15, 5]
    assert len(last_night.filter(("id", ">=", 50))) == 10
