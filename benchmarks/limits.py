"""The limits: what the machine does with the rows in plain arrays, with nothing in the way."""

from __future__ import annotations

import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from benchmarks.workloads import LONGEST, Array, Batch, decode, mapped

Input = TypeVar("Input")
AHEAD = 2
SUPER_BATCH_BYTES = 4 << 20

COLUMNS = {"embeddings": ("features", "label"), "tabular": ("floats", "ints")}


def read_threads() -> int:
    """The threads of a loader's default: as many as the cores that this process may use, at most four."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def batches_of_ids(rows: int, batch_size: int, seed: int) -> Iterator[Array]:
    order = np.random.default_rng(seed).permutation(rows)
    for start in range(0, rows, batch_size):
        yield order[start : start + batch_size]


def to_torch(arrays: Mapping[str, Array]) -> Batch:
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}


class Arrays:
    """Slices of mapped arrays in order, `take` into reused buffers shuffled, in one thread."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        self.arrays = {name: mapped(directory, name)[:rows] for name in COLUMNS[workload]}
        self.rows = rows

    def prepare(self) -> None:
        """The arrays are the workload's own."""

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        return self._shuffled(batch_size, seed) if shuffle else self._in_order(batch_size)

    def _in_order(self, batch_size: int) -> Iterator[Batch]:
        for start in range(0, self.rows, batch_size):
            yield to_torch({name: array[start : start + batch_size] for name, array in self.arrays.items()})

    def _shuffled(self, batch_size: int, seed: int) -> Iterator[Batch]:
        buffers = {name: np.empty((batch_size, *array.shape[1:]), array.dtype) for name, array in self.arrays.items()}
        for ids in batches_of_ids(self.rows, batch_size, seed):
            yield to_torch(
                {
                    name: array.take(ids, axis=0, out=buffers[name][: len(ids)], mode="clip")
                    for name, array in self.arrays.items()
                }
            )


