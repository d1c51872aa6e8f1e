"""The values of a column beside a value of Python, compared as Spark compares them. Pure.

NaN equals NaN and is greater than all other numbers, and 0.0 equals -0.0. An integer or a decimal beside a float is
compared as a double, which may round it; beside an integer or a `Decimal` it is compared exactly.
"""

from __future__ import annotations

import datetime
import decimal
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from ._manifest import Column, Manifest

Mask = npt.NDArray[np.bool_]


class Order(ABC):
    """How the values of a column compare. In every mask, a row that is null may be True or False."""

    takes: str
    """What they can be compared with, for messages."""

    @abstractmethod
    def accepts(self, value: Any) -> bool:
        """True if the column can be compared with a value of Python."""

    @abstractmethod
    def compare(self, array: pa.Array, value: Any) -> tuple[Mask, Mask]:
        """The rows that are not less than a value, and those that are greater."""

    @abstractmethod
    def member(self, array: pa.Array, values: Sequence[Any]) -> Mask:
        """The rows that equal one of the values, of which there is at least one."""


class Exact(Order):
    """Integers, and decimals as integers times 10^-scale."""

    takes = "an int, a float or a decimal.Decimal"

    def __init__(self, lowest: int, highest: int, scale: int) -> None:
        self._lowest, self._highest, self._scale = lowest, highest, scale

    def accepts(self, value: Any) -> bool:
        return _is_number(value)

    def compare(self, array: pa.Array, value: Any) -> tuple[Mask, Mask]:
        first, behind = self._bounds(value)
        return self._at_least(array, first), self._at_least(array, behind)

    def member(self, array: pa.Array, values: Sequence[Any]) -> Mask:
        if any(isinstance(value, float) for value in values):  # Spark compares with all of them as doubles then
            values = [_as_double(value) for value in values]
        bounds = [self._bounds(value) for value in values]
        single = {first for first, behind in bounds if behind == first + 1 and self._lowest <= first <= self._highest}
        kept = np.zeros(len(array), bool)
        if single:
            wanted = pa.array([self._stored(number, array.type) for number in single], array.type)
            kept |= _as_mask(pc.is_in(array, value_set=wanted))
        for first, behind in bounds:
            if behind > first + 1:  # integers that are the same double
                kept |= self._at_least(array, first) & ~self._at_least(array, behind)
        return kept

    def _bounds(self, value: Any) -> tuple[int, int]:
        """The first integer that is not less than a number, and the first that is greater; of those there can be."""
        if isinstance(value, float):
            if math.isnan(value):
                return self._highest + 1, self._highest + 1
            unit = 10**self._scale
            return self._first(lambda number: number / unit >= value), self._first(lambda number: number / unit > value)
        exact = Fraction(value) * 10**self._scale
        return math.ceil(exact), math.floor(exact) + 1

    def _first(self, reached: Callable[[int], bool]) -> int:
        """The first integer for which a condition holds, which holds for all that follow."""
        low, high = self._lowest, self._highest + 1
        while low < high:
            middle = (low + high) // 2
            if reached(middle):
                high = middle
            else:
                low = middle + 1
        return low

    def _at_least(self, array: pa.Array, bound: int) -> Mask:
        if bound > self._highest or bound <= self._lowest:
            return np.full(len(array), bound <= self._lowest)
        return _as_mask(pc.greater_equal(array, pa.scalar(self._stored(bound, array.type), array.type)))

    def _stored(self, number: int, kind: pa.DataType) -> Any:
        if not pa.types.is_decimal(kind):
            return number
        return decimal.Decimal(number).scaleb(-self._scale, decimal.Context(prec=76))


class Floating(Order):
    """Floating-point numbers, compared as doubles."""

    takes = Exact.takes

    def accepts(self, value: Any) -> bool:
        return _is_number(value)

    def compare(self, array: pa.Array, value: Any) -> tuple[Mask, Mask]:
        numbers, limit = _doubles(array), _as_double(value)
        greatest = np.isnan(numbers)
        if math.isnan(limit):
            return greatest, np.zeros(len(numbers), bool)
        return greatest | (numbers >= limit), greatest | (numbers > limit)

    def member(self, array: pa.Array, values: Sequence[Any]) -> Mask:
        numbers = _doubles(array)
        wanted = np.array([_as_double(value) for value in values])
        kept: Mask = np.isin(numbers + 0.0, wanted + 0.0)  # -0.0 becomes 0.0
        return kept | np.isnan(numbers) if np.isnan(wanted).any() else kept


