"""The connector's condition is found in whatever Spark wraps around it. No Spark."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dlcache._spark_errors import connector_error

MESSAGE = "[DLCACHE_UNKNOWN_OPTION] The option 'shard' is not known to dlcache. Known options are: shards."


@dataclass
class Throwable:
    """A Java exception as py4j shows it."""

    message: str | None
    cause: Throwable | None = None

    def getMessage(self) -> str | None:  # noqa: N802
        return self.message

    def getCause(self) -> Throwable | None:  # noqa: N802
        return self.cause


class JavaError(Exception):
    def __init__(self, java_exception: Throwable, text: str = "An error occurred while calling o1.save") -> None:
        super().__init__(text)
        self.java_exception = java_exception


@pytest.mark.parametrize(
    "error",
    [
        JavaError(Throwable(MESSAGE)),
        JavaError(Throwable("Job aborted", Throwable(None, Throwable(MESSAGE)))),
        JavaError(
            Throwable(f"Task 0 failed: io.dlcache.error.DlcacheException: {MESSAGE}\n\tat io.dlcache.X.y(X.scala:1)")
        ),
        RuntimeError(f"{MESSAGE}\n\nJVM stacktrace:\nio.dlcache.error.DlcacheException"),
        RuntimeError(f"(io.dlcache.error.DlcacheException) {MESSAGE}\nDriver stacktrace:\n\tat x"),
        RuntimeError(f"x: {MESSAGE}\n\tat a\n\t... 3 more"),
    ],
)
def test_the_condition_and_its_message_without_the_stack(error: Exception) -> None:
    assert connector_error(error) == ("DLCACHE_UNKNOWN_OPTION", MESSAGE)


def test_a_message_of_several_lines_is_whole() -> None:
    assert connector_error(JavaError(Throwable("[DLCACHE_X] one\ntwo"))) == ("DLCACHE_X", "[DLCACHE_X] one\ntwo")


def test_a_session_without_the_connector() -> None:
    error = RuntimeError("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: dlcache. Make sure ...")
    found = connector_error(error)
    assert found is not None
    assert found[0] == "DATA_SOURCE_NOT_FOUND"


def test_other_errors_are_not_ours() -> None:
    assert connector_error(RuntimeError("[DIVIDE_BY_ZERO] Division by zero.\n\tat x")) is None
    assert (
        connector_error(JavaError(Throwable("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: delta."))) is None
    )
