from __future__ import annotations

import io
import json
import shutil
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from _damage import GOLDEN, use, without_checksum
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache._footer import parse_footer

TABLES = st.fixed_dictionaries(
    {
        "rows": st.integers(1, 300),
        "row_group_size": st.sampled_from([7, 100, 1000]),
        "compression": st.sampled_from(["none", "snappy", "zstd"]),
        "use_dictionary": st.booleans(),
        "write_statistics": st.booleans(),
        "write_page_index": st.booleans(),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
    }
)


def written(rows: int = 50, **options: Any) -> bytes:
    table = pa.table(
        {
            "id": range(rows),
            "a b": pa.array([{"ü": [str(row)] * (row % 3)} if row % 5 else None for row in range(rows)]),
            "many": [[[1.0] * (row % 4)] for row in range(rows)],
        },
        pa.schema(
            [
                ("id", pa.int64()),
                ("a b", pa.struct([("ü", pa.list_(pa.string()))])),
                ("many", pa.list_(pa.list_(pa.float32()))),
            ]
        ).with_metadata({"key": "value" * 100}),
    )
    out = io.BytesIO()
    pq.write_table(table, out, **options)
    return out.getvalue()


def footer_of(file: bytes) -> bytes:
    return file[-8 - int.from_bytes(file[-8:-4], "little") :]


@given(TABLES)
def test_it_says_what_pyarrow_says(options: dict[str, Any]) -> None:
    file = written(**options)
    metadata = pq.read_metadata(io.BytesIO(file))
    groups = parse_footer(footer_of(file))
    assert [group.rows for group in groups] == [
        metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)
    ]
    for number, group in enumerate(groups):
        for leaf, chunk in enumerate(group.chunks):
            theirs = metadata.row_group(number).column(leaf)
            start = theirs.dictionary_page_offset if theirs.has_dictionary_page else theirs.data_page_offset
            assert ".".join(chunk.path) == theirs.path_in_schema
            assert (chunk.start, chunk.data) == (start, theirs.data_page_offset)
            assert (chunk.compressed, chunk.uncompressed) == (
                theirs.total_compressed_size,
                theirs.total_uncompressed_size,
            )


FOOTER = footer_of(written(row_group_size=20))


@given(st.lists(st.tuples(st.integers(0, len(FOOTER) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_damage_is_a_value_error_or_goes_unseen(changes: list[tuple[int, int]]) -> None:
    damaged = bytearray(FOOTER)
    for at, value in changes:
        damaged[at] = value
    try:
        parse_footer(bytes(damaged))
    except ValueError as error:
        assert str(error)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_footer_or_a_value_error(data: bytes) -> None:
    try:
        assert isinstance(parse_footer(data), tuple)
    except ValueError as error:
        assert str(error)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "early"),
        (b"\x1c" * 100, "deeply"),
        (b"\x19\xfc\xff\xff\xff\xff\x0f", "do not fit"),
        (b"\x15" + b"\xff" * 20, "64 bits"),
        (b"\x1e\x00", "none, 14"),
        (b"\x49\x15\x02\x00", "as Parquet has it"),
    ],
)
def test_what_damage_says(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_footer(data)


def test_a_footer_for_which_pyarrow_ends_the_process(tmp_path: Path) -> None:
    """A schema with one level more than the histograms of its levels, and a manifest with the right checksum: fuzzing
    found it. A process that is alive behind this is the proof."""
    root = tmp_path / "nested"
    shutil.copytree(GOLDEN / "nested", root)
    (path,) = (root / "_dlcache").glob("*.json")
    document = json.loads(without_checksum(path.read_bytes()))
    entry = document["shards"][0]
    data = bytearray((root / entry["path"]).read_bytes())
    data[-2785] = 56
    (root / entry["path"]).write_bytes(data)
    path.write_text(json.dumps({**document, "shards": [{**entry, "crc32": zlib.crc32(data)}]}))
    dataset = dlcache.load(root)
    use(dataset.manifest, root)
    for name in dataset.columns:
        with suppress(dlcache.DlcacheError):
            dataset.filter(pc.field(name).is_valid())
    assert not dataset.verify(pages=True)
