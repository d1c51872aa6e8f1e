"""docs/manifest.schema.json describes the manifests that there are, and refuses what is none."""

from __future__ import annotations

import copy
import json
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
