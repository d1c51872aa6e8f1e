"""What a loader tells of a run: its fingerprint, its metrics, its progress."""

from __future__ import annotations

import builtins
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError
from dlcache._fingerprint import Fingerprint
from dlcache._steps import Steps

ROWS = 230


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    source = pa.table({"id": np.arange(ROWS), "x": np.arange(ROWS) / 2})
    return dlcache.load(write(tmp_path_factory.mktemp("run"), source, shard_rows=90, row_group_rows=25))


def fingerprint(loader: Any, batches: int | None = None) -> str:
    """The fingerprint of a run of so many batches."""
    iterator = iter(loader)
    for _ in iterator if batches is None else range(batches):
        if batches is not None:
            next(iterator)
    found: str = loader.fingerprint()
    return found


def test_equal_runs_have_equal_fingerprints(dataset: dlcache.Dataset) -> None:
    options: dict[str, Any] = {"batch_size": 24, "shuffle": True, "epochs": 2, "remainder": "pad"}
    one = fingerprint(dataset.numpy(**options))
    assert fingerprint(dataset.numpy(**options, threads=0)) == one
    assert fingerprint(dataset.numpy(**options, threads=3, output=("x",))) == one
    for rank in range(3):
        assert fingerprint(dataset.numpy(**{**options, "batch_size": 8}, rank=rank, world_size=3)) == one
    again = dataset.numpy(**{**options, "epochs": 1})
    fingerprint(again)
    assert fingerprint(again) == one


@pytest.mark.parametrize(
    "changed",
    [{"seed": 1}, {"shuffle": False}, {"batch_size": 23}, {"epochs": 1}, {"columns": ["id"]}, {"shuffle_window": 50}],
    ids=lambda changed: next(iter(changed)),
)
def test_other_runs_have_others(dataset: dlcache.Dataset, changed: dict[str, Any]) -> None:
    options: dict[str, Any] = {"batch_size": 24, "shuffle": True, "epochs": 2}
    one = fingerprint(dataset.numpy(**options))
    assert fingerprint(dataset.numpy(**{**options, **changed})) != one
    assert fingerprint(dataset.numpy(**options), 18) != one
    assert fingerprint(dataset.filter(("id", "<", ROWS - 1)).numpy(**options)) != one


@settings(max_examples=20)
@given(st.integers(0, 19), st.sampled_from(["exact", "pad", "mask", "drop"]), st.booleans(), st.booleans())
def test_a_fingerprint_goes_on_after_a_resumption(
    dataset: dlcache.Dataset, stop: int, remainder: Any, asked: bool, changes: bool
) -> None:
    options: dict[str, Any] = {"batch_size": 24, "shuffle": True, "remainder": remainder, "epochs": 3}
    if changes and remainder in ("exact", "drop"):
        options["transform"] = dlcache.TransformSpec(lambda batch: {"id": batch["id"].repeat(2)}, changes_rows=True)
    whole = dataset.numpy(**options)
    iterator = iter(whole)
    first = dataset.numpy(**options)
    started = iter(first)
    for _ in range(stop):
        next(iterator)
        next(started)
        if asked:
            first.fingerprint()
    resumed = dataset.numpy(**options)
    resumed.load_state_dict(json.loads(json.dumps(first.state_dict())))
    assert resumed.fingerprint() == whole.fingerprint()
    assert len(list(resumed)) == len(list(iterator))
    assert resumed.fingerprint() == whole.fingerprint()


def test_metrics_are_shares_of_the_time(dataset: dlcache.Dataset) -> None:
    for threads in (0, 2):
        loader = dataset.numpy(4, threads=threads)
        assert loader.metrics()["consumer_wait_share"] == 0
        for batch in loader:
            sum(range(len(batch["id"]) * 100))
        metrics = loader.metrics()
        assert 0 < metrics["consumer_wait_share"] <= 1
        assert 0 <= metrics["reader_wait_share"] <= 1
        assert metrics["consumer_wait_share"] + metrics["reader_wait_share"] <= 1.001
        assert metrics["rows_per_second"] == metrics["rows"] / metrics["seconds"]


def test_a_progress_bar_on_request(dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm")
    bars: list[Any] = []

    class Bar(tqdm.tqdm):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options, disable=False, file=io.StringIO())
            bars.append(self)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    loader = dataset.numpy(16, progress=True, epochs=2)
    list(loader)
    assert (bars[0].n, bars[0].total) == (30, 30)
    state = loader.state_dict()
    iterator = iter(loader)
    next(iterator)
    next(iterator)
    assert bars[1].n == 2
    iterator.close()  # type: ignore[attr-defined]
    assert bars[1].disable  # closed
    loader.load_state_dict({**state, "step": 5})
    list(loader)
    assert (bars[2].initial, bars[2].n, bars[2].total) == (5, 30, 30)
    next(iter(dataset.numpy(16, progress=True, epochs=None)))
    assert bars[3].total is None
    assert [bar.desc for bar in bars] == ["epoch 1: ", "epoch 2", "epoch 3: ", "epoch 0"]


def test_without_tqdm_there_is_a_clear_error(dataset: dlcache.Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name.startswith("tqdm"):
            raise ImportError(name)
        return imported(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OptionError, match="pip install tqdm"):
        dataset.numpy(16, progress=True)
    with pytest.raises(OptionError, match="progress must be True or False"):
        dataset.numpy(16, progress=1)  # type: ignore[arg-type]


def test_worker_processes_show_no_bar(dataset: dlcache.Dataset, capfd: pytest.CaptureFixture[str]) -> None:
    data = pytest.importorskip("torch.utils.data")
    if sys.platform != "linux":
        pytest.skip("forks")
    loader = dataset.torch(16, progress=True)
    list(data.DataLoader(loader, batch_size=None, num_workers=1))
    assert "epoch" not in capfd.readouterr().err


def test_tensorflow_has_a_bar_of_its_own(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    with pytest.raises(OptionError, match="Keras"):
        dataset.tf(16, progress=True)


def test_a_fingerprint_of_every_second_step_takes_little_memory() -> None:
    """The steps of a worker process are not contiguous."""
    steps = Steps(1 << 20, 4, 0, 1, "pad")
    chains = [Fingerprint(dict, lambda: steps, lambda epoch, at: at + epoch) for _ in range(2)]
    for step in range(1, 20_000, 2):
        chains[0].delivered(step, step + 1)
        assert len(chains[0]._pending) <= 2048
        chains[1].delivered(step, step + 1)
        if step % 1001 == 0:
            chains[1].digest()
    assert chains[0].digest() == chains[1].digest()
