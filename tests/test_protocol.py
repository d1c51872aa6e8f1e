"""The protocol of docs/format.md, 5-7, in every order of its operations: nothing that was acknowledged is lost."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from protocol_model import FOREIGN, Explorer, Program, ViolationError, World, dataset
from protocol_programs import (
    LATER,
    clock,
    collector,
    deleter,
    old_collector,
    old_deleter,
    old_writer,
    reader,
    sequence,
    writer,
)

APPEND, OVERWRITE = writer("append"), writer("overwrite")


@pytest.mark.parametrize(
    ("programs", "versions", "loss"),
    [
        pytest.param({1: old_writer, 2: old_collector}, 1, r"lacks \['data/", id="gc takes shards just published"),
        pytest.param({1: old_writer, 2: old_deleter}, 1, r"lacks \['data/", id="a deletion sees no lease"),
        pytest.param(
            {1: old_writer, 2: sequence(old_writer, old_writer), 3: old_collector},
            1,
            "version 2 is published after",
            id="a number is used twice",
        ),
    ],
)
def test_the_old_order_loses_a_version(programs: dict[int, Program], versions: int, loss: str) -> None:
    with pytest.raises(ViolationError, match=loss):
        Explorer(dataset(versions), programs).run()


SWITCHES = int(os.environ.get("DLCACHE_SWITCHES", "1"))
"""How often a program of three may be interrupted. `make test-protocol`, nightly, takes 2."""


def scene(versions: int, *programs: Program, crashes: bool = False, **options: Any) -> Explorer:
    """Two programs in all orders, and killed at any operation with `crashes`; more in the orders of `SWITCHES`."""
    numbered = dict(enumerate(programs, 1))
    switches = None if len(programs) == 2 else SWITCHES
    killed = frozenset(numbered) if crashes else frozenset()
    return Explorer(dataset(versions), numbered, switches, killed, finish=collects, **options)


def scenes() -> dict[str, Explorer]:
    return {
        "append, gc": scene(2, APPEND, collector(), crashes=True),
        "append, deletion": scene(1, APPEND, deleter, crashes=True),
        "overwrite, gc": scene(1, OVERWRITE, collector(), crashes=True),
        "overwrite, deletion": scene(1, OVERWRITE, deleter, crashes=True),
        "reader, deletion": scene(1, reader, deleter, crashes=True),
        "append, gc that keeps for a week": scene(2, APPEND, collector(LATER)),
        "slow append, two appends, gc": scene(1, APPEND, sequence(APPEND, APPEND), collector()),
        "append, overwrite, gc": scene(1, APPEND, OVERWRITE, collector()),
        "append, append, gc": scene(1, APPEND, APPEND, collector()),
        "append, reader, gc": scene(1, APPEND, reader, collector()),
        "overwrite, reader, gc": scene(1, OVERWRITE, reader, collector(), crashes=True),
        "append, reader, deletion": scene(1, APPEND, reader, deleter, crashes=True),
        "append, gc, gc": scene(2, APPEND, collector(), collector()),
        "append, deletion, gc": scene(1, APPEND, deleter, collector(), crashes=True),
        "overwrite, deletion, deletion": scene(1, OVERWRITE, deleter, deleter),
        "append, deletion then append, deletion": scene(1, APPEND, sequence(deleter, APPEND), deleter),
        "append, gc, and the lease expires": scene(2, APPEND, collector(), clock),
        "first writes, gc": scene(0, APPEND, OVERWRITE, collector(), crashes=True),
        "two writers, a reader, gc": scene(1, APPEND, OVERWRITE, reader, collector()),
        "no links": scene(1, writer("append", claims=True), writer("overwrite", claims=True), collector()),
        "a store that shows files before they are whole": scene(1, APPEND, reader, collector(), scheme="hdfs"),
        "listings of several pages": scene(1, APPEND, sequence(OVERWRITE, collector()), pages=2),
    }


def alone(world: World, program: Program, pid: int) -> World:
    """The state after a program ran with no other beside it."""
    explorer = Explorer(world, {pid: program})
    explorer.run()
    return explorer.last


def collects(world: World) -> None:
    """When all programs have ended, `gc` leaves the current version and nothing else."""
    for pid in (98, 99):
        world = alone(World(world.files, frozenset(range(90))), collector(), pid)
    files = dict(world.files)
    manifests = sorted(path for path in files if path.startswith("_dlcache/0"))
    shards = {entry["path"] for path in manifests[-1:] for entry in json.loads(files[path])["shards"]}
    assert set(files) == {FOREIGN, *manifests[-1:], *shards}


@pytest.mark.parametrize("name", scenes())
def test_nothing_is_lost(name: str) -> None:
    assert scenes()[name].run() > 100
