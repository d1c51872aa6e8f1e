from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._pace import Pace, Paces


@dataclass(frozen=True)
class World:
    """Seconds a step: of the consumer's own work, of making it with threads and without, and of processor time. held:
    by how much the consumer's own work takes longer beside threads."""

    own: float
    threaded: float
    alone: float
    computed: float
    held: float = 0.0

    def seconds(self, threads: bool) -> float:
        return max(self.own + self.held, self.threaded) if threads else self.own + self.alone

    def tell(self, pace: Pace, steps: int = 4) -> float:
        """One super-batch; gives its seconds."""
        threads, seconds = pace.threads, self.seconds(pace.threads) * steps
        own = (self.own + self.held * threads) * steps
        pace.delivered(steps, seconds, seconds - own, (self.computed if threads else self.alone) * steps)
        return seconds

    def run(self, pace: Pace, jobs: int) -> tuple[float, float]:
        """The seconds of so many super-batches, and the share of them that threads made."""
        with_threads = [(pace.threads, self.tell(pace)) for _ in range(jobs)]
        return sum(seconds for _, seconds in with_threads), sum(threads for threads, _ in with_threads) / jobs


BUSY = World(own=0.01, threaded=0.001, alone=0.001, computed=0.001)
PARALLEL = World(own=0.0001, threaded=0.01, alone=0.04, computed=0.04)
LOCKED = World(own=0.00005, threaded=0.0004, alone=0.00025, computed=0.0004)
WAITING = World(own=0.0, threaded=0.001, alone=0.004, computed=0.0001)
HELD = World(own=0.0001, threaded=0.00005, alone=0.00004, computed=0.00005, held=0.0001)
IDLE = World(own=0.01, threaded=0.0001, alone=0.0001, computed=0.0001)


@pytest.mark.parametrize("world", [IDLE, PARALLEL])
def test_threads_stay_where_they_do_nearly_nothing_and_where_they_share_the_work(world: World) -> None:
    assert world.run(Pace(), 2000)[1] == 1


def test_threads_are_hardly_left_where_the_consumer_is_busy() -> None:
    assert BUSY.run(Pace(), 4000)[1] > 0.95


@pytest.mark.parametrize("world", [LOCKED, HELD])
def test_threads_that_wait_for_each_other_or_let_the_consumer_wait_in_its_work_are_left(world: World) -> None:
    seconds, threaded = world.run(Pace(), 4000)
    assert threaded < 0.15
    assert seconds < 1.1 * 4000 * 4 * world.seconds(threads=False)


def test_where_a_disk_is_waited_for_threads_are_hardly_left() -> None:
    assert WAITING.run(Pace(), 4000)[1] > 0.95


@given(own=st.floats(0, 0.01), threaded=st.floats(1e-4, 0.01), alone=st.floats(0.2, 4), computed=st.floats(1e-5, 0.02))
def test_what_is_tried_costs_little(own: float, threaded: float, alone: float, computed: float) -> None:
    """Never much slower than with threads, whatever the processor times say."""
    world, pace = World(own, threaded, alone * threaded, computed), Pace()
    world.run(pace, 500)
    assert world.run(pace, 4000)[0] <= 1.1 * 4000 * 4 * world.seconds(threads=True)


@given(st.permutations([BUSY, PARALLEL, LOCKED, WAITING, HELD, IDLE]), st.integers(1, 2000))
def test_it_notices_when_things_change(worlds: list[World], jobs: int) -> None:
    pace = Pace()
    for world in worlds:
        world.run(pace, jobs)
    for world, threads in ((BUSY, True), (PARALLEL, True), (LOCKED, False), (WAITING, True), (HELD, False)):
        world.run(pace, 4000)
        assert (world.run(pace, 4000)[1] > 0.9) == threads


def test_what_was_learnt_is_for_one_iteration_at_a_time() -> None:
    paces = Paces()
    first = paces.take("a")
    assert paces.take("a") is not first
    paces.give_back("a", first)
    assert paces.take("b") is not first
    assert paces.take("a") is first
    given = [Pace() for _ in range(1000)]
    for number, pace in enumerate(given):
        paces.give_back(number, pace)
    kept = [paces.take(number) is pace for number, pace in enumerate(given)]
    assert kept == [False] * (1000 - sum(kept)) + [True] * sum(kept)
    assert 50 <= sum(kept) <= 100
