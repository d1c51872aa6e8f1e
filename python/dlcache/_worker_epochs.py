"""The epochs of a PyTorch loader, shared with the worker processes of a `DataLoader`.

Each pass over a `DataLoader` iterates over copies of the loader, one in each worker process, and PyTorch tells neither
the loader nor the copies that a pass begins. So the loader's counter is moved to shared memory before a process is
started. The first worker of a pass takes the next epoch from it and notes which pass that was; the others find the
note. A pass is known by how many processes its thread had started before its first worker: a `DataLoader` starts its
workers one after another, so that is the worker's own number minus its id. Persistent workers also count their passes.
"""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.context
import os
import threading
import weakref
from contextlib import nullcontext, suppress
from multiprocessing import sharedctypes
from multiprocessing.reduction import ForkingPickler
from typing import Any

from torch.utils.data import get_worker_info

from ._epochs import CHANGES, NEXT, RESUMES, SIZE, Epochs, Position, after, position_of
from ._errors import OptionError

_NOTES = 64
"""Passes that are remembered: more than are ever beginning at once."""
_NOTE = 6
"""Numbers of a note: the number of the first worker, which of its passes, the changes until then, the position."""
_COUNT = SIZE
_NUMBERS = SIZE + 1 + _NOTES * _NOTE
_MOVED = -1

# A pickler knows what was registered before it was made, and the array is made while a loader is pickled.
ForkingPickler.register(sharedctypes.typecode_to_type["q"] * _NUMBERS, sharedctypes.reduce_ctype)  # type: ignore[attr-defined]


class _Started(threading.local):
    """The processes that this thread has started."""

    threads = itertools.count(1)

    def __init__(self) -> None:
        self.number = next(self.threads) << 32
        self.spawning: Any = lambda: None

    def spawned(self) -> None:
        """A process is being started by spawn or forkserver; called once for each loader that it gets."""
        starting = multiprocessing.context.get_spawning_popen()
        if self.spawning() is not starting:
            self.number += 1
            self.spawning = weakref.ref(starting)


_STARTED = _Started()
_LIVE: weakref.WeakValueDictionary[int, WorkerEpochs] = weakref.WeakValueDictionary()
_SHARING = threading.Lock()


class WorkerEpochs(Epochs):
    """The counter of a loader whose copies in worker processes count with it."""

    def __init__(self) -> None:
        super().__init__()
        self._method = ""
        self._process = os.getpid()
        self._seen = [0] * SIZE
        self._number: int | None = None
        self._passes = 0
        self._loaded: tuple[int, Position | None] | None = None
        _LIVE[id(self)] = self

    @property
    def resume(self) -> Position | None:
        if self._in_worker():
            return None if self._loaded is None else self._loaded[1]
        return super().resume

    def set(self, epoch: int, resume: Position | None = None) -> None:
        """As `Epochs.set`. In a worker process it is for the worker's next iteration only."""
        if self._in_worker():
            self._loaded = (epoch, resume)
        else:
            super().set(epoch, resume)

    def begin(self, epochs: int | None) -> tuple[Position, int]:
        if not self._in_worker():
            return super().begin(epochs)
        worker = get_worker_info()
        assert worker is not None
        self._passes += 1
        number = (_STARTED.number if self._number is None else self._number) - worker.id
        if not self._method:
            raise OptionError(
                "no shared memory for the epochs of worker processes; use num_workers=0, as loaders read by threads"
            )
        with self._lock:
            cell = self._cell
            if cell[CHANGES] == _MOVED:
                raise OptionError(
                    "this loader was given to DataLoaders of two start methods, fork and spawn; use one of them, or a "
                    "loader for each"
                )
            note = self._note(number)
            loaded, self._loaded = self._loaded, None
            if loaded is not None:
                position, changes = loaded[1] or (loaded[0], loaded[0], 0), cell[CHANGES]
                cell[NEXT] = after(position, epochs) if note is None else max(cell[NEXT], after(position, epochs))
                cell[RESUMES] = 0
            elif note is not None:
                return note
            elif self._passes == 1 and self._seen[CHANGES] != cell[CHANGES]:
                position, changes = position_of(self._seen), _MOVED  # an epoch was set for later passes
            else:
                position, changes = position_of(cell), cell[CHANGES]
                cell[RESUMES], cell[NEXT] = 0, after(position, epochs)
            if note is None:
                at = SIZE + 1 + cell[_COUNT] % _NOTES * _NOTE
                cell[at : at + _NOTE] = [number, self._passes, changes, *position]
                cell[_COUNT] += 1
            return position, changes

    def _note(self, number: int) -> tuple[Position, int] | None:
        """What the first worker of this pass has noted."""
        notes = self._cell[SIZE + 1 :]
        for at in range(0, min(self._cell[_COUNT], _NOTES) * _NOTE, _NOTE):
            if notes[at] == number and notes[at + 1] == self._passes:
                return (notes[at + 3], notes[at + 4], notes[at + 5]), notes[at + 2]
        return None

    def _in_worker(self) -> bool:
        """True for a copy in a worker process. A copy in any other process counts for itself."""
        if self._process == os.getpid():
            return False
        if get_worker_info() is not None:
            return True
        self._cell, self._lock, self._method = list(self._seen), nullcontext(), ""
        self._process, self._number, self._passes, self._loaded = os.getpid(), None, 0, None
        return False

    def share(self, method: str) -> None:
        """Move the counter to memory that processes started now by this method, fork or spawn, have as well."""
        if self._in_worker():
            return
        with _SHARING:
            if self._method not in (method, "spawn"):
                array: Any = multiprocessing.get_context(method).Array("q", _NUMBERS)
                array[:SIZE] = self._cell[:SIZE]
                if self._method:
                    self._cell[CHANGES] = _MOVED
                self._cell, self._lock, self._method = array, array, method
            self._seen = list(self._cell[:SIZE])

    def __getstate__(self) -> dict[str, Any]:
        """For a process that is being spawned."""
        self.share("spawn")
        _STARTED.spawned()
        return {**self.__dict__, "_number": _STARTED.number}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        _LIVE[id(self)] = self


def _before_fork() -> None:
    _STARTED.number += 1
    for reference in _LIVE.valuerefs():
        epochs = reference()
        if epochs is not None:
            with suppress(ImportError, OSError):  # no shared memory here: a worker process raises an error
                epochs.share("fork")


def _after_fork() -> None:
    global _SHARING
    _SHARING = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_after_fork)
