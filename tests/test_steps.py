from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache import OptionError
from dlcache._steps import Remainder, Steps

ROWS = st.integers(0, 500)
BATCH = st.integers(1, 40)
WORLD = st.integers(1, 8)


def of_rank(rows: int, batch: int, rank: int, world: int, remainder: Remainder) -> list[list[int]]:
    steps = Steps(rows, batch, rank, world, remainder)
    out = [steps.positions(step).tolist() for step in range(steps.count)]
    assert [len(positions) for positions in out] == [steps.size(step) for step in range(steps.count)]
    assert sum(map(len, out)) == steps.rows_of_rank
    return out


@given(ROWS, BATCH, WORLD, st.sampled_from(["drop", "pad", "mask"]))
def test_ranks_together_have_each_row_once(rows: int, batch: int, world: int, remainder: Remainder) -> None:
    ranks = [of_rank(rows, batch, rank, world, remainder) for rank in range(world)]
    assert len({len(steps) for steps in ranks}) == 1
    together = [position for steps in zip(*ranks, strict=True) for part in steps for position in part]
    assert together == list(range(len(together)))
    kept = rows // (batch * world) * (batch * world)
    if remainder == "drop":
        assert len(together) == kept
    else:
        assert rows <= len(together) < rows + batch * world


@given(ROWS, BATCH)
def test_exact_has_each_row_once(rows: int, batch: int) -> None:
    assert [p for step in of_rank(rows, batch, 0, 1, "exact") for p in step] == list(range(rows))


@given(st.integers(1, 300), st.sampled_from([1, 2, 3, 4, 6, 8, 12, 24]))
def test_the_global_order_does_not_know_the_world_size(rows: int, world: int) -> None:
    ranks = [of_rank(rows, 24 // world, rank, world, "pad") for rank in range(world)]
    batches = [[p for part in steps for p in part] for steps in zip(*ranks, strict=True)]
    assert batches == of_rank(rows, 24, 0, 1, "pad")


@given(ROWS, BATCH, WORLD, st.data())
def test_many_steps_are_the_steps_one_by_one(rows: int, batch: int, world: int, data: st.DataObject) -> None:
    steps = Steps(rows, batch, world - 1, world, "pad")
    first = data.draw(st.integers(0, max(0, steps.count - 1)))
    count = data.draw(st.integers(0, steps.count - first)) if steps.count else 0
    one_by_one = [steps.positions(first + number) for number in range(count)]
    assert np.array_equal(steps.positions(first, count), np.concatenate([np.empty(0, int), *one_by_one]))
    span = steps.span(first, count) if count else None
    if span is not None:
        assert np.array_equal(steps.positions(first, count), np.arange(*span))


@pytest.mark.parametrize(
    ("batch", "rank", "world", "remainder", "names"),
    [
        (0, 0, 1, "pad", "batch_size"),
        (1, 2, 2, "pad", "rank"),
        (1, 0, 0, "pad", "world_size"),
        (1, 0, 1, "keep", "keep"),
        (1, 0, 2, "exact", "mask"),
    ],
)
def test_what_makes_no_sense_is_refused(batch: int, rank: int, world: int, remainder: Remainder, names: str) -> None:
    with pytest.raises(OptionError, match=names):
        Steps(10, batch, rank, world, remainder)
