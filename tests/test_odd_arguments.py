"""Arguments of the wrong type raise an error of dlcache that says what is expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write

import dlcache
from dlcache._options import LoaderOptions

ODD: list[Any] = [0, -1, 3, 2.5, None, "x", [], [3], {}, {"id": 3}, {3: 4}, (), object(), True, slice(3), np.int64(3)]
CALLS: list[Callable[[dlcache.Dataset, Any], Any]] = [
    lambda dataset, odd: dlcache.load(odd),
    lambda dataset, odd: dlcache.load(dataset.path, version=odd),
    lambda dataset, odd: dlcache.mix(odd),
    lambda dataset, odd: dlcache.mix([dataset, dataset], weights=odd),
    lambda dataset, odd: dlcache.mix([dataset, dataset], weights=[odd, odd]),
    lambda dataset, odd: dlcache.mix([dataset, dataset], stop=odd),
    lambda dataset, odd: dlcache.mix([dataset, dataset], seed=odd),
    lambda dataset, odd: dataset.split(odd),
    lambda dataset, odd: dataset.folds(odd),
    lambda dataset, odd: dataset.since(odd),
    lambda dataset, odd: dataset.select(odd),
    lambda dataset, odd: dataset.steps(odd),
    lambda dataset, odd: dataset.steps(3, world_size=odd),
    lambda dataset, odd: dataset.steps(3, remainder=odd),
    lambda dataset, odd: dataset.stats(odd),
    lambda dataset, odd: dataset.vocabulary(odd),
    lambda dataset, odd: dataset.numpy(4).batch_at(odd),
    lambda dataset, odd: dataset.numpy(4).batch_at(0, odd),
    lambda dataset, odd: dataset.numpy(4).load_state_dict(odd),
]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    return dlcache.load(write(tmp_path_factory.mktemp("d"), pa.table({"id": np.arange(20), "s": ["a"] * 20})))


def refused_or_right(call: Callable[[], Any]) -> None:
    try:
        call()
    except dlcache.DlcacheError as error:
        assert str(error)


@pytest.mark.parametrize("name", [field.name for field in fields(LoaderOptions) if field.name != "progress"])
def test_options_of_loaders(dataset: dlcache.Dataset, name: str) -> None:
    for odd in ODD:
        refused_or_right(lambda: next(iter(dataset.numpy(**{"shuffle": True, name: odd}))))  # noqa: B023


@pytest.mark.filterwarnings("ignore:CUDA initialization:UserWarning")
@pytest.mark.parametrize("name", ["pad_to", "pin_memory", "sparse", "group"])
def test_options_of_torch(dataset: dlcache.Dataset, name: str) -> None:
    pytest.importorskip("torch")
    for odd in ODD:
        refused_or_right(lambda: next(iter(dataset.torch(4, **{name: odd}))))  # noqa: B023
        refused_or_right(lambda: dataset.torch(4).set_epoch(odd))  # noqa: B023


@pytest.mark.parametrize("call", CALLS)
def test_other_arguments(dataset: dlcache.Dataset, call: Callable[[dlcache.Dataset, Any], Any], tmp_path: Path) -> None:
    for odd in ODD:
        refused_or_right(lambda: call(dataset, odd))  # noqa: B023
