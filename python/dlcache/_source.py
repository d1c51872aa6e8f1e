"""The rows of a loader's steps: which they are, of which columns, and where they lie.

A super-batch is several steps of one epoch that are gathered at once, so that threads have megabytes to do between
two looks at a queue.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ._ahead import Coming
from ._classes import Codes
from ._fields import WEIGHT, NullPolicy
from ._gathered import Gathered
from ._maps import Bytes, ShardMaps
from ._memory import BufferPool
from ._order import Orders
from ._places import DERIVED_BYTES, PIECE_ROWS, Places, Stretch
from ._row_copy import RowCopy
from ._rows import Int64s, Rows
from ._shards import ShardReader
from ._stack import Stack
from ._steps import Steps
from ._values import Value

SUPER_BATCH_BYTES = 4 << 20
VIEWED_BYTES = 32 << 20
"""Of a super-batch that is nothing but views of the file: it takes no memory."""
_LEAST_STEPS = 8
"""In a row group on average, so that most of them are views."""
BLOCK_ROWS, _LEAST_BLOCK_ROWS = 1 << 16, 1 << 14
"""Rows whose places are worked out at once: the more, the less often a thread waits for the interpreter's lock."""
_BLOCKS = 4
SAMPLES, MOST_SAMPLES = 128, 1 << 14
"""Rows that are looked at to see which shards come next; of a mixture up to so many."""


