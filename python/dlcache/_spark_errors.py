"""What went wrong in Spark, in one line: the condition and the message of the connector's own error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# The connector's messages start with their condition. In the text of a failed task, the stack follows.
_OWN = re.compile(
    r"\[(DLCACHE_[A-Z_]+)\] (.*?)(?=\n\s*at |\n\s*\.\.\. |\n+Driver stacktrace|\n+JVM stacktrace|\Z)", re.DOTALL
)
_NO_SOURCE = re.compile(r"Failed to find (?:the )?data source: dlcache\b")

NO_CONNECTOR = "DATA_SOURCE_NOT_FOUND"


def connector_error(error: BaseException) -> tuple[str, str] | None:
    """The condition and the message of the connector's error in `error` or in what caused it; None if there is none."""
    texts = list(_texts(error))
    for text in texts:
        own = _OWN.search(text)
        if own:
            return own.group(1), f"[{own.group(1)}] {own.group(2).strip()}"
    if any(_NO_SOURCE.search(text) for text in texts):
        return NO_CONNECTOR, f"[{NO_CONNECTOR}] This Spark session has no dlcache connector."
    return None


def _texts(error: BaseException) -> Iterator[str]:
    """The messages of `error`, innermost Java cause last, then its whole text."""
    java: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    while java is not None:
        message = java.getMessage()
        if message:
            yield message
        java = java.getCause()
    yield str(error)
