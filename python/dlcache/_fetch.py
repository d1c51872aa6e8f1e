"""Remote shards as local files: whole and checksummed, or, where few columns are asked for, only the bytes of those.

A shard of which parts are fetched is a file as long as the whole one, with holes where nothing was asked for. So all
who read it find every byte where the manifest says, and a hole takes no room on the disk.

Shards are fetched by daemon threads, each shard by one of them for all who want it. A fetch that nobody wants any more
ends with the request that is under way.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Collection
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from functools import partial

from ._background import DaemonThreads, StoppedError, result_of
from ._errors import ShardError, StorageError
from ._manifest import Manifest
from ._mirror import Mirror, MirrorOptions
from ._ranges import Range, footer_bytes, footer_ranges, merged, pieces, raw_ranges, share_of, undecoded
from ._remote import Remote, RemoteFile
from ._store import missing_shard, wrong_size

PIECE_BYTES = 16 << 20
"""Of one request, and of memory for each request that is under way."""
CONNECTIONS = 4
"""Requests at once for the parts of one shard, and shards fetched at once."""
AHEAD = 2
"""Shards fetched at once beside those, before they are needed."""
SHARE = 0.5
"""Of a shard's bytes: who needs less fetches parts, who needs more the whole shard."""
_TAIL_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Parts:
    """What is fetched of a shard where that is not all: columns, by their numbers. pages: as a Parquet reader needs
    them, with the pages' headers and the footer, and without the indexes of rows."""

    columns: tuple[int, ...]
    pages: bool = False


def parts_to_fetch(manifest: Manifest, columns: Collection[int], *, pages: bool = False) -> Parts | None:
    """What is fetched for who reads these columns; None for whole shards, because they are most of one."""
    return Parts(tuple(sorted(columns)), pages) if share_of(manifest, columns) < SHARE else None


