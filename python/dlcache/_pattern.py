"""Which dataset of a mixture each position is a row of. Pure.

Positions lie in blocks. Each block has a fixed number of rows of each dataset, by its weight, in an order of the
block's own. So any position is known without those before it, and shares are kept within every block.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ._order import Permutation, mix

Int64s = npt.NDArray[np.int64]

BLOCK = 10_000
_KEPT = 8


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """One block. choice: the dataset of each position. rank: how many rows of it come before in the block. places: the
    positions of all datasets' rows, one dataset after another."""

    choice: Int64s
    rank: Int64s
    places: Int64s


class Pattern:
    """The pattern of a mixture. weights: positive, of any sum; rounded to 1/10,000 of it, and at least that."""

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        self.quotas = quotas(weights)
        self._starts = np.concatenate([[0], np.cumsum(self.quotas)])
        self._seed = seed
        self._blocks: OrderedDict[int, _Block] = OrderedDict()

    def at(self, positions: Int64s) -> tuple[Int64s, Int64s]:
        """For each position the dataset, and how many rows of that dataset come before it."""
        number, within = np.divmod(positions, BLOCK)
        choice, rank = np.empty_like(positions), np.empty_like(positions)
        for block in np.unique(number).tolist():
            here = number == block
            made = self._block(block)
            choice[here] = made.choice[within[here]]
            rank[here] = made.rank[within[here]]
        rank += number * self.quotas[choice]
        return choice, rank

    def position(self, dataset: int, row: int) -> int:
        """The position of a dataset's row number `row`."""
        block, rank = divmod(row, int(self.quotas[dataset]))
        return block * BLOCK + int(self._block(block).places[self._starts[dataset] + rank])

    def _block(self, number: int) -> _Block:
        block = self._blocks.get(number)
        if block is None:
            slots = np.repeat(np.arange(len(self.quotas)), self.quotas)
            choice = slots[Permutation(BLOCK, mix(self._seed, 5, number))(np.arange(BLOCK, dtype=np.int64))]
            places = np.argsort(choice, kind="stable")
            rank = np.empty(BLOCK, np.int64)
            rank[places] = np.arange(BLOCK) - self._starts[choice[places]]
            block = self._blocks[number] = _Block(choice, rank, places)
            while len(self._blocks) > _KEPT:
                try:
                    self._blocks.popitem(last=False)
                except KeyError:  # another thread was first
                    break
        return block


def quotas(weights: Sequence[float]) -> Int64s:
    """Rows of each dataset in a block: at least 1, BLOCK in all, the largest remainders rounded up."""
    shares = np.array(weights, np.float64) / sum(weights) * BLOCK
    counts = np.maximum(1, np.floor(shares + 1e-9)).astype(np.int64)
    while counts.sum() != BLOCK:
        step = 1 if counts.sum() < BLOCK else -1
        lack = np.where((counts > 1) | (step > 0), (shares - counts) * step, -np.inf)
        counts[int(np.argmax(lack))] += step
    return counts
