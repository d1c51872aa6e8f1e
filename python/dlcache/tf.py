"""TensorFlow: a `tf.data.Dataset` of batches with static shapes, known length, and a new order in each epoch.

The graph counts steps, and one NumPy function reads a super-batch of them at a time, which is cut into batches.
So TensorFlow's own threads read ahead, nothing is looped over row by row, and a position is a number.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

try:
    import tensorflow as tf
except ImportError as missing:
    raise ImportError("dlcache.tf needs TensorFlow: pip install 'dlcache[tensorflow]'") from missing

from ._adapters import check_sparse, loader_options
from ._errors import OptionError
from ._loader import BatchLoader
from ._options import is_integer
from ._readable import Readable
from ._source import SUPER_BATCH_BYTES, EpochFiles
from ._tf_crossing import Arrays, Crossing, as_value, shared
from ._values import Value, concatenate

_ITERATIONS = 2


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
    loader = BatchLoader(source, loader_options(batch_size, options, "tf").checked())
    if loader.options.progress:
        raise OptionError("progress=True is for Dataset.numpy and Dataset.torch; Keras shows a bar of its own")
    if not is_integer(start_step, 0):
        raise OptionError(f"start_step must be an integer of at least 0, not {start_step!r}")
    return batches(loader, start_step, sparse)


def batches(loader: BatchLoader, start_step: int = 0, sparse: Sequence[str] = ()) -> tf.data.Dataset:
    """The `tf.data.Dataset` of a loader, whose options say all."""
    if not loader.resolved.changes_rows:
        return _graph(_Reader(loader, sparse, start_step))
    if start_step:
        raise OptionError(
            f"start_step={start_step} does not say where to begin: the transform changes the rows of a step"
        )
    return _generated(_Reader(loader, sparse))


# What the graph asks for


class _Reader:
    """The super-batches of a loader as arrays that a graph can take."""

    def __init__(self, loader: BatchLoader, sparse: Sequence[str], start_step: int = 0) -> None:
        self.loader = loader
        self._sparse = check_sparse(sparse, lambda: loader.element_spec)
        self.fields = [Crossing.of(field) for field in loader.element_spec.values()]
        transform, threads = loader.resolved.transform, loader.resolved.threads
        self.parallel = transform.workers if transform is not None else max(1, threads)
        self.transformed = transform is not None
        steps = loader.steps
        short = steps.count > 0 and steps.size(steps.count - 1) < steps.batch_size
        self._full_steps = steps.count - 1 if short else steps.count
        pieces = None if any(crossing.alone for crossing in self.fields) else loader.pieces()
        self._viewed = pieces is not None
        self._starts: Sequence[int] = pieces or _Starts(self._full_steps, self._steps_at_once(), steps.count)
        if self._viewed:
            self.parallel = 1
        self._files: OrderedDict[int, EpochFiles] = OrderedDict()
        self._first_epoch, self._first_step = divmod(start_step, steps.count) if steps.count else (0, 0)
        self._lock = threading.Lock()
        self._iterations = 0

    def _steps_at_once(self) -> int:
        """Steps of a super-batch: a few megabytes before and after the transform, and a few super-batches an epoch."""
        if any(crossing.alone for crossing in self.fields):
            return 1
        row_bytes = sum(crossing.row_bytes for crossing in self.fields)
        fits = SUPER_BATCH_BYTES // max(1, self.loader.batch_size * row_bytes)
        return max(1, min(self.loader.super_batch_steps, fits, self._full_steps // 4))

    def next_iteration(self) -> np.int64:
        """The number of the iteration that begins, from 0. Raises OptionError if this process is another rank than when
        the dataset was made."""
        self.loader.check_place()
        with self._lock:
            self._iterations += 1
            return np.int64(self._iterations - 1)

    @property
    def length(self) -> int | None:
        """Super-batches of an iteration; None if it is endless."""
        epochs = self.loader.resolved.epochs
        return None if epochs is None else epochs * len(self._starts)

    @property
    def begins_whole(self) -> bool:
        """True if the first iteration has whole epochs."""
        return self._first_step == 0

    @property
    def first(self) -> int:
        """The super-batch that the first iteration begins with."""
        return bisect_right(self._starts, self._first_step) - 1

    @property
    def calls(self) -> Any:
        """What reads a super-batch, as an operation: of the number of an iteration and one of a super-batch in it."""
        if not self._viewed:
            return partial(tf.numpy_function, self._read, Tout=self.dtypes)
        return partial(tf.py_function, self._view, Tout=self.dtypes)

    def _read(self, iteration: np.int64, number: np.int64) -> Arrays:
        epoch, step, steps = self._steps_of(int(iteration), int(number))
        if self.transformed:
            parts = self.loader.batches(step, steps, epoch)
            rows = {name: concatenate([as_value(part[name]) for part in parts]) for name in parts[0]}
        else:
            rows = self.loader.read(step, steps, epoch)
        return self._arrays(self.loader.steps.size(step), rows)

    def _view(self, iteration: tf.Tensor, number: tf.Tensor) -> list[tf.Tensor]:
        epoch, step, steps = self._steps_of(int(iteration), int(number))
        rows = self.loader.read(step, steps, epoch, self._files_of(int(iteration), int(number)))
        size, *arrays = self._arrays(self.loader.steps.size(step), rows)
        return [tf.constant(size), *map(shared, arrays)]

    def _files_of(self, iteration: int, number: int) -> EpochFiles:
        """What the views of an iteration lie in, until its last super-batch is read. One that is broken off tells
        nobody, so only those of the last iterations are kept: whoever comes late gets new ones."""
        with self._lock:
            files = self._files.pop(iteration, None) or self.loader.files()
            assert files is not None
            if number + 1 != self.length:
                self._files[iteration] = files
            while len(self._files) > _ITERATIONS:
                self._files.popitem(last=False)
        return files

    def _steps_of(self, iteration: int, number: int) -> tuple[int, int, int]:
        """The epoch, the first step and how many steps."""
        epoch, number = divmod(number, len(self._starts))
        start = self._starts[number]
        end = self._starts[number + 1] if number + 1 < len(self._starts) else self.loader.steps.count
        if iteration == epoch == 0:
            start = max(start, self._first_step)
        before = self._first_epoch + iteration * (self.loader.resolved.epochs or 1)
        return before + epoch, start, end - start

    @cached_property
    def _values(self) -> BatchLoader:
        """The loader, as one that yields NumPy's values."""
        steps = self.loader.steps
        options = replace(self.loader.options, output="dict", rank=steps.rank, world_size=steps.world_size)
        return BatchLoader(self.loader.dataset, options)

    def generate(self) -> Iterator[tuple[Any, ...]]:
        """The arrays of all batches of the next iteration."""
        self.loader.check_place()
        for batch in self._values:
            yield tuple(self._arrays(len(next(iter(batch.values()))), batch))

    def _arrays(self, size: int, rows: Mapping[str, Value]) -> Arrays:
        arrays: Arrays = [np.int64(size)]  # type: ignore[list-item]
        for crossing in self.fields:
            arrays += crossing.arrays(as_value(rows[crossing.field.name]))
        return arrays

    @property
    def dtypes(self) -> list[tf.DType]:
        """Those of what is read."""
        return [tf.int64, *(dtype for crossing in self.fields for dtype in crossing.dtypes)]

    def built(self, size: tf.Tensor, *arrays: tf.Tensor) -> Any:
        """The super-batch of what was read, as the loader yields it."""
        size = tf.ensure_shape(size, [])
        batch: dict[str, Any] = {}
        for crossing in self.fields:
            parts, arrays = arrays[: len(crossing.dtypes)], arrays[len(crossing.dtypes) :]
            batch[crossing.field.name] = crossing.tensor(parts, size)
        for name in self._sparse:
            batch[name] = tf.sparse.from_dense(batch[name])
        return self.loader.deliver(batch)


