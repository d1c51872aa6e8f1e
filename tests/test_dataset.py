from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, DlcacheError, NotADatasetError, OptionError


def source(rows: int, start: int = 0) -> pa.Table:
    ids = np.arange(start, start + rows)
    return pa.table({"id": ids, "user": ids // 7, "name": [f"user {row // 7}" for row in ids.tolist()]})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    return dlcache.load(write(tmp_path_factory.mktemp("dataset"), source(500), shard_rows=170, row_group_rows=60))


def rows_of(dataset: dlcache.Dataset) -> list[int]:
    return [row for batch in dataset.numpy(64) for row in batch["id"].tolist()]


def test_what_a_dataset_says_of_itself(dataset: dlcache.Dataset) -> None:
    assert len(dataset) == 500
    assert dataset.version == 1
    assert dataset.columns == ("id", "user", "name")
    assert dataset.key == "ab" * 32
    assert "500 rows" in repr(dataset)
    assert "name: text" in repr(dataset)
    assert dataset.schema["id"].dtype == np.int64
    assert dataset.steps(64) == 8
    assert dataset.steps(64, world_size=3) == 3
    assert dataset.steps(64, world_size=3, remainder="drop") == 2
    assert dataset.stats("name")["lengths"] == (6, 7)
    with pytest.raises(ColumnError, match="did you mean 'name'"):
        dataset.stats("nam")


def test_statistics_of_elements_keep_whole_numbers_and_miss_none(tmp_path: Path) -> None:
    write(tmp_path, pa.table({"x": pa.array([[1, 2], [3, 4]], pa.list_(pa.int64()))}))
    path = tmp_path / "_dlcache" / f"{1:020d}.json"
    document = json.loads(path.read_text())
    most = (1 << 53) + 1
    document["columns"][0]["statistics"] = {"count": 2, "min": [-most, 0], "max": ["Infinity", 1], "mean": [None, 0.5]}
    path.write_text(json.dumps(document))
    stats = dlcache.load(tmp_path).stats("x")
    assert (stats["min"].dtype, stats["min"].tolist()) == (np.int64, [-most, 0])
    assert stats["max"].tolist() == [np.inf, 1]
    assert np.isnan(stats["mean"][0]) and stats["mean"][1] == 0.5


def test_statistics(tmp_path: Path) -> None:
    write(tmp_path, source(4))
    path = tmp_path / "_dlcache" / f"{1:020d}.json"
    statistics = {"count": 4, "max": "Infinity", "variance": 4.0, "classes": [[0, 3], [1, 1]]}
    kind = '"storage": "scalar"'
    text = path.read_text().replace(kind, f'{kind}, "statistics": {json.dumps(statistics)}', 1)
    path.write_text(text)
    stats = dlcache.load(tmp_path).stats("id")
    assert stats == {
        "nulls": 0,
        "null_elements": 0,
        "count": 4,
        "max": float("inf"),
        "variance": 4.0,
        "std": 2.0,
        "classes": {0: 3, 1: 1},
    }


@pytest.mark.parametrize("form", ["{}", "{}/", "file:{}", "file://{}", "file://localhost{}"])
def test_paths(dataset: dlcache.Dataset, form: str) -> None:
    assert len(dlcache.load(form.format(dataset.path))) == 500


def test_paths_with_signs_in_them(tmp_path: Path) -> None:
    root = write(tmp_path / "a b%20ü#'", source(5))
    assert len(dlcache.load(root)) == 5
    assert len(dlcache.load(f"file:{root}")) == 5


def test_a_uri_is_not_unquoted(tmp_path: Path) -> None:
    """Hadoop's paths are not either: one string is one file in Spark and in Python."""
    write(tmp_path / "w b", source(5))
    with pytest.raises(NotADatasetError):
        dlcache.load(f"file:{tmp_path}/w%20b")
    write(tmp_path / "w%20b", source(7))
    assert len(dlcache.load(f"file:{tmp_path}/w%20b")) == 7


def test_what_is_no_dataset(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    (tmp_path / "_dlcache").mkdir()
    (tmp_path / "_dlcache" / "x.json").write_text("{}")
    for path in (tmp_path, tmp_path / "none", tmp_path / "_dlcache" / "x.json"):
        with pytest.raises(NotADatasetError, match="not a dlcache dataset"):
            dlcache.load(path)
    with pytest.raises(NotADatasetError, match="no version 7; versions there are: 1"):
        dlcache.load(dataset.path, version=7)
    with pytest.raises(FileNotFoundError):
        dlcache.load(tmp_path)
    for bad in (0, -1, True, "1"):
        with pytest.raises(OptionError, match="version"):
            dlcache.load(dataset.path, version=bad)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="otherhost"):
        dlcache.load("file://otherhost/x")
    with pytest.raises(DlcacheError, match="nosuch"):
        dlcache.load("nosuch://bucket/x")


def test_versions(tmp_path: Path) -> None:
    write(tmp_path, source(50), shard_rows=20)
    first = dlcache.load(tmp_path)
    write(tmp_path, source(30, start=50), append=True)
    second = dlcache.load(tmp_path)
    assert (first.version, second.version) == (1, 2)
    assert rows_of(first) == list(range(50))
    assert rows_of(second) == list(range(80))
    assert rows_of(second.since(1)) == list(range(50, 80))
    assert rows_of(second.since(0)) == list(range(80))
    assert rows_of(second.since(2)) == []
    assert len(dlcache.load(tmp_path, version=1)) == 50
    assert rows_of(pickle.loads(pickle.dumps(first))) == list(range(50))
    assert rows_of(pickle.loads(pickle.dumps(second.since(1)))) == list(range(50, 80))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=5), st.integers(0, 9), st.sampled_from([None, "user", "name"]))
