"""The reader arguments of Petastorm, and what each means for dlcache's loaders."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Any

from ._converter_transform import reading
from ._dataset import Dataset
from ._errors import OptionError, unknown_column
from ._loader import NumpyLoader
from ._options import LoaderOptions, is_integer

logger = logging.getLogger("dlcache")

WORKERS = 4
"""Threads that gather and transform, if `workers_count` does not say."""

_RANKS = (
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    ("RANK", "WORLD_SIZE"),
)

_WAYS_OUT = {
    "predicate": "filter the DataFrame before make_spark_converter: df.where(...)",
    "rowgroup_selector": "filter the DataFrame before make_spark_converter: df.where(...)",
    "filters": "filter the DataFrame before make_spark_converter: df.where(...)",
    "filesystem": "give storage_options=..., which name the file system's settings",
}


@dataclass(frozen=True)
class ReaderArguments:
    """What `make_tf_dataset` and `make_torch_dataloader` take beside their own arguments, with Petastorm's defaults.

    schema_fields: regular expressions; the columns whose whole name matches one of them are read. seed, shuffle_rows,
    shuffle_row_groups: see `LoaderChoices`. cur_shard, shard_count: rank and world size. transform_spec: a
    TransformSpec. reader_pool_type: `thread`; `process` (as `thread`, but the transform runs in one thread); `dummy`
    (nothing is read ahead). storage_options: for a dataset that is not local.

    Accepted without effect, because dlcache needs none of it: results_queue_size, shuffle_row_drop_partitions,
    shard_seed, cache_type and cache_*, hdfs_driver, zmq_copy_buffers, convert_early_to_numpy. Refused: predicate,
    rowgroup_selector, filters, filesystem.
    """

    schema_fields: Sequence[str] | None = None
    reader_pool_type: str = "thread"
    results_queue_size: int = 50
    seed: int | None = None
    shuffle_rows: bool = False
    shuffle_row_groups: bool = True
    shuffle_row_drop_partitions: int = 1
    predicate: Any = None
    rowgroup_selector: Any = None
    cur_shard: int | None = None
    shard_count: int | None = None
    shard_seed: int | None = None
    cache_type: str | None = "null"
    cache_location: str | None = None
    cache_size_limit: int | None = None
    cache_row_size_estimate: int | None = None
    cache_extra_settings: Mapping[str, Any] | None = None
    hdfs_driver: str = "libhdfs3"
    transform_spec: Any = None
    filters: Any = None
    storage_options: Mapping[str, Any] | None = None
    zmq_copy_buffers: bool = True
    filesystem: Any = None
    convert_early_to_numpy: bool = False

    def __post_init__(self) -> None:
        for name, way_out in _WAYS_OUT.items():
            if getattr(self, name) is not None:
                raise OptionError(f"{name} is not supported: {way_out}")
        if self.reader_pool_type not in ("thread", "process", "dummy"):
            raise OptionError(f"reader_pool_type must be 'thread', 'process' or 'dummy', not {self.reader_pool_type!r}")
        if self.cache_type not in (None, "null", "local-disk"):
            raise OptionError(f"cache_type must be 'null' or 'local-disk', not {self.cache_type!r}")
        if isinstance(self.schema_fields, str) or not all(isinstance(name, str) for name in self.schema_fields or ()):
            raise OptionError(
                f"schema_fields must be a list of column names or regular expressions, not {self.schema_fields!r}"
            )
        self._check_shard()

    def _check_shard(self) -> None:
        if (self.cur_shard is None) != (self.shard_count is None):
            raise OptionError(
                f"cur_shard={self.cur_shard!r} and shard_count={self.shard_count!r}: give both, or neither"
            )
        for name, value in (("cur_shard", self.cur_shard), ("shard_count", self.shard_count)):
            if value is not None and (isinstance(value, bool) or not hasattr(value, "__index__")):
                raise OptionError(f"{name} must be an integer, not {value!r}")
        if self.shard_count is not None and not 0 <= int(self.cur_shard or 0) < int(self.shard_count):
            raise OptionError(
                f"cur_shard must be in 0 .. shard_count-1, and is {self.cur_shard} of shard_count={self.shard_count}"
            )

    @staticmethod
    def of(arguments: Mapping[str, Any]) -> ReaderArguments:
        """The arguments as they were given, checked. Raises OptionError, also for names that do not exist."""
        known = [field.name for field in fields(ReaderArguments)]
        for name in arguments:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
                raise OptionError(f"there is no argument {name!r}; {hint}")
        return ReaderArguments(**arguments)

    def columns(self, names: Sequence[str]) -> list[str]:
        """The columns that schema_fields choose, in the dataset's order. Raises ColumnError if one matches none."""
        if self.schema_fields is None:
            return list(names)
        for pattern in self.schema_fields:
            if pattern not in names and not any(re.fullmatch(pattern, name) for name in names):
                raise unknown_column(pattern, names, "schema_fields: the dataset")
        return [
            name
            for name in names
            if any(pattern == name or re.fullmatch(pattern, name) for pattern in self.schema_fields)
        ]

    def warn_of_other_rank(self, environment: Mapping[str, str] = os.environ) -> bool:
        """Say so if Horovod, MPI or PyTorch call this process another rank than cur_shard and shard_count do. True if
        they agree, or nobody says anything."""
        found = rank_in(environment)
        given = (
            None if self.cur_shard is None or self.shard_count is None else (int(self.cur_shard), int(self.shard_count))
        )
        if found is None or given == found[:2] or (given is None and found[1] == 1):
            return True
        logger.warning(
            "cur_shard=%s, shard_count=%s: but %s says rank %d of %d. For each process to train on its own part, give "
            "cur_shard and shard_count as that",
            self.cur_shard,
            self.shard_count,
            found[2],
            found[0],
            found[1],
        )
        return False


