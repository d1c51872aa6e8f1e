"""The examples of docs/reading.md are what they say."""

from __future__ import annotations

import doctest
import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
from _writer import write

import dlcache

DOCUMENT = Path(__file__).parent.parent / "docs" / "reading.md"
ROWS = 1000


def examples() -> str:
    blocks = re.findall(r"^```pycon\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return "\n".join(blocks)


def table(rows: int, start: int = 0) -> pa.Table:
    ids = np.arange(rows) + start
    return pa.table(
        {
            "id": ids,
            "features": pa.array((ids[:, None] + np.arange(4) / 8).tolist(), pa.list_(pa.float32())),
            "label": pa.array([None if row % 10 == 9 else row % 10 % 3 for row in range(rows)], pa.int32()),
            "city": [("Ulm", "Zürich", "Basel")[row % 3] for row in range(rows)],
            "tags": pa.array([list(range(row % 4)) for row in range(rows)], pa.list_(pa.int64())),
            "price": pa.array([Decimal(row).scaleb(-2) for row in range(rows)], pa.decimal128(9, 2)),
            "day": pa.array(np.arange(rows, dtype=np.int32), pa.date32()),
        }
    )


def test_the_examples(tmp_path: Path) -> None:
    dataset = dlcache.load(write(tmp_path / "dataset", table(ROWS), shard_rows=400))
    night = dlcache.load(write(tmp_path / "night", table(500, 1000).select(["id", "features"])))
    old = dlcache.load(write(tmp_path / "old", table(800, 2000).select(["id", "features"])))
    names = {"dlcache": dlcache, "dataset": dataset, "night": night, "old": old}
    test = doctest.DocTestParser().get_doctest(examples(), names, "reading.md", str(DOCUMENT), 0)
    assert len(test.examples) > 30
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False, optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not result.failed, "".join(report)
