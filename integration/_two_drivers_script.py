"""One of two drivers that write at the same time, for test_two_drivers.py: `BASE`.

Each line on standard input starts one write; its end is one line of JSON on standard output. The first two writes make
their rows only after this process has said in the pipe `BASE/arrived` that it is at work and the pipe `BASE/gate` has
answered: by then each driver has found that nothing is there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F  # noqa: N812

import dlcache

base, number = sys.argv[1], int(sys.argv[2])
settings = {
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
spark = dlcache.configure(SparkSession.builder.master("local[1]").config(map=settings)).getOrCreate()
spark.sparkContext.setLogLevel("ERROR")


def meeting(places: str) -> Callable[[int], int]:
    def meet(i: int) -> int:
        if i % 10 == 0:
            with open(f"{places}/arrived", "wb", buffering=0) as arrived:
                arrived.write(b".")
            with open(f"{places}/gate", "rb", buffering=0) as gate:
                gate.read(1)
        return i

    return meet


def rows(start: int) -> Any:
    meet = F.udf(meeting(base), "long")
    return spark.range(start, start + 10, 1, 1).select(meet("id").alias("id"))


steps: tuple[Callable[[], dlcache.Dataset], ...] = (
    lambda: dlcache.cache(rows(0), root=f"{base}/root", key="one", progress=False),
    lambda: dlcache.cache(rows(number * 10), f"{base}/appended", mode="append", progress=False),
    lambda: dlcache.cache(spark.range(0, 1000, 1, 2), root=f"{base}/root", progress=False),
)
print(json.dumps("ready"), flush=True)
for step in steps:
    sys.stdin.readline()
    result = step().result
    print(json.dumps([result.hit, result.path, result.digest, result.version, result.rows]), flush=True)
sys.stdin.readline()
spark.stop()
