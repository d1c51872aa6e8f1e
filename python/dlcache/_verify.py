"""Are the shards of a dataset what its manifest says? Sizes, checksums, footers, and where raw values lie."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from ._errors import ShardError
from ._fetch import fetch_whole
from ._footer import FooterGroup, parse_footer
from ._manifest import Column, Manifest, parse
from ._store import MANIFESTS, Store, manifest_name

_PIECE = 4 << 20


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file. path: relative to the dataset."""

    path: str
    problem: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was checked, and what is wrong. True if nothing is."""

    path: str
    version: int
    shards: int
    bytes: int
    problems: tuple[Problem, ...]

    def __bool__(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON objects, lists, strings and numbers."""
        return {
            "path": self.path,
            "version": self.version,
            "shards": self.shards,
            "bytes": self.bytes,
            "problems": [{"path": problem.path, "problem": problem.problem} for problem in self.problems],
        }


def verify(
    path: str | os.PathLike[str],
    *,
    version: int | None = None,
    pages: bool = False,
    storage_options: Mapping[str, Any] | None = None,
) -> VerifyReport:
    """Check every shard of a dataset against its manifest: that it is there, its size, the CRC-32 of its bytes, that
    its Parquet footer can be read, the rows of its row groups, and where the values of raw columns lie.

    version: the newest by default. pages: decode every page too, and check the CRC of each.
    Raises NotADatasetError and ManifestError; what is wrong with shards is in the report.
    """
    store = Store.of(path, storage_options)
    newest = store.versions()[-1] if version is None else version
    manifest = parse(store.manifest(newest), f"{store.path}/{MANIFESTS}/{manifest_name(newest)}")
    return verify_version(store, manifest, pages=pages)


def verify_version(store: Store, manifest: Manifest, *, pages: bool = False) -> VerifyReport:
    """`verify` for a manifest that was read."""
    shards = manifest.shards
    problems = [
        Problem(path, problem)
        for number, path in enumerate(shards.paths)
        for problem in _problems_of(store, manifest, number, pages)
    ]
    return VerifyReport(store.path, manifest.version, len(shards), manifest.bytes, tuple(problems))


def _problems_of(store: Store, manifest: Manifest, number: int, pages: bool) -> Iterator[str]:
    shards = manifest.shards
    path, size = shards.paths[number], int(shards.bytes[number])
    source: Any
    opened: IO[bytes] | None = None
    try:
        if store.local is not None:
            source = store.shard(path)
            found, actual = _crc32_of_file(source)
        else:
            assert store.remote is not None
            descriptor, found = fetch_whole(store.remote, manifest, number)
            opened = os.fdopen(descriptor, "rb")
            source, actual = opened, size
    except FileNotFoundError:
        yield "it is missing"
        return
    except ShardError as error:
        yield str(error)
        return
    except OSError as error:
        yield f"it cannot be read: {error}"
        return
    with opened or nullcontext():
        yield from _differences(source, manifest, number, pages, found, actual)


def _differences(source: Any, manifest: Manifest, number: int, pages: bool, found: int, actual: int) -> Iterator[str]:
    """found, actual: the CRC-32 and the length of the file."""
    size, crc32 = int(manifest.shards.bytes[number]), int(manifest.shards.crc32[number])
    if actual != size:
        yield f"it has {actual:,} bytes, and the manifest says {size:,}"
    elif found != crc32:
        yield f"its bytes have the CRC-32 {found:08x}, and the manifest says {crc32:08x}"
    else:
        yield from _parquet_problems(source, manifest, number, pages)


def _crc32_of_file(path: str) -> tuple[int, int]:
    crc32, size = 0, 0
    buffer = memoryview(bytearray(_PIECE))
    with open(path, "rb", buffering=0) as file:
        while count := file.readinto(buffer):
            crc32 = zlib.crc32(buffer[:count], crc32)
            size += count
    return crc32, size


def _parquet_problems(source: Any, manifest: Manifest, number: int, pages: bool) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        groups = parse_footer(_footer_of(source))
        with pq.ParquetFile(source, page_checksum_verification=pages) as file:
            yield from _footer_problems(groups, manifest, number)
            for group in range(len(groups) if pages else 0):
                try:
                    file.read_row_group(group)
                except (pa.ArrowException, OSError) as error:
                    yield f"row group {group} cannot be decoded: {error}"
    except (pa.ArrowException, OSError, ValueError) as error:
        yield f"its Parquet footer cannot be read: {error}"


def _footer_of(source: str | IO[bytes]) -> bytes:
    """Raises ValueError."""
    with open(source, "rb") if isinstance(source, str) else nullcontext(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little")
        if length > size - 8:
            raise ValueError("it is longer than the file")
        file.seek(size - 8 - length)
        return file.read(length)


def _footer_problems(groups: Sequence[FooterGroup], manifest: Manifest, number: int) -> Iterator[str]:
    shards = manifest.shards
    rows, each = int(shards.rows[number]), int(shards.row_group_rows[number])
    expected = [min(each, rows - start) for start in range(0, rows, each)]
    actual = [group.rows for group in groups]
    if actual != expected:
        yield f"its row groups have {_short(actual)} rows, and the manifest says {_short(expected)}"
        return
    for group, its in enumerate(groups):
        leaves = {chunk.path: chunk for chunk in its.chunks}
        for column, table in zip(manifest.columns, manifest.chunks, strict=True):
            entry = int(table.find(np.array([number]), np.array([group]))[0])
            if entry < 0:
                continue
            chunk = leaves.get(_leaf_of(column))
            where = f"column {column.name!r} of row group {group}"
            if chunk is None:
                yield f"{where} is not in the footer"
            elif chunk.compressed != chunk.uncompressed:
                yield f"{where} is raw in the manifest, and compressed in the footer"
            else:
                start = chunk.data + chunk.compressed - int(table.size[entry])
                if start != int(table.offset[entry]):
                    yield f"the values of {where} are at byte {start}, and the manifest says {int(table.offset[entry])}"


def _leaf_of(column: Column) -> str:
    """The Parquet column that holds the values of a raw column."""
    lists = 1 if column.storage == "ragged" else len(column.shape or ())
    return column.name + ".list.element" * lists


def _short(numbers: list[int]) -> str:
    return str(numbers) if len(numbers) <= 8 else f"[{', '.join(map(str, numbers[:8]))}, ...]"
