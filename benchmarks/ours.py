"""dlcache, as its README shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import dlcache
from benchmarks.limits import Iterated, read_threads
from benchmarks.workloads import FLOATS, INTS, Batch, decode

FLOAT_COLUMNS = [f"f{n}" for n in range(FLOATS)]
INT_COLUMNS = [f"i{n}" for n in range(INTS)]


def padded(batch: Batch) -> Batch:
    return {"tokens": batch["tokens"].to_padded(), "label": batch["label"]}


def decoded(batch: Batch) -> Batch:
    return {"image": decode(batch["image"]), "label": batch["label"]}


class Ours:
    """A dataset that benchmarks.spark wrote: `options["dataset"]`, by default `dlcache`."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        name = options.get("dataset", "dlcache")
        self.dataset = dlcache.load(directory / name)
        self.options: dict[str, Any] = {}
        if "threads" in options:
            self.options["threads"] = int(options["threads"])
        if workload == "tabular" and name == "dlcache":
            self.options["stack"] = {"floats": FLOAT_COLUMNS, "ints": INT_COLUMNS}
        elif workload == "ragged":
            self.options["transform"] = dlcache.TransformSpec(
                padded,
                edit_fields=[dlcache.Field("tokens", "array", np.dtype(np.int32), (None, None))],
                num_threads=read_threads(),
            )
        elif workload == "decoded":
            self.options["transform"] = dlcache.TransformSpec(
                decoded, edit_fields=[("image", np.uint8, (224, 224, 3))], num_threads=read_threads()
            )

    def prepare(self) -> None:
        """benchmarks.spark has written the dataset."""


class Torch(Ours):
    """PyTorch."""

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        return iter(self.dataset.torch(batch_size, shuffle=shuffle, seed=seed, **self.options))


class TensorFlow(Iterated, Ours):
    """TensorFlow."""

    def batches(self, shuffle: bool, batch_size: int) -> Any:
        return self.dataset.tf(batch_size, shuffle=shuffle, **self.options)
