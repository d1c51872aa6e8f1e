"""How long a converter's dataset lives: while a converter needs it, at most as long as the process that wrote it."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from typing import Protocol

from ._files import Files
from ._lifecycle import delete_at_exit


class Converter(Protocol):
    """What is known of a converter here."""

    cache_dir_url: str

    @property
    def deleted(self) -> bool: ...


class Converters:
    """The converters of this process whose datasets are the converter's own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._live: weakref.WeakSet[Converter] = weakref.WeakSet()

    def add(self, converter: Converter) -> None:
        with self._lock:
            self._live.add(converter)

    def others(self, converter: Converter) -> bool:
        """True if another converter, not deleted, has the same dataset."""
        with self._lock:
            return any(
                other is not converter and not other.deleted and other.cache_dir_url == converter.cache_dir_url
                for other in self._live
            )


class Written:
    """The datasets that this process has written for converters: they go when it ends."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[Files, int]] = {}

    def add(self, files: Files) -> None:
        self._files[files.path] = files, os.getpid()

    def remove(self, files: Files) -> None:
        self._files.pop(files.path, None)

    def finish(self) -> None:
        """A fork does nothing with what its parent wrote."""
        for files, writer in self._files.values():
            delete_at_exit(files, writer)


CONVERTERS = Converters()
WRITTEN = Written()
atexit.register(WRITTEN.finish)
