"""Petastorm's transforms: a function on pandas batches, with nulls, dates and times as pandas has them."""

from __future__ import annotations

import datetime
import decimal
import importlib.util
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ._convert import from_pandas, to_pandas
from ._declared import declared as declared_field
from ._declared import no_rows
from ._errors import NullValueError, OptionError, TransformError, unknown_column
from ._fields import Nulls, field_of
from ._manifest import Column
from ._transform import TransformSpec as BatchTransform
from ._values import Batch, Field, Ragged, Value, as_arrays

logger = logging.getLogger("dlcache")

_TIMES = ("timestamp", "timestamp_ntz")
_DAY_NS = 86_400_000_000_000


def edit_field(name: str, numpy_dtype: Any, shape: Sequence[int], nullable: bool = False) -> tuple[Any, ...]:
    """A member of `TransformSpec.edit_fields`."""
    return name, numpy_dtype, shape, nullable


class TransformSpec:
    """A function on pandas DataFrames, and the fields that come out of it.

    func: takes the rows of one batch as a DataFrame and returns one, also of fewer or more rows. Arrays are one NumPy
        array in each row, nulls are None, NaN or NaT, dates `datetime.date`, times `datetime64[ns]` in UTC. None only
        chooses fields.
    edit_fields: the fields that `func` makes or changes, each `(name, numpy dtype, shape of one row, nullable)`. What
        it returns is converted to that dtype, if this loses no more than precision, and checked. `nullable` is accepted
        and changes nothing: a batch has no nulls.
    removed_fields: left out of what `func` returns. selected_fields: the only fields kept, in this order.

    Fields that are not in edit_fields keep their dtypes. `func` may run in several threads at once, as many as
    `workers_count` says. Raises OptionError if removed_fields and selected_fields are both given.
    """

    def __init__(
        self,
        func: Callable[[Any], Any] | None = None,
        edit_fields: Sequence[Any] | None = None,
        removed_fields: Sequence[str] | None = None,
        selected_fields: Sequence[str] | None = None,
    ) -> None:
        if removed_fields is not None and selected_fields is not None:
            raise OptionError("TransformSpec: give removed_fields or selected_fields, not both")
        if func is not None and not callable(func):
            raise OptionError(f"TransformSpec: func must be a function of a pandas DataFrame, not {func!r}")
        if func is not None:
            require_pandas("TransformSpec")
        self.func = func
        self.edit_fields = edit_fields or []
        self.removed_fields = removed_fields or []
        self.selected_fields = selected_fields


@dataclass(frozen=True)
class Reading:
    """How the columns are read for a transform: loader options."""

    columns: tuple[str, ...]
    nulls: Nulls
    transform: BatchTransform | None


def require_pandas(what: str) -> None:
    """Raises OptionError if there is no pandas, which functions of the converter take."""
    if importlib.util.find_spec("pandas") is None:
        raise OptionError(f"{what}: its func takes pandas DataFrames: pip install 'dlcache[converter]'")


def reading(columns: Sequence[Column], spec: Any, num_threads: int, *, refills: bool = False) -> Reading:
    """What to read, and the transform that makes of it what Petastorm would deliver.

    spec: a TransformSpec, or anything with its four attributes; or a `dlcache.TransformSpec`, which is taken as it is;
    None for no transform. refills: the function may return fewer or more rows, and batches are made full again.
    Raises NullValueError for nulls that nobody fills, OptionError, ColumnError.
    """
    if isinstance(spec, BatchTransform):
        return Reading(tuple(column.name for column in columns), _nulls(columns, filled_by_func=False), spec)
    spec = TransformSpec() if spec is None else spec
    edited = {field.name: field for field in (declared_field(tuple(entry)[:3]) for entry in spec.edit_fields or ())}
    func = spec.func if spec.func is not None or not edited else _identity
    if func is not None:
        require_pandas("transform_spec")
    kept = _kept([column.name for column in columns], edited, spec)
    if func is None:
        columns = [column for column in columns if column.name in kept]
    inputs = {column.name: column for column in columns}
    nulls = _nulls(columns, filled_by_func=func is not None)
    outputs = [edited.get(name) or _delivered(inputs[name]) for name in kept]
    names = tuple(inputs)
    if func is None and not any(column.logical in ("date", *_TIMES) for column in columns):
        return Reading(tuple(kept), nulls, None)
    conversion = Conversion(func, inputs, tuple(outputs), frozenset(spec.removed_fields or ()))
    transform = BatchTransform(
        conversion,
        edit_fields=outputs,
        selected_fields=list(kept),
        changes_rows=refills and func is not None,
        num_threads=num_threads,
    )
    return Reading(names, nulls, transform)


def _identity(frame: Any) -> Any:
    return frame


def _kept(names: Sequence[str], edited: Mapping[str, Field], spec: Any) -> list[str]:
    """The fields that come out, in order: those that stay as they are first, then the edited ones."""
    removed = set(spec.removed_fields or ())
    unknown = removed.difference(names, edited)
    if unknown:
        logger.warning("removed_fields: there is no field %s", ", ".join(map(repr, sorted(unknown))))
    fields = [name for name in names if name not in edited and name not in removed]
    fields += [name for name in edited if name not in removed]
    if spec.selected_fields is None:
        return fields
    for name in spec.selected_fields:
        if name not in fields:
            raise unknown_column(name, fields, "selected_fields: the transformed batch")
    return list(spec.selected_fields)


