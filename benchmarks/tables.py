"""The workloads as Arrow tables and Parquet files: where Spark and the peers start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workloads import EMBEDDING, FLOATS, INTS, Array, mapped


def table(workload: str, directory: Path, start: int, end: int) -> Any:
    """Rows `start` to `end` as an Arrow table with the columns of the workload."""
    import pyarrow as pa

    def column(name: str) -> Array:
        return mapped(directory, name)[start:end]

    if workload == "embeddings":
        features = column("features").reshape(-1)
        offsets = np.arange(0, len(features) + 1, EMBEDDING, dtype=np.int32)
        return pa.table({"features": pa.ListArray.from_arrays(offsets, features), "label": column("label")})
    if workload == "tabular":
        floats, ints = column("floats"), column("ints")
        columns = {f"f{n}": np.ascontiguousarray(floats[:, n]) for n in range(FLOATS)}
        return pa.table(columns | {f"i{n}": np.ascontiguousarray(ints[:, n]) for n in range(INTS)})
    offsets = mapped(directory, "offsets")[start : end + 1]
    within = (offsets - offsets[0]).astype(np.int32)
    if workload == "ragged":
        tokens = mapped(directory, "tokens")[offsets[0] : offsets[-1]]
        return pa.table({"tokens": pa.ListArray.from_arrays(within, tokens), "label": column("label")})
    with open(directory / "blob.bin", "rb") as file:
        file.seek(int(offsets[0]))
        blob = file.read(int(within[-1]))
    images = pa.Array.from_buffers(pa.binary(), len(within) - 1, [None, pa.py_buffer(within), pa.py_buffer(blob)])
    return pa.table({"image": images, "label": column("label")})


def write_parquet(workload: str, directory: Path, rows: int, target: Path, files: int = 1) -> None:
    """Writes `target`, a directory of uncompressed Parquet files with row groups of at most 10,000 rows."""
    import pyarrow.parquet as pq

    if target.exists():
        return
    target.mkdir()
    for number in range(files):
        start, end = rows * number // files, rows * (number + 1) // files
        path = target / f"part-{number}.parquet"
        pq.write_table(
            table(workload, directory, start, end),
            path,
            row_group_size=10_000,
            compression="none",
            use_dictionary=False,
        )
