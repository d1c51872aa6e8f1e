"""Loaders: re-iterable, resumable streams of batches. `BatchLoader` is what all adapters stand on."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._apply import Runner
from ._batches import BLOCK_ROWS, STACKED_BYTES, SUPER_BATCH_BYTES, VIEWED_BYTES, Metrics, Pipeline, Reads, Work
from ._errors import OptionError
from ._fields import WEIGHT, check_weight
from ._fingerprint import Fingerprint
from ._memory import BufferPool
from ._options import LoaderOptions, Shaper
from ._progress import check_progress, with_bar
from ._recut import Recut
from ._state import resumed
from ._steps import Steps
from ._transform import Transform, Where
from ._values import Batch, Field, Value, as_arrays

if TYPE_CHECKING:
    from ._readable import Readable


_LEASE_STEPS = 8


class BatchLoader:
    """Batches of one rank, as often as they are asked for.

    Each iteration is `epochs` epochs and begins with the epoch after the last one that was begun, whether or not that
    was read to its end. Two iterations may go on at once. A loader has no thread of its own; an iteration has, from
    its first batch to its end. It can be pickled: it holds the dataset's path and version, its options and its
    position.

    An adapter overrides `convert`, which makes of a batch's NumPy arrays, `Ragged` and `Strings` what its framework
    takes; `output` is applied after it. `options`: those of `Dataset.numpy`.
    """

    def __init__(self, dataset: Readable, options: LoaderOptions) -> None:
        self.dataset = dataset
        self.options = options
        self._resolved = resolved = options.resolve()
        every_row = resolved.changes_rows and resolved.world_size == 1
        remainder = "exact" if every_row else resolved.remainder
        self._steps = Steps(len(dataset), resolved.batch_size, resolved.rank, resolved.world_size, remainder)
        if resolved.progress:
            check_progress()
        self._selection = dataset.selection(options)
        fields = dict(self._selection.fields)
        if resolved.remainder == "mask":
            check_weight(tuple(fields))
            fields[WEIGHT] = Field(WEIGHT, "array", np.dtype(np.float32), (None,))
        self._read_fields = fields
        self._transform = None if resolved.transform is None else Transform(resolved.transform, fields)
        self._metrics = Metrics()
        self._next_epoch = 0
        self._at: tuple[int, int, int] | None = None
        self._resume: tuple[int, int, int] | None = None
        self._row = 0
        self._fingerprint = Fingerprint(
            lambda: {**self._identity(), "fields": list(fields)},
            self._steps,
            lambda epoch, positions: self._source.ids(epoch, positions),
        )
        self._iteration: object = None
        self._process_source: tuple[int, Reads] | None = None
        if self._transform is None or resolved.transform is None or resolved.transform.edit_fields is not None:
            _ = self._shaper

    # What it yields

    @property
    def read_fields(self) -> Mapping[str, Field]:
        """The fields of a batch before the transform, for batches of any size."""
        return self._read_fields

    @cached_property
    def element_spec(self) -> dict[str, Field]:
        """The fields of a batch by name, after the transform. The first size is the batch's: None if the last batch
        can be shorter. If the transform declares nothing, it is called once, on the first rows."""
        fields = self._read_fields
        if self._transform is not None:
            fields = self._transform.fields(self._sample)
        short = self._steps.remainder == "exact" and self._steps.rows % self._steps.batch_size
        if self._resolved.changes_rows:
            short = self._resolved.remainder != "drop"
        return {name: field.with_rows(None if short else self.batch_size) for name, field in fields.items()}

    def _sample(self, rows: int) -> Batch:
        if not len(self.dataset):
            raise OptionError(
                f"{self.dataset.path} has no rows to infer the transform's fields from; declare edit_fields"
            )
        return self._source.gather(np.arange(min(rows, len(self.dataset))), BufferPool(0))

    @cached_property
    def _shaper(self) -> Shaper:
        return Shaper(self.options.output, tuple(self.element_spec))

    def convert(self, batch: Batch) -> Mapping[str, Any]:
        """A batch as the framework takes it; threads may call it."""
        return batch

    def deliver(self, batch: Batch) -> Any:
        """A batch as this loader yields it."""
        return self._shaper(self.convert(batch))

    # How much

    @property
    def batch_size(self) -> int:
        """Rows of a batch of this rank."""
        return self._steps.batch_size

    @property
    def steps(self) -> Steps:
        """The steps of an epoch; its `count` is the same on all ranks."""
        return self._steps

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
        self._row = self._row if self._resume else 0
        begin, self._resume = self._resume or (self._next_epoch, self._next_epoch, 0), None
        first, epoch, step = begin
        self._next_epoch = max(self._next_epoch, epoch + 1)
        self._at = begin
        self._iteration = iteration = object()
        if self._resolved.changes_rows:
            batches = self._iterate_recut(iteration, first, epoch, step, self._row)
        else:
            batches = self._iterate(iteration, first, epoch, step)
        return self.with_bar(batches, begin) if self._resolved.progress else batches

    def _iterate(self, iteration: object, first: int, epoch: int, step: int) -> Iterator[Any]:
        batches, lease = self._run(first, epoch, step), self.dataset.lease()
        steps, seen = self._steps.count, self._fingerprint.delivered
        try:
            lease.touch()
            for at_epoch, at_step, delivered in batches:
                if at_step % _LEASE_STEPS == 0:
                    lease.touch()
                if at_epoch >= self._next_epoch:
                    self._next_epoch = at_epoch + 1
                at = at_epoch * steps + at_step
                seen(at, at + 1)
                if self._iteration is iteration:
                    self._at = (first, at_epoch, at_step + 1) if at_step + 1 < steps else (first, at_epoch + 1, 0)
                yield delivered
                del delivered
        finally:
            batches.close()
            lease.close()

    def _iterate_recut(self, iteration: object, first: int, epoch: int, step: int, row: int) -> Iterator[Any]:
        """As `_iterate`, with a transform that changes the number of rows."""
        batches, lease = self._run(first, epoch, step), self.dataset.lease()
        resolved, steps = self._resolved, self._steps.count
        drop, endless, at = resolved.remainder == "drop", resolved.epochs is None, epoch * steps + step
        recut = Recut(self.batch_size, steps, drop=drop, endless=endless, row=row)
        try:
            for at_epoch, at_step, batch in batches:
                lease.touch()
                self._next_epoch = max(self._next_epoch, at_epoch + 1)
                pieces = recut.add(at_epoch, at_step, batch)
                del batch
                self._metrics.batches += sum(piece is not None for _, piece in pieces) - 1
                while pieces:
                    (to_epoch, to_step, to_row), piece = pieces.popleft()
                    self._fingerprint.delivered(at, to_epoch * steps + to_step)
                    at = to_epoch * steps + to_step
                    if self._iteration is iteration:
                        self._at, self._row = (first, to_epoch, to_step), to_row
                    if piece is not None:
                        yield self.deliver(piece)
        finally:
            batches.close()
            lease.close()

    def _run(self, first: int, epoch: int, step: int) -> Generator[tuple[int, int, Any], None, None]:
        last = None if self._resolved.epochs is None else first + self._resolved.epochs
        return self._pipeline().run(self.works(epoch, step, last))

    def with_bar(self, batches: Iterator[Any], begin: tuple[int, int, int]) -> Iterator[Any]:
        """An iteration that begins at (first epoch, epoch, step) with a progress bar."""
        known = self._resolved.epochs is not None and not self._resolved.changes_rows
        done = (begin[1] - begin[0]) * self._steps.count + begin[2]
        return with_bar(batches, begin[0], len(self) if known else None, done)

    def _pipeline(self) -> Pipeline:
        resolved = self._resolved
        transform, workers, runner = None, 1, None
        if self._transform is not None:
            self._settle()
            runner, workers = self._transform.runner(), self._transform.spec.workers
            transform = partial(self._transformed, runner=runner)
        work_bytes = max(1, self._super_steps * self.batch_size * self._selection.row_bytes)
        depth = max(1, min(max(2, 2 * resolved.threads, 2 * workers), resolved.prefetch // work_bytes))
        return Pipeline(
            source=self._source,
            threads=min(resolved.threads, 1 if self._viewed else depth),
            depth=depth,
            views=not resolved.shuffle and self._selection.viewable,
            transform=transform,
            transform_threads=workers,
            deliver=dict if resolved.changes_rows else self.deliver,
            stop=None if runner is None else runner.close,
            metrics=self._metrics,
        )

    def _settle(self) -> None:
        """Know the fields before the first batch, where that may have no rows to tell them from."""
        if self._resolved.changes_rows:
            _ = self.element_spec

    def _transformed(self, work: Work, batch: dict[str, Value], runner: Runner | None = None) -> dict[str, Value]:
        assert self._transform is not None
        where = Where(f" at step {work.step} of epoch {work.epoch}", lambda: self._source.row_names(work))
        return self._transform(batch, where, runner)

    def works(self, epoch: int, step: int, last_epoch: int | None) -> Iterator[Work]:
        """The super-batches from a position on, up to `last_epoch` (not in it). The first ones are smaller, so that the
        first batch is soon there."""
        count, at_once, most = self._steps.count, self._super_steps, 1
        while count and (last_epoch is None or epoch < last_epoch):
            while step < count:
                steps = min(most, at_once - step % at_once, count - step)
                yield Work(epoch, step, steps)
                step, most = step + steps, min(2 * most, at_once)
            epoch, step = epoch + 1, 0

    @property
    def _viewed(self) -> bool:
        """True if batches are views of the files and nothing else: one thread is enough to make them."""
        return self._selection.viewed and not self._resolved.shuffle and self._transform is None

    @cached_property
    def _super_steps(self) -> int:
        """Steps gathered at once."""
        most = VIEWED_BYTES if self._viewed else STACKED_BYTES if self._selection.stacked else SUPER_BATCH_BYTES
        return max(1, min(1024, most // max(1, self.batch_size * self._selection.row_bytes), self._steps.count))

    @property
    def _source(self) -> Reads:
        """What is read, with the locks and maps of this process: a child gets its own after a fork."""
        process = os.getpid()
        if self._process_source is None or self._process_source[0] != process:
            block_steps = self._super_steps * max(1, BLOCK_ROWS // (self._super_steps * self.batch_size))
            self._process_source = (process, self._selection.source(self._resolved, self._steps, block_steps))
        return self._process_source[1]

    # Any batch, by its number

    def read(self, step: int, steps: int = 1, epoch: int = 0) -> dict[str, Value]:
        """The rows of steps `step .. step+steps-1` of an epoch in one, not transformed. Changes no state."""
        self.dataset.hold()
        return self._source.read(self._work(step, steps, epoch), self._source.pool)

    def batches(self, step: int, steps: int = 1, epoch: int = 0) -> list[dict[str, Value]]:
        """The batches of some steps of an epoch, transformed, not converted. Changes no state; threads may call it."""
        self.dataset.hold()
        work = self._work(step, steps, epoch)
        batches = self._source.batches(work, self._source.pool, None)
        if self._transform is None:
            return batches
        self._settle()
        return [self._transformed(Work(epoch, step + number, 1), batch) for number, batch in enumerate(batches)]

    def batch_at(self, step: int, epoch: int = 0) -> Any:
        """The batch of one step, as the loader yields it. Changes no state."""
        return self.deliver(self.batches(step, 1, epoch)[0])

    # Any rows

    def arrange(self, values: Mapping[str, Any]) -> Any:
        """Values by name as this loader yields them: a dict, a namedtuple or a tuple."""
        return self._shaper(values)

    def take(self, positions: Sequence[int] | npt.NDArray[np.int64]) -> dict[str, Any]:
        """The rows at these positions of the dataset (0 .. rows-1, or from the end if negative), transformed, by
        name as the framework takes them. Changes no state; threads may call it. Raises IndexError."""
        if self._resolved.changes_rows:
            raise OptionError("a transform with changes_rows=True has no rows by position; iterate over the loader")
        self.dataset.hold()
        rows = len(self.dataset)
        at = np.asarray(positions, np.int64).reshape(-1)
        if at.size and not (-rows <= int(at.min()) and int(at.max()) < rows):
            raise IndexError(f"positions must be in 0 .. {rows - 1}; got {int(at.min())} .. {int(at.max())}")
        batch = self._source.gather(np.where(at < 0, at + rows, at), BufferPool(0))
        if self._transform is not None:
            batch = self._transform(batch, Where(f" at positions {positions!r}", lambda: at.tolist()))
        return dict(self.convert(batch))

    @property
    def super_batch_steps(self) -> int:
        """How many steps make a few megabytes, for those who call `read` and `batches`."""
        return self._super_steps

    def _work(self, step: int, steps: int, epoch: int) -> Work:
        if not (step >= 0 and steps >= 1 and step + steps <= self._steps.count and epoch >= 0):
            raise OptionError(
                f"steps {step} .. {step + steps - 1} of epoch {epoch} do not exist; an epoch has {self._steps.count}"
            )
        return Work(epoch, step, steps)

    # State

    def state_dict(self) -> dict[str, Any]:
        """Where the last begun iteration is, by what it has delivered: JSON values only, a few of them."""
        first, epoch, step = self._resume or self._at or (self._next_epoch, self._next_epoch, 0)
        if self._resolved.epochs is not None and epoch >= first + self._resolved.epochs:
            first = epoch
        state = {
            **self._identity(),
            "global_batch": self._steps.global_batch,
            "first_epoch": first,
            "epoch": epoch,
            "step": step,
            "fingerprint": self.fingerprint(),
        }
        if self._resolved.changes_rows:
            state["row"] = self._row if self._resume or self._at else 0
        return state

    def fingerprint(self) -> str:
        """A number of all batches that this loader has delivered, and those before its state was taken: 24 hexadecimal
        digits. Two runs with the same number have seen the same rows of the same version in the same batches and order.
        It does not depend on threads or ranks, and goes on after `load_state_dict`. It is made of the dataset's
        id and version, the fields that are read, and for each step of all ranks its number and the ids of eight rows.
        """
        return self._fingerprint.digest()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration go on where `state` was taken. World size and batch size may differ, if the rows
        already delivered are a whole number of the new global batches. Raises StateError."""
        self._resume, self._row = resumed(
            state, self._identity(), self._steps, self._resolved.epochs, self._resolved.changes_rows
        )
        self._next_epoch = self._resume[1]
        if "fingerprint" in state:
            self._fingerprint.set(state["fingerprint"])
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
        counted = replace(self._metrics)
        seconds = counted.seconds or float("inf")
        return {
            **vars(counted),
            "rows_per_second": counted.rows / seconds,
            "bytes_per_second": counted.bytes / seconds,
            "consumer_wait_share": counted.consumer_wait_seconds / seconds,
            "reader_wait_share": counted.reader_wait_seconds / seconds,
        }

    def __getstate__(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "options": self.options, "state": self.state_dict()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).__init__(self, state["dataset"], placed_again(state["options"]))
        if state["state"] != self.state_dict():
            self.load_state_dict(state["state"])

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}({os.fspath(self.dataset.path)!r}, {self._steps.count} steps of {self.batch_size} "
            f"rows, rank {self._steps.rank} of {self._steps.world_size}, shuffle={self.options.shuffle})"
        )


def placed_again(options: LoaderOptions) -> LoaderOptions:
    """Options that were pickled: what was found there stays; if nothing was, this process may know."""
    return options.placed() if options.rank is None else options


class NumpyLoader(BatchLoader):
    """Batches of NumPy arrays: strings as arrays of `str` and binary values as arrays of `bytes` objects, rows of
    different lengths as `Ragged`."""

    def convert(self, batch: Batch) -> Mapping[str, Any]:
        return as_arrays(batch)
