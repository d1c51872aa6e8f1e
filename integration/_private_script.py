"""A Spark application of a careful user, for test_private.py: `ROOT SECRET`. Prints what it says in errors, as JSON."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from pyspark.sql import SparkSession

import dlcache

LOGGING = """
rootLogger.level = info
rootLogger.appenderRef.out.ref = console
appender.console.type = Console
appender.console.name = console
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %p %c: %m%n%ex
logger.dlcache.name = io.dlcache
logger.dlcache.level = debug
"""


def said(action: Any) -> str:
    """What a user sees of an error."""
    try:
        action()
    except Exception:
        return traceback.format_exc()
    raise AssertionError("no error")


def main(root: str, secret: str) -> None:
    os.umask(0o077)  # before the JVM is there, which inherits it
    Path(root, "log4j2.properties").write_text(LOGGING)
    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.extraJavaOptions": f"-Dlog4j2.configurationFile=file:{root}/log4j2.properties",
        "spark.datasource.dlcache.root": f"{root}/root",
        "spark.hadoop.fs.s3a.secret.key": secret,
        "spark.hadoop.fs.s3a.bucket.mine.access.key": secret,
        "spark.my.password": secret,
    }
    spark = dlcache.configure(SparkSession.builder.master("local[2]").config(map=settings)).getOrCreate()
    source = f"{root}/source"
    spark.range(20).selectExpr("id", "concat('user', id) AS password").write.mode("overwrite").json(source)
    rows = spark.read.option("password", secret).option("my.token", secret).json(source)
    filtered = rows.where(rows.password != secret)
    dlcache.cache(filtered, progress=False)
    by_path = dlcache.cache(filtered.select("id"), f"{root}/by-path", shards=2, progress=False)
    dlcache.cache(filtered.select("id"), f"{root}/by-path", mode="append", progress=False)
    list(by_path.numpy(4))
    by_path.gather([0])
    leases = [path for path in os.listdir(f"{root}/by-path/_dlcache/leases") if path.endswith(".json")]
    errors = [
        said(lambda: dlcache.cache(rows, f"{root}/other", password=secret)),
        said(lambda: dlcache.cache(filtered, f"{root}/by-path", progress=False)),
        said(lambda: rows.write.format("dlcache").option("secretKey", secret).save(f"{root}/other")),
        said(lambda: dlcache.load("nothing-such://host/x", storage_options={"secret_key": secret, "token": secret})),
        said(lambda: dlcache.load(f"s3://user:{secret}@127.0.0.1/x", storage_options={"endpoint_override": 1})),
        str(dlcache.load(by_path.path).explain()),
    ]
    print(json.dumps({"errors": errors, "leases": len(leases)}))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
