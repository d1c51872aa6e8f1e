"""Full batches from a transform that drops or adds rows. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from ._errors import StateError, TransformError
from ._values import Value, concatenate

Position = tuple[int, int, int]
"""Epoch, step, and how many rows that the transform made of the step's rows come before."""


class Recut:
    """Cuts transformed batches of any sizes into batches of `size` rows, epoch by epoch.

    count: the steps of an epoch. drop: leave out the rows after an epoch's last full batch. endless: epochs follow
    without end, so that one without a batch is an error. row: how many rows of the first step are left out. fill: makes
    the last batch of an epoch full: called with the epoch and how many rows are lacking, it returns parts with those.
    """

    def __init__(
        self,
        size: int,
        count: int,
        *,
        drop: bool,
        endless: bool,
        row: int,
        fill: Callable[[int, int], Sequence[dict[str, Value]]] | None = None,
    ) -> None:
        self._size, self._count, self._drop, self._endless, self._row = size, count, drop, endless, row
        self._fill = fill
        self._held: deque[tuple[int, dict[str, Value], int]] = deque()
        self._rows = 0
        self._made = 0
        self._whole_epoch = False

    def add(self, epoch: int, step: int, batch: dict[str, Value]) -> deque[tuple[Position, dict[str, Value] | None]]:
        """The batches that are full with the next step's rows, each with the position behind it. At the end of an
        epoch the last one may be short; where none is left there is a None with the position."""
        rows, first = len(next(iter(batch.values()))), self._row
        self._row = 0
        if first > rows:
            raise StateError(
                f"the state is behind row {first} of step {step} of epoch {epoch}, of which the transform now makes "
                f"{rows} rows; to resume, it must make the same rows of the same rows"
            )
        self._whole_epoch |= step == 0 and first == 0
        if rows > first:
            self._held.append((step, batch, first))
            self._rows += rows - first
        out: deque[tuple[Position, dict[str, Value] | None]] = deque()
        end = self._after(epoch, step)
        while self._rows >= self._size:
            piece = self._take(self._size)
            out.append(((epoch, self._held[0][0], self._held[0][2]) if self._held else end, piece))
        if step + 1 == self._count:
            self._end_epoch(end, out)
        self._made += sum(1 for _, piece in out if piece is not None)
        if step + 1 == self._count:
            if self._endless and self._whole_epoch and not self._made:
                raise TransformError(
                    f"the transform left no batch of {self._size} rows in epoch {epoch}, and epochs=None would look "
                    "for one without end"
                )
            self._made = 0
        return out

    def _end_epoch(self, end: Position, out: deque[tuple[Position, dict[str, Value] | None]]) -> None:
        if self._rows and not self._drop:
            lacking = self._size - self._rows
            piece = self._take(self._rows)
            parts = [] if self._fill is None else self._fill(end[0] - 1, lacking)
            out.append((end, _joined([piece, *parts])))
        elif not out or out[-1][0] != end:
            out.append((end, None))
        self._held.clear()
        self._rows = 0

    def _after(self, epoch: int, step: int) -> Position:
        return (epoch + 1, 0, 0) if step + 1 == self._count else (epoch, step + 1, 0)

    def _take(self, rows: int) -> dict[str, Value]:
        """The first rows of those that are held."""
        self._rows -= rows
        parts: list[dict[str, Value]] = []
        while rows:
            step, batch, first = self._held.popleft()
            there = len(next(iter(batch.values()))) - first
            taken = min(rows, there)
            parts.append({name: value[first : first + taken] for name, value in batch.items()})
            if taken < there:
                self._held.appendleft((step, batch, first + taken))
            rows -= taken
        return _joined(parts)


def _joined(parts: Sequence[dict[str, Value]]) -> dict[str, Value]:
    return {name: _of_field(name, [part[name] for part in parts]) for name in parts[0]}


def _of_field(name: str, parts: list[Value]) -> Value:
    try:
        return concatenate(parts)
    except ValueError as error:
        raise TransformError(
            f"the rows of field {name!r} have different shapes, and changes_rows=True puts rows of several batches "
            f"together: {error}; pad them to one shape, or return numbers of one dimension as dlcache.Ragged"
        ) from error