@dataclass(frozen=True, slots=True)
class _Starts(Sequence[int]):
    """The steps with which super-batches begin: every so many of the full steps, and one that is short."""

    full: int
    at_once: int
    steps: int

    def __len__(self) -> int:
        return -(-self.full // self.at_once) + self.steps - self.full

    def __getitem__(self, number: Any) -> Any:
        return min(range(len(self))[number] * self.at_once, self.full)


# The graph


def _graph(reader: _Reader) -> tf.data.Dataset:
    """Functions are few here: each takes TensorFlow milliseconds when an iteration begins."""
    count, epochs = reader.loader.steps.count, reader.loader.resolved.epochs
    last = tf.int64.max if reader.length is None else reader.length

    def iteration(number: tf.Tensor) -> tf.data.Dataset:
        """The super-batches of the iteration with this number, by theirs."""
        first = tf.where(number == 0, tf.constant(reader.first, tf.int64), 0)
        return tf.data.Dataset.zip((tf.data.Dataset.from_tensors(number).repeat(), tf.data.Dataset.range(first, last)))

    numbers = tf.data.Dataset.from_tensors(0).map(
        lambda _: tf.ensure_shape(tf.numpy_function(reader.next_iteration, [], tf.int64), [])
    )
    if not count:
        numbers = numbers.take(0)
    super_batches = numbers.flat_map(iteration).map(
        lambda *numbers: reader.built(*reader.calls(inp=numbers)),
        num_parallel_calls=reader.parallel if reader.parallel > 1 else None,
    )
    # Slices share the memory of the tensor that they are of, where `unbatch` would copy.
    batches = super_batches.prefetch(1).flat_map(lambda *parts: tf.data.Dataset.from_tensor_slices(_element(parts)))
    if epochs is None:
        batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY if count else 0))
    elif reader.begins_whole:
        batches = batches.apply(tf.data.experimental.assert_cardinality(count * epochs))
    return _unsharded(reader, batches.prefetch(tf.data.AUTOTUNE))


def _element(parts: tuple[Any, ...]) -> Any:
    """An element of a dataset, of the arguments of a function that is mapped over it."""
    return parts[0] if len(parts) == 1 else parts


def _generated(reader: _Reader) -> tf.data.Dataset:
    """The batches of the loader's own iteration: nobody knows which steps they are of before they are there."""
    signature = tuple(tf.TensorSpec(None, dtype) for dtype in reader.dtypes)
    batches = tf.data.Dataset.from_generator(reader.generate, output_signature=signature)
    batches = batches.map(reader.built).unbatch()
    if reader.length is None and reader.loader.steps.count:
        batches = batches.apply(tf.data.experimental.assert_cardinality(tf.data.INFINITE_CARDINALITY))
    return _unsharded(reader, batches.prefetch(1))


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
