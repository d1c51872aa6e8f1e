"""Run by test_connect in a process of its own: a Spark Connect client with a server that it starts.

`BASE`: its `connect` becomes the root of this script's own datasets; `source` and `root` belong to the query that
all languages ask.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

import dlcache

base = sys.argv[1]
root = f"{base}/connect"
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
filtered = spark.read.parquet(f"{base}/source").filter((F.col("k") == 1) & (F.col("id") > 2))
query = filtered.select((F.col("id") + 1).alias("a"), F.upper("s").alias("b"), "v")
shared = dlcache.cache(query, root=f"{base}/root", progress=False)
said = {
    "first": asdict(first.result),
    "second": asdict(second.result),
    "condition": condition,
    "ids": ids,
    "session": type(spark).__module__,
    "shared": asdict(shared.result),
}
print(json.dumps(said))
spark.stop()
