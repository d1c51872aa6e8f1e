"""Values that lie apart are the values that lie together."""

from __future__ import annotations

import ctypes
import mmap
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._memory import BufferPool, address_of, copy_blocks_with_tails
from dlcache._values import Ragged, Scattered, ScatteredRagged, Strings, concatenate, copied, offsets_of


def both(values: list[bytes], text: bool) -> tuple[Strings, Scattered]:
    """The same values one after another, and with gaps between them and from the last to the first."""
    lengths = np.array([len(value) for value in values], np.int64)
    together = Strings(np.frombuffer(b"".join(values), np.uint8), offsets_of(lengths), text)
    memory = np.frombuffer(b"gap".join([b"", *reversed(values), b""]), np.uint8)
    ends = np.cumsum(lengths[::-1] + 3)
    starts = (ends - lengths[::-1])[::-1] + address_of(memory)
    return together, Scattered(starts, lengths, text, memory)


SEEDS = st.integers(0, 99)
VALUES = st.lists(st.binary(max_size=3000), min_size=1, max_size=12)


@given(values=VALUES, start=st.integers(0, 12), stop=st.integers(0, 12), seed=st.integers(0, 9))
def test_scattered_bytes_are_those_that_lie_together(values: list[bytes], start: int, stop: int, seed: int) -> None:
    together, scattered = both(values, text=False)
    rows = np.random.default_rng(seed).integers(0, len(values), 5)
    pairs: list[tuple[Strings, Strings]] = [
        (together, scattered),
        (together[start:stop], scattered[start:stop]),
        (together.take(rows), scattered.take(rows)),
    ]
    for one, other in pairs:
        assert len(one) == len(other)
        assert other.to_bytes() == one.to_bytes() == other.to_numpy().tolist() == one.to_numpy().tolist()
        assert np.array_equal(one.offsets, other.offsets) and np.array_equal(one.data, other.data)
        assert one.to_arrow().equals(other.to_arrow())
    joined: Any = concatenate([scattered, together])
    assert joined.to_bytes() == values * 2


@given(st.lists(st.text(max_size=50), min_size=1, max_size=12))
def test_scattered_text_is_text(values: list[str]) -> None:
    together, scattered = both([value.encode() for value in values], text=True)
    assert scattered.to_numpy().tolist() == together.to_numpy().tolist() == values
    assert scattered.to_bytes() == together.to_bytes() == [value.encode() for value in values]


def test_text_that_is_not_utf_8_is_an_error() -> None:
    for strings in both([b"fine", b"\xff"], text=True):
        with pytest.raises(UnicodeDecodeError):
            strings.to_numpy()


@given(
    lengths=st.lists(st.integers(0, 1300), max_size=12), start=st.integers(0, 12), stop=st.integers(0, 12), seed=SEEDS
)
def test_scattered_rows_are_those_that_lie_together(lengths: list[int], start: int, stop: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    memory = random.integers(1, 1 << 30, sum(lengths) + random.integers(10, 1500), np.int32)
    counts, offsets = np.array(lengths, np.int64), offsets_of(np.array(lengths, np.int64))
    places = random.permutation(len(lengths))
    together = Ragged(memory[: offsets[-1]], offsets).take(places)
    starts, sizes = address_of(memory) + 4 * offsets[:-1][places], counts[places]

    def scattered() -> ScatteredRagged:
        behind = memory.nbytes - 4 * int(offsets[-1])
        return ScatteredRagged(starts, sizes, np.dtype(np.int32), memory, behind, BufferPool(0))

    for one, other in ((together, scattered()), (together[start:stop], scattered()[start:stop])):
        assert len(one) == len(other) and np.array_equal(one.lengths, other.lengths)
        for length in (None, 3, 700):
            assert np.array_equal(one.to_padded(length, 7), other.to_padded(length, 7))
            assert np.array_equal(one.to_padded(length), other.to_padded(length))
        alike: list[Any] = [copied(other, BufferPool(0)), pickle.loads(pickle.dumps(other)), other]
        for same in alike:
            assert np.array_equal(one.values, same.values) and np.array_equal(one.offsets, same.offsets)
        before = memory.copy()
        other.values[:] = 5
        assert (other.to_padded(None, 5) == 5).all() and np.array_equal(memory, before)


@given(rows=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30), seed=SEEDS)
def test_blocks_with_tails(rows: list[tuple[int, int]], seed: int) -> None:
    memory = np.random.default_rng(seed).integers(1, 256, 80, np.uint8)
    starts, lengths = np.array(rows, np.int64).T
    out = np.full(len(rows) * 40, 7, np.uint8)
    copy_blocks_with_tails(starts + address_of(memory), lengths, 40, out)
    for block, start, length in zip(out.reshape(-1, 40), starts, lengths, strict=True):
        assert block.tolist() == memory[start : start + length].tolist() + [0] * (40 - length)


def test_nothing_is_read_behind_the_memory() -> None:
    """Rows at the very end of a page that nobody may read on from."""
    page = mmap.PAGESIZE
    memory = mmap.mmap(-1, 2 * page)
    tokens = np.frombuffer(memory, np.int32)[: page // 4]
    tokens[:] = np.arange(1, page // 4 + 1)
    protect(address_of(tokens) + page, page)
    ends, lengths = np.array([page, page - 32, page]), np.array([8, 5, 6])
    rows = ScatteredRagged(
        address_of(tokens) + ends - 4 * lengths, lengths, np.dtype(np.int32), tokens, 0, BufferPool(0)
    )
    padded = rows.to_padded()
    for row, end, length in zip(padded, ends // 4, lengths, strict=True):
        assert row.tolist() == tokens[end - length : end].tolist() + [0] * (8 - length)


def protect(address: int, size: int) -> None:
    """Let no process read this memory any more."""
    if ctypes.CDLL(None).mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), 0):
        pytest.skip("no mprotect here")


def test_scattered_strings_can_be_pickled() -> None:
    for strings in both([b"one", b"", b"three"], text=False):
        assert pickle.loads(pickle.dumps(strings)).to_bytes() == [b"one", b"", b"three"]
