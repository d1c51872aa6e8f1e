"""What goes wrong on a cluster, with real processes: a Spark standalone cluster, executors and drivers that are killed,
disks that are full, stores that fail. After each fault the old rows are there, the new ones are wholly there or not at
all, and `gc` leaves nothing of what failed."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from integration import _cluster as parts

import dlcache

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cluster")


@pytest.fixture(scope="module")
def master(base: Path) -> Iterator[str]:
    with parts.cluster(base) as address:
        yield address


@pytest.fixture(scope="module")
def classes(base: Path) -> Path:
    return parts.compile_faults(base)


@pytest.fixture(scope="module")
def all_faults(base: Path) -> Iterator[parts.Faults]:
    faults = parts.Faults(base / "control")
    yield faults
    faults.close()


@pytest.fixture
def faults(all_faults: parts.Faults) -> Iterator[parts.Faults]:
    """No faults before a test, and none after it."""
    all_faults.clear()
    yield all_faults
    all_faults.clear()


def application(name: str, master: str, base: Path, classes: Path, faults: parts.Faults, **conf: str) -> parts.Driver:
    place = base / name
    place.mkdir()
    return parts.Driver(master, place, {}, **parts.fault_settings(classes, faults.control), **conf)


@pytest.fixture(scope="module")
def driver(master: str, base: Path, classes: Path, all_faults: parts.Faults) -> Iterator[parts.Driver]:
    with application("driver", master, base, classes, all_faults) as running:
        yield running


@pytest.fixture(scope="module")
def speculative(master: str, base: Path, classes: Path, all_faults: parts.Faults) -> Iterator[parts.Driver]:
    """A driver that starts a second attempt of a task that takes longer than others."""
    conf = {
        "spark.speculation": "true",
        "spark.speculation.interval": "50ms",
        "spark.speculation.minTaskRuntime": "50ms",
        "spark.speculation.multiplier": "1.1",
        "spark.speculation.quantile": "0.5",
    }
    with application("speculative", master, base, classes, all_faults, **conf) as running:
        yield running


OLD, NEW = range(20), range(1000, 1040)


class Target:
    """A dataset with 20 rows, seen through the store that can fail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = f"fault:{path}"

    def begin(self, driver: parts.Driver) -> None:
        assert driver.do("write", first=0, count=20, path=self.uri) == {}
        assert self.ids() == list(OLD)

    def ids(self, version: int | None = None) -> list[int]:
        dataset = dlcache.load(self.path, version=version)
        batches = list(dataset.numpy(7))
        ids = np.concatenate([batch["id"] for batch in batches])
        np.testing.assert_array_equal(
            np.concatenate([batch["features"] for batch in batches]), np.stack([ids, ids + 0.5, -ids], axis=1)
        )
        assert [text for batch in batches for text in batch["text"]] == [f"row {number}" for number in ids]
        return sorted(ids.tolist())

    def holds(self, expected: Sequence[int]) -> None:
        """These rows and no others; the old ones can still be read; nothing else is left after `gc`."""
        assert self.ids() == sorted(expected)
        assert self.ids(version=1) == list(OLD)
        dlcache.gc(self.path, grace=0, retention=0)
        self.is_clean(expected)

    def is_clean(self, expected: Sequence[int]) -> None:
        dataset = dlcache.load(self.path)
        left = sorted(str(path.relative_to(self.path)) for path in self.path.rglob("*") if path.is_file())
        assert left == sorted([f"_dlcache/{dataset.version:020d}.json", *dataset.manifest.shards.paths])
        assert dlcache.verify(self.path, pages=True)
        assert self.ids() == sorted(expected)


@pytest.fixture
def target(tmp_path: Path) -> Target:
    return Target(tmp_path / "dataset")


def overwrite(target: Target) -> dict[str, Any]:
    return {"first": NEW[0], "count": len(NEW), "path": target.uri, "mode": "overwrite"}


def test_write_hit_append_and_read_where_executors_are_processes(driver: parts.Driver, tmp_path: Path) -> None:
    path = str(tmp_path / "plain")
    rows = {"first": 0, "count": 20, "path": path}
    assert driver.do("write", **rows) == {}
    assert driver.do("write", **rows) == {}
    assert dlcache.load(path).version == 1
    assert "DLCACHE_KEY_MISMATCH" in driver.do("write", **{**rows, "first": 5})["error"]
    assert driver.do("write", **{**rows, "first": 20, "mode": "append"}) == {}
    assert driver.do("read", path=path)["ids"] == list(range(40))
    assert len({shard.split("-")[6] for shard in dlcache.load(path).manifest.shards.paths}) == 4
    assert driver.do("executors")["count"] == 2


