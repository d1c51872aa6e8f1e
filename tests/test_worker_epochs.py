"""The worker processes of a DataLoader deliver the epochs that one process delivers, whatever is done between them."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")

from _writer import write  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch.utils.data import DataLoader, IterableDataset  # noqa: E402

import dlcache  # noqa: E402

ROWS, BATCH, STEPS = 203, 32, 7

# PyTorch warns of more worker processes than the machine has cores.
pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    table = pa.table({"id": np.arange(ROWS)})
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=70, row_group_rows=16))


def made(dataset: dlcache.Dataset, **options: Any) -> Any:
    return dataset.torch(BATCH, shuffle=True, threads=0, **options)


def ids(batches: Any) -> list[list[int]]:
    return [batch["id"].tolist() for batch in batches]


class Epochs:
    """Which epoch a pass was, by its rows."""

    def __init__(self, dataset: dlcache.Dataset, count: int = 40) -> None:
        loader = made(dataset)
        self._rows = [ids(loader) for _ in range(count)]

    def of(self, batches: Any) -> int:
        return self._rows.index(ids(batches))


@pytest.fixture(scope="module")
def epochs(dataset: dlcache.Dataset) -> Epochs:
    return Epochs(dataset)


Action = tuple[str, int]


def act(loader: Any, passes: Any, actions: Sequence[Action]) -> Iterator[list[list[int]]]:
    """Do these one after another, and yield the batches of each pass over `passes`, which iterates over `loader`."""
    for name, number in actions:
        if name == "set":
            loader.set_epoch(number)
        elif name == "load":
            other = loader.dataset.torch(BATCH, shuffle=True)
            other.set_epoch(number // STEPS)
            list(islice(other, number % STEPS))
            loader.load_state_dict(other.state_dict())
        elif name == "here":
            next(iter(loader))
        elif name == "break":
            yield ids(islice(passes, number))
        else:
            torch.manual_seed(42)
            yield ids(passes)


ACTIONS = st.one_of(
    st.tuples(st.just("pass"), st.just(0)),
    st.tuples(st.just("set"), st.integers(0, 9)),
    st.tuples(st.just("load"), st.integers(0, 20)),
    st.tuples(st.just("here"), st.just(0)),
    st.tuples(st.just("break"), st.integers(1, 3)),
)


@settings(max_examples=12, deadline=None)
@given(actions=st.lists(ACTIONS, min_size=2, max_size=6), workers=st.integers(1, 3), persistent=st.booleans())
def test_passes_are_those_of_one_process(
    dataset: dlcache.Dataset, actions: list[Action], workers: int, persistent: bool
) -> None:
    alone, loader = made(dataset), made(dataset)
    stock = DataLoader(
        loader, batch_size=None, num_workers=workers, persistent_workers=persistent, multiprocessing_context="fork"
    )
    plan = [*actions, ("pass", 0), ("pass", 0)]
    assert list(act(loader, stock, plan)) == list(act(alone, alone, plan))


def test_spawned_workers_that_persist(dataset: dlcache.Dataset) -> None:
    alone, loader = made(dataset), made(dataset)
    stock = DataLoader(loader, batch_size=None, num_workers=1, persistent_workers=True, multiprocessing_context="spawn")
    plan: list[Action] = [("here", 0), ("pass", 0), ("load", 23), ("pass", 0), ("pass", 0), ("set", 5), ("pass", 0)]
    assert list(act(loader, stock, plan)) == list(act(alone, alone, plan))


SPAWN = """
import sys, dlcache
from torch.utils.data import DataLoader
loader = dlcache.load(sys.argv[1]).torch(32, shuffle=True, threads=0)
stock = DataLoader(loader, batch_size=None, num_workers=1, multiprocessing_context="forkserver")
print([batch["id"].tolist() for batch in stock])
"""


def test_spawned_workers_of_a_new_process(dataset: dlcache.Dataset) -> None:
    """Nothing that is shared was made before."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "ignore", "-c", SPAWN, dataset.path]
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    alone = made(dataset)
    assert printed.strip() == str(ids(alone))


@pytest.mark.parametrize("persistent", [True, False])
def test_an_epoch_that_is_set_within_a_pass_is_for_the_next_one(
    dataset: dlcache.Dataset, epochs: Epochs, persistent: bool
) -> None:
    loader = made(dataset)
    stock = DataLoader(loader, batch_size=None, num_workers=2, persistent_workers=persistent)
    passes = iter(stock)
    if persistent:
        next(passes)
        loader.set_epoch(5)
        list(passes)
    else:
        loader.set_epoch(5)
        assert epochs.of(passes) == 0
    assert [epochs.of(stock) for _ in range(2)] == [5, 6]


