"""What the schema in a manifest says beside the manifest's own columns: Spark's types, and Spark ML's labels. Pure.

A schema is input from outside. What is not as Spark writes it says nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._names import Path

_DECIMAL = re.compile(r"decimal\((\d{1,2}),(-?\d{1,2})\)")


def leaves(schema: Any, path: Path = ()) -> Iterator[tuple[Path, Mapping[str, Any]]]:
    """The fields that are reached through structs only and are no structs themselves, with their paths."""
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    for field in fields if isinstance(fields, list) else ():
        if not isinstance(field, Mapping) or not isinstance(field.get("name"), str):
            continue
        there, kind = (*path, field["name"]), field.get("type")
        if isinstance(kind, Mapping) and kind.get("type") == "struct":
            yield from leaves(kind, there)
        else:
            yield there, field


def decimal_elements(field: Mapping[str, Any]) -> tuple[int, int] | None:
    """Precision and scale of the elements of an array of decimals. None for a field of any other type."""
    kind = field.get("type")
    element = kind.get("elementType") if isinstance(kind, Mapping) and kind.get("type") == "array" else None
    found = _DECIMAL.fullmatch(element) if isinstance(element, str) else None
    return None if found is None else (int(found[1]), int(found[2]))


def labels(field: Mapping[str, Any]) -> tuple[str, ...] | None:
    """The names of the classes 0, 1, ... of a categorical column of Spark ML. None if it has none, or is no such
    column."""
    metadata = field.get("metadata")
    attribute = metadata.get("ml_attr") if isinstance(metadata, Mapping) else None
    if not isinstance(attribute, Mapping) or attribute.get("type") not in ("nominal", "binary"):
        return None
    names = attribute.get("vals")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        return None
    return tuple(names)
