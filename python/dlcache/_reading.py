"""The leases that this process holds as a reader. See docs/format.md, 6.

One lease for each version of a dataset that is read, however many loaders read it. It is renewed by those who read, now
and then, without a thread. Where no lease can be written (a read-only place) reading goes on without.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from types import TracebackType

from ._errors import NotADatasetError, StorageError
from ._files import Files
from ._layout import LEASES, MANIFESTS
from ._leases import Lease, write_lease
from ._processes import process_start, this_host
from ._store import Store, manifest_name

READER_SECONDS = 3600.0
"""How long a reader's lease holds without a renewal; it is renewed after a third of that."""

logger = logging.getLogger("dlcache")


class _Held:
    """The lease file of one version, and how many read under it."""

    def __init__(self, store: Store, version: int) -> None:
        self._files, self._version = Files(store), version
        self._unique = str(uuid.uuid4())
        self._written = False
        self.key = (store.path, version)
        self.path = f"{LEASES}/{self._unique}.json"
        self.renew_at = 0.0
        self.readers = 0

    def take(self) -> None:
        """Write the lease, then see that what it is for is still there: who deletes looks in the other order."""
        self.renew()
        if self._written and not self._files.has(f"{MANIFESTS}/{manifest_name(self._version)}"):
            self.drop()
            raise NotADatasetError(
                f"version {self._version} of {self._files.path} was deleted after it was loaded; load the dataset again"
            )

    def renew(self) -> None:
        """Write the lease, for another while."""
        lease = Lease(
            kind="reader",
            host=this_host(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            expires_at=datetime.now(timezone.utc) + timedelta(seconds=READER_SECONDS),
            version=self._version,
        )
        before = self.path
        path = before if self._files.replaces_whole or not self._written else f"{LEASES}/{uuid.uuid4()}.json"
        try:
            self._files.put(path, write_lease(lease), f"{LEASES}/.{uuid.uuid4()}.tmp")
            self._written, self.path = True, path
            if path != before:
                self._files.remove(before)
        except NotADatasetError:
            if not self._written:
                raise
            logger.warning("%s was deleted while it is read", self._files.path)
        except Exception as error:  # drivers of object stores raise what they like, and reading needs no lease
            logger.debug("reading %s without a lease: %s", self._files.path, error)
        self.renew_at = time.monotonic() + READER_SECONDS / 3

    def drop(self) -> None:
        if self._written:
            try:
                self._files.remove(self.path)
                self._files.remove_directory(LEASES)
            except StorageError as error:
                logger.debug("a lease stays until it expires: %s", error)


class ReaderLease:
    """While this is open, `gc` and `delete` in any process leave the shards of the version alone.

    `touch` opens it, and renews it later on; so does `with`. Threads may share it. After a fork it is the parent's,
    and the child's first `touch` opens another.
    """

    __slots__ = ("_held", "_pid", "_store", "_version")

    def __init__(self, store: Store, version: int) -> None:
        self._store, self._version = store, version
        self._held: _Held | None = None
        self._pid = 0

    @property
    def path(self) -> str | None:
        """The lease's file, relative to the dataset; None while it is closed."""
        return None if self._held is None or self._pid != os.getpid() else self._held.path

    def touch(self) -> None:
        """Say that one still reads. Cheap, so call it for each batch. Raises NotADatasetError if the version has been
        deleted before the lease could be opened."""
        held = self._held
        if held is None or self._pid != os.getpid():
            _HOLDER.open(self)
        elif time.monotonic() >= held.renew_at:
            _HOLDER.renew(held)

    def close(self) -> None:
        """Give the lease up."""
        if self._held is not None:
            _HOLDER.close(self)

    def __enter__(self) -> ReaderLease:
        self.touch()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Holder:
    """All leases of this process, by dataset and version. A fork starts with none: they are its parent's."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may close a lease while this thread opens one
        self._held: dict[tuple[str, int], _Held] = {}

    def open(self, lease: ReaderLease) -> None:
        with self._lock:
            if lease.path is not None:
                return
            key = (lease._store.path, lease._version)
            held = self._held.get(key)
            if held is not None:
                held.readers += 1
            else:
                held = _Held(lease._store, lease._version)
                held.take()
                held.readers = 1
                self._held[key] = held
            lease._held, lease._pid = held, os.getpid()

    def renew(self, held: _Held) -> None:
        with self._lock:
            if time.monotonic() >= held.renew_at:
                held.renew()

    def close(self, lease: ReaderLease) -> None:
        with self._lock:
            held, mine = lease._held, lease._pid == os.getpid()
            lease._held = None
            if held is None or not mine or self._held.get(held.key) is not held:
                return
            held.readers -= 1
            if not held.readers:
                del self._held[held.key]
                held.drop()

    def paths(self, store: Store) -> frozenset[str]:
        with self._lock:
            return frozenset(held.path for held in self._held.values() if held.key[0] == store.path)

    def drop_all(self) -> None:
        with self._lock:
            for held in self._held.values():
                held.drop()
            self._held.clear()


_HOLDER = _Holder()
atexit.register(_HOLDER.drop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HOLDER.forget)


def own_leases(store: Store) -> frozenset[str]:
    """The lease files that this process has in a dataset."""
    return _HOLDER.paths(store)


def drop_leases() -> None:
    """Give up all leases of this process: it ends."""
    _HOLDER.drop_all()
