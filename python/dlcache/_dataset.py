"""`load` and what it returns: a dataset, its numbers, its parts, and the ways out of it."""

from __future__ import annotations

import logging
import os
import warnings
import weakref
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np

from ._checks import Verify, checked_verify
from ._classes import balanced, counts, vocabulary
from ._condition import Condition, predicate
from ._decimals import delivering
from ._errors import DlcacheError, ManifestError, NotADatasetError, OptionError
from ._explain import Explanation, explain_dataset
from ._fields import NullPolicy, Nulls, field_of, select
from ._files import Files
from ._filter import matching
from ._html import dataset_html
from ._lifecycle import SESSIONS, DatasetReport, delete
from ._manifest import Decimals, Manifest, parse
from ._memory import BufferPool
from ._mirror import MirrorOptions
from ._options import LoaderOptions
from ._parts import added, folded, parted
from ._positions import Positions, row_positions
from ._readable import Readable
from ._readers import ShardReaders
from ._reading import ReaderLease, own_leases
from ._result import CacheResult
from ._rows import Rows, fractions_of
from ._selection import Selection
from ._shards import ShardReader
from ._statistics import statistics
from ._store import MANIFESTS, Store, manifest_name
from ._temporary import TEMPORARY
from ._values import Field, Value
from ._verify import VerifyReport, verify_version

logger = logging.getLogger("dlcache")

_NAMED = 8
"""Elements of a packed column that a dataset's text names."""


def load(
    path: str | os.PathLike[str],
    *,
    version: int | None = None,
    storage_options: Mapping[str, Any] | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    cache_bytes: int | None = None,
    verify: Verify = "open",
) -> Dataset:
    """The dataset at a path: its newest version, or the one asked for. Reads one small file, the manifest.

    path: a local path, or a URI as Spark takes it (`s3a:` or `s3:`, `gs:`, `hdfs:`, `abfss:`, `dbfs:`, `file:`).
    storage_options: for the file system where the dataset is not local, such as `endpoint_override` for S3; it is never
    stored or printed. cache_dir, cache_bytes: where remote shards are mirrored, and how many bytes of them at most;
    by default DLCACHE_MIRROR_DIR and DLCACHE_MIRROR_BYTES, else the user's cache directory and 20 GB or half of what
    the disk has free; 0 mirrors nothing. See docs/storage.md. cache_bytes also bounds the unnamed temporary file of a
    `stack` that is read shuffled, at an eighth of what is free by default; see docs/reading.md. verify: what of each
    shard is checked when it is first read; see `numpy`.

    Raises NotADatasetError, ManifestError, StorageError, and OptionError for arguments that make no sense.
    """
    store = Store.of(path, storage_options, MirrorOptions.of(cache_dir, cache_bytes))
    newest = store.versions()[-1] if version is None else version
    if isinstance(newest, bool) or not isinstance(newest, int) or newest < 1:
        raise OptionError(f"version must be an integer of at least 1, not {newest!r}")
    manifest = parse(store.manifest(newest), f"{store.path}/{MANIFESTS}/{manifest_name(newest)}")
    if manifest.version != newest:
        raise ManifestError(
            f"{store.path}: the manifest of version {newest} says that it is version {manifest.version}; it was "
            "renamed or copied, give it its name back"
        )
    return Dataset(store, manifest, verify=verify)


