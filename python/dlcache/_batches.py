"""Batches from rows: gathered in super-batches by threads, ahead of the consumer and in its order.

A super-batch is several steps of one epoch that are gathered at once, so that threads have megabytes to do between
two looks at a queue. The pipeline owns its threads: they live from the first batch to the end of the iteration,
however it ends, and an error in one of them is raised in the consumer.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from ._ahead import Ahead
from ._classes import Codes
from ._columns import Gathered, Places
from ._errors import OptionError
from ._fields import WEIGHT, NullPolicy
from ._maps import Lent, PrivateMaps
from ._memory import BufferPool
from ._order import Orders
from ._rows import Int64s, Rows
from ._shards import ShardReader, Stretch
from ._stack import Stack
from ._steps import Steps
from ._values import Value, copied

SUPER_BATCH_BYTES = 4 << 20
STACKED_BYTES = 16 << 20
"""Of a super-batch with stacks: the more rows, the more of each cache line of a column is used."""
VIEWED_BYTES = 16 << 20
"""Of a super-batch that is nothing but views of the file: it takes no memory."""
BLOCK_ROWS = 1 << 14
_BLOCKS = 4
_SAMPLES = 128


_forks = 0
"""How often this process was forked from another, counted from the first import."""


def _forked() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


@dataclass
class Metrics:
    """What a loader has done so far.

    rows, batches, bytes: delivered. consumer_wait_seconds: the consumer waited for data. reader_wait_seconds: data
    that was ready waited for the consumer. seconds: from the first request for a batch to the last delivery, over all
    iterations.
    """

    rows: int = 0
    batches: int = 0
    bytes: int = 0
    seconds: float = 0.0
    consumer_wait_seconds: float = 0.0
    reader_wait_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """Steps `step .. step+steps-1` of an epoch."""

    epoch: int
    step: int
    steps: int


class Reads(Protocol):
    """The rows of a loader's steps; `Source` is the one for a dataset. Threads share it."""

    @property
    def pool(self) -> BufferPool: ...

    def files(self) -> EpochFiles | None: ...

    def read(self, work: Work, pool: BufferPool) -> dict[str, Value]: ...

    def gather(self, positions: Int64s, pool: BufferPool) -> dict[str, Value]: ...

    def batches(self, work: Work, pool: BufferPool, files: EpochFiles | None) -> list[dict[str, Value]]: ...

    def ids(self, epoch: int, positions: Int64s) -> Int64s: ...

    def row_names(self, work: Work) -> Sequence[Any]: ...


