"""Decimals as numbers: what a decimal column is delivered as, and the exact arithmetic that this takes. Pure.

A decimal is stored as an integer, its unscaled value: 12.34 is 1234 with the scale 2. Delivered as it is stored, 1.0
would be 10. So decimals are floating point by default, and integers or `decimal.Decimal` objects when asked for.
"""

from __future__ import annotations

import decimal
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._errors import ColumnError, OptionError, ShardError
from ._manifest import Column, Decimals, Manifest
from ._spark_schema import decimal_elements, leaves

_WORDS = np.dtype([("low", "<u8"), ("high", "<i8")])
_EXACT_INTEGERS = 1 << 53
"""float64 holds every integer up to here."""
_EXACT_POWERS = 22
"""float64 holds every power of ten up to this one."""


def delivering(manifest: Manifest, decimals: Decimals) -> Manifest:
    """The manifest with its columns as the option `decimals` delivers them. Raises OptionError."""
    if decimals not in get_args(Decimals):
        raise OptionError(f"decimals must be one of {', '.join(map(repr, get_args(Decimals)))}, not {decimals!r}")
    if manifest.decimals == decimals:
        return manifest
    arrays = {path: decimal_elements(field) for path, field in leaves(manifest.schema)}
    floating = np.dtype("float32" if manifest.options.get("dtype") == "float32" else "float64")
    columns = tuple(_delivered(column, decimals, floating, arrays.get(column.path)) for column in manifest.stored)
    return replace(manifest, columns=columns, decimals=decimals)


def _delivered(column: Column, decimals: Decimals, floating: np.dtype[Any], elements: tuple[int, int] | None) -> Column:
    """A stored column as it is delivered. elements: precision and scale, if it is an array of decimals."""
    if column.storage == "nested":
        if decimals == "float" and elements is not None:
            column = replace(column, storage="ragged", dtype=floating, logical="decimal")
            column = replace(column, precision=elements[0], scale=elements[1])
        return replace(column, decimals=decimals)
    if column.logical != "decimal":
        return column
    if decimals == "float":
        return replace(column, decimals=decimals, dtype=floating, statistics=_divided(column, floating))
    if decimals == "object":
        storage = "scalar" if column.storage == "scalar" else "nested"
        return replace(column, decimals=decimals, storage=storage, dtype=None, stored_dtype=None, shape=None)
    return replace(column, decimals=decimals)


def _divided(column: Column, floating: np.dtype[Any]) -> Mapping[str, Any] | None:
    """The statistics of unscaled values as those of the numbers."""
    if column.statistics is None:
        return None
    scale = column.scale or 0

    def bound(value: Any) -> float:
        with np.errstate(over="ignore"):
            return float(floating.type(_quotient(value, scale)))

    makers: dict[str, Callable[[Any], float]] = {
        "min": bound,
        "max": bound,
        "mean": lambda value: _quotient(value, scale),
        "variance": lambda value: _quotient(value, 2 * scale),
    }
    out: dict[str, Any] = dict(column.statistics)
    for name in makers.keys() & out.keys():
        make, value = makers[name], out[name]
        if isinstance(value, list):
            out[name] = [item if item is None else make(item) for item in value]
        else:
            out[name] = make(value)
    return out


def _quotient(value: float, scale: int) -> float:
    """value / 10^scale, rounded once if the value is an integer. Python divides integers exactly."""
    if isinstance(value, str):
        value = float(value)
    return value / 10**scale if scale >= 0 else float(value * 10**-scale)


