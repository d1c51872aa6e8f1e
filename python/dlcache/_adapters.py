"""What the torch and tf adapters share: their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ._errors import ColumnError, OptionError, unknown_column
from ._options import LoaderOptions
from ._values import Field

_NAMES = tuple(field.name for field in fields(LoaderOptions))


def check_sparse(sparse: Sequence[str], fields: Mapping[str, Field]) -> tuple[str, ...]:
    """The option `sparse`: fields whose rows are arrays of one shape. Raises OptionError and ColumnError."""
    if isinstance(sparse, str):
        raise OptionError(f"sparse must be a list of names, not the string {sparse!r}; use sparse=[{sparse!r}]")
    for name in sparse:
        if name not in fields:
            raise unknown_column(name, fields, "sparse: a batch")
        field = fields[name]
        if field.kind != "array" or len(field.shape) < 2:
            raise ColumnError(f"sparse: the rows of {name!r} are no arrays of one shape, and so no sparse tensors")
    return tuple(sparse)


def loader_options(batch_size: int, options: Mapping[str, Any]) -> LoaderOptions:
    """The options of a loader. Raises OptionError for options that do not exist."""
    for name in options:
        if name not in _NAMES:
            raise OptionError(f"there is no option {name!r}; options are {', '.join(_NAMES)}")
    return LoaderOptions(batch_size, **options)
