"""SQL tables and errors, as a Python user meets them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import AnalysisException

import dlcache


def test_a_table_in_sql_is_a_dataset_in_python(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "set"
    spark.sql(f"CREATE TABLE made USING dlcache LOCATION '{path}' AS SELECT id FROM range(3)")
    spark.sql("INSERT INTO made VALUES (7)")
    assert [row.id for row in spark.table("made").collect()] == [0, 1, 2, 7]
    assert len(dlcache.load(path)) == 4 and len(dlcache.load(path, version=1)) == 3
    assert spark.sql(f"SELECT * FROM dlcache.`{path}` VERSION AS OF 1").count() == 3
    assert [row.version for row in spark.sql("SELECT version FROM made.history").collect()] == [2, 1]
    spark.sql("DROP TABLE made")
    assert len(dlcache.load(path)) == 4


def test_errors_of_sql_and_dataframes_have_the_message_first(spark: Any, tmp_path: Path) -> None:
    path = tmp_path / "set"
    spark.sql(f"CREATE TABLE failing USING dlcache LOCATION '{path}' AS SELECT id FROM range(3)")
    shard = next(path.glob("data/*.parquet"))
    shard.write_bytes(shard.read_bytes()[:100])
    cases: list[tuple[str, Callable[[], object]]] = [
        ("DLCACHE_STATEMENT_UNSUPPORTED", lambda: spark.sql("DELETE FROM failing WHERE id = 1")),
        ("DLCACHE_STATEMENT_UNSUPPORTED", lambda: spark.sql("ALTER TABLE failing ADD COLUMN x INT")),
        ("DLCACHE_NOT_A_DATASET", lambda: spark.read.format("dlcache").load(str(tmp_path / "none"))),
        ("DLCACHE_UNKNOWN_OPTION", lambda: spark.range(3).write.format("dlcache").option("x", "y").save(str(path))),
        ("DLCACHE_KEY_MISMATCH", lambda: spark.range(5).write.format("dlcache").save(str(path))),
        ("DLCACHE_SHARD_DAMAGED", lambda: spark.table("failing").collect()),
    ]
    for condition, action in cases:
        with pytest.raises(dlcache.SparkError) as caught:
            action()
        text = str(caught.value)
        assert text.startswith(f"[{condition}] ") and caught.value.condition == condition
        assert "\n" not in text and "\tat " not in text
    spark.sql("DROP TABLE failing")
    with pytest.raises(AnalysisException):  # Spark's own errors stay Spark's
        spark.sql("SELECT nothing")


def test_a_path_is_where_python_says(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    dlcache.cache(spark.range(3), "~/x", progress=False)
    dlcache.cache(spark.range(3), "relative", progress=False)
    dlcache.cache(spark.range(3), root="~/root", progress=False)
    assert {name for name in os.listdir(tmp_path / "home")} == {"x", "root"}
    assert len(dlcache.load("relative")) == 3 and sorted(os.listdir(tmp_path)) == ["home", "relative"]


def test_a_quoted_uri_is_one_path_in_both_languages(spark: Any, tmp_path: Path) -> None:
    uri = f"file:{tmp_path}/w%20b"
    written = dlcache.cache(spark.range(3), uri, progress=False)
    assert len(written) == 3 and len(dlcache.load(uri)) == 3
    assert os.listdir(tmp_path) == ["w%20b"]
