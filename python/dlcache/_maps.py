"""Shards as memory: mapped when first asked for, a bounded number of them at a time."""

from __future__ import annotations

import mmap
import os
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from ._checks import Verify, check_shard
from ._errors import ShardError, StorageError
from ._fetch import RemoteShards, Wanted
from ._manifest import Manifest
from ._mapping import map_at_multiple
from ._memory import address_of
from ._store import Store, missing_shard, wrong_size

_PAGE = mmap.PAGESIZE
_AHEAD = 3

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
        self,
        store: Store,
        manifest: Manifest,
        limit: int | None = None,
        fetched: RemoteShards | None = None,
        verify: Verify = "open",
        multiple: int = _PAGE,
        *,
        huge: bool = False,
    ) -> None:
        """fetched: the shards where they are not local. multiple: of which the addresses of shards should be. huge:
        they may be read from the disk in huge pages."""
        self._store, self._manifest, self._shards, self._fetched = store, manifest, manifest.shards, fetched
        self._multiple, self._huge = multiple, huge
        self._verify: Verify = "off" if fetched is not None and fetched.parts is not None else verify
        self._checked: set[int] = set()
        self.limit = limit or min(_file_limit(), _file_limit() if fetched is None else fetched.limit)
        self._lock = threading.Lock()
        self._arrived: weakref.WeakValueDictionary[int, Bytes] = weakref.WeakValueDictionary()
        self._files: OrderedDict[int, Bytes] = OrderedDict()
        self._addresses = np.zeros(len(self._shards), np.int64)
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
        assert self._fetched is not None
        with self._lock:
            files = {number: file for number in numbers if (file := self._arrived.get(number)) is not None}
        wanted = {number: self._fetched.want(number) for number in numbers if number not in files}
        try:
            for number, each in wanted.items():
                if not self._is_mapped(number):  # by another thread, meanwhile
                    each.begin()
            for number, each in wanted.items():
                files[number] = self._arrived_file(number)
                each.close()
        finally:
            for each in wanted.values():
                each.close()
        return files

    def _arrived_file(self, number: int) -> Bytes:
        """The mapping of a shard that this thread wants: of several threads that make one, all take the first."""
        with self._lock:
            file = self._arrived.get(number)
        if file is None:
            file = self.open(number)
            with self._lock:
                file = self._arrived.setdefault(number, file)
        return file

    def _is_mapped(self, number: int) -> bool:
        with self._lock:
            return number in self._arrived

    @property
    def fetches(self) -> bool:
        """True if shards come from elsewhere."""
        return self._fetched is not None

    @property
    def keeps(self) -> bool:
        """True if what was fetched once is there for a while, or nothing has to be fetched."""
        return self._fetched is None or self._fetched.is_mirrored

    @property
    def ahead(self) -> int:
        """How many shards may be fetched before they are wanted; 0 where that is no gain."""
        if self._fetched is None or not self.keeps:
            return 0
        return min(_AHEAD, self.limit, len(self._shards) - 1)

    def prefetch(self, shard: int) -> Wanted | None:
        """Have a remote shard fetched into the mirror. None if it is mapped; else to be closed when nobody wants it."""
        if self._fetched is None or self._is_mapped(shard):
            return None
        wanted = self._fetched.want(shard)
        wanted.begin(ahead=True)
        return wanted

    def file(self, shard: int) -> Bytes:
        """The bytes of one shard, read-only."""
        return self.require(np.array([shard])).files[0]

    def open(self, shard: int) -> Bytes:
        """A new mapping of a shard, read-only, where its rows should lie. Raises as `open_private` does."""
        return self._mapped(shard, partial(map_at_multiple, multiple=self._multiple, huge=self._huge))

    def open_private(self, shard: int) -> Bytes:
        """A new mapping of a shard that is writable. Raises ShardError if the file is missing or has not the length it
        should have, or at its first mapping if it does not pass the check that was asked for."""
        return self._mapped(shard, partial(map_at_multiple, private=True, huge=self._huge))

    def _mapped(self, shard: int, map_: Callable[[int, int], Bytes]) -> Bytes:
        size = int(self._shards.bytes[shard])
        descriptor = self._descriptor(shard, size)
        try:
            file = map_(descriptor, size)
        except OSError as error:
            raise StorageError(
                f"cannot map {self._store.shard(self._shards.paths[shard])}: {error}. {len(self._files)} shards are "
                "mapped; a higher `ulimit -n` allows more"
            ) from error
        finally:
            os.close(descriptor)
        self._check(shard, file)
        return file

    def _check(self, shard: int, file: Bytes) -> None:
        if shard not in self._checked:
            where = self._store.shard(self._shards.paths[shard])
            check_shard(file, where, self._manifest, shard, self._verify)
            self._checked.add(shard)

    def _descriptor(self, number: int, size: int) -> int:
        where = self._store.shard(self._shards.paths[number])
        if self._fetched is not None:
            with self._fetched.want(number) as wanted:
                return wanted.descriptor()
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
