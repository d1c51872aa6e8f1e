"""Those who bring their own loop: Lightning, Accelerate and the Trainer of Hugging Face, on a line fitted to rows."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

pytest.importorskip("torch")

import torch
from _writer import write
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler

import dlcache
from dlcache.torch import TorchDataset

ROWS = 103
BATCH = 20
STEPS = 6

# What trainers warn of (few worker processes, no logger, their own deprecations) is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    x = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
    y = x @ np.array([1, -2, 3], np.float32)
    table = pa.table({"id": np.arange(ROWS), "x": pa.array(x.tolist(), pa.list_(pa.float32())), "y": y})
    return dlcache.load(write(tmp_path_factory.mktemp("d"), table, shard_rows=40, row_group_rows=16))


class Line(nn.Module):
    """A linear model that returns its loss, and notes which rows it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 1)
        for parameter in self.layer.parameters():
            nn.init.zeros_(parameter)
        self.rows: list[list[int]] = []

    def forward(self, id: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> dict[str, torch.Tensor]:
        self.rows.append(id.tolist())
        return {"loss": nn.functional.mse_loss(self.layer(x)[:, 0], y)}

    def epochs(self) -> list[list[int]]:
        """The rows of each epoch."""
        return [list(chain(*self.rows[at : at + STEPS])) for at in range(0, len(self.rows), STEPS)]

    def error(self, dataset: dlcache.Dataset) -> float:
        rows = dataset.gather(range(ROWS), ["x", "y"])
        return float(((self.layer(torch.from_numpy(rows["x"]))[:, 0].detach().numpy() - rows["y"]) ** 2).mean())


def assert_each_row_once_in_each_of_two_epochs(line: Line, dataset: dlcache.Dataset) -> None:
    first, second = line.epochs()
    assert sorted(first) == sorted(second) == list(range(ROWS))
    assert first != second
    assert line.cpu().error(dataset) < 0.9 * Line().error(dataset)


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

    for batches in (
        dataset.torch(BATCH, shuffle=True),
        DataLoader(TorchDataset(dataset), batch_size=BATCH, shuffle=True, collate_fn=TorchDataset.collate),
    ):
        module = Module()
        trainer = lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=tmp_path,
        )
        trainer.fit(module, batches)
        assert trainer.num_training_batches == STEPS
        assert_each_row_once_in_each_of_two_epochs(module.line, dataset)


def test_accelerate(dataset: dlcache.Dataset) -> None:
    accelerate = pytest.importorskip("accelerate")
    for batches in (
        dataset.torch(BATCH, shuffle=True),
        DataLoader(dataset.torch(BATCH, shuffle=True), batch_size=None, num_workers=2, persistent_workers=True),
        DataLoader(TorchDataset(dataset), batch_size=BATCH, shuffle=True, collate_fn=TorchDataset.collate),
    ):
        accelerator = accelerate.Accelerator()
        line = Line()
        line, optimizer, prepared = accelerator.prepare(line, torch.optim.SGD(line.parameters(), lr=0.05), batches)
        assert len(prepared) == STEPS
        for _ in range(2):
            for batch in prepared:
                optimizer.zero_grad()
                accelerator.backward(line(**batch)["loss"])
                optimizer.step()
        assert_each_row_once_in_each_of_two_epochs(line, dataset)


