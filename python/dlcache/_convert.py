"""Batches as pandas DataFrames and Arrow tables, and back, for transforms that take those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._declared import stacked
from ._errors import OptionError, TransformError
from ._values import Ragged, Strings, Value, offsets_of


def to_pandas(batch: Mapping[str, Value]) -> Any:
    """A DataFrame: columns of more than one dimension have an array in each row."""
    try:
        import pandas as pd
    except ImportError as error:
        raise OptionError("input='pandas' needs pandas; install it, or use input='dict'") from error
    return pd.DataFrame({name: _series(value) for name, value in batch.items()})


def _series(value: Value) -> Any:
    if isinstance(value, Strings):
        return value.to_numpy()
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return value
    rows = np.empty(len(value), object)
    for row in range(len(value)):
        rows[row] = value[row]
    return rows


def from_pandas(frame: Any) -> dict[str, Value]:
    """The columns of a DataFrame: arrays of one shape are stacked."""
    if not hasattr(frame, "columns") or not hasattr(frame, "iloc"):
        raise TransformError(
            f"the transform returned {type(frame).__name__}; with input='pandas' it returns a DataFrame"
        )
    return {str(name): _unseries(frame[name].to_numpy(), str(name)) for name in frame.columns}


def _unseries(column: npt.NDArray[Any], name: str) -> Value:
    return stacked(name, list(column), None) if column.dtype.hasobject and len(column) else column


def to_arrow(batch: Mapping[str, Value]) -> pa.Table:
    """A Table: tensors as nested fixed-size lists, ragged columns as lists, over the batch's memory where possible."""
    return pa.table({name: _arrow_array(value) for name, value in batch.items()})


def _arrow_array(value: Value) -> pa.Array:
    if isinstance(value, Strings):
        return value.to_arrow()
    if isinstance(value, Ragged):
        return pa.LargeListArray.from_arrays(pa.array(value.offsets), pa.array(value.values))
    array = pa.array(np.ascontiguousarray(value).reshape(-1))
    for size in reversed(value.shape[1:]):
        array = pa.FixedSizeListArray.from_arrays(array, size)
    return array


def from_arrow(table: Any) -> dict[str, Value]:
    """The columns of a Table or RecordBatch."""
    if isinstance(table, pa.RecordBatch):
        table = pa.Table.from_batches([table])
    if not isinstance(table, pa.Table):
        raise TransformError(f"the transform returned {type(table).__name__}; with input='arrow' it returns a Table")
    return {name: from_arrow_array(table[name], name) for name in table.column_names}


def from_arrow_array(column: pa.Array | pa.ChunkedArray, name: str) -> Value:
    """An Arrow array as a value: lists of one size as dense rows, others as Ragged. Raises TransformError for nulls."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    array = _without_nulls(array, name)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type):
        lengths = array.value_lengths().to_numpy(zero_copy_only=False).astype(np.int64)
        return Ragged(_flat(array.flatten(), name), offsets_of(lengths))
    shape = [len(array)]
    while pa.types.is_fixed_size_list(array.type):
        shape.append(array.type.list_size)
        array = _without_nulls(array.flatten(), name)
    return _flat(array, name).reshape(shape)


def _without_nulls(array: pa.Array, name: str) -> pa.Array:
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if array.null_count:
        raise TransformError(f"field {name!r} has nulls; a batch has none: fill them in the transform")
    return array


def _flat(array: pa.Array, name: str) -> npt.NDArray[Any]:
    array = _without_nulls(array, name)
    if pa.types.is_list(array.type) or pa.types.is_large_list(array.type) or pa.types.is_fixed_size_list(array.type):
        raise TransformError(
            f"the rows of field {name!r} have lists in lists; return nested fixed-size lists, or lists of numbers"
        )
    values: npt.NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return values


def to_torch(batch: Mapping[str, Value]) -> dict[str, Any]:
    """Tensors as `Dataset.torch` delivers them: ragged columns jagged, strings and bytes as lists."""
    try:
        from .torch import Tensors
    except ImportError as error:
        raise OptionError("input='torch' needs PyTorch; install it, or use input='dict'") from error
    tensors = Tensors(None, False)
    return {name: tensors.of(name, value) for name, value in batch.items()}


def from_torch(returned: Any) -> dict[str, Value]:
    """The values of a dict of tensors and of lists of strings."""
    import torch

    if not isinstance(returned, Mapping):
        raise TransformError(
            f"the transform returned {type(returned).__name__}; with input='torch' it returns a dict of tensors"
        )
    out: dict[str, Value] = {}
    for name, value in returned.items():
        if not isinstance(value, torch.Tensor):
            out[name] = (
                np.fromiter(value, np.dtype(object), len(value)) if isinstance(value, list) else np.asarray(value)
            )
        else:
            try:
                out[name] = _ragged(value, name) if value.is_nested else value.detach().cpu().numpy()
            except TypeError as error:
                raise TransformError(
                    f"field {name!r} is {value.dtype}, which NumPy has not; return another dtype"
                ) from error
    return out


def _ragged(nested: Any, name: str) -> Ragged:
    """The rows of a nested tensor. They are all of its values, or, in one that `narrow` made, parts of them."""
    rows = [row.numpy() for row in nested.detach().cpu().unbind()]
    if any(row.ndim != 1 for row in rows):
        raise TransformError(
            f"the rows of field {name!r} have more than one dimension; return one of each, or pad them"
        )
    lengths = np.array([len(row) for row in rows], np.int64)
    return Ragged(np.concatenate(rows), offsets_of(lengths))
