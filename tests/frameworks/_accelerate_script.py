"""One of the processes of test_accelerate_in_two_processes: prints the rows that each kind of loader gave it."""

from __future__ import annotations

import json
import sys
from typing import Any

from accelerate import Accelerator  # type: ignore[import-untyped]
from torch.utils.data import DataLoader

import dlcache
from dlcache.torch import TorchDataset


def rows(prepared: Any) -> list[list[int]]:
    """The rows of two epochs, or the error instead of them."""
    try:
        return [[int(row) for batch in prepared for row in batch["id"]] for _ in range(2)]
    except dlcache.OptionError as error:
        return [[str(error)]]  # type: ignore[list-item]


def main() -> None:
    dataset = dlcache.load(sys.argv[1])
    old = dataset.torch(10, shuffle=True)
    accelerator = Accelerator(cpu=True)
    given = {
        "loader": old,
        "shared": DataLoader(dataset.torch(10), batch_size=None),
        "shared by workers": DataLoader(dataset.torch(10), batch_size=None, num_workers=1),
        "whole": DataLoader(dataset.torch(10, shuffle=True, rank=0, world_size=1), batch_size=None, num_workers=1),
        "rows": DataLoader(TorchDataset(dataset), batch_size=10, shuffle=True, collate_fn=TorchDataset.collate),
    }
    print(json.dumps({name: rows(accelerator.prepare(loader)) for name, loader in given.items()}))
    accelerator.end_training()


if __name__ == "__main__":
    main()
