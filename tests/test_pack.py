"""Packed columns: tensor columns whose elements have names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache import ColumnError, ManifestError, OptionError
from dlcache._facts import column_facts
from dlcache._manifest import parse

STATISTICS = {"count": 6, "min": [0.0, -5.0], "max": [5.0, 0.0], "mean": [2.5, -2.5], "variance": [4.0, 9.0]}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = np.stack([np.arange(6, dtype=np.float32), -np.arange(6, dtype=np.float32)], axis=1)
    source = pa.table({"id": np.arange(6), "x": pa.array(list(rows), pa.list_(pa.float32()))})
    where = write(tmp_path_factory.mktemp("pack"), source, shard_rows=4)
    path = where / "_dlcache" / f"{1:020d}.json"
    document = json.loads(path.read_text())
    document["columns"][1] |= {"elements": ["age", "height"], "statistics": STATISTICS}
    path.write_text(json.dumps(document))
    return where


@pytest.fixture(scope="module")
def dataset(root: Path) -> dlcache.Dataset:
    return dlcache.load(root)


def test_a_packed_column_is_one_tensor_and_names_its_elements(dataset: dlcache.Dataset) -> None:
    assert dataset.columns == ("id", "x")
    assert dataset.packs == {"x": ("age", "height")}
    assert dataset.select(["id"]).packs == {}
    assert dataset.schema["x"].shape == (None, 2)
    assert "x: float32 [2] (age, height)" in repr(dataset)
    assert column_facts(dataset.manifest, "x").type == "float32 (2 columns packed)"
    for batch in dataset.numpy(4, shuffle=True):
        assert np.array_equal(batch["x"], np.stack([batch["id"], -batch["id"]], axis=1))


def test_statistics_of_an_element_have_its_name(dataset: dlcache.Dataset) -> None:
    assert dataset.stats("x")["mean"].tolist() == [2.5, -2.5]
    height = dataset.stats("height")
    assert (height["count"], height["min"], height["mean"], height["std"]) == (6, -5.0, -2.5, 3.0)
    with pytest.raises(ColumnError, match="no column 'height'"):
        dataset.select(["id"]).stats("height")


def test_a_column_that_is_packed_is_named_with_its_place(dataset: dlcache.Dataset) -> None:
    words = r"'height' as an element of the packed column 'x': read 'x' and take its \[:, 1\]"
    with pytest.raises(ColumnError, match=words):
        dataset.select(["height"])
    with pytest.raises(ColumnError, match=words):
        dataset.numpy(2, columns=["id", "height"])
    with pytest.raises(ColumnError, match=words):
        dataset.manifest.column("height")
    with pytest.raises(ColumnError, match="did you mean"):
        dataset.select(["xx"])


@pytest.mark.parametrize("elements", [["age"], ["age", "age"], ["age", "id"], ["age", "x"], "age", [1, 2], []])
def test_names_that_do_not_fit_are_damage(root: Path, elements: Any) -> None:
    document = json.loads((root / "_dlcache" / f"{1:020d}.json").read_text())
    document["columns"][1]["elements"] = elements
    with pytest.raises(ManifestError, match="here"):
        parse(json.dumps(document), "here")


def test_the_option_is_a_dict_of_lists() -> None:
    pytest.importorskip("pyspark")
    spark = pytest.importorskip("dlcache.spark")
    assert json.loads(spark._packs({"x": ("a", "b")})) == {"x": ["a", "b"]}
    assert spark._packs(None) is None
    for wrong in (["a"], {"x": "a"}, "x"):
        with pytest.raises(OptionError, match="pack must be a dict"):
            spark._packs(wrong)
