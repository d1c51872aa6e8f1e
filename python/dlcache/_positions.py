"""The rows that positions stand for: one rule for everything that takes positions. Pure."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import PositionError

Int64s = npt.NDArray[np.int64]
Positions = Sequence[int] | Sequence[bool] | npt.NDArray[np.integer[Any]] | npt.NDArray[np.bool_] | slice
"""Integers, negative ones counted from the end; a slice; or a mask, which has a boolean for each row."""


def row_positions(positions: Any, rows: int) -> Int64s:
    """The positions (0 .. rows-1) that are meant, in the order given. Raises PositionError."""
    if isinstance(positions, slice):
        try:
            return np.arange(*positions.indices(rows), dtype=np.int64)
        except (TypeError, ValueError) as error:
            raise _refused(f"{positions!r}: {error}", rows) from error
    array = _array(positions, rows)
    if array.dtype == bool:
        if len(array) != rows:
            raise _refused(f"a mask of {len(array)} booleans", rows)
        return np.flatnonzero(array)
    if array.size and not (int(array.min()) >= -rows and int(array.max()) < rows):
        raise PositionError(
            f"positions must be in 0 .. {rows - 1}; got {int(array.min())} .. {int(array.max())} "
            f"(negative ones, down to {-rows}, count from the end)"
        )
    at = array.astype(np.int64)
    return np.where(at < 0, at + rows, at)


def is_one(position: Any) -> bool:
    """True for a single position, and False for positions."""
    return not isinstance(position, (slice, Sequence)) and getattr(position, "ndim", 0) == 0


def _array(positions: Any, rows: int) -> npt.NDArray[Any]:
    """Positions as an array of integers or booleans with one dimension."""
    try:
        array = np.asarray(positions)
        if array.dtype.hasobject and array.ndim == 1:  # integers or booleans of other libraries
            masked = all(isinstance(position, (bool, np.bool_)) for position in array)
            array = array.astype(bool) if masked else np.array(list(map(_integer, array)))
    except (TypeError, ValueError, OverflowError) as error:
        raise _refused(f"{positions!r}: {error}", rows) from error
    if array.ndim == 1 and not array.size and not isinstance(positions, np.ndarray):
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iub":
        what = f"an array of shape {array.shape}" if array.ndim != 1 else f"values of dtype {array.dtype}"
        raise _refused(f"{positions!r}, {what}" if array.size < 10 else what, rows)
    if array.dtype != bool and isinstance(positions, Sequence) and bool in set(map(type, positions)):
        raise _refused(f"integers and booleans in one list, {positions!r}", rows)
    return array


def _integer(position: Any) -> int:
    if isinstance(position, (bool, np.bool_)):
        raise TypeError("booleans and other values")
    return operator.index(position)


def _refused(got: str, rows: int) -> PositionError:
    return PositionError(
        f"positions are a list or array of integers, a slice, or a mask with a boolean for each of the {rows} rows; "
        f"got {got}"
    )
