"""Paths that Python hands to Spark. Spark knows neither `~` nor this process's working directory."""

from __future__ import annotations

import os
from typing import Any

from ._connect import parse_uri
from ._errors import OptionError


def path_for_spark(path: str | os.PathLike[str] | None, default_store: str | None) -> str | None:
    """The path as Spark is to see it: a local one is absolute, with `~` replaced by the home directory.

    Args:
        path: A path or URI as the user gave it. None stays None.
        default_store: Spark's `fs.defaultFS`, where paths without a scheme are. None if it is not known.

    Raises:
        OptionError: If `path` starts with `~` and Spark's paths are not this machine's.
    """
    if path is None:
        return None
    text = os.fspath(path)
    if parse_uri(text) is not None:
        return text
    if default_store is not None and default_store.startswith("file:"):
        expanded = os.path.expanduser(text)
        if not expanded.startswith("~"):
            return os.path.abspath(expanded)
    if text.startswith("~"):
        where = "Spark's file system" if default_store is None else default_store
        raise OptionError(
            f"{text!r}: '~' is a directory of this machine, and the path is on {where}; give the full path"
        )
    return text


def default_store(spark: Any) -> str | None:
    """`fs.defaultFS` of a session; None with Spark Connect, where only the server knows it."""
    context = getattr(spark, "_jsc", None)
    return None if context is None else str(context.hadoopConfiguration().get("fs.defaultFS", "file:///"))
