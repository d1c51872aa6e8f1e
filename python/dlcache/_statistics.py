"""What the writer counted in a column, as Python and NumPy have it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from ._errors import unknown_column
from ._manifest import Manifest


def statistics(manifest: Manifest, column: str, columns: Collection[str]) -> dict[str, Any]:
    """The numbers of one of `columns`, or of an element of a packed one; see `Dataset.stats`. Raises ColumnError."""
    if not isinstance(column, str):
        raise unknown_column(column, columns, "the dataset")
    packed, place = manifest.packed_elements.get(column, (column, 0))
    if packed != column and packed in columns:
        whole = statistics(manifest, packed, columns)
        return {name: value[place] if isinstance(value, np.ndarray) else value for name, value in whole.items()}
    if column not in columns:
        raise unknown_column(column, columns, "the dataset")
    about = manifest.column(column)
    out: dict[str, Any] = {"nulls": about.nulls, "null_elements": about.null_elements}
    if about.lengths is not None:
        out["lengths"] = about.lengths
    for name, value in (about.statistics or {}).items():
        if name == "classes":
            out[name] = {entry[0]: entry[1] for entry in value}
        elif isinstance(value, list):
            out[name] = _numbers(value).reshape(about.shape or (-1,))
        else:
            out[name] = float(value) if isinstance(value, str) else value
    if "variance" in out:
        out["std"] = np.sqrt(out["variance"]) if isinstance(out["variance"], np.ndarray) else out["variance"] ** 0.5
    return out


def _numbers(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Numbers of the manifest: int64 if all are whole, else float64, NaN where there is none."""
    if all(type(value) is int for value in values):
        return np.array(values, np.int64)
    return np.array([np.nan if value is None else float(value) for value in values])
