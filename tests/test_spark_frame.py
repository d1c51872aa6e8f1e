"""What `dlcache.cache` and the converter say to what is no Spark DataFrame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache import OptionError
from dlcache.converter import make_spark_converter


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (pd.DataFrame({"x": [1]}), r"not pandas\.DataFrame.*spark\.createDataFrame\(df\)"),
        (pa.table({"x": [1]}), r"not pyarrow\.Table.*spark\.createDataFrame\(df\)"),
        (np.arange(3), r"not numpy\.ndarray.*spark\.createDataFrame\(df\)"),
        ([{"x": 1}], r"not list.*spark\.createDataFrame\(df\)"),
        (None, r"not None.*spark\.createDataFrame"),
    ],
)
def test_another_table_is_refused_with_what_to_do(given: Any, says: str) -> None:
    pytest.importorskip("pyspark")
    for take in (dlcache.cache, make_spark_converter):
        with pytest.raises(OptionError, match=says):
            take(given)


def test_a_path_and_a_dataset_are_no_rows_to_write(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    with pytest.raises(OptionError, match=r"not str.*dlcache\.load\(path\).*spark\.read"):
        dlcache.cache("some/path")
    dataset = dlcache.load(write(tmp_path, pa.table({"x": [1]})))
    with pytest.raises(OptionError, match="a dataset already"):
        dlcache.cache(dataset)


@pytest.mark.parametrize("path", [None, 3, b"x", "", ["x"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    for take in (dlcache.load, dlcache.verify, dlcache.gc):
        with pytest.raises(OptionError, match="path must be a path or URI"):
            take(path)


@pytest.mark.parametrize("options", ["key=x", 3, [("a", 1)]])
def test_storage_options_are_a_dict(options: Any) -> None:
    with pytest.raises(OptionError, match="storage_options must be a dict"):
        dlcache.load("s3://bucket/x", storage_options=options)
