"""Grain: the rows of a dataset as a `RandomAccessDataSource`, for `grain.DataLoader` and `grain.MapDataset`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

from ._fields import Nulls
from ._loader import NumpyLoader
from ._manifest import Decimals
from ._options import LoaderOptions, Output
from ._positions import Positions, is_one
from ._readable import Readable
from ._transform import TransformSpec


class GrainSource:
    """Rows by their position: `source[i]` is a dict (or tuple or namedtuple, see `output`) of NumPy arrays and numbers,
    `str`, `bytes` and arrays of a ragged row's length. `source[[3, 1]]` is a list of such rows, see `Dataset.gather`.

    Grain shuffles, shards and batches: `grain.MapDataset.source(GrainSource(dataset)).shuffle(seed=0).batch(32)`. It
    needs no Grain itself. It can be pickled into worker processes, and threads may share it. Options as in
    `Dataset.numpy`; a transform gets batches of the rows that are asked for at once, often one.

    Raises OptionError, ColumnError and NullValueError at once, PositionError, ShardError and TransformError when read.
    """

    def __init__(
        self,
        dataset: Readable,
        *,
        columns: Sequence[str] | None = None,
        output: Output = "dict",
        transform: TransformSpec | Callable[[Any], Any] | None = None,
        nulls: Nulls = "error",
        decimals: Decimals = "float",
    ) -> None:
        options = LoaderOptions(
            rank=0,
            world_size=1,
            columns=columns,
            output=output,
            transform=transform,
            nulls=nulls,
            decimals=decimals,
            threads=0,
        )
        self._loader = NumpyLoader(dataset, options)

    def __len__(self) -> int:
        return len(self._loader.dataset)

    def __getitem__(self, record_key: SupportsIndex | Positions) -> Any:
        return self._getitems([record_key])[0] if is_one(record_key) else self._getitems(record_key)

    def _getitems(self, record_keys: Any) -> list[Any]:
        """Rows at once: Grain asks for those of a batch so, where it can."""
        values = self._loader.take(record_keys)
        return [
            self._loader.arrange({name: value[row] for name, value in values.items()})
            for row in range(len(next(iter(values.values()))))
        ]

    def __repr__(self) -> str:
        return f"GrainSource({self._loader.dataset.path!r}, {len(self)} rows)"
