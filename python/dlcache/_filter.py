"""Rows chosen by the values of their columns. As in SQL, a row for which the condition is null is not kept.

PyArrow evaluates the condition on the shards. It reads the columns that the condition names and no others, and leaves
out row groups whose statistics say that no row of them can match.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads

from ._background import StoppingThreads
from ._errors import OptionError, ShardError
from ._fetch import CONNECTIONS
from ._manifest import Manifest
from ._rows import Int64s, Rows
from ._shards import ShardReader

Readers = Callable[[Collection[int]], ShardReader]

Condition = Any
"""A triple (column, operator, value); a list of them, of which all hold; a list of such lists, of which one holds; or
a `pyarrow.compute.Expression`."""

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_OPERATORS = (*_COMPARE, "in", "not in")


def expression(condition: Condition, manifest: Manifest) -> pc.Expression:
    """A condition as PyArrow's expression. Raises OptionError and ColumnError."""
    if isinstance(condition, pc.Expression):
        return condition
    if isinstance(condition, tuple):
        return _triple(condition, manifest)
    if isinstance(condition, list) and condition:
        if all(isinstance(part, list) for part in condition):
            return reduce(operator.or_, (expression(part, manifest) for part in condition))
        return reduce(operator.and_, (expression(part, manifest) for part in condition))
    raise OptionError(
        f"filter takes a triple such as ('label', '==', 3), a list of triples or a pyarrow.compute expression, "
        f"not {condition!r}"
    )


def _triple(condition: tuple[Any, ...], manifest: Manifest) -> pc.Expression:
    if len(condition) != 3 or condition[1] not in _OPERATORS:
        raise OptionError(
            f"filter: {condition!r} is not (column, operator, value); operators are {', '.join(_OPERATORS)}"
        )
    name, sign, value = condition
    column = pc.field(*manifest.column(name).path)
    if sign in _COMPARE:
        if value is None:
            raise OptionError(
                f"filter: nothing is {sign} None, as in SQL; pyarrow.compute.field({name!r}).is_null() finds nulls"
            )
        return _COMPARE[sign](column, value)
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        raise OptionError(f"filter: {sign!r} takes a list of values, not {value!r}")
    values = list(value)
    if None in values:
        raise OptionError(f"filter: {condition!r} has None in its list, which matches nothing in SQL; leave it out")
    if not values:
        return column.is_valid() if sign == "not in" else pc.scalar(False)
    inside = column.isin(values)
    return inside if sign == "in" else ~inside & column.is_valid()


def matching(condition: pc.Expression, manifest: Manifest, readers: Readers, rows: Rows) -> Int64s:
    """The positions in `rows`, ascending, of the rows for which a condition is true.

    readers: makes a reader for columns, by their numbers. Of shards that come from elsewhere several are looked at at
    once.
    """
    starts = manifest.shards.row_starts
    firsts, stops = rows.positions(starts[:-1]), rows.positions(starts[1:])
    wanted = [shard for shard in range(len(firsts)) if firsts[shard] < stops[shard]]
    if not wanted:
        return np.empty(0, np.int64)
    reader = _reader(condition, manifest, readers, wanted[0])

    def kept(shard: int) -> Int64s:
        positions = np.arange(firsts[shard], stops[shard], dtype=np.int64)
        mask = _mask(condition, manifest, reader, shard)
        out: Int64s = positions[mask[rows.at(positions) - starts[shard]]]
        return out

    with StoppingThreads(CONNECTIONS if reader.maps.fetches else 1, "dlcache-filter") as pool:
        return np.concatenate(list(pool.map(kept, wanted)))


def _reader(condition: pc.Expression, manifest: Manifest, readers: Readers, shard: int) -> ShardReader:
    """The reader for the columns that a condition names. PyArrow does not tell them, so they are those whose names are
    in its text. If it cannot be evaluated on them, and can on all, it is the reader for all."""
    text = str(condition)
    if "FieldPath(" in text:  # a column by its place in the file
        return readers(range(len(manifest.columns)))
    tops = {column.path[0] for column in manifest.columns}
    names = {name for name in tops if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)}
    named = [number for number, column in enumerate(manifest.columns) if column.path[0] in names]
    reader = readers(named)
    if reader.maps.fetches and len(named) < len(manifest.columns):
        schema = _fragment(manifest, reader, shard).physical_schema
        some = pa.schema([field for field in schema if field.name in names])
        if not _fits(condition, some) and _fits(condition, schema):
            return readers(range(len(manifest.columns)))
    return reader


def _fits(condition: pc.Expression, schema: pa.Schema) -> bool:
    """True if a condition can be evaluated on these columns."""
    try:
        pads.dataset(schema.empty_table()).scanner(columns={"kept": condition}).to_table()
    except (pa.ArrowException, TypeError):
        return False
    return True


def _fragment(manifest: Manifest, reader: ShardReader, shard: int) -> pads.ParquetFileFragment:
    """A shard as PyArrow reads it, its footer read."""
    file = pads.ParquetFileFormat().make_fragment(pa.py_buffer(reader.maps.file(shard)))
    try:
        file.ensure_complete_metadata()
    except (pa.ArrowException, OSError) as error:
        raise ShardError(
            f"cannot read the footer of {manifest.shards.paths[shard]}: {error}; the file is damaged, write the "
            "dataset again"
        ) from error
    return file


def _mask(
    condition: pc.Expression, manifest: Manifest, reader: ShardReader, shard: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """True for the rows of a shard that match."""
    shards = manifest.shards
    out = np.zeros(int(shards.rows[shard]), bool)
    size = int(shards.row_group_rows[shard])
    file = _fragment(manifest, reader, shard)
    try:
        for part in file.split_by_row_group(filter=condition):
            column = part.scanner(columns={"kept": condition}).to_table()["kept"]
            if not pa.types.is_boolean(column.type):
                raise OptionError(f"filter: {condition} is of type {column.type}, and not true or false")
            start = part.row_groups[0].id * size
            mask = column.fill_null(False).to_numpy()
            if start + len(mask) > len(out):
                raise ShardError(
                    f"{shards.paths[shard]} has other rows than its manifest says; write the dataset again"
                )
            out[start : start + len(mask)] = mask
    except (pa.ArrowException, TypeError) as error:
        raise OptionError(
            f"filter: {condition} cannot be evaluated: {error}. The columns are {_names(manifest)}; a field b of a "
            "struct a is pyarrow.compute.field('a', 'b')"
        ) from error
    except OSError as error:
        raise ShardError(
            f"cannot read {shards.paths[shard]}: {error}; the file is damaged, write the dataset again"
        ) from error
    return out


def _names(manifest: Manifest) -> str:
    names: Sequence[str] = [column.name for column in manifest.columns]
    return ", ".join(names[:20])
