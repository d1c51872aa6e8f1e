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
from ._background import Stop, working_for
from ._source import Reads, Work
from ._values import Batches, Value, alone, one_by_one

FORKS = [0]
"""How often this process was forked from another, counted from the first import."""


def _forked() -> None:
    FORKS[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


class Metrics:
    """What a loader has done so far.

    rows, batches, bytes: delivered. consumer_wait_seconds: the consumer waited for data. reader_wait_seconds: data
    that was ready waited for the consumer.
    """

    def __init__(self) -> None:
        self.rows = self.batches = self.bytes = 0
        self.consumer_wait_seconds = self.reader_wait_seconds = 0.0
        self._seconds, self._begun, self._running = 0.0, 0.0, 0

    def begin(self) -> None:
        """An iteration begins."""
        if not self._running:
            self._begun = time.perf_counter()
        self._running += 1

    def end(self) -> None:
        """An iteration has ended."""
        self._running -= 1
        if not self._running:
            self._seconds += time.perf_counter() - self._begun

    @property
    def seconds(self) -> float:
        """Of iterating: from the first request for a batch to the end, or until now."""
        return self._seconds + (time.perf_counter() - self._begun if self._running else 0.0)

    def values(self) -> dict[str, float]:
        """All by name."""
        names = ("rows", "batches", "bytes", "seconds", "consumer_wait_seconds", "reader_wait_seconds")
        return {name: getattr(self, name) for name in names}


Sized = tuple[Any, int, int]
"""A batch as it is delivered, its rows and its bytes."""


@dataclass(eq=False)
class Pipeline:
    """One iteration: works in, batches out, in order.

    threads: gather threads; 0 gathers in the consumer's thread. depth: how many super-batches may be under way or
    ready. views: batches may be views of the file. transform: applied to each batch, by at most `transform_threads`
    threads, in order if it is one. deliver: makes of batches what the consumer gets, in the threads too: they have time
    while the consumer works. late: likewise of one batch, but in the consumer's thread. stop: called when the iteration
    ends, while transforms may be under way.
    """

    source: Reads
    threads: int
    depth: int
    views: bool
    transform: Callable[[Work, dict[str, Value]], dict[str, Value]] | None
    transform_threads: int
    deliver: Callable[[Batches], list[Any]]
    late: Callable[[Any], Any] | None = None
    stop: Callable[[], None] | None = None
    metrics: Metrics = field(default_factory=Metrics)

    def run(self, works: Iterable[Work]) -> Generator[tuple[Work, Iterable[Sized]], None, None]:
        """Yields super-batches, and their batches as they are delivered."""
        self._pool = self.source.pool
        self._stop: Stop = Future()
        self._files = self.source.files() if self.views else None
        self._ahead = Ahead() if self.source.fetches_ahead else None
        self.metrics.begin()
        try:
            for work, batches in self._made(works):
                yield work, batches if self.late is None else _lately(batches, self.late)
                batches.clear()
        finally:
            self.end()
            self.metrics.end()
            self._files = None
            self.source.rest()
            if self._ahead is not None:
                self._ahead.close()
            if self.stop is not None:
                self.stop()

    def _gather(self, work: Work) -> Batches:
        if self._ahead is not None:
            self._ahead.ask(self.source.upcoming(work))
        with working_for(self._stop):
            return self.source.batches(work, self._pool, self._files)

    def end(self) -> None:
        """The iteration ends: its threads wait for no shard any more."""
        if not self._stop.done():
            self._stop.set_result(None)

    def _job(self, work: Work, gather: Callable[[], Batches]) -> _Job:
        return _Job(work, gather, self._delivered, None if self.transform is None else self._transformed)

    def _transformed(self, work: Work, batch: dict[str, Value]) -> Sized:
        """The batch of one step, as it is delivered."""
        assert self.transform is not None
        return self._delivered(alone(self.transform(work, batch)))[0]

    def _delivered(self, batches: Batches) -> list[Sized]:
        """Batches as they are delivered."""
        rows = list(map(len, next(iter(batches.values()))))
        return list(zip(self.deliver(batches), rows, _bytes_of(batches, rows), strict=True))

    def _made(self, works: Iterable[Work]) -> Iterator[tuple[Work, list[Sized]]]:
        """The batches of each super-batch: made by threads ahead of the consumer, or here when it wants them."""
        clock, metrics = time.perf_counter, self.metrics
        threads = None if self.threads == 0 else _Threads(self)
        waiting: deque[tuple[_Job, list[Future[None]]]] = deque()
        todo = iter(works)

        def go_ahead() -> None:
            while threads is not None and len(waiting) < self.depth:
                work = next(todo, None)
                if work is None:
                    return
                waiting.append(threads.begin(work))

        since = clock()
        try:
            go_ahead()
            while True:
                asked = clock()
                if waiting:
                    job, helping = waiting.popleft()
                    for future in helping:
                        future.result()
                    del helping
                else:
                    work = next(todo, None)
                    if work is None:
                        return
                    job = self._job(work, partial(self._gather, work))
                    job.help()
                got = clock()
                metrics.consumer_wait_seconds += got - asked
                metrics.reader_wait_seconds += max(0.0, asked - max(job.ready, since))
                since = got
                work, batches = job.work, job.batches()
                del job
                go_ahead()
                yield work, batches
        finally:
            if threads is not None:
                threads.shut_down()
            for job, _ in waiting:
                job.forget()


def _lately(batches: list[Sized], late: Callable[[Any], Any]) -> Iterator[Sized]:
    for batch, rows, size in batches:
        batch = late(batch)
        yield batch, rows, size
        del batch


class _Threads:
    """The threads of one iteration."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        transforms = pipeline.transform is not None
        self._helpers = pipeline.transform_threads if transforms else 1
        self._finishers = self._gatherers = None
        if transforms:
            self._finishers = ThreadPoolExecutor(self._helpers, "dlcache-transform")
        if not transforms or self._helpers < pipeline.threads:
            self._gatherers = ThreadPoolExecutor(pipeline.threads, "dlcache-gather")

    def begin(self, work: Work) -> tuple[_Job, list[Future[None]]]:
        """A super-batch, and what ends when it is finished. Threads that transform also gather where they are enough:
        each thread more waits for the interpreter's lock."""
        finishers = self._finishers or self._gatherers
        assert finishers is not None
        gather: Callable[[], Batches] = partial(self._pipeline._gather, work)
        if self._finishers is not None and self._gatherers is not None:
            gather = self._gatherers.submit(gather).result
        job = self._pipeline._job(work, gather)
        return job, [finishers.submit(job.help) for _ in range(min(self._helpers, work.steps))]

    def shut_down(self) -> None:
        """End all threads; what is under way is the last that they do."""
        pools = [pool for pool in (self._finishers, self._gatherers) if pool is not None]
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        self._pipeline.end()
        if self._pipeline.stop is not None:
            self._pipeline.stop()
        for pool in pools:
            pool.shutdown(wait=True)


class _Job:
    """The batches of one super-batch: gathered by the thread that is the first to help, and finished at once, or, if
    they are transformed, one at a time by all threads that help. ready: when the last one was finished. computed: the
    processor time that it took.
    """

    def __init__(
        self,
        work: Work,
        gather: Callable[[], Batches],
        finish: Callable[[Batches], list[Sized]],
        transform: Callable[[Work, dict[str, Value]], Sized] | None,
    ) -> None:
        self.work = work
        self.ready = 0.0
        self._gather: Callable[[], Batches] | None = gather
        self._finish, self._transform = finish, transform
        self._lock = threading.Lock()
        self._todo: deque[tuple[int, dict[str, Value]]] = deque()
        self._done: list[Sized | None] = [None] * work.steps
        self._error: tuple[int, BaseException] | None = None

    def help(self) -> None:
        """Finish batches until none is left."""
        with self._lock:
            gather, self._gather = self._gather, None
            if gather is not None and self._transform is None:
                self._done[:] = self._finish(gather())
            elif gather is not None:
                self._todo.extend(enumerate(one_by_one(gather())))
        while self._transform is not None and self._todo and self._error is None:
            try:
                number, batch = self._todo.popleft()
            except IndexError:
                break
            try:
                self._done[number] = self._transform(Work(self.work.epoch, self.work.step + number, 1), batch)
            except BaseException as error:
                with self._lock:
                    if self._error is None or number < self._error[0]:
                        self._error = number, error
            del batch
        with self._lock:
            self.ready = time.perf_counter()

    def batches(self) -> list[Sized]:
        """The finished batches, once all help has ended. Raises the error of the first one that has one."""
        failed, self._error = self._error, None
        try:
            if failed is not None:
                raise failed[1]
            return [batch for batch in self._done if batch is not None]
        finally:
            del failed  # its traceback has this frame

    def forget(self) -> None:
        """Let go of what nobody wants any more. The traceback of an error has this job: without this, what it holds
        would be there until the garbage collector comes."""
        self._error = None
        self._todo.clear()


def _bytes_of(batches: Batches, rows: list[int]) -> list[int]:
    """The bytes of each batch."""
    first = [values[0] for values in batches.values()]
    if rows[0] and all(isinstance(value, np.ndarray) for value in first):
        row = sum(map(size_of, first)) // rows[0]
        return [row * count for count in rows]
    return [sum(map(size_of, values)) for values in zip(*batches.values(), strict=True)]


def size_of(value: Value) -> int:
    """The bytes of a value."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    offsets = value.offsets
    return int(offsets[-1] - offsets[0]) * (1 if not hasattr(value, "values") else value.values.itemsize)
