"""Which positions of an epoch's order one rank reads at each step. Pure.

Global step t is positions `[t*G, (t+1)*G)` of the epoch's order, G = batch size times world size; a rank takes its
slice. So all ranks have equally many steps, and a change of world size that keeps G keeps the order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ._errors import OptionError

Remainder = Literal["drop", "pad", "mask", "exact"]
REMAINDERS: tuple[str, ...] = ("drop", "pad", "mask", "exact")


@dataclass(frozen=True, slots=True)
class Steps:
    """The steps of an epoch over `rows` rows.

    remainder: what becomes of the rows after the last whole global batch. `drop` leaves them out. `pad` fills the
    batch with rows from the start of the epoch's order. `mask` does so too, and gives the padding weight 0. `exact`
    delivers a short batch, for one rank only.
    """

    rows: int
    batch_size: int
    rank: int
    world_size: int
    remainder: Remainder

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise OptionError(f"batch_size must be at least 1, not {self.batch_size}")
        if self.world_size < 1:
            raise OptionError(f"world_size must be at least 1, not {self.world_size}")
        if not 0 <= self.rank < self.world_size:
            raise OptionError(
                f"rank must be in 0 .. {self.world_size - 1} for world_size={self.world_size}, not {self.rank}"
            )
        if self.remainder not in REMAINDERS:
            raise OptionError(f"remainder must be one of {', '.join(REMAINDERS)}, not {self.remainder!r}")
        if self.remainder == "exact" and self.world_size > 1:
            raise OptionError(
                f"remainder='exact' is for one rank, and world_size is {self.world_size}: ranks would take unequal "
                "steps. Use 'pad' to train, 'mask' to evaluate"
            )

    @property
    def global_batch(self) -> int:
        return self.batch_size * self.world_size

    @property
    def count(self) -> int:
        """Steps of an epoch."""
        if self.remainder == "drop":
            return self.rows // self.global_batch
        return -(-self.rows // self.global_batch)

    @property
    def rows_of_rank(self) -> int:
        """Rows that this rank delivers in an epoch, padding included."""
        if self.remainder == "exact":
            return self.rows
        return self.count * self.batch_size

    def size(self, step: int) -> int:
        """Rows of this rank's batch at `step`."""
        if self.remainder == "exact":
            return min(self.batch_size, self.rows - step * self.batch_size)
        return self.batch_size

    def span(self, step: int, steps: int) -> tuple[int, int] | None:
        """The positions of `steps` steps as one range, where they are one."""
        start = step * self.global_batch + self.rank * self.batch_size
        if steps > 1 and self.world_size > 1:
            return None
        stop = start + self.batch_size * steps
        if self.remainder == "exact":
            stop = min(stop, self.rows)
        return (start, stop) if stop <= self.rows else None

    def positions(self, step: int, steps: int = 1) -> npt.NDArray[np.int64]:
        """This rank's positions at steps `step .. step+steps-1`, one after another, before they wrap: those at or
        above `rows` are padding."""
        start = step * self.global_batch + self.rank * self.batch_size
        if self.world_size == 1:
            stop = start + steps * self.batch_size
            return np.arange(start, min(stop, self.rows) if self.remainder == "exact" else stop, dtype=np.int64)
        first = np.arange(steps, dtype=np.int64)[:, None] * self.global_batch + start
        return (first + np.arange(self.batch_size, dtype=np.int64)).reshape(-1)

    def count_rows(self, step: int, steps: int) -> int:
        """How many `positions` there are."""
        return (steps - 1) * self.batch_size + self.size(step + steps - 1)

    def sample(self, step: int, rows: int, size: int) -> npt.NDArray[np.int64]:
        """About `size` of this rank's positions, ascending, spread over the steps from `step` on that have `rows` rows
        of all ranks together, and one more."""
        steps = min(self.count - step, rows // self.global_batch + 1)
        if steps < 1:
            return np.empty(0, np.int64)
        chosen = np.unique(np.linspace(step, step + steps - 1, min(steps, size)).astype(np.int64)).tolist()
        each = max(1, self.batch_size * len(chosen) // size)
        return np.concatenate([self.positions(step)[::each] for step in chosen])
