"""Which rows, in which order: pure functions of (rows, seed, epoch, position).

Nothing here knows of files, threads, ranks' processes or time. An order is a bijection of positions `0 .. rows-1`
onto rows `0 .. rows-1`; any part of it is computed alone, so that any step can be read without the steps before it.
All arithmetic is on 64-bit integers of our own mixing, so an order never changes with the version of NumPy.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Made = TypeVar("Made")

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_TABLE_ROWS = 1 << 16
_ROUNDS = 6
_PIECE = 1 << 13


def mix(*words: int) -> int:
    """One well-mixed 64-bit number of several integers (splitmix64's finalizer, chained)."""
    state = 0
    for word in words:
        state = (state ^ (word & _MASK)) + _GAMMA & _MASK
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _MASK
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _MASK
        state ^= state >> 31
    return state


def mix_array(values: UInt64s, key: int) -> UInt64s:
    """`mix` of each value with a key: for one key a bijection, so equal results mean equal values."""
    x = values * np.uint64(_GAMMA) + np.uint64(key)
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


class _Scratch(threading.local):
    """What the rounds of a permutation compute in, of each thread: it stays in the processor's cache, and no memory is
    asked for."""

    def __init__(self) -> None:
        self.halves = np.empty((3, _PIECE), np.uint32)
        self.index = np.empty(_PIECE, np.int64)


_SCRATCH = _Scratch()


class Permutation:
    """A random permutation of `0 .. size-1`, a pure function of (size, key), computed where it is asked for.

    Up to 65,536 elements it is a table, sorted by random keys: every permutation is as likely as any other. Above, it
    is a Feistel network of six rounds over a grid of about sqrt(size) by sqrt(size) cells, with tables of random
    round functions (Black and Rogaway's generalized Feistel with cycle walking): its memory is in the order of
    sqrt(size), and the grid has fewer than sqrt(size) cells too many, so that hardly any element walks.
    """

    __slots__ = ("_functions", "_height", "_table", "_width", "size")

    def __init__(self, size: int, key: int) -> None:
        self.size = size
        self._table: Int64s | None = None
        if size <= _TABLE_ROWS:
            self._table = np.argsort(mix_array(np.arange(size, dtype=np.uint64), key)).astype(np.int64)
            return
        self._width = int(np.ceil(np.sqrt(size)))
        self._height = -(-size // self._width)
        sides = (self._width, self._height)
        self._functions = [
            _random_function(sides[round_ % 2], sides[1 - round_ % 2], mix(key, round_)) for round_ in range(_ROUNDS)
        ]

    def __call__(self, positions: Int64s) -> Int64s:
        """The elements at `positions` (int64, each in `0 .. size-1`), as a new int64 array of the same length."""
        if self._table is not None:
            return self._table.take(positions)
        out = self._encrypt(positions)
        while (walking := np.flatnonzero(out >= self.size)).size:
            out[walking] = self._encrypt(out[walking])
        return out

    def _encrypt(self, cells: Int64s) -> Int64s:
        out = np.empty(len(cells), np.int64)
        halves, index = _SCRATCH.halves, _SCRATCH.index
        for start in range(0, len(cells), _PIECE):
            piece = cells[start : start + _PIECE]
            self._encrypt_piece(piece, out[start : start + _PIECE], halves[:, : len(piece)], index[: len(piece)])
        return out

    def _encrypt_piece(self, cells: Int64s, out: Int64s, halves: npt.NDArray[np.uint32], index: Int64s) -> None:
        left, right, added = halves
        np.floor_divide(cells, self._width, out=index)
        np.copyto(right, index, casting="unsafe")
        np.multiply(index, self._width, out=index)
        np.subtract(cells, index, out=left, casting="unsafe")
        for number, function in enumerate(self._functions):
            side = np.uint32(self._height if number % 2 == 0 else self._width)
            source, other = (left, right) if number % 2 == 0 else (right, left)
            np.copyto(index, source)
            other += function.take(index, out=added, mode="clip")
            np.subtract(other, side, out=added)  # wraps to a huge number where other < side
            np.minimum(other, added, out=other)
        np.multiply(right, self._width, out=out, dtype=np.int64)
        out += left


def _random_function(domain: int, codomain: int, key: int) -> npt.NDArray[np.uint32]:
    high = mix_array(np.arange(domain, dtype=np.uint64), key) >> np.uint64(32)
    return (high * np.uint64(codomain) >> np.uint64(32)).astype(np.uint32)


class Recent(Generic[Made]):
    """The last few objects that were made for a number. Threads may share it."""

    def __init__(self, make: Callable[[int], Made], most: int = 4) -> None:
        self._make, self._most = make, most
        self._made: OrderedDict[int, Made] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, number: int) -> Made:
        with self._lock:
            made = self._made.pop(number, None)
            if made is None:
                made = self._make(number)
            self._made[number] = made
            if len(self._made) > self._most:
                self._made.popitem(last=False)
            return made


class Order(Protocol):
    """A bijection of positions onto rows."""

    @property
    def rows(self) -> int: ...

    @property
    def sequential(self) -> bool:
        """True if every position is its own row."""

    def at(self, positions: Int64s) -> Int64s:
        """The rows at `positions` (int64, each in `0 .. rows-1`)."""


@dataclass(frozen=True, slots=True)
class Sequential:
    """The rows as they are stored."""

    rows: int

    @property
    def sequential(self) -> bool:
        return True

    def at(self, positions: Int64s) -> Int64s:
        return positions


class Shuffled:
    """All rows permuted: any row can follow any other. A new permutation for each epoch."""

    sequential = False

    def __init__(self, rows: int, seed: int, epoch: int) -> None:
        self.rows = rows
        self._permutation = Permutation(rows, mix(seed, epoch))

    def at(self, positions: Int64s) -> Int64s:
        return self._permutation(positions)


class Windowed:
    """Blocks of rows permuted, and rows mixed within windows of whole blocks, each of at least `window` rows.

    So the rows of a window come from few blocks (row groups), which are read or decoded once. The last window may be
    smaller. Memory is in the order of the number of blocks.
    """

    sequential = False

    def __init__(self, block_starts: Int64s, window: int, seed: int, epoch: int) -> None:
        """`block_starts`: where each block starts, from 0, and then the number of rows (int64, blocks + 1)."""
        self.rows = int(block_starts[-1])
        blocks = len(block_starts) - 1
        chosen = Permutation(blocks, mix(seed, epoch, 1))(np.arange(blocks, dtype=np.int64))
        lengths = np.diff(block_starts)[chosen]
        ends = np.cumsum(lengths)
        self._block_row = block_starts[:-1][chosen]
        self._block_start = ends - lengths
        firsts = _window_firsts(ends, window)
        self._window_start = np.append(self._block_start[firsts], self.rows)
        self._key = mix(seed, epoch, 2)
        self._windows = Recent(self._mixed)

    def _mixed(self, window: int) -> Permutation:
        rows = int(self._window_start[window + 1] - self._window_start[window])
        return Permutation(rows, mix(self._key, window))

    def at(self, positions: Int64s) -> Int64s:
        out = np.empty(len(positions), np.int64)
        windows = np.searchsorted(self._window_start, positions, side="right") - 1
        for window in np.unique(windows).tolist():
            here = windows == window
            start = int(self._window_start[window])
            mixed = self._windows.get(window)(positions[here] - start) + start
            block = np.searchsorted(self._block_start, mixed, side="right") - 1
            out[here] = self._block_row[block] + (mixed - self._block_start[block])
        return out


def _window_firsts(ends: Int64s, window: int) -> Int64s:
    """The first block of each window: a window ends with the block that brings it to `window` rows."""
    firsts: list[int] = []
    block = 0
    while block < len(ends):
        firsts.append(block)
        start = int(ends[block - 1]) if block else 0
        block = int(np.searchsorted(ends, start + window, side="left")) + 1
    return np.array(firsts, np.int64)


class Orders:
    """The order of each epoch for one choice of shuffling. Remembers the last few; safe to share between threads."""

    def __init__(self, rows: int, *, shuffle: bool, seed: int, window: int | None, block_starts: Int64s | None) -> None:
        self._rows, self._shuffle, self._seed, self._window = rows, shuffle, seed, window
        self._block_starts = block_starts
        self._epochs = Recent(self._of)

    @property
    def shuffles(self) -> bool:
        """False if every order is sequential."""
        return self._shuffle

    def epoch(self, epoch: int) -> Order:
        return self._epochs.get(epoch) if self._shuffle else Sequential(self._rows)

    def _of(self, epoch: int) -> Order:
        if self._window is None or self._block_starts is None:
            return Shuffled(self._rows, self._seed, epoch)
        return Windowed(self._block_starts, self._window, self._seed, epoch)
