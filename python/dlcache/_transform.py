"""Transforms: a function on batches, and what it declares about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ._convert import from_arrow, from_pandas, to_arrow, to_pandas
from ._errors import OptionError, TransformError, unknown_column
from ._values import Batch, Field, Kind, Ragged, Strings, Value, as_arrays

if TYPE_CHECKING:
    from ._dataset import Dataset

Input = Literal["dict", "pandas", "arrow"]
_INPUTS = ("dict", "pandas", "arrow")


@dataclass(frozen=True)
class TransformSpec:
    """A function on batches, with the fields that it makes.

    func: takes a batch and returns one of as many rows. None changes no values, and only the fields are chosen.
    edit_fields: the fields that `func` makes or changes, each `(name, dtype, shape)` with the shape of one row, None
        in it for a size that differs (Petastorm's fourth member, nullable, is accepted and must be False).
        What is declared is checked in every batch, and gives static shapes. If None and there is a func, all fields
        are inferred from the first rows.
    removed_fields: fields left out of what `func` returns. selected_fields: the only fields kept, in this order.
    input: what `func` takes and returns: `dict` of NumPy arrays (`Ragged` for rows of different lengths), a `pandas`
        DataFrame, or an `arrow` Table.
    num_threads: how many batches may be in `func` at once. More than one needs a function that is safe to call so.
    """

    func: Callable[[Any], Any] | None = None
    edit_fields: Sequence[Any] | None = None
    removed_fields: Sequence[str] | None = None
    selected_fields: Sequence[str] | None = None
    input: Input = "dict"
    num_threads: int = 1

    def __post_init__(self) -> None:
        if self.input not in _INPUTS:
            raise OptionError(f"TransformSpec: input must be one of {', '.join(_INPUTS)}, not {self.input!r}")
        if self.func is not None and not callable(self.func):
            raise OptionError(f"TransformSpec: func must be a function, not {self.func!r}")
        if self.removed_fields and self.selected_fields:
            raise OptionError("TransformSpec: give removed_fields or selected_fields, not both")
        if self.num_threads < 1:
            raise OptionError(f"TransformSpec: num_threads must be at least 1, not {self.num_threads}")
        for entry in self.edit_fields or ():
            _declared(entry)

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


class Transform:
    """A spec, bound to the fields of the batches that it gets."""

    def __init__(self, spec: TransformSpec, fields: Mapping[str, Field]) -> None:
        self.spec = spec
        self._input = dict(fields)
        self._fields: dict[str, Field] | None = None
        if spec.func is None or spec.edit_fields is not None:
            edited = [_declared(entry) for entry in spec.edit_fields or ()]
            self._fields = self._chosen({**self._input, **{field.name: field for field in edited}})

    def fields(self, sample: Callable[[], Batch]) -> dict[str, Field]:
        """The fields of the batches that come out. `sample` gives a batch to infer them from, if need be."""
        if self._fields is None:
            self._fields = {name: field_of_value(name, value) for name, value in self._call(sample()).items()}
        return self._fields

    def __call__(self, batch: Batch, where: str = "") -> dict[str, Value]:
        """The transformed batch, checked. `where` says in an error which rows they were. Raises TransformError."""
        rows = len(next(iter(batch.values())))
        out = self._call(batch, where)
        if self._fields is None:
            self._fields = {name: field_of_value(name, value) for name, value in out.items()}
        missing = self._fields.keys() - out.keys()
        if missing:
            raise TransformError(f"the transform returned no field {sorted(missing)[0]!r}{where}; it has {sorted(out)}")
        for name, field in self._fields.items():
            _check(field, out[name], rows, where)
        return {name: out[name] for name in self._fields}

    def _call(self, batch: Batch, where: str = "") -> dict[str, Value]:
        given = as_arrays(batch)
        if self.spec.func is None:
            return self._chosen(given)
        try:
            if self.spec.input == "pandas":
                returned = from_pandas(self.spec.func(to_pandas(given)))
            elif self.spec.input == "arrow":
                returned = from_arrow(self.spec.func(to_arrow(given)))
            else:
                returned = self.spec.func(given)
        except Exception as error:
            raise TransformError(f"the transform failed{where}: {type(error).__name__}: {error}") from error
        if not isinstance(returned, Mapping):
            raise TransformError(
                f"the transform returned {type(returned).__name__}{where}; it must return a dict of arrays "
                f"(input={self.spec.input!r})"
            )
        values = {name: value if isinstance(value, Ragged) else np.asarray(value) for name, value in returned.items()}
        if self._fields is not None:
            unknown = sorted(name for name in values if name not in self._fields and name not in self._input)
            if unknown:
                raise TransformError(
                    f"the transform returned field {unknown[0]!r}{where}, which edit_fields does not declare; "
                    "add it there, or do not return it"
                )
        return self._chosen(values)

    def _chosen(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        for name in (*(self.spec.selected_fields or ()),):
            if name not in fields:
                raise unknown_column(name, fields, "selected_fields: the transformed batch")
        if self.spec.selected_fields is not None:
            return {name: fields[name] for name in self.spec.selected_fields}
        removed = set(self.spec.removed_fields or ())
        return {name: value for name, value in fields.items() if name not in removed}


def _declared(entry: Any) -> Field:
    """A member of edit_fields as a field."""
    if isinstance(entry, Field):
        return entry
    try:
        name, dtype, shape, *nullable = entry
        sizes = tuple(None if size is None else int(size) for size in shape)
        made = np.dtype(dtype)
    except (TypeError, ValueError) as error:
        raise OptionError(f"edit_fields: {entry!r} is not (name, dtype, shape)") from error
    if nullable and nullable[0]:
        raise OptionError(f"edit_fields: {name!r} is nullable, and a batch has no nulls; fill them in the transform")
    return Field(name, _kind(made), made, (None, *sizes))


def _kind(dtype: np.dtype[Any]) -> Kind:
    return "text" if dtype.kind == "U" else "bytes" if dtype.kind == "S" else "object" if dtype.hasobject else "array"


def field_of_value(name: str, value: Value) -> Field:
    """The field that a value is an example of."""
    if isinstance(value, Ragged):
        return Field(name, "ragged", value.values.dtype, (None, None))
    if isinstance(value, Strings):
        return Field(name, "text" if value.text else "bytes", np.dtype(object), (None,))
    kind = _kind(value.dtype)
    if kind == "object" and len(value):
        kind = "text" if isinstance(value[0], str) else "bytes" if isinstance(value[0], bytes) else kind
    return Field(name, kind, value.dtype, (None, *value.shape[1:]))


def _check(field: Field, value: Value, rows: int, where: str) -> None:
    if len(value) != rows:
        raise TransformError(
            f"the transform returned {len(value)} rows of field {field.name!r}{where}, and got {rows}; "
            "it must return as many rows as it gets"
        )
    if isinstance(value, Ragged):
        if field.kind != "ragged" and None not in field.shape[1:]:
            raise TransformError(
                f"field {field.name!r}{where} is ragged, and its shape is declared as {field.shape[1:]}"
            )
        dtype, shape = value.values.dtype, field.shape
    elif isinstance(value, Strings):
        return
    else:
        dtype, shape = value.dtype, value.shape
    if field.kind in ("text", "bytes"):
        if dtype.kind not in "USO":
            raise TransformError(f"field {field.name!r}{where} has dtype {dtype}, and {field.kind} was declared")
        return
    if dtype != field.dtype:
        raise TransformError(
            f"field {field.name!r}{where} has dtype {dtype}, and {field.dtype} was declared or seen before; "
            f"return it as {field.dtype}, or declare {dtype} in edit_fields"
        )
    fits = len(shape) == len(field.shape) and all(
        want is None or got == want for got, want in zip(shape[1:], field.shape[1:], strict=True)
    )
    if not fits:
        raise TransformError(
            f"field {field.name!r}{where} has rows of shape {tuple(shape[1:])}, and {tuple(field.shape[1:])} was "
            "declared or seen before; return that, or declare the shape in edit_fields, with None for sizes that differ"
        )
