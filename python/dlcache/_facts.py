"""What people want to know of a dataset, from its manifest alone. Pure: the command line and notebooks show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from ._chunks import ChunkTable
from ._leases import utc
from ._manifest import Column, Manifest


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column. type: dtype and meaning. shape: of one row, as text. raw: all its values can be mapped; why_not_raw
    says why if not. summary: least, greatest and mean value over all elements, where the writer counted them."""

    name: str
    type: str
    storage: str
    shape: str
    nulls: int
    raw: bool
    why_not_raw: str | None
    summary: dict[str, float]


def column_facts(manifest: Manifest, name: str) -> ColumnFacts:
    """The facts of one column. Raises ColumnError."""
    number = manifest.index(name)
    column, table = manifest.columns[number], manifest.chunks[number]
    raw = table.all_raw
    return ColumnFacts(
        name,
        _type(column),
        column.storage,
        _shape(column),
        column.nulls,
        raw,
        None if raw else _why_not_raw(column, table, manifest),
        _summary(column),
    )


def _type(column: Column) -> str:
    name = column.dtype.name if column.dtype is not None else column.storage
    if column.logical == "decimal":
        return f"decimal({column.precision}, {column.scale})"
    vector = f"{column.udt} vector" if column.udt else None
    packed = f"{len(column.packed)} columns packed" if column.packed else None
    notes = [note for note in (column.logical, vector, packed) if note is not None]
    return f"{name} ({', '.join(notes)})" if notes else name


def _shape(column: Column) -> str:
    if column.shape is not None:
        return str(list(column.shape))
    if column.lengths is None:
        return ""
    least, most = column.lengths
    unit = " bytes" if column.storage in ("string", "binary") else ""
    return f"{least}{unit}" if least == most else f"{least} .. {most}{unit}"


def _why_not_raw(column: Column, table: ChunkTable, manifest: Manifest) -> str:
    codec = next((value for name, value in manifest.options.items() if name.lower() == "compression"), "uncompressed")
    if column.storage == "nested":
        return "nested values have no array"
    if codec.lower() not in ("uncompressed", "none"):
        return f"compressed with {codec}"
    if column.storage == "scalar" and column.dtype is None:
        return "values of this type have no NumPy dtype"
    if column.null_elements:
        return f"{column.null_elements:,} elements are null"
    if column.nulls and column.storage not in ("string", "binary"):
        return f"{column.nulls:,} rows are null"
    groups = int(manifest.shards.group_starts[-1])
    return f"{groups - int((table.offset >= 0).sum()):,} of {groups:,} row groups are not raw"


def _summary(column: Column) -> dict[str, float]:
    """min, max and mean over all elements: of a small tensor the statistics are one number for each element."""
    merge: dict[str, Callable[[list[float]], float]] = {"min": min, "max": max, "mean": fmean}
    statistics = column.statistics or {}
    found: dict[str, float] = {}
    for name, function in merge.items():
        value: Any = statistics.get(name)
        try:
            found[name] = function([float(item) for item in (value if isinstance(value, list) else [value])])
        except (TypeError, ValueError):
            continue  # not counted, or a column of text
    return found


def column_json(manifest: Manifest, name: str) -> dict[str, Any]:
    """One column as JSON: the manifest's own words, and whether it is raw."""
    facts, column = column_facts(manifest, name), manifest.column(name)
    return {
        "name": name,
        "storage": column.storage,
        "dtype": None if column.dtype is None else column.dtype.name,
        "shape": None if column.shape is None else list(column.shape),
        "lengths": None if column.lengths is None else list(column.lengths),
        "logical": column.logical,
        "udt": column.udt,
        "nulls": column.nulls,
        "null-elements": column.null_elements,
        "raw": facts.raw,
        "why-not-raw": facts.why_not_raw,
        "statistics": column.statistics,
    }


def expires_at(manifest: Manifest) -> str | None:
    """When the time to live of a dataset ends, or None if it has no end."""
    return None if manifest.ttl is None else utc(manifest.created_at + manifest.ttl)


def dataset_json(path: str, manifest: Manifest) -> dict[str, Any]:
    """A dataset in a few numbers, as JSON."""
    key = manifest.plan_key
    return {
        "path": path,
        "version": manifest.version,
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "shards": len(manifest.shards),
        "created-at": utc(manifest.created_at),
        "expires-at": expires_at(manifest),
        "scope": key.scope,
        "digest": key.digest,
        "application-id": key.application_id,
    }
