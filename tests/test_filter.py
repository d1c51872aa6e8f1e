from __future__ import annotations

import datetime
import decimal
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from _tables import table
from _writer import write
from hypothesis import given, settings
from hypothesis import strategies as st

import dlcache
from dlcache import ColumnError, OptionError, ShardError, StateError

ROWS = 230
KINDS = ["bool", "int8", "int64", "float32", "date", "decimal9", "decimal30", "string", "struct", "null_int"]


@pytest.fixture(scope="module", params=["none", "zstd"])
def source(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dlcache.Dataset, pa.Table]:
    rows = table([*KINDS, "null_string", "tensor"], ROWS, 3).append_column("id", pa.array(np.arange(ROWS)))
    rows = rows.append_column("a.b", pa.array(np.arange(ROWS) % 7))
    path = write(tmp_path_factory.mktemp("filter"), rows, shard_rows=90, row_group_rows=25, compression=request.param)
    return dlcache.load(path), rows


def ids(dataset: dlcache.Dataset) -> list[int]:
    found: list[int] = dataset.gather(np.arange(len(dataset)), ["id"])["id"].tolist()
    return found


OPERATORS = {"==": pc.equal, "!=": pc.not_equal, "<": pc.less, "<=": pc.less_equal, ">": pc.greater}


@settings(max_examples=60)
@given(st.sampled_from(KINDS), st.sampled_from(sorted(OPERATORS)), st.integers(0, ROWS - 1))
def test_a_condition_keeps_the_rows_for_which_it_is_true(
    source: tuple[dlcache.Dataset, pa.Table], kind: str, sign: str, row: int
) -> None:
    dataset, rows = source
    values, name = (rows[kind], kind) if kind != "struct" else (pc.struct_field(rows[kind], "x"), "struct.x")
    scalar = values[row] if values[row].is_valid else next(value for value in values if value.is_valid)
    value = scalar.as_py()
    kept = OPERATORS[sign](values, scalar).fill_null(False).to_numpy()
    expected = np.flatnonzero(kept).tolist()
    assert ids(dataset.filter((name, sign, value))) == expected
    assert len(dataset.filter((name, sign, value))) == len(expected)


@pytest.mark.parametrize(
    ("condition", "keeps"),
    [
        (("id", "in", [3, 200, 999]), lambda i: i in (3, 200)),
        (("id", "in", []), lambda i: False),
        (("id", "not in", [3]), lambda i: i != 3),
        ([("id", ">=", 100), ("id", "<", 110)], lambda i: 100 <= i < 110),
        ([[("id", "<", 5)], [("id", ">", 220), ("a.b", "=", 3)]], lambda i: i < 5 or (i > 220 and i % 7 == 3)),
        (pc.field("id") * 2 == 20, lambda i: i == 10),
        (pc.field("a.b").isin([1, 2]) & ~(pc.field("id") > 20), lambda i: i % 7 in (1, 2) and i <= 20),
        ([("id", "<", 9), pc.field("a.b") == 1], lambda i: i in (1, 8)),
    ],
)
def test_conditions_of_all_forms(source: tuple[dlcache.Dataset, pa.Table], condition: Any, keeps: Any) -> None:
    assert ids(source[0].filter(condition)) == [row for row in range(ROWS) if keeps(row)]


def test_nulls_are_as_in_sql(source: tuple[dlcache.Dataset, pa.Table]) -> None:
    dataset, rows = source
    text = rows["null_string"].to_pylist()
    there = next(value for value in text if value is not None)
    for condition in (("null_string", "!=", there), ("null_string", "not in", [there])):
        assert ids(dataset.filter(condition)) == [
            row for row, value in enumerate(text) if value is not None and value != there
        ]
    absent = dataset.filter(pc.field("null_string").is_null())
    assert ids(absent) == [row for row, value in enumerate(text) if value is None]
    assert ids(dataset.filter(("null_string", "not in", []))) == list(range(ROWS))
    assert ids(dataset.filter(("null_string", "in", []))) == []


def test_dates_decimals_and_structs(source: tuple[dlcache.Dataset, pa.Table]) -> None:
    dataset, rows = source
    day, amount = datetime.date(1970, 1, 5), decimal.Decimal("0.50")
    assert ids(dataset.filter(("date", ">", day))) == [r for r, v in enumerate(rows["date"].to_pylist()) if v > day]
    assert ids(dataset.filter(("decimal9", "<=", amount))) == [
        r for r, v in enumerate(rows["decimal9"].to_pylist()) if v <= amount
    ]
    nested = [r for r, v in enumerate(rows["struct"].to_pylist()) if v["x"] > 3]
    assert ids(dataset.filter(pc.field("struct", "x") > 3)) == nested
    assert ids(dataset.filter(("struct.x", ">", 3))) == nested


