"""The distinct values of a column: how often each comes, how to weigh them, and their numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ._errors import OptionError, unknown_column
from ._manifest import Column
from ._rows import Rows
from ._values import Field, Ragged, Strings, Value

if TYPE_CHECKING:
    from ._dataset import Dataset

StringsAs = str | Mapping[str, str | Sequence[str]]
"""How strings are delivered: `"codes"` for all string columns, or for each named column `"codes"` or a vocabulary."""

UNKNOWN = -1
"""The code of nulls and of values that are not in the vocabulary."""
_PIECE_ROWS = 1 << 20


def counts(dataset: Dataset, column: str) -> dict[Any, int]:
    """How often each value comes in the dataset's rows, nulls left out, sorted by value. Of the manifest where it has
    them and all rows are there, else one pass over the column. Raises ColumnError, and OptionError for columns that
    have no classes."""
    about = _classed(dataset, column)
    known = (about.statistics or {}).get("classes")
    if known is not None and len(dataset) == dataset.manifest.rows:
        return {value: count for value, count in known if count}
    found: Counter[Any] = Counter()
    for start in range(0, len(dataset), _PIECE_ROWS):
        positions = np.arange(start, min(start + _PIECE_ROWS, len(dataset)), dtype=np.int64)
        batch = dataset.gather(positions, [column], nulls="mask")
        mask = batch.get(f"{column}_mask")
        found.update(_counted(batch[column], None if mask is None else np.flatnonzero(mask)))
    return {value: found[value] for value in sorted(found)}


def _classed(dataset: Dataset, name: str) -> Column:
    if name not in dataset.columns:
        raise unknown_column(name, dataset.columns, "the dataset")
    column = dataset.manifest.column(name)
    number = column.storage == "scalar" and (
        column.logical == "decimal" or (column.dtype is not None and column.dtype.kind in "bi")
    )
    if number or column.storage in ("string", "binary"):
        return column
    kind = column.storage if column.dtype is None else f"{column.storage} of {column.dtype}"
    cast = f'df.withColumn("{name}", F.col("{name}").cast("long"))'
    how = f"Cast it to an integer in Spark: {cast}" if column.storage == "scalar" else "Name a column of single values"
    raise OptionError(
        f"column {name!r} ({kind}) has no classes: these are integers, booleans, decimals, strings or bytes. {how}"
    )


def _counted(value: Value, kept: npt.NDArray[np.int64] | None) -> dict[Any, int]:
    if isinstance(value, Strings):
        pairs = (value if kept is None else value.take(kept)).to_arrow().value_counts()
        return dict(zip(pairs.field(0).to_pylist(), pairs.field(1).to_pylist(), strict=True))
    assert not isinstance(value, Ragged)
    values, times = np.unique(value if kept is None else value[kept], return_counts=True)
    return dict(zip(values.tolist(), times.tolist(), strict=True))


def balanced(found: Mapping[Any, int]) -> dict[Any, float]:
    """Weights under which all classes weigh the same: rows / (classes x rows of the class), as scikit-learn's
    "balanced"."""
    total = sum(found.values())
    return {value: total / (len(found) * count) for value, count in found.items()}


def vocabulary(dataset: Dataset, column: str) -> tuple[Any, ...]:
    """The distinct values of a string or binary column over all rows of the version, sorted. Of a categorical column
    of Spark ML its labels: label i is the name of class i."""
    about = dataset.manifest.column(column)
    if about.labels is not None:
        return about.labels
    if about.storage not in ("string", "binary"):
        raise OptionError(f"column {column!r} has no strings, bytes or labels of Spark ML, and so no vocabulary")
    return tuple(counts(dataset.part(Rows(0, dataset.manifest.rows)), column))


class Codes:
    """The numbers of a column's values: positions in a vocabulary."""

    def __init__(self, values: Sequence[Any]) -> None:
        self._codes = {value.encode() if isinstance(value, str) else value: at for at, value in enumerate(values)}
        if len(self._codes) != len(values):
            raise OptionError("strings: a vocabulary has a value twice")

    @staticmethod
    def field(name: str) -> Field:
        return Field(name, "array", np.dtype(np.int64), (None,))

    def of(self, value: Value, valid: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
        """int64 [rows]; UNKNOWN where a row is not valid or its value not in the vocabulary."""
        assert isinstance(value, Strings)
        encoded = Strings(value.data, value.offsets, text=False).to_arrow().dictionary_encode()
        numbers = [self._codes.get(item, UNKNOWN) for item in encoded.dictionary.to_pylist()]
        codes = np.array(numbers, np.int64).take(encoded.indices.to_numpy())
        return codes if valid is None else np.where(valid, codes, UNKNOWN)


def codes_of(dataset: Dataset, names: Sequence[str], strings: StringsAs | None) -> dict[str, Codes]:
    """The option `strings`, checked against the columns that are read. Raises OptionError and ColumnError."""
    if strings is None:
        return {}
    storage = {name: dataset.manifest.column(name).storage for name in names}
    if strings == "codes":
        strings = {name: "codes" for name in names if storage[name] == "string"}
    if not isinstance(strings, Mapping):
        raise OptionError(f"strings must be 'codes', or a dict from a column to 'codes' or a list, not {strings!r}")
    out = {}
    for name, values in strings.items():
        if name not in storage:
            raise unknown_column(name, names, "strings: the columns read")
        if storage[name] not in ("string", "binary"):
            raise OptionError(f"strings: column {name!r} has no strings or bytes")
        if values == "codes":
            values = vocabulary(dataset, name)
        kind = str if storage[name] == "string" else bytes
        if isinstance(values, (str, bytes)) or not all(isinstance(value, kind) for value in values):
            raise OptionError(f"strings: {name!r} must be 'codes' or a list of {kind.__name__}, not {values!r}")
        out[name] = Codes(values)
    return out
