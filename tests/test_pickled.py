"""Pickles are read without being run, and their digests tell functions and values apart."""

from __future__ import annotations

import copy
import datetime
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcache._pickled import Pickled, UntraceableError

cloudpickle = pytest.importorskip("pyspark.cloudpickle")


def no_broadcast(number: int) -> bytes:
    raise UntraceableError(f"no broadcast {number}")


def read(value: Any) -> Pickled:
    return Pickled(cloudpickle.dumps(value), no_broadcast)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_values_are_told_apart_by_type_and_content(one: Any, other: Any) -> None:
    digests = [read(lambda value=value: value).digest() for value in (one, copy.deepcopy(one), other)]
    assert digests[0] == digests[1]
    if repr(one) != repr(other):
        assert digests[0] != digests[2]


def test_objects_count_by_all_that_their_pickle_says() -> None:
    class Box:
        def __init__(self, content: Any) -> None:
            self.content = content

    contents = [np.arange(3), np.arange(3, dtype=np.float32), datetime.date(2024, 1, 1), {1, 2}, frozenset({1, 2}), len]
    contents += [Box(1), Box(2), Box, [Box(1)], lambda x: x, lambda x: x + 1, Path("a"), np.float64(1), slice(1, 2)]
    assert len({read(Box(content)).digest() for content in contents}) == len(contents)
    assert len({read({Box(1), Box, lambda x: x, Path("a"), Path("b")}).digest() for _ in range(20)}) == 1
    assert read(Box({"a", "b", "c"})).digest() == read(Box({"c", "b", "a"})).digest()


def test_values_that_hold_themselves_have_a_digest() -> None:
    loop: list[Any] = [1]
    loop.append(loop)
    other: list[Any] = [1]
    other.append(other)
    longer: list[Any] = [1, [1]]
    longer[1].append(longer)
    assert read(loop).digest() == read(other).digest() != read(longer).digest()


def test_where_a_function_stands_does_not_count() -> None:
    def compiled(file: str, lines: int) -> Any:
        names: dict[str, Any] = {"__name__": "__main__", "__file__": file}
        exec(compile("\n" * lines + "def f(x):\n    return [x for _ in 'ab']\n", file, "exec"), names)
        return names["f"]

    assert read(compiled("a.py", 0)).digest() == read(compiled("b.py", 9)).digest()


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "made"),)

    found = Pickled(pickle.dumps(Harmful()), no_broadcast)
    assert (os.mkdir.__module__, "mkdir") in found.names
    assert found.digest()
    assert not (tmp_path / "made").exists()


def test_a_pickle_inside_a_pickle_is_read_too() -> None:
    inner = pickle.dumps(datetime.date(2024, 1, 1))
    outer = pickle.dumps([b"x" * 100_000, inner])
    for carried in (inner, {"a": [inner, 1]}, outer, lambda: inner):
        names = {name for each in read(carried).all() for name in each.names}
        assert ("datetime", "date") in names
    assert read([outer]).digest() == read([bytes(outer)]).digest() != read([outer[:-1]]).digest()


def test_what_cannot_be_read_is_untraceable() -> None:
    whole = cloudpickle.dumps(lambda x: x + 1)
    for length in range(len(whole)):
        with pytest.raises(UntraceableError):
            Pickled(whole[:length], no_broadcast)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises((UntraceableError, RecursionError, pickle.PicklingError)):
        read(deep).digest()
