"""TensorFlow: a `tf.data.Dataset` of batches with static shapes, known length, and a new order in each epoch.

The graph counts steps, and one NumPy function reads a super-batch of them at a time, which is cut into batches.
So TensorFlow's own threads read ahead, nothing is looped over row by row, and a position is a number.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    import tensorflow as tf
except ImportError as missing:
    raise ImportError("dlcache.tf needs TensorFlow: pip install 'dlcache[tensorflow]'") from missing

from ._adapters import check_sparse, loader_options
from ._errors import ColumnError, OptionError
from ._loader import BatchLoader
from ._readable import Readable
from ._source import SUPER_BATCH_BYTES
from ._values import Field, Ragged, Strings, Value, concatenate, offsets_of

Arrays = list[npt.NDArray[Any]]


def dataset(
    source: Readable, batch_size: int = 32, *, start_step: int = 0, sparse: Sequence[str] = (), **options: Any
) -> tf.data.Dataset:
    """A `tf.data.Dataset` of batches. `options` are those of `Dataset.numpy`.

    Dense columns are tensors with static shapes, ragged ones `tf.RaggedTensor`, strings and bytes `tf.string`. With
    `output=("features", "label")` it is what Keras' `fit` takes, with `remainder="mask"` sample weights too: they make
    `weighted_metrics` exact (a Keras loss divides by the rows with the padding). Each iteration over it has the next
    epoch's order, also when Keras makes the iterations.
    A transform that changes the number of rows makes a dataset of unknown cardinality, and allows no `start_step`.
    sparse: names of tensor columns that are delivered as `tf.SparseTensor`.
    start_step: steps, counted from the first epoch on, that the first iteration leaves out: to go on with a training.
    A `tf.train.Checkpoint` of an iterator goes on with that iteration, exactly; use `epochs` for more than one.

    Its cardinality is known, but if `start_step` is within an epoch. Automatic sharding is off: `rank` does it. With a
    `MultiWorkerMirroredStrategy`, `fit` takes this dataset as it is, also after `map`, `prefetch`, `repeat`, `take`,
    `skip` and `with_options`; `batch_size` is one worker's, and shared by its replicas.

    Raises OptionError, ColumnError and NullValueError at once. Errors while iterating arrive as TensorFlow's own, with
    the text of the ShardError or TransformError in them.
    """
    loader = BatchLoader(source, loader_options(batch_size, options).placed())
    if loader.options.progress:
        raise OptionError("progress=True is for Dataset.numpy and Dataset.torch; Keras shows a bar of its own")
    if isinstance(start_step, bool) or not isinstance(start_step, int) or start_step < 0:
        raise OptionError(f"start_step must be an integer of at least 0, not {start_step!r}")
    return batches(loader, start_step, sparse)


def batches(loader: BatchLoader, start_step: int = 0, sparse: Sequence[str] = ()) -> tf.data.Dataset:
    """The `tf.data.Dataset` of a loader, whose options say all."""
    if not loader.options.resolve().changes_rows:
        return _graph(_Reader(loader, sparse), start_step)
    if start_step:
        raise OptionError(
            f"start_step={start_step} does not say where to begin: the transform changes the rows of a step"
        )
    return _generated(_Reader(loader, sparse))


# How a batch crosses into the graph: each field as one or two flat arrays


class _Reader:
    """The super-batches of a loader as arrays that a graph can take."""

    def __init__(self, loader: BatchLoader, sparse: Sequence[str]) -> None:
        self.loader = loader
        self._sparse = check_sparse(sparse, loader.element_spec)
        self.fields = [_Crossing.of(field) for field in loader.element_spec.values()]
        transform = loader.options.resolve().transform
        threads = loader.options.resolve().threads
        self.parallel = transform.workers if transform is not None else max(1, threads)
        self.transformed = transform is not None
        steps = loader.steps
        short = steps.count > 0 and steps.size(steps.count - 1) < steps.batch_size
        self.full_steps = steps.count - 1 if short else steps.count
        self.at_once = self._steps_at_once()
        self._lock = threading.Lock()
        self._iterations = 0

    def _steps_at_once(self) -> int:
        """Steps of a super-batch: a few megabytes before and after the transform, and a few super-batches an epoch."""
        if any(crossing.alone for crossing in self.fields):
            return 1
        row_bytes = sum(crossing.row_bytes for crossing in self.fields)
        fits = SUPER_BATCH_BYTES // max(1, self.loader.batch_size * row_bytes)
        return max(1, min(self.loader.super_batch_steps, fits, self.full_steps // 4))

    def next_iteration(self) -> np.int64:
        """The number of the iteration that begins, from 0."""
        with self._lock:
            self._iterations += 1
            return np.int64(self._iterations - 1)

    def read(self, epoch: np.int64, step: np.int64) -> Arrays:
        """The arrays of the super-batch that begins with a step."""
        steps = 1 if step >= self.full_steps else min(self.at_once, self.full_steps - int(step))
        if self.transformed:
            parts = self.loader.batches(int(step), steps, int(epoch))
            rows = {name: concatenate([_value(part[name]) for part in parts]) for name in parts[0]}
        else:
            rows = self.loader.read(int(step), steps, int(epoch))
        return self._arrays(self.loader.steps.size(int(step)), rows)

    @cached_property
    def _values(self) -> BatchLoader:
        """The loader, as one that yields NumPy's values."""
        return BatchLoader(self.loader.dataset, replace(self.loader.options, output="dict"))

    def generate(self) -> Iterator[tuple[Any, ...]]:
        """The arrays of all batches of the next iteration."""
        for batch in self._values:
            yield tuple(self._arrays(len(next(iter(batch.values()))), batch))

    def _arrays(self, size: int, rows: Mapping[str, Value]) -> Arrays:
        arrays: Arrays = [np.int64(size)]  # type: ignore[list-item]
        for crossing in self.fields:
            arrays += crossing.arrays(_value(rows[crossing.field.name]))
        return arrays

    @property
    def dtypes(self) -> list[tf.DType]:
        """Those of what `read` returns."""
        return [tf.int64, *(dtype for crossing in self.fields for dtype in crossing.dtypes)]

    def built(self, size: tf.Tensor, *arrays: tf.Tensor) -> Any:
        """The super-batch of what `read` returned, as the loader yields it."""
        size = tf.ensure_shape(size, [])
        batch: dict[str, Any] = {}
        for crossing in self.fields:
            parts, arrays = arrays[: len(crossing.dtypes)], arrays[len(crossing.dtypes) :]
            batch[crossing.field.name] = crossing.tensor(parts, size)
        for name in self._sparse:
            batch[name] = tf.sparse.from_dense(batch[name])
        return self.loader.deliver(batch)


