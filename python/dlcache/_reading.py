"""The leases that this process holds as a reader. See docs/format.md, 6.

One lease for each version of a dataset that is read, however many loaders read it. It is renewed by those who read, now
and then, without a thread. Where no lease can be written (a read-only place) reading goes on without.

Only dicts and counters change under the lock over all leases. Files are written and deleted under a lock of each lease,
so a slow store delays nobody but its own readers. The garbage collector, a `break` and errors give leases up without
waiting: files of remote stores are deleted by a thread of their own then.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from queue import SimpleQueue
from types import TracebackType

from ._background import end_without_requests
from ._errors import NotADatasetError, OptionError, StorageError
from ._files import Files
from ._layout import LEASES, MANIFESTS
from ._leases import Lease, write_lease
from ._processes import process_start, this_host
from ._store import Store, manifest_name

READER_SECONDS = 3600.0
"""How long a reader's lease holds without a renewal; it is renewed after a third of that."""
EXIT_SECONDS = 1.0
"""How long the end of the process waits until leases in remote stores are deleted."""

logger = logging.getLogger("dlcache")


class _Held:
    """The lease file of one version, and how many read under it."""

    def __init__(self, store: Store, version: int) -> None:
        self._files, self._version = Files(store), version
        self._written = self._may_exist = False
        self._lock = threading.Lock()
        self.key = (store.identity, version)
        self.is_remote = store.remote is not None
        self.path = f"{LEASES}/{uuid.uuid4()}.json"
        self.taken = False
        self.renew_at = 0.0
        self.readers = 0

    def take(self) -> None:
        """Write the lease, then see that what it is for is still there: who deletes looks in the other order."""
        with self._lock:
            if self.taken:
                return
            self._renew()
            if self._written and not self._files.has(f"{MANIFESTS}/{manifest_name(self._version)}"):
                raise NotADatasetError(
                    f"version {self._version} of {self._files.path} was deleted after it was loaded; load it again"
                )
            self.taken = True

    def renew(self) -> None:
        """Write the lease for another while, unless another thread is at it."""
        if self._lock.acquire(blocking=False):
            try:
                if time.monotonic() >= self.renew_at:
                    self._renew()
            finally:
                self._lock.release()

    def drop(self) -> None:
        """Delete the file."""
        with self._lock:
            if not self._may_exist:
                return
            try:
                self._files.remove(self.path)
                self._files.remove_directory(LEASES)
            except StorageError as error:
                logger.debug("a lease stays until it expires: %s", error)

    def _renew(self) -> None:
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
        self._may_exist = True  # and so it is if this is interrupted
        try:
            self._files.put(path, write_lease(lease), f"{LEASES}/.{uuid.uuid4()}.tmp")
            self._written, self.path = True, path
            if path != before:
                self._files.remove(before)
        except NotADatasetError:
            if not self._written:
                self._may_exist = False
                raise
            logger.warning("%s was deleted while it is read", self._files.path)
        except Exception as error:  # drivers of object stores raise what they like, and reading needs no lease
            self._may_exist = self._written
            logger.debug("reading %s without a lease: %s", self._files.path, error)
        self.renew_at = time.monotonic() + READER_SECONDS / 3


