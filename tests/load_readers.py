"""The large and the many, on one machine: `make test-load`. Not a part of `make test`; docs/reliability.md says what it
has measured and when. The limits asserted here are the promises of that document, with room for a slow machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache

pytestmark = pytest.mark.timeout(900)


def in_a_process(script: str, *arguments: object) -> dict[str, Any]:
    """What a script says in a process of its own, as JSON; its memory is nobody else's."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"\n{os.environ['PYTEST_CURRENT_TEST']}: {answer}")
    return answer


PRELUDE = """
import json, sys, time
import dlcache
import numpy as np
def rss():  # the peak; that of getrusage begins with the parent's
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) // 1024
before, started = rss(), time.perf_counter()
"""


def test_twenty_thousand_shards_open_and_plan(tmp_path: Path) -> None:
    rows = pa.table({"x": np.arange(100), "y": np.ones((100,), np.float32)})
    root = write(tmp_path / "many", rows)
    (path,) = (root / "_dlcache").glob("*.json")
    document = json.loads(path.read_text())
    (shard,) = document["shards"]
    count = 20_000
    document["shards"] = [{**shard, "path": f"data/part-0-{uuid.UUID(int=n)}.parquet"} for n in range(count)]
    document["rows"], document["bytes"] = 100 * count, shard["bytes"] * count
    path.write_text(json.dumps(document))
    for entry in document["shards"]:
        os.link(root / shard["path"], root / entry["path"])
    script = """
dataset = dlcache.load(sys.argv[1])
opened = time.perf_counter() - started
loader = dataset.numpy(256, shuffle=True, threads=0)
batch = next(iter(loader))
first = time.perf_counter() - started
assert len(dataset) == 2_000_000 and len(batch["x"]) == 256
print(json.dumps({"open_seconds": opened, "first_batch_seconds": first, "MiB": rss() - before}))
"""
    answer = in_a_process(PRELUDE + script, root)
    assert answer["open_seconds"] < 5
    assert answer["MiB"] < 400


def test_fifty_million_rows_stream_with_flat_memory(tmp_path: Path) -> None:
    rows = pa.table({"x": np.arange(1_000_000), "y": np.ones(1_000_000, np.float32)})
    root = write(tmp_path / "long", rows, row_group_rows=1 << 20)
    (path,) = (root / "_dlcache").glob("*.json")
    document = json.loads(path.read_text())
    (shard,) = document["shards"]
    document["shards"] = [{**shard, "path": f"data/part-0-{uuid.UUID(int=n)}.parquet"} for n in range(50)]
    document["rows"], document["bytes"] = 50_000_000, shard["bytes"] * 50
    path.write_text(json.dumps(document))
    for entry in document["shards"]:
        os.link(root / shard["path"], root / entry["path"])
    script = """
def anonymous():
    return int(next(line for line in open("/proc/self/status") if line.startswith("RssAnon")).split()[1]) // 1024
total, sums, seen = 0, 0, []
for shuffle in (False, True):
    for number, batch in enumerate(dlcache.load(sys.argv[1]).numpy(8192, shuffle=shuffle)):
        total += len(batch["x"]); sums += int(batch["x"][0])
        if number % 600 == 0: seen.append(anonymous())
print(json.dumps({"rows": total, "anonymous_MiB": seen, "seconds": time.perf_counter() - started}))
"""
    answer = in_a_process(PRELUDE + script, root)
    assert answer["rows"] == 100_000_000
    half = answer["anonymous_MiB"][len(answer["anonymous_MiB"]) // 2 :]
    assert max(half) - min(half[1:]) < 300


def test_sixteen_processes_share_one_dataset(tmp_path: Path) -> None:
    width, count = 512, 100_000
    values = np.random.default_rng(0).random((count, width), np.float32)
    array = pa.FixedSizeListArray.from_arrays(values.reshape(-1), width).cast(pa.list_(pa.float32()))
    root = write(tmp_path / "shared", pa.table({"x": array}), row_group_rows=25_000)
    script = """
dataset = dlcache.load(sys.argv[1])
rows = 0
for batch in dataset.numpy(256, shuffle=True, threads=0, seed=int(sys.argv[2])):
    rows += len(batch["x"])
print(json.dumps({"rows": rows}), flush=True)
sys.stdin.readline()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    readers = [
        subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(root), str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for number in range(16)
    ]
    try:
        for reader in readers:
            assert reader.stdout is not None
            assert json.loads(reader.stdout.readline()) == {"rows": count}
        shard = str(root / dlcache.load(root).manifest.shards.paths[0])
        mapped = [mapping_of(reader.pid, shard) for reader in readers]
    finally:
        for reader in readers:
            reader.communicate("\n")
    size = dlcache.load(root).manifest.bytes
    pss, rss = sum(m["Pss"] for m in mapped), sum(m["Rss"] for m in mapped)
    print(f"\n16 readers of {size >> 20} MiB: RSS of the maps {rss >> 20} MiB in all, PSS {pss >> 20} MiB")
    assert rss > 12 * size
    assert pss < 1.2 * size
    assert all(m["Private_Dirty"] == 0 for m in mapped)


def mapping_of(process: int, path: str) -> dict[str, int]:
    """What of a file a process has in memory, in bytes, as Linux counts it."""
    found: dict[str, int] = {"Pss": 0, "Rss": 0, "Private_Dirty": 0}
    ours = False
    for line in Path(f"/proc/{process}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if "-" in name.split(" ")[0]:
            ours = line.endswith(path)
        elif ours and name in found:
            found[name] += int(rest.split()[0]) * 1024
    return found


def test_a_thousand_columns(tmp_path: Path) -> None:
    names = [f"c{number:04}" for number in range(1000)]
    rows = pa.table({name: np.arange(2000) + number for number, name in enumerate(names)})
    root = write(tmp_path / "wide", rows, shard_rows=1000)
    started = time.perf_counter()
    dataset = dlcache.load(root)
    batches = list(dataset.numpy(500, shuffle=True))
    stacked = list(dataset.numpy(500, stack={"x": names}))
    print(f"\n1,000 columns, 2,000 rows, twice: {time.perf_counter() - started:.2f} s")
    assert all(np.array_equal(batch["c0999"] - 999, batch["c0000"]) for batch in batches)
    assert stacked[0]["x"].shape == (500, 1000)


def test_a_binary_value_of_200_megabytes(tmp_path: Path) -> None:
    value = np.random.default_rng(0).bytes(200_000_000)
    root = write(tmp_path / "large", pa.table({"x": [b"small", value], "id": [0, 1]}))
    batches = list(dlcache.load(root).numpy(1))
    assert batches[0]["x"][0] == b"small"
    assert batches[1]["x"][0] == value
    assert dlcache.verify(root)