class Native(Order):
    """Values that PyArrow compares as Spark does: booleans, strings and binary values by their bytes, dates, times."""

    def __init__(self, takes: str, accepts: Callable[[Any], bool]) -> None:
        self.takes, self._accepts = takes, accepts

    def accepts(self, value: Any) -> bool:
        return self._accepts(value)

    def compare(self, array: pa.Array, value: Any) -> tuple[Mask, Mask]:
        limit = pa.scalar(value, array.type)
        return _as_mask(pc.greater_equal(array, limit)), _as_mask(pc.greater(array, limit))

    def member(self, array: pa.Array, values: Sequence[Any]) -> Mask:
        return _as_mask(pc.is_in(array, value_set=pa.array(values, array.type)))


def order_of(column: Column) -> Order | None:
    """How the values of a column compare; None for arrays, maps and what else has no order here."""
    if column.storage in ("string", "binary"):
        return _TEXT if column.storage == "string" else _BINARY
    if column.storage != "scalar":
        return None
    if column.logical == "decimal":
        largest = 10 ** (column.precision or 38) - 1
        return Exact(-largest, largest, column.scale or 0)
    if column.logical in _TIMES:
        return _TIMES[column.logical]
    if column.dtype is None:
        return None
    if column.dtype.kind == "f":
        return Floating()
    if column.dtype.kind == "b":
        return _BOOLEAN
    bounds = np.iinfo(column.dtype)
    return Exact(int(bounds.min), int(bounds.max), 0)


def as_python(value: Any) -> Any:
    """A scalar of NumPy, PyArrow or pandas as the value of Python that it is. A time in nanoseconds that microseconds
    cannot hold stays as it is."""
    if isinstance(value, pa.Scalar):
        return value.as_py()
    if isinstance(value, np.datetime64):
        exact = value.astype("datetime64[D]" if np.datetime_data(value.dtype)[0] == "D" else "datetime64[us]")
        return exact.item() if exact == value else value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return value.item() if isinstance(value, np.generic) else value


def collation_of(manifest: Manifest, column: Column) -> str | None:
    """The collation by which Spark compares a string column, where it is not by bytes."""
    fields: Any = manifest.schema.get("fields")
    found: Any = None
    for name in column.path:
        found = next((field for field in fields or () if isinstance(field, Mapping) and field.get("name") == name), {})
        kind = found.get("type")
        fields = kind.get("fields") if isinstance(kind, Mapping) else None
    metadata = found.get("metadata") if isinstance(found, Mapping) else None
    collations = metadata.get("__COLLATIONS") if isinstance(metadata, Mapping) else None
    collation = collations.get(column.path[-1]) if isinstance(collations, Mapping) else None
    return None if collation is None or str(collation).endswith("UTF8_BINARY") else str(collation)


def _is_number(value: Any) -> bool:
    if isinstance(value, decimal.Decimal):
        return value.is_finite()
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as_double(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def _doubles(array: pa.Array) -> npt.NDArray[np.float64]:
    numbers: npt.NDArray[np.float64] = array.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return numbers


def _as_mask(array: pa.Array) -> Mask:
    mask: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return mask


def _is_time(value: Any, *, zone: bool) -> bool:
    known = isinstance(value, datetime.datetime) and not getattr(value, "nanosecond", 0)
    return known and (value.utcoffset() is not None) == zone


_TEXT = Native("a str", lambda value: isinstance(value, str))
_BINARY = Native("bytes", lambda value: isinstance(value, bytes))
_BOOLEAN = Native("True or False", lambda value: isinstance(value, bool))
_TIMES: dict[str, Order] = {
    "date": Native(
        "a datetime.date",
        lambda value: isinstance(value, datetime.date) and not isinstance(value, datetime.datetime),
    ),
    "timestamp": Native(
        "a datetime.datetime with a time zone, of whole microseconds", lambda value: _is_time(value, zone=True)
    ),
    "timestamp_ntz": Native(
        "a datetime.datetime without a time zone, of whole microseconds", lambda value: _is_time(value, zone=False)
    ),
    "time": Native(
        "a datetime.time without a time zone", lambda value: isinstance(value, datetime.time) and value.tzinfo is None
    ),
}
