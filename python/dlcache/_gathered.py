"""Rows of one column, with the nulls among them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._decode import Mask
from ._manifest import Column
from ._rows import Int64s
from ._values import Ragged, Strings, Value, concatenate, take_rows


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """A column of some rows. valid: False where a row is null; None if none can be. valid_elements: likewise for the
    elements of a Ragged."""

    value: Value
    valid: Mask | None = None
    valid_elements: Mask | None = None


def concatenate_gathered(parts: list[Gathered]) -> Gathered:
    """Gathered rows of one column, one part after another."""
    valid = elements = None
    if any(part.valid is not None for part in parts):
        valid = np.concatenate([_mask(part.valid, len(part.value)) for part in parts])
    if any(part.valid_elements is not None for part in parts):
        elements = np.concatenate(
            [_mask(part.valid_elements, len(part.value.values)) for part in parts if isinstance(part.value, Ragged)]
        )
    return Gathered(concatenate([part.value for part in parts]), valid, elements)


def take_gathered(gathered: Gathered, rows: Int64s) -> Gathered:
    """These rows of gathered rows, in this order."""
    elements = None
    if gathered.valid_elements is not None and isinstance(gathered.value, Ragged):
        elements = Ragged(gathered.valid_elements, gathered.value.offsets).take(rows).values
    valid = None if gathered.valid is None else gathered.valid[rows]
    return Gathered(take_rows(gathered.value, rows), valid, elements)


def _mask(mask: Mask | None, length: int) -> Mask:
    return np.ones(length, bool) if mask is None else mask


def empty(column: Column) -> Value:
    """No rows of a column."""
    if column.storage in ("string", "binary"):
        return Strings(np.empty(0, np.uint8), np.zeros(1, np.int64), column.storage == "string")
    if column.storage == "ragged":
        return Ragged(np.empty(0, column.dtype), np.zeros(1, np.int64))
    return np.empty((0, *(column.shape or ())), column.dtype or object)
