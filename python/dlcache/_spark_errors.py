"""What went wrong in Spark, in one line: the condition and the message of the connector's own error."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from ._errors import SparkError

# The connector's messages start with their condition. In the text of a failed task, the stack follows.
_OWN = re.compile(
    r"\[(DLCACHE_[A-Z_]+)\] (.*?)(?=\n\s*at |\n\s*\.\.\. |\n+Driver stacktrace|\n+JVM stacktrace|\Z)", re.DOTALL
)
_NO_SOURCE = re.compile(r"Failed to find (?:the )?data source: dlcache\b")

NO_CONNECTOR = "DATA_SOURCE_NOT_FOUND"


def connector_error(error: BaseException) -> tuple[str, str] | None:
    """The condition and the message of the connector's error in `error` or in what caused it; None if there is none."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    texts = [*_messages(java), str(error)]
    if any(_NO_SOURCE.search(text) for text in texts) and _own(texts) is None:
        return NO_CONNECTOR, f"[{NO_CONNECTOR}] This Spark session has no dlcache connector."
    return _own(texts)


def convert_connector_errors() -> None:
    """Makes PySpark raise SparkError for the connector's errors, where it would raise Py4JJavaError.

    PySpark turns Java's exceptions into Python's in one function, and knows Spark's own classes only. With Spark
    Connect the server sends the message alone, so nothing needs to be done there.
    """
    try:
        from pyspark.errors.exceptions import captured
    except ImportError:  # pyspark-client has no JVM
        return
    original = captured.convert_exception
    if getattr(original, "converts_dlcache", False):
        return

    def convert_exception(java: Any) -> Any:
        own = _own(_messages(java))
        return original(java) if own is None else SparkError(own[1], own[0])

    convert_exception.converts_dlcache = True  # type: ignore[attr-defined]
    captured.convert_exception = convert_exception


def _own(texts: Iterable[str]) -> tuple[str, str] | None:
    for text in texts:
        own = _OWN.search(text)
        if own:
            return own.group(1), f"[{own.group(1)}] {own.group(2).strip()}"
    return None


def _messages(java: Any) -> Iterator[str]:
    """The messages of a Java exception and of what caused it."""
    while java is not None:
        message = java.getMessage()
        if message:
            yield message
        java = java.getCause()