def test_loaders_of_any_number_of_workers_count_together(dataset: dlcache.Dataset, epochs: Epochs) -> None:
    loader = made(dataset)
    stocks = [
        DataLoader(loader, batch_size=None, num_workers=workers, persistent_workers=workers == 2)
        for workers in (2, 0, 3, 1)
    ]
    assert [epochs.of(stocks[number]) for number in (0, 1, 2, 0, 3, 0)] == list(range(6))
    assert loader.state_dict()["epoch"] == 6


def test_passes_at_once_are_different_epochs(dataset: dlcache.Dataset, epochs: Epochs) -> None:
    stock = DataLoader(made(dataset), batch_size=None, num_workers=2)
    pairs = list(zip(stock, stock, strict=True))
    assert {epochs.of([pair[side] for pair in pairs]) for side in (0, 1)} == {0, 1}


def test_threads_that_start_workers_at_once(dataset: dlcache.Dataset, epochs: Epochs) -> None:
    loader, seen = made(dataset), []
    barrier = threading.Barrier(3)

    def iterate() -> None:
        stock = DataLoader(loader, batch_size=None, num_workers=2)
        barrier.wait()
        seen.append(epochs.of(stock))

    threads = [threading.Thread(target=iterate) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [0, 1, 2]


def test_several_epochs_in_a_pass(dataset: dlcache.Dataset) -> None:
    alone, loader = made(dataset, epochs=2), made(dataset, epochs=2)
    stock = DataLoader(loader, batch_size=None, num_workers=2)
    assert [ids(stock) for _ in range(2)] == [ids(alone) for _ in range(2)]


def test_endless_passes_repeat_no_epoch(dataset: dlcache.Dataset, epochs: Epochs) -> None:
    stock = DataLoader(made(dataset, epochs=None), batch_size=None, num_workers=2, prefetch_factor=1)
    first = ids(islice(stock, 2 * STEPS))
    second = ids(islice(stock, STEPS))
    assert epochs.of([{"id": np.array(batch)} for batch in first[STEPS:]]) == 1
    assert epochs.of([{"id": np.array(batch)} for batch in second]) in (2, 3)  # workers read ahead


def _rank(loader: Any, answers: Any) -> None:
    stock = DataLoader(loader, batch_size=None, num_workers=1)
    seen = [ids(stock) for _ in range(2)]
    loader.set_epoch(1)
    answers.put([*seen, ids(stock)])


def test_processes_that_are_forked_with_a_loader_count_for_themselves(dataset: dlcache.Dataset) -> None:
    loader, context = made(dataset), multiprocessing.get_context("fork")
    next(iter(loader))
    alone = made(dataset)
    expected = [ids(alone) for _ in range(3)]
    queues = [context.SimpleQueue() for _ in range(2)]
    processes = [context.Process(target=_rank, args=(loader, queue)) for queue in queues]
    for process in processes:
        process.start()
    answers = [queue.get() for queue in queues]
    for process in processes:
        process.join()
    assert answers == [[*expected[1:], expected[1]]] * 2
    assert ids(loader) == expected[1]


def test_a_loader_of_two_start_methods_at_once_is_refused(dataset: dlcache.Dataset) -> None:
    loader = made(dataset)
    forked = DataLoader(loader, batch_size=None, num_workers=1, persistent_workers=True, multiprocessing_context="fork")
    assert len(ids(forked)) == STEPS
    loader._epochs.share("spawn")
    with pytest.raises(dlcache.OptionError, match="two start methods"):
        ids(forked)


def test_no_file_is_left(dataset: dlcache.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert len(ids(DataLoader(made(dataset), batch_size=None, num_workers=2))) == STEPS
    assert not [path for path in tmp_path.rglob("*") if "dlcache" in path.name]


@pytest.mark.parametrize("options", [{}, {"batch_size": 4}, {"num_workers": 1}])
def test_batches_of_batches_are_refused(dataset: dlcache.Dataset, options: dict[str, Any]) -> None:
    with pytest.raises(dlcache.OptionError, match=r"use DataLoader\(loader, batch_size=None\)"):
        next(iter(DataLoader(made(dataset), **options)))


class Rows(IterableDataset[int]):
    """Rows of a loader, one by one."""

    def __init__(self, loader: Any) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[int]:
        return (int(row) for batch in self.loader for row in batch["id"])


def test_rows_of_a_loader_may_be_put_into_batches(dataset: dlcache.Dataset) -> None:
    rows = [row for batch in DataLoader(Rows(dataset.torch(BATCH)), batch_size=10) for row in batch.tolist()]
    assert rows == list(range(ROWS))
