from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._order import Orders, Permutation, Windowed, mix, mix_array

SIZES = st.one_of(st.integers(0, 300), st.integers(65_000, 66_500), st.integers(66_000, 300_000))


@given(SIZES, st.integers(0, 2**64 - 1))
def test_every_permutation_has_each_element_once(size: int, key: int) -> None:
    out = Permutation(size, key)(np.arange(size))
    assert np.array_equal(np.sort(out), np.arange(size))


@given(st.integers(1, 200_000), st.integers(0, 2**32), st.data())
def test_a_part_is_computed_alone(size: int, key: int, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start, min(size, start + 500)))
    whole = Permutation(size, key)(np.arange(size))
    assert np.array_equal(Permutation(size, key)(np.arange(start, stop)), whole[start:stop])


def test_orders_are_the_same_for_ever() -> None:
    assert mix(1, 2, 3) == 0xD0734750FDE362B3
    assert Permutation(10, mix(0, 0))(np.arange(10)).tolist() == [1, 8, 9, 3, 6, 5, 0, 7, 4, 2]
    large = [55825, 44381, 48262, 3703, 30108, 9148, 41723, 85319]
    assert Permutation(100_000, mix(0, 0))(np.arange(8)).tolist() == large


@pytest.mark.parametrize("size", [50_000, 200_000])
def test_a_permutation_is_well_mixed(size: int) -> None:
    """Means, neighbours and displacements are those of a random permutation, within six standard errors."""
    rows = np.arange(size)
    for key in range(4):
        out = Permutation(size, mix(key))(rows)
        correlation = np.corrcoef(rows, out)[0, 1]
        neighbours = np.corrcoef(out[:-1], out[1:])[0, 1]
        assert abs(correlation) < 6 / np.sqrt(size)
        assert abs(neighbours) < 6 / np.sqrt(size)
        low_bits = np.bincount(out[: size // 2] % 16, minlength=16)
        assert np.abs(low_bits - size / 32).max() < 6 * np.sqrt(size / 32)
        assert (out == rows).sum() < 12


def test_epochs_and_seeds_differ() -> None:
    orders = [Orders(1000, shuffle=True, seed=seed, window=None, block_starts=None) for seed in (0, 1)]
    seen = {tuple(order.epoch(epoch).at(np.arange(1000))) for order in orders for epoch in range(5)}
    assert len(seen) == 10


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 300), st.integers(0, 99))
def test_a_window_order_is_a_permutation_of_blocks(lengths: list[int], window: int, seed: int) -> None:
    starts = np.concatenate([[0], np.cumsum(lengths)])
    order = Windowed(starts, window, seed, 0)
    rows = order.at(np.arange(starts[-1]))
    assert np.array_equal(np.sort(rows), np.arange(starts[-1]))
    block = np.searchsorted(starts, rows, side="right") - 1
    reach = window + max(lengths)
    for number in range(len(lengths)):
        at = np.flatnonzero(block == number)
        assert at[-1] - at[0] < reach


def test_a_window_order_has_any_part_of_it_alone() -> None:
    order = Windowed(np.arange(0, 1001, 50), 120, 3, 1)
    whole = order.at(np.arange(1000))
    picked = np.random.default_rng(0).permutation(1000)
    assert np.array_equal(order.at(picked), whole[picked])


@given(st.lists(st.integers(0, 2**64 - 1), unique=True, max_size=200), st.integers(0, 2**64 - 1))
def test_mixing_is_a_bijection(values: list[int], key: int) -> None:
    mixed = mix_array(np.array(values, np.uint64), key)
    assert len(set(mixed.tolist())) == len(values)
