"""PyTorch: batches of tensors over the same memory, as an iterable loader or as a map-style dataset."""

from __future__ import annotations

import multiprocessing.context
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import torch
    from torch import distributed
    from torch.utils.data import Dataset as MapStyle
    from torch.utils.data import IterableDataset, default_collate, get_worker_info
except ImportError as missing:
    raise ImportError("dlcache.torch needs PyTorch: pip install 'dlcache[torch]'") from missing

from ._adapters import check_sparse, loader_options
from ._callers import check_callers
from ._dataset import Dataset
from ._epochs import Position
from ._errors import ColumnError, OptionError, StateError, unknown_column
from ._fields import Nulls
from ._loader import BatchLoader
from ._manifest import Decimals
from ._options import LoaderOptions, Output, is_integer
from ._positions import Positions, is_one
from ._readable import Readable
from ._source import Work
from ._transform import TransformSpec
from ._values import Batches, Ragged, Strings, Value
from ._worker_epochs import WorkerEpochs

PadTo = int | Mapping[str, int] | None


def loader(
    dataset: Readable,
    batch_size: int = 32,
    *,
    pad_to: PadTo = None,
    pin_memory: bool = False,
    sparse: Sequence[str] = (),
    group: distributed.ProcessGroup | None = None,
    **options: Any,
) -> TorchLoader:
    """Batches of tensors. `options` are those of `Dataset.numpy`.

    group: the process group that shares the rows, where it is not all processes: with tensor or pipeline parallelism,
    the data-parallel one.

    Tensors share the memory of the batch. Ragged columns become jagged nested tensors, or with `pad_to` (a length, or
    a dict of lengths by column) tensors [batch, length], filled with zeros and cut. Strings, bytes and other objects
    are lists. pin_memory: put tensors into page-locked memory, which PyTorch keeps and uses again; no effect without
    CUDA. sparse: names of tensor columns that are delivered as sparse COO tensors.

    Raises OptionError, ColumnError and NullValueError at once, ShardError and TransformError while iterating.
    """
    if group is None:
        return TorchLoader(dataset, loader_options(batch_size, options, "torch").checked(), pad_to, pin_memory, sparse)
    for name in ("rank", "world_size"):
        if options.get(name) is not None:
            raise OptionError(f"{name} and group were given, and a group has its own; leave out one of them")
    given: Any = group
    if given != distributed.GroupMember.NON_GROUP_MEMBER and not isinstance(given, distributed.ProcessGroup):
        raise OptionError(f"group must be a process group of torch.distributed, not {group!r}")
    rank, world_size = distributed.get_rank(group), distributed.get_world_size(group)
    if rank < 0:
        raise OptionError("this process is not in the group; make the loader in the processes of the group only")
    placed = loader_options(batch_size, {**options, "rank": rank, "world_size": world_size}, "torch")
    return TorchLoader(dataset, placed, pad_to, pin_memory, sparse)


