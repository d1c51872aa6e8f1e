"""`filter` beside a model of Spark's comparisons that looks at every row: random values, conditions and row groups."""

from __future__ import annotations

import datetime
import decimal
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import OptionError

ROWS = 16
UTC = datetime.timezone.utc
NAN = math.nan
INTS = st.sampled_from([0, 1, -1, 2**24 + 1, 2**53, 2**53 + 1, 2**63 - 1, -(2**63)]) | st.integers(-3, 3)
FLOATS = st.sampled_from([0.0, -0.0, NAN, -NAN, math.inf, -math.inf, 0.1, 1.5, 5e-324, 2.0**53, 2.0**63, -(2.0**63)])
SINGLES = FLOATS.map(lambda number: float(np.float32(number)))
TEXTS = st.sampled_from(["", "a", "b", "ß", "a\0", "😀", "z" * 80, "z" * 80 + "a"])
DAYS = st.dates(datetime.date(1969, 12, 30), datetime.date(1970, 1, 2))
TIMES = st.datetimes(datetime.datetime(1969, 12, 31, 23, 59, 59), datetime.datetime(1970, 1, 1))


def decimals(digits: int, scale: int) -> st.SearchStrategy[decimal.Decimal]:
    most = 10**digits - 1
    unscaled = st.sampled_from([0, 10, 15, most, -most, 2**53 % most]) | st.integers(-20, 20)
    return unscaled.map(lambda number: decimal.Decimal(number).scaleb(-scale, decimal.Context(prec=digits)))


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-128, 127)),
    "int64": (pa.int64(), INTS),
    "float32": (pa.float32(), SINGLES),
    "float64": (pa.float64(), FLOATS),
    "decimal4": (pa.decimal128(4, 1), decimals(4, 1)),
    "decimal18": (pa.decimal128(18, 2), decimals(18, 2)),
    "decimal38": (pa.decimal128(38, 10), decimals(38, 10)),
    "string": (pa.string(), TEXTS),
    "binary": (pa.binary(), TEXTS.map(str.encode) | st.binary(max_size=2)),
    "bool": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), DAYS),
    "timestamp": (pa.timestamp("us", "UTC"), TIMES.map(lambda time: time.replace(tzinfo=UTC))),
    "timestamp_ntz": (pa.timestamp("us"), TIMES),
}
NUMBERS = ("int8", "int64", "float32", "float64", "decimal4", "decimal18", "decimal38")
LITERALS = st.one_of(INTS, FLOATS, decimals(4, 1), decimals(38, 10), st.sampled_from([300, 2**70, -(2**70)]))
SIGNS: dict[str, Callable[[int], bool]] = {
    "==": lambda order: order == 0,
    "!=": lambda order: order != 0,
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def order(one: Any, other: Any) -> int:
    """Less, equal or greater, as Spark has it: NaN is the greatest, a float makes both doubles."""
    if isinstance(one, float) or isinstance(other, float):
        one, other = float(one), float(other)
        if math.isnan(one) or math.isnan(other):
            return int(math.isnan(one)) - int(math.isnan(other))
    return int(one > other) - int(one < other)


def holds(condition: Any, row: dict[str, Any]) -> bool:
    """True if a condition is true, and not false or null."""
    if isinstance(condition, list):
        some = all(isinstance(part, list) for part in condition)
        held = [holds(part, row) for part in condition]
        return any(held) if some else all(held)
    name, sign, value = condition
    cell = row[name]
    if cell is None:
        return False
    if sign in SIGNS:
        return SIGNS[sign](order(cell, value))
    if any(isinstance(one, float) for one in value):
        value = list(map(float, value))
    return any(order(cell, one) == 0 for one in value) is (sign == "in")


@st.composite
def triples(draw: st.DrawFn) -> tuple[str, str, Any]:
    name = draw(st.sampled_from(sorted(COLUMNS)))
    values = COLUMNS[name][1] if name not in NUMBERS else COLUMNS[name][1] | LITERALS
    sign = draw(st.sampled_from([*SIGNS, "in", "not in"]))
    return name, sign, draw(values if sign in SIGNS else st.lists(values, min_size=1, max_size=4))


CONDITIONS: st.SearchStrategy[Any] = triples() | st.lists(triples(), min_size=1, max_size=3)
CONDITIONS |= st.lists(st.lists(triples(), min_size=1, max_size=2), min_size=1, max_size=2)
TABLES = st.fixed_dictionaries(
    {name: st.lists(st.none() | values, min_size=ROWS, max_size=ROWS) for name, (_, values) in COLUMNS.items()}
)


@settings(max_examples=40, deadline=None)
@given(TABLES, st.lists(CONDITIONS, min_size=8, max_size=8), st.sampled_from([1, 5, 16]), st.sampled_from([7, 16]))
def test_filter_gives_what_spark_gives(
    columns: dict[str, list[Any]], conditions: list[Any], group_rows: int, shard_rows: int
) -> None:
    table = pa.table({name: pa.array(values, COLUMNS[name][0]) for name, values in columns.items()})
    table = table.append_column("id", pa.array(range(ROWS)))
    rows = table.to_pylist()
    with tempfile.TemporaryDirectory() as folder:
        root = write(Path(folder), table, row_group_rows=group_rows, shard_rows=shard_rows)
        dataset = dlcache.load(root)
        for condition in conditions:
            part = dataset.filter(condition)
            found = part.gather(slice(None), ["id"])["id"].tolist()
            assert found == [row["id"] for row in rows if holds(condition, row)], condition
        dataset.close()


ZEROS = [0.0, -0.0, 1.0, NAN, None, math.inf]


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    """Row groups that are all zeros of one sign, with a NaN in each: what Parquet's statistics do not tell."""
    x = [value for value in ZEROS for _ in range(3)] + [-0.0, -0.0, -0.0, 0.0, NAN, 0.0]
    nested = pa.array([{"y": value} for value in x], pa.struct([("y", pa.float32())]))
    table = pa.table({"id": np.arange(len(x)), "x": pa.array(x, pa.float64()), "s": nested})
    return dlcache.load(write(tmp_path_factory.mktemp("floats"), table, row_group_rows=3))


def rows_of(dataset: dlcache.Dataset, condition: Any) -> list[int]:
    found: list[int] = dataset.filter(condition).gather(slice(None), ["id"])["id"].tolist()
    return found


ALL_ZEROS = [*range(6), *range(18, 22), 23]


@pytest.mark.parametrize("zero", [0, 0.0, -0.0, np.float32(-0.0), decimal.Decimal("-0")])
def test_zeros_are_equal(floats: dlcache.Dataset, zero: Any) -> None:
    assert rows_of(floats, ("x", "==", zero)) == rows_of(floats, ("x", "in", [zero])) == ALL_ZEROS
    assert rows_of(floats, ("s.y", "in", [zero, 7])) == ALL_ZEROS
    assert rows_of(floats, ("x", "<", zero)) == []
    others = [*range(6, 12), *range(15, 18), 22]
    assert rows_of(floats, ("x", "!=", zero)) == rows_of(floats, ("x", "not in", [zero])) == others


def test_nan_is_equal_to_itself_and_the_greatest(floats: dlcache.Dataset) -> None:
    nans, numbers = [9, 10, 11, 22], [*range(9), *range(15, 22), 23]
    for condition in (("x", "==", NAN), ("x", ">=", np.nan), ("s.y", "in", [NAN]), ("x", ">", math.inf)):
        assert rows_of(floats, condition) == nans
    for condition in (("x", "!=", NAN), ("x", "<", NAN), ("x", "not in", [NAN]), ("x", "<=", math.inf)):
        assert rows_of(floats, condition) == numbers


def test_an_expression_sees_every_row(floats: dlcache.Dataset) -> None:
    x, y = pc.field("x"), pc.field("s", "y")
    assert rows_of(floats, x.is_nan()) == rows_of(floats, y.is_nan()) == [9, 10, 11, 22]
    assert rows_of(floats, x.isin([0.0])) == rows_of(floats, y.isin([0.0])) == ALL_ZEROS
    assert rows_of(floats, x.is_null()) == [12, 13, 14]
    assert rows_of(floats, x.is_null(nan_is_null=True)) == [9, 10, 11, 12, 13, 14, 22]
    assert rows_of(floats, pc.scalar(True)) == list(range(24))
    assert rows_of(floats, (x != 0) & x.is_valid()) == [*range(6, 12), *range(15, 18), 22]
    with pytest.raises(OptionError, match=r"write 0\.0"):
        floats.filter(x.isin([1.0, -0.0]))


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("int64", True, "int, a float or a decimal"),
        ("int64", "3", "int, a float or a decimal"),
        ("float64", decimal.Decimal("NaN"), "decimal"),
        ("bool", 1, "True or False"),
        ("string", b"a", "a str"),
        ("binary", "a", "bytes"),
        ("date", "1970-01-01", r"datetime\.date"),
        ("date", datetime.datetime(1970, 1, 1), r"datetime\.date"),
        ("timestamp", datetime.datetime(1970, 1, 1), "with a time zone"),
        ("timestamp_ntz", datetime.datetime(1970, 1, 1, tzinfo=UTC), "without a time zone"),
        ("timestamp_ntz", np.datetime64("1970-01-01T00:00:00.000000001"), "whole microseconds"),
        ("list", 3, "has arrays"),
        ("ragged", [3], "has arrays"),
        ("map", 3, "has nested values"),
    ],
)
def test_what_cannot_be_compared_is_refused(typed: dlcache.Dataset, name: str, value: Any, says: str) -> None:
    for condition in ((name, "==", value), (name, "in", [value])):
        with pytest.raises(OptionError, match=rf"'{name}'.*{says}"):
            typed.filter(condition)


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> dlcache.Dataset:
    columns = {name: pa.array([None], kind) for name, (kind, _) in COLUMNS.items()}
    columns |= {"list": pa.array([[1, 2]]), "map": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}
    table = pa.concat_tables([pa.table({**columns, "ragged": pa.array([row])}) for row in ([1], [1, 2])])
    return dlcache.load(write(tmp_path_factory.mktemp("typed"), table))


