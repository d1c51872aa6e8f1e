"""A store that does not answer delays nobody who need not wait for it: a `break`, Ctrl-C and errors end at once, other
datasets are read, and the garbage collector makes no request.

Requests stall until the test says otherwise, so what returns before that has not waited for them.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import _s3
import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache import _reading

SHARD_ROWS, ROWS = 20, 80


@pytest.fixture
def s3() -> Iterator[_s3.S3]:
    with _s3.serving() as server:
        yield server


@pytest.fixture
def local(tmp_path: Path) -> Path:
    table = pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 2})
    return write(tmp_path / "local", table, shard_rows=SHARD_ROWS, row_group_rows=10)


@pytest.fixture
def dataset(s3: _s3.S3, local: Path, tmp_path: Path) -> dlcache.Dataset:
    options = s3.options | {"request_timeout": 120.0, "connect_timeout": 120.0}
    return dlcache.load(s3.upload(local, "train"), storage_options=options, cache_dir=tmp_path / "mirror")


def stall_shard(s3: _s3.S3, dataset: dlcache.Dataset, number: int) -> None:
    path = dataset.manifest.shards.paths[number]
    s3.stalls = lambda request: request.method == "GET" and request.key.endswith(path)


def in_time(act: Callable[[], object]) -> None:
    """Run `act` in a thread; fail if it waits for what stalls."""
    failures: list[BaseException] = []

    def run() -> None:
        try:
            act()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    assert not failures


def interrupt(s3: _s3.S3, act: Callable[[], object]) -> None:
    """Press Ctrl-C as soon as a request stalls."""
    main = threading.main_thread().ident
    assert main is not None

    def press() -> None:
        assert s3.waiting.acquire(timeout=60)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        act()
    thread.join()
    assert not s3.resume.is_set()


@pytest.mark.parametrize("options", [{"threads": 2}, {"threads": 2, "shuffle": True, "shuffle_window": 10}])
def test_a_break_does_not_wait_for_a_shard_that_is_on_its_way(
    s3: _s3.S3, dataset: dlcache.Dataset, options: dict[str, Any]
) -> None:
    loader = dataset.numpy(5, **options)
    first = next(iter(dataset.numpy(5, **(options | {"threads": 0}))))["id"][0] // SHARD_ROWS
    stalled = [number for number in range(4) if number != first]
    paths = [dataset.manifest.shards.paths[number] for number in stalled]
    s3.stalls = lambda request: request.method == "GET" and request.key.endswith(tuple(paths))
    empty = {"cache_dir": f"{dataset.store.mirror.folder}-2", "storage_options": dataset.store.storage_options}
    batches = iter(dlcache.load(dataset.path, **empty).numpy(5, **options))  # type: ignore[arg-type]
    assert len(loader) == ROWS // 5
    assert len(next(batches)["id"]) == 5
    assert s3.waiting.acquire(timeout=60)
    in_time(batches.close)  # type: ignore[attr-defined]
    assert not any(thread.name.startswith("dlcache-gather") for thread in threading.enumerate())


def test_an_error_in_the_loop_does_not_wait_either(s3: _s3.S3, dataset: dlcache.Dataset) -> None:
    stall_shard(s3, dataset, 1)

    def fail() -> None:
        with pytest.raises(ZeroDivisionError):
            for _ in dataset.numpy(5, threads=2):
                assert s3.waiting.acquire(timeout=60)
                _ = 1 / 0

    in_time(fail)


def test_what_was_left_on_its_way_can_be_read_later(s3: _s3.S3, dataset: dlcache.Dataset) -> None:
    stall_shard(s3, dataset, 1)
    batches = iter(dataset.numpy(5, threads=2))
    next(batches)
    assert s3.waiting.acquire(timeout=60)
    batches.close()  # type: ignore[attr-defined]
    s3.stalls = None
    s3.resume.set()
    assert np.concatenate([batch["id"] for batch in dataset.numpy(5)]).tolist() == list(range(ROWS))


@pytest.mark.parametrize("threads", [0, 2])
def test_ctrl_c_ends_an_iteration_that_waits_for_a_shard(s3: _s3.S3, dataset: dlcache.Dataset, threads: int) -> None:
    stall_shard(s3, dataset, 0)
    interrupt(s3, lambda: next(iter(dataset.numpy(5, threads=threads))))


ACTS: dict[str, Callable[[dlcache.Dataset], object]] = {
    "gather": lambda dataset: dataset.gather([1]),
    "filter": lambda dataset: dataset.filter(("id", "<", 5)),
    "verify": lambda dataset: dataset.verify(),
}


@pytest.mark.parametrize("name", ACTS)
def test_ctrl_c_ends_every_read(s3: _s3.S3, dataset: dlcache.Dataset, name: str) -> None:
    stall_shard(s3, dataset, 0)
    interrupt(s3, lambda: ACTS[name](dataset))


def test_ctrl_c_ends_load_and_the_opening_of_a_lease(s3: _s3.S3, dataset: dlcache.Dataset) -> None:
    s3.stalls = lambda request: request.method == "GET" and request.key.endswith(".json")
    interrupt(s3, lambda: dlcache.load(dataset.path, storage_options=dict(dataset.store.storage_options)))
    s3.stalls = lambda request: "/leases/" in request.key
    interrupt(s3, dataset.hold)
    assert not _reading.own_leases(dataset.store)


SCRIPT = """
import json, sys, dlcache
options = json.loads(sys.argv[2])
dataset = dlcache.load(sys.argv[1], storage_options=options, cache_dir=sys.argv[3])
for batch in dataset.numpy(5, threads=2):
    print(len(batch["id"]), flush=True)
"""


def test_ctrl_c_ends_a_script(s3: _s3.S3, dataset: dlcache.Dataset, tmp_path: Path) -> None:
    stall_shard(s3, dataset, 1)
    options = {name: value for name, value in dataset.store.storage_options.items() if name != "retry_strategy"}
    environment = os.environ | {"PYTHONPATH": str(Path(dlcache.__file__).parent.parent)}
    command = [sys.executable, "-c", SCRIPT, dataset.path, json.dumps(options), str(tmp_path / "other")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "5\n"
        assert s3.waiting.acquire(timeout=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == -signal.SIGINT
    assert not [key for key in s3.objects if "/leases/" in key and key.endswith(".json")]


def test_a_store_that_stalls_delays_no_other_dataset(s3: _s3.S3, dataset: dlcache.Dataset, local: Path) -> None:
    s3.stalls = lambda request: "/leases/" in request.key
    waiting = threading.Thread(target=dataset.hold)
    waiting.start()
    assert s3.waiting.acquire(timeout=60)
    here = dlcache.load(local)
    in_time(lambda: here.gather([1]))
    in_time(here.close)
    s3.resume.set()
    waiting.join()
    dataset.close()


def test_the_garbage_collector_makes_no_request(s3: _s3.S3, dataset: dlcache.Dataset) -> None:
    part = dataset.select(["id"])
    part.gather([1])
    (key,) = [key for key in s3.objects if "/leases/" in key and key.endswith(".json")]
    s3.stalls = lambda request: "/leases/" in request.key
    requests = len(s3.requests)

    def forget() -> None:
        nonlocal part
        del part
        gc.collect()

    in_time(forget)
    assert s3.waiting.acquire(timeout=60)  # a thread has taken it over
    assert len(s3.requests) == requests + 1
    assert key in s3.objects
    s3.resume.set()
    done = threading.Event()
    assert _reading._HOLDER._drops is not None
    _reading._HOLDER._drops.put(done.set)
    assert done.wait(60)
    assert key not in s3.objects