def rank_in(environment: Mapping[str, str]) -> tuple[int, int, str] | None:
    """Rank and size as Horovod, MPI or PyTorch have put them into the environment, and which variables say so."""
    for rank, size in _RANKS:
        if rank in environment or size in environment:
            try:
                return int(environment[rank]), int(environment[size]), f"{rank}/{size}"
            except (KeyError, ValueError):
                return None
    return None


@dataclass(frozen=True)
class LoaderChoices:
    """All that a loader of the converter depends on.

    Rows are shuffled unless shuffle_row_groups is False and neither shuffle_rows nor shuffling_queue_capacity is set:
    over the whole dataset if it can be mapped into memory, else within windows of a few row groups, of
    shuffling_queue_capacity rows at least.
    """

    arguments: ReaderArguments
    num_epochs: int | None
    workers_count: int | None
    opening: int
    """How many loaders of the converter were made before: another order for each, if there is no seed and one rank."""

    def options(self, dataset: Dataset, batch_size: int, capacity: int | None, output: str) -> LoaderOptions:
        """The options of the loader of a dataset. Raises OptionError, ColumnError, NullValueError."""
        arguments = self.arguments
        threads, ranks = self._threads(), int(arguments.shard_count or 1)
        names = arguments.columns(dataset.columns)
        read = reading(
            [dataset.manifest.column(name) for name in names],
            arguments.transform_spec,
            max(1, threads) if arguments.reader_pool_type == "thread" else 1,
            refills=ranks == 1 or self.num_epochs is None,
        )
        shuffle, window = order(arguments, _capacity(capacity), dataset)
        return LoaderOptions(
            batch_size=batch_size,
            shuffle=shuffle,
            shuffle_window=window,
            seed=arguments.seed if arguments.seed is not None else self.opening if ranks == 1 else 0,
            epochs=self.num_epochs,
            rank=int(arguments.cur_shard or 0),
            world_size=ranks,
            remainder="exact" if ranks == 1 and self.num_epochs is not None else "pad",
            columns=read.columns,
            output=output,
            transform=read.transform,
            nulls=read.nulls,
            decimals=read.decimals,
            threads=threads,
        )

    def _threads(self) -> int:
        count = WORKERS if self.workers_count is None else self.workers_count
        if not is_integer(count, 1):
            raise OptionError(f"workers_count must be an integer of at least 1, or None, not {count!r}")
        return 0 if self.arguments.reader_pool_type == "dummy" else min(int(count), os.cpu_count() or 1)


def _capacity(value: Any) -> int:
    if value is not None and not is_integer(value, 0):
        raise OptionError(f"shuffling_queue_capacity must be an integer of at least 0, or None, not {value!r}")
    return int(value or 0)


def order(arguments: ReaderArguments, capacity: int, dataset: Dataset) -> tuple[bool, int | None]:
    """Whether to shuffle, and the window. See `LoaderChoices`."""
    for name in ("shuffle_row_groups", "shuffle_rows"):
        if not isinstance(getattr(arguments, name), bool):
            raise OptionError(f"{name} must be True or False, not {getattr(arguments, name)!r}")
    if not (arguments.shuffle_row_groups or arguments.shuffle_rows or capacity):
        return False, None
    manifest = dataset.manifest
    if dataset.store.local is not None and manifest.options.get("compression", "uncompressed") == "uncompressed":
        return True, None
    return True, max(capacity, 4 * int(manifest.shards.row_group_rows.max(initial=1)))


class Reader:
    """The rows as `data_loader_fn` gets them: an iterator over namedtuples of NumPy arrays, each of a batch's rows.

    A loader of this package (`dlcache.converter.DataLoader`) takes from it what to read; any other can iterate over it.
    """

    batched_output = True
    is_batched_reader = True
    ngram = None

    def __init__(self, dataset: Dataset, choices: LoaderChoices, batch_size: int, capacity: int | None) -> None:
        self.dataset = dataset
        self.choices = choices
        self._loader = NumpyLoader(dataset, choices.options(dataset, batch_size, capacity, "namedtuple"))
        self._iteration: Iterator[Any] | None = None
        self.last_row_consumed = False

    @property
    def num_epochs(self) -> int | None:
        return self.choices.num_epochs

    @property
    def transform_spec(self) -> Any:
        return self.choices.arguments.transform_spec

    def __iter__(self) -> Reader:
        return self

    def __next__(self) -> Any:
        if self._iteration is None:
            self._iteration = iter(self._loader)
            self.last_row_consumed = False
        try:
            return next(self._iteration)
        except StopIteration:
            self.last_row_consumed = True
            raise

    next = __next__

    def reset(self) -> None:
        """Begin anew, with the next epoch's order."""
        self.stop()

    def stop(self) -> None:
        """End the iteration, and the threads that read ahead."""
        if self._iteration is not None:
            self._iteration.close()  # type: ignore[attr-defined]
            self._iteration = None

    def join(self) -> None:
        """Nothing to wait for: `stop` has done it."""