def test_scalars_of_numpy_pandas_and_arrow(typed: dlcache.Dataset) -> None:
    pd = pytest.importorskip("pandas")
    values: list[tuple[str, Any]] = [("int64", np.int8(3)), ("float32", np.float32(0.1)), ("int64", pa.scalar(3))]
    values += [("date", np.datetime64("1970-01-01")), ("timestamp_ntz", np.datetime64("1970-01-01T00", "h"))]
    values += [("timestamp", pd.Timestamp("1970-01-01", tz="UTC")), ("bool", np.bool_(True)), ("string", np.str_("a"))]
    for name, value in values:
        assert len(typed.filter((name, "==", value))) == len(typed.filter((name, "not in", [value]))) == 0


def test_a_collation_is_left_to_spark(tmp_path: Path) -> None:
    metadata = {"__COLLATIONS": {"name": "spark.UTF8_LCASE"}}
    fields = [{"name": "name", "type": "string", "nullable": True, "metadata": metadata}]
    table = pa.table({"name": ["a", "A"]})
    dataset = dlcache.load(write(tmp_path, table, schema={"type": "struct", "fields": fields}))
    with pytest.raises(OptionError, match=r"'name' has the collation spark\.UTF8_LCASE"):
        dataset.filter(("name", "==", "a"))
