"""A small writer of datasets as docs/format.md says, for tests of the readers: pyarrow, NumPy and nothing else.

It writes ordinary Parquet with pyarrow, one uncompressed PLAIN page per chunk, and finds the values of raw chunks as
the last bytes of their pages. So values are not aligned here, which a reader must bear. Row indexes lie between the
pages and a second copy of the footer.
"""

from __future__ import annotations

import inspect
import json
import os
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

STORED = {
    "bool": "bit",
    "int8": "int32",
    "int16": "int32",
    "int32": "int32",
    "int64": "int64",
    "float32": "float32",
    "float64": "float64",
}


def write(
    path: str | os.PathLike[str],
    table: pa.Table,
    *,
    shard_rows: int | None = None,
    row_group_rows: int = 1000,
    compression: str = "none",
    append: bool = False,
    aligned: bool = False,
    **top: Any,
) -> Path:
    """Write a table as a dataset, or append it as a new version. `top` replaces members of the manifest.
    aligned: let the values that it names be copies at addresses that are multiples of 64, as the connector's are."""
    root = Path(path)
    (root / "_dlcache").mkdir(parents=True, exist_ok=True)
    (root / "data").mkdir(exist_ok=True)
    versions = sorted((root / "_dlcache").glob("*.json"))
    before = json.loads(versions[-1].read_text()) if append else None
    version = len(versions) + 1
    whole = table if before is None else pa.concat_tables([read(root, before), table])
    columns = [_column(path_, leaf(whole, path_)) for path_ in _leaves(table)]
    shards = [_as_now(shard, columns) for shard in before["shards"]] if before else []
    step = shard_rows or max(1, table.num_rows)
    for start in range(0, table.num_rows, step):
        name = f"data/part-{len(shards)}-{uuid.uuid4()}.parquet"
        shards.append(
            _shard(root, name, table.slice(start, step), columns, row_group_rows, compression, version, aligned)
        )
    manifest = {
        "format-version": 1,
        "dataset-id": before["dataset-id"] if before else str(uuid.uuid4()),
        "version": version,
        "created-at": "2026-11-23T08:15:30.123Z",
        "created-by": "tests",
        "plan-key": {"scope": "durable", "digest": "ab" * 32},
        "schema": {"type": "struct", "fields": list(filter(None, map(_spark_field, table.schema)))},
        "columns": columns,
        "rows": sum(shard["rows"] for shard in shards),
        "bytes": sum(shard["bytes"] for shard in shards),
        "shards": shards,
        "options": {},
        **top,
    }
    (root / "_dlcache" / f"{version:020d}.json").write_text(json.dumps(manifest))
    return root


def read(root: Path, manifest: dict[str, Any]) -> pa.Table:
    """All rows of a version, by pyarrow: what a reader must deliver."""
    return pa.concat_tables([pq.read_table(root / shard["path"], partitioning=None) for shard in manifest["shards"]])


def _as_now(shard: dict[str, Any], columns: list[dict[str, Any]]) -> dict[str, Any]:
    """A shard of an older version: what was a tensor column and is ragged now has no row index there."""
    chunks = [
        None if entry is not None and column["storage"] in ("ragged", "nested") and -1 in entry[2::3] else entry
        for entry, column in zip(shard["chunks"], columns, strict=True)
    ]
    return {**shard, "chunks": chunks}


def leaf(table: pa.Table, path: Sequence[str]) -> pa.Array:
    array = pa.concat_arrays(table[path[0]].chunks) if table.num_rows else pa.array([], table[path[0]].type)
    for name in path[1:]:
        array = array.flatten()[array.type.get_field_index(name)]
    return array


def _leaves(table: pa.Table) -> list[tuple[str, ...]]:
    def walk(field: pa.Field, path: tuple[str, ...]) -> list[tuple[str, ...]]:
        if pa.types.is_struct(field.type):
            return [found for child in field.type for found in walk(child, (*path, child.name))]
        return [path]

    return [found for field in table.schema for found in walk(field, (field.name,))]


def _column(path: Sequence[str], array: pa.Array) -> dict[str, Any]:
    out: dict[str, Any] = {"name": ".".join(path), "path": list(path), "nulls": array.null_count, "null-elements": 0}
    flat, shape, ragged = array, [], False
    while pa.types.is_list(flat.type):
        lengths = pc.list_value_length(flat).drop_null().to_numpy(zero_copy_only=False)
        ragged |= len(lengths) == 0 or len(set(lengths.tolist())) > 1 or flat.null_count > 0 or lengths.min() == 0
        shape.append(int(lengths.max(initial=0)))
        flat = flat.flatten()
    dtype, logical = _dtype(flat.type)
    if shape:
        out["null-elements"] = flat.null_count
        if dtype is None or logical not in (None, "decimal") or (len(shape) > 1 and (ragged or flat.null_count)):
            return {**out, "storage": "nested"}
        if ragged or flat.null_count:
            out["storage"] = "ragged"
            lengths = pc.list_value_length(array).drop_null().to_numpy(zero_copy_only=False)
            if len(lengths):
                out["lengths"] = [int(lengths.min()), int(lengths.max())]
        else:
            out |= {"storage": "tensor", "shape": shape}
    elif pa.types.is_string(flat.type) or pa.types.is_binary(flat.type):
        out["storage"] = "string" if pa.types.is_string(flat.type) else "binary"
        lengths = pc.binary_length(flat).drop_null().to_numpy(zero_copy_only=False)
        if len(lengths):
            out["lengths"] = [int(lengths.min()), int(lengths.max())]
    elif pa.types.is_map(flat.type):
        return {**out, "storage": "nested"}
    else:
        out["storage"] = "scalar"
    if dtype:
        out |= {"dtype": dtype, "stored-dtype": STORED[dtype]}
    if logical:
        out["logical"] = logical
    if pa.types.is_decimal(flat.type):
        out |= {"precision": flat.type.precision, "scale": flat.type.scale}
    return out


