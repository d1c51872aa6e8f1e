"""dlcache: the shortest and fastest way from a Spark DataFrame into a training loop."""

from ._dataset import Dataset, load
from ._errors import (
    ColumnError,
    DlcacheError,
    ManifestError,
    NotADatasetError,
    NullValueError,
    OptionError,
    ShardError,
    StateError,
    StorageError,
    TransformError,
)
from ._loader import BatchLoader, NumpyLoader
from ._transform import TransformSpec
from ._values import Field, Ragged, Strings

__all__ = [
    "BatchLoader",
    "ColumnError",
    "Dataset",
    "DlcacheError",
    "Field",
    "ManifestError",
    "NotADatasetError",
    "NullValueError",
    "NumpyLoader",
    "OptionError",
    "Ragged",
    "ShardError",
    "StateError",
    "StorageError",
    "Strings",
    "TransformError",
    "TransformSpec",
    "load",
]
