"""A pickle, read without running it: the names that it refers to, and a digest of what it describes.

Every name becomes a class of this module, so that Python's own unpickler builds a graph of calls in place of objects.
The graph is all that the pickle says. So nothing that decides how a worker's object behaves is left out of its digest.
"""

from __future__ import annotations

import copyreg
import hashlib
import io
import pickle
import re
import struct
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

_VALUES = 5_000_000
_FRAMED = re.compile(rb"\x80[\x04\x05]\x95(.{8})", re.DOTALL)
_CLOUDPICKLE = ("pyspark.cloudpickle", "cloudpickle")


class UntraceableError(Exception):
    """Something that cannot be followed or hashed; the message says what."""


class _Name(type):
    """What a pickle calls by name, or a class that it carries by value."""

    module: str
    name: str
    made: Call | None
    calls: list[Call]

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _record(cls, "call", args, kwargs)


class Call(metaclass=_Name):
    """The result of a call: what was called, with what, and what was then done to the result."""

    __slots__ = ("args", "changes", "how", "kwargs", "what")
    what: Any
    how: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    changes: list[tuple[Any, ...]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return _record(cls, "new", args, kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return _record(self, "call", args, kwargs)

    def __setstate__(self, state: Any) -> None:
        self.changes.append(("state", state))

    def extend(self, values: Any) -> None:
        self.changes.append(("items", list(values)))

    def append(self, value: Any) -> None:
        self.changes.append(("items", [value]))

    def add(self, value: Any) -> None:
        self.changes.append(("items", [value]))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.changes.append(("entry", key, value))


def _record(what: Any, how: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    kind = what if isinstance(what, _Name) else type(what)
    call = object.__new__(kind)
    call.what, call.how, call.args, call.kwargs, call.changes = what, how, args, kwargs, []
    kind.calls.append(call)
    if any(is_named(what, setter, _CLOUDPICKLE) for setter in ("_function_setstate", "_class_setstate")):
        target = args[0].made if isinstance(args[0], _Name) else args[0]
        if isinstance(target, Call):
            target.changes.append(("set", call))
    if is_named(what, "_make_skeleton_class", _CLOUDPICKLE) or is_named(what, "_make_skeleton_enum", _CLOUDPICKLE):
        return _Name("by value", (Call,), {"__slots__": (), "made": call, "calls": kind.calls})
    return call


def is_named(what: Any, name: str, packages: tuple[str, ...]) -> bool:
    """Whether `what` is the name `name` of a module in one of `packages`."""
    if not isinstance(what, _Name) or what.made is not None or what.name != name:
        return False
    return any(what.module == package or what.module.startswith(package + ".") for package in packages)


class Pickled:
    """One pickle, and those inside it.

    Args:
        data: the pickle.
        broadcast: gives the pickled content of a Spark broadcast variable by its number.

    Raises:
        UntraceableError: it cannot be read, or holds something that only its own reader can follow.
    """

    def __init__(self, data: bytes, broadcast: Callable[[int], bytes]) -> None:
        self.names: set[tuple[str, str]] = set()
        self.calls: list[Call] = []
        self._inner: dict[int, Pickled] = {}
        self._carried: list[Pickled] = []
        if copyreg._extension_registry:  # type: ignore[attr-defined]
            # Python keeps what stands for an extension code in a cache of the whole process.
            raise UntraceableError("extension codes for pickles are registered in this process")
        try:
            self.root = _Reader(data, self.names, self.calls).load()
        except Exception as error:
            raise UntraceableError(f"a pickle that cannot be read ({error})") from error
        for call in self.calls:
            if is_named(call.what, "_from_id", ("pyspark.core.broadcast", "pyspark.broadcast")):
                self._inner[id(call)] = Pickled(broadcast(call.args[0]), broadcast)
        if type(self.root) is bytes:
            # Spark broadcasts a large function as the bytes of its pickle.
            self._inner[id(self.root)] = Pickled(self.root, broadcast)
        else:
            self._carried = [Pickled(data[start:], broadcast) for start in _starts(data)]

    def all(self) -> Iterator[Pickled]:
        """This pickle and all inside it."""
        yield self
        for inner in (*self._inner.values(), *self._carried):
            yield from inner.all()

    def inner(self, value: Any) -> Pickled | None:
        """The pickle that a call or bytes of this pickle stand for."""
        return self._inner.get(id(value))

    def codes(self) -> Iterator[tuple[types.CodeType, Mapping[str, Any]]]:
        """The code of each function that this pickle carries by value, and what it knows of its module.

        Nested code is part of the code around it.
        """
        for call in self.calls:
            if is_named(call.what, "_make_function", _CLOUDPICKLE):
                yield code_of(call.args[0]), call.args[1]

    def digest(self) -> bytes:
        """Equal for equal functions and values in any process of one version of Python.

        Raises:
            UntraceableError: there is too much of it, or a value of an unknown kind.
        """
        encoder = _Encoder(self, set(), [_VALUES])
        try:
            encoder.write(self.root)
            for call in self.calls:
                # A call whose result is dropped may change its arguments.
                if id(call) not in encoder.visited:
                    encoder.write(call)
        except RecursionError:
            raise UntraceableError("values that are nested too deeply") from None
        return encoder.sha.digest()


def _starts(data: bytes) -> Iterator[int]:
    """Where bytes that `data` holds begin like a pickle of protocol 4 or later. They count as bytes, and name more."""
    for found in _FRAMED.finditer(data, 1):
        if int.from_bytes(found.group(1), "little") <= len(data) - found.end():
            yield found.start()


class _Reader(pickle.Unpickler):
    def __init__(self, data: bytes, names: set[tuple[str, str]], calls: list[Call]) -> None:
        super().__init__(io.BytesIO(data))
        self._names, self._calls = names, calls
        self._known: dict[tuple[str, str], _Name] = {}

    def find_class(self, module: str, name: str) -> Any:
        found = self._known.get((module, name))
        if found is None:
            self._names.add((module, name))
            fields = {"__slots__": (), "module": module, "name": name, "made": None, "calls": self._calls}
            found = self._known[module, name] = _Name(name, (Call,), fields)
        return found


def is_code(value: Any) -> bool:
    """Whether `value` is a call that makes a code object."""
    return isinstance(value, Call) and is_type(value.what, "CodeType")


def is_type(value: Any, name: str) -> bool:
    """Whether `value` is the type that cloudpickle knows as `types.<name>`."""
    return isinstance(value, Call) and is_named(value.what, "_builtin_type", _CLOUDPICKLE) and value.args == (name,)


def code_of(value: Any) -> types.CodeType:
    """The code object that a call makes. Its constants are values of the graph."""
    if not is_code(value):
        raise UntraceableError("a function whose code is pickled in an unknown way")
    try:
        return types.CodeType(*value.args)
    except (TypeError, ValueError) as error:
        raise UntraceableError(f"a function whose code cannot be read ({error})") from error


class _Encoder:
    """Writes values with their types and lengths into a hash."""

    def __init__(self, pickled: Pickled, visited: set[int], left: list[int]) -> None:
        self.sha = hashlib.sha256()
        self.visited = visited
        self._pickled = pickled
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        self._left = left

    def write(self, value: Any) -> None:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise UntraceableError(f"more than {_VALUES:,} captured values")
        kind = type(value)
        if value is None:
            self._tag(b"0", 0)
        elif kind is bool:
            self._tag(b"z", int(value))
        elif kind is int:
            self._bytes(b"i", value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))
        elif kind is float:
            self._bytes(b"d", struct.pack(">d", value))
        elif kind is str:
            self._bytes(b"s", value.encode("utf-8", "surrogatepass"))
        elif kind in (bytes, bytearray):
            self._binary(value)
        elif kind is tuple:
            # By value even where it is shared: how constants are shared depends on whether code was compiled or loaded.
            self._all(b"t", value)
        elif kind in (set, frozenset):
            self._unordered(kind, value)
        elif not self._is_known(value):
            self._compound(value)

    def _compound(self, value: Any) -> None:
        kind = type(value)
        if kind is list:
            self._all(b"l", value)
        elif kind is dict:
            self._tag(b"m", len(value))
            for key, item in value.items():
                self.write(key)
                self.write(item)
        elif isinstance(value, _Name):
            if value.made is None:
                self._bytes(b"N", f"{value.module} {value.name}".encode())
            else:
                self.write(value.made)
        elif isinstance(value, Call):
            self._call(value)
        else:
            raise UntraceableError(f"a value of type {kind.__module__}.{kind.__qualname__}")

    def _call(self, call: Call) -> None:
        self.visited.add(id(call))
        inner = self._pickled.inner(call)
        if inner is not None:
            self._bytes(b"P", inner.digest())
        elif is_code(call):
            self._code(code_of(call))
            self.visited.add(id(call.what))
        else:
            self._bytes(b"c", call.how.encode())
            self.write(call.what)
            args = _portable(call)
            self._kept.append(args)  # an object that is freed would leave its number to another
            self._all(b"a", args)
            self.write(call.kwargs)
        self._all(b"g", call.changes)

    def _code(self, code: types.CodeType) -> None:
        """All of it but where it stands: files, lines and names differ between a script and a notebook."""
        self._tag(b"C", code.co_flags)
        for number in (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount):
            self._tag(b"n", number)
        self._bytes(b"y", code.co_code)
        self._bytes(b"y", getattr(code, "co_exceptiontable", b""))
        for part in (code.co_consts, code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars):
            self._all(b"t", part)

    def _binary(self, value: Any) -> None:
        inner = self._pickled.inner(value)
        self._bytes(b"y", value) if inner is None else self._bytes(b"P", inner.digest())

    def _unordered(self, kind: type, values: Any) -> None:
        digests = []
        for value in values:
            part = _Encoder(self._pickled, self.visited, self._left)
            part.write(value)
            digests.append(part.sha.digest())
        self._bytes(b"u", kind.__name__.encode())
        self._all(b"t", sorted(digests))

    def _is_known(self, value: Any) -> bool:
        number = self._numbers.get(id(value))
        if number is None:
            self._numbers[id(value)] = len(self._numbers)
            return False
        self._tag(b"k", number)
        return True

    def _all(self, tag: bytes, values: Any) -> None:
        self._tag(tag, len(values))
        for value in values:
            self.write(value)

    def _bytes(self, tag: bytes, value: Any) -> None:
        self._tag(tag, len(value))
        self.sha.update(value)

    def _tag(self, tag: bytes, number: int) -> None:
        self.sha.update(tag + number.to_bytes(8, "big", signed=True))


def _portable(call: Call) -> tuple[Any, ...]:
    """The arguments without what differs between two processes that define the same: random numbers that tell
    cloudpickle's classes apart, the path of a script, lines.
    """
    args = list(call.args)
    if is_named(call.what, "_make_skeleton_class", _CLOUDPICKLE):
        del args[4]
    elif is_named(call.what, "_make_skeleton_enum", _CLOUDPICKLE) or is_named(call.what, "_make_typevar", _CLOUDPICKLE):
        del args[5]
    elif is_named(call.what, "_make_function", _CLOUDPICKLE):
        # A function that uses them has them among its globals too.
        args[1] = _without(args[1], "__file__", "__path__")
    elif is_named(call.what, "_class_setstate", _CLOUDPICKLE):
        state, slots = args[1]
        args[1] = (_without(state, "__firstlineno__", "__static_attributes__"), slots)
    return tuple(args)


def _without(mapping: Any, *names: str) -> Any:
    return {name: value for name, value in mapping.items() if name not in names}
