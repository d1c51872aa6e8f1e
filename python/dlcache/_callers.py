"""Mistakes in how a PyTorch loader is iterated, found by who iterates over it. PyTorch tells a dataset nothing else."""

from __future__ import annotations

import sys
from typing import Any

from ._errors import OptionError
from ._steps import Steps

_FETCH = "torch.utils.data._utils.fetch"
_ACCELERATE = "accelerate.data_loader"
_SHARING = ("DataLoaderDispatcher", "IterableDatasetShard")
"""Classes of Accelerate that share out what a dataset yields."""


def check_callers(loader: Any, steps: Steps) -> None:
    """Raises OptionError if a `DataLoader` puts the loader's batches into batches, or if Accelerate shares out the
    batches of a loader that shares out its rows itself."""
    frame = sys._getframe(1)
    while frame is not None:
        module, local = frame.f_globals.get("__name__"), frame.f_locals
        if module == _FETCH and local.get("auto_collation") and local.get("dataset") is loader:
            raise OptionError(
                f"a loader yields batches already (of {steps.batch_size} rows), and this DataLoader would put batches "
                "into batches; use DataLoader(loader, batch_size=None), or the loader without a DataLoader. For a "
                "trainer that makes its own DataLoader, pass dlcache.torch.TorchDataset(dataset), with "
                "TorchDataset.collate as its collate_fn"
            )
        if module == _ACCELERATE and steps.world_size > 1 and type(local.get("self")).__name__ in _SHARING:
            raise OptionError(
                "Accelerate shares out the batches of a DataLoader, and this loader shares out its rows itself (rank "
                f"{steps.rank} of {steps.world_size}), so rows would be lost. Iterate over the loader without a "
                "DataLoader, or let Accelerate share out rows: DataLoader(TorchDataset(dataset), batch_size=..., "
                "collate_fn=TorchDataset.collate)"
            )
        frame = frame.f_back  # type: ignore[assignment]
