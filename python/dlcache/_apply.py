"""The call of a transform's function: a batch in the form that it takes, and what it returns as values again.

It knows nothing of loaders, so that it can be done in a thread or be sent to another process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pyarrow as pa

from ._convert import from_arrow, from_arrow_array, from_pandas, from_torch, to_arrow, to_pandas, to_torch
from ._declared import stacked
from ._errors import TransformError
from ._values import Batch, Field, Ragged, Strings, Value, as_arrays

Input = Literal["dict", "pandas", "arrow", "torch"]
INPUTS: tuple[Input, ...] = ("dict", "pandas", "arrow", "torch")


class CallError(Exception):
    """The function failed; its error is the cause. row: the row of the batch, where it is known."""

    def __init__(self, row: int | None = None) -> None:
        super().__init__(row)
        self.row = row


class Runner(Protocol):
    """Where calls are done."""

    def __call__(self, batch: Batch) -> dict[str, Value]:
        """The result of a call. Raises CallError with the function's own error as its cause, and TransformError."""

    def close(self) -> None:
        """End everything that it started. Calls under way fail."""


@dataclass(frozen=True, slots=True)
class Call:
    """A function, with what it takes and returns. declared: fields of known dtype, for rows with Python's numbers."""

    func: Callable[[Any], Any]
    input: Input
    per_row: bool
    changes_rows: bool
    declared: Mapping[str, Field]

    def __call__(self, batch: Batch) -> dict[str, Value]:
        if self.per_row:
            return self._rows(as_arrays(batch))
        takes, makes = _FORMS[self.input]
        given = takes(as_arrays(batch))
        try:
            returned = self.func(given)
        except Exception as error:
            raise CallError from error
        return makes(returned)

    def close(self) -> None:
        """There is nothing to end."""

    def _rows(self, batch: Mapping[str, Any]) -> dict[str, Value]:
        out: dict[str, list[Any]] = {}
        made = 0
        for row in range(len(next(iter(batch.values())))):
            try:
                returned = self.func({name: value[row] for name, value in batch.items()})
                for result in self._results(returned):
                    if made and result.keys() != out.keys():
                        raise TransformError(f"it returned fields {sorted(result)}, and {sorted(out)} for rows before")
                    for name, value in result.items():
                        out.setdefault(name, []).append(value)
                    made += 1
            except Exception as error:
                raise CallError(row) from error
        return {name: stacked(name, rows, self.declared.get(name)) for name, rows in out.items()}

    def _results(self, returned: Any) -> Iterable[Mapping[str, Any]]:
        if isinstance(returned, Mapping):
            return [returned]
        if not self.changes_rows:
            raise TransformError(
                f"it returned {type(returned).__name__} for a row; it must return a dict "
                "(with changes_rows=True also None, or several dicts)"
            )
        results = [] if returned is None else list(returned)
        if not all(isinstance(result, Mapping) for result in results):
            raise TransformError("it must return a dict, dicts or None for a row (changes_rows=True)")
        return results


def _from_dict(returned: Any) -> dict[str, Value]:
    if not isinstance(returned, Mapping):
        raise TransformError(
            f"the transform returned {type(returned).__name__}; it must return a dict of arrays (input='dict')"
        )
    return {name: _value(name, value) for name, value in returned.items()}


def _value(name: str, value: Any) -> Value:
    if isinstance(value, (Ragged, Strings)):
        return value
    if isinstance(value, (pa.Array, pa.ChunkedArray)):
        return from_arrow_array(value, name)
    if np.ma.is_masked(value):
        raise TransformError(f"field {name!r} has masked values; a batch has no nulls: fill them in the transform")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise TransformError(
            f"field {name!r} is no array: {error}; return rows of different lengths as dlcache.Ragged"
        ) from error


def _same(batch: Any) -> Any:
    return batch


_FORMS: dict[Input, tuple[Callable[[Any], Any], Callable[[Any], dict[str, Value]]]] = {
    "dict": (_same, _from_dict),
    "pandas": (to_pandas, from_pandas),
    "arrow": (to_arrow, from_arrow),
    "torch": (to_torch, from_torch),
}
