"""What only a GPU can show: pinned memory and copies that run while the next batches are read. Skipped without CUDA."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("torch")

import torch
from _writer import write
from torch import nn
from torch.utils.data import DataLoader
from torch.utils.dlpack import from_dlpack

import dlcache
from dlcache.torch import TorchDataset

if not torch.cuda.is_available():
    pytest.skip("there is no CUDA device", allow_module_level=True)

ROWS, WIDTH, BATCH = 20_000, 512, 1_000
STEPS = ROWS // BATCH
CUDA: Any = torch.cuda

# What trainers warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    """Row i has i in every element of x: 40 MB."""
    ids = np.arange(ROWS)
    x = pa.FixedSizeListArray.from_arrays(np.repeat(ids.astype(np.float32), WIDTH), WIDTH).cast(pa.list_(pa.float32()))
    ragged = pa.array([[float(i)] * (i % 4) for i in ids], pa.list_(pa.float32()))
    table = pa.table({"id": ids, "x": x, "ragged": ragged, "y": (ids % 7).astype(np.float32)})
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=7_000, row_group_rows=2_000))


def wrong_rows(x: torch.Tensor, ids: torch.Tensor) -> int:
    return int((x != ids[:, None]).any(1).sum())


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_pinned_and_their_memory_is_used_again(dataset: dlcache.Dataset, shuffle: bool) -> None:
    addresses = set()
    for batch in dataset.torch(BATCH, shuffle=shuffle, columns=["id", "x", "ragged"], pin_memory=True, epochs=3):
        assert batch["x"].is_pinned()
        assert batch["id"].is_pinned()
        assert batch["ragged"].values().is_pinned()
        addresses.add(batch["x"].data_ptr())
        del batch
    assert len(addresses) < STEPS


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("workers", [None, 0, 2])
def test_copies_that_do_not_block_are_of_the_right_rows(
    dataset: dlcache.Dataset, shuffle: bool, workers: int | None
) -> None:
    """The GPU is kept busy, so that copies lag behind while batches are dropped and the next ones are read."""
    batches: Any = dataset.torch(BATCH, shuffle=shuffle, columns=["id", "x"], pin_memory=workers is None)
    if workers is not None:
        batches = DataLoader(batches, batch_size=None, num_workers=workers, pin_memory=True)
    for _ in range(3):
        on_gpu = []
        for batch in batches:
            CUDA._sleep(20_000_000)
            on_gpu.append({name: tensor.to("cuda", non_blocking=True) for name, tensor in batch.items()})
            del batch
        torch.cuda.synchronize()
        assert sum(wrong_rows(batch["x"], batch["id"]) for batch in on_gpu) == 0
        ids = torch.cat([batch["id"] for batch in on_gpu]).cpu().sort().values
        assert torch.equal(ids, torch.arange(ROWS))


def test_copies_on_another_stream(dataset: dlcache.Dataset) -> None:
    """As prefetchers do it: a stream of its own copies ahead, and the consumer's stream waits for it."""
    stream, main = CUDA.Stream(), torch.cuda.current_stream()
    wrong = torch.zeros((), dtype=torch.int64, device="cuda")
    for batch in dataset.torch(BATCH, shuffle=True, columns=["id", "x"], pin_memory=True, epochs=2):
        with torch.cuda.stream(stream):
            CUDA._sleep(5_000_000)
            x, ids = (batch[name].to("cuda", non_blocking=True) for name in ("x", "id"))
        del batch
        main.wait_stream(stream)
        x.record_stream(main)
        ids.record_stream(main)
        wrong += (x != ids[:, None]).any(1).sum()
    assert int(wrong) == 0


def test_jagged_tensors_go_to_the_gpu(dataset: dlcache.Dataset) -> None:
    batch = next(iter(dataset.torch(8, columns=["ragged"], pin_memory=True)))
    there = batch["ragged"].to("cuda", non_blocking=True)
    assert [row.tolist() for row in there.unbind()] == [[float(i)] * (i % 4) for i in range(8)]


def test_dlpack(dataset: dlcache.Dataset) -> None:
    for batch in dataset.numpy(BATCH, shuffle=True, columns=["id", "x"]):
        x = from_dlpack(batch["x"])
        assert x.data_ptr() == batch["x"].__array_interface__["data"][0]
        assert wrong_rows(x.cuda(), from_dlpack(batch["id"]).cuda()) == 0


def test_jax(dataset: dlcache.Dataset) -> None:
    jax = pytest.importorskip("jax")
    device = jax.devices()[0]
    for batch in dataset.numpy(BATCH, shuffle=True, columns=["id", "x"]):
        x = jax.device_put(jax.numpy.from_dlpack(batch["x"]), device)
        ids = np.asarray(batch["id"])
        assert np.array_equal(np.asarray(x[:, 3]), ids.astype(np.float32))
        if device.platform == "gpu":
            assert torch.equal(from_dlpack(x)[:, 3].cpu(), torch.from_numpy(ids).float())


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)
        self.rows: list[int] = []

    def forward(self, id: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        assert x.is_cuda
        assert wrong_rows(x, id) == 0
        self.rows += id.tolist()
        return {"loss": nn.functional.mse_loss(self.layer(x[:, :1] / ROWS)[:, 0], y)}

    def check(self) -> None:
        assert sorted(self.rows) == sorted([*range(ROWS)] * 2)


def test_lightning(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    lightning = pytest.importorskip("lightning")

    class Module(lightning.LightningModule):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.line = Line()

        def training_step(self, batch: dict[str, torch.Tensor], index: int) -> Any:
            return self.line(**batch)["loss"]

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.05)

    module = Module()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="gpu", devices=1, logger=False, enable_checkpointing=False, default_root_dir=tmp_path
    )
    trainer.fit(module, dataset.torch(BATCH, shuffle=True, columns=["id", "x", "y"], pin_memory=True))
    module.line.check()


def test_accelerate(dataset: dlcache.Dataset) -> None:
    accelerate = pytest.importorskip("accelerate")
    accelerator = accelerate.Accelerator()
    line = Line()
    batches = DataLoader(dataset.torch(BATCH, shuffle=True, columns=["id", "x", "y"]), batch_size=None)
    prepared, optimizer, batches = accelerator.prepare(line, torch.optim.SGD(line.parameters(), lr=0.05), batches)
    for _ in range(2):
        for batch in batches:
            optimizer.zero_grad()
            accelerator.backward(prepared(**batch)["loss"])
            optimizer.step()
    line.check()


def test_the_trainer_of_hugging_face(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    line = Line()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=BATCH,
        num_train_epochs=2,
        optim="sgd",
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        dataloader_num_workers=2,
    )
    rows = TorchDataset(dataset, columns=["id", "x", "y"])
    transformers.Trainer(line, arguments, train_dataset=rows, data_collator=TorchDataset.collate).train()
    line.check()
