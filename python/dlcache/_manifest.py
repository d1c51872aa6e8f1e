"""What is in a dataset: the manifest of docs/format.md, parsed and checked. Pure.

A manifest is input from outside. Every number, shape and path in it is checked here, before anything uses it, so that
the rest of the package can do arithmetic on it. What is wrong is a `ManifestError`.
"""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ._chunks import ChunkTable, parse_chunks
from ._errors import ColumnError, ManifestError, unknown_column
from ._json import INT64_MAX, Fields, unique_members
from ._layout import is_shard_path
from ._manifest_checksum import KEY, check_manifest
from ._names import column_names
from ._spark_schema import labels, leaves

FORMAT_VERSION = 1
MAX_ROWS = 1 << 47

STORAGES = frozenset(["scalar", "tensor", "ragged", "string", "binary", "nested"])
STORED_WIDTH = {"int32": 4, "int64": 8, "float32": 4, "float64": 8}
_STORED_AS = {
    "bool": "bit",
    "int8": "int32",
    "int16": "int32",
    "int32": "int32",
    "int64": "int64",
    "float32": "float32",
    "float64": "float64",
}
_LOGICALS = frozenset(
    ["date", "timestamp", "timestamp_ntz", "time", "decimal", "year-month-interval", "day-time-interval"]
)
_STATISTICS = frozenset(["count", "min", "max", "mean", "variance", "classes"])

Decimals = Literal["float", "unscaled", "object"]
"""What decimals are delivered as. `float`: numbers of the dataset's `dtype`. `unscaled`: exact integers, the number
times 10^scale. `object`: `decimal.Decimal` objects."""


@dataclass(frozen=True, slots=True)
class PlanKey:
    """The identity of the query that the rows are the result of."""

    scope: str
    digest: str
    application_id: str | None


@dataclass(frozen=True, slots=True)
class Column:
    """How one column is stored, over all shards: one entry of `columns` in docs/format.md, 2.1.

    path: the names of its fields from the top, which no other column has. name: what users call it, unique too; see
    `column_names`.
    """

    name: str
    path: tuple[str, ...]
    storage: str
    dtype: np.dtype[Any] | None
    stored_dtype: str | None
    shape: tuple[int, ...] | None
    lengths: tuple[int, int] | None
    logical: str | None
    precision: int | None
    scale: int | None
    udt: str | None
    nulls: int
    null_elements: int
    statistics: Mapping[str, Any] | None
    packed: tuple[str, ...] | None = None
    """The names of its elements, if it is a packed column: `pack` of the write."""
    labels: tuple[str, ...] | None = None
    """The names of the classes 0, 1, ..., if it is a categorical column of Spark ML."""
    decimals: Decimals = "unscaled"
    """How its decimals, and those inside its values, are delivered. Stored are unscaled values."""

    @property
    def divides(self) -> bool:
        """Whether the numbers that are delivered are the stored ones / 10^scale."""
        return self.logical == "decimal" and self.decimals == "float"

    @property
    def elements(self) -> int:
        """Elements of one row, for scalars and tensors."""
        count = 1
        for side in self.shape or ():
            count *= side
        return count


