"""Transforms: a function on batches or rows, and what it declares about them."""

from __future__ import annotations

import importlib.util
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ._apply import INPUTS, Call, CallError, Input, Runner
from ._declared import declared, field_of_value, fitted, no_rows
from ._errors import OptionError, TransformError, unknown_column
from ._transform_processes import Processes
from ._values import Batch, Field, Value, as_arrays

if TYPE_CHECKING:
    from ._dataset import Dataset


SAMPLED_ROWS = 16
"""Of the first rows, from which fields are inferred that nobody declares."""


@dataclass(frozen=True)
class TransformSpec:
    """A function on batches, with the fields that it makes.

    func: takes a batch and returns one of as many rows. None changes no values, and only the fields are chosen.
    edit_fields: the fields that `func` makes or changes, each `(name, dtype, shape)` with the shape of one row, None
        in it for a size that differs (Petastorm's fourth member, nullable, is accepted and must be False).
        Numbers of the shape `(None,)` are `Ragged` in every batch, numbers of a fixed shape are dense.
        What is declared is checked in every batch, and gives static shapes. If None and there is a func, all fields
        are inferred from the first rows, once.
    removed_fields: fields left out of what `func` returns. selected_fields: the only fields kept, in this order.
    input: what `func` takes and returns: `dict` of NumPy arrays (`Ragged` for rows of different lengths), a `pandas`
        DataFrame, an `arrow` Table, or `torch`: a dict of tensors.
    per_row: `func` takes one row, a dict of NumPy scalars, arrays, `str` and `bytes`, and returns a dict of such.
    changes_rows: `func` may return fewer or more rows than it gets (per row: None, or a list of dicts). Batches are
        cut anew, so that all but an epoch's last are full. See docs/reading.md for what that does to `len` and ranks.
    num_threads: how many batches may be in `func` at once. More than one needs a function that is safe to call so. It
        may also be called in the consumer's own thread, where that is faster.
    num_processes: in how many processes of its own `func` is called, for functions that hold the interpreter's lock.
        Function and data are pickled, by cloudpickle if it is installed.
    """

    func: Callable[[Any], Any] | None = None
    edit_fields: Sequence[Any] | None = None
    removed_fields: Sequence[str] | None = None
    selected_fields: Sequence[str] | None = None
    input: Input = "dict"
    per_row: bool = False
    changes_rows: bool = False
    num_threads: int = 1
    num_processes: int = 0

    def __post_init__(self) -> None:
        if self.input not in INPUTS:
            raise OptionError(f"TransformSpec: input must be one of {', '.join(INPUTS)}, not {self.input!r}")
        if self.func is not None and not callable(self.func):
            raise OptionError(f"TransformSpec: func must be a function, not {self.func!r}")
        if self.removed_fields and self.selected_fields:
            raise OptionError("TransformSpec: give removed_fields or selected_fields, not both")
        if self.num_threads < 1 or self.num_processes < 0:
            raise OptionError(
                f"TransformSpec: num_threads must be at least 1 and num_processes at least 0, not {self.num_threads} "
                f"and {self.num_processes}"
            )
        if self.num_threads > 1 and self.num_processes:
            raise OptionError("TransformSpec: give num_threads or num_processes, not both")
        if self.per_row and self.input != "dict":
            raise OptionError(f"TransformSpec: per_row takes rows as dicts, and input is {self.input!r}; leave one out")
        if self.input == "pandas" and self.func is not None and importlib.util.find_spec("pandas") is None:
            raise OptionError("TransformSpec: input='pandas' needs pandas: pip install pandas; or use input='dict'")
        if self.func is None and (self.per_row or self.changes_rows or self.num_processes):
            raise OptionError("TransformSpec: per_row, changes_rows and num_processes need a func")
        if self.selected_fields is not None and not self.selected_fields:
            raise OptionError("TransformSpec: selected_fields names no field; name at least one")
        for entry in self.edit_fields or ():
            declared(entry)

    @classmethod
    def rows(
        cls, func: Callable[[Any], Any], edit_fields: Sequence[Any] | None = None, **options: Any
    ) -> TransformSpec:
        """A function on single rows: `TransformSpec(func, edit_fields, per_row=True, **options)`."""
        return cls(func, edit_fields, per_row=True, **options)

    @property
    def workers(self) -> int:
        """How many batches may be in the function at once."""
        return max(self.num_threads, self.num_processes)

    def check(self, dataset: Dataset, rows: int = 4, **options: Any) -> dict[str, Field]:
        """Try the transform on the first rows of a dataset; gives the fields of a batch. Raises TransformError.

        `options` are those of `Dataset.numpy`, such as `columns` and `nulls`.
        """
        loader = dataset.numpy(batch_size=max(1, min(rows, len(dataset))), transform=self, threads=0, **options)
        loader.batch_at(0)
        return loader.element_spec


def as_spec(transform: TransformSpec | Callable[[Any], Any] | None) -> TransformSpec | None:
    """A transform as the loaders take it: a spec, or a function on dicts of arrays."""
    if transform is None or isinstance(transform, TransformSpec):
        return transform
    if callable(transform):
        return TransformSpec(transform)
    raise OptionError(f"transform must be a TransformSpec or a function, not {transform!r}")


class Where:
    """Which rows a batch has, for messages: worked out only when one is needed."""

    def __init__(self, text: str, rows: Callable[[], Sequence[Any]]) -> None:
        self._text, self._rows = text, rows

    def row(self, number: int) -> str:
        """A row of the batch."""
        return f"{self._text}, row {self._rows()[number]}"

    def __str__(self) -> str:
        rows = list(self._rows())
        if len(rows) > 2 and all(isinstance(row, int) for row in rows) and rows == list(range(rows[0], rows[-1] + 1)):
            return f"{self._text}, rows {rows[0]} .. {rows[-1]}"
        return f"{self._text}, rows {', '.join(map(str, rows[:8]))}{', ...' if len(rows) > 8 else ''}"


