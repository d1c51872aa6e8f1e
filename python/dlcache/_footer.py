"""The footer of a Parquet file, as far as it says where chunks lie. Pure.

PyArrow reads footers too, but ends the process where it is asked for the chunks of a damaged one: its exceptions do
not come through. The footer is a struct of Thrift's compact protocol; field numbers are those of parquet.thrift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_DEPTH = 16
_WIDTHS = {7: 8, 13: 16}
"""Bytes of the types that have a width: double, UUID."""


@dataclass(frozen=True, slots=True)
class FooterChunk:
    """One column of one row group. path: names from the top. start: of its first page, dictionaries included. data: of
    its first data page. compressed, uncompressed: bytes of all its pages, with their headers."""

    path: tuple[str, ...]
    start: int
    data: int
    compressed: int
    uncompressed: int


@dataclass(frozen=True, slots=True)
class FooterGroup:
    """One row group."""

    rows: int
    chunks: tuple[FooterChunk, ...]


def parse_footer(footer: bytes) -> tuple[FooterGroup, ...]:
    """The row groups in the bytes of a footer, of which what follows the struct is not looked at. Raises ValueError."""
    try:
        return tuple(map(_group, _Reader(footer).struct(0).get(4, [])))
    except (LookupError, TypeError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"it is not as Parquet has it: {error!r}") from error


def _group(fields: dict[int, Any]) -> FooterGroup:
    return FooterGroup(_number(fields[3]), tuple(_chunk(column[3]) for column in fields[1]))


def _chunk(fields: dict[int, Any]) -> FooterChunk:
    data = _number(fields[9])
    path = tuple(name.decode() for name in fields[3])
    dictionary = _number(fields.get(11, 0))
    start = min(data, dictionary) if dictionary else data
    return FooterChunk(path, start, data, _number(fields[7]), _number(fields[6]))


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{value!r} where a number is to be")
    return value


class _Reader:
    """Values of the compact protocol, one after another. A struct is a dict by field number; a map is of no use here,
    and is its flat list."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        if depth > _DEPTH:
            raise ValueError("it is nested too deeply")
        out: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            out[number] = kind == 1 if kind in (1, 2) else self._value(kind, depth)
        return out

    def _value(self, kind: int, depth: int) -> Any:
        if kind in (4, 5, 6):
            return self._integer()
        if kind in (1, 2, 3):  # an element of a list, or a byte
            return self._byte()
        if kind == 8:
            return self._bytes(self._varint())
        if kind in (9, 10):
            head = self._byte()
            return self._elements([head & 15], head >> 4 if head >> 4 < 15 else self._varint(), depth)
        if kind == 11:
            count = self._varint()
            kinds = self._byte() if count else 0
            return self._elements([kinds >> 4, kinds & 15], count, depth)
        if kind == 12:
            return self.struct(depth + 1)
        if kind in _WIDTHS:
            return self._bytes(_WIDTHS[kind])
        raise ValueError(f"it has a value of a type that is none, {kind}")

    def _elements(self, kinds: list[int], count: int, depth: int) -> list[Any]:
        if count > len(self._data) - self._at:
            raise ValueError(f"it has a list of {count} elements, which do not fit")
        if depth >= _DEPTH:
            raise ValueError("it is nested too deeply")
        return [self._value(kind, depth + 1) for _ in range(count) for kind in kinds]

    def _integer(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ValueError("it has a number of more than 64 bits")

    def _bytes(self, count: int) -> bytes:
        data = self._data[self._at : self._at + count]
        if len(data) < count:
            raise ValueError("it ends too early")
        self._at += count
        return data

    def _byte(self) -> int:
        if self._at >= len(self._data):
            raise ValueError("it ends too early")
        self._at += 1
        return self._data[self._at - 1]
