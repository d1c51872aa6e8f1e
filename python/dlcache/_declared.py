"""The fields that a transform makes: as they are declared, as they are inferred, and whether a batch has them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import OptionError, TransformError
from ._values import Field, Kind, Ragged, Strings, Value, offsets_of


def declared(entry: Any) -> Field:
    """A member of edit_fields as a field."""
    if isinstance(entry, Field):
        return entry
    try:
        name, dtype, shape, *nullable = entry
        sizes = tuple(None if size is None else int(size) for size in shape)
        made = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise OptionError(f"edit_fields: {entry!r} is not (name, dtype, shape)") from error
    if nullable and nullable[0]:
        raise OptionError(f"edit_fields: {name!r} is nullable, and a batch has no nulls; fill them in the transform")
    return Field(name, _kind(made), made, (None, *sizes))


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


def stacked(name: str, rows: list[Any], field: Field | None) -> Value:
    """The values of single rows as one value: arrays of one shape stacked, arrays of one dimension and of different
    lengths as Ragged, `str` and `bytes` as an array of objects. Python's numbers become the dtype of `field`, if it is
    declared. Raises TransformError."""
    if isinstance(rows[0], (str, bytes)):
        return np.fromiter(rows, np.dtype(object), len(rows))
    numbers = field is not None and field.kind == "array" and isinstance(rows[0], (bool, int, float))
    arrays: list[npt.NDArray[Any]] = [np.asarray(row) for row in rows]
    if numbers and field is not None:
        return np.array(rows).astype(field.dtype)
    if len({row.shape for row in arrays}) == 1:
        return np.stack(arrays)
    if any(row.ndim != 1 for row in arrays):
        raise TransformError(f"the rows of field {name!r} have different shapes of more than one dimension")
    return Ragged(np.concatenate(arrays), offsets_of(np.array([len(row) for row in arrays], np.int64)))


def check(field: Field, value: Value, where: object) -> None:
    """Raises TransformError if a value is not of a field. `where` says which rows they are."""
    if isinstance(value, Ragged):
        if field.kind != "ragged" and None not in field.shape[1:]:
            raise TransformError(
                f"field {field.name!r}{where} is ragged, and its shape is declared as {field.shape[1:]}"
            )
        dtype, shape = value.values.dtype, field.shape
    elif isinstance(value, Strings):
        return
    else:
        dtype, shape = value.dtype, value.shape
    if field.kind in ("text", "bytes"):
        if dtype.kind not in "USO":
            raise TransformError(f"field {field.name!r}{where} has dtype {dtype}, and {field.kind} was declared")
        return
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
