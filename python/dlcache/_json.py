"""Typed access to a JSON object from outside: what is missing, of another type or out of range is a ManifestError."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ._errors import ManifestError

INT64_MAX = (1 << 63) - 1


def unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, for `object_pairs_hook`. Of a key that is there twice two readers could take different ones."""
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} is there twice")
    return members


class Fields:
    """The members of one JSON object. `where` is the file and `what` the object, for messages."""

    __slots__ = ("_members", "what", "where")

    def __init__(self, members: Any, where: str, what: str) -> None:
        self.where, self.what = where, what
        if not isinstance(members, dict):
            raise self.error("it is not a JSON object")
        self._members: Mapping[str, Any] = members

    def error(self, problem: str) -> ManifestError:
        return ManifestError(f"{self.where}: {self.what}: {problem}; the manifest is damaged, write the dataset again")

    def get(self, key: str) -> Any:
        return self._members.get(key)

    def _required(self, key: str, value: Any) -> Any:
        if value is None:
            raise self.error(f"{key} is missing")
        return value

    def optional_integer(self, key: str, least: int, most: int = INT64_MAX) -> int | None:
        value = self.get(key)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            raise self.error(f"{key} is {value!r}, not an integer in {least} .. {most}")
        return value

    def integer(self, key: str, least: int, most: int = INT64_MAX) -> int:
        value: int = self._required(key, self.optional_integer(key, least, most))
        return value

    def optional_text(self, key: str) -> str | None:
        value = self.get(key)
        if value is not None and not isinstance(value, str):
            raise self.error(f"{key} is {value!r}, not a string")
        return value

    def text(self, key: str) -> str:
        value: str = self._required(key, self.optional_text(key))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        values = self.sequence(key)
        if not all(isinstance(value, str) for value in values):
            raise self.error(f"{key} is {values!r}, not a list of strings")
        return tuple(values)

    def optional_choice(self, key: str, choices: Collection[str]) -> str | None:
        value = self.optional_text(key)
        if value is not None and value not in choices:
            raise self.error(f"{key} is {value!r}, not one of {', '.join(sorted(choices))}")
        return value

    def choice(self, key: str, choices: Collection[str]) -> str:
        value: str = self._required(key, self.optional_choice(key, choices))
        return value

    def optional_integers(self, key: str, least: int) -> tuple[int, ...] | None:
        values = self.get(key)
        if values is None:
            return None
        if not isinstance(values, list) or not all(type(v) is int and least <= v < 1 << 31 for v in values):
            raise self.error(f"{key} is {values!r}, not a list of integers of at least {least}")
        return tuple(values)

    def sequence(self, key: str) -> Sequence[Any]:
        value = self.get(key)
        if not isinstance(value, list):
            raise self.error(f"{key} is {value!r}, not a list")
        return value

    def optional_mapping(self, key: str) -> Mapping[str, Any] | None:
        value = self.get(key)
        if value is not None and not isinstance(value, dict):
            raise self.error(f"{key} is {value!r}, not an object")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        value: Mapping[str, Any] = self._required(key, self.optional_mapping(key))
        return value

    def child(self, key: str) -> Fields:
        return Fields(self.get(key), self.where, key)

    def column_of_integers(
        self, entries: Sequence[Mapping[str, Any]], key: str, least: int, most: int = INT64_MAX
    ) -> npt.NDArray[np.int64]:
        """The member `key` of many objects, as one array."""
        return self.integers([entry.get(key) for entry in entries], f"{key} of a shard", least, most)

    def integers(self, values: Sequence[Any], what: str, least: int, most: int = INT64_MAX) -> npt.NDArray[np.int64]:
        """JSON integers as an array, each checked to be one and in range."""
        if not set(map(type, values)) <= {int}:
            raise self.error(f"{what} is not an integer")
        try:
            array = np.fromiter(values, np.int64, len(values))
        except OverflowError as error:
            raise self.error(f"{what} does not fit into 64 bits") from error
        if len(array) and not (least <= int(array.min()) and int(array.max()) <= most):
            raise self.error(f"{what} is not in {least} .. {most}")
        return array