def _nulls(columns: Sequence[Column], *, filled_by_func: bool) -> Nulls:
    """Nulls of floating-point columns are NaN, others are the function's to fill, or an error."""
    rows = [column for column in columns if column.nulls]
    elements = [column for column in columns if column.null_elements and column.storage == "ragged"]
    masked = filled_by_func and bool(rows)
    for column in rows if not filled_by_func else []:
        if not _is_float(column) or column.storage == "ragged":
            raise NullValueError(
                f"column {column.name!r} has {column.nulls} null rows. Fill them in the DataFrame (df.fillna) or in "
                "the function of a TransformSpec, or leave the column out"
            )
    for column in elements:
        if masked or not _is_float(column):
            raise NullValueError(
                f"the rows of column {column.name!r} have {column.null_elements} null elements. Fill them in the "
                f'DataFrame: F.transform("{column.name}", lambda x: F.coalesce(x, F.lit(0)))'
            )
    if masked:
        return "mask"
    return {column.name: np.nan for column in (*rows, *elements) if _is_float(column)}


def _is_float(column: Column) -> bool:
    return column.dtype is not None and column.dtype.kind == "f"


def _delivered(column: Column) -> Field:
    """The field of a column that the function leaves as it is. Dates and times are nanoseconds."""
    if column.logical in ("date", *_TIMES):
        return Field(column.name, "array", np.dtype(np.int64), (None,))
    return field_of(column)


@dataclass(frozen=True)
class Conversion:
    """A function on pandas DataFrames as one on dicts of arrays. Picklable if the function is."""

    func: Callable[[Any], Any] | None
    inputs: Mapping[str, Column]
    outputs: tuple[Field, ...]
    removed: frozenset[str]

    def __call__(self, batch: Batch) -> dict[str, Value]:
        values: dict[str, Value]
        if self.func is None:
            values = dict(as_arrays(batch))
            for name, column in self.inputs.items():
                if column.logical in ("date", *_TIMES):
                    values[name] = _nanoseconds(values[name], column)
        else:
            given = as_arrays(batch)
            frame = to_pandas({name: self._pandas(given, column) for name, column in self.inputs.items()})
            values = from_pandas(self.func(frame))
            self._check_names(values)
            if not len(next(iter(values.values()))):
                return {field.name: no_rows(field) for field in self.outputs}
        return {field.name: _converted(values[field.name], field) for field in self.outputs}

    def _pandas(self, batch: Mapping[str, Any], column: Column) -> Value:
        """A column as pandas shows it."""
        value: Any = batch[column.name]
        valid = batch.get(f"{column.name}_mask") if column.nulls else None
        if column.logical in _TIMES:
            value = _nanoseconds(value, column).view("datetime64[ns]")
            return value if valid is None else np.where(valid, value, np.datetime64("NaT"))
        if column.logical == "date":
            value = np.asarray(value, "datetime64[D]").astype(object)
        elif column.logical == "decimal" and column.dtype is not None and value.ndim == 1:
            scale = column.scale or 0
            value = _objects([decimal.Decimal(number).scaleb(-scale) for number in value.tolist()])
        if valid is None or valid.all():
            whole: Value = value
            return whole
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iuf":
            numbers = value if _is_float(column) else value.astype(np.float64)
            return np.where(valid, numbers, np.nan)
        out = _objects([value[row] for row in range(len(value))])
        out[~valid] = None
        return out

    def _check_names(self, values: Mapping[str, Value]) -> None:
        expected = [field.name for field in self.outputs]
        for name in expected:
            if name not in values:
                raise TransformError(
                    f"the function returned no field {name!r}; it has {', '.join(map(repr, values))}. Return it, or "
                    "name it in removed_fields"
                )
        for name in values:
            if name not in expected and name not in self.inputs and name not in self.removed:
                raise TransformError(
                    f"the function returned field {name!r}, which edit_fields does not declare; add "
                    f"({name!r}, dtype, shape, False) there, or do not return it"
                )


def _objects(values: list[Any]) -> npt.NDArray[Any]:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def _nanoseconds(value: Any, column: Column) -> npt.NDArray[np.int64]:
    return np.asarray(value).astype(np.int64) * (_DAY_NS if column.logical == "date" else 1000)


def _converted(value: Value, field: Field) -> Value:
    """A value of the function as the dtype that its field has. Raises TransformError where that is not possible."""
    if isinstance(value, Ragged):
        return Ragged(_cast(value.values, field), value.offsets)
    return _cast(value, field) if isinstance(value, np.ndarray) else value


def _cast(array: npt.NDArray[Any], field: Field) -> npt.NDArray[Any]:
    wanted = field.dtype
    if array.dtype == wanted and not array.dtype.hasobject:
        return array
    if array.dtype.hasobject:
        if any(item is None for item in array.reshape(-1)):
            raise TransformError(f"field {field.name!r} has nulls; a batch has none: fill them in the function")
        first = array.reshape(-1)[0] if array.size else None
        if wanted.kind not in "biuf":
            return array
        if isinstance(first, datetime.date):
            array = array.astype("datetime64[ns]")
        elif isinstance(first, (bool, int, float, decimal.Decimal, np.generic)) or first is None:
            array = array.astype(float if wanted.kind == "f" or isinstance(first, float) else wanted)
    if array.dtype.kind == "M":
        if np.isnat(array).any():
            raise TransformError(f"field {field.name!r} has nulls; a batch has none: fill them in the function")
        array = array.astype("datetime64[ns]").view(np.int64)
    if wanted.kind == "f" and array.dtype.kind in "biuf":
        return array.astype(wanted)
    if wanted.kind in "biu" and array.dtype.kind in "biuf":
        with np.errstate(invalid="ignore"):
            cast = array.astype(wanted)
        if not (cast == array).all():
            raise TransformError(
                f"field {field.name!r} has values of dtype {array.dtype} that are no {wanted}: nulls, fractions, or "
                f"too large. Fill or round them in the function, or declare {array.dtype} in edit_fields"
            )
        return cast
    return array
