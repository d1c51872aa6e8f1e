"""A Spark application with datasets of both kinds, for test_session_lifecycle.py: `ROOT END`.

Prints one line of JSON: the paths of a durable and of two session-keyed datasets, and the pid of the driver's JVM. Then
it ends as END says: `return`, `raise`, `stop` (the context first; prints which datasets are there then), or `wait`.
"""

import json
import os
import sys
from typing import Any

from pyspark.sql import SparkSession

import dlcache


def main(root: str, end: str) -> None:
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.datasource.dlcache.root": root,
    }
    spark = dlcache.configure(SparkSession.builder.master("local[1]").config(map=settings)).getOrCreate()
    context: Any = spark.sparkContext
    context.setLogLevel("ERROR")
    durable = dlcache.cache(spark.range(10), progress=False)
    random = spark.range(10).selectExpr("rand() AS r")
    unread, read = dlcache.cache(random, progress=False), dlcache.cache(random.selectExpr("r + 1 AS r"), progress=False)
    datasets = {"durable": durable.path, "unread": unread.path, "read": read.path}
    jvm = context._jvm.java.lang.ProcessHandle.current().pid()
    print(json.dumps({**datasets, "jvm": jvm, "scopes": [d.manifest.plan_key.scope for d in (durable, unread, read)]}))
    sys.stdout.flush()
    if end == "raise":
        raise RuntimeError("the training failed")
    if end == "stop":
        read.gather([0])  # takes a lease that lasts as long as this process
        spark.stop()
        print(json.dumps({name: os.path.exists(path) for name, path in datasets.items()}))
    if end == "wait":
        sys.stdin.readline()


if __name__ == "__main__":
    main(*sys.argv[1:])
