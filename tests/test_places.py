"""From row ids to row groups, for any sizes of row groups and shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache import OptionError
from dlcache._places import Places, RowGroups

SIZES = st.one_of(
    st.lists(st.integers(1, 40), min_size=1, max_size=60),
    # Groups of one size, each shard with a short last one; and a few rows among huge groups.
    st.tuples(st.integers(1, 5000), st.integers(1, 12), st.integers(1, 5000)).map(
        lambda sizes: [*[sizes[0]] * sizes[1], min(sizes[2], sizes[0])] * 5
    ),
    st.lists(st.sampled_from([1, 2, 3, 100_000]), min_size=1, max_size=30),
)


def groups_of(sizes: list[int]) -> RowGroups:
    return RowGroups(np.cumsum([0, *sizes]), np.arange(len(sizes)) // 3)


@given(sizes=SIZES, seed=st.integers(0, 99))
def test_each_row_is_found_in_its_group(sizes: list[int], seed: int) -> None:
    groups = groups_of(sizes)
    borders = np.clip(np.concatenate([groups.first - 1, groups.first, groups.first + 1]), 0, groups.first[-1] - 1)
    ids = np.append(borders, np.random.default_rng(seed).integers(0, groups.first[-1], 200))
    places = groups.locate(ids)
    wanted = np.repeat(np.arange(len(sizes)), np.minimum(sizes, 3))  # small groups are checked whole
    if sum(sizes) == len(wanted):
        assert np.array_equal(groups.locate(np.arange(len(wanted))).group, wanted)
    assert np.array_equal(places.group, np.searchsorted(groups.first, ids, side="right") - 1)
    assert np.array_equal(places.shard, places.group // 3)
    assert (places.row >= 0).all() and (places.row < np.array(sizes)[places.group]).all()
    assert np.array_equal(groups.first[places.group] + places.row, ids)


@pytest.mark.parametrize("ids", [[-1], [12], [0, 12, 3], [3, -5]])
def test_ids_that_are_no_rows_are_an_error(ids: list[int]) -> None:
    with pytest.raises(OptionError, match=r"row ids must be in 0 \.\. 11"):
        groups_of([5, 7]).locate(np.array(ids))


def test_no_rows_have_no_places() -> None:
    for sizes in ([], [4]):
        assert len(groups_of(sizes).locate(np.empty(0, np.int64))) == 0


def made(places: Places) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.repeat(places.ids, 2)


def test_what_is_derived_of_a_part_is_made_of_the_whole_once() -> None:
    calls = []

    def counted(places: Places) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        calls.append(len(places))
        return made(places)

    whole = groups_of([50, 50]).locate(np.random.default_rng(1).permutation(100))
    for start, stop in ((0, 10), (90, 100), (10, 90)):
        part = whole.part(start, stop)
        assert np.array_equal(part.derived("key", 2, counted), made(part))
    assert calls == [100]
    assert np.array_equal(whole.at(np.array([3, 1])).derived("key", 2, counted), made(whole.at(np.array([3, 1]))))
    assert calls == [100, 2]


def test_what_is_kept_with_places_has_a_bound() -> None:
    whole = groups_of([1 << 18]).locate(np.arange(1 << 18))
    part = whole.part(7, 9)
    for key in range(4):
        assert np.array_equal(part.derived(key, 2, made), made(part))
    assert whole._derived_bytes <= 4 << 20
