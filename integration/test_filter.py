"""`Dataset.filter` keeps the rows that Spark's `where` keeps."""

from __future__ import annotations

import datetime
import math
import operator
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

from pyspark.sql import functions

import dlcache

SCHEMA = (
    "id long, x double, f float, n long, small byte, d decimal(10,2), s string, b binary, flag boolean, day date, "
    "at timestamp"
)
UTC = datetime.timezone.utc
FLOATS = [0.0, -0.0, math.nan, math.inf, -math.inf, 0.1, 1.5, 2.0**53, -1.0]
INTS = [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1]
DECIMALS = [Decimal("0.00"), Decimal("1.50"), Decimal("-0.10"), Decimal("99999999.99"), Decimal("0.10")]
VALUES: dict[str, list[Any]] = {
    "x": FLOATS,
    "f": FLOATS,
    "n": INTS,
    "small": [0, 1, -128, 127],
    "d": DECIMALS,
    "s": ["", "a", "ß", "😀", "z" * 70],
    "b": [b"", b"\x00", b"\xff", b"a"],
    "flag": [True, False],
    "day": [datetime.date(1969, 12, 31), datetime.date(1970, 1, 1)],
    "at": [datetime.datetime(1970, 1, 1, second=second, tzinfo=UTC) for second in range(2)],
}
NUMBERS = ("x", "f", "n", "small", "d")
COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def in_spark(condition: tuple[str, str, Any]) -> Any:
    name, sign, value = condition
    column = functions.col(name)
    if sign in COMPARE:
        return COMPARE[sign](column, functions.lit(value))
    inside = column.isin(*map(functions.lit, value)) if value else column.isin([])
    return inside if sign == "in" else ~inside


def conditions(rng: random.Random) -> list[tuple[str, str, Any]]:
    made: list[tuple[str, str, Any]] = []
    for name, own in VALUES.items():
        literals = [*own, *INTS, *FLOATS, *DECIMALS] if name in NUMBERS else own
        for sign in COMPARE:
            made += [(name, sign, value) for value in rng.sample(literals, min(4, len(literals)))]
        for sign in ("in", "not in"):
            made += [(name, sign, rng.sample(own, 2)), (name, sign, [])]
            if name in NUMBERS:
                made += [(name, sign, rng.sample(kind, 2)) for kind in (FLOATS, INTS, DECIMALS)]
    return [
        *made,
        ("x", "in", [0.0, math.nan]),
        ("f", "not in", [-0.0]),
        ("x", "==", math.nan),
        ("n", "in", [1, 2.0**53]),
    ]


def test_filter_keeps_the_rows_that_spark_keeps(spark: Any, tmp_path: Path) -> None:
    rng = random.Random(14)
    rows = [(i, *(rng.choice([*values, None]) for values in VALUES.values())) for i in range(90)]
    frame = spark.createDataFrame(rows, SCHEMA)
    dataset = dlcache.cache(frame.coalesce(2), tmp_path / "set", dtype=None, progress=False)
    asked = conditions(rng)
    answers = frame.select("id", *[in_spark(one).alias(f"c{n}") for n, one in enumerate(asked)]).collect()
    wrong = []
    for number, condition in enumerate(asked):
        expected = sorted(row.id for row in answers if row[f"c{number}"])
        found = dataset.filter(condition).gather(slice(None), ["id"])["id"].tolist()
        if sorted(found) != expected:
            wrong.append((condition, expected, sorted(found)))
    assert not wrong
