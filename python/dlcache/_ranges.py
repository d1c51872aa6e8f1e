"""Which bytes of a shard some columns need: by the manifest where chunks are raw, else by the footer. Pure."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterable

import numpy as np

from ._errors import ShardError
from ._footer import parse_footer
from ._manifest import Manifest

Range = tuple[int, int]
"""Where bytes of a file start, and how many they are."""

GAP_BYTES = 256 << 10
"""Ranges so near to one another are one: a request costs as much as these bytes."""
_MAGIC = b"PAR1"


def share_of(manifest: Manifest, columns: Collection[int]) -> float:
    """Which share of all shards' bytes some columns have, about: raw chunks are counted, and what is not raw is taken
    to be the same for each column that has some."""
    raw = [int(table.size.sum()) + _index_bytes(manifest, number) for number, table in enumerate(manifest.chunks)]
    other = [number for number, table in enumerate(manifest.chunks) if not table.all_raw]
    rest = max(0, manifest.bytes - sum(raw))
    needed = sum(raw[number] for number in columns)
    if other:
        needed += rest * sum(number in other for number in columns) // len(other)
    return needed / max(1, manifest.bytes)


def _index_bytes(manifest: Manifest, number: int) -> int:
    indexed = manifest.chunks[number].index >= 0
    return 4 * (manifest.rows + 1) if indexed.any() else 0


def raw_ranges(manifest: Manifest, columns: Iterable[int], shard: int) -> list[Range]:
    """The values and row indexes of the raw chunks of these columns in a shard."""
    shards = manifest.shards
    groups = int(shards.group_starts[shard + 1] - shards.group_starts[shard])
    rows, each = int(shards.rows[shard]), int(shards.row_group_rows[shard])
    ranges: list[Range] = []
    for number in columns:
        table = manifest.chunks[number]
        entries = table.find(np.full(groups, shard), np.arange(groups))
        for group, entry in enumerate(entries.tolist()):
            if entry < 0:
                continue
            ranges.append((int(table.offset[entry]), int(table.size[entry])))
            if table.index[entry] >= 0:
                ranges.append((int(table.index[entry]), 4 * (min(each, rows - group * each) + 1)))
    return ranges


def undecoded(manifest: Manifest, columns: Iterable[int], shard: int) -> list[int]:
    """Those of the columns that have chunks in a shard which are not raw: where they lie only the footer says."""
    shards = manifest.shards
    groups = np.arange(int(shards.group_starts[shard + 1] - shards.group_starts[shard]))
    at = np.full(len(groups), shard)
    return [number for number in columns if (manifest.chunks[number].find(at, groups) < 0).any()]


def footer_bytes(tail: bytes, size: int, where: str) -> int:
    """How many bytes the footer has, with its length and the magic number, from the last bytes of a file."""
    if len(tail) < 8 or tail[-4:] != _MAGIC:
        raise ShardError(f"{where} does not end as a Parquet file does; write the dataset again")
    length = int(struct.unpack("<I", tail[-8:-4])[0]) + 8
    if length > size - len(_MAGIC):
        raise ShardError(f"{where} has a footer that is longer than the file; write the dataset again")
    return length


def footer_ranges(footer: bytes, manifest: Manifest, columns: Iterable[int], size: int, where: str) -> list[Range]:
    """The chunks of these columns, with their pages' headers, as a file's footer has them."""
    try:
        groups = parse_footer(footer)
    except ValueError as error:
        raise ShardError(f"the Parquet footer of {where} cannot be read: {error}; write the dataset again") from error
    paths = [manifest.columns[number].path for number in columns]
    ranges = [
        (chunk.start, chunk.compressed)
        for group in groups
        for chunk in group.chunks
        if any(chunk.path[: len(path)] == path for path in paths)
    ]
    if any(start < 0 or count < 0 or start + count > size for start, count in ranges):
        raise ShardError(f"the Parquet footer of {where} names bytes outside of the file; write the dataset again")
    return ranges


def merged(ranges: Iterable[Range], gap: int = GAP_BYTES) -> list[Range]:
    """The ranges in order, those that overlap or have at most `gap` bytes between them as one."""
    out: list[Range] = []
    for start, count in sorted(ranges):
        if out and start <= out[-1][0] + out[-1][1] + gap:
            first, length = out[-1]
            out[-1] = (first, max(length, start + count - first))
        elif count:
            out.append((start, count))
    return out


def pieces(ranges: Iterable[Range], most: int) -> list[Range]:
    """The ranges, cut so that none has more than `most` bytes."""
    return [(start + at, min(most, count - at)) for start, count in ranges for at in range(0, count, most)]
