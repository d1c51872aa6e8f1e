"""A number that says which batches a run has seen, so that two runs can be compared.

It is a chain of hashes, one link for each step that was delivered: of the step's number, its epoch, and eight of the
ids of its rows, over all ranks. The chain begins with what the dataset is and which fields are read. So it is the same
for any number of threads, worker processes and ranks, costs next to nothing, and goes on where a run is resumed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

import numpy as np

from ._rows import Int64s
from ._steps import Steps

_PROBES = 8
_BYTES = 12
_MOST_PENDING = 2048


class Fingerprint:
    """The chain of one loader. header: gives JSON values that name what is read. ids: gives the row ids at positions
    of an epoch."""

    def __init__(
        self, header: Callable[[], Mapping[str, Any]], steps: Callable[[], Steps], ids: Callable[[int, Int64s], Int64s]
    ) -> None:
        self._header, self._steps, self._ids = header, steps, ids
        self._chain = b""
        self._pending: list[int] = []

    def delivered(self, first: int, last: int) -> None:
        """Steps `first .. last-1` were delivered, counted over all epochs."""
        pending = self._pending
        if pending and pending[-1] == first:
            pending[-1] = last
        else:
            if len(pending) >= _MOST_PENDING:  # a worker process has every n-th step only
                self.digest()
            pending += (first, last)

    def set(self, chain: str) -> None:
        """Go on with a chain."""
        self._chain = bytes.fromhex(chain)
        self._pending.clear()

    def digest(self) -> str:
        """The chain so far, 24 hexadecimal digits."""
        if not self._chain:
            self._chain = blake2b(json.dumps(self._header(), sort_keys=True).encode(), digest_size=_BYTES).digest()
        pairs = zip(self._pending[::2], self._pending[1::2], strict=True)
        steps = np.concatenate([np.empty(0, np.int64), *(np.arange(*pair, dtype=np.int64) for pair in pairs)])
        for start in range(0, len(steps), _MOST_PENDING):
            epochs, within = np.divmod(steps[start : start + _MOST_PENDING], self._steps().count)
            for part in np.split(np.arange(len(epochs)), np.flatnonzero(np.diff(epochs)) + 1):
                self._add(int(epochs[part[0]]), within[part])
        self._pending.clear()
        return self._chain.hex()

    def _add(self, epoch: int, steps: Int64s) -> None:
        size = self._steps().global_batch
        positions = steps[:, None] * size + np.arange(_PROBES, dtype=np.int64) * (size - 1) // (_PROBES - 1)
        if self._steps().remainder == "exact":
            positions = np.minimum(positions, self._steps().rows - 1)
        ids = self._ids(epoch, positions.reshape(-1)).reshape(-1, _PROBES)
        links = np.concatenate([np.full((len(steps), 1), epoch, np.int64), steps[:, None], ids], axis=1).astype("<i8")
        for link in links:
            self._chain = blake2b(self._chain + link.tobytes(), digest_size=_BYTES).digest()
