"""Stacked columns by rows: a copy in a temporary file, made for those who read many rows in any order.

Column by column, a row of a hundred columns is a hundred places, of which each brings a cache line for one value. To
turn a whole table over into rows costs less than to gather half of its rows so. Who gathers that many will gather more:
then the copy is made, some rows with each gather, and when it is whole a row is one place.

The file has no name: it is gone when the reader or its process is.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import DlcacheError, StorageError
from ._mapping import map_at_multiple
from ._memory import HUGE_PAGE, BufferPool, void
from ._rows import Int64s

Array = npt.NDArray[Any]

PIECE_BYTES = 8 << 20
"""Turned over and written at once: files of large writes lie in large pages, which are read faster."""
_ROWS_EACH = 4
_SHARE_OF_FREE = 8

logger = logging.getLogger("dlcache")


class RowCopy:
    """A copy of `columns` columns of all `rows` rows of a dataset version. Threads may share it.

    most: its bytes at most; None for an eighth of what is free where temporary files are. It begins after half as many
    rows as there are were gathered without it. Where it cannot be made there is none, and no error.
    """

    def __init__(self, rows: int, columns: int, dtype: np.dtype[Any], most: int | None) -> None:
        self._rows, self._columns, self._dtype, self._most = rows, columns, dtype, most
        self._width = columns * dtype.itemsize
        self._lock = threading.Lock()
        self._gathered = self._copied = 0
        self._file: int | None = None
        self._close: Callable[[], object] = lambda: None
        self._mapped: Array | None = None  # an item for each row
        self._refused = False

    @property
    def whole(self) -> bool:
        """True once it has all rows."""
        return self._mapped is not None

    def gather(self, ids: Int64s, pool: BufferPool) -> Array | None:
        """The rows with these ids, [rows, columns]; None while the copy is not whole."""
        mapped = self._mapped
        if mapped is None:
            return None
        out = pool.array((len(ids), self._columns), self._dtype)
        mapped.take(ids, out=out.reshape(-1).view(mapped.dtype), mode="clip")
        return out

    def gathered(self, rows: int, read: Callable[[int, int], Array]) -> None:
        """To be told of rows that were gathered without the copy. Goes on with it when it is worth while; `read`
        returns the rows with the ids `start .. stop-1`."""
        if self._refused or not self._lock.acquire(blocking=False):
            return
        try:
            self._gathered += rows
            if self._mapped is None and 2 * self._gathered >= self._rows:
                self._copy(_ROWS_EACH * rows, read)
        except (OSError, DlcacheError) as error:  # of rows that nobody has asked for, or of a full disk
            logger.info("stacked columns are read where they lie, without a copy by rows: %s", error)
            self._refuse()
        finally:
            self._lock.release()

    def _copy(self, rows: int, read: Callable[[int, int], Array]) -> None:
        """The next rows."""
        if self._file is None:
            self._file = self._open()
        until, piece = min(self._rows, self._copied + rows), max(1, PIECE_BYTES // self._width)
        while self._copied < until:
            stop = min(self._rows, self._copied + piece)
            part = np.ascontiguousarray(read(self._copied, stop), self._dtype)
            os.lseek(self._file, self._copied * self._width, os.SEEK_SET)  # a write before may have been interrupted
            _write(self._file, part)
            self._copied = stop
        if self._copied == self._rows:
            self._mapped = map_at_multiple(self._file, self._rows * self._width, HUGE_PAGE).view(void(self._width))
            self._close()

    def _open(self) -> int:
        size, folder = self._rows * self._width, tempfile.gettempdir()
        free = shutil.disk_usage(folder).free // _SHARE_OF_FREE
        most = free if self._most is None else min(free, self._most)
        if size > most:
            raise StorageError(f"it would take {size} bytes of {folder}, and may take {most}")
        with tempfile.TemporaryFile(prefix="dlcache-") as file:
            descriptor = os.dup(file.fileno())
        self._close = weakref.finalize(self, os.close, descriptor)
        return descriptor

    def _refuse(self) -> None:
        self._refused = True
        self._close()


def _write(descriptor: int, rows: Array) -> None:
    """At the file's position: Windows has no `pwrite`."""
    left = rows.reshape(-1).view(np.uint8).data
    while left:
        left = left[os.write(descriptor, left) :]
