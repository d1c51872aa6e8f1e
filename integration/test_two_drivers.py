"""Two Spark drivers, each a process of its own, write the same dataset at the same time."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import dlcache

SCRIPT = Path(__file__).with_name("_two_drivers_script.py")
SECONDS = 300


class Drivers:
    """Two drivers that write when they are told to, and the pipes at which they meet."""

    def __init__(self, base: Path) -> None:
        self.base = base
        for name in ("arrived", "gate"):
            os.mkfifo(base / name)
        # For reading and writing, so that nobody waits for the other end to open.
        self._arrived = os.open(base / "arrived", os.O_RDWR)
        self._gate = os.open(base / "gate", os.O_RDWR)
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(base), str(number)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYSPARK_PYTHON": sys.executable},
            )
            for number in range(2)
        ]

    def answers(self) -> list[Any]:
        """What each driver says next."""
        return [json.loads(self._line(process)) for process in self._processes]

    def write(self, *, meet: bool) -> list[Any]:
        """Both write. With `meet` both jobs are at work before any row is there."""
        self.go()
        if meet:
            for _ in self._processes:
                assert select.select([self._arrived], [], [], SECONDS)[0], "a driver has not come"
                os.read(self._arrived, 1)
            os.write(self._gate, b"..")
        return self.answers()

    def go(self) -> None:
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()

    @staticmethod
    def _line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        assert select.select([process.stdout], [], [], SECONDS)[0], "a driver says nothing"
        return process.stdout.readline()

    def end(self) -> None:
        """Both end by themselves."""
        self.go()
        for process in self._processes:
            assert process.wait(SECONDS) == 0

    def close(self) -> None:
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with process:
                pass
        os.close(self._arrived)
        os.close(self._gate)


@pytest.fixture
def drivers(tmp_path: Path) -> Iterator[Drivers]:
    drivers = Drivers(tmp_path)
    try:
        yield drivers
    finally:
        drivers.close()


def files(directory: Path) -> set[str]:
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def named(dataset: dlcache.Dataset) -> set[str]:
    """The files of a dataset and no others."""
    manifests = {f"_dlcache/{version:020d}.json" for version in dataset.store.versions()}
    return manifests | {str(path) for path in dataset.manifest.shards.paths}


def test_two_drivers_at_once(drivers: Drivers) -> None:
    assert drivers.answers() == ["ready", "ready"]

    # The same key: one publishes; the other discards what it wrote and has a hit.
    ends = drivers.write(meet=True)
    assert sorted(end[0] for end in ends) == [False, True]
    assert ends[0][1:] == ends[1][1:]
    path = Path(ends[0][1].removeprefix("file:"))
    dataset = dlcache.load(path)
    assert dataset.store.versions() == [1]
    assert sorted(int(i) for batch in dataset.numpy(batch_size=3) for i in batch["id"]) == list(range(10))
    assert files(path) == named(dataset)

    # Two appends to one path: both are there.
    ends = drivers.write(meet=True)
    assert sorted(end[3] for end in ends) == [1, 2]
    appended = dlcache.load(drivers.base / "appended")
    assert sorted(int(i) for batch in appended.numpy(batch_size=3) for i in batch["id"]) == list(range(20))
    assert files(drivers.base / "appended") == named(appended)

    # A plan key, started together, however they happen to run.
    ends = drivers.write(meet=False)
    assert ends[0][1:] == ends[1][1:]
    assert False in [end[0] for end in ends]
    planned = dlcache.load(Path(ends[0][1].removeprefix("file:")))
    assert (len(planned), planned.store.versions()) == (1000, [1])

    drivers.end()
    before = files(drivers.base)
    assert dlcache.gc(drivers.base / "root", grace=0, retention=0).bytes == 0
    assert dlcache.gc(drivers.base / "appended", grace=0).bytes == 0
    assert files(drivers.base) == before
    assert len(list((drivers.base / "root").iterdir())) == 2
    assert not list(drivers.base.glob("**/leases"))
