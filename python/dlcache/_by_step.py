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
from ._options import LoaderOptions, Shaper
from ._source import LEFT_BYTES, SUPER_BATCH_BYTES, SWEPT_TIMES, VIEWED_BYTES, EpochFiles, Reads, Work, block_rows
from ._steps import Steps
from ._transform import Transform, Where
from ._values import Batch, Batches, Field, Value, alone, one_by_one

if TYPE_CHECKING:
    from ._readable import Readable


class BatchesByStep:
    """The batches of one rank: a function of epoch and step. It has no state but what it remembers to be faster.

    An adapter overrides `convert_all`, which makes of batches' NumPy arrays, `Ragged` and `Strings` what its framework
    takes; `output` is applied after it. `options`: those of `Dataset.numpy`.
    """

    def __init__(self, dataset: Readable, options: LoaderOptions) -> None:
        self.dataset = dataset
        self.options = options
        self._resolved = resolved = options.resolve()
        every_row = resolved.changes_rows and resolved.world_size == 1
        remainder = "exact" if every_row else resolved.remainder
        self._steps = Steps(len(dataset), resolved.batch_size, resolved.rank, resolved.world_size, remainder)
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
            short = self._resolved.remainder not in ("drop", "pad")
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
        return self._steps.batch_size

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
        self._settle()
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
        return self.convert(batch)

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

    # How it is read

    def _settle(self) -> None:
        """Know the fields before the first batch, where that may have no rows to tell them from."""
        if self._resolved.changes_rows:
            _ = self.element_spec

    def _transformed(self, work: Work, batch: dict[str, Value], runner: Runner | None = None) -> dict[str, Value]:
        assert self._transform is not None
        where = Where(f" at step {work.step} of epoch {work.epoch}", lambda: self._source.row_names(work))
        return self._transform(batch, where, runner)

    @property
    def _viewed(self) -> bool:
        """True if batches are views of the files and nothing else: one thread is enough to make them."""
        return self._selection.viewed and not self._resolved.shuffle and self._transform is None

    @property
    def _super_steps(self) -> int:
        """Steps gathered at once: it may change while rows are read."""
        times = SWEPT_TIMES if self._source.sweeps else 1
        return max(1, min(times * self._least_super_steps, self._steps.count))

    @cached_property
    def _least_super_steps(self) -> int:
        most = VIEWED_BYTES if self._viewed else SUPER_BATCH_BYTES
        if self._transform is None and self._selection.left:
            most = max(most, LEFT_BYTES)
        return max(1, min(1024, most // max(1, self.batch_size * self._selection.row_bytes), self._steps.count))

    @property
    def _source(self) -> Reads:
        """What is read, with the locks and maps of this process: a child gets its own after a fork."""
        process = os.getpid()
        if self._process_source is None or self._process_source[0] != process:
            at_once = self._least_super_steps
            block_steps = at_once * max(1, block_rows(len(self._read_fields)) // (at_once * self.batch_size))
            self._process_source = (process, self._selection.source(self._resolved, self._steps, block_steps))
        return self._process_source[1]