def test_a_filter_composes_with_all_other_parts(source: tuple[dlcache.Dataset, pa.Table]) -> None:
    dataset, _ = source
    odd = dataset.filter(("a.b", "in", [1, 3, 5]))
    every = [row for row in range(ROWS) if row % 7 in (1, 3, 5)]
    halves = odd.split({"a": 0.5, "b": 0.5}, seed=2)
    assert sorted(ids(halves["a"]) + ids(halves["b"])) == every
    assert ids(halves["a"].filter(("id", "<", 100))) == [row for row in ids(halves["a"]) if row < 100]
    narrow = odd.select(["id"]).filter(("float32", ">", 0))
    assert narrow.columns == ("id",)
    assert set(ids(narrow)) < set(every)
    assert [sorted(ids(train) + ids(val)) for train, val in odd.folds(3)] == [every] * 3
    shuffled = [row for batch in narrow.numpy(7, shuffle=True) for row in batch["id"].tolist()]
    assert sorted(shuffled) == ids(narrow) != shuffled
    assert ids(pickle.loads(pickle.dumps(odd))) == every
    assert len(odd.filter(("id", "<", 0))) == 0


def test_a_state_is_of_one_filter(source: tuple[dlcache.Dataset, pa.Table]) -> None:
    dataset = source[0].select(["id"])
    one, other = dataset.filter(("id", "<", 50)), dataset.filter(("id", ">=", ROWS - 50))
    state = one.numpy(8).state_dict()
    dataset.filter([("id", "<=", 49)]).numpy(8).load_state_dict(state)
    with pytest.raises(StateError, match="subset"):
        other.numpy(8).load_state_dict(state)


def test_shards_without_rows_of_the_part_are_not_read(tmp_path: Path) -> None:
    root = write(tmp_path, pa.table({"id": np.arange(ROWS)}), shard_rows=90)
    dataset = dlcache.load(root)
    part = dataset.filter(("id", "<", 60))
    (root / dataset.manifest.shards.paths[2]).unlink()
    assert ids(dlcache.load(root).part(part.rows).filter(("id", ">", 57))) == [58, 59]


@pytest.mark.parametrize(
    ("condition", "error", "names"),
    [
        (("ids", "==", 3), ColumnError, "'ids'.*'id'"),
        (("id", "~", 3), OptionError, "~.*operators"),
        (("id", "==", None), OptionError, "is_null"),
        (("id", "in", "abc"), OptionError, "'abc'"),
        (("id", "in", [1, None]), OptionError, "None"),
        (("id", "==", "three"), OptionError, "three"),
        (("tensor", "==", 3), OptionError, "tensor"),
        (pc.field("none") == 3, OptionError, "none(.|\n)*columns are bool, int8"),
        (pc.field("id") + 1, OptionError, "int64"),
        ("id > 3", OptionError, "id > 3"),
        ([], OptionError, "triple"),
        (("id", "=="), OptionError, "operator"),
    ],
)
def test_conditions_that_make_no_sense(
    source: tuple[dlcache.Dataset, pa.Table], condition: Any, error: type[Exception], names: str
) -> None:
    with pytest.raises(error, match=names):
        source[0].filter(condition)


def test_a_remote_dataset_is_filtered_too(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    wide = pa.table(
        {
            "id": np.arange(ROWS),
            "s": pa.array([{"x": row, "y": str(row)} for row in range(ROWS)]),
            "wide": pa.array(np.zeros((ROWS, 2000), np.float32).tolist(), pa.list_(pa.float32())),
        }
    )
    local = write(tmp_path / "wide", wide, shard_rows=90, row_group_rows=25)
    memory = fsspec.filesystem("memory")
    memory.put(str(local), "/filtered", recursive=True)
    try:
        dataset = dlcache.load("memory://filtered")
        for condition in (("id", "<", 7), ("s.x", "<", 7), [[("id", "<", 3)], [("s.y", "in", ["3", "4", "5", "6"])]]):
            part = dataset.filter(condition)
            assert ids(part) == list(range(7))
            assert ids(dataset.filter([("id", "<", 7), pc.field("s", "x") >= 0])) == list(range(7))
        assert next(iter(part.numpy(7)))["wide"].shape == (7, 2000)
    finally:
        memory.rm("/filtered", recursive=True)


def test_a_damaged_footer_is_no_fault_of_the_condition(tmp_path: Path) -> None:
    root = write(tmp_path, pa.table({"id": np.arange(ROWS)}))
    shard = next((root / "data").iterdir())
    data = bytearray(shard.read_bytes())
    footer = int.from_bytes(data[-8:-4], "little") + 8
    data[-footer:-8] = b"\xff" * (footer - 8)
    shard.write_bytes(data)
    with pytest.raises(ShardError, match="damaged"):
        dlcache.load(root).filter(("id", "<", 3))
