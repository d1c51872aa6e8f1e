"""Is it a Spark DataFrame? What to do if not. Needs no pyspark."""

from __future__ import annotations

import os
from typing import Any

from ._dataset import Dataset
from ._errors import OptionError

_TABLES = ("pandas.", "pyarrow.", "polars.", "numpy.", "builtins.")


def check_frame(df: Any, taken: str) -> None:
    """Raises OptionError, which says how to make a DataFrame of what was given, if `df` is not Spark's.

    Args:
        df: What was given.
        taken: What is taken, for the message.
    """
    if hasattr(df, "sparkSession") and hasattr(df, "write"):
        return
    kind = f"{type(df).__module__.partition('.')[0]}.{type(df).__qualname__}"
    if isinstance(df, Dataset):
        way = "It is a dataset already: use it as it is"
    elif isinstance(df, (str, os.PathLike)):
        way = "Open a dataset with dlcache.load(path), or give the rows of files: spark.read.parquet(path)"
    elif kind.startswith("polars."):
        way = "Make one of it: spark.createDataFrame(df.to_arrow())"
    elif df is not None and kind.startswith(_TABLES):
        way = "Make one of it: spark.createDataFrame(df)"
    else:
        way = "Make one with spark.createDataFrame(...) or spark.read"
    given = "None" if df is None else f"{kind.removeprefix('builtins.')}"
    raise OptionError(f"df must be a Spark {taken}, not {given}. {way}")
