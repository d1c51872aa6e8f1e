"""What a loader reads of a dataset: the columns that its options choose, and how their values are delivered."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from ._checks import checked_verify
from ._classes import Codes, codes_of
from ._columns import ColumnReader
from ._decimals import delivering
from ._fields import NullPolicy, select
from ._manifest import Column
from ._options import LoaderOptions, Resolved
from ._order import Orders
from ._source import Reads, Source
from ._stack import stacks_of
from ._steps import Steps
from ._values import Field

if TYPE_CHECKING:
    from ._dataset import Dataset


_COMPRESSED = 8
"""How much smaller compressed columns are taken to be on disk than in memory."""
_OBJECTS = 20
"""How much larger Python objects are taken to be than the values that they are made of."""
_DECIMAL_BYTES = 128


class Selects(Protocol):
    """The columns and rows that a loader reads: those of one dataset, or of several."""

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of a batch as it is read, for batches of any size."""

    @property
    def row_bytes(self) -> int:
        """The bytes of a row, about."""

    @property
    def viewable(self) -> bool:
        """True if rows in stored order may be views of the files."""

    @property
    def viewed(self) -> bool:
        """True if rows in stored order are views of the files and nothing else."""

    def identity(self) -> dict[str, Any]:
        """Which rows these are, in JSON values."""

    def source(self, options: Resolved, steps: Steps, block_steps: int) -> Reads:
        """What reads the rows, in the order that the options say. `block_steps` are located at once."""


class Selection:
    """The chosen columns of one dataset. Raises OptionError, ColumnError and NullValueError when it is made."""

    def __init__(self, dataset: Dataset, options: LoaderOptions) -> None:
        self._dataset = dataset
        self._verify = dataset.level if options.verify is None else checked_verify(options.verify)
        self._names = select(dataset.manifest, options.columns, dataset.columns)
        self._decimals = options.decimals
        self._manifest = delivering(dataset.manifest, options.decimals)
        columns = [self._manifest.column(name) for name in self._names]
        self._nulls = NullPolicy(columns, options.nulls)
        by_name = {column.name: column for column in columns}
        self._stacks = stacks_of(options.stack, by_name, options.nulls == "mask")
        stacked = {name for stack in self._stacks for name in stack.columns}
        self._single = tuple(name for name in self._names if name not in stacked)
        self.fields = {name: field for name, field in self._nulls.fields().items() if name not in stacked}
        self._codes = codes_of(dataset, self._single, options.strings)
        self.fields |= {name: Codes.field(name) for name in self._codes}
        self.fields |= {stack.name: stack.field for stack in self._stacks}

    @cached_property
    def row_bytes(self) -> int:
        manifest = self._manifest
        plain = manifest.options.get("compression", "uncompressed") == "uncompressed"
        stored = manifest.bytes // max(1, manifest.rows) + 1
        return sum(_weight(manifest.column(name), stored, plain) for name in self._names)

    def _reads(self, name: str) -> ColumnReader:
        whole = self._dataset.reader_of(range(len(self._manifest.columns)), decimals=self._decimals)
        return whole.column(self._manifest.index(name))

    @property
    def viewable(self) -> bool:
        return self._dataset.rows.ids is None and self._dataset.store.local is not None

    @property
    def viewed(self) -> bool:
        copied = self._stacks or self._codes
        return self.viewable and not copied and all(self._reads(name).viewable for name in self._single)

    @cached_property
    def _subset(self) -> str | None:
        whole = len(self._dataset) == self._dataset.manifest.rows
        return None if whole else self._dataset.rows.digest()

    def identity(self) -> dict[str, Any]:
        return {
            "dataset": self._dataset.manifest.dataset_id,
            "version": self._dataset.version,
            "rows": len(self._dataset),
            "subset": self._subset,
        }

    def source(self, options: Resolved, steps: Steps, block_steps: int) -> Source:
        dataset, blocks = self._dataset, None
        if options.shuffle_window is not None:
            blocks = dataset.rows.block_starts(dataset.manifest.shards.block_starts(0, len(dataset.manifest.shards)))
        return Source(
            reader=dataset.reader_of(
                [dataset.manifest.index(name) for name in self._names], self._verify, self._decimals
            ),
            columns=tuple(dataset.manifest.index(name) for name in self._single),
            names=self._single,
            stacks=self._stacks,
            nulls=self._nulls,
            codes=self._codes,
            rows=dataset.rows,
            orders=Orders(
                len(dataset),
                shuffle=options.shuffle,
                seed=options.seed,
                window=options.shuffle_window,
                block_starts=blocks,
            ),
            steps=steps,
            block_steps=block_steps,
        )


def _weight(column: Column, stored: int, plain: bool) -> int:
    """The bytes of a value of a column in memory, about. stored: those of a row of all columns in the files. plain:
    the files are not compressed."""
    if column.dtype is not None and column.storage in ("scalar", "tensor"):
        return column.elements * column.dtype.itemsize
    if column.storage == "scalar":
        return _DECIMAL_BYTES
    if column.storage == "nested":
        return _OBJECTS * stored * (1 if plain else _COMPRESSED)
    each = column.dtype.itemsize if column.dtype is not None else 1
    if column.lengths is None:
        return 8 + stored * (1 if plain else _COMPRESSED)
    mean = sum(column.lengths) * each // 2
    return 8 + (min(mean, stored) if plain else mean)
