"""Values that NumPy has no dtype for, as Python objects: maps, structs and arrays of irregular shape."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ._decimals import has_decimals, plain
from ._errors import ColumnError
from ._manifest import Column

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""Of `datetime.date`: from year 1 to year 9999, in days since 1970-01-01."""
_DAY_US = 86_400_000_000


def objects_of(array: pa.Array, column: Column) -> npt.NDArray[np.object_]:
    """The values of an Arrow array as objects. Raises ColumnError for dates and times that Python has no object for."""
    try:
        values = array.to_pylist()
    except (OverflowError, ValueError) as error:
        found = _out_of_range(array)
        if found is None:
            raise
        raise ColumnError(
            f"column {column.name!r} has the {found} inside its values, and Python's datetime has only the years 1 to "
            "9999. Cast it in Spark, to a string or with unix_date or unix_micros, or leave the column out"
        ) from error
    if column.decimals != "object" and has_decimals(array.type):
        values = [plain(value, array.type, column.decimals) for value in values]
    return np.fromiter(values, np.dtype(object), len(values))


def _out_of_range(array: pa.Array) -> str | None:
    """The first date or timestamp in an array, or inside its values, that `datetime` does not hold."""
    kind = array.type
    if pa.types.is_date32(kind):
        return _outside(array.view(pa.int32()), "D", FIRST_DAY, LAST_DAY, "date")
    if pa.types.is_timestamp(kind):
        least, most = FIRST_DAY * _DAY_US, (LAST_DAY + 1) * _DAY_US - 1
        return _outside(array.cast(pa.timestamp("us", kind.tz)).view(pa.int64()), "us", least, most, "timestamp")
    inside: list[pa.Array] = []
    if pa.types.is_struct(kind):
        inside = array.flatten()
    elif pa.types.is_map(kind):
        inside = [array.keys, array.items]
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inside = [array.flatten()]
    return next((found for found in map(_out_of_range, inside) if found is not None), None)


def _outside(numbers: pa.Array, unit: Any, least: int, most: int, what: str) -> str | None:
    values = numbers.drop_null().to_numpy(zero_copy_only=False).astype(np.int64)
    outside = values[(values < least) | (values > most)]
    return f"{what} {np.datetime64(int(outside[0]), unit)}" if len(outside) else None