def test_splits_share_no_row(dataset: dlcache.Dataset, weights: list[int], seed: int, by: str | None) -> None:
    fractions = {f"part{number}": weight / sum(weights) for number, weight in enumerate(weights)}
    parts = dataset.split(fractions, seed=seed, by=by)
    rows = {name: rows_of(part) for name, part in parts.items()}
    together = [row for part in rows.values() for row in part]
    assert sorted(together) == list(range(500))
    assert all(part == sorted(part) for part in rows.values())
    if by is None:
        assert all(abs(len(rows[name]) - 500 * fraction) < 1.01 for name, fraction in fractions.items())
    else:
        users = [{row // 7 for row in part} for part in rows.values()]
        assert sum(map(len, users)) == len(set().union(*users))
    again = dataset.split(fractions, seed=seed, by=by)
    assert {name: rows_of(part) for name, part in again.items()} == rows


def test_a_split_by_key_holds_for_later_versions(tmp_path: Path) -> None:
    write(tmp_path, source(300))
    before = dlcache.load(tmp_path).split({"train": 0.7, "val": 0.3}, by="user")
    write(tmp_path, source(300, start=300), append=True)
    after = dlcache.load(tmp_path).split({"train": 0.7, "val": 0.3}, by="user")
    for name in before:
        assert rows_of(before[name]) == [row for row in rows_of(after[name]) if row < 300]


def test_parts_are_datasets(dataset: dlcache.Dataset) -> None:
    parts = dataset.split({"train": 0.8, "val": 0.2}, seed=3)
    train = parts["train"]
    assert len(train) == 400
    for options in ({"shuffle": True}, {"shuffle": True, "shuffle_window": 50}, {"remainder": "mask"}):
        rows = [row for batch in train.numpy(100, **options) for row in batch["id"].tolist()]
        assert sorted(rows) == rows_of(train)
    assert rows_of(pickle.loads(pickle.dumps(train))) == rows_of(train)
    inner = train.split({"a": 0.5, "b": 0.5})
    assert sorted(rows_of(inner["a"]) + rows_of(inner["b"])) == rows_of(train)
    assert train.select(["user"]).columns == ("user",)
    assert train.gather([0, 399], ["id"])["id"].tolist() == [rows_of(train)[0], rows_of(train)[399]]
    assert train != parts["val"]
    assert train == dataset.split({"train": 0.8, "val": 0.2}, seed=3)["train"]


@pytest.mark.parametrize("by", [None, "user"])
def test_folds(dataset: dlcache.Dataset, by: str | None) -> None:
    held = []
    for train, val in dataset.folds(5, seed=1, by=by):
        assert sorted(rows_of(train) + rows_of(val)) == list(range(500))
        held += rows_of(val)
    assert sorted(held) == list(range(500))


@pytest.mark.parametrize(
    "call",
    [
        lambda d: d.split({}),
        lambda d: d.split({"a": 0.0}),
        lambda d: d.split({"a": 0.7, "b": 0.5}),
        lambda d: d.split({"a": "half"}),
        lambda d: d.split([0.5, 0.5]),
        lambda d: d.split({"a": 0.5}, seed=-1),
        lambda d: d.split({"a": 0.5}, by="nobody"),
        lambda d: d.folds(1),
        lambda d: d.since(-1),
        lambda d: d.since(99),
        lambda d: d.since(d.version + 1),
        lambda d: d.select([]),
        lambda d: d.select("id"),
        lambda d: d.select(["nobody"]),
    ],
)
def test_parts_that_make_no_sense(dataset: dlcache.Dataset, call: Any) -> None:
    with pytest.raises((OptionError, ColumnError)):
        call(dataset)


def test_numpy_and_pyarrow_are_enough(dataset: dlcache.Dataset) -> None:
    code = f"""
import sys
class Only:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {{"torch", "tensorflow", "pyspark", "pandas", "typer", "rich", "fsspec", "tqdm"}}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Only())
import dlcache
assert sum(len(batch["id"]) for batch in dlcache.load({dataset.path!r}).numpy(64, shuffle=True)) == 500
"""
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": str(Path(dlcache.__file__).parents[1])})
