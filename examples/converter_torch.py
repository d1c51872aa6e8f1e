"""A script of Petastorm's Spark converter, for PyTorch: only its import lines are dlcache's.

    python examples/converter_torch.py                   train in this process
    python examples/converter_torch.py --distributed     and then in two, with Spark's TorchDistributor and DDP

The images are handwritten digits, as PNG files. They are decoded in the transform; what the converters have
written goes when the script ends.
"""

from __future__ import annotations

import argparse
import gc
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from digits import digits_as_png, labelled_images, split
from PIL import Image
from pyspark.sql import SparkSession
from torch import nn

# from petastorm import TransformSpec
# from petastorm.spark import SparkDatasetConverter, make_spark_converter
from dlcache.converter import SparkDatasetConverter, TransformSpec, make_spark_converter

BATCH_SIZE = 32


def pixels(content: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(content)), np.float32)[np.newaxis] / 16 - 8


def transform_row(batch: pd.DataFrame) -> pd.DataFrame:
    batch["features"] = batch["content"].map(pixels)
    return batch.drop(columns=["content"])


def get_transform_spec() -> TransformSpec:
    return TransformSpec(
        transform_row,
        edit_fields=[("features", np.float32, (1, 8, 8), False)],
        selected_fields=["features", "label"],
    )


def get_model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 4 * 4, 10)
    )


def train_one_epoch(
    model: nn.Module, optimizer: torch.optim.Optimizer, batches: Iterator[dict[str, torch.Tensor]], steps: int
) -> float:
    model.train()
    total = 0.0
    for _ in range(steps):
        batch = next(batches)
        loss = nn.functional.cross_entropy(model(batch["features"]), batch["label"])
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
    return total / steps


def evaluate(model: nn.Module, converter: SparkDatasetConverter) -> tuple[float, int]:
    """The accuracy on all rows, each once, and how many they were."""
    model.eval()
    right = rows = 0
    with (
        converter.make_torch_dataloader(
            transform_spec=get_transform_spec(), batch_size=BATCH_SIZE, num_epochs=1
        ) as dataloader,
        torch.no_grad(),
    ):
        for batch in dataloader:
            right += int((model(batch["features"]).argmax(1) == batch["label"]).sum())
            rows += len(batch["label"])
    return right / rows, rows


def train_and_evaluate(
    converter_train: SparkDatasetConverter, converter_val: SparkDatasetConverter, epochs: int
) -> tuple[float, int]:
    torch.set_num_threads(1)  # so small a network gains nothing from more
    model = get_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with converter_train.make_torch_dataloader(
        transform_spec=get_transform_spec(), batch_size=BATCH_SIZE
    ) as train_dataloader:
        batches = iter(train_dataloader)
        for _ in range(epochs):
            train_one_epoch(model, optimizer, batches, len(converter_train) // BATCH_SIZE)
    return evaluate(model, converter_val)


def train_and_evaluate_distributed(
    converter_train: SparkDatasetConverter, converter_val: SparkDatasetConverter, epochs: int
) -> tuple[float, int]:
    """The same in each process: two arguments more, cur_shard and shard_count."""
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo")
    rank, size = distributed.get_rank(), distributed.get_world_size()
    model = nn.parallel.DistributedDataParallel(get_model())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    with converter_train.make_torch_dataloader(
        transform_spec=get_transform_spec(), batch_size=BATCH_SIZE, cur_shard=rank, shard_count=size
    ) as train_dataloader:
        batches = iter(train_dataloader)
        for _ in range(epochs):
            train_one_epoch(model, optimizer, batches, len(converter_train) // (BATCH_SIZE * size))
    result = evaluate(model.module, converter_val)
    del model, optimizer
    gc.collect()  # while a model holds the group, gloo may abort at the process's exit
    distributed.destroy_process_group()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--distributed", action="store_true", help="train in two processes too")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="where the images and the cache go")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    images = digits_as_png(args.out / "digits")

    spark = SparkSession.builder.master("local[2]").appName("converter").getOrCreate()
    spark.conf.set(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF, (args.out / "converter").resolve().as_uri())
    df_train, df_val = split(labelled_images(spark, images, list("0123456789")), seed=0)
    converter_train = make_spark_converter(df_train)
    converter_val = make_spark_converter(df_val)
    print(f"train: {len(converter_train)} rows, val: {len(converter_val)} rows")

    accuracy, rows = train_and_evaluate(converter_train, converter_val, args.epochs)
    print(f"PyTorch: accuracy {accuracy:.4f} on {rows} rows")
    if args.distributed:
        from pyspark.ml.torch.distributor import TorchDistributor

        distributor = TorchDistributor(num_processes=2, local_mode=True, use_gpu=False)
        accuracy, rows = distributor.run(train_and_evaluate_distributed, converter_train, converter_val, args.epochs)
        print(f"PyTorch, two processes: accuracy {accuracy:.4f} on {rows} rows")


if __name__ == "__main__":
    main()
