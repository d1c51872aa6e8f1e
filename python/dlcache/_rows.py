"""Subsets of a dataset's rows, in stored order: the layer between an order and row ids. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ._errors import OptionError
from ._order import Permutation, mix, mix_array

Int64s = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Some rows of a dataset, ascending: a range `start .. stop-1`, or `ids`.

    ids: the row ids, ascending, in the smallest unsigned dtype that holds them; None for a range.
    """

    start: int
    stop: int
    ids: npt.NDArray[np.unsignedinteger] | None = None

    def __len__(self) -> int:
        return self.stop - self.start if self.ids is None else len(self.ids)

    def at(self, positions: Int64s) -> Int64s:
        """The row ids at these positions of the subset."""
        if self.ids is None:
            return positions + self.start if self.start else positions
        return self.ids.take(positions).astype(np.int64)

    def positions(self, ids: Int64s) -> list[int]:
        """For each id the first position of a row with it or a higher one."""
        if self.ids is None:
            return [min(max(0, row - self.start), len(self)) for row in ids.tolist()]
        return [int(at) for at in np.searchsorted(self.ids, ids)]

    def subset(self, positions: Int64s) -> Rows:
        """The rows at these positions (ascending)."""
        ids = self.at(positions)
        if len(ids) and int(ids[-1]) - int(ids[0]) == len(ids) - 1:
            return Rows(int(ids[0]), int(ids[-1]) + 1)
        return Rows(0, 0, ids.astype(np.min_scalar_type(int(ids[-1]) if len(ids) else 0)))

    def digest(self) -> str:
        """Which rows these are, as 16 hexadecimal digits."""
        if self.ids is None:
            return blake2b(f"{self.start} {self.stop}".encode(), digest_size=8).hexdigest()
        return blake2b(self.ids.astype("<i8").tobytes(), digest_size=8).hexdigest()

    def block_starts(self, blocks: Int64s) -> Int64s:
        """The positions where the rows of each block start; `blocks` are the blocks' first row ids, and the end."""
        if self.ids is None:
            inside = np.clip(blocks, self.start, self.stop) - self.start
        else:
            inside = np.searchsorted(self.ids, blocks)
        return np.unique(np.append(inside, [0, len(self)])).astype(np.int64)


def fractions_of(parts: Mapping[str, float]) -> dict[str, float]:
    """The parts of a split, checked: positive, and at most 1 in all."""
    if not isinstance(parts, Mapping) or not parts:
        raise OptionError(
            f"split takes a dict of names and fractions, such as {{'train': 0.8, 'val': 0.2}}, not {parts!r}"
        )
    for name, part in parts.items():
        if isinstance(part, bool) or not isinstance(part, (int, float)) or not 0 < part <= 1:
            raise OptionError(f"split: the fraction of {name!r} must be above 0 and at most 1, not {part!r}")
    if sum(parts.values()) > 1 + 1e-9:
        raise OptionError(f"split: the fractions are {sum(parts.values())} in all, and can be at most 1")
    return dict(parts)


def split_rows(rows: int, fractions: list[float], seed: int) -> Iterator[Int64s]:
    """Positions of disjoint random parts, each ascending, one part at a time. Sizes are exact: boundaries are rounded
    fractions of `rows`."""
    cuts = [round(rows * total) for total in np.cumsum([0.0, *fractions]).clip(0, 1)]
    shuffled = Permutation(rows, mix(seed, 3))
    for start, stop in pairwise(cuts):
        part = shuffled(np.arange(start, stop, dtype=np.int64))
        part.sort()
        yield part


def split_keys(keys: npt.NDArray[np.uint64], fractions: list[float], seed: int) -> list[Int64s]:
    """Positions of disjoint parts, each ascending: rows of one key are in one part, whatever other rows there are."""
    draw = mix_array(keys, mix(seed, 4)) >> np.uint64(11)
    bounds = np.array([round(min(total, 1.0) * (1 << 53)) for total in np.cumsum([0.0, *fractions])], np.uint64)
    part = np.searchsorted(bounds, draw, side="right") - 1
    return [np.flatnonzero(part == number) for number in range(len(fractions))]
