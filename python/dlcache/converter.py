"""Petastorm's converter, argument for argument, over dlcache's datasets: make a `SparkDatasetConverter` with
`make_spark_converter`, and of that TensorFlow datasets and PyTorch loaders. docs/migrating-from-petastorm.md compares
the two."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._converter_contexts import TFDatasetContextManager, TorchDatasetContextManager, batch_size_of, prefetch_of
from ._converter_life import CONVERTERS
from ._converter_reader import LoaderChoices, ReaderArguments
from ._converter_transform import TransformSpec, edit_field
from ._dataset import Dataset, load
from ._errors import NotADatasetError, OptionError, WriteError
from ._options import is_integer
from ._spark_errors import NO_CONNECTOR
from ._spark_frame import check_frame
from ._store import Store
from ._temporary import TEMPORARY

if TYPE_CHECKING:
    from ._converter_torch import BatchedDataLoader, DataLoader

__all__ = [
    "DEFAULT_ROW_GROUP_SIZE_BYTES",
    "BatchedDataLoader",
    "DataLoader",
    "SparkDatasetConverter",
    "TransformSpec",
    "edit_field",
    "make_spark_converter",
]

logger = logging.getLogger("dlcache")

DEFAULT_ROW_GROUP_SIZE_BYTES = 32 * 1024 * 1024

_CODECS = {"uncompressed": "uncompressed", "gzip": "gzip", "snappy": "snappy", "zstd": "zstd", "lz4": "lz4_raw"}


_ELSEWHERE = {
    "make_reader": "use make_spark_converter(df), or dlcache.load(path) for a dataset of dlcache",
    "make_batch_reader": "use make_spark_converter(path): it takes a directory of Parquet files",
    "InMemBatchedDataLoader": "use BatchedDataLoader: shards are mapped into memory, and stay there if they fit",
    "register_delete_dir_handler": "dlcache deletes its own files itself: leave the call out",
}


def __getattr__(name: str) -> Any:
    if name in ("DataLoader", "BatchedDataLoader"):  # they need PyTorch, nothing else here does
        from . import _converter_torch

        return getattr(_converter_torch, name)
    near = [_ELSEWHERE[name]] if name in _ELSEWHERE else []
    near += [f"did you mean {other!r}?" for other in get_close_matches(name, __all__, n=1)]
    hint = f"; {near[0]}" if near and not name.startswith("_") else ""
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")


def make_spark_converter(
    df: Any,
    parquet_row_group_size_bytes: int = DEFAULT_ROW_GROUP_SIZE_BYTES,
    compression_codec: str | None = None,
    dtype: str | None = "float32",
) -> SparkDatasetConverter:
    """Writes the rows of a Spark DataFrame as a dataset, unless they are there already, and returns its converter.

    df: a DataFrame; or the path of a directory of Parquet files, which Spark reads; or a dlcache dataset or its path,
        which is used as it is (the other arguments do not matter then, and no Spark is needed).
    parquet_row_group_size_bytes: of a row group, at most 1 GiB. compression_codec: None or `uncompressed`, else
        `gzip`, `lz4`, `snappy` or `zstd`; compressed columns are decoded rather than mapped. dtype: what floating-point
        columns, arrays and vectors are stored as: `float32`, `float64`, or None for as they are.

    The dataset is under the directory that `petastorm.spark.converter.parentCacheDirUrl` in the Spark configuration
    names, else where `dlcache.cache` would put it. What this process has written goes when it ends; what was there
    before stays.

    Raises OptionError, and WriteError with the connector's condition; errors of the query itself are Spark's own.
    """
    options = write_options(parquet_row_group_size_bytes, compression_codec, dtype)
    if isinstance(df, Dataset):
        return _converter(df, ours=False)
    _check_driver()
    if isinstance(df, (str, os.PathLike)):
        try:
            return _converter(load(df), ours=False)
        except NotADatasetError:
            df = _session().read.parquet(os.fspath(df))
    check_frame(df, "DataFrame, a path or a dlcache dataset")
    dataset = _cached(df, options)
    if not dataset.result.hit and dataset.result.scope != "session":  # Spark deletes those when it stops
        TEMPORARY.add(dataset.store, dataset.version)
    return _converter(dataset, ours=True)


def write_options(row_group_bytes: int, codec: str | None, dtype: str | None) -> dict[str, Any]:
    """The options of `dlcache.cache` for the arguments of `make_spark_converter`; what is the default is left out, so
    that the key is the one that `dlcache.cache(df)` has. Raises OptionError."""
    options: dict[str, Any] = {"dtype": dtype}
    if dtype not in (None, "float32", "float64"):
        raise OptionError(f"dtype must be 'float32', 'float64' or None, not {dtype!r}")
    if not is_integer(row_group_bytes, 1):
        raise OptionError(f"parquet_row_group_size_bytes must be an integer of at least 1, not {row_group_bytes!r}")
    if int(row_group_bytes) != DEFAULT_ROW_GROUP_SIZE_BYTES:
        options["rowGroupBytes"] = int(row_group_bytes)
    chosen = _CODECS.get((codec or "uncompressed").lower()) if isinstance(codec, str | None) else None
    if chosen is None:
        raise OptionError(
            f"compression_codec must be None or one of {', '.join(map(repr, _CODECS))}, not {codec!r}; Parquet has no "
            "other codec that Spark writes"
        )
    if chosen != "uncompressed":
        options["compression"] = chosen
    return options


class SparkDatasetConverter:
    """A dataset on its way into training: it makes TensorFlow datasets and PyTorch loaders, as many as are asked for.

    cache_dir_url: where the dataset is. file_urls: its shards, in order. dataset_size: its rows, also `len(converter)`.
    It can be pickled into Spark tasks and other processes: only these three and the dataset's version go.
    """

    PARENT_CACHE_DIR_URL_CONF = "petastorm.spark.converter.parentCacheDirUrl"

    def __init__(self, cache_dir_url: str, file_urls: list[str], dataset_size: int) -> None:
        self.cache_dir_url = cache_dir_url
        self.file_urls = file_urls
        self.dataset_size = dataset_size
        self._version: int | None = None
        self._ours = False
        self._openings = 0
        self._deleted = False
        self._dataset: Dataset | None = None

    def __len__(self) -> int:
        return self.dataset_size

    @property
    def identity(self) -> tuple[str, ...]:
        """Which place the dataset is in."""
        return (self._dataset.store if self._dataset is not None else Store.of(self.cache_dir_url)).identity

    @property
    def deleted(self) -> bool:
        """True after `delete`."""
        return self._deleted

    @property
    def dataset(self) -> Dataset:
        """The dataset, for everything that Petastorm has no name for. Raises NotADatasetError if it was deleted."""
        if self._deleted:
            raise NotADatasetError(
                f"{self.cache_dir_url} was deleted with converter.delete(); call make_spark_converter again"
            )
        if self._dataset is None:
            self._dataset = load(self.cache_dir_url, version=self._version)
        return self._dataset

    def make_tf_dataset(
        self,
        batch_size: int | None = None,
        prefetch: int | None = None,
        num_epochs: int | None = None,
        workers_count: int | None = None,
        shuffling_queue_capacity: int | None = None,
        **petastorm_reader_kwargs: Any,
    ) -> TFDatasetContextManager:
        """A context manager around a `tf.data.Dataset` of namedtuples, whose fields are the columns' names.

        batch_size: 32 by default. prefetch: batches kept ready beside what TensorFlow chooses. num_epochs: None is
        endless: then every batch is full; the last one of an epoch is filled with rows of that epoch. With a number,
        the last batch of each epoch can be short, unless shard_count is given. workers_count: threads that gather and
        transform, at most one for each core; 4 by default. shuffling_queue_capacity, petastorm_reader_kwargs: see
        `docs/migrating-from-petastorm.md`; among them cur_shard, shard_count, transform_spec, seed, schema_fields.

        Raises OptionError at once; ColumnError and NullValueError on entering.
        """
        choices = self._choices(num_epochs, workers_count, petastorm_reader_kwargs)
        return TFDatasetContextManager(
            partial(self._opened, choices),
            choices,
            batch_size_of(batch_size),
            prefetch_of(prefetch),
            shuffling_queue_capacity,
        )

    def make_torch_dataloader(
        self,
        batch_size: int | None = 32,
        num_epochs: int | None = None,
        workers_count: int | None = None,
        shuffling_queue_capacity: int | None = 0,
        data_loader_fn: Callable[..., Any] | None = None,
        **petastorm_reader_kwargs: Any,
    ) -> TorchDatasetContextManager:
        """A context manager around an iterable of batches, dicts from column to tensor.

        Each iteration over it begins a new epoch; it needs no worker processes, and has a length if num_epochs is a
        number. data_loader_fn: makes another loader, called with `reader`, `batch_size` and
        `shuffling_queue_capacity`; see `DataLoader`, `BatchedDataLoader`. Other arguments as in `make_tf_dataset`.

        Raises OptionError at once; ColumnError and NullValueError on entering.
        """
        choices = self._choices(num_epochs, workers_count, petastorm_reader_kwargs)
        return TorchDatasetContextManager(
            partial(self._opened, choices),
            choices,
            batch_size_of(batch_size),
            shuffling_queue_capacity,
            data_loader_fn,
        )

    def delete(self) -> None:
        """Delete the dataset, unless another converter of this process uses it: then the last one deletes it.

        A dataset that was given to `make_spark_converter` is never deleted, and a warning says so. Raises InUseError if
        it is being read, in this process or another.
        """
        if not self._ours:
            logger.warning(
                "%s stays: it was not made by the converter. dlcache.load(path).delete() deletes it", self.cache_dir_url
            )
            return
        if self._deleted:
            return
        dataset = self.dataset
        if not CONVERTERS.others(self):
            try:
                dataset.delete()
            except NotADatasetError:
                logger.info("%s is gone already", self.cache_dir_url)
                TEMPORARY.remove(dataset.store)
        dataset.close()
        self._deleted = True

    def _choices(self, num_epochs: int | None, workers_count: int | None, given: dict[str, Any]) -> LoaderChoices:
        arguments = ReaderArguments.of(given)
        arguments.warn_of_other_rank()
        if num_epochs is not None and (isinstance(num_epochs, bool) or not isinstance(num_epochs, int)):
            raise OptionError(f"num_epochs must be an integer of at least 1, or None, not {num_epochs!r}")
        self._openings += 1
        return LoaderChoices(arguments, num_epochs, workers_count, self._openings - 1)

    def _opened(self, choices: LoaderChoices) -> Dataset:
        options = choices.arguments.storage_options
        if options:
            return load(self.cache_dir_url, version=self._version, storage_options=options)
        return self.dataset

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_dataset": None}

    def __repr__(self) -> str:
        return f"SparkDatasetConverter({self.cache_dir_url!r}, {len(self.file_urls)} files, {self.dataset_size} rows)"


# From a DataFrame to a converter


def _check_driver() -> None:
    try:
        from pyspark import TaskContext
    except ImportError:
        return
    if TaskContext.get() is not None:
        raise OptionError(
            "make_spark_converter is called in a Spark task. Call it in the driver, and use the converter in the task: "
            "it can be pickled"
        )


def _session() -> Any:
    from .spark import configure  # first: without pyspark it says what to install

    from pyspark.sql import SparkSession  # isort: skip

    return SparkSession.getActiveSession() or configure(SparkSession.builder).getOrCreate()


def _cached(df: Any, options: dict[str, Any]) -> Dataset:
    from ._spark_attach import attach
    from .spark import cache

    spark = df.sparkSession
    root = spark.conf.get(SparkDatasetConverter.PARENT_CACHE_DIR_URL_CONF, None)
    try:
        return cache(df, root=root, **options)
    except WriteError as error:
        if error.condition != NO_CONNECTOR or not attach(spark):
            raise
    return cache(df, root=root, **options)


def _converter(dataset: Dataset, *, ours: bool) -> SparkDatasetConverter:
    url = _url(dataset.store)
    files = [f"{url}/{path}" for path in dataset.manifest.shards.paths]
    converter = SparkDatasetConverter(url, files, len(dataset))
    converter._version, converter._ours, converter._dataset = dataset.version, ours, dataset
    if ours:
        dataset.hold()
        CONVERTERS.add(converter)
    return converter


def _url(store: Store) -> str:
    return store.path if store.local is None else Path(store.local).as_uri()
