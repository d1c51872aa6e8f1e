"""The option `stack`: `stack={"x": ["f0", "f1"]}` delivers the columns of numbers `f0` and `f1` as `x`, [rows, 2]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ._errors import OptionError, unknown_column
from ._fields import field_of
from ._manifest import Column
from ._values import Field


@dataclass(frozen=True, slots=True)
class Stack:
    """Columns that are delivered as one field: `name` is [rows, columns], in the order of `columns`."""

    name: str
    columns: tuple[str, ...]
    field: Field


def stacks_of(
    stack: Mapping[str, Sequence[str]] | None, columns: Mapping[str, Column], masked: bool
) -> tuple[Stack, ...]:
    """The option `stack`, checked against the columns that are read. masked: nulls="mask". Raises OptionError."""
    if stack is None:
        return ()
    if not isinstance(stack, Mapping):
        raise OptionError(f"stack must be a dict from a name to a list of columns, not {stack!r}")
    taken: set[str] = set()
    stacks = []
    masks = {f"{name}_mask" for name, column in columns.items() if masked and column.nulls}
    for name, members in stack.items():
        if not isinstance(name, str):
            raise OptionError(f"stack: {name!r} is not the name of a stack, which is a string")
        if name in masks:
            raise OptionError(
                f"stack: nulls='mask' adds {name!r}, the mask of a column; choose another name for the stack"
            )
        if isinstance(members, str) or not isinstance(members, Sequence) or not members:
            raise OptionError(f"stack: {name!r} must be a list of at least one column, not {members!r}")
        for member in members:
            if member not in columns:
                raise unknown_column(member, columns, f"stack {name!r}: the columns read")
            if member in taken:
                raise OptionError(f"stack: column {member!r} is named twice")
            taken.add(member)
        stacks.append(Stack(name, tuple(members), _field(name, [columns[member] for member in members], masked)))
    for name in stack:
        if name in columns.keys() - taken:
            raise OptionError(f"stack: there is a column {name!r} beside the stack of that name; choose another name")
    return tuple(stacks)


def _field(name: str, columns: Sequence[Column], masked: bool) -> Field:
    first = columns[0]
    for column in columns:
        field = field_of(column)
        if field.kind != "array" or len(field.shape) != 1:
            raise OptionError(f"stack {name!r}: column {column.name!r} is no column of numbers, one for each row")
        if column.dtype != first.dtype:
            raise OptionError(
                f"stack {name!r}: column {column.name!r} is {column.dtype}, and {first.name!r} is {first.dtype}; "
                "make a stack for each dtype, or cast in Spark"
            )
        if masked and column.nulls:
            raise OptionError(
                f"stack {name!r}: column {column.name!r} has nulls, and nulls='mask' has no place for its mask; give a "
                "fill value, or leave the column out of the stack"
            )
    assert first.dtype is not None
    return Field(name, "array", first.dtype, (None, len(columns)))
