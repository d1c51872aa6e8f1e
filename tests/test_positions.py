"""Positions of rows: one rule for `gather`, `take`, `TorchDataset` and `GrainSource`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache import PositionError
from dlcache._positions import row_positions
from dlcache.grain import GrainSource

ROWS = 20
LISTS = st.lists(st.integers(-ROWS, ROWS - 1))
MASKS = st.lists(st.booleans(), min_size=ROWS, max_size=ROWS)
SLICES = st.slices(ROWS)
NOT_POSITIONS = [
    [0.9],
    [1, 2.0],
    np.array([1.0]),
    np.array([]),
    ["1"],
    "1",
    [[1, 2]],
    np.zeros((2, ROWS), bool),
    [True, False],
    [True, 2],
    np.array([True, 2], object),
    [None],
    [np.nan],
    {1, 2},
    [ROWS],
    [-ROWS - 1],
    [2**70],
    np.array([2**63], np.uint64),
    slice("a"),
]


@given(st.one_of(LISTS, MASKS, SLICES), st.sampled_from([list, tuple, np.array, lambda p: np.array(p, object)]))
def test_positions_select_what_numpy_selects(positions: Any, form: Any) -> None:
    rows = np.arange(ROWS)
    given_as = positions if isinstance(positions, slice) or not positions else form(positions)
    expected = rows[positions] if isinstance(positions, slice) else rows[np.array(positions or [], int)]
    if not isinstance(positions, slice) and positions and isinstance(positions[0], bool):
        expected = rows[np.array(positions)]
    found = row_positions(given_as, ROWS)
    assert found.dtype == np.int64 and found.tolist() == expected.tolist()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    path: Path = tmp_path_factory.mktemp("positions")
    return dlcache.load(write(path, pa.table({"id": np.arange(ROWS)}), shard_rows=7))


@pytest.mark.parametrize("positions", NOT_POSITIONS, ids=repr)
def test_what_is_no_position_is_an_error_everywhere(dataset: dlcache.Dataset, positions: Any) -> None:
    pytest.importorskip("torch")
    adapter = pytest.importorskip("dlcache.torch")
    ways = [dataset.gather, dataset.numpy(4).take, GrainSource(dataset).__getitem__]
    ways += [adapter.TorchDataset(dataset).__getitem__, adapter.TorchDataset(dataset).__getitems__]
    for way in ways:
        with pytest.raises(PositionError, match=r"positions (are a list|must be in 0 \.\. 19)"):
            way(positions)


def test_the_same_positions_are_the_same_rows_everywhere(dataset: dlcache.Dataset) -> None:
    pytest.importorskip("torch")
    adapter = pytest.importorskip("dlcache.torch")
    mask = np.arange(ROWS) % 3 == 0
    for positions in ([3, -1, 3], mask, mask.tolist(), slice(4, None, 5), range(2), [], ~mask & mask):
        expected = row_positions(positions, ROWS).tolist()
        assert dataset.gather(positions)["id"].tolist() == expected
        assert dataset.numpy(4).take(positions)["id"].tolist() == expected
        assert adapter.TorchDataset(dataset)[positions]["id"].tolist() == expected
        assert [int(row["id"]) for row in GrainSource(dataset)[positions]] == expected
    part = dataset.filter(("id", ">=", 10))
    assert part.gather(np.arange(10) % 2 == 0)["id"].tolist() == [10, 12, 14, 16, 18]


def test_one_position_is_one_row(dataset: dlcache.Dataset) -> None:
    torch = pytest.importorskip("torch")
    adapter = pytest.importorskip("dlcache.torch")
    for one in (5, np.int32(5), np.array(5), torch.tensor(5), -15):
        assert adapter.TorchDataset(dataset)[one]["id"].item() == 5
        assert GrainSource(dataset)[one]["id"] == 5
    others: list[Any] = [2.5, "5", None, True]
    for none in others:
        with pytest.raises(PositionError):
            adapter.TorchDataset(dataset)[none]
        with pytest.raises(PositionError):
            GrainSource(dataset)[none]
    with pytest.raises(PositionError, match="shape"):
        dataset.gather(5)  # type: ignore[arg-type]


def test_rows_of_a_ragged_and_of_strings_are_taken_by_the_same_rule() -> None:
    ragged = dlcache.Ragged(np.arange(6), np.array([0, 1, 3, 6]))
    strings = dlcache.Strings(np.frombuffer(b"abbccc", np.uint8), ragged.offsets, text=True)
    for positions, expected in (
        ([-1, 0], ["ccc", "a"]),
        ([False, True, False], ["bb"]),
        (slice(1, None), ["bb", "ccc"]),
    ):
        taken = ragged.take(positions)
        assert [len(taken[row]) for row in range(len(taken))] == list(map(len, expected))
        assert strings.take(positions).to_numpy().tolist() == expected
    for value in (ragged, strings):
        for wrong in ([3], [-4], [0.5], [True]):
            with pytest.raises(PositionError):
                value.take(wrong)  # type: ignore[arg-type]


def test_steps_are_integers(dataset: dlcache.Dataset) -> None:
    loader = dataset.numpy(4)
    assert loader.batch_at(np.int64(1))["id"].tolist() == [4, 5, 6, 7]  # type: ignore[arg-type]
    wrong: list[Any] = [0.9, "1", None, True]
    for step in wrong:
        with pytest.raises(dlcache.OptionError, match="must be an integer"):
            loader.batch_at(step)
        with pytest.raises(dlcache.OptionError, match="must be an integer"):
            loader.batch_at(0, step)


@pytest.mark.parametrize("workers", [0, 1])
def test_bulk_loading_trains_on_whole_batches(dataset: dlcache.Dataset, workers: int) -> None:
    data = pytest.importorskip("torch.utils.data")
    adapter = pytest.importorskip("dlcache.torch")
    rows = adapter.TorchDataset(dataset, output=("id",))
    sampler = data.BatchSampler(data.RandomSampler(rows), 8, drop_last=False)
    batches = [
        batch[0].tolist() for batch in data.DataLoader(rows, sampler=sampler, batch_size=None, num_workers=workers)
    ]
    assert list(map(len, batches)) == [8, 8, 4]
    assert sorted(row for batch in batches for row in batch) == list(range(ROWS))
