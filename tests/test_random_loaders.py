"""Loaders of random datasets with random options deliver what a simple model says; `make test-loaders` tries more."""

from __future__ import annotations

import pytest
from random_loaders import run


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_random_loaders(first: int) -> None:
    for seed in range(first, first + 20):
        run(seed)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")
def test_random_loaders_with_worker_processes() -> None:
    pytest.importorskip("torch")
    for seed in range(1000, 1004):
        run(seed, workers=True)