def test_an_executor_is_killed_in_a_task(driver: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(driver)
    faults.at("shard", "hang")
    driver.ask("write", **overwrite(target))
    executor = faults.hung()
    assert target.ids() == list(OLD)
    os.kill(executor, signal.SIGKILL)
    assert driver.answer() == {}
    target.holds(NEW)


def test_a_task_fails_once(driver: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(driver)
    faults.at("shard", "fail")
    assert driver.do("write", **overwrite(target)) == {}
    assert faults.taken("shard")
    target.holds(NEW)


def test_a_task_is_run_twice_as_one_hangs(speculative: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(speculative)
    faults.at("shard", "hang")
    assert speculative.do("write", **overwrite(target)) == {}  # it would not end without the second attempt
    assert faults.hung()
    target.holds(NEW)


def test_the_disk_is_full(driver: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(driver)
    faults.at("shard", "full")
    assert "No space left on device" in driver.do("write", **overwrite(target))["error"]
    target.holds(OLD)
    faults.clear()
    assert driver.do("write", **overwrite(target)) == {}
    assert target.ids() == list(NEW)


@pytest.mark.parametrize("place", ["shard", "before-publish", "after-publish"])
def test_the_driver_is_killed(
    place: str, master: str, base: Path, classes: Path, target: Target, faults: parts.Faults, driver: parts.Driver
) -> None:
    target.begin(driver)
    with application(f"killed-{place}", master, base, classes, faults) as victim:
        faults.at(place, "hang")
        victim.ask("write", **overwrite(target))
        hung = faults.hung()
        victim.kill()
    parts.ended(hung)  # the driver's JVM, or an executor, which ends when its driver is gone
    expected = NEW if place == "after-publish" else OLD
    assert list((target.path / "_dlcache" / "leases").glob("*.json"))
    target.holds(expected)
    assert driver.do("write", **overwrite(target)) == {}
    assert target.ids() == list(NEW)


@pytest.mark.parametrize("place", ["before-publish", "after-publish"])
def test_the_store_fails_to_answer_a_publication(
    place: str, driver: parts.Driver, target: Target, faults: parts.Faults
) -> None:
    """Where the manifest is there and the answer is lost, the writer finds its own manifest."""
    target.begin(driver)
    faults.at(place, "fail")
    answer = driver.do("write", **overwrite(target))
    assert ("error" in answer) == (place == "before-publish")
    target.holds(OLD if "error" in answer else NEW)


def test_a_store_that_fails_every_eleventh_request(driver: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(driver)
    faults.every(11, "fail")
    before, failed = list(OLD), 0
    for number in range(1, 13):
        after = list(range(100 * number, 100 * number + 8))
        answer = driver.do("write", first=after[0], count=8, partitions=2, path=target.uri, mode="overwrite")
        now = target.ids()
        assert now == after if "error" not in answer else now in (before, after)
        before, failed = now, failed + ("error" in answer)
    assert 0 < failed < 12
    faults.clear()
    target.holds(before)


def test_a_store_that_stalls(driver: parts.Driver, target: Target, faults: parts.Faults) -> None:
    target.begin(driver)
    faults.every(5, "stall")
    assert driver.do("write", **overwrite(target)) == {}
    faults.clear()
    target.holds(NEW)


@pytest.mark.parametrize("mode", ["append", "overwrite"])
def test_ten_writers_at_once(
    mode: str, driver: parts.Driver, speculative: parts.Driver, target: Target, faults: parts.Faults
) -> None:
    target.begin(driver)
    firsts = range(100, 1100, 100)

    def writes(numbers: Sequence[int]) -> list[dict[str, Any]]:
        return [{"first": n, "count": 4, "partitions": 1, "path": target.uri, "mode": mode} for n in numbers]

    driver.ask("several", writes=writes(firsts[:5]))
    speculative.ask("several", writes=writes(firsts[5:]))
    assert driver.answer()["results"] == speculative.answer()["results"] == [{}] * 5
    each = [list(range(first, first + 4)) for first in firsts]
    assert dlcache.load(target.path).version == 11
    expected = [*OLD, *(number for rows in each for number in rows)] if mode == "append" else target.ids()
    assert mode == "append" or expected in each
    target.holds(expected)
