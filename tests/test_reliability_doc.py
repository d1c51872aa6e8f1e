"""docs/reliability.md names tests, and each is there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "docs" / "reliability.md").read_text())
    assert len(named) > 20
    for path, name in named:
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.M), f"{path} has no {name}"


def test_every_fault_that_is_tested_is_in_the_table() -> None:
    text = (ROOT / "docs" / "reliability.md").read_text()
    for path in ("integration/test_faults.py", "tests/test_under_a_reader.py", "tests/test_hostile.py"):
        for name in re.findall(r"^def (test_\w+)", (ROOT / path).read_text(), re.M):
            assert f"{path}::{name}" in text, f"docs/reliability.md does not name {path}::{name}"
