"""How a field of a batch crosses into TensorFlow's graph: as one or two flat arrays, and what is made of them there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from ._errors import ColumnError
from ._memory import ALIGNMENT, address_of
from ._values import Field, Ragged, Strings, Value

Arrays = list[npt.NDArray[Any]]


def as_value(value: Value) -> Value:
    return value if isinstance(value, (Ragged, Strings)) else np.ascontiguousarray(value)


@dataclass(frozen=True)
class Crossing:
    """How one field goes into the graph and what it becomes there."""

    field: Field
    ragged: bool
    dtype: tf.DType

    @staticmethod
    def of(field: Field) -> Crossing:
        ragged = field.kind == "ragged"
        if field.kind in ("text", "bytes"):
            return Crossing(field, ragged, tf.string)
        try:
            if field.kind == "object":
                raise TypeError("TensorFlow takes objects for strings")
            return Crossing(field, ragged, tf.as_dtype(field.dtype))
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
            assert isinstance(value, Ragged)
            return [value.values, value.offsets]
        if isinstance(value, Strings):
            values = value.to_bytes()
            return [np.fromiter(values, np.dtype(object), len(values))]
        assert isinstance(value, np.ndarray)
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


def shared(array: npt.NDArray[Any]) -> tf.Tensor:
    """A tensor over the memory of an array; a copy where TensorFlow wants other addresses.

    Kernels write their result into an input that nobody else has, and Python functions may write into theirs: so the
    memory must be nobody else's.
    """
    if not array.nbytes or array.dtype.kind not in "fiu" or address_of(array) % ALIGNMENT:
        return tf.constant(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def _as_bytes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Strings of a transform, as the objects that TensorFlow takes."""
    if array.dtype.kind == "S":
        return array.astype(object)
    return np.array([item.encode() if isinstance(item, str) else item for item in array.tolist()], object)
