"""`verify` finds whatever is wrong with a shard, and names the file."""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from _writer import write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dlcache


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = pa.table(
        {
            "x": np.arange(50),
            "image": pa.array([[[float(i)] * 2] * 3 for i in range(50)], pa.list_(pa.list_(pa.float32()))),
            "words": [["a"] * (i % 3) for i in range(50)],
            "bag": pa.array([[1.0] * (i % 4) for i in range(50)], pa.list_(pa.float64())),
            "text": [None if i % 7 == 0 else str(i) for i in range(50)],
        }
    )
    return write(tmp_path_factory.mktemp("verify") / "train", rows, shard_rows=30, row_group_rows=8)


@pytest.fixture
def shard(dataset: Path) -> Any:
    """The first shard, put back after the test."""
    path = dataset / shards_of(dataset)[0]["path"]
    data = path.read_bytes()
    yield path
    path.write_bytes(data)


@pytest.fixture
def manifest(dataset: Path) -> Any:
    """The manifest's file, put back after the test."""
    path = dataset / "_dlcache" / f"{1:020d}.json"
    data = path.read_bytes()
    yield path
    path.write_bytes(data)


def shards_of(dataset: Path) -> list[dict[str, Any]]:
    shards: list[dict[str, Any]] = json.loads((dataset / "_dlcache" / f"{1:020d}.json").read_text())["shards"]
    return shards


def test_a_whole_dataset_has_no_problems(dataset: Path) -> None:
    report = dlcache.verify(dataset, pages=True)
    assert report
    assert report.problems == ()
    assert (report.version, report.shards, report.bytes) == (1, 2, sum(shard["bytes"] for shard in shards_of(dataset)))
    assert report == dlcache.load(dataset).verify()


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_changed_byte_is_found(dataset: Path, shard: Path, data: st.DataObject) -> None:
    original = shard.read_bytes()
    at = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[at] ^= data.draw(st.integers(1, 255))
    shard.write_bytes(changed)
    try:
        report = dlcache.verify(dataset)
    finally:
        shard.write_bytes(original)
    assert not report
    assert {problem.path for problem in report.problems} == {str(shard.relative_to(dataset))}
    assert "CRC-32" in report.problems[0].problem


def test_a_short_and_a_missing_shard(dataset: Path, shard: Path) -> None:
    shard.write_bytes(shard.read_bytes()[:-100])
    (problem,) = dlcache.verify(dataset).problems
    assert "bytes, and the manifest says" in problem.problem
    shard.unlink()
    assert [problem.problem for problem in dlcache.verify(dataset).problems] == ["it is missing"]


def test_what_is_no_parquet(dataset: Path, shard: Path, manifest: Path) -> None:
    data = bytes(100) + shard.read_bytes()[100:-8] + b"\xff\xff\x00\x00PAR1"
    shard.write_bytes(data)
    change(manifest, 0, bytes=len(data), crc32=zlib.crc32(data))
    (problem,) = dlcache.verify(dataset).problems
    assert problem.problem.startswith("its Parquet footer cannot be read")


def test_a_page_that_was_changed_before_the_checksum_was_taken(dataset: Path, shard: Path, manifest: Path) -> None:
    data = bytearray(shard.read_bytes())
    data[shards_of(dataset)[0]["chunks"][0][0]] ^= 1
    shard.write_bytes(data)
    change(manifest, 0, crc32=zlib.crc32(data))
    assert dlcache.verify(dataset)
    (problem,) = dlcache.verify(dataset, pages=True).problems
    assert problem.problem.startswith("row group 0 cannot be decoded")


def change(manifest: Path, shard: int, **members: Any) -> None:
    document = json.loads(manifest.read_text())
    document["shards"][shard].update(members)
    manifest.write_text(json.dumps(document))


def test_row_groups_that_are_not_the_manifests(dataset: Path, manifest: Path) -> None:
    change(manifest, 1, **{"row-group-rows": 7, "chunks": [None] * 5})
    (problem,) = dlcache.verify(dataset).problems
    assert problem.problem == "its row groups have [8, 8, 4] rows, and the manifest says [7, 7, 6]"


@pytest.mark.parametrize("column", [0, 1, 3, 4])
def test_values_that_lie_elsewhere(dataset: Path, manifest: Path, column: int) -> None:
    chunks = shards_of(dataset)[0]["chunks"]
    chunks[column][0] -= 8
    change(manifest, 0, chunks=chunks)
    name = ["x", "image", "words", "bag", "text"][column]
    (problem,) = dlcache.verify(dataset).problems
    assert problem.problem.startswith(f"the values of column {name!r} of row group 0 are at byte")