def block_rows(columns: int) -> int:
    """Rows whose places are worked out at once, so that what is derived of them for each column is kept."""
    return max(_LEAST_BLOCK_ROWS, min(BLOCK_ROWS, DERIVED_BYTES // (8 * max(1, columns))))


@dataclass(frozen=True, slots=True)
class Work:
    """Steps `step .. step+steps-1` of an epoch."""

    epoch: int
    step: int
    steps: int


@dataclass(eq=False, slots=True)
class _Block:
    """The places of the rows of many steps. lock: held by the thread that works them out."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    places: Places | None = None


class Reads(Protocol):
    """The rows of a loader's steps; `Source` is the one for a dataset. Threads share it."""

    @property
    def pool(self) -> BufferPool: ...

    @property
    def fetches_ahead(self) -> bool: ...

    def files(self) -> EpochFiles | None: ...

    def read(self, work: Work, pool: BufferPool, files: EpochFiles | None = None) -> dict[str, Value]: ...

    def gather(self, positions: Int64s, pool: BufferPool) -> dict[str, Value]: ...

    def batches(self, work: Work, pool: BufferPool, files: EpochFiles | None) -> dict[str, list[Value]]: ...

    def views(self, most: int) -> list[int] | None: ...

    def upcoming(self, work: Work) -> Sequence[Coming]: ...

    def ids(self, epoch: int, positions: Int64s) -> Int64s: ...

    def row_names(self, work: Work) -> Sequence[Any]: ...

    def rest(self) -> None: ...


@dataclass(frozen=True, eq=False)
class Source:
    """Everything that decides what is in a batch: which rows, of which columns, in which order. Threads share it.

    columns, names: those that are delivered by themselves. block_steps: how many steps are located at once.
    """

    reader: ShardReader
    columns: tuple[int, ...]
    names: tuple[str, ...]
    stacks: tuple[Stack, ...]
    nulls: NullPolicy
    codes: Mapping[str, Codes]
    rows: Rows
    orders: Orders
    steps: Steps
    block_steps: int
    _blocks: OrderedDict[tuple[int, int], _Block] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pool(self) -> BufferPool:
        """The buffers that batches are gathered into, for all iterations."""
        return self.reader.pool

    def read(self, work: Work, pool: BufferPool, files: EpochFiles | None = None) -> dict[str, Value]:
        """The rows of this rank in some steps, one step after another: as views of `files` where they lie so in one row
        group."""
        span = self._span(work)
        if span is not None:
            return self._range(work.epoch, span, pool, files)
        out = self._fields(self._places(work), pool)
        if self.steps.remainder == "mask":
            out[WEIGHT] = (self.steps.positions(work.step, work.steps) < self.steps.rows).astype(np.float32)
        return out

    def files(self) -> EpochFiles:
        """What the views of one iteration lie in."""
        return EpochFiles(self.reader.maps)

    def at(self, epoch: int, positions: Int64s, pool: BufferPool) -> dict[str, Value]:
        """The rows at any positions of an epoch's order, each below its end."""
        return self._fields(self.reader.locate(self.rows.at(self.orders.epoch(epoch).at(positions))), pool)

    def gather(self, positions: Int64s, pool: BufferPool) -> dict[str, Value]:
        """Rows by their positions in the dataset, with nulls as the policy says."""
        return self._fields(self.reader.locate(self.rows.at(positions)), pool)

    def _fields(self, places: Places, pool: BufferPool) -> dict[str, Value]:
        out = self._gather(places, self.columns, pool)
        for stack in self.stacks:
            out[stack.name] = self._stacked(stack, places, pool)
        return out

    def _stacked(self, stack: Stack, places: Places, pool: BufferPool) -> Value:
        """The rows at these places of the columns of a stack, from a copy by rows when there is one."""
        copy = self._row_copies[stack.name]
        copied = copy.gather(places.ids, pool)
        if copied is not None:
            return copied
        stacked = self._singly(stack, places, pool)
        copy.gathered(len(places), lambda start, stop: self._stacked_range(stack, start, stop, pool))
        return stacked

    def _stacked_range(self, stack: Stack, start: int, stop: int, pool: BufferPool) -> npt.NDArray[Any]:
        """Rows `start .. stop-1` of the dataset."""
        stacked = self.reader.stack_range(start, stop, self._numbers(stack), pool)
        return self._singly(stack, self.reader.locate(np.arange(start, stop)), pool) if stacked is None else stacked

    def _singly(self, stack: Stack, places: Places, pool: BufferPool) -> npt.NDArray[Any]:
        numbers = self._numbers(stack)
        gathered = self.reader.gather(places, numbers, pool)
        single: dict[str, Value] = {}
        for number, name in zip(numbers, stack.columns, strict=True):
            self.nulls.apply(name, gathered[number], single)
        return np.stack([np.asarray(single[name]) for name in stack.columns], axis=1)

    def _numbers(self, stack: Stack) -> tuple[int, ...]:
        return tuple(map(self.reader.manifest.index, stack.columns))

    @cached_property
    def _row_copies(self) -> dict[str, RowCopy]:
        return {
            stack.name: self.reader.row_copy(
                (self._numbers(stack), self.nulls.fills(stack.columns)), len(stack.columns), stack.field.dtype
            )
            for stack in self.stacks
        }

    def _gather(self, places: Places, columns: tuple[int, ...], pool: BufferPool) -> dict[str, Value]:
        gathered = self.reader.gather(places, columns, pool)
        out: dict[str, Value] = {}
        for number, name in zip(self.columns, self.names, strict=True):
            if number in gathered:
                self.nulls.apply(name, gathered[number], out)
                if name in self.codes:
                    out[name] = self.codes[name].of(out[name], out.get(f"{name}_mask"))  # type: ignore[arg-type]
        return out

    def _places(self, work: Work) -> Places:
        """Where the rows of some steps are. Worked out for many steps at once, which costs a fraction of one by one."""
        number = work.step // self.block_steps
        start = number * self.block_steps
        if work.step + work.steps > start + self.block_steps or self.orders.epoch(work.epoch).sequential:
            return self._locate(work)
        places = self._block(work.epoch, number)
        middle = start + self.block_steps // 2
        if work.step <= middle < work.step + work.steps and start + self.block_steps < self.steps.count:
            self._block(work.epoch, number + 1)  # now, while other threads have rows of this one to gather
        first = (work.step - start) * self.steps.batch_size
        return places.part(first, min(first + work.steps * self.steps.batch_size, len(places)))

    def _block(self, epoch: int, number: int) -> Places:
        """Where the rows of `block_steps` steps are, from step `number * block_steps` on."""
        key = (epoch, number)
        with self._lock:
            block = self._blocks.setdefault(key, _Block())
            while len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        with block.lock:
            if block.places is None:
                start = number * self.block_steps
                block.places = self._locate(Work(epoch, start, min(self.block_steps, self.steps.count - start)))
            return block.places

    def _locate(self, work: Work) -> Places:
        ids = self.pool.array((self.steps.count_rows(work.step, work.steps),), np.dtype(np.int64))
        size, at_once = self.steps.batch_size, max(1, PIECE_ROWS // self.steps.batch_size)
        for first in range(0, work.steps, at_once):
            positions = self.steps.positions(work.step + first, min(at_once, work.steps - first))
            ids[first * size : first * size + len(positions)] = self.ids(work.epoch, positions)
        return self.reader.locate(ids, self.pool)

    @property
    def rows_ahead(self) -> int:
        """The rows of as many shards as may be fetched before they are wanted; 0 where that is no gain."""
        shards = self.reader.manifest.shards
        return self.reader.maps.ahead * (self.reader.manifest.rows // max(1, len(shards)) + 1)

    @property
    def fetches_ahead(self) -> bool:
        return self.rows_ahead > 0

    def upcoming(self, work: Work) -> list[Coming]:
        """The shards of the rows that come after some steps of an epoch, the nearest first: those of a sample of rows,
        as far ahead as `rows_ahead`."""
        return self.coming(work.epoch, self.steps.sample(work.step + work.steps, self.rows_ahead, SAMPLES))

    def coming(self, epoch: int, positions: Int64s) -> list[Coming]:
        """The shards of some positions of an epoch's order, in their order, and no more than are to be fetched."""
        shards = self.reader.locate(self.ids(epoch, positions)).shard.tolist()
        return [(self.reader.maps, shard) for shard in dict.fromkeys(shards)][: self.reader.maps.ahead + 1]

    def ids(self, epoch: int, positions: Int64s) -> Int64s:
        """The row ids at these positions of an epoch's order (int64, ascending; those above its end are padding)."""
        if len(positions) and int(positions[-1]) >= self.steps.rows:
            positions = positions % self.steps.rows
        return self.rows.at(self.orders.epoch(epoch).at(positions))

    def row_names(self, work: Work) -> Sequence[Any]:
        """The rows of some steps as messages name them."""
        names: list[int] = self.ids(work.epoch, self.steps.positions(work.step, work.steps)).tolist()
        return names

    def rest(self) -> None:
        """To be called when an iteration ends: lets go of what was worked out ahead."""
        with self._lock:
            self._blocks.clear()

    def batches(self, work: Work, pool: BufferPool, files: EpochFiles | None) -> dict[str, list[Value]]:
        """The batches of some steps: parts of one super-batch, or views of the file where the order is the file's."""
        if files is None:
            return cut(self.read(work, pool), self.steps.batch_size, work.steps)
        out: dict[str, list[Value]] = {}
        step, end = work.step, work.step + work.steps
        while step < end:
            part = self._within_group(Work(work.epoch, step, end - step))
            for name, values in cut(self.read(part, pool, files), self.steps.batch_size, part.steps).items():
                out.setdefault(name, []).extend(values)
            step += part.steps
        return out

    def views(self, most: int) -> list[int] | None:
        """The steps with which the pieces of an epoch begin, at most so many steps each, which lie in one row group.
        None where it is no gain to have them as views: most steps lie in several row groups. For an order that is the
        files'."""
        groups = len(self.reader.manifest.shards.of_groups)
        if self.steps.world_size > 1 or groups * _LEAST_STEPS > self.steps.count:
            return None
        starts, step = [], 0
        while step < self.steps.count:
            starts.append(step)
            step += self._within_group(Work(0, step, min(most, self.steps.count - step))).steps
        return starts

    def _within_group(self, work: Work) -> Work:
        """The first of these steps, as many as lie in one row group, but at least one."""
        first = self.steps.span(work.step, 1)
        if first is None:
            return Work(work.epoch, work.step, 1)
        start = first[0] + self.rows.start
        behind = min(self.reader.groups.rows_behind(start), self.rows.stop - start)
        whole = behind // self.steps.batch_size if self.steps.world_size == 1 else 1
        steps = max(1, min(whole, work.steps))
        padded = self.steps.span(work.step, steps) is None  # the last one is
        return Work(work.epoch, work.step, steps - padded)

    def _span(self, work: Work) -> tuple[int, int] | None:
        """The range of the row ids of some steps; None if they are none."""
        if self.rows.ids is not None or not self.orders.epoch(work.epoch).sequential:
            return None
        span = self.steps.span(work.step, work.steps)
        return span and (span[0] + self.rows.start, span[1] + self.rows.start)

    def _range(self, epoch: int, span: tuple[int, int], pool: BufferPool, files: EpochFiles | None) -> dict[str, Value]:
        """Some rows in the order of the file: as views of `files` where they lie in one row group."""
        first, last = span
        stretch = None if files is None else self.reader.groups.stretch(first, last)
        private = None if stretch is None or files is None else files.get(epoch, stretch)
        out: dict[str, Value] = {}
        for number, name in zip(self.columns, self.names, strict=True):
            if stretch is None or private is None:
                value = self.reader.spliced(first, last, number, pool)
            else:
                value = self.reader.view(stretch, private, number)
            if value is None:
                out |= self._gather(self.reader.locate(np.arange(first, last)), (number,), pool)
            else:
                self.nulls.apply(name, Gathered(value), out)
        for stack in self.stacks:
            out[stack.name] = self._stacked_range(stack, first, last, pool)
        if self.steps.remainder == "mask":
            out[WEIGHT] = np.ones(last - first, np.float32)
        return out


def cut(rows: dict[str, Value], size: int, steps: int) -> dict[str, list[Value]]:
    """The batches in the rows of some steps."""
    parts = [slice(start, start + size) for start in range(0, steps * size, size)]
    return {name: list(map(value.__getitem__, parts)) for name, value in rows.items()}


class EpochFiles:
    """The private mappings that the views of one iteration lie in: each shard is mapped anew in each epoch.

    A consumer may write into a view: that stays in this mapping, and no other epoch or iteration sees it.
    """

    def __init__(self, maps: ShardMaps) -> None:
        self._maps = maps
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], Bytes] = {}

    def get(self, epoch: int, stretch: Stretch) -> Bytes:
        """The mapping of a shard for an epoch."""
        key = (epoch, stretch.shard)
        with self._lock:
            file = self._files.get(key)
            if file is None:
                file = self._files[key] = self._maps.open_private(stretch.shard)
                for old in sorted(self._files)[:-3]:
                    del self._files[old]
            return file