class ArraysInThreads(Arrays):
    """The same `take`s of a few megabytes of rows, in as many threads as a loader has, ahead of the consumer: what
    threads can bring beside a consumer that reads."""

    def _shuffled(self, batch_size: int, seed: int) -> Iterator[Batch]:
        row_bytes = sum(array[:1].nbytes for array in self.arrays.values())
        rows, threads = batch_size * max(1, SUPER_BATCH_BYTES // (batch_size * row_bytes)), read_threads()
        spare = [self._buffers(rows) for _ in range(AHEAD * threads + 2)]

        def take(numbered: tuple[int, Array]) -> Batch:
            number, ids = numbered
            return self._taken(ids, spare[number % len(spare)])

        for taken in ahead(take, enumerate(batches_of_ids(self.rows, rows, seed)), threads):
            for start in range(0, len(next(iter(taken.values()))), batch_size):
                yield to_torch({name: array[start : start + batch_size] for name, array in taken.items()})

    def _buffers(self, rows: int) -> Batch:
        return {name: np.empty((rows, *array.shape[1:]), array.dtype) for name, array in self.arrays.items()}

    def _taken(self, ids: Array, buffers: Batch) -> Batch:
        return {
            name: array.take(ids, axis=0, out=buffers[name][: len(ids)], mode="clip")
            for name, array in self.arrays.items()
        }


class ColumnsInThreads(ArraysInThreads):
    """The same of a table whose columns lie apart: a `take` of each, and then they are turned over into rows."""

    def prepare(self) -> None:
        self.arrays = {name: np.ascontiguousarray(array.T).T for name, array in self.arrays.items()}

    def _taken(self, ids: Array, buffers: Batch) -> Batch:
        taken: Batch = {}
        for name, array in self.arrays.items():
            columns = np.empty((array.shape[1], len(ids)), array.dtype)
            for column, values in zip(columns, array.T, strict=True):
                values.take(ids, out=column, mode="clip")
            taken[name] = buffers[name][: len(ids)]
            taken[name][:] = columns.T
        return taken


class Blobs:
    """JPEG files as slices of one mapped file of all of them."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        with open(directory / "blob.bin", "rb") as blob:
            self.blob = mmap.mmap(blob.fileno(), 0, access=mmap.ACCESS_READ)
        self.offsets, self.label = mapped(directory, "offsets"), mapped(directory, "label")
        self.rows = rows

    def prepare(self) -> None:
        """The blob is the workload's own."""

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        for ids in batches_of_ids(self.rows, batch_size, seed):
            yield {"image": self.files(ids), **to_torch({"label": self.label[ids]})}

    def files(self, ids: Array) -> list[bytes]:
        blob = self.blob
        starts, ends = self.offsets[ids].tolist(), self.offsets[ids + 1].tolist()
        return [blob[start:end] for start, end in zip(starts, ends, strict=True)]


class Decoder(Blobs):
    """The decoder alone: whole batches in as many threads as a loader has, files from the mapped blob."""

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        def batch(ids: Array) -> Batch:
            return {"image": decode(self.files(ids)), "label": self.label[ids]}

        for decoded in ahead(batch, batches_of_ids(self.rows, batch_size, seed), read_threads()):
            yield to_torch(decoded)


def ahead(function: Callable[[Input], Batch], inputs: Iterator[Input], threads: int) -> Iterator[Batch]:
    """`function` of each input, in order, computed by `threads` threads at most `AHEAD` inputs a thread ahead."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(function, each) for each in islice(inputs, AHEAD * threads)]
        while waiting:
            yield waiting.pop(0).result()
            waiting.extend(pool.submit(function, each) for each in islice(inputs, 1))


class Ragged:
    """Rows of one mapped array of tokens, padded with 0 to the longest of the batch."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        self.tokens, self.offsets = mapped(directory, "tokens"), mapped(directory, "offsets")
        self.label = mapped(directory, "label")
        self.rows = rows

    def prepare(self) -> None:
        """The arrays are the workload's own."""

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        for ids in batches_of_ids(self.rows, batch_size, seed):
            yield to_torch({"tokens": self.padded(ids), "label": self.label[ids]})

    def padded(self, ids: Array) -> Array:
        raise NotImplementedError


class RaggedLoop(Ragged):
    """The loop that everyone writes."""

    def padded(self, ids: Array) -> Array:
        tokens = self.tokens
        starts, ends = self.offsets[ids], self.offsets[ids + 1]
        out = np.zeros((len(ids), int((ends - starts).max())), tokens.dtype)
        for slot, start, end in zip(out, starts.tolist(), ends.tolist(), strict=True):
            slot[: end - start] = tokens[start:end]
        return out


class RaggedVectorised(Ragged):
    """The best that NumPy does without a loop: windows of the longest length, one gather, the tails zeroed."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        super().__init__(workload, directory, rows, options)
        self.windows = np.lib.stride_tricks.sliding_window_view(self.tokens, LONGEST)

    def padded(self, ids: Array) -> Array:
        starts = self.offsets[ids]
        lengths = self.offsets[ids + 1] - starts
        width = int(lengths.max())
        inside = np.minimum(starts, len(self.windows) - 1)
        out: Array = self.windows[inside][:, :width]
        for row in np.flatnonzero(inside != starts):  # the last rows of the array: a window would end behind it
            out[row] = 0
            out[row, : lengths[row]] = self.tokens[starts[row] : starts[row] + lengths[row]]
        out[np.arange(width) >= lengths[:, None]] = 0
        return out


class Iterated(ABC):
    """A `tf.data.Dataset` that is made once, and has a new order each time, as in a training."""

    @abstractmethod
    def batches(self, shuffle: bool, batch_size: int) -> Any:
        """The dataset."""

    @cached_property
    def _made(self) -> Callable[[bool, int], Any]:
        return cache(self.batches)

    def epoch(self, shuffle: bool, batch_size: int, seed: int) -> Iterator[Batch]:
        return iter(self._made(shuffle, batch_size))


class TensorSlices(Iterated):
    """`tf.data` over tensors in RAM."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        import tensorflow as tf

        arrays = {name: mapped(directory, name)[:rows] for name in COLUMNS[workload]}
        self.dataset = tf.data.Dataset.from_tensor_slices(arrays)
        self.rows = rows

    def prepare(self) -> None:
        """The arrays are the workload's own."""

    def batches(self, shuffle: bool, batch_size: int) -> Any:
        dataset = self.dataset.shuffle(self.rows) if shuffle else self.dataset
        return dataset.batch(batch_size).prefetch(2)


class Records(Iterated):
    """TFRecord files of `tf.train.Example`, parsed by the batch."""

    def __init__(self, workload: str, directory: Path, rows: int, options: Mapping[str, str]) -> None:
        self.arrays = {name: mapped(directory, name)[:rows] for name in COLUMNS[workload]}
        self.path = directory / "examples.tfrecord"
        self.rows = rows

    def prepare(self) -> None:
        import tensorflow as tf

        def feature(row: Array) -> Any:
            values = np.atleast_1d(row)
            if values.dtype == np.float32:
                return tf.train.Feature(float_list=tf.train.FloatList(value=values))
            return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

        if self.path.exists():
            return
        with tf.io.TFRecordWriter(str(self.path)) as out:
            for row in range(self.rows):
                features = {name: feature(array[row]) for name, array in self.arrays.items()}
                out.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())

    def batches(self, shuffle: bool, batch_size: int) -> Any:
        import tensorflow as tf

        shapes = {
            name: tf.io.FixedLenFeature(array.shape[1:], tf.as_dtype(array.dtype))
            for name, array in self.arrays.items()
        }
        dataset = tf.data.TFRecordDataset(str(self.path))
        dataset = dataset.shuffle(self.rows) if shuffle else dataset
        dataset = dataset.batch(batch_size).map(
            lambda examples: tf.io.parse_example(examples, shapes), num_parallel_calls=tf.data.AUTOTUNE
        )
        return dataset.prefetch(2)
