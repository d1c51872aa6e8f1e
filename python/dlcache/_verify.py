"""Are the shards of a dataset what its manifest says? Sizes, checksums, footers, and where raw values lie."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import IO, Any

import numpy as np

from ._background import interruptible
from ._errors import ShardError
from ._fetch import fetch_whole
from ._manifest import Manifest, parse
from ._offsets import offset_problems
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
    its Parquet footer can be read, the rows of its row groups, and where values and row indexes of raw columns are.

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
            descriptor, found = interruptible(partial(fetch_whole, store.remote, manifest, number))
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
        yield from offset_problems(np.memmap(source, np.uint8, "r"), manifest, number)
        with pq.ParquetFile(source, page_checksum_verification=pages) as file:
            for group in range(file.num_row_groups if pages else 0):
                try:
                    file.read_row_group(group)
                except (pa.ArrowException, OSError) as error:
                    yield f"row group {group} cannot be decoded: {error}"
    except (pa.ArrowException, OSError, ValueError) as error:
        yield f"its Parquet footer cannot be read: {error}"
