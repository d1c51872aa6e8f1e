"""Kills drivers, readers and collectors at random while they use one dataset, and checks that no acknowledged version
is lost or torn: `make test-kills`, nightly. `KILLS` says how many, `SEED` which.

Two Spark drivers append and overwrite, a reader iterates, and `gc` runs with grace and retention 0 all the time. Each
write says what it is about to write before it begins, and its version once it is acknowledged. So each version that is
current at a kill must hold what was acknowledged since the overwrite on which it rests.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlcache
from dlcache._files import Files

SCRIPT = Path(__file__).with_name("_kills_script.py")
ROLES = ("writer-1", "writer-2", "reader", "collector")
ROWS = 10
"""Rows of each write."""


class LostError(AssertionError):
    """A version that was acknowledged is not whole any more."""


@dataclass
class Actors:
    """The processes. One that is killed is started again."""

    base: Path
    random: random.Random

    def __post_init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._written: dict[str, int] = {}
        self._starts: Counter[str] = Counter()
        for role in ROLES:
            self._start(role)

    def kill_one(self) -> str:
        """Kill one; a driver only once a write of its own was acknowledged, since it takes long to start. Every second
        kill is a driver's, if one is ready: it is ready for a small part of the time."""
        drivers = [role for role in ROLES if role.startswith("writer") and not self._is_starting(role)]
        others = [role for role in ROLES if not role.startswith("writer")]
        role = self.random.choice(drivers if drivers and self.random.random() < 0.5 else others)
        self._kill(role)
        self._start(role)
        return role

    def check(self) -> None:
        """An actor ends by itself only if something is wrong."""
        for role, process in self._running.items():
            if process.poll() is not None:
                raise LostError(f"{role} ended with {process.returncode}:\n{self._log(role).read_text()[-3000:]}")

    def close(self) -> None:
        for role in list(self._running):
            self._kill(role)

    def _log(self, role: str) -> Path:
        return self.base / f"{role}.log"

    def _acks(self, role: str) -> int:
        """How many writes of a driver were acknowledged; no other role has any."""
        file = self.base / f"{role}.acks"
        return file.read_text().count('"version"') if file.exists() else 0

    def _is_starting(self, role: str) -> bool:
        return self._acks(role) == self._written[role]

    def _start(self, role: str) -> None:
        self._starts[role] += 1
        self._written[role] = self._acks(role)
        with open(self._log(role), "ab") as log:
            self._running[role] = subprocess.Popen(
                [sys.executable, str(SCRIPT), role, str(self.base), str(self._starts[role])],
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYSPARK_PYTHON": sys.executable},
            )

    def _kill(self, role: str) -> None:
        process = self._running.pop(role)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def acknowledged(base: Path) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, Any]]]:
    """The writes that were begun, by their first id, and those that were acknowledged, by their version."""
    begun: dict[int, dict[str, Any]] = {}
    done: dict[int, dict[str, Any]] = {}
    for log in sorted(base.glob("writer-*.acks")):
        for line in log.read_text().splitlines():
            entry = json.loads(line)
            if "version" not in entry:
                begun[entry["first"]] = entry
            elif entry["version"] in done:
                raise LostError(
                    f"version {entry['version']} was acknowledged twice: {done[entry['version']]} and {entry}"
                )
            else:
                done[entry["version"]] = entry
    return begun, done


def check(base: Path) -> int:
    """Check the current version, and give its number."""
    _, before = acknowledged(base)
    try:
        with dlcache.load(base / "set") as dataset:
            ids = [int(i) for batch in dataset.numpy(1000, threads=1) for i in batch["id"]]
            version, shards = dataset.version, dataset.manifest.shards
    except dlcache.NotADatasetError:
        if before:
            raise LostError("there is no dataset, although writes were acknowledged") from None
        return 0
    begun, _ = acknowledged(base)
    rests_on = int(min(shards.version))
    repeated = [i for i, times in Counter(ids).items() if times > 1]
    unknown = {i // ROWS * ROWS for i in ids} - set(begun)
    if repeated or unknown or len(ids) % ROWS:
        raise LostError(
            f"version {version} repeats {repeated[:5]}, has unknown rows {sorted(unknown)[:5]}, {len(ids)} rows"
        )
    for number, write in before.items():
        if number > version:
            raise LostError(f"version {number} was acknowledged, and {version} is current")
        rows = set(range(write["first"], write["first"] + ROWS))
        if number >= rests_on and not rows <= set(ids):
            raise LostError(f"version {version}, which rests on {rests_on}, lacks rows of version {number}: {write}")
        if number > rests_on and write["mode"] == "overwrite":
            raise LostError(f"version {version} rests on {rests_on}, but {number} was an overwrite")
    return version


def main() -> None:
    kills, seed = int(os.environ.get("KILLS", "200")), int(os.environ.get("SEED", time.time_ns() % 2**32))
    chance = random.Random(seed)
    killed: Counter[str] = Counter()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        base = Path(place)
        actors = Actors(base, chance)
        try:
            while sum(killed.values()) < kills:
                time.sleep(chance.expovariate(1.0))
                actors.check()
                killed[actors.kill_one()] += 1
                version = check(base)
                if sum(killed.values()) % 10 == 0:
                    seconds = time.monotonic() - started
                    print(f"{sum(killed.values())} kills in {seconds:.0f} s, version {version}", flush=True)
        except BaseException:
            print(f"failed with SEED={seed} after {dict(killed)}", flush=True)
            raise
        finally:
            actors.close()
        version = check(base)
        for _ in range(2):
            dlcache.gc(base / "set", grace=0, retention=0)
        left = {entry.path for entry in Files.of(base / "set").entries() if entry.kind == "file"}
        named = {f"_dlcache/{version:020d}.json", *dlcache.load(base / "set").manifest.shards.paths}
        if left != named:
            raise LostError(f"gc leaves {sorted(left - named)}, and lacks {sorted(named - left)}")
        begun, done = acknowledged(base)
        print(f"{dict(killed)}: {len(done)} of {len(begun)} writes acknowledged, none lost; version {version}")


if __name__ == "__main__":
    main()