@dataclass(frozen=True, eq=False)
class Source:
    """Everything that decides what is in a batch: which rows, of which columns, in which order. Threads share it.

    columns, names: those that are delivered by themselves. block_steps: how many steps are located at once.
    transformed: a transform takes the rows: ragged ones are then copied when it pads them, and not before.
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
    transformed: bool
    _blocks: OrderedDict[tuple[int, int], Places] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pool(self) -> BufferPool:
        """The buffers that batches are gathered into, for all iterations."""
        return self.reader.pool

    def read(self, work: Work, pool: BufferPool) -> dict[str, Value]:
        """The rows of this rank in some steps, one step after another."""
        span = self._span(work)
        if span is not None:
            return self._range(work, span, pool, None)
        out = self._fields(self._places(work), pool)
        if self.steps.remainder == "mask":
            out[WEIGHT] = (self.steps.positions(work.step, work.steps) < self.steps.rows).astype(np.float32)
        return out

    def files(self) -> EpochFiles:
        """What the views of one iteration lie in."""
        return EpochFiles(self.reader.private)

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
        numbers = tuple(map(self.reader.manifest.index, stack.columns))
        stacked = self.reader.stack(places, numbers, pool)
        if stacked is not None:
            return stacked
        gathered = self.reader.gather(places, numbers, pool)
        single: dict[str, Value] = {}
        for number, name in zip(numbers, stack.columns, strict=True):
            self.nulls.apply(name, gathered[number], single)
        return np.stack([np.asarray(single[name]) for name in stack.columns], axis=1)

    def _gather(self, places: Places, columns: tuple[int, ...], pool: BufferPool) -> dict[str, Value]:
        gathered = self.reader.gather(places, columns, pool)
        out: dict[str, Value] = {}
        for number, name in zip(self.columns, self.names, strict=True):
            if number in gathered:
                self.nulls.apply(name, gathered[number], out)
                if name in self.codes:
                    out[name] = self.codes[name].of(out[name], out.get(f"{name}_mask"))  # type: ignore[arg-type]
        return out if self.transformed else {name: copied(value, pool) for name, value in out.items()}

    def _places(self, work: Work) -> Places:
        """Where the rows of some steps are. Worked out for many steps at once, which costs a fraction of one by one."""
        block = work.step // self.block_steps
        start = block * self.block_steps
        if work.step + work.steps > start + self.block_steps or self.orders.epoch(work.epoch).sequential:
            return self._locate(work)
        key = (work.epoch, block)
        with self._lock:
            places = self._blocks.get(key)
            if places is None:
                steps = min(self.block_steps, self.steps.count - start)
                places = self._blocks[key] = self._locate(Work(work.epoch, start, steps))
                while len(self._blocks) > _BLOCKS:
                    self._blocks.popitem(last=False)
        first = (work.step - start) * self.steps.batch_size
        return places.part(slice(first, first + work.steps * self.steps.batch_size))

    def _locate(self, work: Work) -> Places:
        return self.reader.locate(self.ids(work.epoch, self.steps.positions(work.step, work.steps)))

    def upcoming(self, work: Work) -> list[int]:
        """The shards of the rows that come after some steps of an epoch, the nearest first: those of a sample of rows,
        as far ahead as `maps.ahead` shards have rows."""
        manifest, most = self.reader.manifest, self.reader.maps.ahead
        first = work.step + work.steps
        rows = most * (manifest.rows // len(manifest.shards) + 1)
        steps = min(self.steps.count - first, rows // self.steps.global_batch + 1)
        if not most or steps < 1:
            return []
        chosen = np.unique(np.linspace(first, first + steps - 1, min(steps, _SAMPLES)).astype(np.int64)).tolist()
        each = max(1, self.steps.batch_size * len(chosen) // _SAMPLES)
        positions = np.concatenate([self.steps.positions(step)[::each] for step in chosen])
        shards = self.reader.locate(self.ids(work.epoch, positions)).shard.tolist()
        return list(dict.fromkeys(shards))[: most + 1]

    def ids(self, epoch: int, positions: Int64s) -> Int64s:
        """The row ids at these positions of an epoch's order (int64, ascending; those above its end are padding)."""
        if len(positions) and int(positions[-1]) >= self.steps.rows:
            positions = positions % self.steps.rows
        return self.rows.at(self.orders.epoch(epoch).at(positions))

    def row_names(self, work: Work) -> Sequence[Any]:
        """The rows of some steps as messages name them."""
        names: list[int] = self.ids(work.epoch, self.steps.positions(work.step, work.steps)).tolist()
        return names

    def batches(self, work: Work, pool: BufferPool, files: EpochFiles | None) -> list[dict[str, Value]]:
        """The batches of some steps: parts of one super-batch, or views of the file where the order is the file's."""
        if files is None:
            return cut(self.read(work, pool), self.steps.batch_size, work.steps)
        out: list[dict[str, Value]] = []
        while len(out) < work.steps:
            step = work.step + len(out)
            part, span = self._within_group(Work(work.epoch, step, work.steps - len(out)))
            rows = self.read(part, pool) if span is None else self._range(part, span, pool, files)
            out += cut(rows, self.steps.batch_size, part.steps)
        return out

    def _within_group(self, work: Work) -> tuple[Work, tuple[int, int] | None]:
        """The first of these steps, as many as lie in one row group, but at least one, and the range of their row ids;
        None if there is none."""
        first = self.steps.span(work.step, 1)
        if first is None:
            return Work(work.epoch, work.step, 1), None
        start = first[0] + self.rows.start
        whole = self.reader.rows_behind(start) // self.steps.batch_size if self.steps.world_size == 1 else 1
        steps = max(1, min(whole, work.steps))
        span = self.steps.span(work.step, steps)
        if span is None:  # the last one is padded
            steps, span = steps - 1, self.steps.span(work.step, steps - 1)
        return Work(work.epoch, work.step, steps), span and (start, span[1] + self.rows.start)

    def _span(self, work: Work) -> tuple[int, int] | None:
        """The range of the row ids of some steps; None if they are none."""
        if self.rows.ids is not None or not self.orders.epoch(work.epoch).sequential:
            return None
        span = self.steps.span(work.step, work.steps)
        return span and (span[0] + self.rows.start, span[1] + self.rows.start)

    def _range(self, work: Work, span: tuple[int, int], pool: BufferPool, files: EpochFiles | None) -> dict[str, Value]:
        """Some rows in the order of the file: as views of `files` where they lie in one row group."""
        first, last = span
        stretch = None if files is None else self.reader.stretch(first, last)
        lent = None if stretch is None or files is None else files.get(work.epoch, stretch)
        out: dict[str, Value] = {}
        for number, name in zip(self.columns, self.names, strict=True):
            if stretch is None or lent is None:
                value = self.reader.spliced(first, last, number, pool)
            else:
                value = self.reader.view(stretch, lent, number)
            if value is None:
                out |= self._gather(self.reader.locate(np.arange(first, last)), (number,), pool)
            else:
                self.nulls.apply(name, Gathered(value), out)
        for stack in self.stacks:
            out[stack.name] = self._stacked(stack, self.reader.locate(np.arange(first, last)), pool)
        if self.steps.remainder == "mask":
            out[WEIGHT] = np.ones(last - first, np.float32)
        return out


