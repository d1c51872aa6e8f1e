"""What an iteration leaves behind: nothing, however it ends. And states are exact, whatever changes in between."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import chain, islice
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache

ROWS = 230
PACKAGE = Path(__file__).parent.parent / "python"


def table(rows: int = ROWS) -> pa.Table:
    ids = np.arange(rows)
    return pa.table(
        {
            "id": ids,
            "x": pa.array((ids[:, None] + np.arange(4)).tolist(), pa.list_(pa.float32())),
            "map": pa.array([[(str(i), i)] for i in ids], pa.map_(pa.string(), pa.int64())),
        }
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table(), shard_rows=90, row_group_rows=25))


@pytest.fixture(autouse=True)
def no_garbage() -> None:
    """What tests before have left to the garbage collector goes before anything is counted."""
    gc.collect()


def held() -> dict[str, Any]:
    """What this process holds: threads, child processes and open files."""
    files = []
    for name in os.listdir("/proc/self/fd"):
        try:
            files.append(os.readlink(f"/proc/self/fd/{name}"))
        except FileNotFoundError:  # the listing's own
            continue
    threads = sorted(thread.name for thread in threading.enumerate())
    return {"threads": threads, "files": sorted(files), "children": multiprocessing.active_children()}


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")


# However it ends

Stage = Callable[[Path], tuple[dlcache.Dataset, dict[str, Any]]]


def gather_fails(tmp_path: Path) -> tuple[dlcache.Dataset, dict[str, Any]]:
    loaded = dlcache.load(write(tmp_path, table(), shard_rows=60))
    os.remove(tmp_path / loaded.manifest.shards.paths[2])
    return loaded, {"columns": ["id"]}


def decode_fails(tmp_path: Path) -> tuple[dlcache.Dataset, dict[str, Any]]:
    """A compressed shard whose pages are overwritten: its footer is as it was."""
    loaded = dlcache.load(write(tmp_path, table(), shard_rows=60, compression="zstd"))
    path = tmp_path / loaded.manifest.shards.paths[2]
    blob = bytearray(path.read_bytes())
    blob[4 : len(blob) // 2] = b"\xff" * (len(blob) // 2 - 4)
    path.write_bytes(blob)
    return loaded, {"columns": ["map"]}


def transform_fails(tmp_path: Path) -> tuple[dlcache.Dataset, dict[str, Any]]:
    loaded = dlcache.load(write(tmp_path, table(), shard_rows=60))
    return loaded, {"columns": ["id"], "transform": dlcache.TransformSpec(fail_late, edit_fields=[])}


def transform_in_processes_fails(tmp_path: Path) -> tuple[dlcache.Dataset, dict[str, Any]]:
    loaded = dlcache.load(write(tmp_path, table(), shard_rows=60))
    spec = dlcache.TransformSpec(fail_late, edit_fields=[], num_processes=2)
    return loaded, {"columns": ["id"], "transform": spec}


def fail_late(batch: dict[str, Any]) -> dict[str, Any]:
    if batch["id"].max() > 150:
        raise ValueError("no good")
    return batch


@needs_proc
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("threads", [0, 2])
@pytest.mark.parametrize(
    ("stage", "error"),
    [
        (gather_fails, dlcache.ShardError),
        (decode_fails, dlcache.ShardError),
        (transform_fails, dlcache.TransformError),
        (transform_in_processes_fails, dlcache.TransformError),
    ],
)
def test_an_error_is_raised_once_and_leaves_nothing(
    tmp_path: Path,
    stage: Stage,
    error: type[Exception],
    threads: int,
) -> None:
    resource_tracker.ensure_running()  # Python's own, which stays
    before = held()
    loaded, options = stage(tmp_path)
    loader = loaded.numpy(10, threads=threads, **options)
    iterator = iter(loader)
    read = 0
    with pytest.raises(error):
        for batch in iterator:
            read += 1
            del batch  # it may be a view of a mapped file
    assert read < len(loader)
    assert list(iterator) == []
    assert held()["threads"] == before["threads"]
    assert held()["children"] == before["children"]
    del iterator, loader, loaded, options
    gc.collect()
    assert held() == before


@needs_proc
@pytest.mark.parametrize("threads", [0, 2])
def test_an_error_of_the_conversion_and_of_the_consumer_leaves_nothing(dataset: dlcache.Dataset, threads: int) -> None:
    pytest.importorskip("torch")
    list(dataset.torch(10, columns=["id"], threads=threads))
    before = held()

    def unfit(batch: dict[str, Any]) -> dict[str, Any]:
        return {"when": batch["id"].astype("datetime64[s]")}

    with pytest.raises(dlcache.ColumnError, match="datetime64"):
        list(dataset.torch(10, columns=["id"], threads=threads, transform=unfit))
    assert held() == before
    with pytest.raises(ZeroDivisionError):
        for batch in dataset.torch(10, columns=["id"], threads=threads):
            _ = 1 // int(batch["id"][0] < 50)
    assert held() == before


@needs_proc
@pytest.mark.parametrize("threads", [0, 2])
def test_leaving_in_the_middle_leaves_nothing(tmp_path: Path, threads: int) -> None:
    write(tmp_path, table(), shard_rows=90, row_group_rows=25)
    before = held()
    with dlcache.load(tmp_path) as loaded:
        loader = loaded.numpy(10, shuffle=True, columns=["id", "x"], threads=threads)
        for number, _ in enumerate(loader):
            if number == 3:
                break
        one, other = iter(loader), iter(loader)
        for _ in range(4):
            assert not np.array_equal(next(one)["id"], next(other)["id"])
        del one, other
    assert held()["threads"] == before["threads"]
    del loaded, loader
    gc.collect()
    assert held() == before
    assert not list(tmp_path.glob("_dlcache/leases/*"))


FLAT = """
import sys, dlcache
def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
dataset = dlcache.load(sys.argv[1])
loader = dataset.numpy(64, shuffle=True, threads=2, transform=lambda batch: {"x": batch["x"] * 2, "id": batch["id"]})
after = []
for epoch in range(20):
    for batch in loader:
        pass
    after.append(anonymous())
