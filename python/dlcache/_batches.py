"""Batches from rows: gathered in super-batches by threads, ahead of the consumer and in its order.

The pipeline owns its threads: they live from the first batch to the end of the iteration, however it ends, and an
error in one of them is raised in the consumer.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ._ahead import Ahead
from ._errors import OptionError
from ._source import Reads, Work
from ._values import Value

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
        self._ahead = Ahead() if self.source.fetches_ahead else None
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
        if self._ahead is not None:
            self._ahead.ask(self.source.upcoming(work))
        return self.source.batches(work, self._pool, self._files)

    def _finished(self, work: Work, batch: dict[str, Value]) -> _Sized:
        """The batch of one step, as it is delivered."""
        if self.transform is not None:
            batch = self.transform(work, batch)
        rows = size = 0
        for value in batch.values():
            rows, size = len(value), size + size_of(value)
        return self.deliver(batch), rows, size

    def _inline(self, works: Iterable[Work]) -> Iterator[tuple[Work, list[_Sized]]]:
        for work in works:
            asked = time.perf_counter()
            job = _Job(work, partial(self._gather, work), self._finished)
            job.help()
            self.metrics.consumer_wait_seconds += time.perf_counter() - asked
            yield work, job.batches()

    def _threaded(self, works: Iterable[Work]) -> Iterator[tuple[Work, list[_Sized]]]:
        helpers = self.transform_threads if self.transform else 1
        finishers, gatherers = ThreadPoolExecutor(self.threads, "dlcache-gather"), None
        if self.transform is not None:
            finishers = ThreadPoolExecutor(helpers, "dlcache-transform")
            if helpers < self.threads:  # else there are threads enough: each one more waits for Python's lock
                gatherers = ThreadPoolExecutor(self.threads, "dlcache-gather")
        waiting: deque[tuple[_Job, list[Future[None]]]] = deque()

        def submit(work: Work) -> None:
            gather = partial(self._gather, work)
            job = _Job(work, gather if gatherers is None else gatherers.submit(gather).result, self._finished)
            waiting.append((job, [finishers.submit(job.help) for _ in range(min(helpers, work.steps))]))

        todo = iter(works)
        since = time.perf_counter()
        try:
            for work in todo:
                submit(work)
                if len(waiting) >= self.depth:
                    break
            while waiting:
                job, helping = waiting.popleft()
                asked = time.perf_counter()
                for future in helping:
                    future.result()
                del helping
                got = time.perf_counter()
                self.metrics.consumer_wait_seconds += got - asked
                self.metrics.reader_wait_seconds += max(0.0, asked - max(job.ready, since))
                since = got
                work, batches = job.work, job.batches()
                del job
                following = next(todo, None)
                if following is not None:
                    submit(following)
                yield work, batches
        finally:
            pools = [pool for pool in (finishers, gatherers) if pool is not None]
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)
            if self.stop is not None:
                self.stop()
            for pool in pools:
                pool.shutdown(wait=True)


class _Job:
    """The batches of one super-batch: gathered by the thread that is the first to help, finished one at a time by all
    threads that help. ready: when the last one was finished.
    """

    def __init__(
        self,
        work: Work,
        gather: Callable[[], list[dict[str, Value]]],
        finish: Callable[[Work, dict[str, Value]], _Sized],
    ) -> None:
        self.work = work
        self.ready = 0.0
        self._gather: Callable[[], list[dict[str, Value]]] | None = gather
        self._finish = finish
        self._lock = threading.Lock()
        self._todo: deque[tuple[int, dict[str, Value]]] = deque()
        self._done: list[_Sized | None] = [None] * work.steps
        self._error: tuple[int, BaseException] | None = None

    def help(self) -> None:
        """Finish batches until none is left."""
        with self._lock:
            gather, self._gather = self._gather, None
            if gather is not None:
                self._todo.extend(enumerate(gather()))
        while self._todo and self._error is None:
            try:
                number, batch = self._todo.popleft()
            except IndexError:
                break
            try:
                self._done[number] = self._finish(Work(self.work.epoch, self.work.step + number, 1), batch)
            except BaseException as error:
                with self._lock:
                    if self._error is None or number < self._error[0]:
                        self._error = number, error
            del batch
        self.ready = time.perf_counter()

    def batches(self) -> list[_Sized]:
        """The finished batches, once all help has ended. Raises the error of the first one that has one."""
        if self._error is not None:
            raise self._error[1]
        return [batch for batch in self._done if batch is not None]


def size_of(value: Value) -> int:
    """The bytes of a value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    offsets = value.offsets
    return int(offsets[-1] - offsets[0]) * (1 if not hasattr(value, "values") else value.values.itemsize)
