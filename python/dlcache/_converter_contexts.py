"""What the converter's `make_*` methods return: context managers around datasets and loaders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ._converter_reader import LoaderChoices, Reader
from ._dataset import Dataset
from ._errors import OptionError
from ._loader import BatchLoader
from ._options import is_integer

BATCH_SIZE = 32
CLOSED = "the loader was closed when its `with` block ended; iterate within the block, or enter another one"


class TFDatasetContextManager:
    """What `make_tf_dataset` returns; `with` gives the `tf.data.Dataset`."""

    def __init__(
        self,
        open_dataset: Callable[[], Dataset],
        choices: LoaderChoices,
        batch_size: int,
        prefetch: int | None,
        capacity: int | None,
    ) -> None:
        self._open, self._choices = open_dataset, choices
        self._batch_size, self._prefetch, self._capacity = batch_size, prefetch, capacity
        self._leased: list[Dataset] = []

    def __enter__(self) -> Any:
        from . import tf

        dataset = _own(self._open())
        self._leased.append(dataset)
        options = self._choices.options(dataset, self._batch_size, self._capacity, "namedtuple")
        batches = tf.batches(BatchLoader(dataset, options))
        return batches if self._prefetch is None else batches.prefetch(self._prefetch)

    def __exit__(self, *error: object) -> None:
        """Ends the leases. TensorFlow's iterators deliver what they have read ahead, then fail."""
        while self._leased:
            self._leased.pop().end(CLOSED)


class TorchDatasetContextManager:
    """What `make_torch_dataloader` returns; `with` gives the loader, and ends its iterations."""

    def __init__(
        self,
        open_dataset: Callable[[], Dataset],
        choices: LoaderChoices,
        batch_size: int,
        capacity: int | None,
        data_loader_fn: Callable[..., Any] | None,
    ) -> None:
        self._open, self._choices = open_dataset, choices
        self._batch_size, self._capacity, self._make = batch_size, capacity, data_loader_fn
        self._close: list[Callable[[], None]] = []

    def __enter__(self) -> Any:
        from ._converter_torch import ConverterLoader

        dataset = _own(self._open())
        self._close.append(partial(dataset.end, CLOSED))
        if self._make is None:
            made = ConverterLoader(dataset, self._choices.options(dataset, self._batch_size, self._capacity, "dict"))
            self._close.append(made.close)
            return made
        reader = Reader(dataset, self._choices, self._batch_size, self._capacity)
        self._close.append(reader.stop)
        loader = self._make(reader=reader, batch_size=self._batch_size, shuffling_queue_capacity=self._capacity or 0)
        if isinstance(loader, ConverterLoader):
            self._close.append(loader.close)
        return loader

    def __exit__(self, *error: object) -> None:
        while self._close:
            self._close.pop()()


def _own(dataset: Dataset) -> Dataset:
    """The same dataset with leases of its own, which end with the block."""
    return dataset.select(dataset.columns)


def batch_size_of(value: int | None) -> int:
    if value is None:
        return BATCH_SIZE
    if not is_integer(value, 1):
        raise OptionError(f"batch_size must be an integer of at least 1, or None for {BATCH_SIZE}, not {value!r}")
    return int(value)


def prefetch_of(value: int | None) -> int | None:
    if value is not None and not is_integer(value, -1):
        raise OptionError(f"prefetch must be an integer of at least -1 (TensorFlow's AUTOTUNE), or None, not {value!r}")
    return value
