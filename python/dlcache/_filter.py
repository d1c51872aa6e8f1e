"""Rows chosen by the values of their columns. As in SQL, a row for which the condition is null is not kept.

The columns that the condition names are decoded, and every row is compared. Parquet's statistics are not asked: they
leave out NaN, do not tell 0.0 from -0.0, and may be missing, cut off or wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from ._background import StoppingThreads
from ._comparison import Mask
from ._condition import Predicate
from ._errors import ShardError
from ._fetch import CONNECTIONS
from ._manifest import Manifest
from ._rows import Int64s, Rows
from ._shards import ShardReader

Readers = Callable[[Collection[int]], ShardReader]


def matching(condition: Predicate, manifest: Manifest, readers: Readers, rows: Rows) -> Int64s:
    """The positions in `rows`, ascending, of the rows for which a condition is true.

    readers: makes a reader for columns, by their numbers. Of shards that come from elsewhere several are looked at at
    once.
    """
    starts = manifest.shards.row_starts
    firsts, stops = rows.positions(starts[:-1]), rows.positions(starts[1:])
    wanted = [shard for shard in range(len(firsts)) if firsts[shard] < stops[shard]]
    if not wanted:
        return np.empty(0, np.int64)
    tops = {path[0] for path in condition.paths}
    reader = readers([number for number, column in enumerate(manifest.columns) if column.path[0] in tops])

    def kept(shard: int) -> Int64s:
        positions = np.arange(firsts[shard], stops[shard], dtype=np.int64)
        mask = _mask(condition, manifest, reader, shard)
        out: Int64s = positions[mask[rows.at(positions) - starts[shard]]]
        return out

    with StoppingThreads(CONNECTIONS if reader.maps.fetches else 1, "dlcache-filter") as pool:
        return np.concatenate(list(pool.map(kept, wanted)))


def _mask(condition: Predicate, manifest: Manifest, reader: ShardReader, shard: int) -> Mask:
    """True for the rows of a shard that match."""
    shards, paths = manifest.shards, sorted(condition.paths)
    columns = {str(number): pc.field(*path) for number, path in enumerate(paths)}
    try:
        file = pads.ParquetFileFormat().make_fragment(pa.py_buffer(reader.maps.file(shard)))
        masks = [
            condition.rows(dict(zip(paths, batch.columns, strict=True)))
            for batch in file.scanner(columns=columns).to_batches()
        ]
    except (pa.ArrowException, OSError, TypeError) as error:
        raise ShardError(
            f"cannot read {shards.paths[shard]}: {error}; the file is damaged, write the dataset again"
        ) from error
    mask = np.concatenate([np.empty(0, bool), *masks])
    if len(mask) != int(shards.rows[shard]):
        raise ShardError(
            f"{shards.paths[shard]} has {len(mask)} rows, and its manifest says {int(shards.rows[shard])}; "
            "write the dataset again"
        )
    return mask
