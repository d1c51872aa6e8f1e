"""A small PyTorch training that runs alone, under torchrun and under Spark's TorchDistributor. Each rank writes what it
saw: the rows of each step, its losses, and the evaluation, which is the same on all ranks."""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

import dlcache

GLOBAL_BATCH = 24
EPOCHS = 2


def train(dataset: dlcache.Dataset, out: str, workers: int = 0) -> int:
    """Train for EPOCHS with a global batch of GLOBAL_BATCH rows, evaluate, and return the number of ranks."""
    launched = distributed.is_torchelastic_launched()
    if launched:
        distributed.init_process_group("gloo")
    try:
        return _train(dataset, out, workers, launched)
    finally:
        if launched:
            gc.collect()  # while a model holds the group, gloo may abort at the process's exit
            distributed.destroy_process_group()


def _train(dataset: dlcache.Dataset, out: str, workers: int, launched: bool) -> int:
    world_size = distributed.get_world_size() if launched else 1
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    trained = DistributedDataParallel(model) if launched else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    loader = dataset.torch(GLOBAL_BATCH // world_size, shuffle=True, remainder="pad")
    rows: list[list[int]] = []
    losses: list[float] = []
    batches = DataLoader(loader, batch_size=None, num_workers=workers)
    for _ in range(EPOCHS):
        for batch in batches:
            loss = nn.functional.mse_loss(trained(batch["x"])[:, 0], batch["y"])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            rows.append(batch["id"].tolist())
            losses.append(loss.item())
    sums = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for batch in dataset.torch(GLOBAL_BATCH // world_size, remainder="mask"):
            errors = (model(batch["x"])[:, 0] - batch["y"]) ** 2
            sums += torch.stack([(errors * batch["sample_weight"]).double().sum(), batch["sample_weight"].sum()])
    if launched:
        distributed.all_reduce(sums)
    saw = {"rows": rows, "losses": losses, "evaluated": int(sums[1]), "mse": (sums[0] / sums[1]).item()}
    Path(out, f"{loader.steps.rank}.json").write_text(json.dumps(saw))
    return world_size


if __name__ == "__main__":
    train(dlcache.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
