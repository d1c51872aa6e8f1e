"""Where rows lie: from row ids to row groups. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._errors import OptionError

Int64s = npt.NDArray[np.int64]

_CELLS = 4
_MOST_CELLS = 1 << 14
PIECE_ROWS = 1 << 13
"""Of what is computed at once: the memory of larger arrays is new each time, and the system is asked for its pages."""
_CORRECTIONS = 3
DERIVED_BYTES = 4 << 20
"""Of what is kept with some places."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows that lie in one row group, one after another: rows `start .. stop-1` of row group `group` (counted over all
    shards) in `shard`."""

    shard: int
    group: int
    start: int
    stop: int


class RowGroups:
    """The row groups of all shards, numbered one after another.

    first: the first row id of each, and the number of rows at the end. shard: the shard of each.

    A row's group comes from a table of cells of equally many rows (a power of two of them): it is the group in which
    its cell begins, or one of the few that begin within it. A binary search would cost several times as much.
    """

    def __init__(self, first: Int64s, shard: Int64s) -> None:
        self.first, self.shard = first, shard
        self._starts: list[int] = first.tolist()
        groups, rows = len(shard), int(first[-1])
        self._shift = max(0, (rows // max(1, _CELLS // 2 * groups)).bit_length() - 1)
        apart = int(np.gcd.reduce(first[:-1]))
        power = apart & -apart  # of two: no group begins within a cell of so many rows
        if power and rows // power < _MOST_CELLS:
            self._shift = min(self._shift, power.bit_length() - 1)
        begins = np.arange((max(rows, 1) - 1 >> self._shift) + 1, dtype=np.int64) << self._shift
        ends = np.minimum(begins + (1 << self._shift), rows) - 1
        self._of_cell = np.searchsorted(first[1:], begins, side="right")
        self._corrections = int((np.searchsorted(first[1:], ends, side="right") - self._of_cell).max(initial=0))

    def locate(self, rows: Int64s, out: Int64s | None = None) -> Places:
        """Where these rows are (int64 ids, in any order, also repeated), with the row groups in `out`. Raises
        OptionError for ids that are none."""
        ends = self.first[1:]
        if len(rows) and int(rows.view(np.uint64).max()) >= int(self.first[-1]):
            raise OptionError(f"row ids must be in 0 .. {self.first[-1] - 1}; got {rows.min()} .. {rows.max()}")
        group = np.empty(len(rows), np.int64) if out is None else out
        for start in range(0, len(rows), PIECE_ROWS):
            some, its = rows[start : start + PIECE_ROWS], group[start : start + PIECE_ROWS]
            if self._corrections > _CORRECTIONS:
                its[:] = np.searchsorted(ends, some, side="right")
                continue
            self._of_cell.take(some >> self._shift, out=its, mode="clip")
            for _ in range(self._corrections):
                its += some >= ends.take(its)
        return Places(rows, group, self)

    def rows_behind(self, start: int) -> int:
        """Rows from `start` to the end of its row group."""
        return self._starts[bisect_right(self._starts, start)] - start

    def stretch(self, start: int, stop: int) -> Stretch | None:
        """Rows `start .. stop-1`, if they lie in one row group."""
        group = bisect_right(self._starts, start) - 1
        if stop <= start or stop > self._starts[group + 1]:
            return None
        first = self._starts[group]
        return Stretch(int(self.shard[group]), group, start - first, stop - first)

    def stretches(self, start: int, stop: int) -> Iterator[Stretch]:
        """Rows `start .. stop-1`, a stretch for each row group."""
        while start < stop:
            here = min(stop, start + self.rows_behind(start))
            stretch = self.stretch(start, here)
            assert stretch is not None
            yield stretch
            start = here


class Places:
    """Where rows lie: their `ids`, and their row groups `group` (counted over all shards); int64 each."""

    __slots__ = ("_derived", "_derived_bytes", "_start", "_whole", "group", "groups", "ids")

    def __init__(
        self, ids: Int64s, group: Int64s, groups: RowGroups, whole: Places | None = None, start: int = 0
    ) -> None:
        """whole, start: the places that these are a part of, and where in them they start."""
        self.ids, self.group, self.groups = ids, group, groups
        self._whole, self._start = whole, start
        self._derived: dict[Hashable, Int64s] = {}
        self._derived_bytes = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def shard(self) -> Int64s:
        """The shard of each row."""
        return self.groups.shard.take(self.group)

    @property
    def row(self) -> Int64s:
        """The row within its row group."""
        return self.ids - self.groups.first.take(self.group)

    def part(self, start: int, stop: int) -> Places:
        """Places `start .. stop-1`."""
        return Places(self.ids[start:stop], self.group[start:stop], self.groups, self, start)

    def at(self, rows: Int64s) -> Places:
        """Some of these places, in any order."""
        return Places(self.ids.take(rows), self.group.take(rows), self.groups)

    def derived(self, key: Hashable, width: int, make: Callable[[Places], Int64s]) -> Int64s:
        """`make` of these places: `width` numbers for each row. For a part it is made of the whole once, and kept with
        it: a few NumPy calls on many rows are cheap, and many on few rows, each of which may have to wait for the
        interpreter's lock, are not. `key` names what is made."""
        whole = self._whole
        if whole is None:
            return make(self)
        made = whole._derived.get(key)
        if made is None:
            size = len(whole) * width * 8
            if whole._derived_bytes + size > DERIVED_BYTES:
                return make(self)
            whole._derived_bytes += size
            made = whole._derived[key] = make(whole)
        return made[self._start * width : (self._start + len(self)) * width]
