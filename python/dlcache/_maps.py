"""Shards as memory: mapped when first asked for, a bounded number of them at a time."""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._errors import ShardError, StorageError
from ._fetch import CONNECTIONS, RemoteShards
from ._manifest import Shards
from ._memory import address_of
from ._store import Store, missing_shard, wrong_size
from ._values import Ragged, Value

_SPARE_BYTES = 4 << 30

Int64s = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Mapped:
    """Some shards in memory. They stay there for as long as this object lives.

    addresses: of each shard's first byte, by shard number; 0 for those that are not mapped. generation: a number for
    this very table of addresses.
    """

    addresses: Int64s
    generation: int
    files: tuple[Bytes, ...]


class ShardMaps:
    """The mapped shards of one dataset version. Threads may share it; so may a process and the children that it forks
    while no thread is inside."""

    def __init__(
        self, store: Store, shards: Shards, limit: int | None = None, fetched: RemoteShards | None = None
    ) -> None:
        """fetched: the shards where they are not local."""
        self._store, self._shards, self._fetched = store, shards, fetched
        self.limit = limit or min(_file_limit(), _file_limit() if fetched is None else fetched.limit)
        self._lock = threading.Lock()
        self._busy: dict[int, threading.Lock] = {}
        self._arrived: weakref.WeakValueDictionary[int, Bytes] = weakref.WeakValueDictionary()
        self._files: OrderedDict[int, Bytes] = OrderedDict()
        self._addresses = np.zeros(len(shards), np.int64)
        self._generation = 0
        self._complete: Mapped | None = None

    def all(self) -> Mapped | None:
        """All shards, if all are mapped and stay so."""
        return self._complete

    def require(self, shards: Int64s) -> Mapped:
        """Map these shards (their numbers, each once, at most `limit`), those already mapped excepted."""
        numbers = shards.tolist()
        files = {} if self._fetched is None else self._fetch(numbers)
        with self._lock:
            missing = [number for number in numbers if number not in self._files]
            if missing:
                addresses = self._addresses.copy()
                for number in missing:
                    self._files[number] = file = files[number] if number in files else self.open(number)
                    addresses[number] = address_of(file)
                wanted = set(numbers)
                for number in list(self._files):
                    if len(self._files) <= self.limit:
                        break
                    if number not in wanted:
                        del self._files[number]
                        addresses[number] = 0
                self._addresses = addresses
                self._generation += 1
            if len(self._shards) > self.limit:
                for number in numbers:
                    self._files.move_to_end(number)
            if len(self._files) == len(self._shards) <= self.limit:
                self._complete = Mapped(self._addresses, self._generation, tuple(self._files.values()))
            return Mapped(self._addresses, self._generation, tuple(self._files[number] for number in numbers))

    def _fetch(self, numbers: list[int]) -> dict[int, Bytes]:
        """These shards, fetched where they are not mapped: several at once, and without the lock, for it takes long."""
        with self._lock:
            there = {number: file for number in numbers if (file := self._arrived.get(number)) is not None}
        missing = [number for number in numbers if number not in there]
        if len(missing) < 2:
            return there | {number: self._fetch_one(number) for number in missing}
        with ThreadPoolExecutor(min(CONNECTIONS, len(missing)), "dlcache-fetch") as pool:
            return there | dict(zip(missing, pool.map(self._fetch_one, missing), strict=True))

    def _fetch_one(self, number: int) -> Bytes:
        """One shard, fetched by one thread while others that want it wait."""
        with self._lock:
            busy = self._busy.setdefault(number, threading.Lock())
        with busy:
            with self._lock:
                file = self._arrived.get(number)
            if file is None:
                file = self.open(number)
                with self._lock:
                    self._arrived[number] = file
            return file

    def file(self, shard: int) -> Bytes:
        """The bytes of one shard, read-only."""
        return self.require(np.array([shard])).files[0]

    def open(self, shard: int, *, private: bool = False) -> Bytes:
        """The bytes of `map`, as an array."""
        return np.frombuffer(self.map(shard, private=private), np.uint8)

    def map(self, shard: int, *, private: bool) -> mmap.mmap:
        """A new mapping of a shard. A private one is writable, and what is written stays in it alone: neither the file
        nor another mapping sees it. Raises ShardError if the file is missing or has not the length it should have."""
        size = int(self._shards.bytes[shard])
        descriptor = self._descriptor(shard, size)
        try:
            access = mmap.ACCESS_COPY if private else mmap.ACCESS_READ
            return mmap.mmap(descriptor, size, access=access)
        except OSError as error:
            where = self._store.shard(self._shards.paths[shard])
            raise StorageError(
                f"cannot map {where}: {error}. {len(self._files)} shards are mapped; a higher `ulimit -n` allows more"
            ) from error
        finally:
            os.close(descriptor)

    def _descriptor(self, number: int, size: int) -> int:
        where = self._store.shard(self._shards.paths[number])
        if self._fetched is not None:
            return self._fetched.descriptor(number)
        try:
            descriptor = os.open(where, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError as error:
            raise missing_shard(where) from error
        except OSError as error:
            raise ShardError(f"cannot open {where}: {error}") from error
        found = os.fstat(descriptor).st_size
        if found != size:
            os.close(descriptor)
            raise wrong_size(where, found, size)
        return descriptor


class PrivateMaps:
    """Private mappings of shards, to be borrowed: each is one borrower's alone, and new or as good as new.

    A mapping comes back when the last view of it is gone, whoever held it, and is lent again if nobody wrote into it:
    its pages are then in place already. Where that cannot be known, it is not lent again.
    """

    def __init__(self, maps: ShardMaps, shards: Shards) -> None:
        self._maps = maps
        largest = int(shards.bytes.max(initial=1))
        self._spare = max(1, min(maps.limit // 4, _SPARE_BYTES // largest))
        self._free: dict[int, deque[mmap.mmap]] = {}

    def borrow(self, shard: int) -> Bytes:
        """A private mapping of a shard, writable. Raises as `ShardMaps.map` does."""
        free = self._free.setdefault(shard, deque())
        while free:
            try:
                found = free.pop()
            except IndexError:
                break
            if _untouched(np.frombuffer(found, np.uint8)):
                return self._lent(shard, found)
        return self._lent(shard, self._maps.map(shard, private=True))

    def _lent(self, shard: int, owner: mmap.mmap) -> Bytes:
        file = np.frombuffer(owner, np.uint8)
        weakref.finalize(file, _give_back, weakref.ref(self), shard, owner).atexit = False
        return file

    def _return(self, shard: int, owner: mmap.mmap) -> None:
        if sum(map(len, list(self._free.values()))) < self._spare:
            self._free[shard].append(owner)


def _give_back(maps: weakref.ref[PrivateMaps], shard: int, owner: mmap.mmap) -> None:
    there = maps()
    if there is not None:
        there._return(shard, owner)


def _untouched(file: Bytes) -> bool:
    """True if no page of a private mapping was written to, which makes it a page of memory and no more of the file.

    Linux tells in /proc/self/pagemap: of 64 bits for each page, bit 61 is set for a page of a file, and 62 and 63 for
    a page that is swapped and that is there.
    """
    first = address_of(file) // mmap.PAGESIZE
    count = -(-len(file) // mmap.PAGESIZE)
    try:
        descriptor = os.open("/proc/self/pagemap", os.O_RDONLY)
    except OSError:
        return False
    try:
        pages = np.frombuffer(os.pread(descriptor, count * 8, first * 8), np.uint64)
    finally:
        os.close(descriptor)
    state = pages >> np.uint64(61)
    return len(pages) == count and not ((state & np.uint64(1) == 0) & (state != 0)).any()


def _file_limit() -> int:
    """How many shards may be mapped at once: a mapping holds a file descriptor, and others need some too."""
    try:
        import resource
    except ImportError:
        return 256
    soft: int = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return 4096
    return max(16, min(4096, soft // 2))


def prefault(value: Value) -> None:
    """Bring the pages of a view of a file into memory, without holding the interpreter's lock."""
    array = value if isinstance(value, np.ndarray) else value.values if isinstance(value, Ragged) else value.data
    array.reshape(-1).view(np.uint8)[::4096].max(initial=0)