class TorchLoader(BatchLoader, IterableDataset[Any]):
    """Batches of tensors, as often as they are asked for; see `loader` and `BatchLoader`.

    It needs no worker processes. `DataLoader(loader, batch_size=None, num_workers=n)` works as well: the workers share
    the steps, each row comes once, batches come in order, and every pass over the `DataLoader` is the next epoch, as if
    the loader itself were iterated.
    """

    counter = WorkerEpochs

    def __init__(
        self,
        dataset: Readable,
        options: LoaderOptions,
        pad_to: PadTo = None,
        pin_memory: bool = False,
        sparse: Sequence[str] = (),
    ) -> None:
        super().__init__(dataset, options)
        self._tensors = Tensors(pad_to, pin_memory)
        self._sparse = check_sparse(sparse, lambda: self.element_spec)
        if self._transform is None:
            self._tensors.check(self.read_fields)
        self._begun: Position | None = None

    def convert_all(self, batches: Batches) -> Mapping[str, Sequence[Any]]:
        converted = {name: self._tensors.all(name, values) for name, values in batches.items()}
        for name in self._sparse:
            converted[name] = [tensor.to_sparse() for tensor in converted[name]]
        return converted

    # Which steps: all in one process, every n-th in each of n workers

    def __iter__(self) -> Iterator[Any]:
        try:
            return self._iteration_begun()
        except OptionError as error:
            if get_worker_info() is None or self._begun is None:
                raise
            return _failing(error)  # of its second iteration, a worker process reports errors of batches only

    def _iteration_begun(self) -> Iterator[Any]:
        check_callers(self, self._steps)
        if get_worker_info() is not None and self._resolved.changes_rows:
            raise OptionError(
                "a transform with changes_rows=True cannot be shared by the worker processes of a DataLoader; use "
                "num_workers=0, and num_processes in the TransformSpec"
            )
        iteration = super().__iter__()
        self._begun = self._at
        return iteration

    def with_bar(self, batches: Iterator[Any], begin: Position) -> Iterator[Any]:
        return batches if get_worker_info() is not None else super().with_bar(batches, begin)

    def works(self, epoch: int, step: int, last_epoch: int | None) -> Iterator[Work]:
        works = super().works(epoch, step, last_epoch)
        worker = get_worker_info()
        if worker is None:
            return works
        single = (Work(work.epoch, work.step + number, 1) for work in works for number in range(work.steps))
        return islice(single, worker.id, None, worker.num_workers)

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration begin with this epoch, also in worker processes. Each iteration begins with the next
        epoch by itself; frameworks call this."""
        if not is_integer(epoch, 0):
            raise OptionError(f"epoch must be an integer of at least 0, not {epoch!r}")
        check_callers(self, self._steps)
        self._epochs.set(int(epoch))
        self._first = self._iteration = None

    # State

    def state_dict(self) -> dict[str, Any]:
        """As `BatchLoader.state_dict`. In a worker process it is the worker's own part."""
        state = super().state_dict()
        worker = get_worker_info()
        if worker is None:
            return state
        first, epoch, step = state["first_epoch"], state["epoch"], state["step"]
        if self._epochs.resume is None and self._at != self._begun:
            first = self._at[0] if self._at else first
            ahead = epoch * self.steps.count + step + worker.num_workers - 1 - worker.id
            epoch, step = divmod(ahead, self.steps.count)
        return {**state, "first_epoch": first, "epoch": epoch, "step": step, "worker": [worker.id, worker.num_workers]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As `BatchLoader.load_state_dict`. The state of a worker process is for the same worker of as many."""
        worker = get_worker_info()
        here = None if worker is None else [worker.id, worker.num_workers]
        there = state.get("worker") if isinstance(state, Mapping) else None
        if there is not None and there != here:
            raise StateError(
                f"the state is of worker process {there[0]} of {there[1]}, and this is "
                f"{'no worker process' if here is None else f'{here[0]} of {here[1]}'}; use as many as then"
            )
        super().load_state_dict(state)
        if there is not None and self._epochs.resume is not None:
            _, epoch, step = self._epochs.resume
            self._epochs.set(epoch, (state["first_epoch"], epoch, step))

    def __getstate__(self) -> dict[str, Any]:
        state = {**super().__getstate__(), "pad_to": self._tensors.pad_to, "pin_memory": self._tensors.pin}
        state["sparse"] = self._sparse
        if multiprocessing.context.get_spawning_popen() is not None:
            state["epochs"] = self._epochs
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        TorchLoader.__init__(
            self,
            state["dataset"],
            state["options"],
            state["pad_to"],
            state["pin_memory"],
            state["sparse"],
        )
        if "epochs" in state:
            self._place, self._epochs = state["place"], state["epochs"]
        else:
            self._restore(state)


def _failing(error: Exception) -> Iterator[Any]:
    raise error
    yield


class TorchDataset(MapStyle[Any]):
    """A map-style dataset, for samplers and for trainers that make their own `DataLoader`.

    `dataset[i]` is a row: a dict (or tuple or namedtuple, see `output`) of tensors, strings and numbers.
    `dataset[[3, 1]]` is the batch of these rows; a slice or a mask works too (see `Dataset.gather`). So PyTorch's bulk
    loading needs no collation: `DataLoader(dataset, batch_size=None, sampler=BatchSampler(...))`.

    A `DataLoader` with a batch size fetches the rows of a batch with one call; with `collate_fn=dataset.collate` it
    takes them as the batch that they came as, which is much faster than PyTorch's default collation, and can hold
    ragged columns and strings.

    Options as in `loader`. Under `torch.distributed`, the sampler shares out the rows.
    """

    def __init__(
        self,
        dataset: Dataset,
        *,
        columns: Sequence[str] | None = None,
        output: Output = "dict",
        transform: TransformSpec | Callable[[Any], Any] | None = None,
        nulls: Nulls = "error",
        decimals: Decimals = "float",
        pad_to: PadTo = None,
    ) -> None:
        options = LoaderOptions(
            rank=0,
            world_size=1,
            columns=columns,
            output=output,
            transform=transform,
            nulls=nulls,
            decimals=decimals,
            threads=0,
        )
        self.loader = TorchLoader(dataset, options, pad_to)

    def __len__(self) -> int:
        return len(self.loader.dataset)

    def __getitem__(self, index: int | Positions) -> Any:
        return self.__getitems__([index])[0] if is_one(index) else self.__getitems__(index).batch

    def __getitems__(self, indices: Any) -> FetchedRows:
        return FetchedRows(self.loader.take(indices), self.loader.arrange)

    @staticmethod
    def collate(rows: Sequence[Any]) -> Any:
        """The batch of the rows that `__getitems__` returned; other rows are stacked as PyTorch does."""
        return rows.batch if isinstance(rows, FetchedRows) else default_collate(list(rows))


class FetchedRows(Sequence[Any]):
    """Rows that were fetched at once. As a sequence, its items are rows."""

    def __init__(self, values: Mapping[str, Any], shape: Callable[[Mapping[str, Any]], Any]) -> None:
        self._values = values
        self._shape = shape

    @property
    def batch(self) -> Any:
        """All of them as one batch."""
        return self._shape(self._values)

    def __len__(self) -> int:
        return len(next(iter(self._values.values())))

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[row] for row in range(len(self))[index]]
        row = range(len(self))[index]
        return self._shape({name: value[row] for name, value in self._values.items()})


_SHARED = frozenset(
    map(np.dtype, ("bool", "int8", "int16", "int32", "int64", "uint8", "float16", "float32", "float64"))
)
"""What PyTorch has tensors of, wherever it is."""


class Tensors:
    """Values of a batch → tensors and lists. Threads may share it."""

    def __init__(self, pad_to: PadTo, pin: bool) -> None:
        lengths = list(pad_to.values()) if isinstance(pad_to, Mapping) else [] if pad_to is None else [pad_to]
        for length in lengths:
            if isinstance(length, bool) or not isinstance(length, int) or length < 1:
                raise OptionError(f"pad_to must be a length of at least 1, or a dict of such, not {pad_to!r}")
        self.pad_to = pad_to
        self.pin = pin
        self._pinning = pin and torch.cuda.is_available()

    def check(self, fields: Mapping[str, Any]) -> None:
        """Raises ColumnError if `pad_to` names a column that is not there."""
        for name in self.pad_to if isinstance(self.pad_to, Mapping) else ():
            if name not in fields:
                raise unknown_column(name, fields, "pad_to: a batch")

    def all(self, name: str, values: Sequence[Value]) -> list[Any]:
        """The values of several batches, as `of` makes them. Arrays are parts of one, or at least alike."""
        if self._shares(values[0]):
            return list(map(torch.from_numpy, values))
        return [self.of(name, value) for value in values]

    def _shares(self, value: Value) -> bool:
        """True if PyTorch has tensors over such an array."""
        return type(value) is np.ndarray and value.dtype in _SHARED and value.flags.carray and not self._pinning

    def of(self, name: str, value: Value) -> Any:
        if self._shares(value):
            return torch.from_numpy(value)
        if isinstance(value, Ragged):
            length = self.pad_to.get(name) if isinstance(self.pad_to, Mapping) else self.pad_to
            if length is None:
                values, offsets = self._tensor(name, value.values), self._tensor(name, value.offsets)
                return torch.nested.nested_tensor_from_jagged(values, offsets)
            return self._tensor(name, value.to_padded(length))
        if isinstance(value, Strings):
            return value.to_numpy().tolist() if value.text else value.to_bytes()
        if value.dtype.kind in "OUS":
            return value.tolist()
        return self._tensor(name, value)

    def _tensor(self, name: str, array: npt.NDArray[Any]) -> torch.Tensor:
        # A transform may return what PyTorch cannot share: read-only, reversed or foreign-endian arrays are copied.
        shared = array.flags.writeable and array.dtype.isnative
        if not shared or not (array.flags.c_contiguous or all(stride >= 0 for stride in array.strides)):
            array = np.array(array, array.dtype.newbyteorder("="))
        try:
            tensor = torch.from_numpy(array)
        except TypeError as error:
            raise ColumnError(
                f"column {name!r} has dtype {array.dtype}, of which PyTorch has no tensors; convert it in the transform"
            ) from error
        return tensor.pin_memory() if self._pinning and get_worker_info() is None else tensor
