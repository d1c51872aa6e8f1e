"""Where a loader goes on that is given a state. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._errors import StateError
from ._options import is_integer
from ._steps import Steps


def resumed(
    state: Any, identity: Mapping[str, Any], steps: Steps, epochs: int | None, changes_rows: bool
) -> tuple[tuple[int, int, int], int]:
    """The position that a state stands for in an epoch of `steps`: the first epoch of its iteration, epoch and step;
    and how many of the rows that a transform makes of the step's rows come before it. Raises StateError."""
    if not isinstance(state, Mapping):
        raise StateError(f"a state is the dict that state_dict() returned, not {state!r}")
    for name in ("step", "epoch", "first_epoch", "global_batch"):
        if not is_integer(state.get(name), 0):
            raise StateError(f"{name} of the state must be an integer of at least 0, not {state.get(name)!r}")
    if not state["global_batch"]:
        raise StateError("global_batch of the state must be at least 1, not 0")
    for name, here in identity.items():
        there = state.get(name)
        if there != here:
            raise StateError(
                f"the state is of a loader with {name}={there!r}, and this one has {here!r}; "
                "make the loader as it was made then"
            )
    position, row = state["step"] * state["global_batch"], state.get("row", 0)
    if row and (steps.global_batch != state["global_batch"] or not changes_rows):
        raise StateError(
            f"the state is in the middle of the rows that a transform made of {state['global_batch']} rows; "
            "use the same transform, and the same batch_size x world_size"
        )
    if position % steps.global_batch:
        raise StateError(
            f"{position} rows of the epoch were delivered, which is no whole number of global batches of "
            f"{steps.global_batch} rows (batch_size x world_size); choose a batch_size that divides them"
        )
    step = position // steps.global_batch
    first, epoch = state["first_epoch"], state["epoch"]
    if step >= steps.count:
        epoch, step = epoch + 1, 0
    if epochs is not None and epoch >= first + epochs and state.get("epochs") != epochs:
        first = epoch  # its iteration was longer, so it has not ended
    return (first, epoch, step), row
