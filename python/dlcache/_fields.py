"""Which fields a batch has, and what becomes of nulls."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._errors import ColumnError, NullValueError, OptionError, unknown_column
from ._gathered import Gathered
from ._manifest import Column, Manifest
from ._memory import address_of, copy_spans
from ._values import Field, Kind, Ragged, Strings, Value, offsets_of

Nulls = str | Mapping[str, Any]

WEIGHT = "sample_weight"
"""The key of the weights that `remainder="mask"` adds: float32 [batch], 1 for rows, 0 for padding."""


def field_of(column: Column) -> Field:
    """A column as a batch has it, for batches of any size."""
    kinds: dict[str, Kind] = {"string": "text", "binary": "bytes", "ragged": "ragged", "nested": "object"}
    kind = kinds.get(column.storage, "array" if column.dtype is not None else "object")
    shape = (None, *(column.shape or ()), *((None,) if kind == "ragged" else ()))
    return Field(
        column.name,
        kind,
        column.dtype if column.dtype is not None else np.dtype(object),
        shape,
        column.logical,
        column.precision,
        column.scale,
    )


def select(manifest: Manifest, columns: Sequence[str] | None, available: Sequence[str]) -> tuple[str, ...]:
    """The columns asked for, checked: each is there, and none twice. None means all that are available."""
    if columns is None:
        return tuple(available)
    if isinstance(columns, str):
        raise OptionError(f"columns must be a list of names, not the string {columns!r}; use columns=[{columns!r}]")
    if not isinstance(columns, Iterable):
        raise OptionError(f"columns must be a list of names, not {columns!r}")
    names = tuple(columns)
    for name in names:
        if name not in available:
            raise manifest.no_column(name, available)
    if not names or len(set(names)) != len(names):
        raise OptionError(f"columns must name at least one column, and each once; got {list(names)!r}")
    return names


class NullPolicy:
    """What becomes of nulls: `"error"`, a fill value for each column, or `"mask"`.

    Checked against the manifest, which counts nulls: so an error comes before anything is read.
    """

    def __init__(self, columns: Sequence[Column], nulls: Nulls) -> None:
        if not isinstance(nulls, Mapping) and not (isinstance(nulls, str) and nulls in ("error", "mask")):
            raise OptionError(f"nulls must be 'error', 'mask' or a dict of fill values, not {nulls!r}")
        self._columns = {column.name: column for column in columns}
        self._fill: Mapping[str, Any] = nulls if isinstance(nulls, Mapping) else {}
        self._mask = nulls == "mask"
        for name, value in self._fill.items():
            if name not in self._columns:
                raise unknown_column(name, self._columns, "nulls: the columns read")
            _check_fill(self._columns[name], value)
        for column in columns:
            self._check(column)

    def _check(self, column: Column) -> None:
        name = column.name
        if name in self._fill:
            return
        if column.nulls and not self._mask:
            raise NullValueError(
                f"column {name!r} has {column.nulls} null rows. Give a fill value, nulls={{{name!r}: ...}}, take a "
                "mask with nulls='mask', or leave the column out"
            )
        if column.null_elements and column.storage == "ragged":
            raise NullValueError(
                f"the rows of column {name!r} have {column.null_elements} null elements. Give a fill value, "
                f"nulls={{{name!r}: ...}}, or leave the column out"
            )
        if self._mask and column.nulls and f"{name}_mask" in self._columns:
            raise OptionError(f"nulls='mask' adds {name}_mask, and there is a column of that name; rename it")

    def fills(self, names: Sequence[str]) -> tuple[tuple[str, bytes], ...]:
        """The fill values of those of these columns of numbers that have one, as bytes."""
        filled = [name for name in names if name in self._fill]
        return tuple((name, np.asarray(self._fill[name], self._columns[name].dtype).tobytes()) for name in filled)

    def fields(self) -> dict[str, Field]:
        """The fields of a batch, masks included."""
        fields = {}
        for name, column in self._columns.items():
            fields[name] = field_of(column)
            if self._mask and column.nulls:
                fields[f"{name}_mask"] = Field(f"{name}_mask", "array", np.dtype(bool), (None,))
        return fields

    def apply(self, name: str, gathered: Gathered, out: dict[str, Value]) -> None:
        """Put a gathered column into a batch, with its nulls filled or its mask beside it."""
        value, valid = gathered.value, gathered.valid
        if name in self._fill:
            value = _filled(gathered, self._fill[name])
        out[name] = value
        if self._mask and self._columns[name].nulls:
            out[f"{name}_mask"] = np.ones(len(value), bool) if valid is None else valid


def _check_fill(column: Column, value: Any) -> None:
    name = column.name
    if column.storage == "string" and not isinstance(value, str):
        raise OptionError(f"nulls: the fill value of string column {name!r} must be a str, not {value!r}")
    if column.storage == "binary" and not isinstance(value, bytes):
        raise OptionError(f"nulls: the fill value of binary column {name!r} must be bytes, not {value!r}")
    if column.dtype is None:
        return
    try:
        filled = np.asarray(value)
        cast = filled.astype(column.dtype)
        same = filled.ndim == 0 and filled.dtype.kind in "biuf" and (column.dtype.kind == "f" or bool(cast == filled))
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise OptionError(f"nulls: {value!r} is not a value of column {name!r}, which has dtype {column.dtype}")


def _filled(gathered: Gathered, fill: Any) -> Value:
    value, valid = gathered.value, gathered.valid
    if isinstance(value, Ragged):
        if gathered.valid_elements is not None:
            value.values[~gathered.valid_elements] = fill
        return value if valid is None else _ragged_filled(value, valid, fill)
    if valid is None or valid.all():
        return value
    if isinstance(value, Strings):
        return _strings_filled(value, valid, fill.encode() if isinstance(fill, str) else fill)
    if value.dtype.hasobject:
        value = value.copy()
        for row in np.flatnonzero(~valid):
            value[row] = fill
        return value
    value[~valid] = fill
    return value


def _ragged_filled(value: Ragged, valid: np.ndarray[Any, np.dtype[np.bool_]], fill: Any) -> Ragged:
    """A null row becomes a row of the one element `fill`."""
    if valid.all():
        return value
    lengths = np.where(valid, value.lengths, 1)
    offsets = offsets_of(lengths)
    values = np.full(int(offsets[-1]), fill, value.values.dtype)
    values[np.repeat(valid, lengths)] = value.values
    return Ragged(values, offsets)


def _strings_filled(value: Strings, valid: np.ndarray[Any, np.dtype[np.bool_]], fill: bytes) -> Strings:
    source, filler = np.ascontiguousarray(value.data), np.frombuffer(fill or b"\0", np.uint8)
    lengths = np.where(valid, np.diff(value.offsets), len(fill))
    offsets = offsets_of(lengths)
    out = np.empty(int(offsets[-1]), np.uint8)
    starts = np.where(valid, value.offsets[:-1] + address_of(source), address_of(filler))
    copy_spans(starts, lengths, out, offsets[:-1])
    return Strings(out, offsets, value.text)


def check_weight(names: Sequence[str]) -> None:
    if WEIGHT in names:
        raise ColumnError(
            f"remainder='mask' adds {WEIGHT!r}, and there is a column of that name; leave it out or rename it"
        )
