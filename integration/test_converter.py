"""Petastorm's converter on real Spark: its scripts with other import lines, hits and misses, tasks, deletion."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlcache
from dlcache._leases import parse_lease
from dlcache.converter import SparkDatasetConverter, TransformSpec, make_spark_converter

ROOT = Path(__file__).parent.parent
# The package of this checkout, installed or not.
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(ROOT / "python"), os.environ.get("PYTHONPATH", "")]),
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "OMP_NUM_THREADS": "1",
    "JAVA_TOOL_OPTIONS": "-XX:TieredStopAtLevel=1",  # a script ends before the second compiler pays: a third less CPU
}


@pytest.fixture
def parent(spark: Any, tmp_path: Path) -> Any:
    """The parent directory, as Petastorm's users set it."""
    spark.conf.set(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF, (tmp_path / "cache").as_uri())
    yield tmp_path / "cache"
    spark.conf.unset(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF)


def rows_of(converter: SparkDatasetConverter, **arguments: Any) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {}
    with converter.make_torch_dataloader(num_epochs=1, shuffle_row_groups=False, **arguments) as loader:
        for batch in loader:
            for name, value in batch.items():
                rows.setdefault(name, []).extend(value if isinstance(value, list) else value.tolist())
    return rows


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both scripts find the images and write; the first makes the images."""
    return tmp_path_factory.mktemp("scripts")


@pytest.mark.parametrize("framework", ["torch", "tf"])
def test_the_scripts_train_alone_and_in_two_processes(framework: str, out: Path) -> None:
    script = ROOT / "examples" / f"converter_{framework}.py"
    command = [sys.executable, str(script), "--distributed", "--epochs", "3", "--out", str(out)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-6000:]
    sizes = [int(size) for size in re.findall(r"(\d+) rows", done.stdout.splitlines()[0])]
    assert sum(sizes) == 1797
    ends = re.findall(r"accuracy ([\d.]+) on (\d+) rows", done.stdout)
    assert len(ends) == (2 if framework == "torch" else 3)
    for accuracy, rows in ends:
        assert float(accuracy) >= 0.85
        assert int(rows) == sizes[1]
    assert "stays" not in done.stderr
    assert list((out / "converter").iterdir()) == []


def test_renamed_or_changed_inputs_are_not_stale(spark: Any, jobs: Any, parent: Path, tmp_path: Path) -> None:
    def source() -> Any:
        return spark.read.parquet(str(tmp_path / "source"))

    spark.range(4).coalesce(1).write.parquet(str(tmp_path / "source"))
    frames = source(), source()  # reading a schema is a job of Spark's own
    first, ran = jobs.of(lambda: make_spark_converter(frames[0]))
    again, hit = jobs.of(lambda: make_spark_converter(frames[1]))
    assert (ran > 0, hit) == (True, 0)
    assert again.cache_dir_url == first.cache_dir_url
    assert first.cache_dir_url.startswith(parent.as_uri())
    assert dlcache.cache(source(), root=parent).result.hit
    for name in ("x", "y"):
        assert rows_of(make_spark_converter(source().withColumnRenamed("id", name))) == {name: [0, 1, 2, 3]}
    spark.range(4, 6).coalesce(1).write.mode("append").parquet(str(tmp_path / "source"))
    assert sorted(rows_of(make_spark_converter(source()))["id"]) == [0, 1, 2, 3, 4, 5]
    assert len(make_spark_converter(source(), dtype=None, compression_codec="zstd")) == 6
    first.delete()
    assert rows_of(again) == {"id": [0, 1, 2, 3]}
    again.delete()
    assert not Path(again.file_urls[0].removeprefix("file://")).exists()


def test_what_a_converter_wrote_is_marked_as_temporary_and_what_it_found_is_not(spark: Any, parent: Path) -> None:
    def marks(path: str) -> int:
        leases = [parse_lease(each.read_bytes()) for each in Path(path).glob("_dlcache/leases/*.json")]
        return sum(lease is not None and lease.kind == "temporary" for lease in leases)

    found = dlcache.cache(spark.range(7), root=parent)
    assert marks(make_spark_converter(spark.range(7)).dataset.path) == 0
    made = make_spark_converter(spark.range(8))
    path = made.dataset.path
    assert marks(path) == 1
    assert not [each for each in dlcache.gc(parent, grace=0, retention=0).datasets if each.deleted]
    made.delete()
    assert not Path(path).exists()
    found.delete()


def test_columns_that_petastorm_loses(spark: Any, parent: Path) -> None:
    from pyspark.ml.linalg import Vectors

    frame = spark.createDataFrame(
        [(0.0, [[1.0], [2.0]], (3,), 0.5), (1.0, [[3.0], [4.0]], (5,), 1.0)],
        "number double, nested array<array<double>>, struct struct<inner: int>, `a.b c` double",
    )
    made = make_spark_converter(frame, dtype=None)
    values = rows_of(made)
    assert values == {
        "number": [0.0, 1.0],
        "nested": [[[1.0], [2.0]], [[3.0], [4.0]]],
        "struct.inner": [3, 5],
        "a.b c": [0.5, 1.0],
    }
    vectors = spark.createDataFrame([(Vectors.dense([1.0, 2.0]),), (Vectors.sparse(2, {1: 4.0}),)], ["vector"])
    assert rows_of(make_spark_converter(vectors, dtype=None)) == {"vector": [[1.0, 2.0], [0.0, 4.0]]}


def test_a_parquet_directory_is_copied_and_stays(spark: Any, parent: Path, tmp_path: Path) -> None:
    path = tmp_path / "parquet"
    spark.range(3).write.parquet(str(path))
    made = make_spark_converter(path.as_uri())
    assert sorted(rows_of(made)["id"]) == [0, 1, 2]
    made.delete()
    assert spark.read.parquet(str(path)).count() == 3


def test_converters_work_in_tasks(spark: Any, parent: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spark.sparkContext, "pythonExec", sys.executable)
    monkeypatch.setitem(spark.sparkContext.environment, "PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    made = make_spark_converter(spark.range(10))
    spec = TransformSpec(lambda frame: frame.assign(twice=frame["id"] * 2), [("twice", np.int64, (), False)])

    def read(shard: int) -> list[int]:
        with made.make_torch_dataloader(
            batch_size=5, num_epochs=1, cur_shard=shard, shard_count=2, transform_spec=spec
        ) as loader:
            return [row for batch in loader for row in batch["twice"].tolist()]

    found = spark.sparkContext.parallelize(range(2), 2).flatMap(read).collect()
    assert sorted(found) == list(range(0, 20, 2))

    def make(_: int) -> str:
        try:
            make_spark_converter("nowhere")
        except dlcache.OptionError as error:
            return str(error)
        return ""

    assert "in a Spark task" in spark.sparkContext.parallelize([0], 1).map(make).collect()[0]
    made.delete()
