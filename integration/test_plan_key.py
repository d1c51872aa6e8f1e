"""Plan keys of DataFrames that PySpark makes: local data by content, Python functions by their pickled bytes."""

from __future__ import annotations

import datetime
import decimal
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pyspark = pytest.importorskip("pyspark")

from integration._plan_keys import plan_key  # noqa: E402
from pyspark.ml.linalg import Vectors  # noqa: E402
from pyspark.sql import DataFrame, Row, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402, N812

import dlcache  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning")

ROWS = [(1, "a", [1.5], {"k": 1}), (2, "b", [2.5, 3.5], {})]
COLUMNS = ["i", "s", "v", "m"]


@pytest.fixture(scope="module")
def spark(spark: SparkSession) -> SparkSession:
    """With configurations of its own."""
    return spark.newSession()


def session(master: str) -> SparkSession:
    """A session of another process."""
    return dlcache.configure(SparkSession.builder.master(master).config("spark.ui.enabled", "false")).getOrCreate()


def explanation(data: DataFrame, udf: str = "session") -> Any:
    return json.loads(plan_key(data, udf).explanation().toString())


def key(data: DataFrame, udf: str = "session") -> tuple[str, str, set[str]]:
    """The scope, the digest and the codes of the reasons."""
    found = plan_key(data, udf)
    reasons = json.loads(found.explanation().toString())["reasons"]
    return found.scope(), found.digest(), {reason["code"] for reason in reasons}


def durable(data: DataFrame, udf: str = "session") -> str:
    scope, digest, reasons = key(data, udf)
    assert scope == "durable", reasons
    return digest


def in_session(data: DataFrame, *reasons: str) -> str:
    scope, digest, found = key(data)
    assert (scope, found) == ("session", set(reasons))
    return digest


def test_lists_are_durable_by_content(spark: SparkSession) -> None:
    digest = durable(spark.createDataFrame(ROWS, COLUMNS))
    assert durable(spark.createDataFrame([tuple(row) for row in ROWS], COLUMNS)) == digest
    assert durable(spark.createDataFrame([Row(**dict(zip(COLUMNS, row, strict=True))) for row in ROWS])) == digest
    changed = [
        (ROWS[::-1], COLUMNS),
        (ROWS[:1], COLUMNS),
        ([(1, "a", [1.5], {"k": 2}), ROWS[1]], COLUMNS),
        ([(1, "a", [1.5, 0.0], {"k": 1}), ROWS[1]], COLUMNS),
        (ROWS, ["j", *COLUMNS[1:]]),
    ]
    others = [durable(spark.createDataFrame(rows, columns)) for rows, columns in changed]
    assert len({digest, *others}) == len(others) + 1


def test_lists_of_all_kinds_of_values_are_durable(spark: SparkSession) -> None:
    day, time = datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3, 4, 5)
    row = (Vectors.dense([1, 2]), day, time, decimal.Decimal("1.50"), b"x", True, 2**40, {"a": {"b": [1]}})
    columns = [f"c{i}" for i in range(len(row))]
    assert durable(spark.createDataFrame([row], columns)) == durable(spark.createDataFrame([row], columns))
    assert durable(spark.createDataFrame([], "a int")) != durable(spark.createDataFrame([(None,)], "a int"))


def test_lists_of_many_rows_do_not_depend_on_their_batches(spark: SparkSession) -> None:
    rows = [(i, str(i)) for i in range(5000)]
    digest = durable(spark.createDataFrame(rows, ["i", "s"]))
    spark.conf.set("spark.sql.shuffle.partitions", "7")
    assert durable(spark.createDataFrame(list(rows), ["i", "s"])) == digest


def test_pandas_is_durable_by_content(spark: SparkSession) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"i": [1, 2], "s": ["a", "b"]})
    assert durable(spark.createDataFrame(frame)) == durable(spark.createDataFrame(frame.copy()))
    assert durable(spark.createDataFrame(frame)) != durable(spark.createDataFrame(frame.assign(i=[1, 3])))


@pytest.mark.parametrize("threshold", ["48MB", "1b"])
def test_arrow_is_durable_by_content(spark: SparkSession, threshold: str) -> None:
    """In the plan, and beyond what Spark takes into a plan."""
    arrow = pytest.importorskip("pyarrow")
    pandas = pytest.importorskip("pandas")
    tables = [arrow.table({"i": [1, i], "v": [[1.5], [2.5, 3.5]]}) for i in (2, 2, 3)]
    frames = [pandas.DataFrame({"i": [1, i], "s": ["a", "b"]}) for i in (2, 2, 3)]
    spark.conf.set("spark.sql.execution.arrow.localRelationThreshold", threshold)
    spark.conf.set("spark.sql.execution.arrow.pyspark.enabled", "true")
    try:
        for made in (tables, frames):
            first, same, other = (durable(spark.createDataFrame(data)) for data in made)
            assert first == same
            assert first != other
        (local,) = explanation(spark.createDataFrame(tables[0]))["inputs"]
        assert (local["kind"], local["rows"]) == ("local", 2)
    finally:
        spark.conf.unset("spark.sql.execution.arrow.pyspark.enabled")
        spark.conf.unset("spark.sql.execution.arrow.localRelationThreshold")


