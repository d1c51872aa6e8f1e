"""PySpark's own function that changes no row, told by its code."""

from __future__ import annotations

import types
from typing import Any

from ._pickled import Pickled

_OWN = frozenset({"pyspark", "builtins", "operator", "_operator", "typing", "collections"})


def is_identity(command: bytes, pickled: Pickled) -> bool:
    """Whether the command of an RDD is the one that `createDataFrame` of a list has: rows that pass through
    `RDD.map(lambda x: x)`, pickled before and after.

    It is compared with the functions of the PySpark that is installed: those of another version are other functions.
    """
    if any(module.partition(".")[0] not in _OWN for module, _ in pickled.names):
        return False  # not read further: what is not PySpark's may do anything when it is unpickled
    try:
        from pyspark.rdd import RDD
        from pyspark.serializers import BatchedSerializer, CloudPickleSerializer, CPickleSerializer
        from pyspark.util import fail_on_stopiteration

        function, profiler, reads, writes = CloudPickleSerializer().loads(command)
    except Exception:
        return False
    known = _nested(RDD.map, "func"), _nested(RDD._reserialize, "<lambda>")
    mapped = _cell(function, "f")
    pickles = all(
        isinstance(each, BatchedSerializer) and type(each.serializer) is CPickleSerializer for each in (reads, writes)
    )
    return (
        profiler is None
        and pickles
        and None not in known
        and (getattr(function, "__code__", None), getattr(mapped, "__code__", None)) == known
        and function.__globals__.get("fail_on_stopiteration") is fail_on_stopiteration
        and "map" not in function.__globals__
    )


def _nested(function: Any, name: str) -> types.CodeType | None:
    """The code of the only function of this name that `function` makes."""
    found = [
        value for value in function.__code__.co_consts if isinstance(value, types.CodeType) and value.co_name == name
    ]
    return found[0] if len(found) == 1 else None


def _cell(function: Any, name: str) -> Any:
    """What `function` captures under a name."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    cells = dict(zip(names, getattr(function, "__closure__", None) or (), strict=False))
    try:
        return cells[name].cell_contents
    except (KeyError, ValueError):
        return None
