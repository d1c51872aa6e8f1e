"""The progress of a write while Spark works on it: a bar that counts tasks, made when the first stage starts."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

logger = logging.getLogger("dlcache")

_POLL_SECONDS = 0.2


def interactive() -> bool:
    """Whether somebody watches: standard error is a terminal, or a notebook runs us."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell"


class TaskBar:
    """A tqdm bar over the tasks of a growing set of stages. It appears with the first stage, so a hit shows none."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self._make = make
        self._bar: Any = None

    def update(self, done: int, total: int) -> None:
        """`done` of `total` tasks have finished; both may have grown since the last call."""
        if total <= 0:
            return
        if self._bar is None:
            self._bar = self._make(total=total, desc="dlcache", unit="task", leave=False)
        self._bar.total = total
        self._bar.n = done
        self._bar.refresh()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def write_progress(spark: Any, tag: str, *, show: bool) -> AbstractContextManager[None]:
    """Shows a bar for the tasks that Spark runs for this thread inside the context. It leaves the session as it was.

    `tag` marks the jobs (no comma in it); the job group, which is the user's, is not touched.
    """
    if not show:
        return nullcontext()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        logger.debug("tqdm is not installed: no progress bar")
        return nullcontext()
    bar = TaskBar(tqdm)
    if hasattr(spark, "_jsparkSession"):
        return _classic_progress(spark.sparkContext, tag, bar)
    return _connect_progress(spark, bar)


@contextmanager
def _classic_progress(context: Any, tag: str, bar: TaskBar) -> Iterator[None]:
    """Polls the status tracker from a thread: pyspark has no listener in Python."""
    finished = threading.Event()

    def poll() -> None:
        try:
            while not finished.wait(_POLL_SECONDS):
                bar.update(*_tasks(context, tag))
        except Exception:
            logger.debug("no progress from the status tracker", exc_info=True)

    poller = threading.Thread(target=poll, name="dlcache-progress", daemon=True)
    context.addJobTag(tag)
    poller.start()
    try:
        yield
    finally:
        context.removeJobTag(tag)
        finished.set()
        poller.join()
        bar.close()


def _tasks(context: Any, tag: str) -> tuple[int, int]:
    """Finished and known tasks of the jobs with `tag`, over the stages that have started (others may be skipped)."""
    # pyspark wraps the tracker without its query by tag, so that one call goes to the JVM's tracker.
    jobs = context._jsc.sc().statusTracker().getJobIdsForTag(tag)
    tracker = context.statusTracker()
    infos = [tracker.getJobInfo(job) for job in jobs]
    stages = {stage for info in infos if info is not None for stage in info.stageIds}
    started = [
        stage for stage in map(tracker.getStageInfo, stages) if stage and stage.numActiveTasks + stage.numCompletedTasks
    ]
    return sum(stage.numCompletedTasks for stage in started), sum(stage.numTasks for stage in started)


@contextmanager
def _connect_progress(spark: Any, bar: TaskBar) -> Iterator[None]:
    """Spark Connect reports the progress itself, in the thread that waits for the answer."""
    thread = threading.get_ident()

    def handler(stages: Iterable[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        if threading.get_ident() == thread and stages and not done:
            known = list(stages)
            bar.update(sum(stage.num_completed_tasks for stage in known), sum(stage.num_tasks for stage in known))

    spark.registerProgressHandler(handler)
    try:
        yield
    finally:
        spark.removeProgressHandler(handler)
        bar.close()
