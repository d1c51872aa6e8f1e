"""Nested tensors that a transform returns. In a process of its own: views with lengths make PyTorch load Triton."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch = pytest.importorskip("torch")

from _writer import write  # noqa: E402

import dlcache  # noqa: E402
from dlcache import TransformError, TransformSpec  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype")


@pytest.fixture
def dataset(tmp_path: Path) -> dlcache.Dataset:
    return dlcache.load(write(tmp_path, pa.table({"id": np.arange(20)})))


def made(dataset: dlcache.Dataset, spec: TransformSpec) -> list[list[list[int]]]:
    batches = [batch["y"] for batch in dataset.numpy(10, transform=spec, threads=0)]
    assert all(type(batch) is dlcache.Ragged for batch in batches)
    return [[batch[row].tolist() for row in range(len(batch))] for batch in batches]


def narrowed(batch: dict[str, Any]) -> dict[str, Any]:
    lengths = torch.arange(len(batch["id"])) % 3
    base = torch.arange(len(batch["id"]) * 4).reshape(-1, 4)
    return {"y": torch.nested.narrow(base, 1, torch.ones_like(lengths), lengths, layout=torch.jagged)}


def strided(batch: dict[str, Any]) -> dict[str, Any]:
    rows = [torch.arange(4)[1 : 1 + row % 3] + 4 * row for row in range(len(batch["id"]))]
    return {"y": torch.nested.as_nested_tensor(rows, layout=torch.strided)}


@pytest.mark.parametrize("function", [narrowed, strided])
def test_nested_tensors_come_back_as_their_rows(dataset: dlcache.Dataset, function: Any) -> None:
    spec = TransformSpec(function, [("y", np.int64, (None,))], selected_fields=["y"], input="torch")
    assert made(dataset, spec) == [[[4 * row + 1 + at for at in range(row % 3)] for row in range(10)]] * 2


def test_nested_tensors_of_more_dimensions_are_refused(dataset: dlcache.Dataset) -> None:
    def function(batch: dict[str, Any]) -> dict[str, Any]:
        rows = [torch.zeros(1 + row % 3, 2) for row in range(len(batch["id"]))]
        return {"y": torch.nested.nested_tensor(rows, layout=torch.jagged)}

    with pytest.raises(TransformError, match="more than one dimension"):
        made(dataset, TransformSpec(function, input="torch"))
