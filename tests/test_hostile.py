"""Manifests and shards are data from outside: whatever is in them, one gets rows or an error that is named. No file
outside of the dataset is opened, and no memory is taken that the files do not cover."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import shutil
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import _damage
import pytest
from _damage import HOSTILE, NAMES, damaged, places, replaced, use, use_text, without_checksum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlcache
from dlcache._manifest import parse

GOLDEN = Path(__file__).parent / "golden"


def manifest_text(name: str) -> bytes:
    return without_checksum(_damage.manifest_text(name))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copies of golden datasets: a test of damage works on nothing else."""
    base = tmp_path_factory.mktemp("golden")
    for name in NAMES:
        shutil.copytree(GOLDEN / name, base / name)
    return base


@settings(max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMES), st.integers(0), st.sampled_from(HOSTILE))
def test_any_member_replaced_by_anything(root: Path, name: str, number: int, value: Any) -> None:
    document = json.loads(manifest_text(name))
    known = list(places(document))
    text = json.dumps(replaced(document, known[number % len(known)], value)).encode()
    use_text(text, root / name)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMES), st.binary(min_size=4, max_size=40))
def test_any_damage_of_the_text(root: Path, name: str, seed: bytes) -> None:
    use_text(damaged(manifest_text(name), seed), root / name)


@pytest.mark.parametrize("name", NAMES)
def test_what_json_itself_can_do(root: Path, name: str) -> None:
    text = manifest_text(name).decode()
    deep = "[" * 5000 + "]" * 5000
    for other in (
        text.replace('"rows":', '"rows":NaN,"rows":', 1),
        text.replace('"format-version":1', '"format-version":1' + "0" * 5000),
        text.replace('"options":', f'"more":{deep},"options":', 1),
        text.replace('"options":', '"options":{"a":{}},"options":', 1),
        text.replace("{", '{"dataset-id":"../../x","dataset-id":', 1),
        text[: len(text) // 2],
        text + "{}",
        "\ufeff" + text,
    ):
        use_text(other.encode(), root / name)


def test_a_key_that_is_there_twice_is_refused(root: Path) -> None:
    """Two readers that take different ones of them would read different datasets."""
    text = manifest_text("tensors").decode()
    for key in ("rows", "shards", "dataset-id"):
        twice = text.replace(f'"{key}":', f'"{key}":1,"{key}":', 1)
        with pytest.raises(dlcache.ManifestError, match=key):
            parse(twice, "here")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMES), st.data())
def test_any_bytes_of_a_shard_with_a_manifest_that_agrees(root: Path, name: str, data: st.DataObject) -> None:
    """The footer, the pages and the row indexes are changed, and the manifest has the checksum of that."""
    document = json.loads(manifest_text(name))
    shard = document["shards"][data.draw(st.integers(0, len(document["shards"]) - 1))]
    path = root / name / shard["path"]
    whole = path.read_bytes()
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 6))):
        near_the_end = st.integers(max(0, len(changed) - 2000), len(changed) - 1)
        changed[data.draw(st.integers(0, len(changed) - 1) | near_the_end)] = data.draw(st.integers(0, 255))
    shard["crc32"] = zlib.crc32(changed)
    path.write_bytes(changed)
    try:
        use(parse(json.dumps(document), "here"), root / name)
    finally:
        path.write_bytes(whole)


def test_sizes_that_no_file_has_take_no_memory(root: Path) -> None:
    """Rows and bytes by the quadrillion: no array is made for them before the file's size has been looked at."""
    document = json.loads(manifest_text("scalars"))
    shard = document["shards"][0]
    shard |= {"rows": 1 << 46, "row-group-rows": (1 << 31) - 1, "bytes": 1 << 50}
    shard["chunks"] = [None] * len(document["columns"])
    document |= {"shards": [shard], "rows": shard["rows"], "bytes": shard["bytes"]}
    for column in document["columns"]:
        column["nulls"] = 0
    text = json.dumps(document).encode()
    tracemalloc.start()
    try:
        manifest = parse(text, "here")
        dataset = dlcache.Dataset(dlcache.load(root / "scalars").store, manifest)
        with pytest.raises(dlcache.ShardError, match="bytes"):
            next(iter(dataset.numpy(4, threads=0, nulls="mask")))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
        with pytest.raises(dlcache.ShardError, match="bytes"):
            next(iter(dataset.numpy(4, threads=0, nulls="mask", shuffle=True)))
        assert tracemalloc.get_traced_memory()[1] < 512 << 20  # the tables of a permutation: the root of the rows
    finally:
        tracemalloc.stop()


def test_only_files_of_the_dataset_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "alone"
    shutil.copytree(GOLDEN / "tensors", root / "tensors")
    opened: list[str] = []
    real_open, real_os_open = builtins.open, os.open

    def see(path: Any) -> None:
        if isinstance(path, (str, os.PathLike)):
            opened.append(os.path.realpath(path))

    def watched(file: Any, *rest: Any, **options: Any) -> Any:
        see(file)
        return real_open(file, *rest, **options)

    def watched_os(file: Any, *rest: Any, **options: Any) -> int:
        see(file)
        return real_os_open(file, *rest, **options)

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(os, "open", watched_os)
    document = json.loads(manifest_text("tensors"))
    for path in ("../secret.parquet", "/etc/passwd", "data/../../secret.parquet", "data/..", "data/\\..\\x.parquet"):
        with pytest.raises(dlcache.ManifestError, match="path"):
            parse(json.dumps(replaced(document, ("shards", 0, "path"), path)), "here")
    use(parse(manifest_text("tensors"), "here"), root / "tensors")
    assert any(path.endswith(".parquet") for path in opened)
    inside = (str((root / "tensors").resolve()), "/proc/", "/sys/", "/dev/", "/etc/localtime", "/usr/share/zoneinfo")
    assert [path for path in opened if not path.startswith(inside) and ".py" not in path] == []


def test_nothing_of_a_dataset_is_unpickled(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("something was unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in NAMES:
        use(parse(manifest_text(name), "here"), root / name)
