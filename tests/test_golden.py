"""The datasets of tests/golden, which the Scala writer wrote: every value of every version, read in every way."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _tables import delivered

import dlcache

GOLDEN = sorted(path.parent for path in (Path(__file__).parent / "golden").glob("*/expected.json"))
FILLS: dict[str, Any] = {"i": -77, "f": -77.0, "b": True, "text": "filled", "bytes": b"filled", "object": None}

pytestmark = pytest.mark.parametrize("root", GOLDEN, ids=lambda path: path.name)


def fill_of(dataset: dlcache.Dataset, name: str) -> Any:
    field = dataset.schema[name]
    return FILLS.get(field.kind, FILLS.get(field.dtype.kind))


def nulls_of(dataset: dlcache.Dataset) -> dict[str, Any]:
    columns = [dataset.manifest.column(name) for name in dataset.columns]
    return {column.name: fill_of(dataset, column.name) for column in columns if column.nulls or column.null_elements}


def plain(value: Any) -> Any:
    """A delivered value as expected.json writes it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str)) or value is None else str(value)


def expected_of(dataset: dlcache.Dataset, name: str, values: list[Any]) -> list[Any]:
    """What is delivered with nulls filled."""
    field = dataset.schema[name]
    fill = plain(fill_of(dataset, name))
    if field.logical == "decimal":
        values = [
            value if isinstance(value, str) else plain(Decimal(value).scaleb(-(field.scale or 0))) for value in values
        ]
    if field.kind == "ragged":
        rows = [[fill] if row is None else [fill if item is None else item for item in row] for row in values]
    else:
        rows = [fill if row is None else row for row in values]
    return rows


def test_every_value(root: Path) -> None:
    for version in json.loads((root / "expected.json").read_text())["versions"]:
        dataset = dlcache.load(root, version=version["version"])
        rows = len(next(iter(version["columns"].values())))
        assert len(dataset) == rows
        assert set(dataset.columns) == set(version["columns"])
        order = np.random.default_rng(0).permutation(rows)
        nulls = nulls_of(dataset)
        gathered = dataset.gather(order, nulls=nulls, decimals="object")
        batches = list(dataset.numpy(3, nulls=nulls, decimals="object"))
        for name, values in version["columns"].items():
            want = expected_of(dataset, name, values)
            assert plain(delivered(gathered[name])) == [want[row] for row in order], name
            assert [plain(value) for batch in batches for value in delivered(batch[name])] == want, name


def test_masks_say_which_rows_are_null(root: Path) -> None:
    for version in json.loads((root / "expected.json").read_text())["versions"]:
        dataset = dlcache.load(root, version=version["version"])
        names = [name for name in dataset.columns if not dataset.manifest.column(name).null_elements]
        got = dataset.gather(np.arange(len(dataset)), names, nulls="mask")
        for name in names:
            there = [value is not None for value in version["columns"][name]]
            assert got.get(f"{name}_mask", np.ones(len(dataset), bool)).tolist() == there