@pytest.mark.parametrize("column", [3, 4])
def test_a_row_index_that_is_elsewhere(dataset: Path, manifest: Path, column: int) -> None:
    chunks = shards_of(dataset)[0]["chunks"]
    name = ["x", "image", "words", "bag", "text"][column]
    for wrong in (chunks[column][2] + 4, chunks[7 - column][2], chunks[column][0]):
        change(
            manifest,
            0,
            chunks=[*chunks[:column], [*chunks[column][:2], wrong, *chunks[column][3:]], *chunks[column + 1 :]],
        )
        (problem,) = dlcache.verify(dataset).problems
        says = f"the row index of column {name!r} of row group 0 is not at byte {wrong}, as the manifest says"
        assert problem.problem == says
        with pytest.raises(dlcache.ShardError, match="row index"):
            dlcache.load(dataset, verify="full").gather([0], ["x"])


def test_no_digit_of_an_offset_delivers_other_rows(dataset: Path, manifest: Path) -> None:
    """Of a manifest without a checksum, with `verify="full"`."""
    text = manifest.read_text()
    rows = [repr(batch) for batch in dlcache.load(dataset).numpy(16, nulls="mask", threads=0)]
    numbers = [place for place in re.finditer(r'"(?:rows|row-group-rows|chunks)": ([0-9\[][^"]*)', text)]
    wrong = 0
    for at in (at for place in numbers for at in range(*place.span(1)) if text[at].isdigit()):
        manifest.write_text(f"{text[:at]}{(int(text[at]) + 1) % 10}{text[at + 1 :]}")
        try:
            damaged = dlcache.load(dataset, verify="full")
            assert [repr(batch) for batch in damaged.numpy(16, nulls="mask", threads=0)] == rows
        except dlcache.DlcacheError:
            wrong += 1
    assert wrong > 100


def test_what_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(dlcache.NotADatasetError):
        dlcache.verify(tmp_path)


# What a loader checks of a shard when it first reads it.


def first_rows(dataset: Path, **options: Any) -> Any:
    return next(iter(dlcache.load(dataset).numpy(4, columns=["x"], threads=0, **options)))


def test_a_loader_finds_every_flipped_bit_when_it_is_told_to(dataset: Path, shard: Path) -> None:
    original = shard.read_bytes()
    for at in range(0, len(original), max(1, len(original) // 40)):
        changed = bytearray(original)
        changed[at] ^= 1 << (at % 8)
        shard.write_bytes(changed)
        with pytest.raises(dlcache.ShardError, match=shard.name):
            first_rows(dataset, verify="full")
        with pytest.raises(dlcache.ShardError, match=shard.name):
            dlcache.load(dataset, verify="full").gather([0], ["x"])
    shard.write_bytes(original)
    assert first_rows(dataset, verify="full")["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("at", [0, -1, -4, -5])
def test_a_loader_finds_a_damaged_end_unless_it_is_told_not_to(dataset: Path, shard: Path, at: int) -> None:
    changed = bytearray(shard.read_bytes())
    changed[at] ^= 0x80
    shard.write_bytes(changed)
    with pytest.raises(dlcache.ShardError, match=shard.name):
        first_rows(dataset)
    assert first_rows(dataset, verify="off")["x"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("verify", ["off", "open", "full"])
def test_a_loader_never_reads_a_shard_of_another_size(dataset: Path, shard: Path, verify: str) -> None:
    data = shard.read_bytes()
    for other in (data[:-1], data + b"\0", b""):
        shard.write_bytes(other)
        with pytest.raises(dlcache.ShardError, match=shard.name):
            first_rows(dataset, verify=verify)


def test_the_level_goes_with_the_dataset(dataset: Path) -> None:
    import pickle

    whole = pickle.loads(pickle.dumps(dlcache.load(dataset, verify="full").select(["x"])))
    assert whole.level == "full"
    assert whole.reader is whole.reader_of([0], "full") is not whole.reader_of([0], "off")
    with pytest.raises(dlcache.OptionError, match="verify"):
        dlcache.load(dataset, verify="all")  # type: ignore[arg-type]
    with pytest.raises(dlcache.OptionError, match="verify"):
        first_rows(dataset, verify=True)
