"""Parts of a dataset without rewriting: which of its rows come into which part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ._errors import OptionError, unknown_column
from ._rows import Int64s, Rows, split_keys, split_rows
from ._values import Ragged, Strings, Value

if TYPE_CHECKING:
    from ._dataset import Dataset


def check_seed(seed: Any) -> None:
    """Raises OptionError."""
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed must be an integer of at least 0, not {seed!r}")


def parted(dataset: Dataset, fractions: list[float], seed: int, by: str | None) -> list[Rows]:
    """Disjoint random parts; see `Dataset.split`. Raises OptionError, ColumnError."""
    check_seed(seed)
    count = len(dataset)
    parts: Iterable[Int64s] = (
        split_rows(count, fractions, seed) if by is None else split_keys(_keys(dataset, by), fractions, seed)
    )
    return [dataset.rows.subset(part) for part in parts]


def folded(dataset: Dataset, k: int, seed: int, by: str | None) -> list[tuple[Rows, Rows]]:
    """k pairs (train, val); see `Dataset.folds`. Raises OptionError, ColumnError."""
    if isinstance(k, bool) or not isinstance(k, int) or k < 2:
        raise OptionError(f"folds: k must be an integer of at least 2, not {k!r}")
    ids = [_ids(rows) for rows in parted(dataset, [1 / k] * k, seed, by)]
    everything = _ids(dataset.rows)
    pairs = []
    for val in ids:
        kept = np.flatnonzero(~np.isin(everything, val, assume_unique=True))
        pairs.append((dataset.rows.subset(kept), Rows(0, dataset.manifest.rows).subset(val)))
    return pairs


def added(dataset: Dataset, version: int) -> Rows:
    """The rows that came after a version; see `Dataset.since`. Raises OptionError."""
    newest = dataset.version
    if isinstance(version, bool) or not isinstance(version, int) or not 0 <= version <= newest:
        raise OptionError(
            f"since takes a version of the dataset, an integer from 0 to {newest}, not {version!r}. This is version "
            f"{newest} of {dataset.path}; load the dataset again to see later ones"
        )
    shards = dataset.manifest.shards
    new = np.repeat(shards.version > version, shards.rows)
    return dataset.rows.subset(np.flatnonzero(new[_ids(dataset.rows)]))


def _ids(rows: Rows) -> Int64s:
    return rows.at(np.arange(len(rows), dtype=np.int64))


def _keys(dataset: Dataset, by: str) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """A 64-bit number for each row, equal where the column is."""
    if by not in dataset.columns:
        raise unknown_column(by, dataset.columns, "by: the dataset")
    value: Value = dataset.gather(np.arange(len(dataset), dtype=np.int64), [by], decimals="unscaled")[by]
    if isinstance(value, Strings):
        return _hashed(value)
    if isinstance(value, Ragged) or value.ndim != 1 or value.dtype.kind not in "biu":
        raise OptionError(f"by: column {by!r} has no integers, strings, bytes or booleans to split by")
    return value.astype(np.int64).view(np.uint64)


def _hashed(value: Strings) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """64 bits of BLAKE2 of each distinct value, the same on every machine."""
    from hashlib import blake2b

    encoded = value.to_arrow().dictionary_encode()
    digests = [blake2b(item.as_buffer(), digest_size=8).digest() for item in encoded.dictionary]
    codes: Int64s = encoded.indices.to_numpy().astype(np.int64)
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)[codes]