print(max(after[4:]) - max(after[:4]), loader.metrics()["bytes"])
"""


@needs_proc
def test_memory_stays_flat_over_many_epochs(tmp_path: Path) -> None:
    rows = 20_000
    x = pa.FixedSizeListArray.from_arrays(np.zeros(rows * 256, np.float32), 256).cast(pa.list_(pa.float32()))
    write(tmp_path, pa.table({"id": np.arange(rows), "x": x}), shard_rows=6_000, row_group_rows=2_000)
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", FLAT, str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    grown, delivered = map(float, done.stdout.split())
    assert delivered > 20 * rows * 1024
    assert grown < 16 * 1024, "KiB of anonymous memory"


# States


def global_steps(loaders: list[Any]) -> Iterator[list[int]]:
    for parts in zip(*loaders, strict=True):
        yield list(chain(*(part["id"].tolist() for part in parts)))


@settings(max_examples=40)
@given(
    world=st.sampled_from([1, 2, 3, 4, 6]),
    later=st.sampled_from([1, 2, 3, 4, 6]),
    remainder=st.sampled_from(["pad", "mask", "drop"]),
    epochs=st.sampled_from([1, 3, None]),
    options=st.fixed_dictionaries(
        {"shuffle": st.just(True)}, optional={"shuffle_window": st.integers(1, 300), "seed": st.integers(0, 9)}
    ),
    reading=st.fixed_dictionaries({"threads": st.sampled_from([0, 2]), "prefetch": st.sampled_from([1, 1 << 20])}),
    transformed=st.booleans(),
    data=st.data(),
)
def test_a_state_is_exact_in_another_world(
    dataset: dlcache.Dataset,
    world: int,
    later: int,
    remainder: Any,
    epochs: int | None,
    options: dict[str, Any],
    reading: dict[str, Any],
    transformed: bool,
    data: st.DataObject,
) -> None:
    """Every rank's state at any step, loaded by other ranks, that read ahead in another way."""
    transform = dlcache.TransformSpec(lambda batch: batch, edit_fields=[]) if transformed else None
    options = {**options, "columns": ["id"], "remainder": remainder, "epochs": epochs}

    def ranks(world_size: int, **other: Any) -> list[Any]:
        return [
            dataset.numpy(24 // world_size, rank=rank, world_size=world_size, **options, **other)
            for rank in range(world_size)
        ]

    whole = list(islice(global_steps(ranks(1, threads=0)), 25))
    stop = data.draw(st.integers(0, len(whole) - 1))
    loaders = ranks(world, transform=transform, **reading)
    assert list(islice(global_steps(loaders), stop)) == whole[:stop]
    states = [json.dumps(loader.state_dict()) for loader in loaders]
    assert len(set(states)) == 1
    assert len(states[0]) < 400
    resumed = ranks(later, threads=0)
    for loader in resumed:
        loader.load_state_dict(json.loads(states[0]))
    assert list(islice(global_steps(resumed), len(whole) - stop)) == whole[stop:]
