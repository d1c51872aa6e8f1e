"""The converter's PyTorch loaders: dlcache's own, and with the signatures of Petastorm's loaders."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

try:
    import torch
except ImportError as missing:
    raise ImportError("loaders of the converter need PyTorch: pip install 'dlcache[torch]'") from missing

from ._converter_contexts import CLOSED
from ._converter_reader import Reader
from ._dataset import Dataset
from ._errors import OptionError
from ._options import LoaderOptions
from ._values import Batch, Batches, Ragged, Value, as_array, as_arrays, one_by_one
from .torch import TorchLoader


class _Iteration(Iterator[Any]):
    """An iteration of a loader that can be closed. Then it raises OptionError: an end would look like that of the
    data."""

    def __init__(self, batches: Any) -> None:
        self._batches, self._closed = batches, False

    def __next__(self) -> Any:
        if self._closed:
            raise OptionError(CLOSED)
        return next(self._batches)

    def close(self) -> None:
        self._closed = True
        with suppress(ValueError):  # another thread is in it, and will see that the lease has ended
            self._batches.close()


class ConverterLoader(TorchLoader):
    """A `dlcache.torch.TorchLoader` that can be closed."""

    def __init__(self, dataset: Dataset, options: LoaderOptions, pad_to: Any = None, pin_memory: bool = False) -> None:
        super().__init__(dataset, options, pad_to, pin_memory)
        self._begin()

    def _begin(self) -> None:
        self._running: weakref.WeakSet[_Iteration] = weakref.WeakSet()
        self._closed = False

    def __iter__(self) -> Iterator[Any]:
        if self._closed:
            raise OptionError(CLOSED)
        iteration = _Iteration(super().__iter__())
        self._running.add(iteration)
        return iteration

    def convert_all(self, batches: Batches) -> Mapping[str, Sequence[Any]]:
        return super().convert_all(
            {name: [_as_petastorm(value) for value in values] for name, values in batches.items()}
        )

    def close(self) -> None:
        """End the iterations that go on, and the threads that read ahead for them. It cannot be iterated again."""
        self._closed = True
        for iteration in list(self._running):
            iteration.close()

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._begin()

    def __enter__(self) -> ConverterLoader:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class DataLoader(ConverterLoader):
    """What `data_loader_fn` can be: `functools.partial(DataLoader, collate_fn=...)`.

    collate_fn: makes a batch of a list of rows, each a dict of NumPy values; it costs a Python loop over the rows. By
    default the batch is the dict of tensors that it is read as. shuffling_queue_capacity: as in
    `SparkDatasetConverter.make_torch_dataloader`.
    """

    def __init__(
        self,
        reader: Reader,
        batch_size: int = 1,
        collate_fn: Callable[[list[dict[str, Any]]], Any] | None = None,
        shuffling_queue_capacity: int = 0,
    ) -> None:
        super().__init__(*_read(reader, batch_size, shuffling_queue_capacity))
        self._collate = collate_fn

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "collate_fn": self._collate}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._collate = state["collate_fn"]

    def deliver_all(self, batches: Batches) -> list[Any]:
        if self._collate is None:
            return super().deliver_all(batches)
        return [self._collate(_rows(batch)) for batch in one_by_one(batches)]


class BatchedDataLoader(ConverterLoader):
    """What `data_loader_fn` can be. transform_fn: makes a tensor of the NumPy array of each field; `torch.as_tensor`
    by default."""

    def __init__(
        self,
        reader: Reader,
        batch_size: int = 1,
        transform_fn: Callable[[Any], Any] | None = None,
        shuffling_queue_capacity: int = 0,
    ) -> None:
        super().__init__(*_read(reader, batch_size, shuffling_queue_capacity))
        self._transform_fn = transform_fn

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "transform_fn": self._transform_fn}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._transform_fn = state["transform_fn"]

    def convert_all(self, batches: Batches) -> Mapping[str, Sequence[Any]]:
        make = self._transform_fn
        if make is None or make is torch.as_tensor:
            return super().convert_all(batches)
        return {
            name: [make(as_array(name, _as_petastorm(value))) for value in values] for name, values in batches.items()
        }


_AS_PETASTORM = {np.dtype(bool): np.uint8, np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}
"""The dtypes that Petastorm has in PyTorch for others, which hold the same values."""


def _as_petastorm(value: Value) -> Value:
    if isinstance(value, np.ndarray):
        kind = _AS_PETASTORM.get(value.dtype)
        return value if kind is None else value.astype(kind)
    if isinstance(value, Ragged) and value.values.dtype in _AS_PETASTORM:
        return Ragged(value.values.astype(_AS_PETASTORM[value.values.dtype]), value.offsets)
    return value


def _rows(batch: Batch) -> list[dict[str, Any]]:
    arrays = as_arrays(batch)
    return [{name: value[row] for name, value in arrays.items()} for row in range(len(next(iter(arrays.values()))))]


def _read(reader: Reader, batch_size: int, capacity: int) -> tuple[Dataset, LoaderOptions]:
    return reader.dataset, reader.choices.options(reader.dataset, batch_size, capacity, "dict")
