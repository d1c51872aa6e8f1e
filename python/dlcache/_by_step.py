"""The batches of a loader by their numbers: what is in each step of each epoch, without an iteration."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._apply import Runner
from ._errors import OptionError
from ._fields import WEIGHT, check_weight
from ._memory import BufferPool
from ._options import LoaderOptions, Resolved, Shaper, is_integer
from ._positions import Positions, row_positions
from ._ranks import Place, check_same, found_now
from ._source import SUPER_BATCH_BYTES, VIEWED_BYTES, EpochFiles, Reads, Work, block_rows
from ._steps import Steps
from ._transform import Transform, Where
from ._values import Batch, Batches, Field, Value, alone, one_by_one

if TYPE_CHECKING:
    from ._readable import Readable


class BatchesByStep:
    """The batches of one rank: a function of epoch and step. It has no state but what it remembers to be faster.

    An adapter overrides `convert_all`, which makes of batches' NumPy arrays, `Ragged` and `Strings` what its framework
    takes; `output` is applied after it. `options`: those of `Dataset.numpy`. A rank that they do not give is looked for
    when something first depends on it, and checked at each iteration: a process group may be initialized after the
    loader was made.
    """

    def __init__(self, dataset: Readable, options: LoaderOptions) -> None:
        self.dataset = dataset
        self.options = options
        self._resolved = resolved = options.resolve(options.place())
        self._place: Place | None = None
        self._pinned: Steps | None = None
        _ = self._steps_of(resolved)
        self._selection = dataset.selection(options)
        fields = dict(self._selection.fields)
        if resolved.remainder == "mask":
            check_weight(tuple(fields))
            fields[WEIGHT] = Field(WEIGHT, "array", np.dtype(np.float32), (None,))
        self._read_fields = fields
        self._transform = None if resolved.transform is None else Transform(resolved.transform, fields)
        self._process_source: tuple[int, Reads] | None = None
        if self._transform is None or resolved.transform is None or resolved.transform.edit_fields is not None:
            _ = self._shaper

    # Its rank

    def _steps_of(self, resolved: Resolved) -> Steps:
        every_row = resolved.changes_rows and resolved.world_size == 1
        remainder = "exact" if every_row else resolved.remainder
        return Steps(len(self.dataset), resolved.batch_size, resolved.rank, resolved.world_size, remainder)

    @property
    def _steps(self) -> Steps:
        if self._pinned is None:
            self._place = self._place or self.options.place()
            self._resolved = self.options.resolve(self._place)
            self._pinned = self._steps_of(self._resolved)
        return self._pinned

    def check_place(self) -> None:
        """Raises OptionError if the rank of this process is another now than the one that this loader works with."""
        steps = self._steps
        if not self.options.fixed:
            check_same((steps.rank, steps.world_size), found_now())

    @property
    def resolved(self) -> Resolved:
        """The options with their defaults filled in."""
        return self._resolved

    # What it yields

    @property
    def read_fields(self) -> Mapping[str, Field]:
        """The fields of a batch before the transform, for batches of any size."""
        return self._read_fields

    @cached_property
    def element_spec(self) -> dict[str, Field]:
        """The fields of a batch by name, after the transform. The first size is the batch's: None if the last batch
        can be shorter. If the transform declares nothing, it is called once, on the first rows."""
        fields = self._all_fields
        short = self._steps.remainder == "exact" and self._steps.rows % self._steps.batch_size
        if self._resolved.changes_rows:
            short = self._resolved.remainder not in ("drop", "pad")
        return {name: field.with_rows(None if short else self.batch_size) for name, field in fields.items()}

    @property
    def _all_fields(self) -> Mapping[str, Field]:
        """The fields of a batch after the transform, for batches of any size."""
        return self._read_fields if self._transform is None else self._transform.fields(self._sample)

    def _sample(self, rows: int) -> Batch:
        if not len(self.dataset):
            raise OptionError(
                f"{self.dataset.path} has no rows to infer the transform's fields from; declare edit_fields"
            )
        return self._gathered(np.arange(min(rows, len(self.dataset))))

    def _gathered(self, positions: npt.NDArray[np.int64]) -> dict[str, Value]:
        """Rows of the dataset with the fields of a batch. None of them is padding."""
        batch = self._source.gather(positions, BufferPool(0))
        if self._resolved.remainder == "mask":
            batch[WEIGHT] = np.ones(len(positions), np.float32)
        return batch

    @cached_property
    def _shaper(self) -> Shaper:
        return Shaper(self.options.output, tuple(self._all_fields))

    def convert_all(self, batches: Batches) -> Mapping[str, Sequence[Any]]:
        """Batches as the framework takes them; threads may call it."""
        return batches

    def convert(self, batch: Batch) -> dict[str, Any]:
        """A batch as the framework takes it."""
        return {name: value for name, (value,) in self.convert_all(alone(batch)).items()}

    def deliver_all(self, batches: Batches) -> list[Any]:
        """Batches as this loader yields them."""
        return self._shaper.all(self.convert_all(batches))

    def deliver(self, batch: Batch) -> Any:
        """A batch as this loader yields it."""
        return self.deliver_all(alone(batch))[0]

    @property
    def batch_size(self) -> int:
        """Rows of a batch of this rank."""
        return self._resolved.batch_size

    @property
    def steps(self) -> Steps:
        """The steps of an epoch; its `count` is the same on all ranks."""
        return self._steps

    # Any batch, by its number

    def read(self, step: int, steps: int = 1, epoch: int = 0, files: EpochFiles | None = None) -> dict[str, Value]:
        """The rows of steps `step .. step+steps-1` of an epoch in one, not transformed. Changes no state. files: what
        they may be views of; who has those may write into them."""
        self.dataset.hold()
        return self._source.read(self._work(step, steps, epoch), self._source.pool, files)

    def batches(self, step: int, steps: int = 1, epoch: int = 0) -> list[dict[str, Value]]:
        """The batches of some steps of an epoch, transformed, not converted. Changes no state; threads may call it."""
        self.dataset.hold()
        work = self._work(step, steps, epoch)
        batches = one_by_one(self._source.batches(work, self._source.pool, None))
        if self._transform is None:
            return batches
        return [self._transformed(Work(epoch, step + number, 1), batch) for number, batch in enumerate(batches)]

    def pieces(self) -> list[int] | None:
        """The steps with which pieces of an epoch begin that are views of files; None where not all batches are views,
        or where copies are faster."""
        return self._source.views(self._super_steps) if self._viewed else None

    def files(self) -> EpochFiles | None:
        """What the views of an iteration lie in: private mappings, as new, which nobody else has meanwhile."""
        return self._source.files()

    def batch_at(self, step: int, epoch: int = 0) -> Any:
        """The batch of one step, as the loader yields it. Changes no state."""
        return self.deliver(self.batches(step, 1, epoch)[0])

    def arrange(self, values: Mapping[str, Any]) -> Any:
        """Values by name as this loader yields them: a dict, a namedtuple or a tuple."""
        return self._shaper.all(alone(values))[0]

    def take(self, positions: Positions) -> dict[str, Any]:
        """Any rows of the dataset, transformed, by name as the framework takes them. Changes no state; threads may
        call it. positions: as in `Dataset.gather`. Raises PositionError."""
        if self._resolved.changes_rows:
            raise OptionError("a transform with changes_rows=True has no rows by position; iterate over the loader")
        self.dataset.hold()
        at = row_positions(positions, len(self.dataset))
        batch = self._gathered(at)
        if self._transform is not None:
            batch = self._transform(batch, Where(" at the positions asked for", at.tolist), self._sample)
        return self.convert(batch)

    @property
    def super_batch_steps(self) -> int:
        """How many steps make a few megabytes, for those who call `read` and `batches`."""
        return self._super_steps

    def _work(self, step: int, steps: int, epoch: int) -> Work:
        for name, value in (("step", step), ("steps", steps), ("epoch", epoch)):
            if not is_integer(value, -(1 << 62)):
                raise OptionError(f"{name} must be an integer, not {value!r}")
        if not (step >= 0 and steps >= 1 and step + steps <= self._steps.count and epoch >= 0):
            raise OptionError(
                f"steps {step} .. {step + steps - 1} of epoch {epoch} do not exist; an epoch has {self._steps.count}"
            )
        return Work(int(epoch), int(step), int(steps))

    # How it is read

    def _transformed(self, work: Work, batch: dict[str, Value], runner: Runner | None = None) -> dict[str, Value]:
        assert self._transform is not None
        where = Where(f" at step {work.step} of epoch {work.epoch}", lambda: self._source.row_names(work))
        return self._transform(batch, where, self._sample, runner)

    @property
    def _viewed(self) -> bool:
        """True if batches are views of the files and nothing else: one thread is enough to make them."""
        return self._selection.viewed and not self._resolved.shuffle and self._transform is None

    @cached_property
    def _super_steps(self) -> int:
        """Steps gathered at once."""
        most = VIEWED_BYTES if self._viewed else min(SUPER_BATCH_BYTES, self._resolved.prefetch)
        return max(1, min(1024, most // max(1, self.batch_size * self._selection.row_bytes), self._steps.count))

    @property
    def _source(self) -> Reads:
        """What is read, with the locks and maps of this process: a child gets its own after a fork."""
        process = os.getpid()
        if self._process_source is None or self._process_source[0] != process:
            at_once = self._super_steps
            block_steps = at_once * max(1, block_rows(len(self._read_fields)) // (at_once * self.batch_size))
            self._process_source = (process, self._selection.source(self._resolved, self._steps, block_steps))
        return self._process_source[1]
