"""Several datasets as one: rows of each by its weight, in an order that is a function of the position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import zip_longest
from typing import Any, Literal

import numpy as np

from ._ahead import Coming
from ._dataset import Dataset
from ._errors import ColumnError, OptionError
from ._fields import WEIGHT
from ._memory import BufferPool
from ._options import LoaderOptions, Resolved
from ._order import mix as mixed
from ._parts import check_seed
from ._pattern import BLOCK, Pattern
from ._readable import Lease, Readable
from ._rows import Int64s
from ._selection import Selection
from ._source import MOST_SAMPLES, SAMPLES, Source, Work, cut
from ._steps import Steps
from ._values import Field, Value, concatenate, take_rows

Stop = Literal["first", "all"]


def mix(
    datasets: Sequence[Dataset], weights: Sequence[float] | None = None, *, seed: int = 0, stop: Stop = "first"
) -> Mixture:
    """Rows of several datasets, mixed: `mix([a, b], weights=[0.7, 0.3])`.

    datasets: of equal columns. weights: the share of each in the batches, of any sum; by default by their rows. They
    are kept in every 10,000 rows, and so rounded to 1/10,000. seed: of the pattern in which the datasets take turns.
    stop: an epoch ends where the `first` dataset has no row left, or where `all` have been read: shorter ones then
    begin anew, in another order. What an epoch leaves of a longer dataset is another part in each epoch if the loader
    shuffles.

    Raises OptionError, and ColumnError where columns differ.
    """
    return Mixture(datasets, weights, seed, stop)


class Mixture(Readable):
    """Datasets that are read as one; see `mix`. `numpy`, `torch` and `tf` are those of a dataset."""

    def __init__(self, datasets: Sequence[Dataset], weights: Sequence[float] | None, seed: int, stop: Stop) -> None:
        self.datasets = tuple(datasets) if isinstance(datasets, Iterable) else ()
        if not self.datasets or not all(isinstance(dataset, Dataset) for dataset in self.datasets):
            raise OptionError(f"mix takes a list of at least one dataset, not {datasets!r}")
        for number, dataset in enumerate(self.datasets):
            if not len(dataset):
                raise OptionError(f"mix: dataset {number}, {dataset.path}, has no rows; leave it out")
        try:
            self.weights = tuple(map(float, weights if weights is not None else map(len, self.datasets)))
        except (TypeError, ValueError):
            self.weights = ()
        if len(self.weights) != len(self.datasets) or not all(0 < weight < float("inf") for weight in self.weights):
            raise OptionError(
                f"mix: weights must be {len(self.datasets)} positive numbers, one for each dataset, not {weights!r}"
            )
        if len(self.datasets) > BLOCK:
            raise OptionError(f"mix takes at most {BLOCK} datasets, not {len(self.datasets)}")
        check_seed(seed)
        if stop not in ("first", "all"):
            raise OptionError(f"stop must be 'first' or 'all', not {stop!r}")
        self.seed, self.stop = seed, stop
        self.pattern = Pattern(self.weights, seed)
        first = self.datasets[0]
        for dataset in self.datasets[1:]:
            differ = set(first.columns) ^ set(dataset.columns)
            if differ:
                raise ColumnError(
                    f"{first.path} and {dataset.path} cannot be mixed: only one of them has column "
                    f"{sorted(differ)[0]!r}; give the columns of both, with select([...])"
                )
            for name in first.columns:
                _check_labels(name, first, dataset)

    @property
    def path(self) -> str:
        return " + ".join(dataset.path for dataset in self.datasets)

    @cached_property
    def _length(self) -> int:
        sizes = list(map(len, self.datasets))
        if self.stop == "first":
            return min(self.pattern.position(number, size) for number, size in enumerate(sizes))
        return 1 + max(self.pattern.position(number, size - 1) for number, size in enumerate(sizes))

    def __len__(self) -> int:
        return self._length

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self.datasets[0].columns

    def vocabulary(self, column: str) -> tuple[Any, ...]:
        """The distinct values of a string or binary column over all versions that are mixed, sorted."""
        return tuple(sorted({value for dataset in self.datasets for value in dataset.vocabulary(column)}))

    def selection(self, options: LoaderOptions) -> MixedSelection:
        options = replace(options, columns=self.columns if options.columns is None else options.columns)
        options = replace(options, strings=self._strings(options))
        return MixedSelection(self, [Selection(dataset, options) for dataset in self.datasets])

    def _strings(self, options: LoaderOptions) -> Any:
        """One vocabulary for all, so that a code means the same in each."""
        strings = options.strings
        if strings == "codes":
            manifest = self.datasets[0].manifest
            strings = {name: "codes" for name in options.columns or () if manifest.column(name).storage == "string"}
        if not isinstance(strings, Mapping):
            return strings
        return {name: self.vocabulary(name) if value == "codes" else value for name, value in strings.items()}

    def lease(self) -> Lease:
        return _Leases([dataset.lease() for dataset in self.datasets])

    def hold(self) -> None:
        for dataset in self.datasets:
            dataset.hold()

    def __reduce__(self) -> Any:
        return Mixture, (self.datasets, self.weights, self.seed, self.stop)

    def __repr__(self) -> str:
        parts = ", ".join(
            f"{dataset.path!r} x {quota / BLOCK:.4g}"
            for dataset, quota in zip(self.datasets, self.pattern.quotas.tolist(), strict=True)
        )
        return f"Mixture({parts}; {len(self):,} rows, stop={self.stop!r})"


def _check_labels(name: str, one: Dataset, other: Dataset) -> None:
    """Raises ColumnError if the same class number stands for two classes."""
    mine, its = (dataset.manifest.column(name).labels for dataset in (one, other))
    if mine is not None and its is not None and mine != its:
        raise ColumnError(
            f"{one.path} and {other.path} cannot be mixed: column {name!r} has class numbers of other labels "
            f"({_few(mine)} and {_few(its)}); index both with one StringIndexerModel, or leave the column out"
        )


def _few(labels: Sequence[str]) -> str:
    return ", ".join(map(repr, labels[:3])) + (", ..." if len(labels) > 3 else "")


class _Leases:
    """The leases of several datasets."""

    def __init__(self, leases: Sequence[Lease]) -> None:
        self._leases = leases

    def touch(self) -> None:
        for lease in self._leases:
            lease.touch()

    def close(self) -> None:
        for lease in self._leases:
            lease.close()

    def abandon(self) -> None:
        for lease in self._leases:
            lease.abandon()


class MixedSelection:
    """The chosen columns of several datasets. Raises ColumnError where they are not alike."""

    def __init__(self, mixture: Mixture, parts: Sequence[Selection]) -> None:
        self._mixture, self._parts = mixture, parts
        for dataset, part in zip(mixture.datasets[1:], parts[1:], strict=True):
            if part.fields != parts[0].fields:
                raise ColumnError(_difference(mixture.datasets[0], dataset, parts[0].fields, part.fields))

    @property
    def fields(self) -> dict[str, Field]:
        return self._parts[0].fields

    @property
    def row_bytes(self) -> int:
        return max(part.row_bytes for part in self._parts)

    viewable = viewed = False

    def identity(self) -> dict[str, Any]:
        mixture = self._mixture
        return {
            "mixture": [list(part.identity().values()) for part in self._parts],
            "weights": mixture.pattern.quotas.tolist(),
            "mixture_seed": mixture.seed,
            "stop": mixture.stop,
        }

    def source(self, options: Resolved, steps: Steps, block_steps: int) -> MixedSource:
        sources = [
            part.source(replace(options, seed=mixed(options.seed, 6, number)), steps, block_steps)
            for number, part in enumerate(self._parts)
        ]
        return MixedSource(self._mixture, sources, steps)


def _difference(one: Dataset, other: Dataset, fields: Mapping[str, Field], others: Mapping[str, Field]) -> str:
    name = next(name for name in {**fields, **others} if fields.get(name) != others.get(name))
    if name not in fields or name not in others:
        return (
            f"{one.path} and {other.path} cannot be mixed with nulls='mask': only one of them has nulls in column "
            f"{name.removesuffix('_mask')!r}; give a fill value"
        )
    mine, its = (
        f"{f.kind} {f.dtype} {list(f.shape[1:])} {f.logical or ''}".strip() for f in (fields[name], others[name])
    )
    return (
        f"{one.path} and {other.path} cannot be mixed: column {name!r} is {mine} in one and {its} in the other; "
        "write them alike, or leave the column out"
    )


class MixedSource:
    """The rows of a mixture, as `Source` has those of a dataset."""

    def __init__(self, mixture: Mixture, sources: Sequence[Source], steps: Steps) -> None:
        self._mixture, self._sources, self._steps = mixture, sources, steps
        self._rows = rows = np.array([len(dataset) for dataset in mixture.datasets])
        self._passes = -(-_counts(mixture) // rows)

    @property
    def pool(self) -> BufferPool:
        return self._sources[0].pool

    @property
    def fetches_ahead(self) -> bool:
        return any(source.fetches_ahead for source in self._sources)

    def upcoming(self, work: Work) -> list[Coming]:
        """The shards that come next of each dataset, the nearest of each first."""
        turns = zip_longest(*(self._coming(number, work) for number in range(len(self._sources))))
        return [shard for turn in turns for shard in turn if shard is not None]

    def _coming(self, number: int, work: Work) -> list[Coming]:
        """Those of one dataset: the smaller its share, the further ahead they lie, and the more rows are looked at."""
        source, share = self._sources[number], self._mixture.pattern.quotas[number] / BLOCK
        if not source.fetches_ahead:
            return []
        size = min(MOST_SAMPLES, int(SAMPLES / share))
        positions = self._steps.sample(work.step + work.steps, int(source.rows_ahead / share), size)
        its = [part for part in self._members(work.epoch, positions) if part[0] == number]
        return list(dict.fromkeys(shard for *_, epoch, at in its for shard in source.coming(epoch, at)))

    def rest(self) -> None:
        for source in self._sources:
            source.rest()

    def files(self) -> None:
        """Mixed rows are no views of a file."""

    def views(self, most: int) -> None:
        """As `files`."""

    def read(self, work: Work, pool: BufferPool, files: object = None) -> dict[str, Value]:
        positions = self._steps.positions(work.step, work.steps)
        out = self._at(work.epoch, positions, pool)
        if self._steps.remainder == "mask":
            out[WEIGHT] = (positions < self._steps.rows).astype(np.float32)
        return out

    def gather(self, positions: Int64s, pool: BufferPool) -> dict[str, Value]:
        return self._at(0, positions, pool)

    def batches(self, work: Work, pool: BufferPool, files: object) -> dict[str, list[Value]]:
        return cut(self.read(work, pool), self._steps.batch_size, work.steps)

    def ids(self, epoch: int, positions: Int64s) -> Int64s:
        """For each position the row id, with the dataset's number above its lowest 48 bits."""
        out = np.empty(len(positions), np.int64)
        for number, source, here, its_epoch, its_positions in self._members(epoch, positions):
            out[here] = (number << 48) + source.ids(its_epoch, its_positions)
        return out

    def row_names(self, work: Work) -> Sequence[Any]:
        ids = self.ids(work.epoch, self._steps.positions(work.step, work.steps)).tolist()
        return [f"{row & (1 << 48) - 1} of {self._mixture.datasets[row >> 48].path}" for row in ids]

    def _members(self, epoch: int, positions: Int64s) -> list[tuple[int, Source, Int64s, int, Int64s]]:
        """The parts of some positions: the dataset's number and source, which positions, and the epoch and positions
        in that dataset."""
        choice, index = self._mixture.pattern.at(positions % self._steps.rows)
        out = []
        for number in np.unique(choice).tolist():
            source, size = self._sources[number], int(self._rows[number])
            its = np.flatnonzero(choice == number)
            passes, within = np.divmod(index[its], size)
            for again in np.unique(passes).tolist():
                here = passes == again
                out.append((number, source, its[here], epoch * int(self._passes[number]) + again, within[here]))
        return out

    def _at(self, epoch: int, positions: Int64s, pool: BufferPool) -> dict[str, Value]:
        members = self._members(epoch, positions)
        if not members:
            return self._sources[0].at(epoch, positions, pool)
        parts = [source.at(at_epoch, at, pool) for _, source, _, at_epoch, at in members]
        back = np.empty(len(positions), np.int64)
        back[np.concatenate([here for _, _, here, _, _ in members])] = np.arange(len(positions))
        return {name: take_rows(concatenate([part[name] for part in parts]), back) for name in parts[0]}


def _counts(mixture: Mixture) -> Int64s:
    """Rows of each dataset in an epoch."""
    blocks, rest = divmod(len(mixture), BLOCK)
    choice, _ = mixture.pattern.at(np.arange(blocks * BLOCK, blocks * BLOCK + rest, dtype=np.int64))
    return blocks * mixture.pattern.quotas + np.bincount(choice, minlength=len(mixture.datasets))
