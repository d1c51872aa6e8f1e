"""What the torch and tf adapters share: their options, and which rank this process is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ._errors import OptionError
from ._options import LoaderOptions

_NAMES = tuple(field.name for field in fields(LoaderOptions))


def loader_options(
    batch_size: int, options: Mapping[str, Any], found: tuple[int, int] | None, where: str
) -> LoaderOptions:
    """The options of a loader, with the rank and world size that a framework knows.

    found: rank and world size as `where` (for messages) says them, None if it says nothing. Raises OptionError for
    options that do not exist, and where the given rank or world size is another.
    """
    for name in options:
        if name not in _NAMES:
            raise OptionError(f"there is no option {name!r}; options are {', '.join(_NAMES)}")
    merged = dict(options)
    if found is not None:
        for name, value in zip(("rank", "world_size"), found, strict=True):
            given = merged.get(name)
            if given is not None and given != value:
                raise OptionError(f"{name}={given} was given, and {where} says {value}; leave it out, or give {value}")
            merged[name] = value
    return LoaderOptions(batch_size, **merged)
