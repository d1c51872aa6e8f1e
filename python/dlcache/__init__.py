"""dlcache: the shortest and fastest way from a Spark DataFrame into a training loop."""

from ._dataset import Dataset, load
from ._errors import (
    ColumnError,
    DlcacheError,
    InUseError,
    ManifestError,
    NotADatasetError,
    NullValueError,
    OptionError,
    ShardError,
    StateError,
    StorageError,
    TransformError,
)
from ._explain import Explanation
from ._gc_model import Kept, Removal
from ._lifecycle import DatasetReport, GcReport, gc
from ._loader import BatchLoader, NumpyLoader
from ._reading import ReaderLease
from ._root import root
from ._transform import TransformSpec
from ._values import Field, Ragged, Strings
from ._verify import Problem, VerifyReport, verify

__all__ = [
    "BatchLoader",
    "ColumnError",
    "Dataset",
    "DatasetReport",
    "DlcacheError",
    "Explanation",
    "Field",
    "GcReport",
    "InUseError",
    "Kept",
    "ManifestError",
    "NotADatasetError",
    "NullValueError",
    "NumpyLoader",
    "OptionError",
    "Problem",
    "Ragged",
    "ReaderLease",
    "Removal",
    "ShardError",
    "StateError",
    "StorageError",
    "Strings",
    "TransformError",
    "TransformSpec",
    "VerifyReport",
    "gc",
    "load",
    "root",
    "verify",
]
