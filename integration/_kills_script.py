"""One process that kills.py kills: `ROLE BASE START`."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import dlcache

role, base, start = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
path = base / "set"


def write() -> None:
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    spark = dlcache.configure(SparkSession.builder.master("local[1]").config(map=settings)).getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    chance = random.Random(f"{role} {start}")
    first = int(role[-1]) * 10**9 + start * 10**6
    with open(base / f"{role}.acks", "a", encoding="utf-8", buffering=1) as acks:
        while True:
            mode = "overwrite" if chance.random() < 0.1 else "append"
            acks.write(json.dumps({"first": first, "mode": mode}) + "\n")
            rows = spark.range(first, first + 10, 1, 1)
            result = dlcache.cache(rows, path, mode=mode, progress=False).result
            acks.write(json.dumps({"first": first, "mode": mode, "version": result.version}) + "\n")
            first += 10


def read() -> None:
    while True:
        try:
            dataset = dlcache.load(path)
            rows = sum(len(batch["id"]) for batch in dataset.numpy(100, threads=1, shuffle=True))
            assert rows == len(dataset), (rows, len(dataset))
        except dlcache.NotADatasetError:
            continue  # there is none yet, or gc took the version before the reader had its lease


def collect() -> None:
    while True:
        try:
            report = dlcache.gc(path, grace=0, retention=0)
            assert not report.problems, report.problems
        except dlcache.NotADatasetError:
            continue


{"writer-1": write, "writer-2": write, "reader": read, "collector": collect}[role]()