def test_an_rdd_is_not_durable(spark: SparkSession) -> None:
    rdd = spark.sparkContext.parallelize([(1,), (2,)])
    data = rdd.map(lambda row: (row[0] + 1,)).toDF("i int")
    reasons = ("rdd", "python-udf")
    assert in_session(data, *reasons) == in_session(data, *reasons)
    mapped = rdd.map(lambda row: row).toDF("i int")
    assert in_session(rdd.toDF("i int"), *reasons) != in_session(mapped, *reasons)
    assert key(mapped, "source")[0] == "session"


def adder(n: int) -> Any:
    return F.udf(lambda x: x + n, "long")


def test_python_functions_count_by_their_bytes(spark: SparkSession) -> None:
    def plus_one(add: Any) -> str:
        return in_session(spark.range(3).select(add("id").alias("a")), "python-udf")

    assert plus_one(adder(1)) == plus_one(adder(1))
    assert plus_one(adder(1)) != plus_one(adder(2))
    assert plus_one(F.udf(lambda x: x + 1, "long")) != plus_one(F.udf(lambda x: x * 1, "long"))


@pytest.mark.parametrize(
    ("apply", "reasons"),
    [
        (lambda data: data.mapInPandas(lambda frames: frames, data.schema), {"python-udf", "partitioning"}),
        (lambda data: data.mapInArrow(lambda batches: batches, data.schema), {"python-udf", "partitioning"}),
        (lambda data: data.groupBy("id").applyInPandas(lambda frame: frame, data.schema), {"python-udf"}),
    ],
)
def test_functions_over_batches_see_the_names_of_columns(
    spark: SparkSession, apply: Callable[[DataFrame], DataFrame], reasons: set[str]
) -> None:
    data = spark.range(3).withColumn("k", F.col("id") % 2)
    renamed = apply(data.withColumnRenamed("k", "c")).toDF("id", "k")
    assert in_session(renamed, *reasons) != in_session(apply(data), *reasons)


def test_functions_over_batches_count_by_what_decides_their_batches(spark: SparkSession) -> None:
    centred = F.pandas_udf(lambda x: x - x.mean(), "double")
    queries: list[Callable[[int], DataFrame]] = [
        lambda slices: spark.range(0, 20, 1, slices).select(centred(F.col("id").cast("double")).alias("z")),
        lambda slices: spark.range(0, 20, 1, slices).mapInPandas(lambda frames: frames, "id long"),
    ]
    for query in queries:
        before = in_session(query(2), "python-udf", "partitioning")
        assert in_session(query(2), "python-udf", "partitioning") == before
        assert in_session(query(4), "python-udf", "partitioning") != before
        spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "5")
        try:
            assert in_session(query(2), "python-udf", "partitioning") != before
        finally:
            spark.conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")


def test_seeds_in_python(spark: SparkSession) -> None:
    data = spark.range(10)
    assert durable(data.sample(fraction=0.5, seed=7)) == durable(data.sample(fraction=0.5, seed=7))
    assert durable(data.randomSplit([0.8, 0.2], seed=7)[0]) != durable(data.randomSplit([0.8, 0.2], seed=7)[1])
    assert durable(data.select(F.rand(42))) == durable(data.select(F.rand(42)))
    in_session(data.sample(0.5), "unseeded-randomness")
    in_session(data.randomSplit([0.8, 0.2])[0], "unseeded-randomness")
    in_session(data.select(F.rand()), "unseeded-randomness")


def test_python_and_sql_give_one_key(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    spark.range(10).withColumn("k", F.col("id") % 3).write.parquet(path)
    in_python = (
        spark.read.parquet(path).filter((F.col("k") == 1) & (F.col("id") > 2)).select((F.col("id") + 1).alias("a"))
    )
    in_sql = spark.sql(f"select id + 1 as a from parquet.`{path}` where id > 2 and k = 1")
    assert durable(in_python) == durable(in_sql)


def test_another_process_gives_the_same_key() -> None:
    """Two processes with nothing of this one: neither its session's configuration nor its hash seed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SPARK", "PYSPARK"))}

    def digest(master: str, hash_seed: str) -> str:
        frame = f"t.session('{master}').createDataFrame(t.ROWS, t.COLUMNS)"
        code = f"import test_plan_key as t; print('key', t.durable({frame}))"
        path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
        clean = environment | {"PYTHONPATH": path, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run([sys.executable, "-c", code], env=clean, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-4000:]
        return next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("key "))

    assert digest("local[2]", "1") == digest("local[3]", "7")
