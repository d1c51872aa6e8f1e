"""What happens to a reader whose shards are taken away or changed while it reads. Real processes: a fault of the memory
map would end ours."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache

SCRIPT = """
import json, sys
import dlcache
for batch in dlcache.load(sys.argv[1]).numpy(100, threads=0, prefetch=1):
    print(json.dumps(batch["x"].tolist()), flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Two shards of 20,000 rows, many pages of memory each."""
    rows = pa.table({"x": np.arange(40_000)})
    return write(tmp_path / "train", rows, shard_rows=20_000, row_group_rows=20_000)


@contextmanager
def reader(dataset: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that reads one batch for each line that it is sent, after the first one."""
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(dataset)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert batch_of(process) == list(range(100))
        yield process
    finally:
        process.kill()
        process.communicate()


def batch_of(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    batch: list[int] = json.loads(process.stdout.readline())
    return batch


def rest_of(process: subprocess.Popen[str]) -> tuple[list[int], str]:
    """The rows that still come, and what is said at the end."""
    out, err = process.communicate("\n" * 1000)
    return [number for line in out.splitlines() for number in json.loads(line)], err


def assert_first_shard(rows: list[int]) -> None:
    """Rows from 100 on, in order, most of the first shard and none of the second. Batches that are read at once with
    rows of the second shard do not come."""
    assert rows == list(range(100, 100 + len(rows)))
    assert 10_000 < len(rows) < 20_000


def shards(dataset: Path) -> list[Path]:
    return [dataset / path for path in dlcache.load(dataset).manifest.shards.paths]


def test_a_shard_that_is_mapped_can_be_deleted(dataset: Path) -> None:
    first, second = shards(dataset)
    with reader(dataset) as process:
        first.unlink()
        second.unlink()
        rows, error = rest_of(process)
    assert_first_shard(rows)
    assert "ShardError" in error
    assert f"{second} is missing" in error


def test_a_shard_that_is_cut_before_it_is_mapped_is_named(dataset: Path) -> None:
    _, second = shards(dataset)
    with reader(dataset) as process:
        os.truncate(second, 4096)
        rows, error = rest_of(process)
    assert_first_shard(rows)
    assert f"{second} has 4096 bytes" in error


@pytest.mark.skipif(not hasattr(signal, "SIGBUS"), reason="no such signal here")
def test_a_shard_that_is_cut_in_place_while_it_is_mapped_ends_the_process(dataset: Path) -> None:
    """The limit of a memory map. No wrong row is delivered; nothing of dlcache ever changes a shard in place."""
    first, _ = shards(dataset)
    with reader(dataset) as process:
        os.truncate(first, 8192)
        rows, _ = rest_of(process)
    assert process.returncode == -signal.SIGBUS
    assert rows == list(range(100, 100 + len(rows)))


def test_a_reader_that_is_killed_is_in_nobodys_way(dataset: Path) -> None:
    with reader(dataset) as process:
        assert len(list(dataset.glob("_dlcache/leases/*.json"))) == 1
        with pytest.raises(dlcache.InUseError):
            dlcache.load(dataset).delete()
        process.kill()
        process.wait()
    dlcache.gc(dataset, grace=0, retention=0)
    assert not list(dataset.glob("_dlcache/leases/*"))
    assert dlcache.verify(dataset)
    dlcache.load(dataset).delete()
    assert not dataset.exists()