def cut(rows: dict[str, Value], size: int, steps: int) -> list[dict[str, Value]]:
    """The batches in the rows of some steps."""
    return [
        {name: value[start : start + size] for name, value in rows.items()} for start in range(0, steps * size, size)
    ]


class EpochFiles:
    """The private mappings that the views of one iteration lie in: each shard is borrowed anew in each epoch.

    A consumer may write into a view: that stays in this mapping, and no other epoch or iteration sees it.
    """

    def __init__(self, maps: PrivateMaps) -> None:
        self._maps = maps
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], Lent] = {}

    def get(self, epoch: int, stretch: Stretch) -> Lent:
        """The mapping of a shard for an epoch."""
        key = (epoch, stretch.shard)
        with self._lock:
            file = self._files.get(key)
            if file is None:
                file = self._files[key] = self._maps.borrow(stretch.shard)
                for old in sorted(self._files)[:-3]:
                    del self._files[old]
            return file


_Sized = tuple[Any, int, int]
"""A batch as it is delivered, its rows and its bytes."""


@dataclass(eq=False)
class Pipeline:
    """One iteration: works in, batches out, in order.

    threads: gather threads; 0 gathers in the consumer's thread. depth: how many super-batches may be under way or
    ready. views: batches may be views of the file. transform: applied to each batch, by at most `transform_threads`
    threads, in order if it is one. deliver: makes of each batch what the consumer gets, in the threads too: they have
    time while the consumer works. stop: called when the iteration ends, while transforms may be under way.
    """

    source: Reads
    threads: int
    depth: int
    views: bool
    transform: Callable[[Work, dict[str, Value]], dict[str, Value]] | None
    transform_threads: int
    deliver: Callable[[dict[str, Value]], Any]
    stop: Callable[[], None] | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def run(self, works: Iterable[Work]) -> Generator[tuple[int, int, Any], None, None]:
        """Yields (epoch, step, what is delivered)."""
        self._pool = self.source.pool
        self._files = self.source.files() if self.views else None
        self._ahead: Ahead | None = None
        if isinstance(self.source, Source) and self.source.reader.maps.ahead:
            self._ahead = Ahead(self.source.reader.maps.prefetch)
        metrics, clock, forks = self.metrics, time.perf_counter, _forks
        begun = clock() - metrics.seconds
        try:
            for work, batches in self._inline(works) if self.threads == 0 else self._threaded(works):
                epoch, step = work.epoch, work.step
                for batch, rows, size in batches:
                    metrics.rows += rows
                    metrics.bytes += size
                    metrics.batches += 1
                    metrics.seconds = clock() - begun
                    yield epoch, step, batch
                    if forks != _forks:
                        raise OptionError("this iterator was begun before a fork; begin a new one in the child")
                    step += 1
                batch = None
                batches.clear()
        finally:
            self._files = None
            if self._ahead is not None:
                self._ahead.close()
            if self.stop is not None:
                self.stop()

    def _gather(self, work: Work) -> list[dict[str, Value]]:
        if self._ahead is not None and isinstance(self.source, Source):
            self._ahead.ask(self.source.upcoming(work))
        return self.source.batches(work, self._pool, self._files)

    def _finish(self, work: Work, batches: list[dict[str, Value]]) -> tuple[list[_Sized], float]:
        if self.transform is not None:
            for number in range(len(batches)):
                batches[number] = self.transform(Work(work.epoch, work.step + number, 1), batches[number])
        found: list[_Sized] = []
        for batch in batches:
            rows = size = 0
            for value in batch.values():
                rows, size = len(value), size + size_of(value)
            found.append((self.deliver(batch), rows, size))
        return found, time.perf_counter()

    def _inline(self, works: Iterable[Work]) -> Iterator[tuple[Work, list[_Sized]]]:
        for work in works:
            asked = time.perf_counter()
            batches, _ = self._finish(work, self._gather(work))
            self.metrics.consumer_wait_seconds += time.perf_counter() - asked
            yield work, batches

    def _threaded(self, works: Iterable[Work]) -> Iterator[tuple[Work, list[_Sized]]]:
        gatherers = ThreadPoolExecutor(self.threads, "dlcache-gather")
        transformers = ThreadPoolExecutor(self.transform_threads, "dlcache-transform") if self.transform else None
        waiting: deque[tuple[Work, Future[tuple[list[_Sized], float]]]] = deque()

        def submit(work: Work) -> None:
            if transformers is None:
                future = gatherers.submit(lambda: self._finish(work, self._gather(work)))
            else:
                gathered = gatherers.submit(self._gather, work)
                future = transformers.submit(lambda: self._finish(work, gathered.result()))
            waiting.append((work, future))

        todo = iter(works)
        since = time.perf_counter()
        try:
            for work in todo:
                submit(work)
                if len(waiting) >= self.depth:
                    break
            while waiting:
                work, future = waiting.popleft()
                asked = time.perf_counter()
                batches, ready = future.result()
                del future
                got = time.perf_counter()
                self.metrics.consumer_wait_seconds += got - asked
                self.metrics.reader_wait_seconds += max(0.0, asked - max(ready, since))
                since = got
                following = next(todo, None)
                if following is not None:
                    submit(following)
                yield work, batches
        finally:
            for pool in (transformers, gatherers):
                if pool is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
            if self.stop is not None:
                self.stop()
            for pool in (transformers, gatherers):
                if pool is not None:
                    pool.shutdown(wait=True)


def size_of(value: Value) -> int:
    """The bytes of a value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    offsets = value.offsets
    return int(offsets[-1] - offsets[0]) * (1 if not hasattr(value, "values") else value.values.itemsize)