@dataclass(frozen=True, slots=True)
class Shards:
    """The shards, as one array for each attribute: there may be many."""

    paths: tuple[str, ...]
    version: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    bytes: npt.NDArray[np.int64]
    crc32: npt.NDArray[np.int64]
    row_group_rows: npt.NDArray[np.int64]
    row_starts: npt.NDArray[np.int64]
    """The first row id of each shard, and the number of rows at the end."""
    group_starts: npt.NDArray[np.int64]
    """The number of row groups before each shard, and of all at the end."""

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def of_groups(self) -> npt.NDArray[np.int64]:
        """The shard of each row group."""
        return np.repeat(np.arange(len(self)), np.diff(self.group_starts))

    def block_starts(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """The first row id of each row group of shards `first .. last-1`, and where the last one ends."""
        groups = np.diff(self.group_starts[first : last + 1])
        shard = np.repeat(np.arange(first, last), groups)
        number = np.arange(len(shard)) - np.repeat(self.group_starts[first:last] - self.group_starts[first], groups)
        starts = self.row_starts[shard] + number * self.row_group_rows[shard]
        return np.append(starts, self.row_starts[last])


@dataclass(frozen=True)
class Manifest:
    """One version of a dataset.

    columns: as loaders deliver them with the option `decimals`. stored: as the manifest describes them.
    """

    dataset_id: str
    version: int
    created_at: datetime
    created_by: str
    plan_key: PlanKey
    explanation: Any
    schema: Mapping[str, Any]
    columns: tuple[Column, ...]
    rows: int
    bytes: int
    shards: Shards
    chunks: tuple[ChunkTable, ...]
    options: Mapping[str, str]
    ttl: timedelta | None
    stored: tuple[Column, ...]
    decimals: Decimals = "unscaled"

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {column.name: number for number, column in enumerate(self.columns)}

    def index(self, name: str) -> int:
        """The number of the column `name`; ColumnError if there is none."""
        number = self._by_name.get(name) if isinstance(name, str) else None
        if number is None:
            raise self.no_column(name, self._by_name)
        return number

    def column(self, name: str) -> Column:
        return self.columns[self.index(name)]

    @cached_property
    def packed_elements(self) -> dict[str, tuple[str, int]]:
        """The columns of the DataFrame that are packed: each with the name of its packed column and its place there."""
        return {name: (column.name, place) for column in self.columns for place, name in enumerate(column.packed or ())}

    def no_column(self, name: object, known: Iterable[str], where: str = "the dataset") -> ColumnError:
        """The error for a column that is not there, or is there only as an element of a packed one."""
        if not isinstance(name, str) or name not in self.packed_elements:
            return unknown_column(name, known, where)
        packed, place = self.packed_elements[name]
        return ColumnError(
            f"{where} has {name!r} as an element of the packed column {packed!r}: "
            f"read {packed!r} and take its [:, {place}]"
        )


def parse(text: str | bytes, where: str) -> Manifest:
    """The manifest in `text`, checked; `where` is its path, for messages. Raises ManifestError."""
    document = _json(text, where)
    top = Fields(document, where, "the manifest")
    known = top.integer("format-version", 0)
    if known != FORMAT_VERSION:
        raise ManifestError(
            f"{where} has format-version {known}, and this dlcache reads {FORMAT_VERSION}; "
            "use the dlcache that wrote it"
        )
    check_manifest(text, top.get(KEY), where)
    columns = _columns(top)
    shards = _shards(top, len(columns))
    rows = top.integer("rows", 0, MAX_ROWS)
    size = top.integer("bytes", 0)
    if rows != int(shards.row_starts[-1]):
        raise top.error(f"rows is {rows}, and its shards have {int(shards.row_starts[-1])}")
    if size != int(shards.bytes.sum()):
        raise top.error(f"bytes is {size}, and its shards have {int(shards.bytes.sum())}")
    schema = top.mapping("schema")
    if schema.get("type") != "struct" or not isinstance(schema.get("fields"), list):
        raise top.error("schema is not a struct in Spark's JSON")
    classes = {path: labels(field) for path, field in leaves(schema)}
    columns = tuple(replace(column, labels=classes.get(column.path)) for column in columns)
    chunks = parse_chunks(
        [_chunk_lists(shard, len(columns), where) for shard in top.sequence("shards")], columns, shards, where
    )
    ttl = top.optional_integer("ttl-seconds", 0, 1 << 36)
    options = top.mapping("options")
    if not all(isinstance(value, str) for value in options.values()):
        raise top.error("options has a value that is not a string")
    return Manifest(
        dataset_id=top.text("dataset-id"),
        version=top.integer("version", 1),
        created_at=_instant(top),
        created_by=top.text("created-by"),
        plan_key=_plan_key(top.child("plan-key")),
        explanation=top.get("explanation"),
        schema=schema,
        columns=columns,
        rows=rows,
        bytes=size,
        shards=shards,
        chunks=chunks,
        options=options,
        ttl=None if ttl is None else timedelta(seconds=ttl),
        stored=columns,
    )


def _json(text: str | bytes, where: str) -> Any:
    """A large manifest makes millions of objects and no garbage: the collector would look at them again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text, parse_constant=_no_constant, object_pairs_hook=unique_members)
    except (ValueError, RecursionError) as error:
        raise ManifestError(f"{where} is not JSON: {error}; the file is damaged, write the dataset again") from error
    finally:
        if collecting:
            gc.enable()


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _instant(top: Fields) -> datetime:
    text = top.text("created-at")
    try:
        instant = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise top.error(f"created-at is {text!r}, not a time such as 2026-11-23T08:15:30.123Z") from error
    if instant.tzinfo is None:
        raise top.error(f"created-at is {text!r}, without a time zone")
    return instant


def _plan_key(key: Fields) -> PlanKey:
    digest = key.text("digest")
    if len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
        raise key.error(f"digest is {digest!r}, not 64 hexadecimal digits")
    return PlanKey(key.choice("scope", ("durable", "session", "user")), digest, key.optional_text("application-id"))


def _columns(top: Fields) -> tuple[Column, ...]:
    columns = tuple(_column(Fields(entry, top.where, f"column {n}")) for n, entry in enumerate(top.sequence("columns")))
    paths = [column.path for column in columns] + [(name,) for column in columns for name in column.packed or ()]
    if len(set(paths)) != len(paths):
        raise top.error("two columns have one path")
    names = iter(column_names(paths))
    columns = tuple(replace(column, name=next(names)) for column in columns)
    return tuple(
        column if column.packed is None else replace(column, packed=tuple(next(names) for _ in column.packed))
        for column in columns
    )


def _column(entry: Fields) -> Column:
    name = entry.text("name")
    path = entry.texts("path")
    if not path or ".".join(path) != name:
        raise entry.error(f"name {name!r} is not its path {list(path)!r}")
    storage = entry.choice("storage", STORAGES)
    dtype = entry.optional_choice("dtype", _STORED_AS)
    stored = entry.optional_choice("stored-dtype", ("bit", *STORED_WIDTH))
    shape = entry.optional_integers("shape", 1)
    lengths = entry.optional_integers("lengths", 0)
    logical = entry.optional_choice("logical", _LOGICALS)
    nulls, null_elements = entry.integer("nulls", 0), entry.integer("null-elements", 0)
    if (dtype is None) != (stored is None) or (dtype is not None and _STORED_AS[dtype] != stored):
        raise entry.error(f"dtype {dtype} is not stored as {stored}")
    if storage in ("tensor", "ragged") and dtype is None:
        raise entry.error(f"a {storage} column needs a dtype")
    if storage == "scalar" and dtype is None and logical not in (None, "decimal"):
        raise entry.error(f"a scalar of logical type {logical} needs a dtype")
    if storage in ("string", "binary", "nested") and dtype is not None:
        raise entry.error(f"a {storage} column has no dtype")
    if (storage == "tensor") != (shape is not None):
        raise entry.error(f"a {storage} column with shape {shape}")
    if storage == "tensor" and (nulls or null_elements):
        raise entry.error("a tensor column has nulls")
    if lengths is not None and (len(lengths) != 2 or lengths[0] > lengths[1]):
        raise entry.error(f"lengths {list(lengths)} is not [min, max]")
    packed = None if entry.get("elements") is None else entry.texts("elements")
    if packed is not None and shape != (len(packed),):
        raise entry.error(f"elements has {len(packed)} names, and shape is {shape}")
    column = Column(
        name=name,
        path=path,
        storage=storage,
        dtype=None if dtype is None else np.dtype(dtype),
        stored_dtype=stored,
        shape=shape,
        lengths=None if lengths is None else (lengths[0], lengths[1]),
        logical=logical,
        precision=entry.optional_integer("precision", 1, 38),
        scale=entry.optional_integer("scale", -38, 38),
        udt=entry.optional_choice("udt", ("ml", "mllib")),
        packed=packed,
        nulls=nulls,
        null_elements=null_elements,
        statistics=_statistics(entry),
    )
    if column.elements >= 1 << 31:
        raise entry.error(f"shape {list(shape or ())} has more than 2^31 elements")
    return column


def _statistics(entry: Fields) -> Mapping[str, Any] | None:
    """What docs/format.md, 2.3 knows, checked."""
    given = entry.optional_mapping("statistics")
    if given is None:
        return None
    found = {name: value for name, value in given.items() if name in _STATISTICS}
    sizes = set()
    for name, value in found.items():
        if name in ("min", "max", "mean", "variance"):
            if isinstance(value, list):
                sizes.add(len(value))
            if not all(map(_is_number, value)) if isinstance(value, list) else not _is_number(value, null=False):
                raise entry.error(f"statistics has the {name} {value!r:.80}, which is not a number or a list of them")
        elif name == "classes":
            if not (isinstance(value, list) and all(map(_is_class, value))):
                raise entry.error("statistics has classes that are not [value, count]")
        elif name == "count" and not (type(value) is int and 0 <= value <= MAX_ROWS << 31):
            raise entry.error(f"statistics has the count {value!r:.80}")
    variance: Any = found.get("variance")
    variances: list[Any] = variance if isinstance(variance, list) else [variance]
    if any(type(value) in (int, float) and value < 0 for value in variances):
        raise entry.error("statistics has a negative variance")
    elements = math.prod(entry.optional_integers("shape", 1) or (1,))
    if sizes - {elements}:
        raise entry.error(f"statistics has lists of {sorted(sizes)} numbers, and a row has {elements}")
    return found


def _is_number(value: Any, null: bool = True) -> bool:
    if value is None:
        return null
    if type(value) is int:
        return -INT64_MAX - 1 <= value <= INT64_MAX
    return type(value) is float or value in ("Infinity", "-Infinity")


def _is_class(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], (bool, int, str))
        and type(value[1]) is int
        and 0 <= value[1] <= MAX_ROWS
    )


def _shards(top: Fields, columns: int) -> Shards:
    entries = top.sequence("shards")
    if not all(isinstance(entry, dict) for entry in entries):
        raise top.error("a shard is not an object")
    paths = tuple(_shard_path(entry.get("path"), top) for entry in entries)
    if len(set(paths)) != len(paths):
        raise top.error("two shards have one path")
    rows = top.column_of_integers(entries, "rows", 1, MAX_ROWS)
    group = top.column_of_integers(entries, "row-group-rows", 1, (1 << 31) - 1)
    size = top.column_of_integers(entries, "bytes", 12, 1 << 53)
    if sum(rows.tolist()) > MAX_ROWS or sum(size.tolist()) >= 1 << 62:
        raise top.error("its shards have more rows or bytes than a dataset can have")
    groups = -(-rows // group)
    if (groups > size).any():
        raise top.error("a shard has more row groups than bytes")
    return Shards(
        paths=paths,
        version=top.column_of_integers(entries, "version", 1),
        rows=rows,
        bytes=size,
        crc32=top.column_of_integers(entries, "crc32", 0, (1 << 32) - 1),
        row_group_rows=group,
        row_starts=np.concatenate([[0], np.cumsum(rows)]).astype(np.int64),
        group_starts=np.concatenate([[0], np.cumsum(groups)]).astype(np.int64),
    )


def _shard_path(path: Any, top: Fields) -> str:
    """A name that dlcache gives: one folder, one plain name with a UUID, nothing that leads elsewhere."""
    if isinstance(path, str) and is_shard_path(path):
        return path
    raise top.error(f"a shard has the path {path!r}, which is not data/<name with a UUID>.parquet")


def _chunk_lists(shard: Mapping[str, Any], columns: int, where: str) -> Sequence[Any]:
    chunks = shard.get("chunks")
    if not isinstance(chunks, list) or len(chunks) != columns:
        raise ManifestError(
            f"{where}: chunks of shard {shard.get('path')!r} is not a list of one entry for each column"
        )
    return chunks
