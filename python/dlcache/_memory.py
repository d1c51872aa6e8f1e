"""Memory by address: strided views for gathering, and reused, aligned buffers to gather into."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

ALIGNMENT = 64
HUGE_PAGE = 2 << 20
_SMALL = 1 << 16
_PAGE = 4096
_PAGE = mmap.PAGESIZE
_LONG = 4096
_PIECE_BYTES = 1 << 17


class _Memory:
    __slots__ = ("__array_interface__",)

    def __init__(self, address: int, count: int, dtype: np.dtype[Any], stride: int, writable: bool) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (address, not writable),
            "shape": (count,),
            "strides": (stride,),
            "typestr": dtype.str,
        }


def address_of(array: npt.NDArray[Any]) -> int:
    """The address of an array's first byte."""
    address: int = array.__array_interface__["data"][0]
    return address


def read_pages(array: npt.NDArray[Any]) -> None:
    """Bring the pages of a contiguous array into memory, in this thread: whoever reads them later does not wait."""
    if array.nbytes:
        array.reshape(-1).view(np.uint8)[::_PAGE].max()


def items_at(origin: int, count: int, dtype: np.dtype[Any], stride: int, *, writable: bool = False) -> npt.NDArray[Any]:
    """An array of `count` items, one each `stride` bytes from address `origin` on.

    It may span memory that is not there: only the items that are taken from it are read. So one `take` gathers from
    any number of mapped files. The caller answers for it that those items lie in memory that stays mapped meanwhile.
    """
    return np.asarray(_Memory(origin, count, dtype, stride, writable))


def void(size: int) -> np.dtype[Any]:
    """A dtype of `size` plain bytes: NumPy copies it without a look at its alignment."""
    return np.dtype((np.void, size))


def copy_spans(starts: Int64s, lengths: Int64s, out: Bytes, out_starts: Int64s) -> None:
    """Copy `lengths[i]` bytes from address `starts[i]` to `out[out_starts[i]:]`, for all i, without a loop over them.

    A span goes as two blocks, one from its start and one to its end, of the largest power of two that fits into it; a
    long one as many blocks of 4096 bytes, the last one to its end. Where blocks overlap they have equal bytes.
    """
    if not len(starts):
        return
    power = np.frexp(np.minimum(lengths, _LONG).astype(np.float32))[1]  # 2 ** (power - 1) <= length < 2 ** power
    for number in np.flatnonzero(np.bincount(power)).tolist():
        if number == 0:
            continue
        block, rows = 1 << (number - 1), np.flatnonzero(power == number)
        source, length, target = starts[rows], lengths[rows], out_starts[rows]
        rest = length - block
        if block == _LONG:
            _copy_blocks(*_all_blocks(source, length, target), out, block)
            continue
        _copy_blocks(source, target, out, block)
        if rest.any():
            _copy_blocks(source + rest, target + rest, out, block)


def _all_blocks(starts: Int64s, lengths: Int64s, out_starts: Int64s) -> tuple[Int64s, Int64s]:
    """From where to where the long blocks of these spans go."""
    counts = -(-lengths // _LONG)
    first = np.cumsum(counts) - counts
    row = np.repeat(np.arange(len(counts)), counts)
    offset = np.minimum((np.arange(len(row)) - first[row]) * _LONG, (lengths - _LONG)[row])
    return starts[row] + offset, out_starts[row] + offset


def _copy_blocks(starts: Int64s, out_starts: Int64s, out: Bytes, block: int) -> None:
    origin = int(starts.min())
    source = starts - origin
    items = items_at(origin, int(source.max()) + 1, void(block), 1)
    slots = np.ndarray((len(out) - block + 1,), void(block), out, 0, (1,))
    piece = max(1, _PIECE_BYTES // block)
    for at in range(0, len(source), piece):
        slots[out_starts[at : at + piece]] = items[source[at : at + piece]]


class BufferPool:
    """Buffers that are used again once nothing refers to them any more.

    A buffer comes back when the last view of it is gone, whoever held it: so memory that the consumer still has is
    never written over. At most `spare` bytes of free buffers are kept. Safe to share between threads.

    New memory costs more than what is done in it: the system clears each page when it is first touched, and what is
    given back to it is new again the next time.
    """

    def __init__(self, spare: int) -> None:
        self._spare = spare
        self._free: dict[int, deque[tuple[int, Any]]] = {}
        self._returns = count()

    @property
    def held(self) -> int:
        """Bytes of free buffers."""
        return sum(room * len(free) for room, free in tuple(self._free.items()))

    def take(self, size: int) -> Bytes:
        """`size` bytes at an address that is a multiple of 64, with anything in them."""
        if size < _SMALL:
            whole = np.empty(size + ALIGNMENT, np.uint8)
            start = -address_of(whole) % ALIGNMENT
            return whole[start : start + size]
        room = _room(size)
        owner = self._reuse(room) or (_huge(room) if room >= HUGE_PAGE else bytearray(room + ALIGNMENT))
        buffer = np.frombuffer(owner, np.uint8)
        weakref.finalize(buffer, _give_back, weakref.ref(self), room, owner).atexit = False
        start = -address_of(buffer) % (HUGE_PAGE if room >= HUGE_PAGE else ALIGNMENT)
        return buffer[start : start + size]

    def array(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        """An uninitialised array in a buffer of the pool."""
        size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        return self.take(size).view(dtype).reshape(shape)

    def _reuse(self, room: int) -> Any:
        try:
            return self._free[room].pop()[1]
        except (IndexError, KeyError):
            return None

    def _return(self, room: int, owner: Any) -> None:
        if room <= self._spare:
            self._free.setdefault(room, deque()).append((next(self._returns), owner))
        while self.held > self._spare:  # the one that nobody wanted for longest goes
            try:
                min((free for free in tuple(self._free.values()) if free), key=lambda free: free[0][0]).popleft()
            except (IndexError, ValueError):
                return


def _room(size: int) -> int:
    """The size of the buffers that are used for `size` bytes: few different ones, so that each is often used again."""
    step = HUGE_PAGE if size > HUGE_PAGE // 2 else 1 << (size - 1).bit_length() - 3
    return -(-size // step) * step


def _give_back(pool: weakref.ref[BufferPool], room: int, owner: Any) -> None:
    there = pool()
    if there is not None:
        there._return(room, owner)


def _huge(room: int) -> Any:
    if not hasattr(mmap, "MAP_ANONYMOUS"):
        return bytearray(room + HUGE_PAGE)
    memory = mmap.mmap(-1, room + HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory
