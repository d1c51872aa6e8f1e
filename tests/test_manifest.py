from __future__ import annotations

import copy
import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from _tables import table
from _writer import write
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from dlcache import ManifestError
from dlcache._manifest import parse


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    source = table(["int64", "bool", "tensor", "ragged", "string", "decimal18", "null_int", "map", "struct"], 50)
    root = write(tmp_path_factory.mktemp("manifest"), source, shard_rows=20, row_group_rows=8)
    loaded: dict[str, Any] = json.loads((root / "_dlcache" / f"{1:020d}.json").read_text())
    return loaded


def put(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> str:
    """The document's text, with one member replaced, or removed where `value` is Ellipsis."""
    changed = copy.deepcopy(document)
    at: Any = changed
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return json.dumps(changed)


def test_a_manifest_is_read_whole(document: dict[str, Any]) -> None:
    manifest = parse(json.dumps(document), "here")
    assert manifest.rows == 50
    assert len(manifest.shards) == 3
    assert manifest.shards.row_starts.tolist() == [0, 20, 40, 50]
    assert manifest.shards.group_starts.tolist() == [0, 3, 6, 8]
    assert manifest.shards.block_starts(0, 3).tolist() == [0, 8, 16, 20, 28, 36, 40, 48, 50]
    assert manifest.shards.block_starts(1, 2).tolist() == [20, 28, 36, 40]
    assert manifest.column("tensor").shape == (6,)
    assert manifest.column("struct.x").path == ("struct", "x")
    assert manifest.column("decimal18").scale == 2
    assert manifest.chunks[manifest.index("int64")].all_raw
    assert not manifest.chunks[manifest.index("map")].all_raw


def test_keys_that_are_not_known_are_ignored(document: dict[str, Any]) -> None:
    assert parse(json.dumps({**document, "colour": {"x": [1]}}), "here").rows == 50


DAMAGE: list[tuple[tuple[Any, ...], Any]] = [
    (("format-version",), 2),
    (("format-version",), ...),
    (("dataset-id",), 7),
    (("version",), 0),
    (("version",), True),
    (("created-at",), "yesterday"),
    (("created-at",), "2026-11-23T08:15:30"),
    (("plan-key",), None),
    (("plan-key", "scope"), "global"),
    (("plan-key", "digest"), "AB" * 32),
    (("schema",), []),
    (("schema",), {"type": "array"}),
    (("rows",), 51),
    (("rows",), 50.0),
    (("bytes",), 1),
    (("options",), {"a": 1}),
    (("ttl-seconds",), -1),
    (("ttl-seconds",), 1 << 60),
    (("shards",), {}),
    (("shards", 0), None),
    (("shards", 0, "path"), "data/../../x.parquet"),
    (("shards", 0, "path"), "/etc/x.parquet"),
    (("shards", 0, "path"), "data/a/b.parquet"),
    (("shards", 0, "path"), "data/..\\x.parquet"),
    (("shards", 0, "path"), "s3://x/y.parquet"),
    (("shards", 0, "path"), "data/.x.parquet"),
    (("shards", 0, "path"), "data/\0.parquet"),
    (("shards", 0, "path"), "data/part-0.parquet"),
    (("shards", 0, "path"), "data/a b-00000000-0000-0000-0000-000000000000.parquet"),
    (("shards", 0, "path"), "data/x00000000-0000-0000-0000-000000000000.parquet"),
    (("shards", 0, "rows"), 0),
    (("shards", 0, "rows"), 1 << 62),
    (("shards", 0, "rows"), 1 << 70),
    (("shards", 0, "rows"), "20"),
    (("shards", 0, "bytes"), -5),
    (("shards", 0, "bytes"), 1 << 60),
    (("shards", 0, "crc32"), 1 << 32),
    (("shards", 0, "row-group-rows"), 0),
    (("shards", 0, "row-group-rows"), 1 << 31),
    (("shards", 0, "row-group-rows"), 7),
    (("shards", 0, "chunks"), None),
    (("shards", 0, "chunks"), []),
    (("shards", 0, "chunks", 0), [1, 2]),
    (("shards", 0, "chunks", 0), 3),
    (("shards", 0, "chunks", 0, 0), 1 << 40),
    (("shards", 0, "chunks", 0, 0), -2),
    (("shards", 0, "chunks", 0, 0), 4.0),
    (("shards", 0, "chunks", 0, 0), (1 << 63) - 1),
    (("shards", 0, "chunks", 0, 1), 63),
    (("shards", 0, "chunks", 0, 1), -1),
    (("shards", 0, "chunks", 3, 2), -1),
    (("shards", 0, "chunks", 3, 2), 1 << 50),
    (("columns",), None),
    (("columns", 0, "name"), "int32"),
    (("columns", 0, "path"), []),
    (("columns", 0, "path"), [1]),
    (("columns", 0, "storage"), "tensor"),
    (("columns", 0, "storage"), "nested"),
    (("columns", 0, "dtype"), "object"),
    (("columns", 0, "dtype"), "float64"),
    (("columns", 0, "dtype"), "int32"),
    (("columns", 0, "stored-dtype"), ...),
    (("columns", 0, "nulls"), -1),
    (("columns", 0, "nulls"), 3),
    (("columns", 0, "logical"), "money"),
    (("columns", 2, "shape"), [7]),
    (("columns", 2, "shape"), [0]),
    (("columns", 2, "shape"), [1 << 20, 1 << 20]),
    (("columns", 2, "nulls"), 1),
    (("columns", 3, "lengths"), [5, 1]),
    (("columns", 3, "lengths"), [1]),
    (("columns", 3, "dtype"), ...),
]


@pytest.mark.parametrize(("path", "value"), DAMAGE, ids=lambda part: json.dumps(part, default=str)[:60])
def test_damage_is_named(document: dict[str, Any], path: tuple[Any, ...], value: Any) -> None:
    with pytest.raises(ManifestError, match="here"):
        parse(put(document, path, value), "here")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", '{"format-version": NaN}', "[" * 100_000, "\xff"])
def test_what_is_not_a_manifest_is_named(text: str) -> None:
    with pytest.raises(ManifestError, match="here"):
        parse(text, "here")


def test_bytes_that_are_not_text_are_named() -> None:
    with pytest.raises(ManifestError, match="here"):
        parse(b"\xff\xfe\x00", "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(st.data(), JSON)
@example(None, None)
def test_any_damage_is_a_manifest_error_or_none(document: dict[str, Any], data: Any, value: Any) -> None:
    if data is None:
        return
    at: Any = document
    path: list[Any] = []
    while isinstance(at, (dict, list)) and len(at) and (not path or data.draw(st.booleans())):
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        path.append(key)
        at = at[key]
    try:
        manifest = parse(put(document, tuple(path), value), "here")
    except ManifestError:
        return
    assert manifest.rows == int(manifest.shards.rows.sum())


def test_many_shards_are_read_as_arrays(document: dict[str, Any]) -> None:
    shard = document["shards"][0]
    count = 20_000
    shards = [{**shard, "path": f"data/{uuid.UUID(int=number)}.parquet"} for number in range(count)]
    many = {**document, "shards": shards, "rows": 20 * count, "bytes": shard["bytes"] * count}
    manifest = parse(json.dumps(many), "here")
    assert len(manifest.shards) == count
    table_ = manifest.chunks[0]
    assert np.array_equal(table_.first, np.arange(count) * 3)


def test_a_missing_file_is_not_needed_to_read_a_manifest(document: dict[str, Any], tmp_path: Path) -> None:
    assert not (tmp_path / "data").exists()
    assert parse(json.dumps(document), str(tmp_path)).version == 1
