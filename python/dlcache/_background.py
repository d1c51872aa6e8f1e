"""Work in threads that nobody has to wait for: not who asked for it, nor the end of the process.

Requests to a store cannot be interrupted. So they run in daemon threads, and who needs the answer waits in a way that
ends with a Ctrl-C in the main thread, and with the iteration that the waiting thread works for.
"""

from __future__ import annotations

import atexit
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")

Stop = Future[None]
"""Done when an iteration has ended."""

_iteration: ContextVar[Stop | None] = ContextVar("dlcache_iteration", default=None)


class StoppedError(Exception):
    """The iteration that a thread works for has ended, so that nobody takes what the thread makes."""


class _Daemon(threading.Thread):
    """A thread that runs as long as it has something to do."""


def end_without_requests() -> None:
    """To be called while the process ends: leave the requests that are under way.

    PyArrow has an exit handler that shuts S3 down, and waits for them. Exit handlers run in reverse order: who calls
    this has registered theirs after PyArrow was imported.
    """
    finalize = getattr(sys.modules.get("pyarrow.fs"), "ensure_s3_finalized", None)
    if finalize is not None:
        atexit.unregister(finalize)


def _at_exit() -> None:
    if any(isinstance(thread, _Daemon) for thread in threading.enumerate()):
        end_without_requests()


def prepare_exit() -> None:
    """Have the end of the process wait for no request. To be called when PyArrow's S3 has been imported."""
    atexit.unregister(_at_exit)
    atexit.register(_at_exit)


class DaemonThreads:
    """Runs functions in at most so many threads, in the order in which they came. A thread ends when there is no more
    to do. Unlike those of `concurrent.futures`, these threads do not keep the process from ending."""

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._lock = threading.Lock()
        self._todo: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._threads = 0

    def submit(self, act: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            self._todo.append((future, act))
            begins = self._threads < self._most
            self._threads += begins
        if begins:
            _Daemon(target=self._work, name=self._name, daemon=True).start()
        return future

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._todo:
                    self._threads -= 1
                    return
                future, act = self._todo.popleft()
            if future.set_running_or_notify_cancel():
                try:
                    result = act()
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)
            del future, act


class StoppingThreads(ThreadPoolExecutor):
    """Threads for a `with` block, which ends at once if it ends with an error or with Ctrl-C: what the threads wait for
    is left to end by itself."""

    def __init__(self, most: int, name: str) -> None:
        super().__init__(most, name)
        self._stop: Stop = Future()

    def submit(self, act: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(self._act, act, *args, **kwargs)

    def _act(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        with working_for(self._stop):
            return act(*args, **kwargs)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is not None:
            self._stop.set_result(None)
        self.shutdown(wait=True, cancel_futures=kind is not None)


@contextmanager
def working_for(stop: Stop) -> Iterator[None]:
    """In this block the thread works for the iteration that ends with `stop`."""
    token = _iteration.set(stop)
    try:
        yield
    finally:
        _iteration.reset(token)


def result_of(future: Future[T]) -> T:
    """The result of `future`. Raises StoppedError as soon as the iteration that this thread works for has ended."""
    stop = _iteration.get()
    if stop is not None:
        either: tuple[Future[Any], Future[Any]] = future, stop
        wait(either, return_when=FIRST_COMPLETED)
        if not future.done():
            raise StoppedError
    return future.result()


def interruptible(act: Callable[[], T]) -> T:
    """What `act()` returns. In the main thread it can be interrupted by Ctrl-C; then `act` is left to end by itself."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    return DaemonThreads(1, "dlcache-request").submit(act).result()
