"""What can go wrong, as one family.

Every message names the thing, its value and the way out.

    DlcacheError
    ├── NotADatasetError (also FileNotFoundError)   no manifest at this path, or not this version of it
    ├── ManifestError                               a manifest that breaks docs/format.md
    ├── StorageError (also OSError)                 a file system that cannot be used
    ├── ShardError                                  a shard that is missing, cut short, or not what its manifest says
    ├── ColumnError (also KeyError)                 a column that is not there, or cannot be delivered as asked
    ├── NullValueError (also ValueError)            nulls in a column, and no word on what to do with them
    ├── TransformError                              a transform that failed, or did not return what it declared
    ├── InUseError                                  a dataset that someone uses, and that was to be deleted
    ├── StateError (also ValueError)                a loader state that belongs to something else
    ├── OptionError (also ValueError)               an argument that makes no sense
    │   └── PositionError (also IndexError)         positions that are not rows of the dataset
    ├── ConnectorError                              the connector's jar is not there
    └── SparkError                                  the connector refused or failed something in Spark
        └── WriteError                              ... a write of dlcache.cache
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class DlcacheError(Exception):
    """The root of all errors of this package."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class NotADatasetError(DlcacheError, FileNotFoundError):
    """There is no manifest at the path, or no manifest of the version asked for."""


class ManifestError(DlcacheError):
    """A manifest that breaks docs/format.md. Nothing in it was used."""


class StorageError(DlcacheError, OSError):
    """A file system that cannot be reached, or for which there is no driver."""


class ShardError(DlcacheError):
    """A shard that is missing, cut short, or not what its manifest says."""


class ColumnError(DlcacheError, KeyError):
    """A column that does not exist, or cannot be delivered in the way asked for."""


class NullValueError(DlcacheError, ValueError):
    """Nulls in a column, and no word on what to do with them."""


class TransformError(DlcacheError):
    """A transform that failed, or did not return what it declared."""


class InUseError(DlcacheError):
    """A dataset that live readers or writers use, and that was to be deleted without `force`."""


class StateError(DlcacheError, ValueError):
    """A loader state that belongs to another dataset, seed or order."""


class OptionError(DlcacheError, ValueError):
    """An argument that makes no sense here."""


class PositionError(OptionError, IndexError):
    """Positions of rows that are not integers within the dataset, or a mask of another length."""


class ConnectorError(DlcacheError):
    """The connector's jar is not there."""


class SparkError(DlcacheError):
    """The connector refused a statement, or a job that it takes part in failed because of it.

    Attributes:
        condition: The name of the connector's error condition, `DLCACHE_...`.
    """

    def __init__(self, message: str, condition: str) -> None:
        super().__init__(message, condition)
        self.condition = condition


class WriteError(SparkError):
    """`dlcache.cache` was refused, or failed to write."""


def unknown_column(name: object, known: Iterable[str], where: str) -> ColumnError:
    """The error for a column name that is not there, with the nearest names that are."""
    names = list(known)
    near = get_close_matches(str(name), names, n=3)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"there are: {', '.join(names[:20]) or 'none'}"
    return ColumnError(f"{where} has no column {name!r}; {hint}")