def _spark_field(field: pa.Field) -> dict[str, Any] | None:
    """The field as Spark's JSON has it: of those that readers look at, arrays of decimals."""
    if not pa.types.is_list(field.type) or not pa.types.is_decimal(field.type.value_type):
        return None
    element = f"decimal({field.type.value_type.precision},{field.type.value_type.scale})"
    kind = {"type": "array", "elementType": element, "containsNull": True}
    return {"name": field.name, "type": kind, "nullable": True, "metadata": {}}


def _dtype(kind: pa.DataType) -> tuple[str | None, str | None]:
    if pa.types.is_boolean(kind):
        return "bool", None
    if pa.types.is_date32(kind):
        return "int32", "date"
    if pa.types.is_timestamp(kind):
        return "int64", "timestamp" if kind.tz else "timestamp_ntz"
    if pa.types.is_time64(kind):
        return "int64", "time"
    if pa.types.is_decimal(kind):
        return (None if kind.precision > 18 else "int64" if kind.precision > 9 else "int32"), "decimal"
    names = {pa.float32(): "float32", pa.float64(): "float64"}
    return names.get(kind) or (str(kind) if pa.types.is_signed_integer(kind) else None), None


def _shard(
    root: Path,
    name: str,
    table: pa.Table,
    columns: list[dict[str, Any]],
    row_group_rows: int,
    compression: str,
    version: int,
    aligned: bool,
) -> dict[str, Any]:
    path = root / name
    options: dict[str, Any] = {"max_rows_per_page": 1 << 30, "store_decimal_as_integer": True}
    known = inspect.signature(pq.ParquetWriter.__init__).parameters
    pq.write_table(
        table,
        path,
        row_group_size=row_group_rows,
        compression=compression,
        use_dictionary=False,
        data_page_size=1 << 30,
        data_page_version="1.0",
        write_page_checksum=True,
        **{key: value for key, value in options.items() if key in known},
    )
    footer = pq.read_metadata(path)
    blob = bytearray(path.read_bytes())
    tail = bytes(blob[-8 - struct.unpack("<I", blob[-8:-4])[0] :])
    chunks: list[list[int]] = [[] for _ in columns]
    for group in range(footer.num_row_groups):
        part = table.slice(group * row_group_rows, row_group_rows)
        row_group = footer.row_group(group)
        first = 0
        for number, column in enumerate(columns):
            path_ = tuple(column["path"])
            meta = row_group.column(first)
            first += _parquet_columns(leaf(part, path_).type)
            raw = compression == "none" and column["storage"] != "nested"
            raw &= column.get("logical") != "decimal" or "store_decimal_as_integer" in known
            chunks[number] += _chunk(blob, meta, leaf(part, path_), column, aligned) if raw else [-1, 0, -1]
    blob += tail
    path.write_bytes(blob)
    return {
        "path": name,
        "version": version,
        "rows": table.num_rows,
        "bytes": len(blob),
        "crc32": zlib.crc32(blob),
        "row-group-rows": row_group_rows,
        "chunks": [entry if any(at >= 0 for at in entry[::3]) else None for entry in chunks],
    }


def _parquet_columns(kind: pa.DataType) -> int:
    if pa.types.is_map(kind):
        return _parquet_columns(kind.key_type) + _parquet_columns(kind.item_type)
    if pa.types.is_struct(kind):
        return sum(_parquet_columns(field.type) for field in kind)
    return _parquet_columns(kind.value_type) if pa.types.is_list(kind) else 1


def _chunk(blob: bytearray, meta: Any, array: pa.Array, column: dict[str, Any], aligned: bool) -> list[int]:
    """The entry of one chunk; its row index, if it has one, goes to the end of `blob`."""
    storage, stored = column["storage"], column.get("stored-dtype")
    index: np.ndarray[Any, Any] | None = None
    flat = array
    while pa.types.is_list(flat.type):
        flat = flat.flatten()
    if storage in ("string", "binary"):
        lengths = pc.cast(pc.binary_length(array), pa.int64())
        index = np.concatenate([[0], np.cumsum(pc.fill_null(pc.add(lengths, 4), 0).to_numpy(zero_copy_only=False))])
        size = int(index[-1])
    elif array.null_count or flat.null_count or stored is None or (storage == "ragged" and stored == "bit"):
        return [-1, 0, -1]
    else:
        size = -(-len(flat) // 8) if stored == "bit" else len(flat) * np.dtype(stored).itemsize
        if storage == "ragged":
            index = np.concatenate([[0], np.cumsum(pc.list_value_length(array).to_numpy(zero_copy_only=False))])
    start = meta.data_page_offset + meta.total_compressed_size - size
    if aligned:
        start = _append(blob, bytes(blob[start : start + size]))
    return [start, size, -1 if index is None else _append(blob, index.astype("<i4").tobytes())]


def _append(blob: bytearray, data: bytes) -> int:
    """Where in `blob` these bytes are then."""
    blob += b"\0" * (-len(blob) % 64)
    blob += data
    return len(blob) - len(data)
