"""The fields that a transform makes: as they are declared, as they are inferred, and values brought into their form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import OptionError, TransformError
from ._values import Field, Kind, Ragged, Strings, Value, as_array, offsets_of


def declared(entry: Any) -> Field:
    """A member of edit_fields as a field. Numbers of the shape (None,) are ragged. A `Field` is taken as it is, so one
    of the kind "array" can be rows that are padded to another length in each batch."""
    if isinstance(entry, Field):
        return entry
    try:
        name, dtype, sizes, *nullable = entry
        shape = (None, *(None if size is None else int(size) for size in sizes))
        made = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise OptionError(f"edit_fields: {entry!r} is not (name, dtype, shape)") from error
    if nullable and nullable[0]:
        raise OptionError(f"edit_fields: {name!r} is nullable, and a batch has no nulls; fill them in the transform")
    kind = _kind(made)
    return Field(name, "ragged" if kind == "array" and shape[1:] == (None,) else kind, made, shape)


def _kind(dtype: np.dtype[Any]) -> Kind:
    return "text" if dtype.kind == "U" else "bytes" if dtype.kind == "S" else "object" if dtype.hasobject else "array"


def field_of_value(name: str, value: Value) -> Field:
    """The field that a value is an example of."""
    if isinstance(value, Ragged):
        return Field(name, "ragged", value.values.dtype, (None, None))
    if isinstance(value, Strings):
        return Field(name, "text" if value.text else "bytes", np.dtype(object), (None,))
    kind = _kind(value.dtype)
    if kind == "object" and len(value):
        kind = "text" if isinstance(value[0], str) else "bytes" if isinstance(value[0], bytes) else kind
    return Field(name, kind, value.dtype, (None, *value.shape[1:]))


def no_rows(field: Field) -> Value:
    """No rows of a field."""
    if field.kind == "ragged":
        return Ragged(np.empty(0, field.dtype), offsets_of(np.empty(0, np.int64)))
    return np.empty((0, *(size or 0 for size in field.shape[1:])), field.dtype)


# Rows as one value


def stacked(name: str, rows: Sequence[Any], field: Field | None) -> Value:
    """The values of single rows as one value: arrays of one shape stacked, arrays of one dimension and of different
    lengths as Ragged, `str` and `bytes` as an array of objects. Where `field` declares numbers, Python's numbers become
    its dtype. Raises TransformError for values that this dtype cannot hold."""
    if any(row is None for row in rows):
        raise TransformError(f"field {name!r} has nulls; a batch has none: fill them in the function")
    for kind in (str, bytes):
        if any(isinstance(row, kind) for row in rows):
            if not all(isinstance(row, kind) for row in rows):
                raise TransformError(f"the rows of field {name!r} are {_types(rows)}; return one of them")
            return np.fromiter(rows, np.dtype(object), len(rows))
    numbers = field is not None and field.kind == "array" and field.dtype.kind in "biuf"
    if numbers and field is not None and any(isinstance(row, (bool, int, float)) for row in rows):
        return _numbers(name, rows, field.dtype)
    arrays = _arrays(name, rows, field)
    ragged = field is not None and field.kind == "ragged"
    if len({row.shape for row in arrays}) == 1 and not (ragged and arrays[0].ndim == 1):
        return np.stack(arrays)
    if any(row.ndim != 1 for row in arrays):
        raise TransformError(f"the rows of field {name!r} have different shapes of more than one dimension")
    return Ragged(np.concatenate(arrays), offsets_of(np.array([len(row) for row in arrays], np.int64)))


def _arrays(name: str, rows: Sequence[Any], field: Field | None) -> list[npt.NDArray[Any]]:
    """Rows as arrays that can be put together. An empty list has the dtype of the other rows."""
    try:
        arrays = [np.asarray(row) for row in rows]
    except ValueError as error:
        raise TransformError(f"a row of field {name!r} is no array: {error}") from error
    empty = [isinstance(row, (list, tuple)) and len(row) == 0 for row in rows]
    known = [array.dtype for array, no_dtype in zip(arrays, empty, strict=True) if not no_dtype]
    if not all(dtype.kind in "biufc" for dtype in known) and len({dtype.kind for dtype in known}) > 1:
        kinds = ", ".join(sorted(set(map(str, known))))
        raise TransformError(f"the rows of field {name!r} have dtypes {kinds}; return one of them")
    if not known and field is None:
        return arrays
    dtype = np.result_type(*known) if known or field is None else field.dtype
    return [np.empty(0, dtype) if no_dtype else array for array, no_dtype in zip(arrays, empty, strict=True)]


def _numbers(name: str, rows: Sequence[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Numbers as a dtype that holds each of them; floating point may round."""
    for number, row in enumerate(rows):
        if not isinstance(row, (bool, int, float, np.integer, np.floating, np.bool_)):
            raise TransformError(f"the rows of field {name!r} are {_types(rows)}; return a number for each")
        if not _holds(dtype, row):
            raise TransformError(
                f"field {name!r} is {row!r} for row {number}, which {dtype} cannot hold; return another value, or "
                "declare another dtype in edit_fields"
            )
    return np.fromiter(rows, dtype, len(rows))


