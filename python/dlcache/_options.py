"""The options of a loader, checked before anything is read."""

from __future__ import annotations

import os
from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ._checks import Verify
from ._classes import StringsAs
from ._errors import OptionError, unknown_column
from ._fields import WEIGHT, Nulls
from ._manifest import Decimals
from ._ranks import Place, agree, found_now
from ._steps import REMAINDERS, Remainder
from ._transform import TransformSpec, as_spec
from ._values import one_by_one

Output = str | tuple[str, ...]

PREFETCH_BYTES = 64 << 20


@dataclass(frozen=True)
class LoaderOptions:
    """What `Dataset.numpy`, `.torch` and `.tf` take; see `Dataset.numpy` for what each means."""

    batch_size: int = 32
    shuffle: bool = False
    seed: int = 0
    epochs: int | None = 1
    rank: int | None = None
    world_size: int | None = None
    remainder: Remainder | None = None
    columns: Sequence[str] | None = None
    stack: Mapping[str, Sequence[str]] | None = None
    output: Output = "dict"
    transform: TransformSpec | Callable[[Any], Any] | None = None
    nulls: Nulls = "error"
    strings: StringsAs | None = None
    decimals: Decimals = "float"
    shuffle_window: int | None = None
    threads: int | None = None
    prefetch: int = PREFETCH_BYTES
    verify: Verify | None = None
    progress: bool = False

    def checked(self) -> LoaderOptions:
        """These options, if rank and world size agree with what frameworks and launchers say now. Raises OptionError;
        see `agree`."""
        agree(*self._given(), found_now())
        return self

    def place(self) -> Place | None:
        """Rank and world size: as given, or else as found now; None if nothing says them. Raises OptionError."""
        rank, world_size = self._given()
        return agree(rank, world_size, () if self.fixed else found_now())

    @property
    def fixed(self) -> bool:
        """True if rank and world size were both given."""
        return self.rank is not None and self.world_size is not None

    def _given(self) -> tuple[int | None, int | None]:
        return _integer("rank", self.rank, 0), _integer("world_size", self.world_size, 1)

    def resolve(self, place: Place | None) -> Resolved:
        """These options with their defaults filled in, for a rank and world size. Raises OptionError."""
        rank, world_size = place or (0, 1)
        remainder = self.remainder or ("exact" if world_size == 1 else "pad")
        if remainder not in REMAINDERS:
            raise OptionError(f"remainder must be one of {', '.join(REMAINDERS)}, not {remainder!r}")
        transform = as_spec(self.transform)
        if transform is not None and transform.changes_rows:
            remainder = self.remainder or ("exact" if world_size == 1 else "drop")
            _check_changed(remainder, world_size, self.epochs)
        for name, value in (("shuffle", self.shuffle), ("progress", self.progress)):
            if not isinstance(value, bool):
                raise OptionError(f"{name} must be True or False, not {value!r}")
        window = _integer("shuffle_window", self.shuffle_window, 1)
        if window is not None and not self.shuffle:
            raise OptionError(f"shuffle_window={window} without shuffle=True; give both, or neither")
        threads = _integer("threads", self.threads, 0)
        return Resolved(
            batch_size=_integer("batch_size", self.batch_size, 1) or 0,
            shuffle=self.shuffle,
            seed=_integer("seed", self.seed, 0) or 0,
            epochs=_integer("epochs", self.epochs, 1),
            rank=rank,
            world_size=world_size,
            remainder=remainder,
            transform=transform,
            shuffle_window=window,
            threads=min(4, os.cpu_count() or 1) if threads is None else threads,
            prefetch=_integer("prefetch", self.prefetch, 1) or 0,
            progress=self.progress,
        )


@dataclass(frozen=True, slots=True)
class Resolved:
    """Loader options after defaults."""

    batch_size: int
    shuffle: bool
    seed: int
    epochs: int | None
    rank: int
    world_size: int
    remainder: Remainder
    transform: TransformSpec | None
    shuffle_window: int | None
    threads: int
    prefetch: int
    progress: bool

    @property
    def changes_rows(self) -> bool:
        return self.transform is not None and self.transform.changes_rows


def _check_changed(remainder: str, world_size: int, epochs: int | None) -> None:
    """What a transform with changes_rows=True allows: nobody knows the number of its rows before its end."""
    if remainder == "mask":
        raise OptionError(
            "remainder='mask' needs the number of rows, and the transform changes it; use 'exact', 'pad' or 'drop'"
        )
    if world_size > 1 and epochs is not None:
        raise OptionError(
            f"the transform changes the number of rows, so that {world_size} ranks would take unequal steps in "
            f"epochs={epochs}. Use epochs=None, and end each epoch after a number of steps of your own"
        )


def is_integer(value: Any, least: int) -> bool:
    """True for integers of at least `least`, NumPy's too, and False for booleans."""
    return not isinstance(value, bool) and hasattr(value, "__index__") and value.__index__() >= least


def _integer(name: str, value: Any, least: int) -> int | None:
    if value is None:
        return None
    if not is_integer(value, least) or value.__index__() >= 1 << 63:
        raise OptionError(f"{name} must be an integer of at least {least}, not {value!r}")
    return int(value)


class Shaper:
    """What a loader yields for a batch: a dict, a namedtuple, or a tuple of chosen fields.

    With a tuple of names and `remainder="mask"`, the weights come last: (features, label, sample_weight).
    """

    def __init__(self, output: Output, names: Sequence[str]) -> None:
        self._make: Callable[[tuple[Any, ...]], Any] = tuple
        self._names: tuple[str, ...] | None = None
        if output == "dict":
            pass
        elif output == "namedtuple":
            self._names = tuple(names)
            made = namedtuple("Batch", self._names, rename=True)  # type: ignore[misc]
            self._make = lambda values: made(*values)
        elif isinstance(output, (tuple, list)) and output and all(isinstance(name, str) for name in output):
            for name in output:
                if name not in names:
                    raise unknown_column(name, names, "output: a batch")
            weight = (WEIGHT,) if WEIGHT in names and WEIGHT not in output else ()
            self._names = (*output, *weight)
        else:
            raise OptionError(f"output must be 'dict', 'namedtuple' or a tuple of field names, not {output!r}")

    def all(self, batches: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Several batches: `batches` has the values of each field, batch by batch."""
        if self._names is None:
            return one_by_one(batches)
        return list(map(self._make, zip(*(batches[name] for name in self._names), strict=True)))