def numbers_of(array: pa.Array, column: Column) -> npt.NDArray[Any]:
    """Decimals of a flat Arrow array as numbers of the column's dtype, 0 where null. Raises ShardError, ColumnError."""
    if array.type.scale != column.scale:
        raise ShardError(
            f"column {column.name!r} has decimals of scale {array.type.scale}, and its manifest says {column.scale}; "
            "write the dataset again"
        )
    wide = array.cast(pa.decimal128(38, array.type.scale))
    words = np.frombuffer(wide.buffers()[1], _WORDS)[wide.offset : wide.offset + len(wide)].copy()
    if wide.null_count:
        words[~wide.is_valid().to_numpy(zero_copy_only=False)] = (0, 0)
    low = words["low"].view(np.int64)
    large = words["high"] != low >> 63
    if not large.any():
        return numbers(np.ascontiguousarray(low), column)
    if not column.divides:
        raise ShardError(
            f"column {column.name!r} has decimals of more than {column.precision} digits; the file is damaged, write "
            "the dataset again"
        )
    low = np.where(large, 0, low)
    scale, out = column.scale or 0, _quotients(low, column)
    pairs = zip(words["high"][large].tolist(), words["low"][large].tolist(), strict=True)
    out[large] = [_quotient(high << 64 | low_word, scale) for high, low_word in pairs]
    return _narrowed(out, column)


def numbers(stored: npt.NDArray[Any], column: Column) -> npt.NDArray[Any]:
    """Numbers as they are stored, as numbers of the column's dtype. Raises ColumnError for decimals that it cannot
    hold."""
    if column.divides:
        return _narrowed(_quotients(stored, column), column)
    assert column.dtype is not None
    return stored.astype(column.dtype, copy=False)


def _quotients(unscaled: npt.NDArray[Any], column: Column) -> npt.NDArray[np.float64]:
    """Unscaled values / 10^scale as the nearest float64: one division is that, while both numbers are exact."""
    scale = column.scale or 0
    if not 0 <= scale <= _EXACT_POWERS:
        each = [_quotient(value, scale) for value in unscaled.reshape(-1).tolist()]
        return np.array(each, np.float64).reshape(unscaled.shape)
    out: npt.NDArray[np.float64] = unscaled / float(10**scale)
    if unscaled.dtype.itemsize == 8 and out.size:
        inexact = (unscaled > _EXACT_INTEGERS) | (unscaled < -_EXACT_INTEGERS)
        if inexact.any():
            out[inexact] = [_quotient(value, scale) for value in unscaled[inexact].tolist()]
    return out


def _narrowed(values: npt.NDArray[np.float64], column: Column) -> npt.NDArray[Any]:
    """float64 values as the column's dtype."""
    assert column.dtype is not None
    if column.dtype == values.dtype:
        return values
    with np.errstate(over="ignore"):
        out = values.astype(column.dtype)
    if (column.precision or 38) - (column.scale or 0) > np.finfo(column.dtype).maxexp * 0.3:
        infinite = np.isinf(out)
        if infinite.any():
            raise ColumnError(
                f"column {column.name!r} has the decimal {values[infinite][0]:g}, which is too large for "
                f"{column.dtype}; read it with decimals='object', or cast it to double in Spark"
            )
    return out


# Objects

_CONTEXT = decimal.Context(prec=100)


def plain(value: Any, kind: pa.DataType, decimals: Decimals) -> Any:
    """A value of `to_pylist` with its decimals, and those inside it, as the option `decimals` says."""
    if value is None or decimals == "object":
        return value
    if pa.types.is_decimal(kind):
        return float(value) if decimals == "float" else int(value.scaleb(kind.scale, _CONTEXT))
    if pa.types.is_map(kind):
        return [(plain(key, kind.key_type, decimals), plain(item, kind.item_type, decimals)) for key, item in value]
    if pa.types.is_struct(kind):
        return {field.name: plain(value[field.name], field.type, decimals) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return [plain(item, kind.value_type, decimals) for item in value]
    return value


def has_decimals(kind: pa.DataType) -> bool:
    """Whether a type is a decimal, or has decimals inside."""
    inside = [kind.field(number).type for number in range(kind.num_fields)]
    return bool(pa.types.is_decimal(kind)) or any(map(has_decimals, inside))
