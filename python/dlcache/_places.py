"""Where rows lie: from row ids to row groups. Pure."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import numpy as np
import numpy.typing as npt

from ._errors import OptionError

Int64s = npt.NDArray[np.int64]

_CELLS = 4
_CORRECTIONS = 3
_DERIVED_BYTES = 4 << 20
"""Of what is kept with some places."""


class RowGroups:
    """The row groups of all shards, numbered one after another.

    first: the first row id of each, and the number of rows at the end. shard: the shard of each.

    A row's group comes from a table of cells of equally many rows (a power of two of them): it is the group in which
    its cell begins, or one of the few that begin within it. A binary search would cost several times as much.
    """

    def __init__(self, first: Int64s, shard: Int64s) -> None:
        self.first, self.shard = first, shard
        groups, rows = len(shard), int(first[-1])
        self._shift = max(0, (rows // max(1, _CELLS // 2 * groups)).bit_length() - 1)
        begins = np.arange((max(rows, 1) - 1 >> self._shift) + 1, dtype=np.int64) << self._shift
        ends = np.minimum(begins + (1 << self._shift), rows) - 1
        self._of_cell = np.searchsorted(first[1:], begins, side="right")
        self._corrections = int((np.searchsorted(first[1:], ends, side="right") - self._of_cell).max(initial=0))

    def locate(self, rows: Int64s) -> Places:
        """Where these rows are (int64 ids, in any order, also repeated). Raises OptionError for ids that are none."""
        ends = self.first[1:]
        if len(rows) and int(rows.view(np.uint64).max()) >= int(self.first[-1]):
            raise OptionError(f"row ids must be in 0 .. {self.first[-1] - 1}; got {rows.min()} .. {rows.max()}")
        if self._corrections > _CORRECTIONS:
            return Places(rows, np.searchsorted(ends, rows, side="right"), self)
        group = self._of_cell.take(rows >> self._shift)
        for _ in range(self._corrections):
            group += rows >= ends.take(group)
        return Places(rows, group, self)


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
            if whole._derived_bytes + size > _DERIVED_BYTES:
                return make(self)
            whole._derived_bytes += size
            made = whole._derived[key] = make(whole)
        return made[self._start * width : (self._start + len(self)) * width]
