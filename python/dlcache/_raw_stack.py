"""Scalar columns as one array, straight from the map, for rows in stored order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable
from ._manifest import Column

Int64s = npt.NDArray[np.int64]


class RawStack:
    """Columns of one stored dtype whose chunks are all raw and lie in the same row groups."""

    def __init__(self, columns: Sequence[Column], tables: Sequence[ChunkTable]) -> None:
        first = columns[0]
        assert first.dtype is not None and first.stored_dtype is not None
        self._dtype = first.dtype
        self._stored = np.dtype(first.stored_dtype).newbyteorder("<")
        self._offset = np.stack([table.offset for table in tables])

    @staticmethod
    def fits(columns: Sequence[Column], tables: Sequence[ChunkTable]) -> bool:
        """True if these columns can be read so."""
        stored = columns[0].stored_dtype
        return (
            stored is not None
            and stored != "bit"
            and all(column.stored_dtype == stored and not column.divides for column in columns)
            and all(table.all_raw and len(table.offset) for table in tables)
            and not any((table.offset % np.dtype(stored).itemsize).any() for table in tables)
        )

    def turn(self, group: int, start: int, file: npt.NDArray[np.uint8], out: npt.NDArray[Any]) -> None:
        """Put the rows of a row group (counted over all shards) from `start` on into `out`, [rows, columns] of the
        dtype that is delivered. file: the shard's bytes."""
        offsets, rows, width = self._offset[:, group], len(out), self._stored.itemsize
        cuts = [0, *(np.flatnonzero(np.diff(offsets, 2)) + 2).tolist(), len(offsets)]
        for low, high in pairwise(cuts):  # columns that are equally far apart are one array
            apart = int(offsets[min(low + 1, high - 1)] - offsets[low])
            place = int(offsets[low]) + start * width
            columns = np.ndarray((high - low, rows), self._stored, file, place, (apart, width))
            out[:, low:high] = columns.T

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what is delivered."""
        return self._dtype
