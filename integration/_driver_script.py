"""A Spark application that does what it is told, for _cluster.py: `MASTER CONF`. One JSON line for each word of it.

They alone are on its output: what the JVM prints there goes to the log.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pyspark.sql import DataFrame, SparkSession

import dlcache


def rows(spark: SparkSession, first: int, count: int, partitions: int) -> DataFrame:
    return spark.range(first, first + count, 1, partitions).selectExpr(
        "id", "array(id, id + 0.5D, -id) AS features", "concat('row ', id) AS text"
    )


def write(spark: SparkSession, command: dict[str, Any]) -> dict[str, Any]:
    data = rows(spark, command["first"], command["count"], command.get("partitions", 4))
    writer = data.write.format("dlcache").mode(command.get("mode", "errorifexists"))
    for name, value in command.get("options", {}).items():
        writer = writer.option(name, value)
    writer.save(command["path"])
    return {}


def several(spark: SparkSession, command: dict[str, Any]) -> dict[str, Any]:
    """Writes at once, each in a thread."""
    with ThreadPoolExecutor(len(command["writes"])) as pool:
        done = [pool.submit(attempt, write, spark, each) for each in command["writes"]]
        return {"results": [each.result() for each in done]}


def read(spark: SparkSession, command: dict[str, Any]) -> dict[str, Any]:
    found = spark.read.format("dlcache").load(command["path"]).select("id", "features", "text").orderBy("id").collect()
    assert all(row.features == [row.id, row.id + 0.5, -row.id] and row.text == f"row {row.id}" for row in found)
    return {"ids": [row.id for row in found]}


def executors(spark: SparkSession, command: dict[str, Any]) -> dict[str, Any]:
    """The processes that run tasks, by a task in each of many."""
    context: Any = spark.sparkContext
    infos = context._jsc.sc().statusTracker().getExecutorInfos()
    return {"count": len(infos) - 1}


def attempt(function: Any, spark: SparkSession, command: dict[str, Any]) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = function(spark, command)
        return answer
    except Exception as error:
        return {"error": str(error)}


def main(master: str, conf: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    builder = SparkSession.builder.master(master).appName("dlcache faults").config(map=json.loads(conf))
    spark = dlcache.configure(builder).getOrCreate()
    words = {"write": write, "several": several, "read": read, "executors": executors}
    jvm: Any = spark.sparkContext._jvm
    print(json.dumps({"jvm": jvm.java.lang.ProcessHandle.current().pid()}), file=answers, flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(attempt(words[command["do"]], spark, command)), file=answers, flush=True)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
