"""The names of the options of each adapter, and what to use instead of names that do not exist."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Literal, NoReturn

from ._errors import ColumnError, OptionError, unknown_column
from ._options import LoaderOptions
from ._values import Field

Adapter = Literal["numpy", "torch", "tf"]

_NAMES = tuple(field.name for field in fields(LoaderOptions))
_OWN: dict[Adapter, tuple[str, ...]] = {
    "numpy": (),
    "torch": ("pad_to", "pin_memory", "sparse", "group"),
    "tf": ("sparse", "start_step"),
}
_INSTEAD = {
    "num_workers": "dlcache reads ahead with threads of this process: threads=n. For worker processes, use "
    "DataLoader(dataset.torch(...), batch_size=None, num_workers=n)",
    "drop_last": "use remainder='drop'",
    "prefetch_factor": "use prefetch=n, in bytes",
    "persistent_workers": "dlcache reads ahead with threads of this process: threads=n",
    "collate_fn": "use transform=function, which takes and returns a batch",
    "sampler": "pass dlcache.torch.TorchDataset(dataset) and the sampler to a DataLoader",
    "batch_sampler": "pass dlcache.torch.TorchDataset(dataset) and the batch sampler to a DataLoader",
    "generator": "use seed=n",
    "buffer_size": "shuffle=True permutes all rows; shuffle_window=n mixes rows within windows of n rows",
    "num_epochs": "use epochs=n",
    "cur_shard": "use rank=n",
    "shard_count": "use world_size=n",
    "num_replicas": "use world_size=n",
}
"""Options that PyTorch, tf.data and Petastorm have, and what does the same here."""


def check_sparse(sparse: Sequence[str], batch: Callable[[], Mapping[str, Field]]) -> tuple[str, ...]:
    """The option `sparse`: fields of a batch whose rows are arrays of one shape. Raises OptionError, ColumnError."""
    if isinstance(sparse, str):
        raise OptionError(f"sparse must be a list of names, not the string {sparse!r}; use sparse=[{sparse!r}]")
    if not isinstance(sparse, Iterable):
        raise OptionError(f"sparse must be a list of names, not {sparse!r}")
    names = tuple(sparse)
    fields = batch() if names else {}
    for name in names:
        if name not in fields:
            raise unknown_column(name, fields, "sparse: a batch")
        field = fields[name]
        if field.kind != "array" or len(field.shape) < 2:
            raise ColumnError(f"sparse: the rows of {name!r} are no arrays of one shape, and so no sparse tensors")
    return names


def loader_options(batch_size: int, options: Mapping[str, Any], adapter: Adapter) -> LoaderOptions:
    """The options of a loader. Raises OptionError for options that do not exist."""
    check_names(options, adapter)
    return LoaderOptions(batch_size, **options)


def check_names(options: Mapping[str, Any], adapter: Adapter) -> None:
    """Raises OptionError for an option that no loader of this adapter has, with the one that was meant."""
    for name in options:
        if name not in _NAMES:
            _refuse(name, adapter)


def _refuse(name: str, adapter: Adapter) -> NoReturn:
    known = (*_NAMES, *_OWN[adapter])
    owners = [f"Dataset.{other}" for other, names in _OWN.items() if name in names]
    near = get_close_matches(name, known, n=1)
    if name in _INSTEAD:
        hint = _INSTEAD[name]
    elif owners:
        hint = f"it is an option of {' and '.join(owners)}"
    else:
        hint = (f"did you mean {near[0]!r}? " if near else "") + f"The options are {', '.join(known)}"
    raise OptionError(f"there is no option {name!r} of Dataset.{adapter}; {hint}")
