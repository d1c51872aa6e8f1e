"""The conditions that `filter` takes, checked. Pure.

Triples mean what they mean in Spark. A PyArrow expression means what it means in PyArrow, over columns in which -0.0
is 0.0: PyArrow's `isin` takes the two for different numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from ._comparison import Mask, Order, as_python, collation_of, order_of
from ._errors import OptionError
from ._manifest import Column, Manifest

Condition = Any
"""A triple (column, operator, value); a list of them, of which all hold; a list of such lists, of which one holds; or
a `pyarrow.compute.Expression`."""

Path = tuple[str, ...]
Arrays = Mapping[Path, pa.Array]

_HOLDS: dict[str, Callable[[Mask, Mask], Mask]] = {
    "==": lambda reached, passed: reached & ~passed,
    "=": lambda reached, passed: reached & ~passed,
    "!=": lambda reached, passed: ~reached | passed,
    "<": lambda reached, passed: ~reached,
    "<=": lambda reached, passed: ~passed,
    ">": lambda reached, passed: passed,
    ">=": lambda reached, passed: reached,
}
OPERATORS = (*_HOLDS, "in", "not in")
_NEGATIVE_ZERO = re.compile(r"value_set=(?:float|double):\[[^\]]*(?<![\w.])-0[,\s]")


class Predicate(Protocol):
    """A condition on the rows of some columns."""

    @property
    def paths(self) -> frozenset[Path]:
        """The columns that it reads: a leaf, or a column with all that is in it."""

    def rows(self, arrays: Arrays) -> Mask:
        """The rows for which it is true, and not false or null."""


@dataclass(frozen=True)
class Comparison:
    """One column beside one value, or for `in` and `not in` a list of values."""

    path: Path
    sign: str
    value: Any
    order: Order

    @property
    def paths(self) -> frozenset[Path]:
        return frozenset([self.path])

    def rows(self, arrays: Arrays) -> Mask:
        array = arrays[self.path]
        if self.sign in _HOLDS:
            kept = _HOLDS[self.sign](*self.order.compare(array, self.value))
        else:
            inside = self.order.member(array, self.value) if self.value else np.zeros(len(array), bool)
            kept = inside if self.sign == "in" else ~inside
        if array.null_count:
            kept = kept & array.is_valid().to_numpy(zero_copy_only=False)
        return kept


@dataclass(frozen=True)
class Combined:
    """Conditions of which all hold, or one."""

    parts: Sequence[Predicate]
    combine: Callable[[Mask, Mask], Mask]

    @property
    def paths(self) -> frozenset[Path]:
        return frozenset[Path]().union(*(part.paths for part in self.parts))

    def rows(self, arrays: Arrays) -> Mask:
        return reduce(self.combine, (part.rows(arrays) for part in self.parts))


@dataclass(frozen=True)
class Computed:
    """A PyArrow expression. names: the columns that it is computed from, and the order that it counts them in."""

    expression: pc.Expression
    names: tuple[str, ...]
    known: tuple[str, ...]

    @property
    def paths(self) -> frozenset[Path]:
        return frozenset((name,) for name in self.names)

    def rows(self, arrays: Arrays) -> Mask:
        table = pa.table({name: _with_one_zero(arrays[(name,)]) for name in self.names})
        try:
            column = pads.dataset(table).scanner(columns={"kept": self.expression}).to_table()["kept"]
        except (pa.ArrowException, TypeError) as error:
            raise OptionError(
                f"filter: {self.expression} cannot be evaluated: {error}. The columns are "
                f"{', '.join(self.known[:20])}; a field b of a struct a is pyarrow.compute.field('a', 'b')"
            ) from error
        if not pa.types.is_boolean(column.type):
            raise OptionError(f"filter: {self.expression} is of type {column.type}, and not true or false")
        kept: Mask = column.fill_null(False).to_numpy()
        return kept


def predicate(condition: Condition, manifest: Manifest) -> Predicate:
    """A condition of the user, checked against the columns. Raises OptionError and ColumnError."""
    if isinstance(condition, pc.Expression):
        return _computed(condition, manifest)
    if isinstance(condition, tuple):
        return _comparison(condition, manifest)
    if isinstance(condition, list) and condition:
        combine = or_ if all(isinstance(part, list) for part in condition) else and_
        return Combined([predicate(part, manifest) for part in condition], combine)
    raise OptionError(
        f"filter takes a triple such as ('label', '==', 3), a list of triples or a pyarrow.compute expression, "
        f"not {condition!r}"
    )


def _comparison(condition: tuple[Any, ...], manifest: Manifest) -> Comparison:
    if len(condition) != 3 or condition[1] not in OPERATORS:
        raise OptionError(
            f"filter: {condition!r} is not (column, operator, value); operators are {', '.join(OPERATORS)}"
        )
    name, sign, value = condition
    column = manifest.column(name)
    order = _order(column, manifest)
    if sign in _HOLDS:
        if value is None:
            raise OptionError(
                f"filter: nothing is {sign} None, as in SQL; pyarrow.compute.field({name!r}).is_null() finds nulls"
            )
        return Comparison(column.path, sign, _checked(value, order, name), order)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise OptionError(f"filter: {sign!r} takes a list of values, not {value!r}")
    values = list(value)
    if any(entry is None for entry in values):
        raise OptionError(f"filter: {condition!r} has None in its list, which matches nothing in SQL; leave it out")
    return Comparison(column.path, sign, [_checked(entry, order, name) for entry in values], order)


def _order(column: Column, manifest: Manifest) -> Order:
    order = order_of(column)
    if order is None:
        what = {"tensor": "arrays", "ragged": "arrays"}.get(column.storage, "nested values")
        raise OptionError(
            f"filter: column {column.name!r} has {what}, and a condition compares numbers, strings, binary values, "
            "booleans, dates and times; name another column, or filter the DataFrame before it is written"
        )
    collation = collation_of(manifest, column)
    if collation is not None:
        raise OptionError(
            f"filter: column {column.name!r} has the collation {collation}, by which only Spark can compare; filter "
            "the DataFrame before it is written"
        )
    return order


def _checked(value: Any, order: Order, name: str) -> Any:
    plain = as_python(value)
    if not order.accepts(plain):
        raise OptionError(f"filter: column {name!r} is compared with {order.takes}, not {value!r}")
    return plain


def _computed(expression: pc.Expression, manifest: Manifest) -> Computed:
    """PyArrow does not tell which columns an expression names: they are those whose names are in its text."""
    text = str(expression)
    if _NEGATIVE_ZERO.search(text):
        raise OptionError(f"filter: {text} looks for -0.0, which isin takes for another number than 0.0; write 0.0")
    tops = tuple(dict.fromkeys(column.path[0] for column in manifest.columns))
    named = tops
    if "FieldPath(" not in text:  # it names no column by its number
        named = tuple(name for name in tops if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)) or tops[:1]
    return Computed(expression, named, tuple(column.name for column in manifest.columns))


def _with_one_zero(array: pa.Array) -> pa.Array:
    """An array with 0.0 in place of -0.0, also in structs."""
    if pa.types.is_float32(array.type) or pa.types.is_float64(array.type):
        return pc.add(array, pa.scalar(0.0, array.type))
    if pa.types.is_struct(array.type):
        fields = [_with_one_zero(array.field(number)) for number in range(array.type.num_fields)]
        return pa.StructArray.from_arrays(fields, fields=list(array.type), mask=array.is_null())
    return array
