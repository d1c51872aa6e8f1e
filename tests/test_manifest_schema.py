"""docs/manifest.schema.json describes the manifests that there are, and refuses what is none."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from _tables import table
from _writer import write

ROOT = Path(__file__).parent.parent
SCHEMA = json.loads((ROOT / "docs" / "manifest.schema.json").read_text())
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*/_dlcache/*.json"))


@pytest.fixture(scope="module")
def validator() -> Any:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: f"{path.parent.parent.name}-{int(path.stem)}")
def test_golden_manifests_are_valid(validator: Any, path: Path) -> None:
    validator.validate(json.loads(path.read_text()))


def test_what_the_tests_write_is_valid(validator: Any, tmp_path: Path) -> None:
    write(tmp_path / "dataset", table(["int64", "tensor", "ragged", "string"], 20))
    (manifest,) = (tmp_path / "dataset" / "_dlcache").glob("*.json")
    validator.validate(json.loads(manifest.read_text()))


@pytest.mark.parametrize("key", ["format-version", "version", "plan-key", "schema", "columns", "shards", "rows"])
def test_a_missing_or_ill_typed_key_is_refused(validator: Any, key: str) -> None:
    manifest = json.loads(GOLDEN[0].read_text())
    missing = copy.deepcopy(manifest)
    del missing[key]
    assert not validator.is_valid(missing)
    assert not validator.is_valid({**manifest, key: "not this"})


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    text = (ROOT / "tests" / "golden" / "tensors" / "_dlcache" / f"{1:020}.json").read_text("utf-8")
    manifest = json.loads(text)
    before = copy.deepcopy(manifest)
    change(manifest)
    assert manifest != before
    return dict(manifest)


def test_keys_that_it_does_not_know_are_valid(validator: Any) -> None:
    validator.validate(changed(lambda m: m.update({"new-key": 1})))


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.update({"format-version": 2}),
        lambda m: m.pop("rows"),
        lambda m: m.update(version=0),
        lambda m: m.update({"created-at": "yesterday"}),
        lambda m: m["plan-key"].update(scope="session"),
        lambda m: m["plan-key"].update({"application-id": "x"}),
        lambda m: m["options"].update(dtype=32),
        lambda m: m["columns"][1].pop("shape"),
        lambda m: m["columns"][1].update(nulls=1),
        lambda m: m["columns"][1]["shape"].append(0),
        lambda m: m["columns"][1].pop("stored-dtype"),
        lambda m: m["columns"][1].update(storage="string"),
        lambda m: m["columns"][0].update(lengths=[0, 1]),
        lambda m: m["columns"][0].update(udt="java.lang.Runtime"),
        lambda m: m["columns"][0].update(elements=["a"]),
        lambda m: m["columns"][1].update(elements=["a", "a"]),
        lambda m: m["columns"][1].update(elements="a"),
        lambda m: m.update({"unpacked-schema": []}),
        lambda m: m["shards"][0].update(path="data/../x.parquet"),
        lambda m: m["shards"][0].update(path="s3://b/x.parquet"),
        lambda m: m["shards"][0].update(rows=0),
        lambda m: m["shards"][0].update(crc32=1 << 32),
        lambda m: m["shards"][0]["chunks"].append([-2, 0, 0]),
    ],
)
def test_what_the_contract_rules_out_is_refused(validator: Any, change: Callable[[dict[str, Any]], object]) -> None:
    assert not validator.is_valid(changed(change))