def _value(value: Value) -> Value:
    return value if isinstance(value, (Ragged, Strings)) else np.ascontiguousarray(value)


@dataclass(frozen=True)
class _Crossing:
    """How one field goes into the graph and what it becomes there."""

    field: Field
    ragged: bool
    dtype: tf.DType

    @staticmethod
    def of(field: Field) -> _Crossing:
        ragged = field.kind == "ragged" or (field.kind == "array" and field.shape[1:] == (None,))
        if field.kind in ("text", "bytes"):
            return _Crossing(field, ragged, tf.string)
        try:
            if field.kind == "object":
                raise TypeError("TensorFlow takes objects for strings")
            return _Crossing(field, ragged, tf.as_dtype(field.dtype))
        except TypeError as error:
            what = "Python objects" if field.kind == "object" else f"dtype {field.dtype}"
            raise ColumnError(
                f"column {field.name!r} has {what}, of which TensorFlow has no tensors; leave it out with columns=[...]"
                " or convert it in the transform"
            ) from error

    @property
    def alone(self) -> bool:
        """True if two batches may not fit into one array: their sizes differ in a dimension."""
        return not self.ragged and None in self.field.shape[1:]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row, 0 if its shape does not say."""
        known = [size for size in self.field.shape[1:] if size is not None]
        return 0 if self.ragged or self.dtype == tf.string else int(np.prod(known)) * self.field.dtype.itemsize

    @property
    def dtypes(self) -> list[tf.DType]:
        return [self.dtype, tf.int64] if self.ragged else [self.dtype]

    def arrays(self, value: Value) -> Arrays:
        """The rows of a super-batch: values, and for ragged ones where rows begin."""
        if self.ragged:
            rows = _as_ragged(value) if isinstance(value, np.ndarray) else value
            assert isinstance(rows, Ragged)
            return [rows.values, rows.offsets]
        if isinstance(value, Strings):
            values = value.to_bytes()
            return [np.fromiter(values, np.dtype(object), len(values))]
        if isinstance(value, Ragged):
            raise ColumnError(f"field {self.field.name!r} is ragged in this batch, and was not declared so")
        return [_as_bytes(value)] if self.dtype == tf.string else [value]

    def tensor(self, parts: Sequence[tf.Tensor], size: tf.Tensor) -> Any:
        """The tensor [steps, batch, ...] of `arrays`; `size` is the batch's."""
        batch, *shape = self.field.shape
        if self.ragged:
            values, offsets = tf.ensure_shape(parts[0], [None]), tf.ensure_shape(parts[1], [None])
            rows = tf.RaggedTensor.from_row_splits(values, offsets, validate=False)
            return tf.RaggedTensor.from_uniform_row_length(rows, size if batch is None else batch)
        rows = tf.ensure_shape(parts[0], [None, *shape])
        tensor = tf.reshape(rows, tf.concat([[-1], [size], tf.shape(rows, tf.int64)[1:]], 0))
        return tf.ensure_shape(tensor, [None, batch, *shape])


