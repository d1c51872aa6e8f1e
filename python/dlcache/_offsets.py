"""Are the offsets that a manifest gives for a shard those of its Parquet footer? Pure: it reads mapped bytes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ._chunks import STORED_BITS
from ._footer import FooterGroup, parse_footer
from ._manifest import Column, Manifest

Bytes = npt.NDArray[np.uint8]

_TAIL = 8
"""Bytes behind a footer: its length in four bytes, and a magic number of four."""


def offset_problems(file: Bytes, manifest: Manifest, number: int) -> Iterator[str]:
    """What differs between a manifest and the footer of its shard `number`: the rows of row groups, where the values of
    raw chunks are, and whether row indexes are outside of pages and fit these values. Raises ValueError if the footer
    cannot be read."""
    groups = parse_footer(_footer_of(file))
    shards = manifest.shards
    rows, each = int(shards.rows[number]), int(shards.row_group_rows[number])
    expected = [min(each, rows - start) for start in range(0, rows, each)]
    actual = [group.rows for group in groups]
    if actual != expected:
        yield f"its row groups have {_short(actual)} rows, and the manifest says {_short(expected)}"
        return
    pages = _Pages(groups)
    for group, its in enumerate(groups):
        leaves = {chunk.path: chunk for chunk in its.chunks}
        for column, table in zip(manifest.stored, manifest.chunks, strict=True):
            entry = int(table.find(np.array([number]), np.array([group]))[0])
            if entry < 0:
                continue
            chunk = leaves.get(_leaf_of(column))
            where = f"column {column.name!r} of row group {group}"
            offset, size, index = (int(part[entry]) for part in (table.offset, table.size, table.index))
            if chunk is None:
                yield f"{where} is not in the footer"
            elif chunk.compressed != chunk.uncompressed:
                yield f"{where} is raw in the manifest, and compressed in the footer"
            elif (start := chunk.data + chunk.compressed - size) != offset:
                yield f"the values of {where} are at byte {start}, and the manifest says {offset}"
            elif index >= 0 and not _is_index(file, index, its.rows, column, size, pages):
                yield f"the row index of {where} is not at byte {index}, as the manifest says"


class _Pages:
    """Where the pages of all column chunks are."""

    def __init__(self, groups: Sequence[FooterGroup]) -> None:
        chunks = sorted((chunk.start, chunk.data + chunk.compressed) for group in groups for chunk in group.chunks)
        self._starts = [start for start, _ in chunks]
        self._stops = [stop for _, stop in chunks]

    def overlap(self, start: int, stop: int) -> bool:
        """Whether any of these bytes belong to a page."""
        before = int(np.searchsorted(self._starts, stop))
        return before > 0 and self._stops[before - 1] > start


def _is_index(file: Bytes, at: int, rows: int, column: Column, size: int, pages: _Pages) -> bool:
    """Whether there is a row index of `rows` rows at byte `at`, for values of `size` bytes."""
    stop = at + 4 * (rows + 1)
    if pages.overlap(at, stop):
        return False
    bounds = np.frombuffer(file[at:stop].tobytes(), "<i4")
    bits = 8 if column.stored_dtype is None else STORED_BITS[column.stored_dtype]
    fits = -(-int(bounds[-1]) * bits // 8) == size
    return fits and int(bounds[0]) == 0 and bool((np.diff(bounds) >= 0).all())


def _footer_of(file: Bytes) -> bytes:
    length = int.from_bytes(file[-_TAIL:-4].tobytes(), "little")
    if length > len(file) - _TAIL:
        raise ValueError("it is longer than the file")
    return file[len(file) - _TAIL - length : len(file) - _TAIL].tobytes()


def _leaf_of(column: Column) -> tuple[str, ...]:
    """The Parquet column that holds the values of a raw column."""
    lists = 1 if column.storage == "ragged" else len(column.shape or ())
    return column.path + ("list", "element") * lists


def _short(numbers: list[int]) -> str:
    return str(numbers) if len(numbers) <= 8 else f"[{', '.join(map(str, numbers[:8]))}, ...]"