class Dataset(Readable):
    """One version of a dataset, or some of its rows and columns. Immutable; it reads nothing until asked for rows.

    `load` makes one. It can be pickled: its path and version go, and which rows and columns it is.
    """

    def __init__(
        self,
        store: Store,
        manifest: Manifest,
        rows: Rows | None = None,
        columns: Sequence[str] | None = None,
        verify: Verify = "open",
    ) -> None:
        self.store = store
        self.manifest = delivering(manifest, "float")
        self.rows = rows if rows is not None else Rows(0, manifest.rows)
        self._columns = tuple(columns) if columns is not None else tuple(column.name for column in manifest.columns)
        self.level = checked_verify(verify)
        self._readers = ShardReaders(store, self.manifest)
        self._lease = ReaderLease(store, manifest.version)
        weakref.finalize(self, self._lease.abandon)
        self._leases: weakref.WeakSet[ReaderLease] = weakref.WeakSet()
        self._ended: str | None = None
        self._is_temporary = False
        self._result: CacheResult | None = None

    # What it is

    @property
    def path(self) -> str:
        """Where it is, as `load` was told."""
        return self.store.path

    @property
    def version(self) -> int:
        return self.manifest.version

    @property
    def key(self) -> str:
        """The plan key's digest, 64 hexadecimal digits."""
        return self.manifest.plan_key.digest

    @property
    def result(self) -> CacheResult:
        """What `dlcache.cache` did when it returned this dataset. Raises AttributeError if it did not."""
        if self._result is None:
            raise AttributeError("only a dataset that dlcache.cache returned has a result; this one was loaded")
        return self._result

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of its columns; a field `b` of a struct `a` is `a.b`."""
        return self._columns

    @cached_property
    def schema(self) -> dict[str, Field]:
        """Its columns as the fields of a batch: kind, dtype, and shape with the batch (None) first."""
        return {name: field_of(self.manifest.column(name)) for name in self._columns}

    @property
    def packs(self) -> dict[str, tuple[str, ...]]:
        """Its packed columns, each with the names of its elements: what `pack` was when it was written."""
        packed = {name: self.manifest.column(name).packed for name in self._columns}
        return {name: names for name, names in packed.items() if names is not None}

    def __len__(self) -> int:
        """Rows."""
        return len(self.rows)

    def stats(self, column: str) -> dict[str, Any]:
        """What the writer counted in a column, over all rows of the version: `nulls`, `null_elements`, and where known
        `count`, `min`, `max`, `mean`, `variance`, `std` (numbers, or for small tensors arrays of the tensor's shape),
        `classes` (a dict from value to count) and `lengths` (least and greatest). Decimals count as numbers. The name
        of an element of a packed column gives that element's numbers. Raises ColumnError."""
        return statistics(self.manifest, column, self._columns)

    def class_counts(self, column: str) -> dict[Any, int]:
        """How often each value of an integer, boolean, decimal, string or binary column comes in these rows, sorted by
        value, nulls left out. Free where the manifest knows it, else one pass over the column. Raises ColumnError and
        OptionError.
        """
        return counts(self, column)

    def class_weights(self, column: str) -> dict[Any, float]:
        """A weight for each class, so that all classes weigh the same: rows / (classes x rows of the class). That is
        scikit-learn's "balanced". Of these rows, as `class_counts`."""
        return balanced(self.class_counts(column))

    def vocabulary(self, column: str) -> tuple[Any, ...]:
        """The distinct values of a string or binary column, sorted: value i has code i with `strings="codes"`. Over all
        rows of the version, so that all its parts have the same codes. Of a categorical column of Spark ML, such as the
        output of a `StringIndexer`, its labels: label i is the name of class i. Raises ColumnError, OptionError."""
        return vocabulary(self, column)

    def __repr__(self) -> str:
        lines = [f"Dataset({self.path!r}, version {self.version}, {len(self):,} rows, key {self.key[:12]})"]
        for field in self.schema.values():
            shape = "" if len(field.shape) == 1 else f" {list(field.shape[1:])}".replace("None", "*")
            what = field.kind if field.dtype.hasobject else str(field.dtype)
            names = self.packs.get(field.name, ())
            note = field.logical or ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
            lines.append(f"  {field.name}: {what}{shape}{f' ({note})' if note else ''}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """The dataset as a notebook shows it: a table of its columns, with thumbnails of images."""
        return dataset_html(self)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Dataset)
            and (self.store.identity, self.version, self._columns)
            == (other.store.identity, other.version, other._columns)
            and self.manifest.dataset_id == other.manifest.dataset_id
            and np.array_equal(self.rows.at(np.arange(len(self.rows))), other.rows.at(np.arange(len(other.rows))))
        )

    __hash__ = None  # type: ignore[assignment]

    def __getstate__(self) -> dict[str, Any]:
        whole = len(self.rows) == self.manifest.rows
        return {
            "store": self.store,
            "version": self.version,
            "rows": None if whole else self.rows,
            "columns": self._columns,
            "verify": self.level,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        store: Store = state["store"]
        text = store.manifest(state["version"])
        manifest = parse(text, f"{store.path}/{MANIFESTS}/{manifest_name(state['version'])}")
        Dataset.__init__(self, store, manifest, state["rows"], state["columns"], state["verify"])

    # Parts of it

    def select(self, columns: Sequence[str]) -> Dataset:
        """The same rows with these columns only, in this order. Raises ColumnError."""
        return self.part(self.rows, select(self.manifest, columns, self._columns))

    def filter(self, condition: Condition) -> Dataset:
        """The rows for which a condition is true, without rewriting: `filter(("label", "==", 3))`.

        condition: (column, operator, value) with `==`, `!=`, `<`, `<=`, `>`, `>=`, `in` or `not in`; a list of such, of
        which all must hold; a list of lists, of which one must hold; or a `pyarrow.compute` expression. It may name any
        stored column but those of arrays and maps.

        A triple gives the rows that Spark gives: a comparison with a null is not true, NaN equals NaN and is greater
        than all other numbers, and 0.0 equals -0.0. An expression is evaluated by PyArrow: NaN equals nothing there.
        Each named column is read once; of remote shards the named columns alone are fetched if they are less than half
        of the bytes. Raises OptionError, ColumnError, ShardError.
        """
        self.hold()
        found = predicate(condition, self.manifest)
        readers = partial(self._readers.of, level=self.level, pages=True)
        return self.part(self.rows.subset(matching(found, self.manifest, readers, self.rows)))

    def split(self, parts: Mapping[str, float], *, seed: int = 0, by: str | None = None) -> dict[str, Dataset]:
        """Disjoint random parts, without rewriting: `split({"train": 0.8, "val": 0.2})`.

        parts: names and fractions, at most 1 in all. by: rows that are equal in this column (integers, strings, bytes
        or booleans) come into one part, the same one in every later version; sizes are then only about the fractions.
        Without it they are exact. The same seed gives the same parts.
        """
        fractions = fractions_of(parts)
        rows = parted(self, list(fractions.values()), seed, by)
        return dict(zip(fractions, map(self.part, rows), strict=True))

    def folds(self, k: int, *, seed: int = 0, by: str | None = None) -> list[tuple[Dataset, Dataset]]:
        """k pairs (train, val) for cross validation: every row is in exactly one val. `by` as in `split`."""
        return [(self.part(train), self.part(val)) for train, val in folded(self, k, seed, by)]

    def since(self, version: int) -> Dataset:
        """The rows that were added after `version`: 0 for all, this dataset's own version for none.

        Raises:
            OptionError: `version` is no version up to this one.
        """
        return self.part(added(self, version))

    def part(self, rows: Rows, columns: Sequence[str] | None = None) -> Dataset:
        """Some rows of this version, and some columns."""
        part = Dataset(self.store, self.manifest, rows, self._columns if columns is None else columns, self.level)
        part._readers = self._readers
        return part

    # Its life

    def lease(self) -> ReaderLease:
        """A lease on this version: while it is open, nobody deletes the shards. Loaders and `gather` take their own."""
        self._remember()
        lease = ReaderLease(self.store, self.version)
        if self._ended is not None:
            lease.end(self._ended)
        self._leases.add(lease)
        return lease

    def hold(self) -> None:
        """Take the dataset's own lease, or renew it: it lasts until `close`, the end of `with`, or of the process."""
        self._remember()
        self._lease.touch()

    def end(self, why: str) -> None:
        """Give up all leases of this object for good: who reads it then, or goes on to, gets OptionError(why)."""
        self._ended = why
        for lease in (self._lease, *self._leases):
            lease.end(why)

    def _remember(self) -> None:
        TEMPORARY.renew(self.store)
        if self.manifest.plan_key.scope == "session":
            SESSIONS.add(Files(self.store))

    def __enter__(self) -> Dataset:
        """Holds a lease until the end of the block, so that nobody deletes the dataset meanwhile."""
        self.hold()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
        if self._is_temporary:
            self._is_temporary = False
            self._end_temporary(is_failing=error[0] is not None)

    def _end_temporary(self, *, is_failing: bool) -> None:
        """Delete the dataset at the end of a block. Never hides the error of the block itself."""
        try:
            self._delete(force=False, mine=own_leases(self.store))
        except NotADatasetError:
            TEMPORARY.remove(self.store)
        except DlcacheError as problem:
            text = f"a temporary dataset stays until the process ends, or the next gc: {problem}"
            try:
                warnings.warn(text, stacklevel=3)
            except Warning:  # warnings are errors here
                if not is_failing:
                    raise
                logger.warning("%s", text)

    def close(self) -> None:
        """Give up the dataset's own lease. The dataset can still be read, and takes another then."""
        self._lease.close()

    def temporary(self) -> Dataset:
        """Have the dataset deleted when its `with` block ends, or without one when this process ends, also by SIGTERM.
        After SIGKILL `gc` deletes it. If it is in use then, or has a newer version, it stays, with a warning. Returns
        itself: `with dlcache.cache(df).temporary() as train: ...`"""
        self._is_temporary = True
        TEMPORARY.add(self.store, self.version)
        return self

    def delete(self, *, force: bool = False) -> DatasetReport:
        """Delete the dataset: all its versions, and the directory if nothing foreign is in it. See docs/lifecycle.md.

        Only files that dlcache wrote go; a warning names what stays. Raises InUseError if it is being read or written,
        in this process or another, and not `force`; NotADatasetError if it is gone; StorageError.
        """
        self.close()
        return self._delete(force=force, mine=frozenset())

    def _delete(self, *, force: bool, mine: Collection[str]) -> DatasetReport:
        report = delete(Files(self.store), force=force, mine=mine)
        TEMPORARY.remove(self.store)
        if report.foreign:
            warnings.warn(
                f"{self.path} has files that dlcache did not write, and they stay: {', '.join(report.foreign)}",
                stacklevel=3,
            )
        return report

    def verify(self, *, pages: bool = False) -> VerifyReport:
        """Check every shard of this version against the manifest; see `dlcache.verify`."""
        return verify_version(self.store, self.manifest, pages=pages)

    def explain(self, other: Dataset | str | os.PathLike[str] | None = None) -> Explanation:
        """What the plan key was made of, and, against another dataset or by default the nearest one that lies beside
        this one, what is different. Shows itself when printed. Raises NotADatasetError, ManifestError."""
        return explain_dataset(self.store, self.manifest, other.path if isinstance(other, Dataset) else other)

    # Its rows

    @property
    def reader(self) -> ShardReader:
        """The reader of its shards: one for a process, shared by the dataset's parts and loaders."""
        return self.reader_of(range(len(self.manifest.columns)))

    def reader_of(
        self, columns: Collection[int], verify: Verify | None = None, decimals: Decimals = "float"
    ) -> ShardReader:
        """The reader for these columns (their numbers), which checks so much of each shard. It is `reader`, unless that
        checks more or less, delivers decimals otherwise, or the shards are remote and have so much else in them that
        one fetches only these columns: not to be checked in full."""
        return self._readers.of(columns, self.level if verify is None else verify, decimals)

    def gather(
        self,
        positions: Positions,
        columns: Sequence[str] | None = None,
        *,
        nulls: Nulls = "error",
        decimals: Decimals = "float",
    ) -> dict[str, Any]:
        """Any rows: arrays, `Ragged` and `Strings`. `nulls` and `decimals` as in `numpy`.

        positions: integers in any order, also repeated, where -1 is the last row; a slice; or a boolean for each row.
        Raises PositionError, ColumnError, NullValueError, ShardError.
        """
        self.hold()
        names = select(self.manifest, columns, self._columns)
        manifest = delivering(self.manifest, decimals)
        policy = NullPolicy([manifest.column(name) for name in names], nulls)
        at = row_positions(positions, len(self))
        numbers = [self.manifest.index(name) for name in names]
        reader, pool = self.reader_of(numbers, decimals=decimals), BufferPool(0)
        gathered = reader.gather(reader.locate(self.rows.at(at)), numbers, pool)
        out: dict[str, Value] = {}
        for number, name in zip(numbers, names, strict=True):
            policy.apply(name, gathered[number], out)
        return out

    def selection(self, options: LoaderOptions) -> Selection:
        return Selection(self, options)