def _as_ragged(array: npt.NDArray[Any]) -> Ragged:
    return Ragged(array.reshape(-1), offsets_of(np.full(len(array), array.shape[1], np.int64)))


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Strings of a transform, as the objects that TensorFlow takes."""
    if array.dtype.kind == "S":
        return array.astype(object)
    return np.array([item.encode() if isinstance(item, str) else item for item in array.tolist()], object)


# The graph


def _graph(reader: _Reader, start_step: int) -> tf.data.Dataset:
    loader, count = reader.loader, reader.loader.steps.count
    epochs = loader.options.resolve().epochs
    first_epoch, first_step = divmod(start_step, count) if count else (0, 0)

    def iteration(number: tf.Tensor) -> tf.data.Dataset:
        """The starts (epoch, step) of all super-batches of the iteration with this number."""
        begin = first_epoch + number * (epochs or 1)
        skipped = tf.where(number == 0, tf.constant(first_step, tf.int64), 0)
        end = tf.int64.max if epochs is None else begin + epochs
        return tf.data.Dataset.range(begin, end).flat_map(
            lambda epoch: epoch_starts(epoch, tf.where(epoch == begin, skipped, 0))
        )

    def epoch_starts(epoch: tf.Tensor, step: tf.Tensor) -> tf.data.Dataset:
        full = tf.data.Dataset.range(step, reader.full_steps, reader.at_once)
        short = tf.data.Dataset.range(tf.maximum(step, reader.full_steps), count)
        return full.concatenate(short).map(lambda start: (epoch, start))

    def super_batch(epoch: tf.Tensor, step: tf.Tensor) -> Any:
        return reader.built(*tf.numpy_function(reader.read, [epoch, step], reader.dtypes))

    numbers = tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.ensure_shape(tf.numpy_function(reader.next_iteration, [], tf.int64), [])
    )
    if not count:
        numbers = numbers.take(0)
    starts = numbers.flat_map(iteration)
    parallel = reader.parallel if reader.parallel > 1 else None
    super_batches = starts.map(super_batch, num_parallel_calls=parallel).prefetch(1)
    # Slices share the memory of the tensor that they are of, where `unbatch` would copy.
    batches = super_batches.flat_map(lambda *parts: tf.data.Dataset.from_tensor_slices(_element(parts)))
    if epochs is None:
        batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY if count else 0))
    elif first_step == 0:
        batches = batches.apply(tf.data.experimental.assert_cardinality(count * epochs))
    return _unsharded(reader, batches.prefetch(tf.data.AUTOTUNE))


def _element(parts: tuple[Any, ...]) -> Any:
    """An element of a dataset, of the arguments of a function that is mapped over it."""
    return parts[0] if len(parts) == 1 else parts


def _generated(reader: _Reader) -> tf.data.Dataset:
    """The batches of the loader's own iteration: nobody knows which steps they are of before they are there."""
    signature = tuple(tf.TensorSpec(None, dtype) for dtype in reader.dtypes)
    batches = tf.data.Dataset.from_generator(reader.generate, output_signature=signature)
    return _unsharded(reader, batches.map(reader.built).unbatch().prefetch(1))


def _unsharded(reader: _Reader, batches: tf.data.Dataset) -> tf.data.Dataset:
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    options.deterministic = True
    # A batch is a function of its step, so the position in the graph is all that a checkpoint of an iterator needs.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    batches = batches.with_options(options)
    steps = reader.loader.steps
    return batches if steps.world_size == 1 else _BatchesOfRank(batches, steps.batch_size, steps.world_size)


class _BatchesOfRank(tf.data.Dataset):  # type: ignore[misc]
    """Batches of one of several ranks, which a multi-worker strategy must leave as they are.

    A strategy takes the batches of a dataset for global ones: it has `rebatch` cut each into one for every replica of
    all workers. A worker would then take several steps for a batch, and Keras, which counts the batches, would end an
    epoch with rows unread. So only the replicas of this worker share a batch here.
    """

    def __init__(self, batches: tf.data.Dataset, batch_size: int, world_size: int) -> None:
        self._batches, self._batch_size, self._world_size = batches, batch_size, world_size
        super().__init__(batches._variant_tensor)

    def _inputs(self) -> list[tf.data.Dataset]:
        return [self._batches]

    @property
    def element_spec(self) -> Any:
        return self._batches.element_spec

    def rebatch(self, batch_size: Any, drop_remainder: bool = False, name: str | None = None) -> tf.data.Dataset:
        sizes = np.asarray(batch_size)
        replicas, rest = divmod(sizes.size, self._world_size)
        if sizes.ndim != 1 or rest or sizes.sum() != self._batch_size:
            return super().rebatch(batch_size, drop_remainder, name)
        if replicas == 1:
            return self
        parts = [len(part) for part in np.array_split(np.arange(self._batch_size), replicas)]
        return super().rebatch(parts, drop_remainder, name)

    # What is made of them and has the same batches; Keras' class_weight maps too.

    def _kept(self, batches: tf.data.Dataset) -> _BatchesOfRank:
        return _BatchesOfRank(batches, self._batch_size, self._world_size)

    def map(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().map(*arguments, **options))

    def prefetch(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().prefetch(*arguments, **options))

    def repeat(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().repeat(*arguments, **options))

    def take(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().take(*arguments, **options))

    def skip(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().skip(*arguments, **options))

    def with_options(self, *arguments: Any, **options: Any) -> tf.data.Dataset:
        return self._kept(super().with_options(*arguments, **options))
