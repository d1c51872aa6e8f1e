"""Explanations of plan keys in words: every kind of change has its sentence, and strange input never fails."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _roots import DIGEST, OLD, YOUNG, publish
from hypothesis import given
from hypothesis import strategies as st

import dlcache
from dlcache._explain_diff import LISTED, differences
from dlcache._explain_words import made_of

Json = dict[str, Any]


def field(name: str, kind: Any, nullable: bool = True) -> Json:
    return {"name": name, "type": kind, "nullable": nullable, "metadata": {}}


VECTOR = {"type": "array", "elementType": "double", "containsNull": True}
BASE: Json = {
    "encoder-version": 1,
    "format-version": 1,
    "spark-version": "4.2",
    "scope": "durable",
    "plan": ["Project [a, v]", "  Filter (a > 1)", "    Relation [a,v] parquet"],
    "schema": {"type": "struct", "fields": [field("a", "long"), field("v", VECTOR)]},
    "inputs": [
        {
            "kind": "files",
            "format": "org.apache.spark.sql.execution.datasources.parquet.ParquetFileFormat",
            "roots": ["file:/t"],
            "files": 2,
            "bytes": 30,
            "options": {},
            "base": "file:/t/",
            "list": [["day=1/part-0.parquet", 10, 1], ["day=2/part-0.parquet", 20, 2]],
            "digest": "1" * 64,
        },
        {
            "kind": "table",
            "provider": "delta",
            "name": "db.t",
            "id": "u-1",
            "version": "7",
            "options": {},
            "digest": "2" * 64,
        },
        {"kind": "local", "rows": 3, "bytes": 24, "digest": "3" * 64},
    ],
    "functions": [
        {
            "code": "a" * 64,
            "python": "CPython 3.11.7",
            "modules": {"steps": "b" * 64},
            "packages": {"numpy": "2.4.6"},
        }
    ],
    "confs": {"spark.sql.ansi.enabled": "true"},
    "options": {"dtype": "float32"},
    "reasons": [],
}
FILES, TABLE, LOCAL = 0, 1, 2


def edited(edit: Callable[[Json], Any]) -> Json:
    changed = copy.deepcopy(BASE)
    edit(changed)
    return changed


def of_input(number: int, **members: Any) -> Callable[[Json], None]:
    return lambda e: e["inputs"][number].update(members, digest="9" * 64)


PART = ["day=3/part-0.parquet", 5, 3]
CASES: list[tuple[Callable[[Json], Any], list[str]]] = [
    (of_input(FILES, list=[*BASE["inputs"][0]["list"], PART]), ["input file:/t/day=3/part-0.parquet was added"]),
    (of_input(FILES, list=BASE["inputs"][0]["list"][1:]), ["input file:/t/day=1/part-0.parquet was removed"]),
    (
        of_input(FILES, list=[["day=1/part-0.parquet", 11, 9], BASE["inputs"][0]["list"][1]]),
        ["input file:/t/day=1/part-0.parquet was replaced: 10 -> 11 bytes"],
    ),
    (
        of_input(FILES, list=[["day=1/part-0.parquet", 10, 9], BASE["inputs"][0]["list"][1]]),
        ["input file:/t/day=1/part-0.parquet was written again, with the same length"],
    ),
    (of_input(FILES, options={"header": "true"}), ["input file:/t: option header: (not set) -> true"]),
    (of_input(FILES, format="a.b.CSVFileFormat"), ["input file:/t: format Parquet -> CSV"]),
    (of_input(FILES, files=2001), ["input file:/t: 2 -> 2,001 files, not all of them listed"]),
    (of_input(TABLE, version="8"), ["input table db.t: version 7 -> 8"]),
    (of_input(TABLE, id="u-2", version="0"), ["input table db.t was made anew", "input table db.t: version 7 -> 0"]),
    (of_input(LOCAL, rows=4), ["input local rows: 3 -> 4 rows"]),
    (of_input(LOCAL), ["input local rows: other values"]),
    (
        lambda e: e["functions"][0].update(packages={"numpy": "2.5.0"}),
        ["Python function: package numpy: 2.4.6 -> 2.5.0"],
    ),
    (
        lambda e: e["functions"][0].update(modules={"steps": "c" * 64}),
        ["Python function: module steps: bbbbbbbbbbbb -> cccccccccccc"],
    ),
    (
        lambda e: e["functions"][0].update(code="c" * 64),
        ["Python function: another code or other captured values"],
    ),
    (lambda e: e["inputs"].pop(TABLE), ["input table db.t at version 7 was removed"]),
    (
        lambda e: e["inputs"].append({"kind": "session", "description": "RDD 4", "digest": "4" * 64}),
        ["input RDD 4 was added"],
    ),
    (lambda e: e["schema"]["fields"][0].update(name="b"), ["column a was renamed b"]),
    (lambda e: e["schema"]["fields"].append(field("c", "string")), ["column c was added"]),
    (lambda e: e["schema"]["fields"].pop(), ["column v was removed"]),
    (lambda e: e["schema"]["fields"][0].update(type="integer"), ["column a: long -> integer"]),
    (lambda e: e["schema"]["fields"][0].update(nullable=False), ["column a: long -> long not null"]),
    (lambda e: e["schema"]["fields"].reverse(), ["columns have another order: a, v -> v, a"]),
    (
        lambda e: e["schema"]["fields"][1].update(type={**VECTOR, "elementType": "float"}),
        ["column v: array<double> -> array<float>"],
    ),
    (lambda e: e["plan"].__setitem__(1, "  Filter (a > 2)"), ["filter changed: Filter (a > 1) -> Filter (a > 2)"]),
    (lambda e: e["plan"].pop(1), ["plan: Filter (a > 1) was removed"]),
    (lambda e: e["plan"].insert(1, "  Sort [a ASC]"), ["plan: Sort [a ASC] was added"]),
    (lambda e: e["options"].update(dtype="float64"), ["option dtype: float32 -> float64"]),
    (lambda e: e["options"].clear(), ["option dtype: float32 -> (not set)"]),
    (
        of_input(FILES, list=[["day=1/part-0.parquet", 10, 1, "e1"], BASE["inputs"][0]["list"][1]]),
        ["input file:/t/day=1/part-0.parquet was written again, with the same length"],
    ),
    (of_input(FILES, named=[["file:/t/row.xsd", 3, 1]]), ["input file:/t/row.xsd was added"]),
    (lambda e: e.update(hadoop={"orc.x": "true"}), ["hadoop orc.x: (not set) -> true"]),
    (lambda e: e["confs"].update({"spark.sql.ansi.enabled": "false"}), ["conf spark.sql.ansi.enabled: true -> false"]),
    (lambda e: e.update(layout={"plan.0": "8"}), ["layout plan.0: (not set) -> 8"]),
    (
        lambda e: e["reasons"].append({"code": "python-udf", "message": "Python UDF `clean`"}),
        ["session key: Python UDF `clean`"],
    ),
    (lambda e: e.update({"spark-version": "4.1"}), ["Spark: 4.2 -> 4.1"]),
    (lambda e: e.update({"encoder-version": 2}), ["dlcache's encoder-version: 1 -> 2"]),
    (lambda e: e.update({"user-key": "train-v3"}), ["key: (not set) -> train-v3"]),
    (lambda e: None, ["something that the explanations do not show: a hidden value, or the Spark application"]),
]


@pytest.mark.parametrize(("edit", "expected"), CASES)
def test_each_change_has_its_sentence(edit: Callable[[Json], Any], expected: list[str]) -> None:
    assert differences(BASE, edited(edit)) == expected


def section(expected: list[str]) -> str:
    """Which part of an explanation a case changes."""
    first = expected[0].split(" ")[0].rstrip(":")
    return {"columns": "column", "filter": "plan", "Spark": "key"}.get(first, first)


@given(st.sets(st.integers(0, len(CASES) - 2), min_size=1))
def test_changes_of_different_parts_are_all_found(numbers: set[int]) -> None:
    cases = list({section(CASES[number][1]): CASES[number] for number in numbers}.values())
    changed = copy.deepcopy(BASE)
    for edit, _ in cases:
        edit(changed)
    assert sorted(differences(BASE, changed)) == sorted(line for _, lines in cases for line in lines)


def test_many_files_are_counted() -> None:
    many = [[f"new-{n}", 1, 1] for n in range(LISTED + 5)]
    found = differences(BASE, edited(of_input(FILES, list=[*BASE["inputs"][0]["list"], *many])))
    assert found[-1] == "... and 5 more files of file:/t"
    assert len(found) == LISTED + 1


NAMES = [*BASE, *BASE["inputs"][FILES], "fields", "name", "type", "message"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(list(BASE)) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def mutilated(draw: st.DrawFn) -> Any:
    """An explanation in which something is not as it should be."""
    whole = copy.deepcopy(BASE)
    place: Any = whole
    while isinstance(place, dict | list) and place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or draw(st.booleans()):
            place[key] = draw(JSON)
            break
        place = place[key]
    return whole


@given(mutilated() | JSON)
def test_strange_explanations_never_fail(strange: Any) -> None:
    for lines in (differences(BASE, strange), differences(strange, BASE), made_of(strange)):
        assert lines
        assert all(isinstance(line, str) for line in lines)


def test_what_a_key_was_made_of() -> None:
    lines = made_of(edited(CASES[-4][0]))
    assert "input file:/t (Parquet, 2 files, 30 bytes)" in lines
    assert "input table db.t at version 7" in lines
    assert "input local rows (3 rows, 24 bytes)" in lines
    assert "column v: array<double>" in lines
    assert "option dtype = float32" in lines
    assert "Python function aaaaaaaaaaaa" in lines
    assert "Python functions rest on package numpy 2.4.6" in lines
    assert "plan   Filter (a > 1)" in lines
    today = {"kind": "current", "function": "current_date()", "value": "DATE '2026-11-29'"}
    assert made_of({"inputs": [today]}) == ["input current_date() = DATE '2026-11-29'"]
    assert made_of(None) == ["the manifest has no explanation"]


def test_people_see_how_many_confs_there_are(tmp_path: Path) -> None:
    here = dlcache.load(dataset(tmp_path / "here", DIGEST, edited(lambda e: e.update(confs={"a": "1", "b": "2"}))))
    assert "2 SQL confs that change results" in str(here.explain())
    assert "conf a" not in str(here.explain())
    assert "conf a = 1" in here.explain().made_of


def dataset(path: Path, digest: str, explanation: Json | None, age: float = YOUNG) -> Path:
    more = {} if explanation is None else {"explanation": explanation}
    publish(path, 1, [], age, **{"plan-key": {"scope": "durable", "digest": digest}}, **more)
    return path


def test_the_nearest_dataset_beside_it(tmp_path: Path) -> None:
    far = edited(lambda e: e.update(options={"a": "1", "b": "2", "c": "3"}))
    near = edited(lambda e: e["options"].update(dtype="float64"))
    here = dataset(tmp_path / "here", DIGEST, BASE)
    assert dlcache.load(here).explain().other is None
    dataset(tmp_path / "same", DIGEST, BASE)
    dataset(tmp_path / "silent", "e" * 64, None)
    dataset(tmp_path / "far", "f" * 64, far, OLD)
    close = dataset(tmp_path / "near", "0" * 64, near, OLD)
    (tmp_path / "broken" / "_dlcache").mkdir(parents=True)
    (tmp_path / "broken" / "_dlcache" / f"{1:020d}.json").write_text("{")
    (tmp_path / "foreign").mkdir()

    explanation = dlcache.load(here).explain()
    assert explanation.other == str(close)
    assert explanation.differences == ("option dtype: float64 -> float32",)
    assert f"against {close}\n  option dtype: float64 -> float32" in str(explanation)
    assert json.loads(json.dumps(explanation.to_dict()))["digest"] == DIGEST


def test_a_given_dataset(tmp_path: Path) -> None:
    here = dlcache.load(dataset(tmp_path / "a" / "here", DIGEST, BASE))
    same = dlcache.load(dataset(tmp_path / "b" / "same", DIGEST, BASE))
    assert here.explain(same).differences == ()
    assert "the same key" in str(here.explain(same.path))
    with pytest.raises(dlcache.NotADatasetError):
        here.explain(tmp_path)
