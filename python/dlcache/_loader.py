"""Loaders: re-iterable, resumable streams of batches. `BatchLoader` is what all adapters stand on."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ._batches import FORKS, Metrics, Pipeline, Sized
from ._by_step import BatchesByStep
from ._epochs import Epochs, Position
from ._errors import OptionError
from ._fingerprint import Fingerprint
from ._options import LoaderOptions
from ._progress import check_progress, with_bar
from ._recut import Recut
from ._source import Work
from ._state import resumed
from ._values import Batches, Value, as_array, one_by_one

if TYPE_CHECKING:
    from ._readable import Readable


SuperBatches = Generator[tuple[Work, Iterable[Sized]], None, None]


class BatchLoader(BatchesByStep):
    """Batches of one rank, as often as they are asked for.

    Each iteration is `epochs` epochs and begins with the epoch after the last one that was begun, whether or not that
    was read to its end. Two iterations may go on at once. A loader has no thread of its own; an iteration has, from
    its first batch to its end. It can be pickled: it holds the dataset's path and version, its options and its
    position. `options`: those of `Dataset.numpy`.
    """

    counter: type[Epochs] = Epochs

    def __init__(self, dataset: Readable, options: LoaderOptions) -> None:
        super().__init__(dataset, options)
        if self._resolved.progress:
            check_progress()
        self._metrics = Metrics()
        self._epochs = self.counter()
        self._first: int | None = None
        self._delivered = 0
        self._ended = False
        self._row = 0
        self._iteration: object = None
        self._fingerprint = Fingerprint(
            lambda: {**self._identity(), "fields": list(self.read_fields)},
            lambda: self._steps,
            lambda epoch, positions: self._source.ids(epoch, positions),
        )

    def __len__(self) -> int:
        """Batches of an iteration: the steps of an epoch times `epochs`. Raises TypeError if `epochs` is None, and if
        the transform changes the number of rows."""
        if self._resolved.changes_rows:
            raise TypeError(
                "the transform changes the number of rows, so that a loader's length is known at its end only"
            )
        if self._resolved.epochs is None:
            raise TypeError("a loader with epochs=None has no length; steps.count is the length of an epoch")
        return self._steps.count * self._resolved.epochs

    # Iterating

    def __iter__(self) -> Iterator[Any]:
        self.check_place()
        self._row = self._row if self._epochs.resume else 0
        begin, changes = self._epochs.begin(self._resolved.epochs)
        first, epoch, step = begin
        self._first, self._delivered, self._ended = first, epoch * self._steps.count + step, False
        self._iteration = iteration = object()
        super_batches = self._run(begin, changes)
        if self._resolved.changes_rows:
            batches = self._iterate_recut(iteration, epoch, step, self._row, super_batches)
        else:
            batches = self._iterate(iteration, super_batches)
        return self.with_bar(batches, begin) if self._resolved.progress else batches

    def _iterate(self, iteration: object, run: SuperBatches) -> Iterator[Any]:
        count, seen, metrics, forks = self._steps.count, self._fingerprint.delivered, self._metrics, FORKS[0]
        with closing(run) as super_batches:
            for work, batches in super_batches:
                at = work.epoch * count + work.step
                for batch, rows, size in batches:
                    metrics.rows += rows
                    metrics.bytes += size
                    metrics.batches += 1
                    seen(at, at + 1)
                    at += 1
                    if self._iteration is iteration:
                        self._delivered = at
                    yield batch
                    if FORKS[0] != forks:
                        raise _forked()
                    del batch
        self._ended = self._ended or self._iteration is iteration

    def _iterate_recut(self, iteration: object, epoch: int, step: int, row: int, run: SuperBatches) -> Iterator[Any]:
        """As `_iterate`, with a transform that changes the number of rows."""
        resolved, steps, metrics, forks = self._resolved, self._steps.count, self._metrics, FORKS[0]
        drop, endless, at = resolved.remainder == "drop", resolved.epochs is None, epoch * steps + step
        fill = self._first_rows if resolved.remainder == "pad" else None
        recut = Recut(self.batch_size, steps, drop=drop, endless=endless, row=row, fill=fill)
        with closing(run) as super_batches:
            for work, batches in super_batches:
                for at_step, (batch, rows, size) in enumerate(batches, work.step):
                    pieces = recut.add(work.epoch, at_step, batch)
                    del batch
                    metrics.rows += rows
                    metrics.bytes += size
                    metrics.batches += sum(piece is not None for _, piece in pieces)
                    while pieces:
                        (to_epoch, to_step, to_row), piece = pieces.popleft()
                        to = to_epoch * steps + to_step
                        self._fingerprint.delivered(at, to)
                        at = to
                        if self._iteration is iteration:
                            self._delivered, self._row = at, to_row
                        if piece is not None:
                            yield self.deliver(piece)
                        if FORKS[0] != forks:
                            raise _forked()
        self._ended = self._ended or self._iteration is iteration

    def _first_rows(self, epoch: int, rows: int) -> list[dict[str, Value]]:
        """The first rows that the transform makes in an epoch, in parts; again from the start if there are fewer."""
        parts: list[dict[str, Value]] = []
        while rows:
            before = rows
            for step in range(self._steps.count):
                (batch,) = self.batches(step, 1, epoch)
                taken = min(rows, len(next(iter(batch.values()))))
                if taken:
                    parts.append({name: value[:taken] for name, value in batch.items()})
                rows -= taken
                if not rows:
                    break
            if rows == before:  # it makes none now: the batch stays short
                break
        return parts

    def _run(self, begin: Position, changes: int) -> SuperBatches:
        """The super-batches of an iteration, under a lease."""
        first, epoch, step = begin
        last = None if self._resolved.epochs is None else first + self._resolved.epochs
        lease = self.dataset.lease()
        try:
            lease.touch()
            with closing(self._pipeline().run(self.works(epoch, step, last))) as super_batches:
                for work, batches in super_batches:
                    lease.touch()
                    if work.epoch > epoch:
                        epoch = work.epoch
                        self._epochs.begun(epoch, changes)
                    yield work, batches
        except BaseException:  # also a break: it must not wait for a store
            lease.abandon()
            raise
        lease.close()

    @property
    def _at(self) -> tuple[int, int, int] | None:
        """The first epoch of the last iteration, and the epoch and step that come next; None if there was none."""
        return None if self._first is None else (self._first, *divmod(self._delivered, max(1, self._steps.count)))

    def with_bar(self, batches: Iterator[Any], begin: Position) -> Iterator[Any]:
        """An iteration that begins at this position with a progress bar."""
        steps, known = self._steps.count, self._resolved.epochs is not None and not self._resolved.changes_rows
        done = (begin[1] - begin[0]) * steps + begin[2]

        def epoch(batches: int) -> int:
            """The epoch of the last one of so many batches."""
            if not known and self._resolved.changes_rows:
                return max(begin[1], (self._delivered - 1) // max(1, steps))
            return begin[0] + max(0, batches - 1) // max(1, steps)

        return with_bar(batches, epoch, len(self) if known else None, done)

    @property
    def _early(self) -> bool:
        """True if threads make what is delivered. Strings become objects in the consumer's thread: to make objects is
        to hold the interpreter's lock, and threads that want it in turns take twice the time."""
        strings = any(field.kind in ("text", "bytes", "object") for field in self.read_fields.values())
        return not self._resolved.changes_rows and (self._transform is not None or not strings)

    def _pipeline(self) -> Pipeline:
        resolved, source = self._resolved, self._source
        transform, workers, runner = None, 1, None
        if self._transform is not None:
            runner, workers = self._transform.runner(), self._transform.spec.workers
            transform = partial(self._transformed, runner=runner)
        work_bytes = max(1, self._super_steps * self.batch_size * self._selection.row_bytes)
        depth = max(1, min(max(2, 2 * resolved.threads, 2 * workers), resolved.prefetch // work_bytes))
        return Pipeline(
            source=source,
            threads=min(resolved.threads, 1 if self._viewed else depth),
            depth=depth,
            views=not resolved.shuffle and self._selection.viewable,
            transform=transform,
            transform_threads=workers,
            deliver=self.deliver_all if self._early else one_by_one,
            late=None if self._early or resolved.changes_rows else self.deliver,
            stop=None if runner is None else runner.close,
            metrics=self._metrics,
        )

    def works(self, epoch: int, step: int, last_epoch: int | None) -> Iterator[Work]:
        """The super-batches from a position on, up to `last_epoch` (not in it). The first ones are smaller, so that the
        first batch is soon there."""
        count, most = self._steps.count, 1
        while count and (last_epoch is None or epoch < last_epoch):
            while step < count:
                at_once = self._super_steps
                steps = min(most, at_once - step % at_once, count - step)
                yield Work(epoch, step, steps)
                step, most = step + steps, min(2 * most, at_once)
            epoch, step = epoch + 1, 0

    # State

    def state_dict(self) -> dict[str, Any]:
        """Where the last begun iteration is, by what it has delivered: JSON values only, a few of them."""
        upcoming = self._epochs.next_epoch
        last = None if self._ended else self._at
        first, epoch, step = self._epochs.resume or last or (upcoming, upcoming, 0)
        state = {
            **self._identity(),
            "global_batch": self._steps.global_batch,
            "epochs": self._resolved.epochs,
            "first_epoch": first,
            "epoch": epoch,
            "step": step,
            "fingerprint": self.fingerprint(),
        }
        if self._resolved.changes_rows:
            state["row"] = self._row if self._epochs.resume or self._at else 0
        return state

    def fingerprint(self) -> str:
        """A number of all batches that this loader has delivered, and those before its state was taken: 24 hexadecimal
        digits. Two runs with the same number have seen the same rows of the same version in the same batches and order.
        It does not depend on threads or ranks, and goes on after `load_state_dict`. It is made of the dataset's
        id and version, the fields that are read, and for each step of all ranks its number and the ids of eight rows.
        """
        return self._fingerprint.digest()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration resume where `state` was taken. World size and batch size may differ, if the rows
        already delivered are a whole number of the new global batches.

        A state that was taken within a `for` loop over this loader resumes that loop: after the last batch of its last
        epoch, it ends at once. A state that was taken after the loop has ended resumes with the next epoch.

        Raises StateError.
        """
        resume, self._row = resumed(
            state, self._identity(), self._steps, self._resolved.epochs, self._resolved.changes_rows
        )
        if "fingerprint" in state:
            self._fingerprint.set(state["fingerprint"])
        self._epochs.set(resume[1], resume)
        self._iteration = None

    def _identity(self) -> dict[str, Any]:
        return {
            **self._selection.identity(),
            "shuffle": self.options.shuffle,
            "shuffle_window": self._resolved.shuffle_window,
            "seed": self._resolved.seed,
        }

    def metrics(self) -> dict[str, float]:
        """What was delivered so far, and who waited for whom: rows, batches, bytes, seconds (of iterating, the
        consumer's work included), consumer_wait_seconds, reader_wait_seconds, and what follows from those:
        rows_per_second, bytes_per_second, and the shares of the time, consumer_wait_share and reader_wait_share."""
        counted = self._metrics.values()
        seconds = counted["seconds"] or float("inf")
        return {
            **counted,
            "rows_per_second": counted["rows"] / seconds,
            "bytes_per_second": counted["bytes"] / seconds,
            "consumer_wait_share": counted["consumer_wait_seconds"] / seconds,
            "reader_wait_share": counted["reader_wait_seconds"] / seconds,
        }

    def __getstate__(self) -> dict[str, Any]:
        place, options = self._place or self.options.place(), self.options
        if place is not None and (options.rank is None) != (options.world_size is None):
            options = replace(options, rank=place[0], world_size=place[1])
        fresh = self._first is None and self._epochs.resume is None
        return {
            "dataset": self.dataset,
            "options": options,
            "place": place,
            "epoch": self._epochs.next_epoch,
            "state": None if fresh else self.state_dict(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).__init__(self, state["dataset"], state["options"])
        self._restore(state)

    def _restore(self, state: Mapping[str, Any]) -> None:
        """Be at the position of a loader that was pickled, and of its rank if that was known."""
        self._place = state["place"]
        self._epochs.set(state["epoch"])
        if state["state"] is not None:
            self.load_state_dict(state["state"])

    def __repr__(self) -> str:
        steps = self._pinned
        place = "" if steps is None else f", {steps.count} steps, rank {steps.rank} of {steps.world_size}"
        return (
            f"{type(self).__name__}({os.fspath(self.dataset.path)!r}, batches of {self.batch_size} rows{place}, "
            f"shuffle={self.options.shuffle})"
        )


def _forked() -> OptionError:
    return OptionError("this iterator was begun before a fork; begin a new one in the child")


class NumpyLoader(BatchLoader):
    """Batches of NumPy arrays: strings as arrays of `str` and binary values as arrays of `bytes` objects, rows of
    different lengths as `Ragged`."""

    def convert_all(self, batches: Batches) -> Mapping[str, Sequence[Any]]:
        return {name: [as_array(name, value) for value in values] for name, values in batches.items()}
