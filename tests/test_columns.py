"""Rows of one width from chunks that lie anyhow in memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._chunks import ChunkTable
from dlcache._columns import _RawFixed
from dlcache._manifest import Column
from dlcache._maps import Mapped
from dlcache._memory import BufferPool, address_of
from dlcache._places import RowGroups

COLUMN = Column("x", ("x",), "tensor", np.dtype("float32"), "float32", (768,), None, None, None, None, None, 0, 0, None)


@pytest.mark.parametrize("apart, stride", [(3072, 3072), (6144, 3072), (1024, 1024), (512, 512), (64, 1)])
@given(rows=st.lists(st.integers(1, 9), min_size=2, max_size=6), data=st.data(), seed=st.integers(0, 99))
def test_rows_are_taken_whole_or_in_parts(
    apart: int, stride: int, rows: list[int], data: st.DataObject, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    memory = np.zeros(1 << 18, np.uint8)
    values = rng.standard_normal((sum(rows), 768), np.float32)
    first = np.cumsum([0, *rows])
    offsets: list[int] = []
    at = 64
    for number in range(len(rows)):
        # The second chunk is `apart` behind a multiple of the width, so that nothing larger than it divides all.
        at += (64 - at) % 3072 + (apart if number == 1 else 0)
        offsets.append(at)
        part = values[first[number] : first[number + 1]]
        memory[at : at + part.nbytes] = part.view(np.uint8).reshape(-1)
        at += part.nbytes
    lone = np.full(len(rows), -1)
    table = ChunkTable(np.array([0]), np.array(offsets), np.array(rows) * 3072, lone)
    groups = RowGroups(first, np.zeros(len(rows), np.int64))
    ids = np.array(data.draw(st.lists(st.integers(0, sum(rows) - 1), min_size=1, max_size=30)))
    column = _RawFixed(COLUMN, table)
    mapped = Mapped(np.array([address_of(memory)]), 1, (memory,))
    whole = groups.locate(ids)
    for places, wanted in ((whole, ids), (whole.part(1, len(ids)), ids[1:])):
        taken = column.gather(places, mapped, BufferPool(0)).value
        assert isinstance(taken, np.ndarray) and np.array_equal(taken, values[wanted])
    assert column._known is not None and column._known.stride == stride