class Transform:
    """A spec, bound to the fields of the batches that it gets."""

    def __init__(self, spec: TransformSpec, fields: Mapping[str, Field]) -> None:
        self.spec = spec
        self._input = dict(fields)
        self._fields: dict[str, Field] | None = None
        edited = {field.name: field for field in map(declared, spec.edit_fields or ())}
        if spec.func is None or spec.edit_fields is not None:
            self._fields = self._chosen({**self._input, **edited})
            if not self._fields:
                raise OptionError("TransformSpec: removed_fields leaves no field; keep at least one")
        self._call = None if spec.func is None else Call(spec.func, spec.input, spec.per_row, spec.changes_rows, edited)
        self._own: tuple[int, Runner | None] | None = None
        self._inferring = threading.Lock()

    def runner(self) -> Runner | None:
        """Where the function is to be called; None if there is none. Whoever asks closes it."""
        if self._call is None or not self.spec.num_processes:
            return self._call
        return Processes(self._call, self.spec.num_processes)

    def fields(self, sample: Callable[[int], Batch]) -> dict[str, Field]:
        """The fields of the batches that come out. `sample` gives the first rows to infer them from, if need be: as
        many as it is asked for, or all there are."""
        with self._inferring:
            if self._fields is None:
                self._fields = self._inferred(sample)
        return self._fields

    def _inferred(self, sample: Callable[[int], Batch]) -> dict[str, Field]:
        tried = SAMPLED_ROWS
        while True:
            batch = sample(tried)
            where = Where(" on the first rows", partial(range, _rows(batch)))
            out = self._called(batch, where, self._call)
            if out and _rows(out):
                return {name: field_of_value(name, value) for name, value in out.items()}
            if _rows(batch) < tried:
                raise TransformError(
                    "the transform drops all rows, so that its fields are not known; declare edit_fields"
                )
            tried *= 16

    def __call__(
        self, batch: Batch, where: Where, sample: Callable[[int], Batch], runner: Runner | None = None
    ) -> dict[str, Value]:
        """The transformed batch, checked. `where` says in an error which rows they were; `sample` as in `fields`.
        Raises TransformError."""
        out = self._called(batch, where, runner or self._runner()) if _rows(batch) else {}
        fields = self.fields(sample)
        if not out and (self.spec.changes_rows or not _rows(batch)):
            return {name: no_rows(field) for name, field in fields.items()}
        for name in fields:
            if name not in out:
                raise TransformError(f"the transform returned no field {name!r}{where}; it has {sorted(out)}")
        added = sorted(name for name in out if name not in fields)
        if added:
            raise TransformError(
                f"the transform returned field {added[0]!r}{where}, which it did not return before; declare it in "
                "edit_fields, or return it always"
            )
        made = {name: fitted(field, out[name], where) for name, field in fields.items()}
        for name in made:
            self._check_rows(name, made, batch, where)
        return made

    def _runner(self) -> Runner | None:
        """A runner of its own, for calls outside of an iteration: it lasts as long as this object, in this process."""
        if self._own is None or self._own[0] != os.getpid():
            self._own = (os.getpid(), self.runner())
        return self._own[1]

    def _check_rows(self, name: str, out: Batch, batch: Batch, where: Where) -> None:
        rows = _rows(out) if self.spec.changes_rows else _rows(batch)
        if len(out[name]) != rows:
            raise TransformError(
                f"the transform returned {len(out[name])} rows of field {name!r}{where}, and "
                + (
                    f"{rows} of another; all fields must have as many"
                    if self.spec.changes_rows
                    else f"got {rows}; it must return as many rows as it gets, or say changes_rows=True"
                )
            )

    def _called(self, batch: Batch, where: Where, runner: Runner | None) -> dict[str, Value]:
        if runner is None:
            return self._chosen(as_arrays(batch))
        try:
            values = runner(batch)
        except CallError as failed:
            error = failed.__cause__
            at = where if failed.row is None else where.row(failed.row)
            raise TransformError(f"the transform failed{at}: {type(error).__name__}: {error}") from error
        except TransformError as error:
            raise TransformError(f"{error} (the batch{where})") from error.__cause__
        if not values and not self.spec.changes_rows:
            raise TransformError(f"the transform returned no fields{where}; it must return one at least")
        for name, value in values.items():
            if isinstance(value, np.ndarray) and value.ndim == 0:
                raise TransformError(
                    f"the transform returned one value for field {name!r}{where}; it must return one for each row"
                )
        if self._fields is not None and self.spec.edit_fields is not None:
            unknown = sorted(name for name in values if name not in self._fields and name not in self._input)
            if unknown:
                raise TransformError(
                    f"the transform returned field {unknown[0]!r}{where}, which edit_fields does not declare; "
                    "add it there, or do not return it"
                )
        chosen = self._chosen(values) if values else values
        if values and not chosen:
            raise TransformError(f"the transform leaves no field{where}: removed_fields removes {sorted(values)}")
        return chosen

    def _chosen(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        for name in (*(self.spec.selected_fields or ()),):
            if name not in fields:
                raise unknown_column(name, fields, "selected_fields: the transformed batch")
        if self.spec.selected_fields is not None:
            return {name: fields[name] for name in self.spec.selected_fields}
        removed = set(self.spec.removed_fields or ())
        return {name: value for name, value in fields.items() if name not in removed}


def _rows(batch: Batch) -> int:
    return len(next(iter(batch.values()))) if batch else 0
