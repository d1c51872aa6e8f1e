"""Random datasets, options, ranks and resume points: what loaders deliver against a simple model of it.

`python tests/random_loaders.py SECONDS SEED` tries case after case; a failure names the seed of its case.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from _tables import FILLS, KINDS, column, delivered, expected
from _writer import write

import dlcache

EPOCHS = 2
Row = dict[str, Any]


def double(batch: dict[str, Any]) -> dict[str, Any]:
    return {**batch, "double": batch["id"] * 2}


class Case:
    """One dataset, the options of its loaders, and what each of its rows is."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed = seed
        self.random = choose = random.Random(seed)
        rows = choose.choice([1, 2, 7, choose.randint(10, 60), choose.randint(60, 400)])
        self.kinds = choose.sample(KINDS, choose.randint(1, 4))
        self.table = pa.table(
            {
                "id": np.arange(rows),
                "a": np.arange(rows) * 3.0,
                "b": np.arange(rows) * 5.0,
                **{kind: column(kind, rows, seed) for kind in self.kinds},
            }
        )
        cut = choose.randint(0, rows - 1) if choose.random() < 0.3 else 0
        sizes: dict[str, Any] = {
            "shard_rows": choose.randint(1 + rows // 8, rows + 1),
            "row_group_rows": choose.randint(1 + rows // 12, rows + 1),
            "compression": choose.choice(["none", "none", "zstd"]),
        }
        if cut:
            write(folder, self.table.slice(0, cut), **sizes)
        write(folder, self.table.slice(cut), append=bool(cut), **sizes)
        self.dataset = dlcache.load(folder)
        self.ids = list(range(rows))
        if choose.random() < 0.3 and rows > 2:
            self.dataset = self.dataset.split({"part": 0.7}, seed=seed)["part"]
            self.ids = self.dataset.gather(range(len(self.dataset)), ["id"])["id"].tolist()
            assert len(set(self.ids)) == len(self.ids) == round(rows * 0.7), "rows of a split"
        self.world = choose.choice([1, 1, 2, 3, 4])
        self.options = self._options()
        self.values = self._values()

    def _options(self) -> dict[str, Any]:
        choose, rows = self.random, len(self.ids)
        shuffle = choose.random() < 0.7
        options: dict[str, Any] = {
            "batch_size": choose.choice([1, 3, 8, choose.randint(1, rows + 3)]),
            "shuffle": shuffle,
            "seed": choose.randint(0, 3),
            "threads": choose.choice([0, 1, 3]),
            "prefetch": choose.choice([1, 1000, 64 << 20]),
            "remainder": choose.choice(["pad", "mask", "drop", *(["exact"] * 3 if self.world == 1 else [])]),
            "nulls": FILLS if choose.random() < 0.6 or {"null_list", "null_elements"} & {*self.kinds} else "mask",
        }
        if options["nulls"] is FILLS:
            options["nulls"] = {name: fill for name, fill in FILLS.items() if name in self.kinds}
        if shuffle and choose.random() < 0.4:
            options["shuffle_window"] = choose.randint(1, rows + 5)
        if choose.random() < 0.3:
            options["stack"] = {"ab": ["a", "b"]}
        if choose.random() < 0.3:
            options["transform"] = double
        if choose.random() < 0.5:
            options["strings"] = "codes"
        return options

    def _values(self) -> dict[str, list[Any]]:
        """The values of each field, by the row's id."""
        options, table = self.options, self.table
        values = {"id": table["id"].to_pylist()}
        if "stack" in options:
            values["ab"] = [list(pair) for pair in zip(table["a"].to_pylist(), table["b"].to_pylist(), strict=True)]
        else:
            values |= {name: table[name].to_pylist() for name in "ab"}
        if "transform" in options:
            values["double"] = [2 * row for row in values["id"]]
        for kind in self.kinds:
            for name in (f"{kind}.x", f"{kind}.y") if kind == "struct" else (kind,):
                values[name] = expected(table, name)
            nulls = [value is None for value in table[kind].to_pylist()]
            if kind in ("string", "null_string") and "strings" in options:
                known = self.dataset.vocabulary(kind)
                assert list(known) == sorted({value for value in table[kind].to_pylist() if value is not None})
                fill = None if options["nulls"] == "mask" else FILLS.get(kind)
                values[kind] = [
                    -1 if null and fill is None else known.index(value) if value in known else -1
                    for value, null in zip(values[kind], nulls, strict=True)
                ]
            if options["nulls"] == "mask" and any(nulls):
                values[f"{kind}_mask"] = [not null for null in nulls]
        return values

    def loader(self, rank: int = 0, world: int | None = None, **others: Any) -> Any:
        """The loader of a rank, of `EPOCHS` epochs."""
        world = world or self.world
        options = {**self.options, "rank": rank, "world_size": world, "epochs": EPOCHS, **others}
        options["batch_size"] = options["batch_size"] * self.world // world
        return self.dataset.numpy(**options)

    def rows(self, batch: dict[str, Any]) -> list[Row]:
        """The rows of a batch, each checked against the values of its id."""
        columns = {name: delivered(value) for name, value in batch.items()}
        weights = columns.pop("sample_weight", None)
        assert (weights is not None) == (self.options["remainder"] == "mask")
        assert columns.keys() == self.values.keys(), (columns.keys(), self.values.keys())
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        for row in rows:
            for name, value in row.items():
                if row.get(f"{name}_mask", True):
                    assert value == self.values[name][row["id"]], (name, row)
        return [{**row, "weight": 1.0 if weights is None else weights[at]} for at, row in enumerate(rows)]

    def check(self, workers: bool = False) -> None:
        """Raises AssertionError."""
        ranks = [list(map(self.rows, self.loader(rank))) for rank in range(self.world)]
        assert len({len(rank) for rank in ranks}) == 1
        steps = [list(chain(*parts)) for parts in zip(*ranks, strict=True)]
        assert len(steps) == EPOCHS * self.loader().steps.count
        each = len(steps) // EPOCHS
        orders = [list(chain(*steps[at * each : (at + 1) * each])) for at in range(EPOCHS)]
        for order in orders:
            self._check_order(order)
        if self.options["shuffle"] and min(map(len, orders)) > 30:
            assert [row["id"] for row in orders[0]] != [row["id"] for row in orders[1]], "epochs have one order"
        rank = self.random.randrange(self.world)
        if steps:
            self._check_resumption(ranks[rank], rank, steps)
            self._check_steps(ranks[rank], rank, each)
        if workers:
            self._check_workers(ranks[rank], rank)

    def _check_order(self, order: list[Row]) -> None:
        ids, rows = [row["id"] for row in order], len(self.ids)
        whole = self.options["batch_size"] * self.world
        kind = self.options["remainder"]
        count = {"exact": rows, "drop": rows // whole * whole}.get(kind, -(-rows // whole) * whole)
        assert len(ids) == count
        assert len(set(ids[:rows])) == min(count, rows), "a row comes twice"
        assert set(ids) <= {*self.ids}
        if not self.options["shuffle"]:
            assert ids == [self.ids[at % rows] for at in range(count)]
        assert ids == [ids[at % rows] for at in range(count)], "padding is not the start of the order"
        if kind == "mask":
            assert [row["weight"] for row in order] == [float(at < rows) for at in range(count)]

    def _check_resumption(self, batches: list[list[Row]], rank: int, steps: list[list[Row]]) -> None:
        stop = self.random.randint(0, len(batches))
        loader = self.loader(rank)
        iterator = iter(loader)
        taken = list(map(self.rows, islice(iterator, stop)))
        state = json.loads(json.dumps(loader.state_dict()))
        del iterator
        resumed = self.loader(rank, threads=self.random.choice([0, 2]))
        resumed.load_state_dict(state)
        assert taken + list(map(self.rows, resumed)) == batches, f"resumed after {stop} batches"
        whole = self.loader(rank)
        for _ in whole:
            pass
        assert resumed.fingerprint() == whole.fingerprint()
        if self.options["batch_size"] * self.world % 2 == 0 and self.options["remainder"] != "exact":
            others = [self.loader(other, 2) for other in range(2)]
            for other in others:
                other.load_state_dict(state)
            parts = [list(map(self.rows, other)) for other in others]
            assert [[*one, *two] for one, two in zip(*parts, strict=True)] == steps[stop:], "on other ranks"

    def _check_steps(self, batches: list[list[Row]], rank: int, each: int) -> None:
        loader = self.loader(rank)
        for at in self.random.sample(range(len(batches)), min(3, len(batches))):
            assert self.rows(loader.batch_at(at % each, at // each)) == batches[at], f"batch {at} by its number"

    def _check_workers(self, batches: list[list[Row]], rank: int) -> None:
        from torch.utils.data import DataLoader

        options = {**self.options, "rank": rank, "world_size": self.world, "columns": ["id"], "nulls": "error"}
        for name in ("stack", "transform", "strings"):
            options.pop(name, None)
        loader = self.dataset.torch(**options)
        workers, persistent = self.random.randint(1, 3), self.random.random() < 0.5
        stock = DataLoader(loader, batch_size=None, num_workers=workers, persistent_workers=persistent)
        each = len(batches) // EPOCHS
        ids = [[row["id"] for row in batch] for batch in batches]
        for epoch in (0, 1, self.random.randrange(EPOCHS)):
            loader.set_epoch(epoch)
            seen = [batch["id"].tolist() for batch in stock]
            assert seen == ids[epoch * each : (epoch + 1) * each], f"{workers} workers, epoch {epoch}"


def run(seed: int, workers: bool = False) -> None:
    """One case. An AssertionError names it."""
    case = None
    with tempfile.TemporaryDirectory() as folder:
        try:
            case = Case(seed, Path(folder, "d"))
            case.check(workers)
        except Exception as error:
            options = {} if case is None else {**case.options, "ranks": case.world, "columns": case.kinds}
            raise AssertionError(f"random loaders: seed {seed}, {options}: {error}") from error


if __name__ == "__main__":
    end, first = time.monotonic() + float(sys.argv[1]), int(sys.argv[2])
    number = 0
    while time.monotonic() < end:
        run(first + number, workers=number % 10 == 0)
        number += 1
    print(f"{number} cases, from seed {first} on")
