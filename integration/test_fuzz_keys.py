"""Plan keys of what only Python has: change one thing, and equal keys must mean equal schemas and equal rows.

The environment variable `FUZZ_SEED` decides all choices, and `FUZZ_SECONDS` how long it runs.
"""

from __future__ import annotations

import dataclasses
import datetime
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pyspark = pytest.importorskip("pyspark")
pandas = pytest.importorskip("pandas")
arrow = pytest.importorskip("pyarrow")

from integration._plan_keys import plan_key  # noqa: E402
from pyspark.sql import DataFrame, SparkSession  # noqa: E402
from pyspark.sql import functions as F  # noqa: E402, N812

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::ResourceWarning")

SECONDS = float(os.environ.get("FUZZ_SECONDS", "15"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))


@dataclasses.dataclass(frozen=True)
class Query:
    """A query, the parameters that it is made of, and other values of each.

    Args:
        build: makes the DataFrame from one value for each parameter
        parameters: the values of each parameter; the first one is the query's own
    """

    build: Callable[..., DataFrame]
    parameters: dict[str, list[Any]]

    def value(self) -> dict[str, Any]:
        return {name: values[0] for name, values in self.parameters.items()}


def rows_of(spark: SparkSession) -> list[Query]:
    """Local data: lists, pandas, Arrow."""

    def lists(rows: list[Any], schema: Any) -> DataFrame:
        return spark.createDataFrame(rows, schema)

    def frames(values: list[Any], name: str, kind: str) -> DataFrame:
        frame = pandas.DataFrame({name: values, "s": [str(value) for value in values]})
        return spark.createDataFrame(frame if kind == "pandas" else arrow.Table.from_pandas(frame))

    def slices(rows: int, count: int) -> DataFrame:
        data = spark.sparkContext.parallelize([(i, str(i)) for i in range(rows)], count)
        return spark.createDataFrame(data, "i int, s string").withColumn("p", F.spark_partition_id())

    day = datetime.date(2024, 1, 2)
    tables = [
        [(1, "a", [1.5], {"k": 1})],
        [(1, "a", [1.5], {"k": 2})],
        [(1, "a", [2.5], {"k": 1})],
        [(2, "a", [1.5], {"k": 1})],
        [(1, "b", [1.5], {"k": 1})],
        [(1, "a", [1.5, 1.5], {"k": 1})],
        [(1, "a", [1.5], {"k": 1})] * 2,
        [(1, None, [1.5], {"k": 1})],
        [(1, "a", [1.5], {})],
    ]
    return [
        Query(lists, {"rows": tables, "schema": [["i", "s", "v", "m"], ["j", "s", "v", "m"]]}),
        Query(
            lists,
            {
                "rows": [[(1, 2)], [(2, 1)], [(1, None)], [(1, 2), (1, 2)]],
                "schema": ["i int, j int", "i long, j int", "j int, i int", "i int, k int", "i int not null, j int"],
            },
        ),
        Query(
            lists,
            {
                "rows": [[(day, b"x", True)], [(day, b"y", True)], [(day, b"x", False)], [(None, b"x", True)]],
                "schema": ["d date, b binary, f boolean"],
            },
        ),
        Query(
            frames,
            {
                "values": [[1, 2, 3], [1, 3, 2], [1, 2, 4], [1.0, 2.0, 3.0], [True, False, True]],
                "name": ["i", "j"],
                "kind": ["pandas", "arrow"],
            },
        ),
        Query(slices, {"rows": [9, 10], "count": [2, 3]}),
    ]