class ReaderLease:
    """While this is open, `gc` and `delete` in any process leave the shards of the version alone.

    `touch` opens it, and renews it later on; so does `with`. Threads may share it. After a fork it is the parent's,
    and the child's first `touch` opens another.
    """

    __slots__ = ("__weakref__", "_ended", "_held", "_pid", "_store", "_version")

    def __init__(self, store: Store, version: int) -> None:
        self._store, self._version = store, version
        self._held: _Held | None = None
        self._pid = 0
        self._ended: str | None = None

    @property
    def path(self) -> str | None:
        """The lease's file, relative to the dataset; None while it is closed."""
        return None if self._held is None or self._pid != os.getpid() else self._held.path

    def touch(self) -> None:
        """Say that one still reads. Cheap, so call it for each batch. Raises NotADatasetError if the version has been
        deleted before the lease could be opened, and OptionError if the lease has ended for good."""
        if self._ended is not None:
            raise OptionError(self._ended)
        held = self._held
        if held is None or self._pid != os.getpid():
            _HOLDER.open(self)
        elif not held.taken:
            held.take()
        elif time.monotonic() >= held.renew_at:
            held.renew()

    def close(self) -> None:
        """Give the lease up."""
        for held in _HOLDER.release(self):
            held.drop()

    def abandon(self) -> None:
        """Give the lease up without waiting for a store or a lock."""
        _HOLDER.abandon(self)

    def end(self, why: str) -> None:
        """Give the lease up for good: each later `touch` raises OptionError(why)."""
        self._ended = why
        self.close()

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
        self._lock = threading.Lock()
        self._held: dict[tuple[tuple[str, ...], int], _Held] = {}
        self._abandoned: deque[ReaderLease] = deque()
        self._drops: SimpleQueue[Callable[[], None]] | None = None
        self._ends = False

    def open(self, lease: ReaderLease) -> None:
        with self._lock:
            if lease.path is None:
                key = (lease._store.identity, lease._version)
                held = self._held.get(key)
                if held is None:
                    held = self._held[key] = _Held(lease._store, lease._version)
                held.readers += 1
                lease._held, lease._pid = held, os.getpid()
            opened = lease._held
        self._settle()
        assert opened is not None
        try:
            self._prepare_end(opened.is_remote)
            opened.take()
        except BaseException:
            self.abandon(lease)
            raise

    def release(self, lease: ReaderLease) -> list[_Held]:
        """Forget that `lease` is open: returns what nobody reads under any more."""
        with self._lock:
            gone = self._release(lease)
        self._settle()
        return gone

    def abandon(self, lease: ReaderLease) -> None:
        """As `release`, and deletes the files without waiting. The garbage collector may call it anywhere, also while
        this thread has the lock: then it is done as soon as the lock is free."""
        self._abandoned.append(lease)
        self._settle()

    def _settle(self) -> None:
        while self._abandoned and self._lock.acquire(blocking=False):
            try:
                gone = self._release(self._abandoned.popleft()) if self._abandoned else []
            finally:
                self._lock.release()
            self._drop(gone)

    def _release(self, lease: ReaderLease) -> list[_Held]:
        held, mine = lease._held, lease._pid == os.getpid()
        lease._held = None
        if held is None or not mine or self._held.get(held.key) is not held:
            return []
        held.readers -= 1
        if held.readers:
            return []
        del self._held[held.key]
        return [held]

    def _prepare_end(self, is_remote: bool) -> None:
        """Have leases deleted when this process ends, and start the thread that deletes those in remote stores."""
        if not self._ends:
            self._ends = True
            if multiprocessing.parent_process() is not None:  # a child of `multiprocessing` runs no exit handlers
                from multiprocessing.util import Finalize

                Finalize(None, self.drop_all, exitpriority=0)
        if is_remote and self._drops is None:
            # Exit handlers run in reverse order: this one needs the store, which PyArrow's handler shuts down.
            atexit.unregister(self.drop_all)
            atexit.register(self.drop_all)
            self._drops = SimpleQueue()
            threading.Thread(target=_carry_out, args=(self._drops,), name="dlcache-leases", daemon=True).start()

    def paths(self, store: Store) -> frozenset[str]:
        with self._lock:
            found = frozenset(held.path for held in self._held.values() if held.key[0] == store.identity)
        self._settle()
        return found

    def _drop(self, leases: list[_Held]) -> None:
        """Delete these files: those in remote stores in the background."""
        for held in leases:
            if held.is_remote and self._drops is not None:
                self._drops.put(held.drop)
            else:
                held.drop()

    def drop_all(self) -> None:
        with self._lock:
            dropped = list(self._held.values())
            self._held.clear()
        self._drop(dropped)
        if self._drops is not None:
            done = threading.Event()
            self._drops.put(done.set)
            if not done.wait(EXIT_SECONDS):
                logger.debug("a store does not answer: leases stay there until they expire")
                end_without_requests()


def _carry_out(acts: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        try:
            acts.get()()
        except Exception as error:  # drivers raise what they like, and nobody waits for this
            logger.debug("a lease stays until it expires: %s", error)


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
