"""Loaders deliver the rows that Spark collects, for random columns, options and ranks."""

from __future__ import annotations

import datetime
import random
from pathlib import Path
from typing import Any

import pytest
from _tables import delivered

import dlcache

COLUMNS = {
    "flag": "id % 3 = 0",
    "small": "cast(id % 100 as byte)",
    "number": "cast(id * 7 as int)",
    "big": "id * 1234567",
    "real": "cast(id as float) / 8",
    "fine": "id / 3",
    "day": "date_add(DATE'2026-01-01', cast(id % 500 as int))",
    "word": "concat('ß', id % 17)",
    "raw": "cast(repeat('x', cast(id % 5 as int)) as binary)",
    "tensor": "transform(sequence(1, 3), i -> cast(id + i as float))",
    "ragged": "transform(sequence(1, cast(id % 4 + 1 as int)), i -> id + i)",
    "gap": "if(id % 5 = 0, null, id)",
    "gap_word": "if(id % 4 = 0, null, concat('w', id % 3))",
    "nested": "map('a', id)",
}


def plain(name: str, value: Any) -> Any:
    """A value that Spark collected, as a loader delivers it."""
    if name == "day":
        return (value - datetime.date(1970, 1, 1)).days
    if name == "nested":
        return list(value.items())
    return bytes(value) if isinstance(value, bytearray) else value


@pytest.mark.parametrize("seed", range(2))
def test_loaders_deliver_what_spark_collects(spark: Any, tmp_path: Path, seed: int) -> None:
    choose = random.Random(seed)
    names = choose.sample(sorted(COLUMNS), 7)
    frame = spark.range(choose.randint(40, 300)).selectExpr("id", *(f"{COLUMNS[name]} AS {name}" for name in names))
    frame = frame.repartition(choose.randint(1, 3))
    dataset = dlcache.cache(
        frame, tmp_path / "d", dtype=None, progress=False, rowGroupBytes=choose.choice([4096, 1 << 20])
    )
    collected = {row["id"]: row.asDict() for row in frame.collect()}
    world = choose.choice([1, 2, 3])
    options: dict[str, Any] = {
        "batch_size": choose.randint(1, 40),
        "shuffle": True,
        "seed": seed,
        "remainder": "mask",
        "nulls": {name: fill for name, fill in (("gap", -1), ("gap_word", "none")) if name in names},
        **choose.choice([{}, {"shuffle_window": 50}]),
    }
    for epoch in range(2):
        seen: list[int] = []
        for rank in range(world):
            loader = dataset.numpy(**options, rank=rank, world_size=world, epochs=2)
            for step in range(loader.steps.count):
                batch = loader.batch_at(step, epoch)
                weights = batch.pop("sample_weight")
                columns = {name: delivered(values) for name, values in batch.items()}
                for at, row in enumerate(columns["id"]):
                    expected = collected[row]
                    for name in names:
                        value = plain(name, expected[name])
                        value = options["nulls"].get(name) if value is None else value
                        assert columns[name][at] == value, (name, expected)
                    seen += [row] if weights[at] else []
        assert sorted(seen) == sorted(collected)
