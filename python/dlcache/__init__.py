"""dlcache: the shortest and fastest way from a Spark DataFrame into a training loop."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._dataset import Dataset, load
from ._errors import (
    ColumnError,
    ConnectorError,
    DlcacheError,
    InUseError,
    ManifestError,
    NotADatasetError,
    NullValueError,
    OptionError,
    PositionError,
    ShardError,
    SparkError,
    StateError,
    StorageError,
    TransformError,
    WriteError,
)
from ._explain import Explanation
from ._gc_model import Kept, Removal
from ._lifecycle import DatasetReport, GcReport, gc
from ._loader import BatchLoader, NumpyLoader
from ._mixture import Mixture, mix
from ._reading import ReaderLease
from ._result import CacheResult
from ._root import root
from ._transform import TransformSpec
from ._values import Field, Ragged, Strings
from ._verify import Problem, VerifyReport, verify

if TYPE_CHECKING:
    from .spark import cache, configure

__all__ = [
    "BatchLoader",
    "CacheResult",
    "ColumnError",
    "ConnectorError",
    "Dataset",
    "DatasetReport",
    "DlcacheError",
    "Explanation",
    "Field",
    "GcReport",
    "InUseError",
    "Kept",
    "ManifestError",
    "Mixture",
    "NotADatasetError",
    "NullValueError",
    "NumpyLoader",
    "OptionError",
    "PositionError",
    "Problem",
    "Ragged",
    "ReaderLease",
    "Removal",
    "ShardError",
    "SparkError",
    "StateError",
    "StorageError",
    "Strings",
    "TransformError",
    "TransformSpec",
    "VerifyReport",
    "WriteError",
    "cache",
    "configure",
    "gc",
    "load",
    "mix",
    "root",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name in ("cache", "configure"):  # they need pyspark, nothing else here does
        from . import spark

        return getattr(spark, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
