"""What the torch and tf adapters share: their options."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ._errors import OptionError
from ._options import LoaderOptions

_NAMES = tuple(field.name for field in fields(LoaderOptions))


def loader_options(batch_size: int, options: Mapping[str, Any]) -> LoaderOptions:
    """The options of a loader. Raises OptionError for options that do not exist."""
    for name in options:
        if name not in _NAMES:
            raise OptionError(f"there is no option {name!r}; options are {', '.join(_NAMES)}")
    return LoaderOptions(batch_size, **options)