def functions_of(spark: SparkSession) -> list[Query]:
    """Python functions: rows, batches, groups, and what they capture."""

    def data(slices: int, column: str) -> DataFrame:
        return spark.range(0, 12, 1, slices).selectExpr("id as a", "id % 3 as b", f"{column} as x")

    def scalar(constant: int, column: str) -> DataFrame:
        return data(2, "id * 2").select(F.udf(lambda x: x * 10 + constant, "long")(column).alias("z"))

    def named(function: str, constant: int) -> DataFrame:
        local: dict[str, Any] = {"constant": constant}
        exec(f"def f(x):\n    return x {function} constant", local)
        return data(2, "id * 2").select(F.udf(local["f"], "long")("a").alias("z"))

    def batches(slices: int, factor: float) -> DataFrame:
        def centre(frames: Iterator[Any]) -> Iterator[Any]:
            for frame in frames:
                frame["x"] = frame["x"] - factor * frame["x"].mean()
                yield frame[["x"]]

        return data(slices, "cast(id as double)").mapInPandas(centre, "x double")

    def arrows(slices: int, name: str) -> DataFrame:
        def counts(parts: Iterator[Any]) -> Iterator[Any]:
            for part in parts:
                yield arrow.RecordBatch.from_arrays([arrow.array([part.num_rows])], ["n"])

        return data(slices, "id").mapInArrow(counts, f"{name} long").toDF("n")

    def vectors(slices: int, column: str) -> DataFrame:
        centred = F.pandas_udf(lambda x: x - x.mean(), "double")
        return data(slices, "cast(id as double)").select("a", centred(column).alias("z"))

    def groups(key: str, column: str) -> DataFrame:
        def total(frame: Any) -> Any:
            return pandas.DataFrame({"n": [int(frame[column].sum())]})

        return data(2, "id * 2").groupBy(key).applyInPandas(total, "n long")

    def tables(n: int) -> DataFrame:
        class Numbers:
            def eval(self) -> Iterator[Any]:
                for i in range(n):
                    yield (i,)

        return F.udtf(Numbers, returnType="i int")()

    return [
        Query(scalar, {"constant": [1, 2], "column": ["a", "b", "x"]}),
        Query(named, {"function": ["+", "-", "*"], "constant": [1, 2]}),
        Query(batches, {"slices": [2, 1, 3], "factor": [1.0, 2.0]}),
        Query(arrows, {"slices": [2, 1, 3], "name": ["n", "m"]}),
        Query(vectors, {"slices": [2, 1, 3], "column": ["x", "a"]}),
        Query(groups, {"key": ["b", "a"], "column": ["a", "x"]}),
        Query(tables, {"n": [3, 4]}),
    ]


def plans_of(spark: SparkSession, base: Path) -> list[Query]:
    """The DataFrame API, files, and randomness."""
    (base / "csv").mkdir()
    (base / "csv" / "a.csv").write_text('a;b,c\n1,2,"x, y"\n# 3,4,5\n,6,z\n')
    spark.range(0, 40, 1, 4).selectExpr("id as a", "id % 5 as b").write.parquet(str(base / "parquet"))

    def csv(schema: str, name: str, value: str) -> DataFrame:
        return spark.read.options(**({name: value} if name else {})).schema(schema).csv(str(base / "csv"))

    def parquet(column: str, literal: int, order: str) -> DataFrame:
        data = spark.read.parquet(str(base / "parquet"))
        return data.filter(F.col(column) > literal).select(order, (F.col("a") * 2).alias("z"))

    def split(half: int, seed: int, hint: str) -> DataFrame:
        data = spark.read.parquet(str(base / "parquet"))
        other = data.selectExpr("b as k", "a as c")
        joined = data.join(other.hint(hint) if hint else other, F.col("a") == F.col("k"))
        return joined.randomSplit([0.5, 0.5], seed)[half]

    def placed(column: str, slices: int) -> DataFrame:
        return spark.range(0, 20, 1, slices).select("id", getattr(F, column)().alias("p"))

    def lateral(column: str, inner: str) -> DataFrame:
        data = spark.createDataFrame([(1, 2), (2, 3), (5, 6)], "a int, b int")
        data.createOrReplaceTempView("fuzzed")
        return spark.sql(
            "select f.a, f.b from fuzzed f join lateral (select f.a + 1 as x, f.b + 1 as y) s"
            f" on f.{column} = s.{inner}"
        )

    options = ["sep", "comment", "header", "nullValue", "mode", "quote", "ignoreLeadingWhiteSpace", "lineSep"]
    return [
        Query(
            csv,
            {
                "schema": ["a int, b int, c string", "a string, b int, c string", "a int, b int, bad string"],
                "name": ["", *options, "columnNameOfCorruptRecord"],
                "value": ["true", ";", "#", "6", "DROPMALFORMED", "bad"],
            },
        ),
        Query(parquet, {"column": ["a", "b"], "literal": [2, 3], "order": ["a", "b"]}),
        Query(split, {"half": [0, 1], "seed": [7, 8], "hint": ["", "broadcast", "merge", "shuffle_hash"]}),
        Query(placed, {"column": ["spark_partition_id", "monotonically_increasing_id"], "slices": [2, 3, 4]}),
        Query(lateral, {"column": ["b", "a"], "inner": ["x", "y"]}),
    ]


