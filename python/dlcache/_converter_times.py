"""Dates and times as Petastorm delivers them: int64 nanoseconds, and `datetime.date` in pandas. What these cannot hold
is an error, where NumPy wraps around. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import ColumnError, TransformError
from ._manifest import Column
from ._objects import FIRST_DAY, LAST_DAY

_NS = {"date": 86_400_000_000_000, "timestamp": 1000, "timestamp_ntz": 1000}
_UNITS: dict[str, Any] = {"date": "D", "timestamp": "us", "timestamp_ntz": "us"}
_MOST_NS = (1 << 63) - 1
_RANGE = "1677-09-21 to 2262-04-11"


def nanoseconds(value: Any, column: Column) -> npt.NDArray[np.int64]:
    """Dates or timestamps as they are stored, as nanoseconds since 1970-01-01. Raises ColumnError."""
    kind = str(column.logical)
    stored = np.asarray(value).astype(np.int64)
    most = _MOST_NS // _NS[kind]
    outside = stored[(stored > most) | (stored < -most)]
    if len(outside):
        first = np.datetime64(int(outside[0]), _UNITS[kind])
        raise ColumnError(
            f"column {column.name!r} has the {kind.removesuffix('_ntz')} {first}, which Petastorm's type for it, int64 "
            f"nanoseconds ({_RANGE}), cannot hold. Replace the value or cast the column in Spark, leave the column out "
            "with schema_fields, or read converter.dataset, which delivers days and microseconds"
        )
    return stored * _NS[kind]


def days(value: Any, column: Column) -> npt.NDArray[np.object_]:
    """Dates as they are stored, as `datetime.date` objects. Raises ColumnError."""
    stored = np.asarray(value)
    outside = stored[(stored < FIRST_DAY) | (stored > LAST_DAY)]
    if len(outside):
        raise ColumnError(
            f"column {column.name!r} has the date {np.datetime64(int(outside[0]), 'D')}, and Python's datetime.date "
            "has only the years 1 to 9999. Replace the value or cast the column in Spark, or leave it out with "
            "schema_fields"
        )
    dates: npt.NDArray[np.object_] = stored.astype("datetime64[D]").astype(object)
    return dates


def as_nanoseconds(array: npt.NDArray[Any], name: str) -> npt.NDArray[np.int64]:
    """A datetime64 array of any unit as nanoseconds since 1970-01-01. Raises TransformError."""
    made = array.astype("datetime64[ns]")
    wrong = made.astype(array.dtype) != array
    if wrong.any():
        raise TransformError(
            f"field {name!r} has the time {array[wrong][0]}, which int64 nanoseconds ({_RANGE}) cannot hold; replace "
            "it in the function, or return numbers and declare int64 in edit_fields"
        )
    return made.view(np.int64)
