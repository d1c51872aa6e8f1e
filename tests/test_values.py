from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache import OptionError, Ragged, Strings
from dlcache._memory import BufferPool, address_of, copy_spans, items_at, void
from dlcache._values import concatenate, offsets_of, take_rows

LENGTHS = st.lists(st.one_of(st.integers(0, 20), st.integers(0, 300), st.integers(1000, 9000)), max_size=12)


def ragged(lengths: list[int], dtype: str = "float32") -> Ragged:
    offsets = offsets_of(np.array(lengths, np.int64))
    return Ragged(np.arange(offsets[-1]).astype(dtype), offsets)


@given(LENGTHS, st.integers(0, 63), st.integers(0, 99))
def test_spans_are_copied_whatever_their_length_and_place(lengths: list[int], shift: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    source = random.integers(0, 256, 20_000, np.uint8)[shift:]
    starts = np.array([random.integers(len(source) - length + 1) for length in lengths], np.int64)
    sizes = np.array(lengths, np.int64)
    places = offsets_of(sizes + 3)
    out = np.zeros(int(places[-1]), np.uint8)
    copy_spans(starts + address_of(source), sizes, out, places[:-1])
    want = b"".join(source[start : start + n].tobytes() + b"\0\0\0" for start, n in zip(starts, lengths, strict=True))
    assert out.tobytes() == want


def test_items_are_read_at_any_address() -> None:
    memory = np.arange(256, dtype=np.uint8)
    for offset in range(8):
        items = items_at(address_of(memory) + offset, 40, void(6), 5)
        assert items[[0, 3]].tobytes() == bytes([*range(offset, offset + 6), *range(offset + 15, offset + 21)])
        assert not items.flags.writeable


@given(LENGTHS, st.none() | st.integers(0, 30))
def test_padding(lengths: list[int], length: int | None) -> None:
    value = ragged(lengths, "int32")
    padded = value.to_padded(length, -1)
    assert padded.shape == (len(lengths), max(lengths, default=0) if length is None else length)
    for row, got in enumerate(padded):
        kept = value[row][: len(got)]
        assert got.tolist() == kept.tolist() + [-1] * (len(got) - len(kept))


@given(LENGTHS, st.data())
def test_parts_of_ragged_rows_and_strings(lengths: list[int], data: st.DataObject) -> None:
    value = ragged(lengths)
    rows = [value[row].tolist() for row in range(len(value))]
    start, stop = data.draw(st.tuples(st.integers(-3, 14), st.integers(-3, 14)))
    part = value[start:stop]
    assert [part[row].tolist() for row in range(len(part))] == rows[start:stop]
    assert part.offsets[0] == 0
    picked = data.draw(st.lists(st.integers(0, len(lengths) - 1), max_size=20)) if lengths else []
    taken = take_rows(value, np.array(picked, np.int64))
    assert isinstance(taken, Ragged)
    assert [taken[row].tolist() for row in range(len(taken))] == [rows[row] for row in picked]
    both = concatenate([value, taken])
    assert isinstance(both, Ragged)
    assert [both[row].tolist() for row in range(len(both))] == rows + [rows[row] for row in picked]
    with pytest.raises(OptionError, match="step 1"):
        value[::2]
    texts = ["é" * (length % 40) for length in lengths]
    blob = [text.encode() for text in texts]
    strings = Strings(np.frombuffer(b"".join(blob), np.uint8), offsets_of(np.array([*map(len, blob)], np.int64)), True)
    assert strings.to_numpy().tolist() == texts
    assert strings[start:stop].to_numpy().tolist() == texts[start:stop]
    assert strings.take(np.array(picked, np.int64)).to_numpy().tolist() == [texts[row] for row in picked]
    assert Strings(strings.data, strings.offsets, False).to_numpy().tolist() == blob


def test_a_buffer_is_used_again_only_when_nobody_has_it() -> None:
    pool = BufferPool(64 << 20)
    first = pool.array((1 << 20,), np.dtype(np.float32))
    address = address_of(first)
    assert address % 64 == 0
    part = first[10:20].reshape(2, 5)
    del first
    gc.collect()
    second = pool.take(4 << 20)
    assert address_of(second) != address
    part[:] = 7
    second[:] = 0
    assert (part == 7).all()
    del part
    assert address_of(pool.take(4 << 20)) == address


@given(st.lists(st.integers(1, 5 << 20), min_size=1, max_size=20))
def test_buffers_are_as_large_as_asked_for_and_hardly_larger(sizes: list[int]) -> None:
    pool = BufferPool(1 << 30)
    for size in sizes:
        before = pool.held
        buffer = pool.take(size)
        assert buffer.nbytes == size and address_of(buffer) % 64 == 0
        del buffer
        assert pool.held - before <= max(size * 5 // 4 + 1, -(-size // (2 << 20)) * (2 << 20))


def test_a_pool_keeps_no_more_than_it_may() -> None:
    pool = BufferPool(5 << 20)
    buffers = [pool.take(2 << 20) for _ in range(4)]
    del buffers
    gc.collect()
    assert pool.held == 4 << 20
    small, large = pool.take(2 << 20), pool.take(4 << 20)
    assert pool.held == 2 << 20
    del large
    assert pool.held == 4 << 20
    del small
    assert pool.held == 2 << 20  # those of a size that is no longer wanted make room
    kept = pool.take(2 << 20)
    kept[:] = 1
    del pool
    kept[:] = 2
    assert int(kept[-1]) == 2
