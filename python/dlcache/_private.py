"""Private mappings of shards: memory that batches may be views of, and that their consumer may write into."""

from __future__ import annotations

import mmap
import os
import sys
import threading
import weakref
from collections import deque

import numpy as np
import numpy.typing as npt

from ._manifest import Shards
from ._mapping import PrivateMapping
from ._maps import ShardMaps
from ._memory import address_of
from ._values import Ragged, Value

_KEPT_BYTES = 4 << 30
_PAGE = mmap.PAGESIZE
_BLOCK = 8 << 20
_BLOCK_PAGES = _BLOCK // _PAGE
_OF_FILE, _THERE, _PRESENT = (np.uint64(1 << bit) for bit in (61, 62, 63))

Bytes = npt.NDArray[np.uint8]


class Lent:
    """A private mapping of a shard, as new, or that was lent before. `prepare` makes a part of it as good as new.

    file: its bytes, writable.
    """

    def __init__(self, file: Bytes, memory: PrivateMapping, used: bool) -> None:
        self.file, self._memory = file, memory
        self._page = address_of(file) // _PAGE
        self._present = np.zeros(-(-len(file) // _PAGE), bool)
        self._known = np.full(-(-len(file) // _BLOCK), not used)
        self._lock = threading.Lock()

    def prepare(self, value: Value) -> None:
        """To be called with each view before anybody else sees it: takes back what was written there when the mapping
        was lent before, and brings its pages into memory. Others may hold the interpreter's lock meanwhile."""
        array = value if isinstance(value, np.ndarray) else value.values if isinstance(value, Ragged) else value.data
        if not array.nbytes:
            return
        start = address_of(array) - address_of(self.file)
        stop = start + array.nbytes
        with self._lock:
            for block in range(start // _BLOCK, (stop - 1) // _BLOCK + 1):
                if not self._known[block]:
                    self._renew(slice(block * _BLOCK_PAGES, min((block + 1) * _BLOCK_PAGES, len(self._present))))
                    self._known[block] = True
        if not self._present[start // _PAGE : (stop - 1) // _PAGE + 1].all():
            array.reshape(-1).view(np.uint8)[::_PAGE].max()

    def _renew(self, pages: slice) -> None:
        """Drop these pages if one of them was written to: the next look at them reads the file."""
        states = page_states(self._page + pages.start, pages.stop - pages.start)
        if states is not None and not was_written(states):
            self._present[pages] = states >= _PRESENT
        else:
            length = min(pages.stop * _PAGE, len(self.file)) - pages.start * _PAGE
            self._memory.drop(pages.start * _PAGE, length)


class PrivateMaps:
    """Private mappings of shards, to be borrowed: each is one borrower's alone, and nobody sees what another wrote.

    A mapping comes back when the last view of it is gone, whoever held it, and is lent again: its pages are in place
    already. Only Linux can drop pages that were written to; elsewhere each is lent once.

    keeps_all: a mapping of each shard may be kept for the next one who borrows it.
    """

    def __init__(self, maps: ShardMaps, shards: Shards) -> None:
        self._maps = maps
        largest = int(shards.bytes.max(initial=1))
        self._spare = max(1, min(maps.limit // 4, _KEPT_BYTES // largest)) if sys.platform == "linux" else 0
        self._free: dict[int, deque[PrivateMapping]] = {}
        self.keeps_all = len(shards) <= self._spare

    def borrow(self, shard: int) -> Lent:
        """A private mapping of a shard, writable. Raises as `ShardMaps.map` does."""
        try:
            return self._lend(shard, self._free.setdefault(shard, deque()).pop(), used=True)
        except IndexError:
            return self._lend(shard, self._maps.open_private(shard), used=False)

    def _lend(self, shard: int, owner: PrivateMapping, *, used: bool) -> Lent:
        file = owner.bytes()
        weakref.finalize(file, _give_back, weakref.ref(self), shard, owner).atexit = False
        return Lent(file, owner, used)

    def _return(self, shard: int, owner: PrivateMapping) -> None:
        if sum(map(len, list(self._free.values()))) < self._spare:
            self._free[shard].append(owner)


def _give_back(maps: weakref.ref[PrivateMaps], shard: int, owner: PrivateMapping) -> None:
    there = maps()
    if there is not None:
        there._return(shard, owner)


def was_written(states: npt.NDArray[np.uint64]) -> bool:
    """True if one of these pages is there and not the file's any more."""
    if states.min() >= _PRESENT | _OF_FILE:  # a page that is there is not swapped
        return False
    return bool(((states >= _THERE) & (states & _OF_FILE == 0)).any())


def page_states(first: int, count: int) -> npt.NDArray[np.uint64] | None:
    """What Linux says of pages of this process in /proc/self/pagemap, 64 bits for each: bit 61 is set for a page of a
    file, and no more when it was written to in a private mapping, which makes it a page of memory; 62 and 63 for a
    page that is swapped and that is there. None if it does not say."""
    try:
        descriptor = os.open("/proc/self/pagemap", os.O_RDONLY)
    except OSError:
        return None
    try:
        states = np.frombuffer(os.pread(descriptor, count * 8, first * 8), np.uint64)
    finally:
        os.close(descriptor)
    return states if len(states) == count else None
