"""Batches that are views of files: which mappings they lie in, and how many steps are one piece of memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ._private import Lent
from ._shards import Stretch
from ._values import Value


@dataclass(frozen=True, slots=True)
class Piece:
    """The rows of some steps, one step after another. lent: the mapping that views among them lie in; None if there are
    none."""

    steps: int
    rows: dict[str, Value]
    lent: Lent | None


@dataclass(frozen=True, slots=True)
class Views:
    """The steps of an epoch in stored order as pieces, for those who never write into them: the files stay mapped, and
    each epoch has the same views.

    starts: the steps with which pieces begin. piece: the piece of some steps from one on; they are of one piece.
    """

    starts: Sequence[int]
    piece: Callable[[int, int], Piece]


class EpochFiles:
    """The private mappings that the views of one iteration lie in: each shard is borrowed anew in each epoch.

    A consumer may write into a view: that stays in this mapping, and no other epoch or iteration sees it.
    """

    def __init__(self, borrow: Callable[[int], Lent]) -> None:
        self._borrow = borrow
        self._lock = threading.Lock()
        self._files: dict[tuple[int, int], Lent] = {}

    def get(self, epoch: int, stretch: Stretch) -> Lent:
        """The mapping of a shard for an epoch."""
        key = (epoch, stretch.shard)
        with self._lock:
            file = self._files.get(key)
            if file is None:
                file = self._files[key] = self._borrow(stretch.shard)
                for old in sorted(self._files)[:-3]:
                    del self._files[old]
            return file