def _holds(dtype: np.dtype[Any], number: Any) -> bool:
    try:
        if dtype.kind == "f":
            with np.errstate(over="ignore"):
                return bool(np.isfinite(dtype.type(number)) or not np.isfinite(float(number)))
        if dtype.kind == "b":
            return bool(number == 0 or number == 1)
        bounds = np.iinfo(dtype)
        return int(number) == number and bounds.min <= int(number) <= bounds.max
    except (OverflowError, ValueError):  # infinite, NaN, or more than a float can be
        return False


def _types(rows: Sequence[Any]) -> str:
    return " and ".join(sorted({type(row).__name__ for row in rows}))


# Values in the form of their field


def fitted(field: Field, value: Value, where: object) -> Value:
    """A value in the form of its field: ragged where that is declared or was seen before, also in a batch whose rows
    happen to be alike, and dense where it has a fixed shape. Raises TransformError if it is not of the field. `where`
    says which rows they are."""
    if isinstance(value, Ragged):
        value = _whole(field, value, where)
        size = field.shape[1] if field.kind == "array" and len(field.shape) == 2 else None
        if size is not None and bool((value.lengths == size).all()):
            value = value.values.reshape(len(value), size)
    elif isinstance(value, Strings):
        value = np.asarray(as_array(field.name, value))
    elif field.kind == "ragged" and value.ndim == 2:
        value = Ragged(value.reshape(-1), offsets_of(np.full(len(value), value.shape[1], np.int64)))
    _check(field, value, where)
    return value


def _whole(field: Field, value: Ragged, where: object) -> Ragged:
    """A Ragged whose rows are all of its values, one after another, as those that dlcache makes."""
    values, offsets = np.asarray(value.values), np.asarray(value.offsets)
    sound = values.ndim == offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu"
    if (
        not sound
        or offsets[0] < 0
        or int(offsets[-1]) > len(values)
        or bool((np.diff(offsets.astype(np.int64)) < 0).any())
    ):
        raise TransformError(
            f"field {field.name!r}{where} is a Ragged with {len(value.offsets)} offsets that do not ascend within its "
            f"values, of shape {values.shape}; row i is values[offsets[i]:offsets[i+1]], and values have one dimension"
        )
    first, last = int(offsets[0]), int(offsets[-1])
    return Ragged(values[first:last], offsets.astype(np.int64) - first)


def _check(field: Field, value: npt.NDArray[Any] | Ragged, where: object) -> None:
    if field.kind in ("text", "bytes"):
        _check_strings(field, value, where)
        return
    if isinstance(value, Ragged):
        if field.kind != "ragged":
            raise TransformError(
                f"field {field.name!r}{where} is ragged, and its shape is declared as {field.shape[1:]} or was seen so "
                "before; declare it in edit_fields with the shape (None,)"
            )
        dtype, shape = value.values.dtype, field.shape
    else:
        dtype, shape = value.dtype, value.shape
    if dtype != field.dtype:
        raise TransformError(
            f"field {field.name!r}{where} has dtype {dtype}, and {field.dtype} was declared or seen before; "
            f"return it as {field.dtype}, or declare {dtype} in edit_fields"
        )
    fits = len(shape) == len(field.shape) and all(
        want is None or got == want for got, want in zip(shape[1:], field.shape[1:], strict=True)
    )
    if not fits:
        raise TransformError(
            f"field {field.name!r}{where} has rows of shape {tuple(shape[1:])}, and {tuple(field.shape[1:])} was "
            "declared or seen before; return that, or declare the shape in edit_fields, with None for sizes that differ"
        )


def _check_strings(field: Field, value: npt.NDArray[Any] | Ragged, where: object) -> None:
    wanted, code = (str, "U") if field.kind == "text" else (bytes, "S")
    array = value.values if isinstance(value, Ragged) else value
    if array.dtype.kind == code:
        return
    if array.dtype.kind != "O":
        raise TransformError(f"field {field.name!r}{where} has dtype {array.dtype}, and {field.kind} was declared")
    other = next((kind for kind in set(map(type, array.flat)) if not issubclass(kind, wanted)), None)
    if other is not None:
        raise TransformError(
            f"field {field.name!r}{where} has a value of type {other.__name__}, and {field.kind} was declared or seen "
            f"before; return {wanted.__name__}, and no nulls"
        )