def test_accelerate_in_two_processes(dataset: dlcache.Dataset) -> None:
    pytest.importorskip("accelerate")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    address["PYTHONPATH"] = os.pathsep.join(sys.path)
    script = Path(__file__).with_name("_accelerate_script.py")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", script, dataset.path],
            env={**os.environ, **address, "WORLD_SIZE": "2", "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    texts = [rank.communicate()[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0]
    first, second = (json.loads(text.splitlines()[-1]) for text in texts)
    for name in ("loader", "whole", "rows"):
        epochs = list(zip(first[name], second[name], strict=True))
        assert len(epochs) == 2
        for one, other in epochs:
            assert len(one) == len(other) in range(ROWS // 2, ROWS // 2 + BATCH)
            assert set(one + other) == set(range(ROWS))
        assert epochs[0] != epochs[1]
    for name in ("shared", "shared by workers"):
        for seen in (first, second):
            assert "DataLoader(TorchDataset(dataset), batch_size=" in seen[name][0][0]


def test_the_trainer_of_hugging_face(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    line = Line()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=BATCH,
        num_train_epochs=2,
        learning_rate=0.05,
        optim="sgd",
        use_cpu=True,
        remove_unused_columns=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(
        line, arguments, train_dataset=TorchDataset(dataset), data_collator=TorchDataset.collate
    )
    assert trainer.train().global_step == 2 * STEPS
    assert_each_row_once_in_each_of_two_epochs(line, dataset)


def test_a_trainer_with_a_loader_of_its_own(dataset: dlcache.Dataset, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")

    class Trainer(transformers.Trainer):  # type: ignore[name-defined, misc]
        def get_train_dataloader(self) -> Any:
            loader = dataset.torch(BATCH, shuffle=True)
            stock = DataLoader(loader, batch_size=None, num_workers=2, persistent_workers=True)
            return self.accelerator.prepare(stock)

    def trained(make: Any) -> Line:
        line = Line()
        arguments = transformers.TrainingArguments(
            output_dir=str(tmp_path),
            num_train_epochs=2,
            use_cpu=True,
            report_to=[],
            save_strategy="no",
            disable_tqdm=True,
            learning_rate=0.05,
            optim="sgd",
            remove_unused_columns=False,
        )
        make(line, arguments, train_dataset=dataset.torch(BATCH)).train()
        return line

    assert_each_row_once_in_each_of_two_epochs(trained(Trainer), dataset)
    with pytest.raises(dlcache.OptionError, match=r"pass dlcache\.torch\.TorchDataset"):
        trained(transformers.Trainer)


@pytest.mark.parametrize("replicas", [2, 3])
def test_a_distributed_sampler_shares_out_the_rows(dataset: dlcache.Dataset, replicas: int) -> None:
    rows = TorchDataset(dataset, columns=["id"])
    seen: list[int] = []
    for rank in range(replicas):
        sampler: DistributedSampler[Any] = DistributedSampler(rows, replicas, rank, drop_last=True)
        sampler.set_epoch(1)
        for batch in DataLoader(rows, batch_size=16, sampler=sampler, collate_fn=TorchDataset.collate):
            seen += batch["id"].tolist()
    assert len(seen) == len(set(seen)) == ROWS // replicas * replicas


# The stateful DataLoader


@pytest.fixture(scope="module")
def stateful() -> Iterator[Any]:
    yield pytest.importorskip("torchdata.stateful_dataloader").StatefulDataLoader


@pytest.mark.parametrize(
    ("workers", "persistent", "stops"), [(0, False, range(STEPS)), (2, False, (0, 3, STEPS)), (2, True, (3,))]
)
def test_a_stateful_dataloader_goes_on_where_it_was(
    dataset: dlcache.Dataset, stateful: Any, workers: int, persistent: bool, stops: Any
) -> None:
    def loader() -> Any:
        rows = dataset.torch(BATCH, shuffle=True, columns=["id"], threads=0)
        return stateful(rows, batch_size=None, num_workers=workers, persistent_workers=persistent)

    def rows(batches: Any) -> list[list[int]]:
        return [batch["id"].tolist() for batch in batches]

    uninterrupted = loader()
    whole = [rows(uninterrupted), rows(uninterrupted)]
    assert whole[0] != whole[1]
    for stop in stops:
        stopped = loader()
        iterator = iter(stopped)
        before = rows(next(iterator) for _ in range(stop))
        state = stopped.state_dict()
        resumed = loader()
        for _ in range(2):  # also of a loader that has delivered more
            resumed.load_state_dict(state)
            rest = rows(resumed)
            assert before + rest == whole[0], stop
            assert rows(resumed) == whole[1], stop
