"""`dlcache.cache` on real Spark: misses, hits without a job, errors with their condition, progress."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import functions as F  # noqa: N812

import dlcache
from dlcache import _spark_progress


def rows_of(dataset: dlcache.Dataset) -> dict[str, Any]:
    batches = list(dataset.numpy(batch_size=4))
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def test_a_miss_writes_and_a_hit_runs_no_job(source: Any, jobs: Any, tmp_path: Path) -> None:
    first, miss_jobs = jobs.of(lambda: dlcache.cache(source, root=tmp_path / "root"))
    second, hit_jobs = jobs.of(lambda: dlcache.cache(source, root=tmp_path / "root"))
    assert (first.result.hit, second.result.hit) == (False, True)
    assert miss_jobs >= 1
    assert hit_jobs == 0
    assert second.result.digest == first.result.digest
    assert second.result.path == first.result.path
    assert first.result.rows == len(first) == 10
    assert first.result.seconds > 0
    rows = rows_of(second)
    np.testing.assert_array_equal(rows["id"], np.arange(10))
    np.testing.assert_array_equal(rows["features"][3], np.array([3, 3.5, -3], np.float32))
    assert rows["features"].dtype == np.float32


def test_a_new_reading_of_the_same_files_hits_and_another_name_misses(spark: Any, source: Any, tmp_path: Path) -> None:
    first = dlcache.cache(source, root=tmp_path / "root")
    again = dlcache.cache(spark.read.parquet(str(tmp_path / "source")), root=tmp_path / "root")
    renamed = dlcache.cache(source.withColumnRenamed("label", "target"), root=tmp_path / "root")
    assert again.result.hit
    assert not renamed.result.hit
    assert renamed.result.digest != first.result.digest
    assert "target" in rows_of(renamed)


def test_dtype_is_part_of_the_identity(source: Any, tmp_path: Path) -> None:
    dlcache.cache(source, root=tmp_path / "root")
    kept = dlcache.cache(source, root=tmp_path / "root", dtype=None)
    assert not kept.result.hit
    assert rows_of(kept)["features"].dtype == np.float64


def test_a_path_takes_one_key_and_says_so(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    dlcache.cache(source, path)
    assert dlcache.cache(source, path).result.hit
    with pytest.raises(dlcache.WriteError) as raised:
        dlcache.cache(source.where("id < 5"), path)
    assert raised.value.condition.startswith("DLCACHE_")
    assert str(raised.value).startswith(f"[{raised.value.condition}] ")
    assert "\tat " not in str(raised.value)
    assert raised.value.__context__ is not None
    assert len(dlcache.load(path)) == 10
    replaced = dlcache.cache(source.where("id < 5"), path, mode="overwrite")
    assert (len(replaced), replaced.result.version) == (5, 2)


def test_a_nightly_job_that_runs_again_adds_nothing(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    nights = [source.where("id < 3"), source.where("id >= 3 AND id < 7")]
    for night in nights:
        dlcache.cache(night, path, mode="append")
    for night in nights:
        with pytest.raises(dlcache.WriteError, match="if_appended") as raised:
            dlcache.cache(night, path, mode="append")
        assert raised.value.condition == "DLCACHE_ALREADY_APPENDED"
        skipped = dlcache.cache(night, path, mode="append", if_appended="skip")
        assert (skipped.result.hit, skipped.version, len(skipped)) == (True, 2, 7)
    assert len(dlcache.cache(nights[0], path, mode="append", if_appended="append")) == 10


def test_the_same_rows_with_another_dtype_are_told_by_name(source: Any, tmp_path: Path) -> None:
    path = tmp_path / "dataset"
    source.write.format("dlcache").save(str(path))
    with pytest.raises(dlcache.WriteError, match=r"`dtype` is 'source' there and 'float32' here.*dtype=None"):
        dlcache.cache(source, path)
    assert dlcache.cache(source, path, dtype=None).result.hit


def test_the_outcome_is_had_with_and_without_a_query(
    spark: Any, source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.write.format("dlcache").option("request", "the write of this test").save(str(tmp_path / "dataset"))
    row = spark.read.format("dlcache").option("request", "the write of this test").load().first().asDict()
    assert dlcache.spark._driver_outcome(spark, "the write of this test") == row
    assert dlcache.spark._driver_outcome(spark, "no write") is None
    with pytest.raises(Exception, match="DLCACHE_UNKNOWN_REQUEST"):
        dlcache.spark._result(spark, "no write")
    monkeypatch.setattr(dlcache.spark, "_OUTCOMES", "io.dlcache.write.NotOnTheClassPath")
    assert dlcache.spark._driver_outcome(spark, "the write of this test") is None
    assert [dlcache.cache(source, root=tmp_path / "root").result.hit for _ in range(2)] == [False, True]


def test_the_users_own_key(spark: Any, source: Any, tmp_path: Path) -> None:
    dlcache.cache(source, root=tmp_path / "root", key="train-v1")
    assert dlcache.cache(source.limit(3), root=tmp_path / "root", key="train-v1").result.hit


def test_packed_columns_are_one_tensor_here_and_columns_in_spark(spark: Any, tmp_path: Path) -> None:
    table = spark.range(100).selectExpr("id", "id * 0.5D as age", "concat('n', id) as name", "float(-id) as height")
    packed = dlcache.cache(table, tmp_path / "packed", pack={"features": ["height", "age"]})
    assert packed.packs == {"features": ("height", "age")}
    rows = rows_of(packed)
    assert rows["features"].dtype == np.float32
    np.testing.assert_array_equal(rows["features"], np.stack([-rows["id"], rows["id"] / 2], axis=1))
    assert packed.stats("age")["max"] == 49.5
    assert dlcache.cache(table, tmp_path / "packed", pack={"features": ["height", "age"]}).result.hit
    read = spark.read.format("dlcache").load(str(tmp_path / "packed"))
    assert read.columns == table.columns
    assert [row.age for row in read.where("height < -97").collect()] == [49.0, 49.5]
    with pytest.raises(dlcache.WriteError) as raised:
        dlcache.cache(table, tmp_path / "wrong", pack={"features": ["height", "name"]})
    assert raised.value.condition == "DLCACHE_INVALID_PACK"


def test_shards_and_shuffle_reach_the_writer(source: Any, tmp_path: Path) -> None:
    dataset = dlcache.cache(source, tmp_path / "dataset", shards=2, shuffle=7)
    assert dataset.result.shards == 2
    ids = rows_of(dataset)["id"]
    assert sorted(ids) == list(range(10))
    assert list(ids) != list(range(10))


def test_an_observed_query_is_refused_by_name(source: Any, tmp_path: Path) -> None:
    with pytest.raises(dlcache.WriteError) as raised:
        dlcache.cache(source.observe("seen", F.count("*").alias("rows")), root=tmp_path / "root")
    assert raised.value.condition == "DLCACHE_OBSERVED_QUERY"


def test_functions_are_not_given_by_the_user(source: Any) -> None:
    with pytest.raises(dlcache.OptionError, match="functions"):
        dlcache.cache(source, functions="{}")
    with pytest.raises(dlcache.WriteError, match="udf") as raised:
        dlcache.cache(source, udf="durable")
    assert raised.value.condition == "DLCACHE_INVALID_OPTION"


def test_an_unknown_option_is_refused_by_name(source: Any, tmp_path: Path) -> None:
    with pytest.raises(dlcache.WriteError, match=r"(?i)shardBytes") as raised:
        dlcache.cache(source, tmp_path / "dataset", shardBytes=1)
    assert raised.value.condition == "DLCACHE_UNKNOWN_OPTION"
    with pytest.raises(dlcache.OptionError, match="path"):
        dlcache.cache(source, PATH="x")


def test_a_column_that_cannot_be_stored_is_named_before_a_job(spark: Any, jobs: Any, tmp_path: Path) -> None:
    def attempt() -> None:
        with pytest.raises(dlcache.WriteError, match="`odd`") as raised:
            dlcache.cache(spark.range(3).selectExpr("parse_json('1') AS odd"), tmp_path / "dataset")
        assert raised.value.condition == "DLCACHE_UNSUPPORTED_COLUMN"

    assert jobs.of(attempt)[1] == 0


def test_an_error_of_the_query_is_sparks_own(spark: Any, tmp_path: Path) -> None:
    with pytest.raises(Exception, match="no such row") as raised:
        dlcache.cache(spark.range(3).selectExpr("CAST(raise_error('no such row') AS INT) AS x"), tmp_path / "dataset")
    assert not isinstance(raised.value, dlcache.DlcacheError)
    assert not (tmp_path / "dataset" / "_dlcache").exists()


def test_the_users_job_group_and_tags_stay(spark: Any, source: Any, tmp_path: Path) -> None:
    context = spark.sparkContext
    context.setJobGroup("mine", "my work")
    context.addJobTag("my-tag")
    try:
        dlcache.cache(source, tmp_path / "dataset", progress=True)
        assert context.getLocalProperty("spark.jobGroup.id") == "mine"
        assert set(context.getJobTags()) == {"my-tag"}
    finally:
        context.clearJobTags()
        context.setLocalProperty("spark.jobGroup.id", None)


def test_progress_is_a_line_when_asked_a_log_record_else_or_nothing(
    source: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dlcache")
    dlcache.cache(source, tmp_path / "dataset", progress=True)
    written = capsys.readouterr().err
    assert "written in" in written
    assert "10 rows" in written
    assert not caplog.records
    dlcache.cache(source, tmp_path / "dataset")
    assert [record.name for record in caplog.records] == ["dlcache"]
    assert "hit" in caplog.text
    caplog.clear()
    dlcache.cache(source, tmp_path / "dataset", progress=False)
    assert not caplog.records
    assert not capsys.readouterr().err


def test_the_bar_counts_the_tasks_of_this_write(spark: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    update = _spark_progress.TaskBar.update
    monkeypatch.setattr(_spark_progress, "_POLL_SECONDS", 0.01)

    def seeing(bar: _spark_progress.TaskBar, done: int, total: int) -> None:
        seen.append((done, total))
        update(bar, done, total)

    monkeypatch.setattr(_spark_progress.TaskBar, "update", seeing)
    slow = spark.range(0, 4_000_000, 1, 4).selectExpr("id", "xxhash64(id) AS x")
    dlcache.cache(slow, tmp_path / "dataset", progress=True)
    assert max(total for _, total in seen) >= 4
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_session_without_the_connector_says_how_to_get_it() -> None:
    from dlcache.spark import raise_connector_error

    with pytest.raises(dlcache.WriteError, match=r"dlcache\.configure\(SparkSession\.builder\)") as raised:
        raise_connector_error(RuntimeError("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: dlcache."))
    assert raised.value.condition == "DATA_SOURCE_NOT_FOUND"


def test_an_expired_dataset_is_built_again(source: Any, jobs: Any, tmp_path: Path) -> None:
    first = dlcache.cache(source, root=tmp_path / "root", ttl="1d")
    assert dlcache.cache(source, root=tmp_path / "root", ttl="1d").result.hit
    manifest = Path(first.result.path.removeprefix("file:")) / "_dlcache" / f"{1:020d}.json"
    members = json.loads(manifest.read_text())
    del members["sha256"]  # of another content; a manifest may have none
    yesterday = datetime.now(timezone.utc) - timedelta(days=1, seconds=1)
    manifest.write_text(json.dumps(members | {"created-at": yesterday.strftime("%Y-%m-%dT%H:%M:%S.000Z")}))
    assert len(dlcache.gc(tmp_path / "root", dry_run=True).datasets[0].removed) == 2

    reading = iter(dlcache.load(first.path).numpy(batch_size=4))
    next(reading)
    again, ran = jobs.of(lambda: dlcache.cache(source, root=tmp_path / "root", ttl="1d"))
    assert ran >= 1
    assert (again.result.hit, again.result.digest, again.result.version) == (False, first.result.digest, 2)
    assert sum(len(batch["id"]) for batch in reading) == 6
    assert dlcache.gc(tmp_path / "root", retention=0).bytes > 0
    assert again.store.versions() == [2]
    assert len(rows_of(again)["id"]) == 10
    assert dlcache.cache(source, root=tmp_path / "root").result.hit