#: Settings that each query is tried under, one at a time.
SETTINGS = {
    "spark.sql.shuffle.partitions": ["5", "1"],
    "spark.sql.adaptive.enabled": ["false"],
    "spark.sql.autoBroadcastJoinThreshold": ["-1"],
    "spark.sql.files.maxPartitionBytes": ["1k"],
    "spark.sql.execution.arrow.maxRecordsPerBatch": ["2", "3"],
    "spark.sql.execution.arrow.pyspark.enabled": ["true"],
    "spark.sql.execution.pythonUDF.arrow.enabled": ["true"],
    "spark.sql.leafNodeDefaultParallelism": ["5"],
    "spark.sql.session.timeZone": ["Asia/Kolkata"],
    "spark.sql.ansi.enabled": ["false"],
    "spark.sql.caseSensitive": ["true"],
}


class Outcome:
    """The key of a DataFrame, and its rows once somebody needs them."""

    def __init__(
        self, spark: SparkSession, build: Callable[[], DataFrame], settings: dict[str, str], what: str
    ) -> None:
        self._spark = spark
        self._settings = settings
        self._rows: list[str] | None = None
        self.what = what
        with under(spark, settings):
            self._data = build()
            self.digest: str = plan_key(self._data).digest()

    @property
    def schema(self) -> str:
        text: str = self._data.schema.json()
        return text

    def rows(self) -> list[str]:
        if self._rows is None:
            with under(self._spark, self._settings):
                self._rows = sorted(map(str, self._data.collect()))
        return self._rows


class under:  # noqa: N801
    """A block under settings of its own."""

    def __init__(self, spark: SparkSession, settings: dict[str, str]) -> None:
        self._spark, self._settings = spark, settings

    def __enter__(self) -> None:
        for name, value in self._settings.items():
            self._spark.conf.set(name, value)

    def __exit__(self, *_: Any) -> None:
        for name in self._settings:
            self._spark.conf.unset(name)


def test_equal_keys_mean_equal_rows(spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spark = spark.newSession()
    spark.conf.set("spark.sql.shuffle.partitions", "3")
    queries = [*rows_of(spark), *functions_of(spark), *plans_of(spark, tmp_path)]
    choose = random.Random(SEED)
    first: dict[str, Outcome] = {}
    pairs = compared = 0
    end = time.monotonic() + SECONDS
    found: dict[str, str] = {}
    turn: list[Query] = []
    while time.monotonic() < end or pairs < len(queries):
        if not turn:
            turn = choose.sample(queries, len(queries))
        query = turn.pop()
        settings: dict[str, str] = {}
        values = query.value()
        if pairs >= len(queries):
            name = choose.choice([*query.parameters, "a setting"])
            if name == "a setting":
                setting = choose.choice(list(SETTINGS))
                settings = {setting: choose.choice(SETTINGS[setting])}
            else:
                values[name] = choose.choice(query.parameters[name])
        what = f"{query.build.__name__}({values}) {settings or ''}"
        pairs += 1
        try:
            outcome = Outcome(spark, lambda query=query, values=values: query.build(**values), settings, what)  # type: ignore[misc]
            other = first.setdefault(outcome.digest, outcome)
            if other is outcome:
                continue
            equal = (other.schema, other.rows()) == (outcome.schema, outcome.rows())
        except pyspark.errors.PySparkException:
            continue
        compared += 1
        if not equal:
            found.setdefault(query.build.__name__, f"{what}\n  {outcome.rows()}\n{other.what}\n  {other.rows()}")
    with capsys.disabled():
        print(f"\n{pairs} pairs, {compared} with equal keys executed and compared, FUZZ_SEED={SEED}")
    assert not found, "equal keys, other rows:\n" + "\n".join(found.values())
