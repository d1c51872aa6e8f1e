"""Run by test_connect in a process of its own: a Spark Connect client with a server that it starts."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from pyspark.sql import SparkSession

import dlcache

root = sys.argv[1]
builder = dlcache.configure(SparkSession.builder.remote("local[2]").config("spark.ui.enabled", "false"))
spark = builder.getOrCreate()
rows = spark.range(0, 100, 1, 4).selectExpr("id", "id * 0.5D AS half")
first = dlcache.cache(rows, root=root, progress=True)
second = dlcache.cache(spark.range(0, 100, 1, 4).selectExpr("id", "id * 0.5D AS half"), root=root, progress=False)
try:
    dlcache.cache(rows.where("id < 5"), first.path)
    condition = None
except dlcache.WriteError as error:
    condition = error.condition
ids = sorted(int(i) for batch in second.numpy(batch_size=10) for i in batch["id"])
remote = type(spark).__module__
print(json.dumps([asdict(first.result), asdict(second.result), condition, ids, remote]))
spark.stop()
