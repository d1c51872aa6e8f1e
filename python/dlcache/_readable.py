"""The ways from rows to a training loop, the same for everything that has rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ._adapters import check_names
from ._checks import Verify
from ._classes import StringsAs
from ._fields import Nulls
from ._loader import NumpyLoader
from ._manifest import Decimals
from ._options import PREFETCH_BYTES, LoaderOptions, Output
from ._selection import Selects
from ._steps import Remainder, Steps
from ._transform import TransformSpec


class Lease(Protocol):
    """Keeps what is read from being deleted, from the first `touch` to `close`, or to `abandon`, which never waits for
    a store."""

    def touch(self) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Readable(ABC):
    """Rows that loaders can read: those of a dataset, or of a mixture of datasets."""

    @property
    @abstractmethod
    def path(self) -> str:
        """Where the rows are, for messages."""

    @abstractmethod
    def __len__(self) -> int:
        """Rows of an epoch."""

    @abstractmethod
    def selection(self, options: LoaderOptions) -> Selects:
        """What a loader with these options reads, checked."""

    @abstractmethod
    def lease(self) -> Lease:
        """A lease on what is read: while it is open, nobody deletes the shards."""

    @abstractmethod
    def hold(self) -> None:
        """Take a lease of its own, or renew it."""

    def steps(self, batch_size: int, *, world_size: int = 1, remainder: Remainder | None = None) -> int:
        """Steps of an epoch, the same on all ranks. `remainder` as in `numpy`."""
        options = LoaderOptions(batch_size, rank=0, world_size=world_size, remainder=remainder)
        resolved = options.resolve(options.place())
        return Steps(len(self), resolved.batch_size, 0, resolved.world_size, resolved.remainder).count

    def numpy(
        self,
        batch_size: int = 32,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epochs: int | None = 1,
        rank: int | None = None,
        world_size: int | None = None,
        remainder: Remainder | None = None,
        columns: Sequence[str] | None = None,
        stack: Mapping[str, Sequence[str]] | None = None,
        output: Output = "dict",
        transform: TransformSpec | Callable[[Any], Any] | None = None,
        nulls: Nulls = "error",
        strings: StringsAs | None = None,
        decimals: Decimals = "float",
        shuffle_window: int | None = None,
        threads: int | None = None,
        prefetch: int = PREFETCH_BYTES,
        verify: Verify | None = None,
        progress: bool = False,
        **unknown: Any,
    ) -> NumpyLoader:
        """Batches of NumPy arrays.

        batch_size: rows of one rank's batch. shuffle: permute all rows, anew in each epoch, by `seed`. epochs: in one
        iteration; None is endless. rank, world_size: the part of every global batch that this process takes. By
        default they are found: from `torch.distributed`, `tf.distribute`, `TF_CONFIG`, or the variables of torchrun,
        Horovod, MPI or a Slurm step. Where two of them, or one and what was given, disagree, it is an error; only
        rank=0, world_size=1 may be given anywhere, and reads all rows. remainder: what becomes of the rows after the
        last whole batch: `exact` (a short batch; the default for one rank), `pad` (filled from the start of the
        epoch's order; the default for several), `mask` (so too, and `sample_weight` is 0 for the padding), `drop`.
        columns: their names; all by default. stack: columns of numbers that are delivered as one array: with
        `{"x": ["f0", "f1"]}` a batch has `x` [batch, 2] in place of the two. output: `dict`,
        `namedtuple`, or a tuple of names such as ("features", "label"). transform: a TransformSpec, or a function on
        dicts of arrays. nulls: `error`, a dict of fill values, or `mask` (adds `<column>_mask`, True where there is a
        value). strings: `codes` delivers strings as int64 positions in `dataset.vocabulary(column)`, -1 for nulls; a
        dict does so for some columns, with "codes" or a vocabulary of your own (-1 for what is not in it).
        decimals: `float` delivers decimals as numbers of the dataset's `dtype` (float64 if it was written with
        `dtype=None`), `unscaled` as exact integers, the number times 10^scale (`schema` has the scale), `object` as
        `decimal.Decimal` objects.
        shuffle_window: mix rows only within windows of about so many rows, which come from whole row groups.
        threads: that gather; min(4, cores) by default, 0 for none. They rest where the consumer's own thread is faster
        without them. prefetch: bytes that may be read ahead.
        verify: what of each shard is checked when it is first read: `open` (size, and that it begins and ends as
        Parquet does), `full` (its CRC-32 too, which reads all of it) or `off` (its size only); as `load` was told by
        default. progress: show a tqdm bar over the batches.
        A loader that is made anew for each epoch begins with epoch 0 each time: make it once and iterate over it again.

        Booleans, integers and floats keep their dtypes. Dates are int32 days since 1970-01-01, timestamps int64
        microseconds since 1970-01-01 UTC. Strings are arrays of `str`, binary values of `bytes`, arrays of different
        lengths `Ragged`, all else Python objects.

        Raises OptionError, ColumnError and NullValueError at once, ShardError and TransformError while iterating.
        """
        check_names(unknown, "numpy")
        return NumpyLoader(
            self,
            LoaderOptions(
                batch_size=batch_size,
                shuffle=shuffle,
                seed=seed,
                epochs=epochs,
                rank=rank,
                world_size=world_size,
                remainder=remainder,
                columns=columns,
                stack=stack,
                output=output,
                transform=transform,
                nulls=nulls,
                strings=strings,
                decimals=decimals,
                shuffle_window=shuffle_window,
                threads=threads,
                prefetch=prefetch,
                verify=verify,
                progress=progress,
            ).checked(),
        )

    def torch(self, batch_size: int = 32, **options: Any) -> Any:
        """Batches of PyTorch tensors: `dlcache.torch.loader`. Options as in `numpy`."""
        from . import torch

        return torch.loader(self, batch_size, **options)

    def tf(self, batch_size: int = 32, **options: Any) -> Any:
        """A `tf.data.Dataset` of batches: `dlcache.tf.dataset`. Options as in `numpy`."""
        from . import tf

        return tf.dataset(self, batch_size, **options)
