"""Spark's part, in a process of its own: `python -m benchmarks.spark REQUEST`, one JSON line for each result.

It writes the datasets that the readers read, and measures writers and Spark's reads in interleaved rounds. The rows of
a measured plan lie in Spark's cache, so that the plan costs little beside the writer.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contest import SPARKS, WRITES, Write
from benchmarks.tables import write_parquet
from benchmarks.workloads import FLOATS, INTS

FILES = 4
PACK = {"floats": [f"f{n}" for n in range(FLOATS)], "ints": [f"i{n}" for n in range(INTS)]}


@dataclass(frozen=True)
class Writers:
    """What writes one DataFrame, by name, where to, and how the rows of each are read again."""

    write: dict[str, Callable[[], None]]
    path: dict[str, Path]
    read: dict[str, Callable[[], Any]]


def session() -> Any:
    """Spark on two cores of this machine, with the connector."""
    from pyspark.sql import SparkSession

    import dlcache

    builder = SparkSession.builder.master("local[2]").config("spark.driver.memory", "6g")
    builder = builder.config("spark.ui.enabled", "false").config("spark.sql.shuffle.partitions", "2")
    return dlcache.configure(builder).getOrCreate()


def frame(spark: Any, workload: str, directory: Path, rows: int, *, vectors: bool = False) -> Any:
    """The first `rows` rows of a workload, read from Parquet files; `vectors`: as MLlib vectors."""
    from pyspark.ml.functions import array_to_vector

    source = directory / f"source-{rows}"
    write_parquet(workload, directory, rows, source, FILES)
    df = spark.read.parquet(str(source))
    return df.withColumn("features", array_to_vector(df.features.cast("array<double>"))) if vectors else df


def writers(spark: Any, contest: Write, df: Any, directory: Path) -> Writers:
    """`noop`, Spark's own uncompressed Parquet writer, and dlcache, for one cached DataFrame."""
    from pyspark.ml.functions import vector_to_array

    vectors = "vectors" in contest.name
    plain = df.withColumn("features", vector_to_array(df.features, "float32")) if vectors else df
    parquet = directory / "spark-parquet"
    ours: dict[str, tuple[Path, dict[str, list[str]]]]
    ours = {"dlcache": (directory / ("vectors" if vectors else "dlcache"), {})}
    if contest.workload == "tabular":
        ours["dlcache, packed"] = (directory / "packed", PACK)

    write: dict[str, Callable[[], None]] = {
        "noop": partial(to_noop, lambda: df),
        SPARKS: partial(save_parquet, plain, parquet),
    }
    paths = {SPARKS: parquet}
    read: dict[str, Callable[[], Any]] = {SPARKS: partial(spark.read.parquet, str(parquet))}
    for name, (path, pack) in ours.items():
        write[name] = partial(save, df, path, pack)
        paths[name] = path
        read[name] = partial(spark.read.format("dlcache").load, str(path))
    return Writers(write, paths, read)


def save_parquet(df: Any, path: Path) -> None:
    df.write.mode("overwrite").option("compression", "none").parquet(str(path))


def save(df: Any, path: Path, pack: dict[str, list[str]]) -> None:
    writer = df.write.format("dlcache").mode("overwrite").option("dtype", "float32")
    if pack:
        writer = writer.option("pack", json.dumps(pack))
    writer.save(str(path))


def to_noop(frame: Callable[[], Any]) -> None:
    frame().write.format("noop").mode("overwrite").save()


def seconds_of(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def prove(df: Any, rows: int) -> None:
    """Raises unless `df` has each row number once."""
    from pyspark.sql import functions as f

    id = "label" if "label" in df.columns else "i0"
    found = df.select(f.expr(id).alias("id")).agg(f.expr("count(id)"), f.expr("count(distinct id)"), f.expr("max(id)"))
    count, distinct, greatest = found.collect()[0]
    if (count, distinct, greatest) != (rows, rows, rows - 1):
        raise RuntimeError(f"wrote {rows} rows, read {count}, {distinct} different ones, the greatest {greatest}")


def in_rounds(
    actions: dict[str, Callable[[], Any]], rounds: int, before: Callable[[str], None] = lambda name: None
) -> dict[str, list[float]]:
    """Seconds of each action, in interleaved rounds after one that does not count; `before` each is not timed."""
    seconds: dict[str, list[float]] = {name: [] for name in actions}
    for number in range(rounds + 1):
        for name, action in actions.items():
            before(name)
            taken = seconds_of(action)
            if number:
                seconds[name].append(taken)
    return seconds


def measure(spark: Any, write: Write, directory: Path, rows: int, rounds: int) -> dict[str, Any]:
    """Seconds of each writer, then of each reader: all columns and one of them into `noop`, and a count."""
    df = frame(spark, write.workload, directory, rows, vectors="vectors" in write.name).cache()
    df.count()
    contest = writers(spark, write, df, directory)

    def delete_the_last(name: str) -> None:
        # Spark's own writer would do it in the time that is measured, and dlcache keeps the version before.
        if name in contest.path:
            shutil.rmtree(contest.path[name], ignore_errors=True)

    written = in_rounds(contest.write, rounds, delete_the_last)
    df.unpersist(blocking=True)
    for reader in contest.read.values():
        prove(reader(), rows)
    label = "label" if "label" in df.columns else "i0"
    shapes: dict[str, Callable[[Any], None]] = {
        "all columns": lambda read: to_noop(read),
        f"`{label}`": lambda read: to_noop(lambda: read().select(label)),
        "count": lambda read: read().count(),
    }
    read = {
        shape: in_rounds({name: partial(action, reader) for name, reader in contest.read.items()}, rounds)
        for shape, action in shapes.items()
    }
    shutil.rmtree(directory / "spark-parquet")
    return {"name": write.name, "rows": rows, "written": written, "read": read}


def prepare(spark: Any, workload: str, directory: Path, rows: int) -> None:
    """Writes the datasets that the readers read, without measuring."""
    df = frame(spark, workload, directory, rows)
    save(df, directory / "dlcache", {})
    if workload == "tabular":
        save(df, directory / "packed", PACK)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    request = json.loads(sys.argv[1])
    data = Path(request["data"])
    spark = session()
    spark.sparkContext.setLogLevel("ERROR")
    for write in WRITES:
        if write.name in request["writes"]:
            rows = int(request["rows"][write.workload] * write.share)
            result = measure(spark, write, data / write.workload, rows, request["rounds"])
            print(json.dumps(result), file=answers, flush=True)
    for workload in request["datasets"]:
        prepare(spark, workload, data / workload, request["rows"][workload])
    spark.stop()


if __name__ == "__main__":
    main()
