"""Where the iterations of a loader begin: at the next epoch, at the epoch that was set, or where a state was taken."""

from __future__ import annotations

from collections.abc import MutableSequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

Position = tuple[int, int, int]
"""The first epoch of an iteration, and the epoch and step that come next in it."""

CHANGES, NEXT, RESUMES = 0, 1, 2
SIZE = 6
"""Numbers of the counter: how often an epoch was set, the next epoch, whether a position follows, and that position."""


class Epochs:
    """The counter of one loader. Threads may share it."""

    def __init__(self) -> None:
        self._cell: MutableSequence[int] = [0] * SIZE
        self._lock: AbstractContextManager[Any] = nullcontext()

    @property
    def resume(self) -> Position | None:
        """The position that a state stands for, until an iteration has begun there."""
        cell = self._cell[:SIZE]
        return (cell[3], cell[4], cell[5]) if cell[RESUMES] else None

    @property
    def next_epoch(self) -> int:
        return self._cell[NEXT]

    def set(self, epoch: int, resume: Position | None = None) -> None:
        """Let the next iteration begin with this epoch, or at this position."""
        with self._lock:
            self._cell[:SIZE] = [self._cell[CHANGES] + 1, epoch, int(resume is not None), *(resume or (0, 0, 0))]

    def begin(self, epochs: int | None) -> tuple[Position, int]:
        """The position of an iteration of so many epochs that begins now, and the number of changes until now."""
        with self._lock:
            position = position_of(self._cell)
            self._cell[RESUMES], self._cell[NEXT] = 0, after(position, epochs)
            return position, self._cell[CHANGES]

    def begun(self, epoch: int, changes: int) -> None:
        """An iteration has come to this epoch. No effect if an epoch was set since it began."""
        with self._lock:
            if self._cell[CHANGES] == changes and self._cell[NEXT] <= epoch:
                self._cell[NEXT] = epoch + 1


def position_of(cell: MutableSequence[int]) -> Position:
    """The position that a counter stands at."""
    return (cell[3], cell[4], cell[5]) if cell[RESUMES] else (cell[NEXT], cell[NEXT], 0)


def after(position: Position, epochs: int | None) -> int:
    """The next epoch once an iteration has begun at a position. One that has no steps left begins no epoch."""
    first, epoch, _ = position
    return epoch if epochs is not None and epoch >= first + epochs else epoch + 1
