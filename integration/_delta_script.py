"""Caches a Delta table as it changes, and prints one JSON line with what hit and what missed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

import dlcache

SPARK = ".".join(pyspark.__version__.split(".")[:2])
base = Path(sys.argv[1])
builder = (
    SparkSession.builder.master("local[2]")
    .appName("dlcache and Delta")
    .config("spark.jars.packages", f"io.delta:delta-spark_{SPARK}_2.13:4.4.0")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.sql.warehouse.dir", str(base / "warehouse"))
    .config("spark.driver.host", "127.0.0.1")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.ui.enabled", "false")
)
spark = dlcache.configure(builder).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")
table, root = str(base / "table"), base / "root"


def cached(**options: str) -> dlcache.Dataset:
    frame = spark.read.format("delta").options(**options).load(table)
    return dlcache.cache(frame, root=root, progress=False)


results: dict[str, object] = {}
spark.range(10).coalesce(1).write.format("delta").save(table)
first = cached()
results["first"] = (first.result.hit, first.result.scope, len(first))
results["again"] = cached().result.hit
spark.range(10, 15).coalesce(1).write.format("delta").mode("append").save(table)
appended = cached()
results["appended"] = (appended.result.hit, appended.result.scope, len(appended))
old = cached(versionAsOf="0")
results["old version"] = (len(old), old.result.scope)
results["old version again"] = cached(versionAsOf="0").result.hit
spark.sql(f"DELETE FROM delta.`{table}` WHERE id < 3")
deleted = cached()
results["deleted"] = (deleted.result.hit, len(deleted))
spark.stop()
print(json.dumps(results))
