"""The converters of this process, by their datasets."""

from __future__ import annotations

import threading
import weakref
from typing import Protocol


class Converter(Protocol):
    """What is known of a converter here."""

    @property
    def identity(self) -> tuple[str, ...]: ...

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
                other is not converter and not other.deleted and other.identity == converter.identity
                for other in self._live
            )


CONVERTERS = Converters()