class RemoteShards:
    """The shards of one dataset version that lie elsewhere. Threads may share it.

    parts: what is fetched of them; None for whole shards. limit: how many shards may be held at once, so that those of
    one reader are at most half of the mirror.
    """

    def __init__(self, remote: Remote, manifest: Manifest, mirror: Mirror | None, parts: Parts | None) -> None:
        self._remote, self._manifest, self._mirror, self.parts = remote, manifest, mirror, parts
        share = 1.0 if parts is None else share_of(manifest, parts.columns)
        largest = max(1, int(int(manifest.shards.bytes.max(initial=1)) * share))
        self.limit = 1 << 30 if mirror is None else max(1, mirror.most // 2 // largest)
        self._lock = threading.Lock()
        self._arrivals: dict[int, _Arrival] = {}
        self._threads = DaemonThreads(CONNECTIONS, "dlcache-fetch")
        self._ahead = DaemonThreads(AHEAD, "dlcache-ahead")

    @staticmethod
    def of(remote: Remote, manifest: Manifest, mirror: MirrorOptions, parts: Parts | None) -> RemoteShards:
        """With the mirror that is asked for."""
        return RemoteShards(remote, manifest, Mirror.of(mirror), parts)

    @property
    def is_mirrored(self) -> bool:
        """True if what was fetched once is there for a while."""
        return self._mirror is not None

    def want(self, number: int) -> Wanted:
        """Ask for a shard: nothing is fetched before `begin` or `descriptor`. To be closed."""
        with self._lock:
            arrival = self._arrivals.setdefault(number, _Arrival(number))
            arrival.wanted += 1
        return Wanted(self, arrival)

    def _begin(self, arrival: _Arrival, threads: DaemonThreads) -> None:
        with self._lock:
            if arrival.begun or threads in arrival.queued:
                return
            arrival.queued.append(threads)
        threads.submit(partial(self._arrive, arrival))

    def _arrive(self, arrival: _Arrival) -> None:
        with self._lock:
            if arrival.begun or not arrival.wanted:
                return
            arrival.begun = True
        try:
            descriptor = self._fetched(arrival.number, lambda: not arrival.wanted)
        except BaseException as error:
            with self._lock:
                self._forget(arrival)
            arrival.future.set_exception(error)
            return
        with self._lock:
            if arrival.wanted:
                arrival.descriptor = descriptor
            else:
                os.close(descriptor)
        arrival.future.set_result(None)

    def _leave(self, arrival: _Arrival) -> None:
        with self._lock:
            arrival.wanted -= 1
            if arrival.wanted:
                return
            self._forget(arrival)
            if arrival.descriptor is not None:
                os.close(arrival.descriptor)
                arrival.descriptor = None

    def _forget(self, arrival: _Arrival) -> None:
        if self._arrivals.get(arrival.number) is arrival:
            del self._arrivals[arrival.number]

    def _fetched(self, number: int, is_unwanted: Callable[[], bool]) -> int:
        """A descriptor, to read from, of a file with the bytes of a shard. Raises ShardError and StorageError."""
        fetch = _Fetch(self._remote, self._manifest, number, self.parts, is_unwanted)
        try:
            found = self._mirrored(fetch)
            if found is not None:
                return found
            with tempfile.TemporaryFile(prefix="dlcache-") as file:
                try:
                    os.ftruncate(file.fileno(), fetch.size)
                    fetch.fill(file.fileno())
                except OSError as error:
                    raise _spool_error(fetch.where, error) from error
                return os.dup(file.fileno())
        finally:
            fetch.close()

    def _mirrored(self, fetch: _Fetch) -> int | None:
        if self._mirror is None:
            return None
        if fetch.parts is not None:
            whole = self._mirror.find(fetch.name(None), fetch.size)
            if whole is not None:
                return whole
        return self._mirror.open(fetch.name(fetch.parts), fetch.size, lambda: fetch.ranges, fetch.fill)


@dataclass(eq=False)
class _Arrival:
    """A shard that is fetched for all who want it. future: done when it is there, or has failed. descriptor: of the
    file, while somebody wants it. queued: the threads that it waits for."""

    number: int
    wanted: int = 0
    begun: bool = False
    queued: list[DaemonThreads] = field(default_factory=list)
    future: Future[None] = field(default_factory=Future)
    descriptor: int | None = None


class Wanted:
    """One who wants a shard, until it is closed."""

    def __init__(self, shards: RemoteShards, arrival: _Arrival) -> None:
        self._shards = shards
        self._arrival: _Arrival | None = arrival

    def begin(self, *, ahead: bool = False) -> None:
        """Have it fetched. ahead: it is not needed yet."""
        assert self._arrival is not None
        self._shards._begin(self._arrival, self._shards._ahead if ahead else self._shards._threads)

    @property
    def done(self) -> bool:
        """True if it is there, or cannot be had."""
        return self._arrival is None or self._arrival.future.done()

    def descriptor(self) -> int:
        """Wait for it: a descriptor, to read from, of a file with its bytes. Raises ShardError, StorageError, and
        StoppedError if the iteration that this thread works for ends before."""
        self.begin()
        assert self._arrival is not None
        result_of(self._arrival.future)
        assert self._arrival.descriptor is not None
        return os.dup(self._arrival.descriptor)

    def close(self) -> None:
        arrival, self._arrival = self._arrival, None
        if arrival is not None:
            self._shards._leave(arrival)

    def __enter__(self) -> Wanted:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


@dataclass(eq=False)
class _Fetch:
    """One shard on its way. parts: None for all of it. is_unwanted: asked before each request; nothing more is fetched
    if it says so."""

    remote: Remote
    manifest: Manifest
    number: int
    parts: Parts | None
    is_unwanted: Callable[[], bool] = lambda: False
    _file: RemoteFile | None = None
    _ranges: list[Range] | None = None
    where: str = field(init=False)

    def __post_init__(self) -> None:
        self.path = self.manifest.shards.paths[self.number]
        self.size = int(self.manifest.shards.bytes[self.number])
        self.crc32 = int(self.manifest.shards.crc32[self.number])
        self.where = f"{self.remote.path}/{self.path}"

    def name(self, parts: Parts | None) -> str:
        """What the mirror calls the file: nothing else ever has this name."""
        told: list[object] = [str(self.remote.uri), self.path, self.size, self.crc32]
        if parts is not None:
            told += [parts.pages, *(self.manifest.columns[number].path for number in parts.columns)]
        return hashlib.sha256("\n".join(map(repr, told)).encode()).hexdigest()

    @property
    def ranges(self) -> list[Range]:
        """The bytes that are needed, in order."""
        if self._ranges is None:
            self._ranges = [(0, self.size)] if self.parts is None else merged(self._of_parts(self.parts))
        return self._ranges

    def fill(self, descriptor: int) -> None:
        """Write those bytes into a file that has the shard's length."""
        if self.parts is not None:
            self._fill_parts(descriptor)
            return
        crc32 = self._fill_whole(descriptor)
        if crc32 != self.crc32:  # a byte was changed on the way, or the file is damaged: the second time tells
            crc32 = self._fill_whole(descriptor)
        if crc32 != self.crc32:
            raise ShardError(
                f"the bytes of {self.where} have the CRC-32 {crc32:08x}, and its manifest says {self.crc32:08x}; it "
                "was damaged or replaced. Write the dataset again"
            )

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _of_parts(self, parts: Parts) -> list[Range]:
        ranges = [] if parts.pages else raw_ranges(self.manifest, parts.columns, self.number)
        others = parts.columns if parts.pages else undecoded(self.manifest, parts.columns, self.number)
        if others or parts.pages:
            length = min(_TAIL_BYTES, self.size)
            tail = self._read(self.size - length, length)
            needed = footer_bytes(tail, self.size, self.where)
            if needed > length:
                tail = self._read(self.size - needed, needed)
            ranges.append((self.size - needed, needed))
            ranges += footer_ranges(tail[-needed:], self.manifest, others, self.size, self.where)
        return ranges

    def _fill_whole(self, descriptor: int) -> int:
        crc32 = 0
        for offset, count in pieces(self.ranges, PIECE_BYTES):
            data = self._read(offset, count)
            crc32 = zlib.crc32(data, crc32)
            _write(descriptor, data, offset)
        return crc32

    def _fill_parts(self, descriptor: int) -> None:
        parts = pieces(self.ranges, PIECE_BYTES)
        if not parts:
            return
        self._open()
        threads = DaemonThreads(min(CONNECTIONS, len(parts)), "dlcache-fetch")
        futures = [threads.submit(partial(self._fill_part, descriptor, *part)) for part in parts]
        try:
            for future in futures:
                future.result()
        finally:  # no thread may write into a descriptor that was closed, and may be another file's by then
            for future in futures:
                future.cancel()
            wait(futures)

    def _fill_part(self, descriptor: int, offset: int, count: int) -> None:
        _write(descriptor, self._read(offset, count), offset)

    def _read(self, offset: int, count: int) -> bytes:
        if self.is_unwanted():
            raise StoppedError
        return self._open().read_at(offset, count)

    def _open(self) -> RemoteFile:
        if self._file is None:
            try:
                file = self.remote.open(self.path)
            except FileNotFoundError as error:
                raise missing_shard(self.where) from error
            if file.size != self.size:
                file.close()
                raise wrong_size(self.where, file.size, self.size)
            self._file = file
        return self._file


def _write(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written


def _spool_error(where: str, error: OSError) -> OSError:
    if isinstance(error, StorageError):
        return error
    return StorageError(
        f"cannot keep {where} in {tempfile.gettempdir()}: {error}. Set TMPDIR to a place with more room"
    )


def fetch_whole(remote: Remote, manifest: Manifest, number: int) -> tuple[int, int]:
    """A descriptor of an unnamed file with all bytes of a shard, and their CRC-32, which is not checked."""
    fetch = _Fetch(remote, manifest, number, None)
    try:
        with tempfile.TemporaryFile(prefix="dlcache-") as file:
            os.ftruncate(file.fileno(), fetch.size)
            crc32 = fetch._fill_whole(file.fileno())
            return os.dup(file.fileno()), crc32
    finally:
        fetch.close()
