"""JAX takes the batches of NumPy through DLPack."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

jax = pytest.importorskip("jax")

from pathlib import Path  # noqa: E402

from _writer import write  # noqa: E402

import dlcache  # noqa: E402

ROWS = 203


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_stay_right_when_later_ones_are_read(tmp_path: Path, shuffle: bool) -> None:
    """The arrays of JAX may be the memory of the batch, which must not be used again while they live."""
    ids = np.arange(ROWS, dtype=np.int32)
    table = pa.table({"id": ids, "x": pa.array((ids[:, None] * 10 + np.arange(4)).tolist(), pa.list_(pa.float32()))})
    dataset = dlcache.load(write(tmp_path, table, shard_rows=70, row_group_rows=16))
    kept = []
    for batch in dataset.numpy(16, shuffle=shuffle, epochs=3, threads=2):
        kept.append({name: jax.numpy.from_dlpack(array) for name, array in batch.items()})
        del batch
    assert (kept[0]["x"].dtype, kept[0]["x"].shape) == (np.float32, (16, 4))
    rows = np.concatenate([np.asarray(batch["id"]) for batch in kept])
    assert sorted(rows.tolist()) == sorted([*range(ROWS)] * 3)
    for batch in kept:
        assert np.array_equal(np.asarray(batch["x"])[:, 0], np.asarray(batch["id"]) * 10)
    total = jax.jit(lambda parts: sum(part["x"].sum() for part in parts))(kept)
    assert float(total) == pytest.approx(3 * (ids * 40.0 + 6).sum(), rel=1e-4)
