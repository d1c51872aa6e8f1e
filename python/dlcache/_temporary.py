"""Temporary datasets: they go with the process that asked for it. See docs/format.md, 6 and 7.

A lease of the kind `temporary` says which process that is, so that `gc` deletes what a killed process has left. It
names a version: a dataset that somebody has appended to, or replaced, is not temporary any more.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import signal
import threading
import time
import uuid
from datetime import datetime, timedelta, timezone
from types import FrameType

from ._errors import DlcacheError, InUseError
from ._files import Files
from ._layout import LEASES
from ._leases import Lease, write_lease
from ._lifecycle import delete_temporary
from ._processes import process_start, this_host
from ._reading import drop_leases
from ._store import Store

TEMPORARY_SECONDS = 86400.0
"""How long such a lease holds on other machines without a renewal; it is renewed by reading, after a third of that."""

logger = logging.getLogger("dlcache")


class _Mark:
    """The lease of this process on one temporary dataset."""

    def __init__(self, store: Store, version: int) -> None:
        self.files, self.version = Files(store), version
        self.path = f"{LEASES}/{uuid.uuid4()}.json"
        self.renew_at = 0.0

    def renew(self) -> None:
        lease = Lease(
            kind="temporary",
            host=this_host(),
            pid=os.getpid(),
            process_start=process_start(os.getpid()),
            expires_at=datetime.now(timezone.utc) + timedelta(seconds=TEMPORARY_SECONDS),
            version=self.version,
        )
        try:
            self.files.put(self.path, write_lease(lease), f"{LEASES}/.{uuid.uuid4()}.tmp")
        except Exception as error:  # drivers of object stores raise what they like, and the exit handler needs no lease
            logger.debug("%s is not marked as temporary: %s", self.files.path, error)
        self.renew_at = time.monotonic() + TEMPORARY_SECONDS / 3

    def drop(self) -> None:
        try:
            self.files.remove(self.path)
            self.files.remove_directory(LEASES)
        except DlcacheError as error:
            logger.debug("a lease stays: %s", error)


class TemporaryDatasets:
    """Those of this process. A fork has none: they are its parent's."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._marks: dict[tuple[str, ...], _Mark] = {}
        self._ends = False

    def add(self, store: Store, version: int) -> None:
        """Delete this dataset when the process ends, unless it has a newer version by then."""
        if not self._ends:
            self._ends = True
            self._prepare_end()
        if store.identity in self._marks and self._marks[store.identity].version == version:
            return
        self.remove(store)
        mark = self._marks[store.identity] = _Mark(store, version)
        mark.renew()

    def remove(self, store: Store) -> None:
        """It is not temporary any more, or was deleted."""
        mark = self._marks.pop(store.identity, None)
        if mark is not None:
            mark.drop()

    def renew(self, store: Store) -> None:
        """To be called by who reads."""
        mark = self._marks.get(store.identity)
        if mark is not None and time.monotonic() >= mark.renew_at:
            mark.renew()

    def finish(self) -> None:
        """Delete them: this process ends."""
        if not self._marks:
            return
        drop_leases()
        while self._marks:
            _, mark = self._marks.popitem()
            try:
                if not delete_temporary(mark.files, mark.version, mark.path):
                    mark.drop()
            except InUseError as error:  # the lease stays, and tells `gc` that nobody needs the dataset any more
                logger.warning("a temporary dataset stays until the next gc: %s", error)
            except DlcacheError as error:
                logger.warning("a temporary dataset stays: %s", error)

    def _prepare_end(self) -> None:
        # Exit handlers run in reverse order: this one needs the store, which PyArrow's handler shuts down.
        atexit.unregister(self.finish)
        atexit.register(self.finish)
        if multiprocessing.parent_process() is not None:  # a child of `multiprocessing` runs no exit handlers
            from multiprocessing.util import Finalize

            Finalize(None, self.finish, exitpriority=1)
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._terminated)

    def _terminated(self, number: int, frame: FrameType | None) -> None:
        """Python runs no exit handlers on SIGTERM. Whoever has a handler of their own must call `sys.exit` in it."""
        self.finish()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


TEMPORARY = TemporaryDatasets()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=TEMPORARY.forget)
