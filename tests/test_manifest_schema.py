"""docs/manifest.schema.json: it takes every golden manifest, and refuses what the contract rules out."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

ROOT = Path(__file__).parent.parent
VALIDATOR = jsonschema.Draft202012Validator(json.loads((ROOT / "docs" / "manifest.schema.json").read_text("utf-8")))
MANIFESTS = sorted((ROOT / "tests" / "golden").glob("*/_dlcache/*.json"))


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    text = (ROOT / "tests" / "golden" / "tensors" / "_dlcache" / f"{1:020}.json").read_text("utf-8")
    manifest = json.loads(text)
    before = copy.deepcopy(manifest)
    change(manifest)
    assert manifest != before
    return dict(manifest)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: f"{path.parent.parent.name}-{int(path.stem)}")
def test_takes_what_is_written(path: Path) -> None:
    VALIDATOR.validate(json.loads(path.read_text("utf-8")))


def test_takes_keys_that_it_does_not_know() -> None:
    VALIDATOR.validate(changed(lambda m: m.update({"new-key": 1})))


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
        lambda m: m["shards"][0].update(path="data/../x.parquet"),
        lambda m: m["shards"][0].update(path="s3://b/x.parquet"),
        lambda m: m["shards"][0].update(rows=0),
        lambda m: m["shards"][0].update(crc32=1 << 32),
        lambda m: m["shards"][0]["chunks"].append([-2, 0, 0]),
    ],
)
def test_refuses_what_the_contract_rules_out(change: Callable[[dict[str, Any]], object]) -> None:
    assert not VALIDATOR.is_valid(changed(change))
